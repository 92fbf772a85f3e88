"""What the tests of the writer share: samples that can be told apart, and looks into the store and the spool."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from telemetry.sample import Sample
from telemetry.writer import SampleWriter, WriterLimits

T = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)
QUICK = WriterLimits(batch_samples=50, batch_s=0.05, first_retry_s=0.05, last_retry_s=0.2)

FULL = Sample(
    vehicle_id="drone-1",
    t=T,
    seq=2**40,
    vehicle_ms=1_775_035_800_123,
    lat_e7=357_700_000,
    lon_e7=-1_389_400_000,
    alt_amsl_cm=65_000,
    alt_home_cm=-120,
    vel_n_cms=1000,
    vel_e_cms=-1,
    vel_d_cms=0,
    heading_cdeg=35_999,
    battery_pct_x10=1000,
    voltage_mv=24_100,
    current_ca=-1200,
    roll_cdeg=-18_000,
    pitch_cdeg=9000,
    wind_n_cms=-300,
    wind_e_cms=250,
    link_pct_x10=997,
    mode="任務",
    armed=True,
    on_ground=False,
    step=3,
    mission_id="m-1",
    extra={"satellites": 14, "wind": {"n": 1.5}},
)


def sample(number: int, vehicle_id: str = "drone-1") -> Sample:
    """The sample of this number, a tenth of a second after the one before."""
    return Sample(vehicle_id, T + timedelta(milliseconds=100 * number), number, 100 * number, lat_e7=number)


def put(writer: SampleWriter, numbers: Iterable[int]) -> None:
    """Give a writer the samples of these numbers."""
    for number in numbers:
        writer.put(sample(number))


async def rows(dsn: str, sql: str) -> list[dict[str, Any]]:
    """Return what a query finds."""
    async with await psycopg.AsyncConnection.connect(dsn, row_factory=dict_row) as connection:
        return await (await connection.execute(sql.encode())).fetchall()


async def numbers(dsn: str) -> list[int]:
    """Return the numbers of all samples in the store, sorted; one that is there twice is in the list twice."""
    return [row["seq"] for row in await rows(dsn, "SELECT seq FROM sample ORDER BY seq")]


async def numbers_as_written(dsn: str) -> list[int]:
    """Return the numbers of all samples batch after batch as they were written; within one, a row may lie anywhere."""
    found = await rows(dsn, "SELECT seq FROM sample ORDER BY xmin::text::bigint, seq")
    return [row["seq"] for row in found]


async def execute(dsn: str, sql: str) -> None:
    """Run one statement."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(sql.encode())


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    """Wait for a condition; fails with what did not happen."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"did not happen in {timeout_s} s: {what}"
        await asyncio.sleep(0.01)


async def until_spooled(writer: SampleWriter, samples: int) -> None:
    """Wait until so many samples have gone to disk."""
    await until(lambda: writer.counts.spooled >= samples, f"{samples} samples are on disk")


def spool_files(folder: Path) -> list[Path]:
    """Return the files of all spools in a folder."""
    return list(folder.glob("**/*.spool"))


@contextlib.asynccontextmanager
async def locked(dsn: str, table: str) -> AsyncIterator[None]:
    """Hold a lock that makes whoever writes to the table wait."""
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield
