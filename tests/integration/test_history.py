"""What the store gives back: the newest of each vehicle, tracks that can be drawn, and events."""

from __future__ import annotations

import itertools
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection, sql

from telemetry import history, store
from telemetry.batch import Batch
from telemetry.event import VehicleEvent
from telemetry.row import to_event_row, to_row
from telemetry.sample import Sample
from telemetry.track import MOST_ROWS, TrackPoint, _from, track

T = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


@pytest.fixture
async def connection(either_dsn: str) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection whose rows are plain tuples, as opposed to the pool's, and whose zone is not UTC."""
    async with await AsyncConnection.connect(either_dsn, autocommit=True, options="-c timezone=Asia/Tokyo") as opened:
        yield opened


def _sample(second: float, vehicle_id: str = "drone-1", *, lat_e7: int | None = 1, seq: int = 0) -> Sample:
    return Sample(vehicle_id, T + second * SECOND, seq, 0, lat_e7=lat_e7, lon_e7=0)


async def _write(connection: AsyncConnection[Any], samples: Sequence[Sample]) -> None:
    await store.write_batch(connection, Batch([to_row(sample) for sample in samples]), writer="test")


async def _event(connection: AsyncConnection[Any], vehicle_id: str, t: datetime, severity: int, text: str) -> None:
    await connection.execute(
        "INSERT INTO vehicle_event (vehicle_id, t, severity, text) VALUES (%s, %s, %s, %s)",
        (vehicle_id, t, severity, text),
    )


def _seconds(samples: Sequence[Sample | TrackPoint]) -> list[float]:
    return [(sample.t - T).total_seconds() for sample in samples]


async def _track(
    connection: AsyncConnection[Any], vehicle_id: str, start: datetime, end: datetime, most: int
) -> list[TrackPoint]:
    found = await track(connection, vehicle_id, start, end, most)
    assert found.resolution == "samples"
    return found.points


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
    assert _seconds(await _track(connection, "drone-1", T, T + DAY, 10)) == [5, 10]


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

    found = await _track(connection, "drone-1", T, T + DAY, 3)

    assert found == [TrackPoint(T + second * SECOND, 1, 0, None, None, None) for second in (1, 2, 3)]


async def test_a_range_holds_its_start_and_not_its_end(connection: AsyncConnection[Any]) -> None:
    await _write(connection, [_sample(second) for second in range(5)])

    assert _seconds(await _track(connection, "drone-1", T + SECOND, T + 3 * SECOND, 10)) == [1, 2]
    assert await history.count(connection, "drone-1", T + SECOND, T + 3 * SECOND) == 2
    assert await history.count(connection, "drone-1", T, T) == 0
    assert await _track(connection, "drone-1", T, T, 10) == []


async def test_other_vehicles_are_not_in_a_track(connection: AsyncConnection[Any]) -> None:
    await _write(connection, [_sample(1), _sample(1, "robot-1")])

    assert await history.count(connection, "drone-1", T, T + DAY) == 1
    assert _seconds(await _track(connection, "robot-1", T, T + DAY, 10)) == [1]


@pytest.mark.parametrize("max_points", [2, 3, 7, 100, 999])
async def test_a_long_track_keeps_its_ends_and_the_corners_between(
    connection: AsyncConnection[Any], max_points: int
) -> None:
    corner = 613
    await _write(
        connection, [_sample(second, lat_e7=10_000 * min(second, 2 * corner - second)) for second in range(1000)]
    )

    found = _seconds(await _track(connection, "drone-1", T, T + 1000 * SECOND, max_points))

    assert len(found) == max_points
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0, 999)
    if max_points > 2:
        assert min(abs(second - corner) for second in found) <= 5


async def test_of_a_very_long_track_every_stretch_of_time_has_its_place(connection: AsyncConnection[Any]) -> None:
    await connection.execute(
        """INSERT INTO sample (vehicle_id, t, seq, vehicle_ms, lat_e7, lon_e7)
           SELECT 'drone-1', %s::timestamptz + n * interval '1 s', n, n, n, n FROM generate_series(0, %s) AS n""",
        (T, 2 * MOST_ROWS - 1),
    )
    silent = (T + 5000 * SECOND, T + 9000 * SECOND)
    await connection.execute("DELETE FROM sample WHERE t >= %s AND t < %s", silent)

    found = _seconds(await _track(connection, "drone-1", T, T + 2 * MOST_ROWS * SECOND, 200))

    assert len(found) == 200
    assert found[-1] == 2 * MOST_ROWS - 1
    assert not [second for second in found if 5000 <= second < 9000]
    steps = [after - before for before, after in itertools.pairwise(found)]
    assert sorted(steps)[-1] >= 4000, "nobody was heard"
    assert sorted(steps)[-2] < 3 * 16_000 / 200, "elsewhere the places lie close"


async def test_a_track_has_nothing_where_the_vehicle_was_silent(connection: AsyncConnection[Any]) -> None:
    await _write(connection, [_sample(second) for second in (*range(100), *range(900, 1000))])

    found = _seconds(await _track(connection, "drone-1", T, T + 1000 * SECOND, 10))

    assert len(found) == 10
    assert not [second for second in found if 99 < second < 900]


async def test_a_track_goes_through_midnight_and_through_days_without_partition(
    connection: AsyncConnection[Any],
) -> None:
    await store.ensure_partitions(connection, T)
    await _write(connection, [_sample(3600 * hour) for hour in range(24 * 14)])

    found = _seconds(await _track(connection, "drone-1", T, T + 14 * DAY, 24 * 14))

    assert found == [3600 * hour for hour in range(24 * 14)]


async def test_samples_without_a_position_are_counted_but_not_in_a_track(
    connection: AsyncConnection[Any],
) -> None:
    await _write(connection, [_sample(second, lat_e7=None if second % 2 else 1) for second in range(20)])

    found = await _track(connection, "drone-1", T, T + 20 * SECOND, 50)

    assert _seconds(found) == list(range(0, 20, 2))
    assert await history.count(connection, "drone-1", T, T + DAY) == 20


@pytest.mark.parametrize(("end", "points", "says"), [(T, 1, "max_points"), (T - SECOND, 5, "before it starts")])
async def test_a_question_that_makes_no_sense_is_refused(
    connection: AsyncConnection[Any], end: datetime, points: int, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        await _track(connection, "drone-1", T, end, points)


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
        """INSERT INTO sample (vehicle_id, t, seq, vehicle_ms, lat_e7, lon_e7)
           SELECT 'drone-' || mod(n, 4), %(start)s::timestamptz + n * interval '0.1 s', n, n, n, n
           FROM generate_series(1, 200000) AS n""",
        {"start": T},
    )
    await connection.execute("ANALYZE sample")
    values = {"vehicle_id": "drone-1", "start": T, "end": T + 20_000 * SECOND, "buckets": 100, "width_s": 200.0}

    cursor = await connection.execute(
        sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) ") + _from("track_buckets", "samples"), values
    )
    row = await cursor.fetchone()

    assert row is not None
    assert _rows_read(row[0][0]["Plan"]) <= 2 * 100
    assert len(await _track(connection, "drone-1", T, T + 20000 * SECOND, 100)) == 100


async def test_events_come_newest_first_and_bounded(connection: AsyncConnection[Any]) -> None:
    said = [VehicleEvent("drone-1", T + second * SECOND, severity=4, text=f"event {second}") for second in range(5)]
    wheel = VehicleEvent("robot-1", T, severity=2, text="wheel")
    await store.write_batch(connection, Batch([], [to_event_row(event) for event in (*said, wheel)]), writer="test")

    found = await history.events(connection, "drone-1", T, T + 4 * SECOND, limit=2)

    assert [(event.text, event.severity) for event in found] == [("event 3", 4), ("event 2", 4)]


async def test_old_batch_identities_can_be_forgotten_without_losing_samples(
    connection: AsyncConnection[Any],
) -> None:
    await _write(connection, [_sample(1)])
    await connection.execute("UPDATE sample_batch SET written_wall = written_wall - interval '40 days'")
    await _write(connection, [_sample(2)])

    assert await store.forget_batches(connection, timedelta(days=30)) == 1
    assert await history.count(connection, "drone-1", T, T + DAY) == 2


async def test_every_sample_of_a_flight_is_read_in_order_and_a_page_at_a_time(connection: AsyncConnection[Any]) -> None:
    count = 2 * history.PAGE + 10
    await _write(connection, [_sample(second, seq=second) for second in range(count)])
    await _write(connection, [_sample(5, "robot-1")])

    found = [sample async for sample in history.samples(connection, "drone-1", T + SECOND, T + DAY)]

    assert found == [_sample(second, seq=second) for second in range(1, count)]


async def test_reading_may_end_before_the_end(connection: AsyncConnection[Any]) -> None:
    await _write(connection, [_sample(second) for second in range(100)])

    async with aclosing(history.samples(connection, "drone-1", T, T + DAY)) as reading:
        first = await anext(reading)

    assert first == _sample(0)
    assert await history.count(connection, "drone-1", T, T + DAY) == 100


async def test_a_replay_shows_the_newest_sample_of_each_vehicle_in_each_step(connection: AsyncConnection[Any]) -> None:
    await _write(
        connection, [_sample(0.25 * n, vehicle, seq=n) for n in range(80) for vehicle in ("drone-1", "robot-1")]
    )

    lists = [rows async for rows in history.replay_rows(connection, None, T, T + 19.9 * SECOND, every_s=1)]

    shown = [(sample.t, sample.vehicle_id) for rows in lists for sample in rows]
    assert shown == [(T + (second + 0.75) * SECOND, v) for second in range(20) for v in ("drone-1", "robot-1")]


async def test_a_slow_replay_shows_every_sample_of_the_vehicles_asked_for(connection: AsyncConnection[Any]) -> None:
    await _write(connection, [_sample(n, vehicle, seq=n) for n in range(60) for vehicle in ("drone-1", "robot-1")])

    lists = [rows async for rows in history.replay_rows(connection, ["robot-1"], T + SECOND, T + DAY / 24, every_s=0.2)]

    assert [sample for rows in lists for sample in rows] == [_sample(n, "robot-1", seq=n) for n in range(1, 60)]


async def test_the_lists_of_a_replay_are_bounded_and_never_empty(connection: AsyncConnection[Any]) -> None:
    await _write(connection, [_sample(n) for n in (*range(3000), *range(20_000, 23_000))])

    sizes = [len(rows) async for rows in history.replay_rows(connection, None, T, T + DAY, every_s=1)]

    assert sum(sizes) == 6000
    assert min(sizes) > 0
    assert max(sizes) <= history.LOOKS_AT_ONCE


@pytest.mark.parametrize("every_s", [0.0, -1.0, math.nan, math.inf])
async def test_a_replay_in_no_steps_is_refused(connection: AsyncConnection[Any], every_s: float) -> None:
    with pytest.raises(ValueError, match="every_s"):
        await anext(history.replay_rows(connection, None, T, T + DAY, every_s=every_s))


async def test_the_state_before_a_moment_is_the_newest_of_each_vehicle_that_is_not_too_old(
    connection: AsyncConnection[Any],
) -> None:
    await _write(connection, [_sample(n, seq=n) for n in range(10)] + [_sample(-100, "robot-1"), _sample(3, "robot-2")])
    await _write(connection, [_sample(500, "robot-1")])

    found = await history.state_at(connection, None, T + 5 * SECOND, within_s=60)

    assert found == [_sample(3, "robot-2"), _sample(4, seq=4)]


async def test_gaps_that_touch_a_time_come_newest_first(connection: AsyncConnection[Any]) -> None:
    for minute in range(4):
        await connection.execute(
            "INSERT INTO telemetry_gap (vehicle_id, began_at, ended_at, cause, samples) VALUES (%s, %s, %s, %s, %s)",
            ("drone-1", T + 60 * minute * SECOND, T + (60 * minute + 30) * SECOND, "dropped", minute),
        )

    found = await history.gaps(connection, "drone-1", T + 70 * SECOND, T + 121 * SECOND)

    assert [gap.samples for gap in found] == [2, 1]
    assert found[0] == history.Gap("drone-1", T + 120 * SECOND, T + 150 * SECOND, "dropped", 2)
    assert await history.gaps(connection, "robot-1", T, T + DAY) == []
