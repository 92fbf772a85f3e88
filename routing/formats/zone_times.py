"""When a zone applies: ED-269's and ED-318's periods, days and hours as ``Period``, and back.

What cannot be read is taken as always, which keeps vehicles out for too long rather than too short.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from routing.region.model import Period
from routing.region.notes import ImportNotes

DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_DAY = 1_440
_EVENTS = "sunrise or sunset"


def read_periods(given: object, where: str, notes: ImportNotes) -> tuple[Period, ...]:
    """Periods of ``applicability`` (ED-269) or ``limitedApplicability`` (ED-318); empty: always."""
    if given in (None, [], {}, ""):
        return ()
    parts = given if isinstance(given, list) else [given]
    periods: list[Period] = []
    for part in parts:
        if not isinstance(part, Mapping):
            notes.warn(f"{where}: a time that cannot be read is taken as always")
            return ()
        begins, ends = _dates(part, where, notes)
        found = _hours(part, begins, ends, where, notes)
        if found == (Period(),):
            return ()
        periods += found
    return tuple(dict.fromkeys(periods))


def _dates(part: Mapping[str, Any], where: str, notes: ImportNotes) -> tuple[datetime | None, datetime | None]:
    if str(part.get("permanent", "")).upper() in ("YES", "TRUE"):
        return None, None
    begins, ends = (_date(part.get(key), f"{where}: {key}", notes) for key in ("startDateTime", "endDateTime"))
    if begins and ends and ends < begins:
        notes.warn(f"{where}: it ends before it begins; it is taken as always")
        return None, None
    return begins, ends


def _date(value: object, where: str, notes: ImportNotes) -> datetime | None:
    if value in (None, ""):
        return None
    read = moment(value)
    if read is None:
        notes.warn(f"{where}: {str(value)[:40]!r} is not a time; it is taken as open")
    return read


def moment(value: object) -> datetime | None:
    """A date and time in UTC (which is assumed where no offset is given), or ``None``."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value.strip())
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _hours(
    part: Mapping[str, Any], begins: datetime | None, ends: datetime | None, where: str, notes: ImportNotes
) -> tuple[Period, ...]:
    """The periods of one part: Swiss and other ED-269 files call its days and hours ``dailyPeriod``."""
    schedule = part.get("schedule") or part.get("dailyPeriod")
    whole = (Period(begins, ends),)
    if schedule in (None, [], {}):
        return whole
    found: list[Period] = []
    for entry in schedule if isinstance(schedule, list) else [schedule]:
        if not isinstance(entry, Mapping):
            notes.warn(f"{where}: hours that cannot be read are taken as all day")
            return whole
        days = _weekdays(entry.get("day"), where, notes)
        start, from_offset = _clock(entry, "start", 0, where, notes)
        end, _ = _clock(entry, "end", _DAY, where, notes)
        found += (Period(begins, ends, *hours) for hours in _in_utc(days, start, end, from_offset))
    return whole if any(period == whole[0] for period in found) else tuple(found)


def _weekdays(value: object, where: str, notes: ImportNotes) -> tuple[int, ...]:
    names = [str(name).strip().upper()[:3] for name in (value if isinstance(value, list) else [value] if value else [])]
    unknown = [name for name in names if name not in (*DAYS, "ANY")]
    if unknown:
        notes.warn(f"{where}: day {unknown[0]!r} is not known; it is taken as any")
    if unknown or "ANY" in names or len(set(names)) == len(DAYS):
        return ()
    return tuple(sorted({DAYS.index(name) for name in names}))


def _clock(entry: Mapping[str, Any], side: str, default: int, where: str, notes: ImportNotes) -> tuple[int, int]:
    """Minute of the local day, and how many minutes that is ahead of UTC. Widened to whole minutes."""
    if entry.get(f"{side}Event"):
        notes.warn(f"{where}: hours from or until {_EVENTS} are taken as all day")
        return default, 0
    value = entry.get(f"{side}Time")
    if value in (None, ""):
        return default, 0
    # A date before the time is another quirk of published files.
    text = str(value).strip().rpartition("T")[2]
    read = re.fullmatch(r"(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?\s*(Z|[+-]\d{2}:?\d{2})?", text, re.IGNORECASE)
    if not read or int(read[1]) > 24 or int(read[2]) > 59 or float(read[3] or 0) >= 61:
        notes.warn(f"{where}: {side}Time {str(value)[:40]!r} is not a time of day; all day is taken")
        return default, 0
    seconds = int(read[1]) * 3_600 + int(read[2]) * 60 + float(read[3] or 0)
    minute = math.floor(seconds / 60) if side == "start" else math.ceil(seconds / 60)
    zone = read[4] or "Z"
    sign = -1 if zone[0] == "-" else 1
    ahead = 0 if zone in "Zz" else sign * (int(zone[1:3]) * 60 + int(zone[-2:]))
    return min(minute, _DAY), ahead


def _in_utc(days: tuple[int, ...], start: int, end: int, ahead: int) -> Iterable[tuple[tuple[int, ...], int, int]]:
    """Weekdays, first and last minute in UTC of hours that are ``ahead`` of it; equal hours are a whole day."""
    start %= _DAY
    length = (end - start) % _DAY or _DAY
    if length == _DAY and not days:
        return [((), 0, _DAY)]
    begin = start - ahead
    shifted = tuple(sorted((day + begin // _DAY) % 7 for day in days))
    first = begin % _DAY
    if length < _DAY or first == 0:
        return [(shifted, first, (first + length - 1) % _DAY + 1)]
    # A whole day of another time zone is the end of one day and the beginning of the next.
    return [(shifted, first, _DAY), (tuple(sorted((day + 1) % 7 for day in shifted)), 0, first)]


def write_periods(periods: Sequence[Period]) -> list[dict[str, Any]]:
    """``limitedApplicability`` of ED-318, 4.4: one time period each."""
    return [_written(period) for period in periods]


def _written(period: Period) -> dict[str, Any]:
    written: dict[str, Any] = {}
    for key, at in (("startDateTime", period.begins), ("endDateTime", period.ends)):
        if at is not None:
            written[key] = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if period.weekdays or (period.from_minute, period.to_minute) != (0, _DAY):
        days = [DAYS[day] for day in period.weekdays] or ["ANY"]
        times = {"startTime": _time(period.from_minute), "endTime": _time(period.to_minute)}
        written["schedule"] = [{"day": days, **times}]
    return written


def _time(minute: int) -> str:
    """A time of day; there is none at the end of the day but its last second."""
    return "23:59:59Z" if minute >= _DAY else f"{minute // 60:02}:{minute % 60:02}:00Z"
