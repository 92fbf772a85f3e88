"""The report of an incident as a page to be printed, and the list of incidents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape
from typing import Any

from fleet import incident_picture, printed
from fleet.incident_law import CLASSES, DUTIES, GRADES, SECTIONS, SOURCE
from fleet.log_forms import JAPAN, PARTICULARS, Lang, Words
from routing.region.model import Region

_W = {
    "title": Words("事故等の記録（下書き）", "Incident report (draft)"),
    "first": Words("まず行うこと（法令の義務）", "First, as the law asks"),
    "classes": Words("区分", "Class"),
    "unclassified": Words("未分類：下の区分から選んでください", "Not classified yet: choose from the classes below"),
    "all_classes": Words("法令上の区分", "Classes by the law"),
    "what": Words("件名", "Title"),
    "scope": Words("対象", "About"),
    "period": Words("期間", "Period"),
    "goes_on": Words("（継続中）", " (goes on)"),
    "opened": Words("開始者", "Opened by"),
    "frozen": Words("データの保全", "Data"),
    "kept": Words("保全中（保存期間が過ぎても削除されません）", "Frozen: kept beyond retention"),
    "given_back": Words("保全解除", "Unfrozen"),
    "written": Words("記載事項", "In words"),
    "empty": Words("（未記入）", "(not written yet)"),
    "figures": Words("記録から得た数値", "Figures from the records"),
    "picture": Words("航跡（○ 始点、× 終点）", "Tracks (circle: start, cross: end)"),
    "closest": Words("無人航空機どうしの最接近", "Closest approach of two drones"),
    "nobody_near": Words("同時に飛行していた機体はありません", "No two drones were in the air at once"),
    "not_before": Words("これより前の距離は測っていません", "distances before that were not measured"),
    "people": Words("関与した者", "People at work"),
    "timeline": Words("時系列", "Timeline"),
    "time": Words("時刻", "Time"),
    "source": Words("種別", "Source"),
    "vehicle": Words("機体", "Vehicle"),
    "event": Words("内容", "Event"),
    "left_out": Words("紙面に載せていないもの（書き出したファイルにあります）", "Left out here; the bundle has it"),
    "nothing": Words("記録はありません", "Nothing is recorded"),
    "list": Words("事故等の一覧", "Incidents"),
    "no_samples": Words("受信した記録はありません", "No samples are stored"),
    "times": Words("時刻は日本標準時。", "Times are Japan Standard Time."),
}
_SOURCES = {
    "command": Words("指令", "Command"),
    "mission": Words("運航", "Mission"),
    "custody": Words("荷物", "Parcel"),
    "alarm": Words("警報", "Alarm"),
    "vehicle": Words("機体", "Vehicle"),
    "gap": Words("受信", "Reception"),
    "weather": Words("気象", "Weather"),
    "audit": Words("操作", "Deed"),
}
_SCOPES = {
    "vehicle": Words("機体", "Vehicle"),
    "type": Words("機種", "Type"),
    "region": Words("地域", "Region"),
}
_FIGURES: tuple[tuple[str, Words, str], ...] = (
    ("samples", Words("記録数", "Samples"), ""),
    ("height_max_m", Words("最大高さ（離陸地点から）", "Greatest height over take-off"), "m"),
    ("speed_max_mps", Words("最大対地速度", "Greatest ground speed"), "m/s"),
    ("climb_max_mps", Words("最大上昇率", "Fastest climb"), "m/s"),
    ("sink_max_mps", Words("最大降下率", "Fastest descent"), "m/s"),
    ("tilt_max_deg", Words("最大傾き", "Greatest tilt"), "°"),
    ("battery_max_pct", Words("電池残量 最大", "Battery, most"), "%"),
    ("battery_min_pct", Words("電池残量 最小", "Battery, least"), "%"),
    ("voltage_min_v", Words("電圧 最小", "Voltage, least"), "V"),
    ("wind_max_mps", Words("最大風速（機体推定）", "Strongest wind (estimated aboard)"), "m/s"),
    ("link_min_pct", Words("通信品質 最小", "Link, least"), "%"),
    ("longest_silence_s", Words("最長の受信間隔", "Longest silence"), "s"),
)


def render(report: Mapping[str, Any], region: Region, *, lang: Lang, path: str) -> str:
    """Return a draft (``incident_report.draft``) as HTML in one language; ``path`` is its own address."""
    incident = report["incident"]
    content = incident["content"]
    title = content["title"] or f"{incident['scope_id']} {_time(incident['opened_at'])}"
    body = [
        printed.other_language(path, lang),
        f"<h1>{escape(_w('title', lang))}: {escape(title)}</h1>",
        _law(lang),
        f"<section>{_head(report, lang)}</section>",
        _classes(lang) if not content["classes"] else "",
        _sections(content["sections"], lang),
        _measured(report, region, lang),
        _timeline(report, lang),
    ]
    return printed.page(title, body, lang=lang, landscape=False)


def render_list(rows: Iterable[Mapping[str, Any]], *, lang: Lang) -> str:
    """Return the list of incidents as HTML, each leading to its report."""
    lines = []
    for row in rows:
        title = row["content"]["title"] or row["scope_id"]
        address = f"incidents/{row['incident_id']}/report.html?lang={lang}"
        cells = (
            f'<a href="{escape(address, quote=True)}">{escape(row["incident_id"])}</a>',
            escape(_names(row["content"]["classes"], lang)),
            escape(title),
            escape(_scope(row, lang)),
            escape(_span(row["began_at"], row["ended_at"], lang)),
            escape(row["opened_by"]),
            escape(_data(row, lang)),
        )
        lines.append("".join(f"<td>{cell}</td>" for cell in cells))
    heads = ("", *(_w(name, lang) for name in ("classes", "what", "scope", "period", "opened", "frozen")))
    rows_html = "".join(f"<tr>{line}</tr>" for line in lines) or f'<tr><td colspan="7">{_w("nothing", lang)}</td></tr>'
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = [
        printed.other_language("incidents.html", lang),
        f"<h1>{escape(_w('list', lang))}</h1>",
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows_html}</tbody></table>",
    ]
    return printed.page(_w("list", lang), body, lang=lang)


def _w(name: str, lang: Lang) -> str:
    return _W[name].in_(lang)


def _scope(incident: Mapping[str, Any], lang: Lang) -> str:
    return f"{_SCOPES[incident['scope_kind']].in_(lang)} {incident['scope_id']}"


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(JAPAN):%Y-%m-%d %H:%M:%S}"


def _span(start: datetime, end: datetime | None, lang: Lang) -> str:
    return f"{_time(start)} – {_time(end)}" + (_w("goes_on", lang) if end is None else "")


def _names(classes: Iterable[str], lang: Lang) -> str:
    known = [CLASSES[name] for name in classes]
    return "、".join(f"{GRADES[c.grade].in_(lang)}: {c.name.in_(lang)}" for c in known)


def _data(incident: Mapping[str, Any], lang: Lang) -> str:
    if incident["unfrozen_at"] is None:
        return _w("kept", lang)
    return f"{_w('given_back', lang)} {_time(incident['unfrozen_at'])} {incident['unfrozen_by']}: " + str(
        incident["unfrozen_reason"]
    )


def _law(lang: Lang) -> str:
    steps = "".join(f"<li>{escape(duty.in_(lang))}</li>" for duty in DUTIES)
    source = f'<p class="small">{escape(SOURCE.in_(lang))}</p>'
    return f'<div class="warn"><b>{escape(_w("first", lang))}</b><ol>{steps}</ol>{source}</div>'


def _classes(lang: Lang) -> str:
    rows = [(GRADES[c.grade].in_(lang), c.name.in_(lang), c.meaning.in_(lang)) for c in CLASSES.values()]
    table = printed.table(("", _w("classes", lang), ""), rows, empty="")
    return f'<div class="note">{escape(_w("unclassified", lang))}</div>{table}'


def _head(report: Mapping[str, Any], lang: Lang) -> str:
    incident = report["incident"]
    ended = None if report["period"]["goes_on"] else report["period"]["end"]
    facts = printed.facts(
        [
            ("No.", f"{incident['incident_id']} r{incident['revision']}"),
            (_w("classes", lang), _names(incident["content"]["classes"], lang)),
            (_w("scope", lang), _scope(incident, lang)),
            (_w("period", lang), _span(report["period"]["start"], ended, lang)),
            (_w("opened", lang), f"{incident['opened_by']} {_time(incident['opened_at'])}"),
            (_w("frozen", lang), _data(incident, lang)),
        ]
    )
    return f'{facts}<p class="small">{escape(_w("times", lang))} {_time(report["made_at"])}</p>'


def _sections(sections: Mapping[str, str], lang: Lang) -> str:
    parts = [f"<h2>{escape(_w('written', lang))}</h2>"]
    for name, words in SECTIONS.items():
        text = sections.get(name) or _w("empty", lang)
        parts.append(f"<h3>{escape(words.in_(lang))}</h3><pre>{escape(text)}</pre>")
    return f"<section>{''.join(parts)}</section>"


def _measured(report: Mapping[str, Any], region: Region, lang: Lang) -> str:
    parts = [f"<h2>{escape(_w('figures', lang))}</h2>", _closest(report["closest"], lang)]
    picture = incident_picture.tracks(report["figures"], region)
    if picture:
        parts.append(f'<p class="small">{escape(_w("picture", lang))}</p><div class="figure">{picture}</div>')
    for figure in report["figures"]:
        parts.append(f"<h2>{escape(figure['vehicle_id'])} ({escape(figure['type_id'])})</h2>")
        known = figure["particulars"]
        parts.append(printed.facts((words.in_(lang), known[key]) for key, words in PARTICULARS.items()))
        if not figure["samples"]:
            parts.append(f"<p>{escape(_w('no_samples', lang))}</p>")
            continue
        facts = [(w.in_(lang), f"{figure[k]:g} {unit}".strip()) for k, w, unit in _FIGURES if figure[k] is not None]
        parts.append(printed.facts(facts))
        parts.append(f'<div class="figure">{incident_picture.profiles(figure["track"], lang)}</div>')
    return f"<section>{''.join(parts)}</section>"


def _closest(found: Mapping[str, Any], lang: Lang) -> str:
    nearest = found["nearest"]
    text = _w("nobody_near", lang)
    if nearest is not None:
        text = (
            f"{' – '.join(nearest['vehicles'])}: {nearest['distance_m']} m "
            f"(↔ {nearest['horizontal_m']} m, ↕ {nearest['vertical_m']} m), {_time(nearest['at'])}"
        )
    measured = f"{_time(found['start'])} – {_time(found['end'])}"
    if not found["whole"]:
        measured += f"; {_w('not_before', lang)}"
    return f"<p><b>{escape(_w('closest', lang))}</b> ({escape(measured)}): {escape(text)}</p>"


def _timeline(report: Mapping[str, Any], lang: Lang) -> str:
    people = ", ".join(f"{p['display_name']} ({p['role']})" for p in report["people"])
    rows = [
        (f"{event['at'].astimezone(JAPAN):%m-%d %H:%M:%S}.{event['at'].microsecond // 100_000}",
         _SOURCES[event["source"]].in_(lang), event["vehicle_id"], event[lang])
        for event in report["timeline"]
    ]  # fmt: skip
    heads = [_w(name, lang) for name in ("time", "source", "vehicle", "event")]
    parts = [
        f"<h2>{escape(_w('people', lang))}</h2><p>{escape(people or _w('nothing', lang))}</p>",
        f"<h2>{escape(_w('timeline', lang))}</h2>",
        printed.table(heads, rows, empty=_w("nothing", lang), narrow={0, 1, 2}),
    ]
    if report["left_out"]:
        parts.append(f'<p class="small">{escape(_w("left_out", lang))}: {escape("; ".join(report["left_out"]))}</p>')
    return f"<section>{''.join(parts)}</section>"
