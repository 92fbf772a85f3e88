"""How long telemetry is kept: each class for its time, what is frozen for as long as it is, and nothing twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from fleet.db.database import Database
from fleet.housekeeping import keep_telemetry
from telemetry import history, store
from telemetry.batch import Batch
from telemetry.clock import Clock
from telemetry.keeping import Kept, Limits, freeze, keep_house, unfreeze
from telemetry.row import to_row
from telemetry.sample import Sample
from telemetry.track import track
from tests.postgres import server_has_timescaledb

T = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LATER = T + 100 * DAY
"""When samples of T are past their time, and nothing else is."""


@pytest.fixture
async def connection(either_dsn: str) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection to a migrated database of either kind; its zone is not UTC."""
    options = "-c timezone=Asia/Tokyo"
    async with await AsyncConnection.connect(either_dsn, autocommit=True, options=options) as opened:
        yield opened


def _sample(vehicle_id: str, t: datetime, number: int = 0) -> Sample:
    return Sample(vehicle_id, t, number, 0, lat_e7=350_000_000 + number, lon_e7=1_380_000_000, alt_amsl_cm=number)


async def _write(connection: AsyncConnection[Any], *samples: Sample) -> None:
    await store.write_batch(connection, Batch([to_row(sample) for sample in samples]), writer="test")


async def _write_hours(connection: AsyncConnection[Any], hours: int = 48) -> None:
    """An hour apart, samples of two vehicles over two days."""
    await store.ensure_partitions(connection, T)
    for vehicle_id in ("drone-1", "drone-2"):
        await _write(connection, *(_sample(vehicle_id, T + hour * HOUR, hour) for hour in range(hours)))


async def _hours(connection: AsyncConnection[Any], vehicle_id: str) -> list[int]:
    return [s.seq async for s in history.samples(connection, vehicle_id, T - DAY, T + 1000 * DAY)]


async def _column(connection: AsyncConnection[Any], query: str) -> list[Any]:
    return [row[0] for row in await (await connection.execute(query.encode())).fetchall()]


async def _event(connection: AsyncConnection[Any], vehicle_id: str, t: datetime, text: str) -> None:
    await connection.execute(
        "INSERT INTO vehicle_event (vehicle_id, t, severity, text) VALUES (%s, %s, 4, %s)", (vehicle_id, t, text)
    )


async def _gap(connection: AsyncConnection[Any], vehicle_id: str, began_at: datetime, ended_at: datetime) -> None:
    await connection.execute(
        "INSERT INTO telemetry_gap (vehicle_id, began_at, ended_at, cause) VALUES (%s, %s, %s, 'not_listening')",
        (vehicle_id, began_at, ended_at),
    )


async def test_rollups_are_kept_by_timescaledb_just_where_it_may(dsn: str, postgres_server: str) -> None:
    async with await AsyncConnection.connect(dsn) as connection:
        [there] = await _column(connection, "SELECT to_regclass('sample_1s_live') IS NOT NULL")
        [licence] = await _column(connection, "SELECT current_setting('timescaledb.license', true)")

    assert there == (await server_has_timescaledb(postgres_server) and licence != "apache")


async def test_samples_fall_by_whole_days_when_they_are_old_enough(connection: AsyncConnection[Any]) -> None:
    await _write_hours(connection)
    midnight = T.replace(hour=0, minute=0) + DAY

    await keep_house(connection, midnight + 90 * DAY - HOUR, Limits())
    assert len(await _hours(connection, "drone-1")) == 48

    kept = await keep_house(connection, midnight + 90 * DAY + HOUR, Limits())

    assert (await _hours(connection, "drone-1"))[0] == 15
    assert kept.days_dropped >= 1
    assert kept.samples_frozen == 0


async def test_partitions_are_made_ahead_and_old_ones_are_gone(connection: AsyncConnection[Any]) -> None:
    await _write_hours(connection)

    await keep_house(connection, LATER, Limits())

    assert await _hours(connection, "drone-1") == []
    [native] = await _column(
        connection, "SELECT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = 'sample'::regclass)"
    )
    if native:
        partitions = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'sample'::regclass ORDER BY 1"
        days = [f"sample_{LATER + day * DAY:%Y%m%d}" for day in range(-1, 8)]
        assert await _column(connection, partitions) == [*days, "sample_default"]
    else:
        assert await _column(connection, "SELECT show_chunks('sample')") == []


async def test_what_is_frozen_stays_and_is_there_once(connection: AsyncConnection[Any]) -> None:
    await _write_hours(connection)
    await freeze(connection, freeze_id="i-1", vehicle_ids=["drone-1"], start=T + 10 * HOUR, end=T + 20 * HOUR)
    await freeze(connection, freeze_id="i-2", vehicle_ids=["drone-1"], start=T + 15 * HOUR, end=T + 25 * HOUR)

    kept = await keep_house(connection, LATER, Limits())
    again = await keep_house(connection, LATER + DAY, Limits())

    assert await _hours(connection, "drone-1") == list(range(10, 25))
    assert await _hours(connection, "drone-2") == []
    assert (kept.samples_frozen, again.samples_frozen) == (15, 0)
    assert await history.count(connection, "drone-1", T, T + 12 * HOUR) == 2


async def test_all_that_reads_history_finds_what_is_frozen(connection: AsyncConnection[Any]) -> None:
    await _write_hours(connection)
    span = (T + 10 * HOUR, T + 20 * HOUR)
    await freeze(connection, freeze_id="i-1", vehicle_ids=["drone-1"], start=span[0], end=span[1])

    await keep_house(connection, LATER, Limits())

    found = await track(connection, "drone-1", *span, 100)
    assert [point.alt_amsl_cm for point in found.points] == list(range(10, 20))
    assert found.resolution == "samples"
    assert (await track(connection, "drone-1", T, T + 48 * HOUR, 100)).resolution == "1s"
    replayed = [s.seq async for rows in history.replay_rows(connection, None, *span, every_s=60) for s in rows]
    assert replayed == list(range(10, 20))
    assert [s.seq for s in await history.state_at(connection, ["drone-1"], span[1], within_s=7200)] == [19]


async def test_an_ended_freeze_keeps_nothing_that_no_other_does(connection: AsyncConnection[Any]) -> None:
    await _write_hours(connection)
    await freeze(connection, freeze_id="i-1", vehicle_ids=["drone-1", "drone-2"], start=T, end=T + 20 * HOUR)
    await freeze(connection, freeze_id="i-2", vehicle_ids=["drone-1"], start=T + 15 * HOUR, end=T + 25 * HOUR)
    await keep_house(connection, LATER, Limits())

    await unfreeze(connection, "i-1")
    await unfreeze(connection, "never-was")
    kept = await keep_house(connection, LATER, Limits())

    assert await _hours(connection, "drone-1") == list(range(15, 25))
    assert await _hours(connection, "drone-2") == []
    assert kept.released == 35
    assert await _column(connection, "SELECT freeze_id FROM frozen_span") == ["i-2"]


async def test_samples_that_are_not_old_survive_the_end_of_a_freeze(connection: AsyncConnection[Any]) -> None:
    await _write_hours(connection)
    await freeze(connection, freeze_id="i-1", vehicle_ids=["drone-1"], start=T, end=T + 20 * HOUR)
    await unfreeze(connection, "i-1")

    await keep_house(connection, T + 10 * DAY, Limits())

    assert len(await _hours(connection, "drone-1")) == 48


async def test_a_freeze_under_the_same_name_takes_the_old_ones_place(connection: AsyncConnection[Any]) -> None:
    await _write_hours(connection)
    await freeze(connection, freeze_id="i-1", vehicle_ids=["drone-1"], start=T, end=T + 20 * HOUR)
    await freeze(connection, freeze_id="i-1", vehicle_ids=["drone-2"], start=T, end=T + 5 * HOUR)

    await keep_house(connection, LATER, Limits())

    assert (await _hours(connection, "drone-1"), await _hours(connection, "drone-2")) == ([], [0, 1, 2, 3, 4])


async def test_frozen_samples_that_come_late_are_kept_too(connection: AsyncConnection[Any]) -> None:
    await _write_hours(connection)
    await freeze(connection, freeze_id="i-1", vehicle_ids=["drone-1"], start=T, end=T + HOUR)
    await keep_house(connection, LATER, Limits())

    await _write(connection, _sample("drone-1", T + HOUR / 2, 77), _sample("drone-2", T + HOUR / 2, 78))
    await keep_house(connection, LATER, Limits())

    assert (await _hours(connection, "drone-1"), await _hours(connection, "drone-2")) == ([0, 77], [])


async def test_frozen_rollups_outlive_their_time(connection: AsyncConnection[Any]) -> None:
    await _write_hours(connection)
    await freeze(connection, freeze_id="i-1", vehicle_ids=["drone-1"], start=T + 10 * HOUR, end=T + 20 * HOUR)
    buckets = "SELECT extract(hour FROM bucket AT TIME ZONE 'UTC')::int FROM {} ORDER BY vehicle_id, bucket"

    for years in range(1, 8):
        await keep_house(connection, T + 365 * years * DAY, Limits())

    hours = [(9 + hour) % 24 for hour in range(10, 20)]
    assert await _column(connection, buckets.format("sample_1s")) == hours
    assert await _column(connection, buckets.format("sample_1m")) == hours


async def test_events_and_gaps_fall_after_their_time_unless_they_are_frozen(connection: AsyncConnection[Any]) -> None:
    for vehicle_id in ("drone-1", "drone-2"):
        await _event(connection, vehicle_id, T, "old")
        await _event(connection, vehicle_id, T + 40 * DAY, "new")
        await _gap(connection, vehicle_id, T - HOUR, T)
        await _gap(connection, vehicle_id, T + 40 * DAY, T + 41 * DAY)
    await freeze(connection, freeze_id="i-1", vehicle_ids=["drone-1"], start=T - HOUR / 2, end=T + HOUR)

    kept = await keep_house(connection, T + 31 * DAY, Limits(events_days=30))

    span = (T - DAY, T + 50 * DAY)
    assert [e.text for e in await history.events(connection, "drone-1", *span)] == ["new", "old"]
    assert [e.text for e in await history.events(connection, "drone-2", *span)] == ["new"]
    assert [len(await history.gaps(connection, v, *span)) for v in ("drone-1", "drone-2")] == [2, 1]
    assert (kept.events_dropped, kept.gaps_dropped) == (1, 1)


async def test_old_batch_identities_are_forgotten(connection: AsyncConnection[Any]) -> None:
    await _write(connection, _sample("drone-1", T))
    await connection.execute("UPDATE sample_batch SET written_wall = written_wall - interval '31 days'")
    await _write(connection, _sample("drone-1", T + HOUR, 1))

    kept = await keep_house(connection, T + DAY, Limits())

    assert kept.batches_forgotten == 1
    assert await _column(connection, "SELECT count(*) FROM sample_batch") == [1]
    assert await _hours(connection, "drone-1") == [0, 1]


async def test_the_latest_sample_of_a_vehicle_is_never_dropped(connection: AsyncConnection[Any]) -> None:
    await _write_hours(connection)

    await keep_house(connection, LATER, Limits())

    assert [sample.seq for sample in await store.latest(connection)] == [47, 47]


async def test_only_one_keeps_house_at_a_time(connection: AsyncConnection[Any], either_dsn: str) -> None:
    await _write_hours(connection)
    async with await AsyncConnection.connect(either_dsn, autocommit=True) as other:
        await other.execute("SELECT pg_advisory_lock(%s)", (0x6B656570,))

        busy = await keep_house(connection, LATER, Limits())

        assert busy == Kept(busy=True)
        assert len(await _hours(connection, "drone-1")) == 48
        await other.execute("SELECT pg_advisory_unlock(%s)", (0x6B656570,))
    assert (await keep_house(connection, LATER, Limits())).days_dropped >= 2


async def test_a_freeze_waits_for_the_day_that_is_being_dropped_and_nothing_is_half_kept(
    connection: AsyncConnection[Any], either_dsn: str
) -> None:
    await _write_hours(connection)
    await connection.execute("SET lock_timeout = '300ms'")
    async with await AsyncConnection.connect(either_dsn) as writer, writer.transaction():
        # Somebody is in the middle of freezing: the row is not to be seen yet.
        await freeze(writer, freeze_id="i-1", vehicle_ids=["drone-1"], start=T, end=T + 3 * HOUR)

        with pytest.raises(psycopg.errors.LockNotAvailable):
            await keep_house(connection, LATER, Limits())

    await keep_house(connection, LATER, Limits())
    assert await _hours(connection, "drone-1") == [0, 1, 2]


async def test_keeping_in_a_transaction_is_refused(connection: AsyncConnection[Any], either_dsn: str) -> None:
    async with await AsyncConnection.connect(either_dsn) as other:
        with pytest.raises(ValueError, match="autocommit"):
            await keep_house(other, T, Limits())


async def test_an_empty_period_cannot_be_frozen(connection: AsyncConnection[Any]) -> None:
    with pytest.raises(ValueError, match="end: a frozen period must end after its start"):
        await freeze(connection, freeze_id="i-1", vehicle_ids=["drone-1"], start=T, end=T)


@pytest.mark.parametrize(
    "days", [{"samples_days": 0}, {"events_days": 40_000}, {"samples_days": 400}, {"rollups_1s_days": 3000}]
)
def test_limits_that_make_no_sense_are_refused(days: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        Limits(**days)


async def test_old_rollups_are_compressed_and_say_the_same(connection: AsyncConnection[Any]) -> None:
    await _write_hours(connection)
    [continuous] = await _column(connection, "SELECT to_regclass('sample_1s_live') IS NOT NULL")
    before = await _column(connection, "SELECT r::text FROM sample_1s AS r ORDER BY vehicle_id, bucket")

    first = await keep_house(connection, T + 10 * DAY, Limits())
    second = await keep_house(connection, T + 10 * DAY, Limits())

    assert bool(first.chunks_compressed) == continuous
    assert second.chunks_compressed == 0
    assert await _column(connection, "SELECT r::text FROM sample_1s AS r ORDER BY vehicle_id, bucket") == before
    # A sample that comes late still finds its way in.
    await _write(connection, _sample("drone-1", T + HOUR + timedelta(seconds=5), 99))
    await keep_house(connection, T + 10 * DAY, Limits())
    assert await _column(connection, "SELECT count(*) FROM sample_1s") == [len(before) + 1]


async def test_housekeeping_keeps_telemetry_by_the_services_clock(database: Database) -> None:
    clock = Clock(Clock.real().now(), LATER, 10.0)
    async with await AsyncConnection.connect(database.dsn) as conn:
        await _write_hours(conn)

    kept = await keep_telemetry(database, clock, Limits(samples_days=99))

    async with database.transaction() as conn:
        assert (await _hours(conn, "drone-1"))[0] == 15, "the first day is gone, the second not yet"
    assert kept.days_dropped >= 1
