"""CSV that spreadsheets open as it is meant: text stays text, and Japanese is legible."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

BOM = "\ufeff"
"""Without it Excel in Japan takes UTF-8 for Shift_JIS."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def cell(value: object) -> object:
    """Return a value as it may stand in a cell.

    Text that a spreadsheet would carry out as a formula gets an apostrophe before it (OWASP, CSV Injection), also
    behind leading space or in full-width form; numbers stay numbers.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    text = value.replace("\0", "")
    first = text.lstrip(" \u3000\u00a0")[:1]
    if text.startswith(_FORMULA) or first in _FORMULA or first in ("＝", "＋", "－", "＠"):
        return "'" + text
    return text


def lines(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV (RFC 4180: CRLF, quotes where needed)."""
    out = io.StringIO()
    csv.writer(out).writerows([cell(value) for value in row] for row in rows)
    return out.getvalue()
