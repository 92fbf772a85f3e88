"""Charts and areas: lowest and highest of each stretch, and who was where, from samples and from rollups alike."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from psycopg import AsyncConnection

from routing.errors import BadInput
from telemetry import area, store
from telemetry.batch import Batch
from telemetry.downsample import largest_triangles
from telemetry.keeping import Limits, keep_house
from telemetry.row import to_row
from telemetry.sample import Sample
from telemetry.series import FIELDS, series
from telemetry.track import MOST_ROWS, TrackPoint, _as_line, track

T = datetime(2026, 4, 1, 9, 0, tzinfo=UTC)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
async def connection(either_dsn: str) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection to a migrated database of either kind; its zone is not UTC."""
    options = "-c timezone=Asia/Tokyo"
    async with await AsyncConnection.connect(either_dsn, autocommit=True, options=options) as opened:
        yield opened


def _flying(number: int, vehicle_id: str = "drone-1") -> Sample:
    """Eastwards along 35 N at 10 m/s or so, up and down meanwhile; a sample every half second."""
    return Sample(
        vehicle_id,
        T + number * SECOND / 2,
        number,
        0,
        lat_e7=350_000_000,
        lon_e7=1_380_000_000 + 500 * number,
        alt_amsl_cm=round(10_000 + 5_000 * math.sin(number / 90)),
        alt_home_cm=None if number % 7 else number,
        vel_n_cms=300,
        vel_e_cms=400 + number % 50,
        vel_d_cms=number % 201 - 100,
        battery_pct_x10=1000 - number // 10,
        wind_n_cms=0,
        wind_e_cms=-number % 300,
    )


FLIGHT = [_flying(number) for number in range(2400)]  # 20 minutes


async def _write(connection: AsyncConnection[Any], samples: list[Sample]) -> None:
    await store.write_batch(connection, Batch([to_row(sample) for sample in samples]), writer="test")


def _value(sample: Sample, field: str) -> float | None:
    if field == "speed":
        return math.hypot(sample.vel_n_cms or 0, sample.vel_e_cms or 0) / 100
    if field == "wind":
        return math.hypot(sample.wind_n_cms or 0, sample.wind_e_cms or 0) / 100
    if field == "climb":
        return -(sample.vel_d_cms or 0) / 100
    stored = getattr(sample, FIELDS[field].column)
    return None if stored is None else stored / FIELDS[field].scale


def _expected(field: str, start: datetime, end: datetime, width_s: float) -> list[tuple[datetime, Any, Any]]:
    def number(t: datetime) -> int:
        return math.floor((t - T) / timedelta(seconds=width_s))

    stretches: dict[int, list[float]] = {}
    for sample in FLIGHT:
        value = _value(sample, field)
        if value is not None and number(start) <= number(sample.t) <= number(end - timedelta(microseconds=1)):
            stretches.setdefault(number(sample.t), []).append(value)
    width = timedelta(seconds=width_s)
    return [(T + n * width, pytest.approx(min(v)), pytest.approx(max(v))) for n, v in sorted(stretches.items())]


@pytest.mark.parametrize("field", ["alt_amsl", "alt_home", "speed", "climb", "battery", "wind"])
@pytest.mark.parametrize(
    ("minutes", "points", "width_s", "resolution"), [(1, 200, 0.5, "samples"), (10, 100, 10, "1s"), (20, 5, 300, "1m")]
)
async def test_a_chart_has_the_lowest_and_highest_of_each_stretch(
    connection: AsyncConnection[Any], field: str, minutes: int, points: int, width_s: float, resolution: str
) -> None:
    await _write(connection, FLIGHT)
    await keep_house(connection, T + 12 * MINUTE, Limits())
    start, end = T + 0.4 * SECOND, T + minutes * MINUTE

    found = await series(connection, "drone-1", field, start, end, points)

    assert (found.width_s, found.resolution) == (width_s, resolution)
    assert [(each.t, each.lowest, each.highest) for each in found.stretches] == _expected(field, start, end, width_s)
    assert len(found.stretches) <= points + 1


async def test_a_chart_of_samples_that_are_gone_is_made_of_rollups(connection: AsyncConnection[Any]) -> None:
    await _write(connection, FLIGHT)
    await keep_house(connection, T + 100 * DAY, Limits())

    seconds = await series(connection, "drone-1", "alt_amsl", T, T + MINUTE, 1000)
    await keep_house(connection, T + 500 * DAY, Limits())
    minutes = await series(connection, "drone-1", "alt_amsl", T, T + 10 * MINUTE, 1000)

    assert (seconds.width_s, minutes.width_s) == (1, 60)
    for found, end in ((seconds, T + MINUTE), (minutes, T + 10 * MINUTE)):
        expected = _expected("alt_amsl", T, end, found.width_s)
        assert [(each.t, each.lowest, each.highest) for each in found.stretches] == expected


async def test_a_track_of_samples_that_are_gone_is_made_of_what_is_left(connection: AsyncConnection[Any]) -> None:
    await _write(connection, FLIGHT)
    recent = [Sample("drone-1", T + 60 * DAY + n * SECOND, n, 0, lat_e7=1, lon_e7=1) for n in range(10)]
    await _write(connection, recent)
    span = (T, T + 61 * DAY)

    await keep_house(connection, T + 100 * DAY, Limits())
    seconds = await track(connection, "drone-1", *span, 10_000)
    await keep_house(connection, T + 120 * DAY, Limits(rollups_1s_days=90))
    minutes = await track(connection, "drone-1", *span, 10_000)

    recently = [(sample.t, 1) for sample in recent]
    last_of_seconds = [(s.t, s.lon_e7) for s in FLIGHT if s.seq % 2 == 1]
    last_of_minutes = [(s.t, s.lon_e7) for s in FLIGHT if s.seq % 120 == 119]
    assert [(p.t, p.lon_e7) for p in seconds.points] == last_of_seconds + recently
    assert [(p.t, p.lon_e7) for p in minutes.points] == last_of_minutes + recently
    assert (seconds.resolution, minutes.resolution) == ("1s", "1m")


@pytest.mark.parametrize(("max_points", "width_s"), [(30, 60), (500, 5)])
async def test_a_long_track_is_made_of_the_last_places_of_equal_stretches(
    connection: AsyncConnection[Any], max_points: int, width_s: int
) -> None:
    """Whether the database keeps rollups or looks each stretch up."""
    count = 2 * MOST_ROWS
    await connection.execute(
        """INSERT INTO sample (vehicle_id, t, seq, vehicle_ms, lat_e7, lon_e7, alt_amsl_cm, battery_pct_x10)
           SELECT 'drone-1', %s::timestamptz + n * interval '150 ms', n, n,
               CASE WHEN n %% 9 <> 0 THEN n * n %% 7919 END, n * 13 %% 6101, n, CASE WHEN n %% 4 = 0 THEN n END
           FROM generate_series(0, %s - 1) AS n""",
        (T, count),
    )
    await keep_house(connection, T + 40 * MINUTE, Limits())
    start, end = T + 0.7 * SECOND, T + 49 * MINUTE + 3.3 * SECOND
    last: dict[int, TrackPoint] = {}
    for n in range(count):
        t = T + n * 0.15 * SECOND
        if n % 9 and start <= t < end:
            battery = None if n % 4 else n
            place = TrackPoint(t, n * n % 7919, n * 13 % 6101, n, None, battery)
            last[math.floor((t - T) / timedelta(seconds=width_s))] = place
    expected = list(last.values())

    found = await track(connection, "drone-1", start, end, max_points)

    assert found.points == [expected[i] for i in largest_triangles(_as_line(expected), max_points)]
    assert len(found.points) == max_points < len(expected)


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ({"field": "altitude"}, "field: must be one of alt_amsl"),
        ({"max_points": 1}, "max_points"),
        ({"end": T - SECOND}, "before it starts"),
        ({"end": T + 36_500 * DAY, "max_points": 2}, "too long"),
    ],
)
async def test_a_chart_that_makes_no_sense_is_refused(
    connection: AsyncConnection[Any], question: dict[str, Any], says: str
) -> None:
    whole: dict[str, Any] = {"field": "speed", "start": T, "end": T + DAY, "max_points": 10} | question
    with pytest.raises(ValueError, match=says):
        await series(connection, "drone-1", **whole)


LONGER = {"samples": timedelta(minutes=15), "1s": timedelta(hours=20), "1m": timedelta(days=20)}


@pytest.mark.parametrize("resolution", LONGER)
async def test_who_flew_through_an_area_is_found_with_time_and_height(
    connection: AsyncConnection[Any], resolution: str
) -> None:
    await _write(connection, FLIGHT)
    await _write(connection, [Sample("robot-1", T + n * SECOND, n, 0, lat_e7=360_000_000, lon_e7=1) for n in range(99)])
    await keep_house(connection, T + 30 * MINUTE, Limits())
    # From where the drone is after 100 s to where it is after 200 s.
    box = area.box_of(138.01, 34.99, 138.02, 35.01)

    found = await area.within(connection, box, T, T + LONGER[resolution])

    [only] = found.passes
    inside = [s for s in FLIGHT if 1_380_100_000 <= (s.lon_e7 or 0) <= 1_380_200_000]
    slack = MINUTE if resolution == "1m" else SECOND
    assert (only.vehicle_id, found.resolution, found.complete) == ("drone-1", resolution, True)
    assert inside[0].t - slack <= only.entered_at <= inside[0].t
    assert inside[-1].t <= only.left_at <= inside[-1].t + slack
    lowest, highest = (pick(s.alt_amsl_cm or 0 for s in inside) for pick in (min, max))
    assert (only.lowest_amsl_cm or lowest) <= lowest
    assert (only.highest_amsl_cm or 0) >= highest
    if resolution == "samples":
        assert [place.t for place in only.places] == [sample.t for sample in inside]
        assert (only.lowest_amsl_cm, only.highest_amsl_cm) == (lowest, highest)


async def test_a_polygon_leaves_out_what_its_box_has(connection: AsyncConnection[Any]) -> None:
    await _write(connection, FLIGHT)
    # The box around it holds the flight's first 200 s; the triangle itself the second 100 s of them.
    triangle = area.polygon_of([(35.01, 138.02), (34.99, 138.02), (35.0, 138.01)])

    found = await area.within(connection, triangle, T, T + 10 * MINUTE)

    assert [place.lon_e7 for each in found.passes for place in each.places] == [
        s.lon_e7 for s in FLIGHT if 1_380_100_000 <= (s.lon_e7 or 0) <= 1_380_200_000
    ]


async def test_two_visits_are_two_passes(connection: AsyncConnection[Any]) -> None:
    there = [Sample("drone-1", T + s * SECOND, s, 0, lat_e7=0, lon_e7=0) for s in (*range(10), *range(60, 70))]
    away = [Sample("drone-1", T + s * SECOND, s, 0, lat_e7=10**8, lon_e7=0) for s in range(10, 60)]
    await _write(connection, there + away)

    found = await area.within(connection, area.box_of(-1, -1, 1, 1), T, T + 5 * MINUTE)

    stays = [(each.entered_at, each.left_at) for each in found.passes]
    assert stays == [(T, T + 9 * SECOND), (T + 60 * SECOND, T + 69 * SECOND)]
    assert found.passes[0].lowest_amsl_cm is None


async def test_more_places_than_are_looked_at_are_said_to_be_more(connection: AsyncConnection[Any]) -> None:
    await connection.execute(
        """INSERT INTO sample (vehicle_id, t, seq, vehicle_ms, lat_e7, lon_e7)
           SELECT 'drone-1', %s::timestamptz + n * interval '10 ms', n, n, 0, 0 FROM generate_series(0, %s) AS n""",
        (T, area.MOST_ROWS),
    )
    await connection.execute("INSERT INTO latest_sample SELECT * FROM sample ORDER BY t DESC LIMIT 1")
    box = area.box_of(-1, -1, 1, 1)

    assert not (await area.within(connection, box, T, T + 10 * MINUTE)).complete
    assert (await area.within(connection, box, T, T + MINUTE)).complete


async def test_too_long_a_time_is_refused(connection: AsyncConnection[Any]) -> None:
    with pytest.raises(ValueError, match="31 days"):
        await area.within(connection, area.box_of(-1, -1, 1, 1), T, T + 32 * DAY)


BOW_TIE = [(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)]


@pytest.mark.parametrize(
    ("corners", "says"),
    [
        ([(0.0, 0.0), (1.0, 1.0)], "3 to 1000 corners"),
        ([(0.0, 0.0)] * 1001, "3 to 1000 corners"),
        (BOW_TIE, "Self-intersection"),
        ([(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)], "polygon"),
        ([(0.0, 0.0), (1.0, math.nan), (2.0, 0.0)], "corner 2"),
        ([(0.0, 0.0), (1.0, 1.0), (91.0, 0.0)], "corner 3"),
    ],
)
def test_an_area_that_is_none_is_refused(corners: list[tuple[float, float]], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        area.polygon_of(corners)


@pytest.mark.parametrize("box", [(1, 0, 0, 1), (0, 1, 1, 0), (0, 0, np.nan, 1), (0, 0, 181, 1), (0, 0, 0, 0)])
def test_a_box_that_is_none_is_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(BadInput, match="bbox"):
        area.box_of(*box)
