"""The store of samples: how a batch gets in once, and the newest of each vehicle.

``latest_sample`` holds one row a vehicle, replaced by each batch. The alternative, a descent of the index
per vehicle, has to look into every partition for a vehicle that has been silent: with 90 days of
partitions and 100 vehicles that is 9,000 descents for each look at the map, against 100 rows here. The
price is one update a vehicle and batch, and a row only changes when the sample is newer. A writer with much
to write pays it for several batches at once, see ``telemetry.sender``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import psycopg
from psycopg import AsyncConnection, generators, sql
from psycopg.errors import CheckViolation, error_from_result
from psycopg.pq import ExecStatus
from psycopg.rows import dict_row

from telemetry.batch import Batch, copy_data
from telemetry.gaps import Gap
from telemetry.row import Row
from telemetry.sample import Sample
from telemetry.sqlfile import statements

_PIECE_BYTES = 128 * 1024
_MOST_UNSENT_BYTES = 4 * 1024 * 1024
"""Copied to libpq and the system in about two milliseconds; a full batch of a MAVLink vehicle's samples has 2.5 MB."""
DAYS_BEHIND, DAYS_AHEAD = 1, 7
"""Partitions are kept ready for this many days around the present."""

_SQL = statements("telemetry.sql", "store.sql")


def to_sample(row: Mapping[str, Any]) -> Sample:
    """Return the sample of a row read from the store."""
    return Sample(**{**row, "extra": row["extra"] or {}})


async def write_batch(
    connection: AsyncConnection[Any],
    batch: Batch,
    *,
    writer: str,
    newest: Callable[[], Sequence[Row]] | None = None,
    server_works: asyncio.Event | None = None,
) -> bool:
    """Store a batch in one transaction; ``False`` when it had been stored before and nothing was done.

    ``newest`` is asked, while the server is at work on the samples, for the rows that ``latest_sample`` is to hear
    of; those of the batch when not given. A writer that has much to write leaves it out of some batches and makes up
    for it in the next. ``server_works`` is set for as long.
    """
    newest, server_works = newest or batch.newest, server_works or asyncio.Event()
    try:
        return await _write_once(connection, batch, writer, newest, server_works)
    except CheckViolation as error:
        if error.diag.constraint_name is not None:
            raise
        # No constraint by name: the partition of its day was made while it was on its way into the default one.
        return await _write_once(connection, batch, writer, newest, server_works)


async def _write_once(
    connection: AsyncConnection[Any],
    batch: Batch,
    writer: str,
    newest: Callable[[], Sequence[Row]],
    server_works: asyncio.Event,
) -> bool:
    try:
        is_new = await _begin(connection, batch, writer)
        await _hand_over(connection, [row[3] for row in batch.rows] if is_new else ())
        server_works.set()
        newest_rows = newest() if is_new else ()
        await connection.wait(generators.copy_end(connection.pgconn, None))
        server_works.clear()
        if not is_new:
            await connection.rollback()
            return False
        async with connection.cursor() as cursor:
            if batch.events:
                async with cursor.copy(_SQL["copy_events"]) as copy:
                    await copy.write(b"".join(copy_data(batch.events)))
            if newest_rows:
                await cursor.execute(_SQL["make_newest"])
                async with cursor.copy(_into("newest_sample", batch)) as copy:
                    await copy.write(b"".join(copy_data([row[3] for row in newest_rows])))
                await cursor.execute(_SQL["update_latest"])
        await connection.commit()
    except Exception:
        with suppress(psycopg.Error):
            await connection.rollback()
        raise
    finally:
        server_works.clear()
    return True


async def _begin(connection: AsyncConnection[Any], batch: Batch, writer: str) -> bool:
    """Begin a transaction and the COPY of the samples; ``False`` when the batch had been stored before.

    All in one message, since the server has nothing to do while an answer waits for the loop. A cursor of psycopg
    takes no COPY among other statements: hence its generators.
    """
    claim = sql.SQL(_SQL["claim_batch"]).format(
        batch_id=sql.Literal(batch.batch_id), writer=sql.Literal(writer), samples=sql.Literal(len(batch.rows))
    )
    statement = sql.SQL("; ").join((sql.SQL("BEGIN"), claim, _into("sample", batch)))
    connection.pgconn.send_query(statement.as_bytes(connection))
    results = await connection.wait(generators.execute(connection.pgconn))
    if results[-1].status != ExecStatus.COPY_IN:
        raise error_from_result(results[-1])
    return bool(results[1].command_tuples)


def _into(table: Literal["sample", "newest_sample"], batch: Batch) -> sql.Composed:
    columns = sql.SQL(", ").join(map(sql.Identifier, batch.columns))
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(sql.Identifier(table), columns)


async def _hand_over(connection: AsyncConnection[Any], rows: Sequence[bytes]) -> None:
    """Give libpq the rows, which sends what it can and keeps the rest, within a bound.

    psycopg's own ``write`` waits for each piece to be sent, and so for a loop that has other things to do.
    """
    pgconn, unsent = connection.pgconn, 0
    for piece in copy_data(rows):
        for start in range(0, len(piece), _PIECE_BYTES):
            part = piece[start : start + _PIECE_BYTES]
            unsent += len(part)
            if unsent > _MOST_UNSENT_BYTES or pgconn.put_copy_data(part) == 0:
                await connection.wait(generators.copy_to(pgconn, part))
                unsent = 0


async def tell_gaps(connection: AsyncConnection[Any], gaps: Sequence[Gap]) -> None:
    """Record for which time samples of which vehicles were dropped; told twice, it is recorded once."""
    await connection.execute(
        _SQL["note_gaps"],
        {
            "vehicle_ids": [gap.vehicle_id for gap in gaps],
            "began": [gap.began_at for gap in gaps],
            "ended": [gap.ended_at for gap in gaps],
            "samples": [gap.samples for gap in gaps],
        },
    )


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


async def forget_batches(connection: AsyncConnection[Any], age: timedelta) -> int:
    """Forget the identities of batches written longer than ``age`` ago (wall time); return how many.

    ``age`` must be longer than a spool may wait for a machine that is away.
    """
    cursor = await connection.execute(_SQL["forget_batches"], {"age": age})
    return cursor.rowcount
