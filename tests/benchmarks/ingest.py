"""How fast samples get into the store, against the same rows in one raw binary COPY."""

from __future__ import annotations

import asyncio
import tempfile
import time
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path

from psycopg import AsyncConnection

from telemetry.row import COLUMNS
from telemetry.sample import Sample
from telemetry.sqlfile import statements
from telemetry.store import ensure_partitions
from telemetry.writer import SampleWriter
from tests.benchmarks.figures import Figure
from tests.postgres import fresh_database, server_dsn, template_database

SAMPLES = 100_000
VEHICLES = 30
FULL_GATEWAY = VEHICLES * 50
"""Samples a second of as many vehicles as a gateway takes, at the 50 Hz of a MAVLink attitude stream."""
BURST = 500
"""Put at once, as a loop that serves many vehicles does."""
MOST_WAITING = 12_000
"""Below what makes the writer turn to the disk."""
ROUNDS = 3
T = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)


def _samples() -> list[Sample]:
    return [
        Sample(
            vehicle_id=f"drone-{number % VEHICLES}",
            t=T + timedelta(milliseconds=10 * number),
            seq=number // VEHICLES,
            vehicle_ms=10 * number,
            lat_e7=357_000_000 + number,
            lon_e7=1_389_000_000 - number,
            alt_amsl_cm=65_000 + number % 1000,
            alt_home_cm=number % 1000,
            vel_n_cms=number % 997,
            vel_e_cms=number % 991,
            vel_d_cms=0,
            heading_cdeg=number % 36_000,
            battery_pct_x10=900,
            voltage_mv=24_000,
            mode="MISSION",
            armed=True,
            on_ground=False,
            step=number % 7,
        )
        for number in range(SAMPLES)
    ]


_values = attrgetter(*COLUMNS)


async def _raw_copy(dsn: str, samples: list[Sample]) -> float:
    """Seconds of one COPY of rows made beforehand: what no writer can undercut."""
    rows = [_values(sample) for sample in samples]
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        await ensure_partitions(connection, T)
        began = time.perf_counter()
        async with (
            connection.cursor() as cursor,
            cursor.copy(statements("telemetry.sql", "store.sql")["copy_samples"]) as copy,
        ):
            copy.set_types(list(COLUMNS.values()))
            for row in rows:
                await copy.write_row((*row[:-1], None))
        return time.perf_counter() - began


async def _writer(dsn: str, samples: list[Sample]) -> float:
    """Seconds from the first ``put`` until all is stored, as fast as the writer takes them."""
    with tempfile.TemporaryDirectory() as folder:
        return await _written(dsn, samples, Path(folder))


async def _written(dsn: str, samples: list[Sample], folder: Path) -> float:
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        await ensure_partitions(connection, T)
    async with SampleWriter(dsn, spool_dir=folder, name="bench") as writer:
        began = time.perf_counter()
        for start in range(0, len(samples), BURST):
            while writer.in_memory > MOST_WAITING:  # noqa: ASYNC110 - a writer tells nobody that it has room
                await asyncio.sleep(0.001)
            for sample in samples[start : start + BURST]:
                writer.put(sample)
            await asyncio.sleep(0)
        await writer.flush(timeout_s=60)
        taken_s = time.perf_counter() - began
    if writer.counts.stored != len(samples) or writer.counts.spooled:
        raise RuntimeError(f"the writer did not keep up: {writer.counts}")
    return taken_s


def _put(samples: list[Sample]) -> float:
    """Seconds in ``put`` alone, which runs in the loop that serves vehicles."""
    with tempfile.TemporaryDirectory() as folder:
        writer = SampleWriter("", spool_dir=Path(folder), name="bench")
        began = time.perf_counter()
        for sample in samples:
            writer.put(sample)
        return time.perf_counter() - began


def measure() -> list[Figure]:
    """Measure in turn on one server; the best of the rounds counts, since others use the machine too."""
    samples = _samples()
    raw: list[float] = []
    ours: list[float] = []
    with server_dsn() as server, template_database(server) as template:
        for _ in range(ROUNDS):
            for times, work in ((raw, _raw_copy), (ours, _writer)):
                with fresh_database(server, template=template) as dsn:
                    times.append(asyncio.run(work(dsn, samples)))
    put_s = min(_put(samples) for _ in range(ROUNDS))
    rate, floor = SAMPLES / min(ours), SAMPLES / min(raw)
    return [
        Figure("ingest rate", rate, "samples/s", "one raw binary COPY", floor, aim=">= 0.8"),
        Figure("ingest headroom", rate / FULL_GATEWAY, "x a full gateway", aim=">= 10"),
        Figure("ingest put", 1e6 * put_s / SAMPLES, "us/sample", aim="<= 30"),
    ]
