"""How fast the store answers among many samples: the latest states, a day's track, an area, a chart.

The samples of a day, of one vehicle at 10 Hz and of 999 others less often, are made inside of the server. The
environment variable ``TODOKE_BENCH_ROWS`` makes them fewer (or more) than 10 million.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from telemetry import area, history, store
from telemetry.keeping import Limits, keep_house
from telemetry.series import series
from telemetry.track import track
from tests.benchmarks.figures import Figure
from tests.postgres import fresh_database, server_dsn, server_has_timescaledb, template_database

ROWS = int(os.environ.get("TODOKE_BENCH_ROWS", "10000000"))
HOURS = 24
BUSY_ROWS = min(864_000, ROWS // 2)
OTHERS = 999
ROUNDS = 5
POINTS = 1_000
T = datetime(2026, 4, 1, tzinfo=UTC)
DAY = timedelta(days=1)

_HOUR = """
INSERT INTO sample (vehicle_id, t, seq, vehicle_ms, lat_e7, lon_e7, alt_amsl_cm, alt_home_cm, vel_n_cms, vel_e_cms,
    vel_d_cms, heading_cdeg, battery_pct_x10, voltage_mv, current_ca, roll_cdeg, pitch_cdeg, wind_n_cms, wind_e_cms,
    link_pct_x10, step, armed, on_ground, mode)
SELECT 'drone-' || vehicle, %(start)s::timestamptz + hour * interval '1 hour', n, round(3600000 * hour),
    357000000 + (2000000 * sin(hour + vehicle))::integer, 1389000000 + (2000000 * cos(hour + vehicle))::integer,
    65000 + (n %% 5000)::integer, (n %% 5000)::integer, (n %% 997)::integer, (n %% 991)::integer, 0,
    (n %% 36000)::integer, 900, 24000, 500, 10, -20, 30, 40, 1000, (n %% 7)::integer, true, false, 'MISSION'
FROM (
    SELECT 0 AS vehicle, n, n::float8 / %(busy)s AS hour FROM generate_series(0, %(busy)s - 1) AS n
    UNION ALL
    SELECT 1 + n %% %(others)s, n, n::float8 / %(rest)s FROM generate_series(0, %(rest)s - 1) AS n
) AS sent
ORDER BY hour
"""
_LATEST = """
INSERT INTO latest_sample
SELECT DISTINCT ON (vehicle_id) * FROM sample WHERE t >= %(since)s ORDER BY vehicle_id, t DESC, seq DESC
"""
_LATERAL = """
SELECT newest.* FROM latest_sample AS known CROSS JOIN LATERAL (
    SELECT * FROM sample WHERE vehicle_id = known.vehicle_id ORDER BY t DESC, seq DESC LIMIT 1
) AS newest
"""
_EVERY_ROW = """
SELECT t, lat_e7, lon_e7, alt_amsl_cm FROM sample WHERE vehicle_id = 'drone-0' AND t >= %s AND t < %s ORDER BY t
"""


def measure() -> list[Figure]:
    """Measure on one server: as samples are when they are new and, with TimescaleDB, compressed."""
    with (
        server_dsn() as server,
        template_database(server) as template,
        fresh_database(server, template=template) as dsn,
    ):
        return asyncio.run(_measure(dsn, asyncio.run(server_has_timescaledb(server))))


async def _measure(dsn: str, hypertable: bool) -> list[Figure]:
    options = "-c timezone=UTC -c jit=off"  # as the service's own connections
    async with await AsyncConnection.connect(dsn, autocommit=True, options=options) as connection:
        await _fill(connection)
        figures = await _figures(connection, "hypertable" if hypertable else "native partitions")
        if hypertable:
            print("  compressing ...", flush=True)
            await connection.execute("SELECT compress_chunk(chunk, true) FROM show_chunks('sample') AS chunk")
            await connection.execute("ANALYZE sample")
            figures += await _figures(connection, "compressed")
        return figures


async def _fill(connection: AsyncConnection[Any]) -> None:
    await store.ensure_partitions(connection, T)
    values = {"busy": BUSY_ROWS // HOURS, "rest": (ROWS - BUSY_ROWS) // HOURS, "others": OTHERS}
    began = time.perf_counter()
    for hour in range(HOURS):
        await connection.execute(_HOUR, values | {"start": T + timedelta(hours=hour)})
        if hour % 6 == 5:
            print(f"  {ROWS * (hour + 1) // HOURS:,} samples, {time.perf_counter() - began:.0f} s", flush=True)
    await connection.execute(_LATEST, {"since": T + timedelta(hours=HOURS - 1)})
    await connection.execute("VACUUM ANALYZE sample")
    await connection.execute("ANALYZE latest_sample")
    await keep_house(connection, T + DAY, Limits())
    print(f"  rollups kept, {time.perf_counter() - began:.0f} s", flush=True)


async def _figures(connection: AsyncConnection[Any], kind: str) -> list[Figure]:
    end = T + DAY
    rows = f"{ROWS / 1e6:g} M rows, {kind}"
    box = area.box_of(138.95, 35.72, 139.05, 35.78)

    async def every_row() -> object:
        return await (await connection.execute(_EVERY_ROW, (T, end))).fetchall()

    async def lateral() -> object:
        return await (await connection.execute(_LATERAL)).fetchall()

    async def replay() -> object:
        rows = history.replay_rows(connection, None, T + DAY / 2, T + DAY / 2 + timedelta(seconds=10), every_s=5)
        return [len(each) async for each in rows]

    lateral_ms = await _best_ms(lateral)
    every_row_ms = await _best_ms(every_row, rounds=1)
    latest_ms = await _best_ms(lambda: store.latest(connection))
    track_ms = await _best_ms(lambda: track(connection, "drone-0", T, end, POINTS))
    chart_ms = await _best_ms(lambda: series(connection, "drone-0", "alt_amsl", T, end, POINTS), rounds=2)
    quarter = timedelta(minutes=15)
    area_ms = await _best_ms(lambda: area.within(connection, box, T + DAY / 2, T + DAY / 2 + quarter))
    replay_ms = await _best_ms(replay) / 2
    return [
        Figure(f"latest of 1,000 ({rows})", latest_ms, "ms", aim="<= 50"),
        Figure(f"latest, lateral join ({rows})", lateral_ms, "ms"),
        Figure(f"day's track ({rows})", track_ms, "ms", aim="<= 100"),
        Figure(
            f"day's track against all its rows ({rows})", track_ms, "ms", "fetching every row", every_row_ms, "<= 0.5"
        ),
        Figure(f"day's chart ({rows})", chart_ms, "ms"),
        Figure(f"area, 15 min ({rows})", area_ms, "ms"),
        Figure(f"replay, a step of 1,000 ({rows})", replay_ms, "ms"),
    ]


async def _best_ms(work: Callable[[], Awaitable[object]], *, rounds: int = ROUNDS) -> float:
    """Milliseconds of the best of the rounds: others use the machine, too."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        await work()
        times.append(time.perf_counter() - began)
    return 1000 * min(times)
