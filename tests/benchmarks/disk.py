"""How much disk a million samples take, as rows and compressed."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from psycopg import AsyncConnection

from telemetry.sample import Sample
from telemetry.store import ensure_partitions
from telemetry.writer import SampleWriter
from tests.benchmarks.figures import Figure
from tests.postgres import EXTERNAL_SERVER, fresh_database, server_dsn, template_database

VEHICLES = 50
EACH = 6000
"""Ten minutes' flight at 10 Hz."""
T = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)
_MOST_WAITING = 20_000


def _flight(vehicle: int) -> list[Sample]:
    """A flight with the unrest of real ones: wind that wanders, a position that a receiver scatters."""
    random = np.random.default_rng(vehicle)
    seconds = np.arange(EACH) / 10
    heading = np.cumsum(random.normal(0, 0.5, EACH)) + random.uniform(0, 360)
    speed = np.clip(seconds * 2, 0, 12) + random.normal(0, 0.2, EACH)
    north, east = speed * np.cos(np.radians(heading)), speed * np.sin(np.radians(heading))
    wind = np.cumsum(random.normal(0, 0.02, (2, EACH)), axis=1) + random.normal(0, 3, (2, 1))
    alt = 650 + np.clip(seconds * 1.5, 0, 90) + random.normal(0, 0.15, EACH)
    columns = {
        "lat_e7": 357_000_000 + np.cumsum(north) * 9 + random.normal(0, 30, EACH),
        "lon_e7": 1_389_000_000 + np.cumsum(east) * 11 + random.normal(0, 30, EACH),
        "alt_amsl_cm": alt * 100,
        "alt_home_cm": (alt - 650) * 100,
        "vel_n_cms": north * 100,
        "vel_e_cms": east * 100,
        "vel_d_cms": random.normal(0, 15, EACH),
        "heading_cdeg": heading % 360 * 100,
        "battery_pct_x10": 1000 - seconds,
        "voltage_mv": 25_000 - seconds * 3 + random.normal(0, 20, EACH),
        "current_ca": 2500 + random.normal(0, 120, EACH),
        "roll_cdeg": random.normal(0, 200, EACH),
        "pitch_cdeg": random.normal(-500, 200, EACH),
        "wind_n_cms": wind[0] * 100,
        "wind_e_cms": wind[1] * 100,
        "link_pct_x10": np.clip(random.normal(995, 4, EACH), 0, 1000),
        "step": seconds // 40,
    }
    names = list(columns)
    values = np.stack(list(columns.values())).round().astype(int).T.tolist()
    late_us = random.integers(0, 4000, EACH).tolist()
    return [
        Sample(
            f"drone-{vehicle}",
            T + timedelta(milliseconds=100 * number, microseconds=late),
            number,
            60_000 + 100 * number,
            **dict(zip(names, row, strict=True)),
            mode="MISSION",
            armed=True,
            on_ground=False,
            mission_id=f"mission-{vehicle}",
        )
        for number, (row, late) in enumerate(zip(values, late_us, strict=True))
    ]


async def _fill(dsn: str, folder: Path) -> None:
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        await ensure_partitions(connection, T)
    flights = [_flight(vehicle) for vehicle in range(VEHICLES)]
    async with SampleWriter(dsn, spool_dir=folder, name="disk") as writer:
        for moment in zip(*flights, strict=True):
            for sample in moment:
                writer.put(sample)
            await asyncio.sleep(0)
            while writer.in_memory > _MOST_WAITING or writer.on_disk:  # noqa: ASYNC110 - nobody tells that there is room
                await asyncio.sleep(0.01)
        await writer.flush(timeout_s=300)


async def _ask(connection: AsyncConnection[tuple[int]], query: str) -> float:
    """The answer, for a million samples."""
    row = await (await connection.execute(query.encode())).fetchone()
    return 0.0 if row is None else float(row[0]) * 1e6 / (VEHICLES * EACH)


async def _measure(dsn: str, folder: Path) -> list[Figure]:
    await _fill(dsn, folder)
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        kind = await (
            await connection.execute("SELECT relkind::text FROM pg_class WHERE relname = 'sample'")
        ).fetchone()
        if kind == ("p",):
            plain = await _ask(
                connection, "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('sample') WHERE isleaf"
            )
            print(
                f"NO FIGURE for compressed samples: this server has no TimescaleDB ({EXTERNAL_SERVER} names another)",
                file=sys.stderr,
            )
            return [Figure("disk of a million samples", plain / 2**20, "MB")]
        size = "SELECT hypertable_size('sample')"
        plain = await _ask(connection, size)
        await connection.execute("SELECT compress_chunk(chunk) FROM show_chunks('sample') AS chunk")
        packed = await _ask(connection, size)
    return [
        Figure("disk of a million samples", plain / 2**20, "MB"),
        Figure("disk of a million samples, compressed", packed / 2**20, "MB", "as rows", plain / 2**20, aim="<= 0.25"),
    ]


def measure() -> list[Figure]:
    """Write flights, with their index, and where there is TimescaleDB compress them."""
    with (
        server_dsn() as server,
        template_database(server) as template,
        fresh_database(server, template=template) as dsn,
        tempfile.TemporaryDirectory() as folder,
    ):
        return asyncio.run(_measure(dsn, Path(folder)))
