"""Orders from a CSV file as a spreadsheet writes it, in Japan too: taken whole or not at all."""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from routing.errors import BadInput
from routing.region.model import Region

MAX_BYTES = 4 * 1024 * 1024
"""Larger files are refused unread."""

MAX_ROWS = 10_000
"""Files with more orders are refused whole."""

MAX_PROBLEMS = 100
"""Reading stops after this many problems; the error says so."""

JAPAN = ZoneInfo("Asia/Tokyo")

COLUMNS: Mapping[str, str] = {
    "ref": "受付番号",
    "pickup": "集荷",
    "dropoff": "届け先",
    "recipient": "受取人",
    "goods": "品物",
    "mass_kg": "重さkg",
    "volume_l": "容積L",
    "earliest": "から",
    "latest": "まで",
    "priority": "優先度",
}
"""The columns and their Japanese names; either may be used. ``goods`` and ``priority`` may be left out."""

_OPTIONAL = {"goods", "priority"}
_LONGEST = {"ref": 64, "recipient": 100, "goods": 200}
_MOST_MASS_KG = 1_000.0
_MOST_VOLUME_L = 10_000.0
_CLOCK_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
# As a spreadsheet writes it, or ISO 8601 without its zone.
_DATE_AND_TIME = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})[ T](\d{1,2}):(\d{2})(?::(\d{2}))?")


@dataclass(frozen=True, slots=True)
class OrderRow:
    """One order of a file. Sites are ids of the region; times are UTC; ``line`` is the line in the file."""

    ref: str
    pickup: str
    dropoff: str
    recipient: str
    goods: str
    mass_kg: float
    volume_l: float
    earliest: datetime
    latest: datetime
    priority: int
    line: int

    @property
    def asked(self) -> dict[str, Any]:
        """What is asked for, by the names that orders have for it everywhere else."""
        return {
            "pickup_site": self.pickup,
            "dropoff_site": self.dropoff,
            "mass_kg": self.mass_kg,
            "volume_l": self.volume_l,
            "earliest": self.earliest,
            "latest": self.latest,
            "priority": self.priority,
        }


@dataclass(frozen=True, slots=True)
class RowProblem:
    """What is wrong in a file: the line (1 is the header; 0 the file as a whole), the column, the reason."""

    line: int
    column: str
    reason: str

    def __str__(self) -> str:
        place = f"line {self.line}" if self.line else "file"
        return f"{place}, {self.column}: {self.reason}" if self.column else f"{place}: {self.reason}"


class BadRows(BadInput):
    """A file of orders is not taken; ``problems`` holds everything that is wrong with it, to a bound."""

    def __init__(self, problems: list[RowProblem]) -> None:
        self.problems = tuple(problems)
        more = "; and more" if len(problems) >= MAX_PROBLEMS else ""
        super().__init__("; ".join(str(problem) for problem in problems) + more)


def read_orders(
    source: str | bytes | Path,
    region: Region,
    *,
    day: date | None = None,
    now: datetime | None = None,
    tz: tzinfo = JAPAN,
) -> list[OrderRow]:
    """Read all orders of a file (bytes or ``Path``: UTF-8 with or without BOM, or cp932) or text.

    ``earliest`` and ``latest`` are ISO 8601, or ``HH:MM`` on ``day`` (or the day that ``now`` falls on) in
    ``tz``. Sites may be given by id or by name. Full-width digits and signs are understood. Raises ``BadRows``
    with every line, column and reason; nothing is returned then.
    """
    if day is None and now is not None:
        day = now.astimezone(tz).date()
    lines = _lines(_text(source))
    header = _header(lines)
    reader = _RowReader(region, day, tz)
    rows: list[OrderRow] = []
    for line, cells in lines:
        if len(reader.problems) >= MAX_PROBLEMS:
            break
        if len(rows) >= MAX_ROWS:
            raise BadRows([RowProblem(line, "", f"more than {MAX_ROWS} orders in one file")])
        if any(cell.strip() for cell in cells):
            row = reader.row(line, header, cells)
            if row is not None:
                rows.append(row)
    if reader.problems:
        raise BadRows(reader.problems[:MAX_PROBLEMS])
    if not rows:
        raise BadRows([RowProblem(0, "", "there are no orders in it")])
    return rows


def _text(source: str | bytes | Path) -> str:
    if isinstance(source, Path):
        source = _content(source)
    if len(source) > MAX_BYTES:
        raise BadRows([RowProblem(0, "", f"larger than {MAX_BYTES // 2**20} MiB")])
    text = source if isinstance(source, str) else _decoded(source)
    if "\0" in text:
        raise BadRows([RowProblem(0, "", "not a text file; save it as 'CSV UTF-8'")])
    return text.removeprefix("\ufeff")


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadRows([RowProblem(0, "", f"{path} cannot be read: {error.strerror}")]) from error


def _decoded(content: bytes) -> str:
    for encoding in ("utf-8", "cp932"):
        with suppress(UnicodeDecodeError):
            return content.decode(encoding)
    raise BadRows([RowProblem(0, "", "neither UTF-8 nor Shift_JIS (cp932); save it as 'CSV UTF-8'")])


_Lines = Any  # an iterator of (line number, cells); csv has no type for its own


def _lines(text: str) -> _Lines:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadRows([RowProblem(line, "", f"not CSV: {error}")]) from error
        yield line, cells


def _header(lines: _Lines) -> list[str]:
    """Names of the columns as in ``COLUMNS``."""
    line, cells = next(lines, (0, []))
    names = {_plain(japanese).lower(): name for name, japanese in COLUMNS.items()} | {n: n for n in COLUMNS}
    problems = []
    header = []
    for cell in cells:
        name = names.get(_plain(cell).lower(), "")
        if not name and cell.strip():
            problems.append(RowProblem(line, cell.strip()[:40], "this column is not known"))
        if name and name in header:
            problems.append(RowProblem(line, name, "this column is there twice"))
        header.append(name)
    problems += [
        RowProblem(line, name, f"this column ({japanese}) is missing")
        for name, japanese in COLUMNS.items()
        if name not in header and name not in _OPTIONAL
    ]
    if problems:
        raise BadRows(problems[:MAX_PROBLEMS])
    return header


def _plain(text: str) -> str:
    """Text without surrounding space, full-width letters, digits and signs made half-width."""
    return unicodedata.normalize("NFKC", text).strip()


class _RowReader:
    """Reads rows and collects what is wrong with them."""

    def __init__(self, region: Region, day: date | None, tz: tzinfo) -> None:
        self.problems: list[RowProblem] = []
        self._day = day
        self._tz = tz
        self._region = region
        self._refs: dict[str, int] = {}
        self._site_ids = {site.site_id for site in region.sites}
        self._named: dict[str, list[str]] = {}
        for site in region.sites:
            for name in {_plain(site.name_ja), _plain(site.name_en)}:
                self._named.setdefault(name, []).append(site.site_id)

    def row(self, line: int, header: list[str], cells: list[str]) -> OrderRow | None:
        """Return the order of a row, or ``None`` when something is wrong with it."""
        before = len(self.problems)
        if len(cells) > len(header) and any(cell.strip() for cell in cells[len(header) :]):
            self._wrong(line, "", f"{len(cells)} cells in a row of {len(header)} columns")
        values = dict(zip(header, cells, strict=False))
        ref = self._take(line, values, "ref", self._ref)
        pickup = self._take(line, values, "pickup", self._site)
        dropoff = self._take(line, values, "dropoff", self._site)
        recipient = self._take(line, values, "recipient", lambda text: _short(text, "recipient"))
        goods = _short_or_empty(values.get("goods", ""))
        mass = self._take(line, values, "mass_kg", lambda text: _amount(text, _MOST_MASS_KG))
        volume = self._take(line, values, "volume_l", lambda text: _amount(text, _MOST_VOLUME_L))
        earliest = self._take(line, values, "earliest", self._moment)
        latest = self._take(line, values, "latest", self._moment)
        priority = _priority(values.get("priority", ""))
        if goods is None:
            self._wrong(line, "goods", f"longer than {_LONGEST['goods']} characters")
        if priority is None:
            self._wrong(line, "priority", "must be a whole number from 0 to 9")
        if earliest and latest and latest <= earliest:
            self._wrong(line, "latest", "must be later than earliest")
        if pickup and pickup == dropoff:
            self._wrong(line, "dropoff", "is the same site as pickup")
        if ref and (first := self._refs.setdefault(ref, line)) != line:
            self._wrong(line, "ref", f"is already used in line {first}")
        if len(self.problems) > before:
            return None
        return OrderRow(
            ref, pickup, dropoff, recipient, goods or "", mass, volume, earliest, latest, priority or 0, line
        )

    def _wrong(self, line: int, column: str, reason: str) -> None:
        self.problems.append(RowProblem(line, column, reason))

    def _take(self, line: int, values: Mapping[str, str], column: str, read: Callable[[str], Any]) -> Any:
        text = values.get(column, "").strip()
        if not text:
            self._wrong(line, column, "is empty")
            return None
        try:
            return read(text)
        except ValueError as error:
            self._wrong(line, column, str(error))
            return None

    def _ref(self, text: str) -> str:
        return _short(text, "ref")

    def _site(self, text: str) -> str:
        if _plain(text) in self._site_ids:
            return _plain(text)
        found = self._named.get(_plain(text), [])
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"{text[:40]!r} is the name of several sites; use one of {', '.join(found)}")
        known = ", ".join(site.site_id for site in self._region.sites[:20])
        raise ValueError(f"site {text[:40]!r} is not in region {self._region.region_id}; known sites: {known}")

    def _moment(self, text: str) -> datetime:
        plain = _plain(text)
        clock, full = _CLOCK_TIME.fullmatch(plain), _DATE_AND_TIME.fullmatch(plain)
        if clock and self._day is None:
            raise ValueError("needs a date too, as in 2026-04-01 09:00")
        try:
            if clock and self._day is not None:
                hour, minute, second = (int(part or 0) for part in clock.groups())
                return datetime.combine(self._day, time(hour, minute, second), self._tz).astimezone(UTC)
            if full:
                year, month, date_of_month, hour, minute, second = (int(part or 0) for part in full.groups())
                local = datetime(year, month, date_of_month, hour, minute, second, tzinfo=self._tz)
                return local.astimezone(UTC)
            moment = datetime.fromisoformat(plain)
            if moment.utcoffset() is not None:
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        raise ValueError(f"{text[:40]!r} is no time; write 09:00, 2026-04-01 09:00 or 2026-04-01T09:00+09:00")


def _short(text: str, column: str) -> str:
    if len(text) > _LONGEST[column]:
        raise ValueError(f"longer than {_LONGEST[column]} characters")
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("has a line break or control character in it")
    return text


def _short_or_empty(text: str) -> str | None:
    try:
        return _short(text.strip(), "goods")
    except ValueError:
        return None


def _amount(text: str, most: float) -> float:
    try:
        amount = float(_plain(text))
    except ValueError:
        amount = math.nan
    # Python reads "1_0" as 10; in a spreadsheet it is a slip.
    if not (math.isfinite(amount) and 0 < amount <= most) or "_" in text:
        raise ValueError(f"{text[:40]!r} must be a number above 0 and at most {most:g}")
    return amount


def _priority(text: str) -> int | None:
    plain = _plain(text)
    if not plain:
        return 0
    return int(plain) if re.fullmatch("[0-9]", plain) else None
