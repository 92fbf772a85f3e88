"""How fast samples get into the store, against the same rows in one raw binary COPY."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from dataclasses import dataclass
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
VEHICLES = 1000
FULL_GATEWAY = 30 * 50
"""Samples a second of as many vehicles as a gateway takes, at the 50 Hz of a MAVLink attitude stream."""
BURST = 500
"""Put at once, as a loop that serves many vehicles does."""
MOST_WAITING, MOST_AGE_S = 20_000, 0.1
"""Samples put and not stored: as many as the database takes before the writer turns to the disk."""
ROUNDS = 5
T = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)


def make_samples(count: int = SAMPLES, vehicles: int = VEHICLES) -> list[Sample]:
    """Samples of vehicles that fly and say all that a MAVLink vehicle says, at 10 Hz each."""
    step_us = 100_000 // vehicles
    return [
        Sample(
            vehicle_id=f"drone-{number % vehicles}",
            t=T + timedelta(microseconds=step_us * number),
            seq=number // vehicles,
            vehicle_ms=number // 10,
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
            current_ca=1500 + number % 100,
            roll_cdeg=number % 500 - 250,
            pitch_cdeg=number % 300 - 150,
            wind_n_cms=300 + number % 20,
            wind_e_cms=-200 - number % 20,
            link_pct_x10=1000,
            mode="MISSION",
            mission_id=f"mission-{number % vehicles}",
            armed=True,
            on_ground=False,
            step=number // vehicles % 7,
        )
        for number in range(count)
    ]


_values = attrgetter(*COLUMNS)


async def _raw_copy(dsn: str, samples: list[Sample]) -> float:
    """Seconds of one COPY of rows made beforehand: what no writer can undercut."""
    rows = [(*_values(sample)[:-1], None) for sample in samples]
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        await ensure_partitions(connection, T)
        began = time.perf_counter()
        async with (
            connection.cursor() as cursor,
            cursor.copy(statements("telemetry.sql", "store.sql")["copy_samples"]) as copy,
        ):
            copy.set_types(list(COLUMNS.values()))
            for row in rows:
                await copy.write_row(row)
        return time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class _Written:
    """Seconds until all was stored; of processor time in ``put``, and in all that the writer's process did."""

    wall_s: float
    put_s: float
    cpu_s: float


def _busy(writer: SampleWriter) -> bool:
    """Whether more would only wait: for its age the writer would put it on disk."""
    return writer.in_memory > MOST_WAITING or writer.on_disk > 0 or writer.health.oldest_unsaved_s > MOST_AGE_S


async def _written(dsn: str, samples: list[Sample], folder: Path) -> _Written:
    """Put samples as fast as the writer takes them, and wait until all are stored."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        await ensure_partitions(connection, T)
    async with SampleWriter(dsn, spool_dir=folder, name="bench") as writer:
        writer.put(samples[0])
        await writer.flush(timeout_s=60)  # it has its connection now, as the raw COPY has
        began, cpu_before, put_s = time.perf_counter(), time.process_time(), 0.0
        for start in range(1, len(samples), BURST):
            while _busy(writer):  # noqa: ASYNC110 - nobody tells that there is room
                await asyncio.sleep(0.001)
            put_began = time.process_time()
            for sample in samples[start : start + BURST]:
                writer.put(sample)
            put_s += time.process_time() - put_began
            await asyncio.sleep(0)
        await writer.flush(timeout_s=120)
        done = _Written(time.perf_counter() - began, put_s, time.process_time() - cpu_before)
    if writer.counts.stored != len(samples):
        raise RuntimeError(f"not all was stored: {writer.counts}")
    return done


def measure() -> list[Figure]:
    """Measure in turn on one server; the best of the rounds counts, since others use the machine too."""
    samples = make_samples()
    # The samples are the benchmark's, not the writer's: collecting garbage must not look through them again and again.
    gc.collect()
    gc.freeze()
    raw: list[float] = []
    ours: list[_Written] = []
    with server_dsn() as server, template_database(server) as template:
        for _ in range(ROUNDS):
            with fresh_database(server, template=template) as dsn:
                raw.append(asyncio.run(_raw_copy(dsn, samples)))
            with fresh_database(server, template=template) as dsn, tempfile.TemporaryDirectory() as folder:
                ours.append(asyncio.run(_written(dsn, samples, Path(folder))))
    gc.unfreeze()
    rate, floor = SAMPLES / min(done.wall_s for done in ours), SAMPLES / min(raw)
    put_us, loop_us = (
        1e6 * min(seconds) / SAMPLES for seconds in zip(*((d.put_s, d.cpu_s) for d in ours), strict=True)
    )
    return [
        Figure("ingest rate", rate, "samples/s", "one raw binary COPY", floor, aim=">= 0.8"),
        Figure("ingest headroom", rate / FULL_GATEWAY, "x a full gateway", aim=">= 10"),
        Figure("ingest put", put_us, "us/sample", aim="<= 3"),
        Figure("ingest in the loop", loop_us, "us/sample", aim="<= 10"),
    ]
