"""The flight log as pages to be printed: a sheet for each of its forms."""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import Any

from fleet import printed
from fleet.log_forms import FORMS, NOTHING, PARTICULARS, Lang, Words, day

_TITLES = {
    "drone": Words("無人航空機の飛行日誌", "Flight log of UAS"),
    "robot": Words("遠隔操作ロボットの運行日誌", "Log of a remotely operated robot"),
}
_UNSIGNED = Words("未署名", "not signed")
_SOURCE = Words(
    "航空法第132条の89、航空法施行規則第236条の84、無人航空機の飛行日誌の取扱要領による。時刻は日本標準時。",
    "After the Civil Aeronautics Act, article 132-89, its Ordinance, article 236-84. Times are Japan Standard Time.",
)
_OWN = Words("運航者の自主的な記録。時刻は日本標準時。", "The operator's own record. Times are Japan Standard Time.")
_MADE = Words("作成", "Made")
_SIMULATED = Words(
    "模擬機体です（実際の飛行ではありません）。", "A simulated vehicle: nothing here has really been flown."
)


def render(log: dict[str, Any], *, lang: Lang, made_at: datetime, path: str) -> str:
    """Return the log (``log_view.read``) as HTML in one language; ``path`` is its own address."""
    vehicle = log["vehicle"]
    title = f"{_TITLES[vehicle['kind']].in_(lang)}: {vehicle['vehicle_id']}"
    body = [printed.other_language(path, lang), f"<h1>{escape(title)}</h1>"]
    source = _SOURCE if vehicle["kind"] == "drone" else _OWN
    body.append(f'<p class="small">{escape(source.in_(lang))} {_MADE.in_(lang)}: {day(made_at)}</p>')
    if vehicle["simulated"]:
        body.append(f'<p class="note">{escape(_SIMULATED.in_(lang))}</p>')
    if log["warnings"]:
        body.append(f'<div class="warn">{printed.bullets(warning[lang] for warning in log["warnings"])}</div>')
    body += [_part(log, kind, lang) for kind in log["parts"]]
    return printed.page(title, body, lang=lang, section_pages=True)


def _part(log: dict[str, Any], kind: str, lang: Lang) -> str:
    name, columns = FORMS[kind]
    lines = [line for line in log["parts"][kind] if not line["void"]]
    rows = [
        [
            _UNSIGNED.in_(lang) if column.head.en == "Signed by" and not line["signed_by"] else column.show(line, lang)
            for column in columns
        ]
        for line in lines
    ]
    heading = f"<h2>{escape(name.in_(lang))}</h2>"
    head = printed.facts([(words.in_(lang), log["particulars"][key]) for key, words in PARTICULARS.items()])
    heads = [column.head.in_(lang) for column in columns]
    narrow = {i for i, column in enumerate(columns) if column.narrow}
    table = printed.table(heads, rows, empty=NOTHING.in_(lang), narrow=narrow)
    return f"<section>{heading}{head}{table}</section>"
