"""The writer and the native partitions of the samples' table."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from telemetry.batch import Batch
from telemetry.clock import Clock
from telemetry.row import to_row
from telemetry.sample import Sample
from telemetry.store import ensure_partitions, write_batch
from telemetry.writer import SampleWriter
from tests.writer_kit import FULL, QUICK, T, numbers, put, rows


async def test_the_partitions_around_the_clocks_time_are_made(native_dsn: str, tmp_path: Path) -> None:
    clock = Clock(anchor_wall=datetime.now(UTC), anchor_domain=T, speed=1.0)
    async with SampleWriter(native_dsn, spool_dir=tmp_path, name="g1", clock=clock) as writer:
        writer.put(FULL)

    partitions = {row["relname"] for row in await rows(native_dsn, "SELECT relname FROM pg_class WHERE relkind = 'r'")}
    assert {"sample_20260331", "sample_20260401", "sample_20260408"} <= partitions
    assert await rows(native_dsn, "SELECT count(*) AS n FROM sample_20260401") == [{"n": 1}]


async def test_samples_without_a_partition_are_kept_and_move_when_theirs_is_made(native_dsn: str) -> None:
    days = [T, T + timedelta(days=1), T + timedelta(days=300)]
    moments = [to_row(Sample("drone-1", t, number, 0)) for number, t in enumerate(days)]
    async with await psycopg.AsyncConnection.connect(native_dsn, autocommit=True) as connection:
        await write_batch(connection, Batch(moments), writer="g1")

        made = await ensure_partitions(connection, T)
        again = await ensure_partitions(connection, T)

    assert (made, again) == (9, 0)
    places = await rows(native_dsn, "SELECT tableoid::regclass::text AS place FROM sample ORDER BY seq")
    assert [row["place"] for row in places] == ["sample_20260401", "sample_20260402", "sample_default"]


async def test_partitions_are_cut_at_midnight_utc_whatever_the_zone_of_the_session(native_dsn: str) -> None:
    midnight = datetime(2026, 4, 2, tzinfo=UTC)
    moments = [
        to_row(Sample("drone-1", t, number, 0))
        for number, t in enumerate([midnight - timedelta(microseconds=1), midnight])
    ]
    async with await psycopg.AsyncConnection.connect(
        native_dsn, autocommit=True, options="-c timezone=Asia/Tokyo"
    ) as connection:
        await ensure_partitions(connection, midnight)
        await write_batch(connection, Batch(moments), writer="g1")

    places = await rows(native_dsn, "SELECT tableoid::regclass::text AS place FROM sample ORDER BY seq")
    assert [row["place"] for row in places] == ["sample_20260401", "sample_20260402"]


async def test_partitions_may_be_made_by_several_while_samples_come_in(native_dsn: str, tmp_path: Path) -> None:
    async def make() -> int:
        async with await psycopg.AsyncConnection.connect(native_dsn, autocommit=True) as connection:
            return await ensure_partitions(connection, T)

    async with SampleWriter(native_dsn, spool_dir=tmp_path, name="g1", limits=QUICK) as writer:
        put(writer, range(2000))
        made = await asyncio.gather(*(make() for _ in range(4)))
        put(writer, range(2000, 3000))
        await writer.flush(timeout_s=20)

    assert sum(made) == 9
    assert await numbers(native_dsn) == list(range(3000))
