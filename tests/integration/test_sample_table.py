"""The table of samples: a hypertable where the server has TimescaleDB, else native partitions; one behaviour."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection
from structlog.testing import capture_logs

from fleet.db.migrate import migrate, read_migrations, shipped_folders
from telemetry import history, store
from telemetry.batch import Batch
from telemetry.row import to_row
from telemetry.sample import Sample
from telemetry.track import track
from tests.postgres import server_has_timescaledb

T = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)
MIDNIGHT = datetime(2026, 4, 2, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)

NATIVE, HYPERTABLE = "native partitions", "hypertable"


async def _query(connection: AsyncConnection[Any], sql: str) -> list[Any]:
    """Return the first column of what a query finds."""
    cursor = await connection.execute(sql.encode())
    return [row[0] for row in await cursor.fetchall()]


async def _kind(connection: AsyncConnection[Any]) -> str:
    """Return what the table is, as the database's own catalogue has it."""
    [relkind] = await _query(connection, "SELECT relkind::text FROM pg_class WHERE oid = 'sample'::regclass")
    if relkind == "p":
        return NATIVE
    hypertables = "SELECT hypertable_name::text FROM timescaledb_information.hypertables"
    return HYPERTABLE if "sample" in await _query(connection, hypertables) else f"relkind {relkind}"


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection to a migrated database; its zone is not UTC."""
    async with await AsyncConnection.connect(dsn, autocommit=True, options="-c timezone=Asia/Tokyo") as opened:
        yield opened


@pytest.fixture
async def hypertable(connection: AsyncConnection[Any]) -> AsyncConnection[Any]:
    """The connection, where samples are a hypertable that is compressed only when the test does it."""
    if await _kind(connection) != HYPERTABLE:
        pytest.skip("this server has no TimescaleDB (TODOKE_TEST_DATABASE_URL names another)")
    jobs = "timescaledb_information.jobs WHERE hypertable_name = 'sample'"
    await connection.execute(f"SELECT alter_job(job_id, scheduled => false) FROM {jobs}".encode())
    return connection


def _full_sample(number: int) -> Sample:
    """Every third says no position; the others differ in all that a sample can say."""
    at = T + 300 * number * SECOND
    vehicle_id = f"drone-{number % 2}"
    if number % 3 == 0:
        return Sample(vehicle_id, at, number, 0)
    return Sample(
        vehicle_id=vehicle_id,
        t=at,
        seq=2**40 + number,
        vehicle_ms=-number,
        lat_e7=357_700_000 - number,
        lon_e7=-1_389_400_000 + number,
        alt_amsl_cm=65_000 + number,
        alt_home_cm=-number,
        vel_n_cms=number % 7,
        vel_e_cms=None if number % 4 else -number,
        heading_cdeg=number % 36_000,
        battery_pct_x10=1000 - number,
        voltage_mv=24_100,
        mode="任務" if number % 5 else None,
        armed=number % 2 == 0,
        on_ground=None,
        step=number % 11,
        extra={"wind": {"n": number / 2}} if number % 7 else {},
    )


async def _write(connection: AsyncConnection[Any], samples: Sequence[Sample]) -> None:
    await store.write_batch(connection, Batch([to_row(sample) for sample in samples]), writer="test")


async def _answers(connection: AsyncConnection[Any], first: datetime, last: datetime) -> list[object]:
    """Ask for everything that can be asked of the history of two vehicles."""
    found: list[object] = []
    for vehicle_id in ("drone-0", "drone-1"):
        found.append(await history.count(connection, vehicle_id, first, last))
        found += [await track(connection, vehicle_id, first, last, points) for points in (2, 7, 50, 10_000)]
        found.append([sample async for sample in history.samples(connection, vehicle_id, first, last)])
    return found


async def _uncompressed_bytes(connection: AsyncConnection[Any]) -> list[int]:
    """Return the size of what lies in each chunk as rows, oldest chunk first."""
    return await _query(connection, "SELECT pg_relation_size(chunk) FROM show_chunks('sample') AS chunk ORDER BY chunk")


async def test_samples_are_a_hypertable_just_where_theserver_has_timescaledb(
    connection: AsyncConnection[Any], postgres_server: str
) -> None:
    expected = HYPERTABLE if await server_has_timescaledb(postgres_server) else NATIVE

    assert await _kind(connection) == expected


async def test_a_day_in_utc_has_a_table_of_its_own(connection: AsyncConnection[Any]) -> None:
    moments = [MIDNIGHT - SECOND, MIDNIGHT, MIDNIGHT + DAY - SECOND, MIDNIGHT + DAY]
    await store.ensure_partitions(connection, T)

    await _write(connection, [Sample("drone-1", t, number, 0) for number, t in enumerate(moments)])

    first, second, third, fourth = await _query(connection, "SELECT tableoid FROM sample ORDER BY seq")
    assert second == third
    assert len({first, second, fourth}) == 3


async def test_a_hypertable_needs_no_partitions(hypertable: AsyncConnection[Any]) -> None:
    tables = "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p')"
    before = await _query(hypertable, tables)

    assert await store.ensure_partitions(hypertable, T) == 0

    assert await _query(hypertable, tables) == before


async def test_a_compressed_chunk_gives_the_same_track(hypertable: AsyncConnection[Any]) -> None:
    samples = [_full_sample(number) for number in range(1000)]  # three days and a half
    await _write(hypertable, samples)
    before = await _answers(hypertable, T, T + 4 * DAY)
    assert before[5] == samples[::2], "the samples of drone-0, all"
    assert all(await _uncompressed_bytes(hypertable))

    await hypertable.execute("SELECT compress_chunk(chunk) FROM show_chunks('sample') AS chunk")

    assert await _uncompressed_bytes(hypertable) == [0, 0, 0, 0]
    assert await _answers(hypertable, T, T + 4 * DAY) == before


async def test_a_sample_that_comes_after_its_day_was_compressed_is_in_the_track(
    hypertable: AsyncConnection[Any],
) -> None:
    await _write(hypertable, [Sample("drone-1", T + second * SECOND, second, 0, lat_e7=second) for second in (1, 3)])
    await hypertable.execute("SELECT compress_chunk(chunk) FROM show_chunks('sample') AS chunk")
    assert await _uncompressed_bytes(hypertable) == [0]

    await _write(hypertable, [Sample("drone-1", T + 2 * SECOND, 2, 0, lat_e7=2)])

    found = [sample.lat_e7 async for sample in history.samples(hypertable, "drone-1", T, T + DAY)]
    assert found == [1, 2, 3]


async def test_what_is_older_than_a_day_is_compressed_and_what_is_new_is_not(hypertable: AsyncConnection[Any]) -> None:
    now = datetime.now(UTC)  # the policy's own clock
    samples = [Sample("drone-1", t, number, 0, lat_e7=number) for number, t in enumerate([now - 3 * DAY, now])]
    await _write(hypertable, samples)
    [job] = await _query(hypertable, "SELECT job_id FROM timescaledb_information.jobs WHERE hypertable_name = 'sample'")

    await hypertable.execute(f"CALL run_job({job})".encode())

    old, new = await _uncompressed_bytes(hypertable)
    assert old == 0
    assert new > 0
    assert [s async for s in history.samples(hypertable, "drone-1", now - 4 * DAY, now + DAY)] == samples


async def test_a_role_that_may_not_create_extensions_gets_native_partitions_and_a_word_about_it(
    plain_dsn: str, postgres_server: str
) -> None:
    with capture_logs() as logs:
        applied = await migrate(plain_dsn)

    assert len(applied) == len(read_migrations(shipped_folders()))
    warnings = [entry["message"] for entry in logs if entry["event"] == "migration_warning"]
    if await server_has_timescaledb(postgres_server):
        assert len(warnings) == 1
        assert "samples stay on native partitions: permission denied" in warnings[0]
    else:
        assert warnings == []
    async with await AsyncConnection.connect(plain_dsn, autocommit=True) as connection:
        assert await _kind(connection) == NATIVE
        await _write(connection, [_full_sample(number) for number in range(100)])
        assert await store.ensure_partitions(connection, T) == 9
        assert await history.count(connection, "drone-1", T, T + DAY) == 50


async def test_a_role_without_rights_uses_the_extension_that_an_administrator_has_created(
    plain_dsn: str, postgres_server: str
) -> None:
    if not await server_has_timescaledb(postgres_server):
        pytest.skip("this server has no TimescaleDB (TODOKE_TEST_DATABASE_URL names another)")
    async with await AsyncConnection.connect(plain_dsn) as plain:
        database = plain.info.dbname
    async with await AsyncConnection.connect(postgres_server, dbname=database, autocommit=True) as administrator:
        await administrator.execute("CREATE SCHEMA elsewhere")
        await administrator.execute("CREATE EXTENSION timescaledb SCHEMA elsewhere")
        await administrator.execute("GRANT USAGE ON SCHEMA elsewhere TO PUBLIC")

    await migrate(plain_dsn)

    async with await AsyncConnection.connect(plain_dsn, autocommit=True) as connection:
        assert await _kind(connection) == HYPERTABLE
        await _write(connection, [_full_sample(number) for number in range(100)])
        before = await _answers(connection, T, T + DAY)
        await connection.execute("SET search_path = public, elsewhere")
        await connection.execute("SELECT compress_chunk(chunk) FROM show_chunks('sample') AS chunk")
        assert await _uncompressed_bytes(connection) == [0]
        assert await _answers(connection, T, T + DAY) == before


async def test_samples_that_are_there_stay_when_the_table_becomes_a_hypertable(empty_dsn: str, tmp_path: Path) -> None:
    for folder in shipped_folders():
        for migration in read_migrations([folder]):
            if migration.number < 3:
                (tmp_path / migration.name).write_text(migration.sql)
    await migrate(empty_dsn, folders=[tmp_path])
    everything = "SELECT to_jsonb(sample) FROM sample ORDER BY t, seq"
    samples = [_full_sample(number) for number in range(1000)]
    everything = "SELECT sample::text FROM sample ORDER BY t, seq"
    async with await AsyncConnection.connect(empty_dsn, autocommit=True) as connection:
        await store.ensure_partitions(connection, T)
        await _write(connection, [*samples, Sample("drone-1", T + 300 * DAY, 5000, 0, lat_e7=1)])
        before = await _query(connection, everything)
    shutil.rmtree(tmp_path)

    await migrate(empty_dsn)

    async with await AsyncConnection.connect(empty_dsn, autocommit=True) as connection:
        assert await _query(connection, everything) == before
        assert len(before) == 1001
        assert not await _query(connection, "SELECT relname FROM pg_class WHERE relname LIKE '%native%'")
