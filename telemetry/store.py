"""The store of samples: how a batch gets in once, and the newest of each vehicle.

``latest_sample`` holds one row a vehicle, replaced by each batch. The alternative, a descent of the index
per vehicle, has to look into every partition for a vehicle that has been silent: with 90 days of
partitions and 100 vehicles that is 9,000 descents for each look at the map, against 100 rows here. The
price is one update a vehicle and batch, and a row only changes when the sample is newer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.errors import CheckViolation
from psycopg.rows import dict_row

from telemetry.batch import Batch, copy_data
from telemetry.sample import Sample
from telemetry.sqlfile import statements

DAYS_BEHIND, DAYS_AHEAD = 1, 7
"""Partitions are kept ready for this many days around the present."""

_SQL = statements("telemetry.sql", "store.sql")


def to_sample(row: Mapping[str, Any]) -> Sample:
    """Return the sample of a row read from the store."""
    return Sample(**{**row, "extra": row["extra"] or {}})


async def write_batch(connection: AsyncConnection[Any], batch: Batch, *, writer: str) -> bool:
    """Store a batch in one transaction; ``False`` when it had been stored before and nothing was done."""
    try:
        return await _write_once(connection, batch, writer)
    except CheckViolation:
        # The partition of its day was made while the batch was on its way into the default partition.
        return await _write_once(connection, batch, writer)


async def _write_once(connection: AsyncConnection[Any], batch: Batch, writer: str) -> bool:
    async with connection.transaction():
        claimed = await connection.execute(
            _SQL["claim_batch"], {"batch_id": batch.batch_id, "writer": writer, "samples": len(batch.rows)}
        )
        if await claimed.fetchone() is None:
            return False
        await connection.execute(_SQL["make_newest"])
        async with connection.cursor() as cursor:
            for into, rows in (("copy_samples", batch.rows), ("copy_newest", batch.newest())):
                async with cursor.copy(_SQL[into]) as copy:
                    await copy.write(copy_data(rows))
            await cursor.execute(_SQL["upsert_latest"])
    return True


async def ensure_partitions(connection: AsyncConnection[Any], around: datetime) -> int:
    """Make the partitions of the days around a domain time that are missing; return how many that were.

    To be called when the day changes, ahead of the samples. Samples of other days are not lost: they go to
    the default partition, and move when the partition of their day is made. Where samples are a hypertable
    there is nothing to do, and nothing is done.
    """
    day = around.astimezone(UTC).date()
    span = {"first": day - timedelta(days=DAYS_BEHIND), "last": day + timedelta(days=DAYS_AHEAD)}
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["ensure_partitions"], span)
        row = await cursor.fetchone()
    return int(row["made"]) if row else 0


async def latest(connection: AsyncConnection[Any], vehicle_ids: Sequence[str] | None = None) -> list[Sample]:
    """Return the newest sample of each vehicle (of all when ``None``), sorted by vehicle.

    A vehicle that was never heard of is not in the list. A sample that arrives late changes nothing.
    """
    wanted = None if vehicle_ids is None else list(vehicle_ids)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["latest"], {"vehicle_ids": wanted})
        return [to_sample(row) for row in await cursor.fetchall()]


async def add_event(
    connection: AsyncConnection[Any], vehicle_id: str, t: datetime, *, severity: int, text: str
) -> None:
    """Keep what a vehicle said in words; ``severity`` after RFC 5424, 0 (emergency) to 7 (debug)."""
    await connection.execute(_SQL["add_event"], {"vehicle_id": vehicle_id, "t": t, "severity": severity, "text": text})


async def forget_batches(connection: AsyncConnection[Any], age: timedelta) -> int:
    """Forget the identities of batches written longer than ``age`` ago (wall time); return how many.

    ``age`` must be longer than a spool may wait for a machine that is away.
    """
    cursor = await connection.execute(_SQL["forget_batches"], {"age": age})
    return cursor.rowcount
