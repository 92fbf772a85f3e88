"""The forms of the flight log: their columns and inspection items in both languages.

After forms 1 to 3 of 無人航空機の飛行日誌の取扱要領 (国土交通省航空局, 国空無機第236963号, 1 December 2022) and
the items of the Ordinance, article 236-84 paragraph 2; other layouts are allowed as long as every item is there.
English as on the official forms. A robot's record of remote operation has no official form and follows the flight
record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

Lang = Literal["ja", "en"]
JAPAN = timezone(timedelta(hours=9), "JST")
"""The log tells Japan's time, as the forms do."""


@dataclass(frozen=True, slots=True)
class Words:
    """A text in both languages."""

    ja: str
    en: str

    def in_(self, lang: Lang) -> str:
        """Return it in one."""
        return self.ja if lang == "ja" else self.en


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading and how a line (``log_view``) shows in it; a ``narrow`` one does not break its words."""

    head: Words
    show: Callable[[Mapping[str, Any], Lang], object]
    narrow: bool = False


INSPECTION_ITEMS: Mapping[str, Mapping[str, tuple[Words, Words]]] = {
    "drone": {
        "general": (Words("機体全般", "UAS general"),
                    Words("機器の取り付け状態（ネジ、コネクタ、ケーブル等）", "Fitting of screws, connectors, cables")),
        "propellers": (Words("プロペラ", "Propeller(s)"), Words("外観、損傷、ゆがみ", "Appearance, damage, warp")),
        "frame": (Words("フレーム", "Frame"), Words("外観、損傷、ゆがみ", "Appearance, damage, warp")),
        "communication": (Words("通信系統", "Communication system"),
                          Words("機体と操縦装置の通信品質の健全性", "Link between aircraft and control station")),
        "propulsion": (Words("推進系統", "Propulsion system"), Words("モーター又は発動機の健全性", "Motors or engine")),
        "power": (Words("電源系統", "Power system"), Words("機体及び操縦装置の電源の健全性",
                                                        "Power of aircraft and control station")),
        "automatic_control": (Words("自動制御系統", "Automatic control system"),
                              Words("飛行制御の健全性", "Flight control")),
        "control": (Words("操縦装置", "Flight control station"),
                    Words("外観、スティック及びスイッチの健全性", "Appearance, sticks and switches, ground station")),
        "battery": (Words("バッテリー、燃料", "Battery, fuel"),
                    Words("充電状況、残燃料表示の健全性", "Charge, remaining fuel shown rightly")),
    },
    "robot": {
        "general": (Words("車体全般", "Body"),
                    Words("取り付け状態、損傷、鋭利な突起", "Fitting, damage, sharp projections")),
        "wheels": (Words("車輪", "Wheels"), Words("摩耗、空気圧、ゆがみ", "Wear, pressure, warp")),
        "brakes": (Words("制動", "Brakes"), Words("停止と駐車", "Stops and parks")),
        "emergency_stop": (Words("非常停止装置", "Emergency stop"), Words("作動", "Works")),
        "communication": (Words("通信系統", "Communication"),
                          Words("遠隔操作装置との通信", "Link to the remote operator")),
        "sensors": (Words("カメラ、センサー", "Cameras, sensors"), Words("汚れ、視界", "Dirt, view")),
        "sign": (Words("標識、灯火", "Sign, lights"), Words("表示、点灯", "Shown, lit")),
        "cargo": (Words("荷室", "Cargo box"), Words("施錠", "Locks")),
        "battery": (Words("バッテリー", "Battery"), Words("充電状況、発熱", "Charge, heat")),
    },
}  # fmt: skip
"""What is inspected before or after use: the item and what to look at. A drone's are those of the official form 2."""

RESULTS = {
    "good": Words("正常", "Good"),
    "defect": Words("異常", "Defect"),
    "none": Words("該当なし", "Not applicable"),
}
PHASES = {"before": Words("飛行前", "Before use"), "after": Words("飛行後", "After use")}
NOTHING = Words("なし", "None")

PARTICULARS: Mapping[str, Words] = {
    "registration": Words("無人航空機の登録記号", "Registration ID of UAS"),
    "kind_name": Words("種類", "Kind"),
    "type_name": Words("型式", "Type"),
    "type_certificate": Words("型式認証書番号", "Type certificate no."),
    "airworthiness_class": Words("機体認証の区分", "Class of aircraft certification"),
    "airworthiness_certificate": Words("機体認証書番号", "Aircraft certificate no."),
    "maker": Words("設計製造者", "Maker"),
    "serial": Words("製造番号", "Serial no."),
}
"""What heads every part of the log (Ordinance 236-84 paragraph 2, items イ to ニ)."""


def clock_time(value: datetime | str | None) -> str:
    """Return hours and minutes in Japan."""
    return _in_japan(value, "%H:%M")


def day(value: datetime | str | None) -> str:
    """Return the day in Japan."""
    return _in_japan(value, "%Y-%m-%d")


def _in_japan(value: datetime | str | None, form: str) -> str:
    if not value:
        return ""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(JAPAN).strftime(form)


def hours(seconds: float | None) -> str:
    """Return a duration as hours and minutes, as the form wants it: 0:09."""
    if seconds is None:
        return ""
    minutes = round(float(seconds) / 60)
    return f"{minutes // 60}:{minutes % 60:02d}"


def text_of(key: str) -> Callable[[Mapping[str, Any], Lang], object]:
    """Return what shows a field of a line as it is."""
    return lambda line, lang: line.get(key) or ""


def _day(key: str) -> Callable[[Mapping[str, Any], Lang], object]:
    return lambda line, lang: day(line.get(key))


def safety(line: Mapping[str, Any], lang: Lang) -> str:
    """Return what touched safety: a person's words where there are some, else what was found, else "none"."""
    if line.get("safety"):
        return str(line["safety"])
    events = line.get("events") or ()
    shown = [f"{_in_japan(event['at'], '%H:%M:%S')} {event[lang]}" for event in events]
    return "\n".join(shown) or NOTHING.in_(lang)


def _items(line: Mapping[str, Any], lang: Lang) -> str:
    known = INSPECTION_ITEMS[line.get("vehicle_kind", "drone")]
    parts = []
    found = line.get("items") or {}
    for key, result in ((key, found[key]) for key in known if key in found):
        name = known[key][0].in_(lang)
        remark = f" ({result['remark']})" if result.get("remark") else ""
        parts.append(f"{name}: {RESULTS[result['result']].in_(lang)}{remark}")
    return "\n".join(parts)


def _number(key: str) -> Callable[[Mapping[str, Any], Lang], object]:
    return lambda line, lang: None if line.get(key) is None else round(float(line[key]))


_SIGNED = Column(Words("確認・署名", "Signed by"), text_of("signed_by"))
_ENTRY = Column(Words("記録番号", "Entry"), lambda line, lang: f"{line['entry_id']}\nr{line['revision']}", narrow=True)
_FLIGHT = (
    Column(Words("飛行年月日", "Date of flight"), _day("takeoff_at"), narrow=True),
    Column(Words("飛行させた者の氏名", "Name of pilot"), text_of("pilot_name")),
    Column(Words("技能証明書番号", "Licence no."), text_of("licence_number"), narrow=True),
    Column(Words("飛行の目的", "Purpose"), text_of("purpose")),
    Column(Words("飛行の経路", "Route"), text_of("route")),
    Column(Words("飛行禁止空域", "Airspace"), text_of("airspace")),
    Column(Words("飛行の方法", "Method of flight"), text_of("method")),
    Column(Words("離陸場所", "From"), text_of("takeoff_place")),
    Column(Words("着陸場所", "To"), text_of("landing_place")),
    Column(Words("離陸時刻", "Off time"), lambda line, lang: clock_time(line.get("takeoff_at"))),
    Column(Words("着陸時刻", "On time"), lambda line, lang: clock_time(line.get("landing_at"))),
    Column(Words("飛行時間", "Flight time"), lambda line, lang: hours(line.get("flight_time_s"))),
    Column(Words("総飛行時間", "Total flight time"), lambda line, lang: hours(line.get("total_flight_time_s"))),
    Column(Words("飛行の安全に影響のあった事項", "Matters affecting flight safety"), safety),
)
_OPERATION_HEADS = (
    Words("運行年月日", "Date"), Words("遠隔操作者の氏名", "Remote operator"), Words("資格等", "Licence no."),
    Words("目的", "Purpose"), Words("経路", "Route"), Words("通行場所", "Area"), Words("方法", "Method"),
    Words("出発場所", "From"),
    Words("到着場所", "To"), Words("出発時刻", "Start"), Words("到着時刻", "End"), Words("運行時間", "Time"),
    Words("総運行時間", "Total time"), Words("安全に影響のあった事項", "Matters affecting safety"),
)  # fmt: skip

FORMS: Mapping[str, tuple[Words, tuple[Column, ...]]] = {
    "flight": (Words("飛行記録", "Journey log of UAS"), (*_FLIGHT, _SIGNED, _ENTRY)),
    "operation": (
        Words("遠隔操作運行記録", "Record of remote operation"),
        (*(Column(head, c.show, c.narrow) for head, c in zip(_OPERATION_HEADS, _FLIGHT, strict=True)), _SIGNED, _ENTRY),
    ),
    "defect": (
        Words("不具合及びその対応", "Flight squawk and corrective action"),
        (
            Column(Words("発生年月日", "Squawk date"), _day("at"), narrow=True),
            Column(Words("不具合事項", "Flight squawk"), text_of("text")),
            Column(Words("飛行の可否", "Airworthy"), lambda line, lang: _airworthy(line).in_(lang)),
            Column(Words("処置年月日", "Action date"), _day("action_at")),
            Column(Words("処置その他", "Corrective action"), text_of("action")),
            Column(Words("確認者", "Confirmer"), text_of("confirmer")),
            _ENTRY,
        ),
    ),
    "inspection": (
        Words("日常点検記録", "Daily inspection record of UAS"),
        (
            Column(Words("実施年月日", "Date"), _day("at")),
            Column(Words("時刻", "Time"), lambda line, lang: clock_time(line.get("at"))),
            Column(Words("区分", "When"), lambda line, lang: PHASES[line.get("phase", "before")].in_(lang)),
            Column(Words("実施場所", "Place"), text_of("place")),
            Column(Words("実施者", "Inspector"), text_of("inspector")),
            Column(Words("点検結果", "Results"), _items),
            Column(Words("特記事項", "Notes"), text_of("notes")),
            _ENTRY,
        ),
    ),
    "maintenance": (
        Words("点検整備記録", "Inspection and maintenance record of UAS"),
        (
            Column(Words("実施年月日", "Date"), _day("at")),
            Column(Words("総飛行時間", "Total flight time"), lambda line, lang: hours(line.get("total_flight_time_s"))),
            Column(Words("機体認証後の総飛行時間", "Since certification"),
                   lambda line, lang: hours(line.get("since_certification_s"))),
            Column(Words("点検、修理、改造及び整備の内容", "Detail"), text_of("work")),
            Column(Words("交換部品", "Parts replaced"), text_of("parts")),
            Column(Words("実施理由", "Reason"), text_of("reason")),
            Column(Words("実施場所", "Place"), text_of("place")),
            Column(Words("実施者", "Engineer"), text_of("engineer")),
            Column(Words("結果", "Result"), text_of("result")),
            Column(Words("備考", "Remarks"), text_of("notes")),
            _ENTRY,
        ),
    ),
}  # fmt: skip

SECONDS = (
    Column(Words("飛行時間（秒）", "Flight time [s]"), _number("flight_time_s")),
    Column(Words("総飛行時間（秒）", "Total flight time [s]"), _number("total_flight_time_s")),
)
"""Beside the form's own columns in a file, for whoever sums up."""


def _airworthy(line: Mapping[str, Any]) -> Words:
    if line.get("action_at"):
        return Words("処置済み", "Put right")
    return Words("飛行不可", "Not airworthy") if line.get("unairworthy") else Words("飛行可", "Airworthy")
