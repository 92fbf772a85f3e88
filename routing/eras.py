"""The times between which the airspace stays as it is: zones that apply by schedule, and the hours of permits."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone

from routing.daylight import sunlight
from routing.problem import Permit

Span = tuple[datetime, datetime]


def eras_of(spans: Iterable[Span], permits: Iterable[Permit]) -> tuple[Span, ...]:
    """Split times in which the same zones apply where permits begin or cease to hold as well."""
    found: list[Span] = []
    permits = tuple(permits)
    for begin, end in spans:
        inner = sorted(
            {moment for permit in permits for moment in _changes(permit, begin, end) if begin < moment < end}
        )
        found += itertools.pairwise([begin, *inner, end])
    return tuple(found)


def _changes(permit: Permit, begin: datetime, end: datetime) -> Iterator[datetime]:
    """Moments at which a permit may begin or cease to hold."""
    yield from (moment for moment in (permit.begins, permit.ends) if moment is not None)
    lat, lon = (sum(part) / len(permit.ring) for part in zip(*permit.ring, strict=True))
    zone = timezone(timedelta(minutes=permit.utc_offset_minutes))
    midnight = begin.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    for day in range(-1, (end - begin).days + 2):
        today = midnight + timedelta(days=day)
        if (permit.from_minute, permit.to_minute) != (0, 1_440):
            yield from (today + timedelta(minutes=minute) for minute in (permit.from_minute, permit.to_minute))
        if permit.daylight:
            yield from sunlight(today.date(), lat, lon) or ()
