"""What vehicles did, as it is stored: samples one by one, states as they followed one another, events and gaps.

Tracks are in ``telemetry.track``, charts in ``telemetry.series``, areas in ``telemetry.area``.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from telemetry.event import VehicleEvent
from telemetry.sample import Sample
from telemetry.sqlfile import statements
from telemetry.store import to_sample

PAGE = 2_000
"""Samples that are in memory at once when a flight is read."""
LOOKS_AT_ONCE = 2_000
"""Vehicles times steps looked up by one statement of a replay, and so the most samples in one of its lists."""

_SQL = statements("telemetry.sql", "history.sql")


@dataclass(frozen=True, slots=True)
class Gap:
    """Time of which the store does not know what a vehicle said. ``samples``: how many are missing, if known."""

    vehicle_id: str
    began_at: datetime
    ended_at: datetime
    cause: str
    samples: int | None


async def _select(connection: AsyncConnection[Any], name: str, **values: object) -> list[dict[str, Any]]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL[name], values)
        return await cursor.fetchall()


async def count(connection: AsyncConnection[Any], vehicle_id: str, start: datetime, end: datetime) -> int:
    """Return how many samples of a vehicle have ``start <= t < end``."""
    rows = await _select(connection, "count", vehicle_id=vehicle_id, start=start, end=end)
    return int(rows[0]["samples"])


async def samples(
    connection: AsyncConnection[Any], vehicle_id: str, start: datetime, end: datetime
) -> AsyncGenerator[Sample, None]:
    """Yield every sample of a vehicle with ``start <= t < end`` in time order, with a bounded number in memory.

    The connection is in a transaction meanwhile and can be used for nothing else that commits. Read to the end, or
    close the iterator (``contextlib.aclosing``).
    """
    async with connection.transaction(), connection.cursor("todoke_samples", row_factory=dict_row) as cursor:
        cursor.itersize = PAGE
        await cursor.execute(_SQL["samples"], {"vehicle_id": vehicle_id, "start": start, "end": end})
        async for row in cursor:
            yield to_sample(row)


async def replay_rows(
    connection: AsyncConnection[Any],
    vehicle_ids: Sequence[str] | None,
    start: datetime,
    end: datetime,
    *,
    every_s: float,
) -> AsyncGenerator[list[Sample], None]:
    """Yield what vehicles (all when ``None``) said with ``start <= t < end``, in time order, as lists that follow.

    Time is cut into steps of ``every_s`` from ``start`` on, and of each vehicle the newest sample of each step is
    there: a replay that shows a picture every 0.2 s at 10 times the speed asks for 2 s. A list covers whole steps, is
    never empty and has at most ``LOOKS_AT_ONCE`` samples, or one of each vehicle if those are more. Nothing is held
    open between two lists. Raises ``ValueError`` for ``every_s`` below a millisecond or a range that ends before it
    starts.
    """
    check_range(start, end)
    if not every_s >= 0.001 or math.isinf(every_s):
        raise ValueError(f"every_s: must be at least 0.001 s, not {every_s}")
    wanted = list(vehicle_ids) if vehicle_ids is not None else await heard_since(connection, start)
    if not wanted:
        return
    step = timedelta(seconds=every_s)
    at_once = max(1, LOOKS_AT_ONCE // len(wanted))
    for first in range(0, math.ceil((end - start) / step), at_once):
        edges = [min(start + (first + i) * step, end) for i in range(at_once + 1)]
        if found := await _newest_of_steps(connection, wanted, edges):
            yield found


async def state_at(
    connection: AsyncConnection[Any], vehicle_ids: Sequence[str] | None, at: datetime, *, within_s: float = 60.0
) -> list[Sample]:
    """Return the newest sample of each vehicle (of all when ``None``) before ``at``, at most ``within_s`` old.

    With it a replay begins, so that vehicles that say little are there from the first picture on.
    """
    since = at - timedelta(seconds=within_s)
    wanted = list(vehicle_ids) if vehicle_ids is not None else await heard_since(connection, since)
    return await _newest_of_steps(connection, wanted, [since, at])


async def _newest_of_steps(
    connection: AsyncConnection[Any], vehicle_ids: list[str], edges: Sequence[datetime]
) -> list[Sample]:
    span = {"start": edges[0], "end": edges[-1], "lows": list(edges[:-1]), "highs": list(edges[1:])}
    return [to_sample(row) for row in await _select(connection, "newest_of_steps", vehicle_ids=vehicle_ids, **span)]


async def heard_since(connection: AsyncConnection[Any], start: datetime) -> list[str]:
    """Return the vehicles that may have samples from ``start`` on: those of which anything was heard since."""
    return [row["vehicle_id"] for row in await _select(connection, "heard_since", start=start)]


async def events(
    connection: AsyncConnection[Any], vehicle_id: str, start: datetime, end: datetime, *, limit: int = 200
) -> list[VehicleEvent]:
    """Return the newest ``limit`` events of a vehicle with ``start <= t < end``, newest first."""
    rows = await _select(connection, "events", vehicle_id=vehicle_id, start=start, end=end, limit=limit)
    return [VehicleEvent(**row) for row in rows]


async def gaps(
    connection: AsyncConnection[Any], vehicle_id: str, start: datetime, end: datetime, *, limit: int = 200
) -> list[Gap]:
    """Return the newest ``limit`` gaps of a vehicle that touch ``start <= t < end``, newest first."""
    rows = await _select(connection, "gaps", vehicle_id=vehicle_id, start=start, end=end, limit=limit)
    return [Gap(**row) for row in rows]


def check_range(start: datetime, end: datetime) -> None:
    """Raise ``ValueError`` for a range that ends before it starts."""
    if end < start:
        raise ValueError(f"the range ends ({end.isoformat()}) before it starts ({start.isoformat()})")
