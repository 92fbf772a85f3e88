"""Samples as CSV, however many: read and written in pieces, so that no reader holds memory or a connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import fields
from datetime import datetime, timedelta

import orjson

from fleet.csv_text import BOM, lines
from fleet.db.database import Connection, Database
from telemetry import history
from telemetry.sample import Sample
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "flight_log.sql")

PIECE = timedelta(seconds=60)
"""Samples read at once: 600 of a vehicle at ten a second."""
COLUMNS = tuple(field.name for field in fields(Sample))


async def as_csv(database: Database, vehicle_id: str, start: datetime, end: datetime) -> AsyncIterator[str]:
    """Yield a vehicle's samples with ``start <= t < end`` as CSV with a heading, in time order.

    Columns are those of ``telemetry.sample.Sample`` in its units. A connection is held for each piece alone: a slow
    reader keeps nothing waiting. Silences are skipped.
    """
    yield BOM + lines([COLUMNS])
    while True:
        async with database.transaction() as conn:
            low = await _next(conn, vehicle_id, start, end)
            if low is None:
                return
            start = min(low + PIECE, end)
            samples = [sample async for sample in history.samples(conn, vehicle_id, low, start)]
        yield lines(_row(sample) for sample in samples)


async def _next(conn: Connection, vehicle_id: str, start: datetime, end: datetime) -> datetime | None:
    values = {"vehicle_id": vehicle_id, "start": start, "end": end}
    row = await (await conn.execute(_SQL["has_sample"], values)).fetchone()
    return row["t"] if row else None


def _row(sample: Sample) -> list[object]:
    values: list[object] = [getattr(sample, name) for name in COLUMNS]
    values[COLUMNS.index("t")] = sample.t.isoformat()
    values[COLUMNS.index("extra")] = orjson.dumps(dict(sample.extra)).decode() if sample.extra else ""
    return [str(value).lower() if isinstance(value, bool) else value for value in values]
