"""Pages to be printed: HTML without scripts, in one language, that a browser puts on A4 as it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from html import escape

from fleet.log_forms import Lang

_STYLE = """
@page { size: A4 %(orientation)s; margin: 10mm 9mm 12mm; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 12px; max-width: %(width)s; color: #1c2126; background: #fff; overflow-wrap: anywhere;
  font: 9.5pt/1.45 "Noto Sans JP", "Hiragino Sans", "Yu Gothic UI", Meiryo, "Noto Sans CJK JP", sans-serif; }
h1 { font-size: 15pt; margin: 0 0 2mm; } h2 { font-size: 11.5pt; margin: 5mm 0 1.5mm; }
p { margin: 0 0 2mm; } .small { font-size: 8pt; color: #4a5560; }
table { width: 100%%; border-collapse: collapse; font-size: 7.6pt; line-height: 1.35; }
th, td { border: 0.4pt solid #6b7680; padding: 0.8mm 1mm; vertical-align: top; text-align: left;
  overflow-wrap: anywhere; white-space: pre-line; }
th { background: #eef0f2; font-weight: 600; } thead { display: table-header-group; } tr { break-inside: avoid; }
td.k { white-space: pre; }
dl.head { display: grid; grid-template-columns: repeat(%(pairs)s, auto 1fr); gap: 0; border: 0.4pt solid #6b7680;
  margin: 0 0 3mm; font-size: 8.2pt; }
dl.head dt { background: #eef0f2; padding: 0.8mm 1.2mm; } dl.head dd { margin: 0; padding: 0.8mm 1.2mm; min-width: 18mm;
  overflow-wrap: anywhere; }
.warn { border-left: 1.2mm solid #b3261e; background: #fdf0ee; padding: 1.5mm 2.5mm; margin: 0 0 3mm; }
.note { border-left: 1.2mm solid #5c6b78; background: #f2f4f6; padding: 1.5mm 2.5mm; margin: 0 0 3mm; }
ul { margin: 0; padding-left: 5mm; } section { break-inside: auto; } section + section { break-before: %(between)s; }
.figure { display: flex; flex-wrap: wrap; gap: 4mm; break-inside: avoid; } svg { background: #fbfbf9;
  border: 0.4pt solid #6b7680; } pre { white-space: pre-wrap; font: inherit; margin: 0 0 3mm; }
h3 { font-size: 9pt; margin: 0 0 0.5mm; }
nav { margin: 0 0 3mm; font-size: 9pt; } @media print { nav { display: none; } body { padding: 0; max-width: none; } }
"""


def page(title: str, body: Iterable[str], *, lang: Lang, landscape: bool = True, section_pages: bool = False) -> str:
    """Return a whole page; ``body`` is HTML that has been escaped, ``section_pages`` a sheet for each section."""
    style = _STYLE % {
        "orientation": "landscape" if landscape else "portrait",
        "width": "285mm" if landscape else "200mm",
        "pairs": 4 if landscape else 3,
        "between": "page" if section_pages else "auto",
    }
    return (
        f'<!doctype html>\n<html lang="{lang}"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body>\n{''.join(body)}\n</body></html>\n"
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str, narrow: Collection[int] = ()) -> str:
    """Return a table; ``empty`` is said where there are no rows. Line breaks in cells stay, and are the only ones in
    columns whose numbers are ``narrow``."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    classes = ['<td class="k">' if i in narrow else "<td>" for i in range(len(heads))]
    lines = ["".join(f"{begin}{_cell(value)}</td>" for begin, value in zip(classes, row, strict=True)) for row in rows]
    lines = lines or [f'<td colspan="{len(heads)}">{escape(empty)}</td>']
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>"
        + "".join(f"<tr>{line}</tr>" for line in lines)
        + "</tbody></table>"
    )


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Return names with their values, in a box."""
    return '<dl class="head">' + "".join(f"<dt>{escape(k)}</dt><dd>{_cell(v)}</dd>" for k, v in pairs) + "</dl>"


def bullets(lines: Iterable[str]) -> str:
    """Return a list; its lines are text."""
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def other_language(path: str, lang: Lang) -> str:
    """Return the line on the screen (never on paper) that leads to the same page in the other language.

    ``path`` may carry a query without ``lang``.
    """
    other, name = ("en", "English") if lang == "ja" else ("ja", "日本語")
    address = f"{path}{'&' if '?' in path else '?'}lang={other}"
    return f'<nav><a href="{escape(address, quote=True)}">{name}</a></nav>'


def _cell(value: object) -> str:
    return "" if value is None else escape(str(value))
