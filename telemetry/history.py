"""What one vehicle did: its track at a resolution that can be drawn, and its events."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from telemetry.event import VehicleEvent
from telemetry.sample import Sample
from telemetry.sqlfile import statements
from telemetry.store import to_sample

_SQL = statements("telemetry.sql", "history.sql")


async def _select(connection: AsyncConnection[Any], name: str, **values: object) -> list[dict[str, Any]]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL[name], values)
        return await cursor.fetchall()


async def count(connection: AsyncConnection[Any], vehicle_id: str, start: datetime, end: datetime) -> int:
    """Return how many samples of a vehicle have ``start <= t < end``."""
    rows = await _select(connection, "count", vehicle_id=vehicle_id, start=start, end=end)
    return int(rows[0]["samples"])


async def track(
    connection: AsyncConnection[Any], vehicle_id: str, start: datetime, end: datetime, max_points: int
) -> list[Sample]:
    """Return where a vehicle was: at most ``max_points`` samples with ``start <= t < end``, in time order.

    Samples that say no position are left out. When there are more than ``max_points`` others, the range is
    cut into as many equal buckets and the last sample of each is returned: real samples, none in a gap.
    Raises ``ValueError`` for ``max_points`` below 1 or a range that ends before it starts.
    """
    if max_points < 1:
        raise ValueError(f"max_points must be at least 1, not {max_points}")
    if end < start:
        raise ValueError(f"the range ends ({end.isoformat()}) before it starts ({start.isoformat()})")
    span: dict[str, object] = {"vehicle_id": vehicle_id, "start": start, "end": end}
    found = await _select(connection, "positions_up_to", **span, limit=max_points + 1)
    if found[0]["samples"] <= max_points:
        rows = await _select(connection, "track_all", **span, limit=max_points)
    else:
        bounds = [start + (end - start) * i / max_points for i in range(max_points)] + [end]
        rows = await _select(connection, "track_buckets", vehicle_id=vehicle_id, lows=bounds[:-1], highs=bounds[1:])
    return [to_sample(row) for row in rows]


async def events(
    connection: AsyncConnection[Any], vehicle_id: str, start: datetime, end: datetime, *, limit: int = 200
) -> list[VehicleEvent]:
    """Return the newest ``limit`` events of a vehicle with ``start <= t < end``, newest first."""
    rows = await _select(connection, "events", vehicle_id=vehicle_id, start=start, end=end, limit=limit)
    return [VehicleEvent(**row) for row in rows]
