"""What the store gives back: the newest of each vehicle, tracks that can be drawn, and events."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from telemetry import history, store
from telemetry.batch import Batch
from telemetry.row import to_row
from telemetry.sample import Sample
from telemetry.sqlfile import statements

T = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection whose rows are plain tuples, as opposed to the pool's, and whose zone is not UTC."""
    async with await AsyncConnection.connect(dsn, autocommit=True, options="-c timezone=Asia/Tokyo") as opened:
        yield opened


def _sample(second: float, vehicle_id: str = "drone-1", *, lat_e7: int | None = 1, seq: int = 0) -> Sample:
    return Sample(vehicle_id, T + second * SECOND, seq, 0, lat_e7=lat_e7)


async def _write(connection: AsyncConnection[Any], samples: Sequence[Sample]) -> None:
    await store.write_batch(connection, Batch([to_row(sample) for sample in samples]), writer="test")


def _seconds(samples: Sequence[Sample]) -> list[float]:
    return [(sample.t - T).total_seconds() for sample in samples]


async def test_the_latest_sample_of_each_vehicle_is_returned(connection: AsyncConnection[Any]) -> None:
    await _write(connection, [_sample(1), _sample(3), _sample(2), _sample(1, "robot-1")])
    await _write(connection, [_sample(2, "robot-1")])

    assert await store.latest(connection) == [_sample(3), _sample(2, "robot-1")]


async def test_the_latest_of_some_vehicles_only(connection: AsyncConnection[Any]) -> None:
    await _write(connection, [_sample(1), _sample(1, "robot-1"), _sample(1, "robot-2")])

    found = await store.latest(connection, ["robot-2", "drone-1", "never-heard"])

    assert [sample.vehicle_id for sample in found] == ["drone-1", "robot-2"]
    assert await store.latest(connection, []) == []


async def test_a_sample_that_arrives_late_is_in_the_history_and_not_the_latest(
    connection: AsyncConnection[Any],
) -> None:
    await _write(connection, [_sample(10, lat_e7=10)])
    await _write(connection, [_sample(5, lat_e7=5)])

    assert [sample.lat_e7 for sample in await store.latest(connection)] == [10]
    assert _seconds(await history.track(connection, "drone-1", T, T + DAY, 10)) == [5, 10]


async def test_of_two_samples_of_one_moment_the_one_with_the_higher_number_is_the_latest(
    connection: AsyncConnection[Any],
) -> None:
    await _write(connection, [_sample(1, seq=8), _sample(1, seq=7)])
    await _write(connection, [_sample(1, seq=6)])

    assert [sample.seq for sample in await store.latest(connection)] == [8]


async def test_a_newer_sample_that_says_less_does_not_keep_old_values(connection: AsyncConnection[Any]) -> None:
    await _write(connection, [_sample(1, lat_e7=7)])
    await _write(connection, [_sample(2, lat_e7=None)])

    assert await store.latest(connection) == [_sample(2, lat_e7=None)]


async def test_a_short_track_is_returned_whole_and_in_order(connection: AsyncConnection[Any]) -> None:
    await _write(connection, [_sample(second) for second in (3, 1, 2)])

    assert await history.track(connection, "drone-1", T, T + DAY, 3) == [_sample(1), _sample(2), _sample(3)]


async def test_a_range_holds_its_start_and_not_its_end(connection: AsyncConnection[Any]) -> None:
    await _write(connection, [_sample(second) for second in range(5)])

    assert _seconds(await history.track(connection, "drone-1", T + SECOND, T + 3 * SECOND, 10)) == [1, 2]
    assert await history.count(connection, "drone-1", T + SECOND, T + 3 * SECOND) == 2
    assert await history.count(connection, "drone-1", T, T) == 0
    assert await history.track(connection, "drone-1", T, T, 10) == []


async def test_other_vehicles_are_not_in_a_track(connection: AsyncConnection[Any]) -> None:
    await _write(connection, [_sample(1), _sample(1, "robot-1")])

    assert await history.count(connection, "drone-1", T, T + DAY) == 1
    assert [s.vehicle_id for s in await history.track(connection, "robot-1", T, T + DAY, 10)] == ["robot-1"]


@pytest.mark.parametrize("max_points", [1, 2, 3, 7, 100, 999])
async def test_a_long_track_has_the_last_sample_of_each_bucket(
    connection: AsyncConnection[Any], max_points: int
) -> None:
    await _write(connection, [_sample(second) for second in range(1000)])

    found = _seconds(await history.track(connection, "drone-1", T, T + 1000 * SECOND, max_points))

    buckets = {math.floor(second * max_points / 1000): second for second in range(1000)}
    assert found == sorted(buckets.values())
    assert len(found) == max_points
    assert found[-1] == 999


async def test_a_track_has_nothing_where_the_vehicle_was_silent(connection: AsyncConnection[Any]) -> None:
    seconds = [*range(100), *range(900, 1000)]
    await _write(connection, [_sample(second) for second in seconds])

    found = _seconds(await history.track(connection, "drone-1", T, T + 1000 * SECOND, 10))

    assert found == [99, 999]


async def test_a_track_goes_through_midnight_and_through_days_without_partition(
    connection: AsyncConnection[Any],
) -> None:
    await store.ensure_partitions(connection, T)
    await _write(connection, [_sample(3600 * hour) for hour in range(24 * 14)])

    found = _seconds(await history.track(connection, "drone-1", T, T + 14 * DAY, 14))

    assert found == [3600 * (24 * day + 23) for day in range(14)]


async def test_samples_without_a_position_are_counted_but_not_in_a_track(
    connection: AsyncConnection[Any],
) -> None:
    await _write(connection, [_sample(second, lat_e7=None if second % 2 else 1) for second in range(20)])

    found = await history.track(connection, "drone-1", T, T + 20 * SECOND, 5)

    assert _seconds(found) == [2, 6, 10, 14, 18]
    assert await history.count(connection, "drone-1", T, T + DAY) == 20


async def test_more_points_than_microseconds_is_no_difficulty(connection: AsyncConnection[Any]) -> None:
    await _write(connection, [_sample(0, seq=number) for number in range(20)])

    found = await history.track(connection, "drone-1", T, T + timedelta(microseconds=3), 10)

    assert [sample.seq for sample in found] == [19]


@pytest.mark.parametrize(("end", "points", "says"), [(T, 0, "max_points"), (T - SECOND, 5, "before it starts")])
async def test_a_question_that_makes_no_sense_is_refused(
    connection: AsyncConnection[Any], end: datetime, points: int, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        await history.track(connection, "drone-1", T, end, points)


def _rows_read(plan: dict[str, Any]) -> float:
    """Return how many rows all scans of tables below a node of a plan looked at."""
    below = sum(_rows_read(child) for child in plan.get("Plans", ()))
    if below or "Relation Name" not in plan:
        return below  # a hypertable's node names its table too, above the scans of its chunks
    return float((plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"])


async def test_a_down_sampled_track_reads_few_rows_however_many_there_are(
    connection: AsyncConnection[Any],
) -> None:
    await store.ensure_partitions(connection, T)
    await connection.execute(
        """INSERT INTO sample (vehicle_id, t, seq, vehicle_ms, lat_e7)
           SELECT 'drone-' || mod(n, 4), %(start)s::timestamptz + n * interval '0.1 s', n, n, n
           FROM generate_series(1, 200000) AS n""",
        {"start": T},
    )
    await connection.execute("ANALYZE sample")
    bounds = [T + second * SECOND for second in range(0, 20001, 200)]
    explain = "EXPLAIN (ANALYZE, FORMAT JSON) " + statements("telemetry.sql", "history.sql")["track_buckets"]

    cursor = await connection.execute(
        explain.encode(), {"vehicle_id": "drone-1", "lows": bounds[:-1], "highs": bounds[1:]}
    )
    row = await cursor.fetchone()

    assert row is not None
    assert _rows_read(row[0][0]["Plan"]) <= 2 * 100
    assert len(await history.track(connection, "drone-1", T, T + 20000 * SECOND, 100)) == 100


async def test_events_come_newest_first_and_bounded(connection: AsyncConnection[Any]) -> None:
    for second in range(5):
        await store.add_event(connection, "drone-1", T + second * SECOND, severity=4, text=f"event {second}")
    await store.add_event(connection, "robot-1", T, severity=2, text="wheel")

    found = await history.events(connection, "drone-1", T, T + 4 * SECOND, limit=2)

    assert [(event.text, event.severity) for event in found] == [("event 3", 4), ("event 2", 4)]


async def test_an_event_of_no_known_severity_is_refused(connection: AsyncConnection[Any]) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        await store.add_event(connection, "drone-1", T, severity=8, text="?")


async def test_old_batch_identities_can_be_forgotten_without_losing_samples(
    connection: AsyncConnection[Any],
) -> None:
    await _write(connection, [_sample(1)])
    await connection.execute("UPDATE sample_batch SET written_wall = written_wall - interval '40 days'")
    await _write(connection, [_sample(2)])

    assert await store.forget_batches(connection, timedelta(days=30)) == 1
    assert await history.count(connection, "drone-1", T, T + DAY) == 2
