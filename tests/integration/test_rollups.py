"""Rollups of seconds and minutes: the same on TimescaleDB and without, and what a computation in Python gives."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from telemetry import store
from telemetry.batch import Batch
from telemetry.keeping import Limits, keep_house
from telemetry.row import to_row
from telemetry.sample import Sample

T = datetime(2026, 4, 1, 23, 50, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
WIDTHS = {"sample_1s": SECOND, "sample_1m": timedelta(minutes=1)}


@pytest.fixture
async def connection(either_dsn: str) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection to a migrated database of either kind; its zone is not UTC."""
    options = "-c timezone=Asia/Tokyo"
    async with await AsyncConnection.connect(either_dsn, autocommit=True, options=options) as opened:
        yield opened


def _sample(number: int, chance: random.Random) -> Sample:
    def perhaps(low: int, high: int) -> int | None:
        return chance.randint(low, high) if chance.random() < 0.8 else None

    has_place = chance.random() < 0.9
    return Sample(
        vehicle_id=f"drone-{number % 3}",
        t=T + 0.21 * number * SECOND + chance.choice((0, 0, 400)) * SECOND,
        seq=number,
        vehicle_ms=number,
        lat_e7=chance.randint(350_000_000, 360_000_000) if has_place else None,
        lon_e7=chance.randint(-10_000_000, 10_000_000) if has_place else None,
        alt_amsl_cm=perhaps(-100, 100_000),
        alt_home_cm=perhaps(-100, 10_000),
        vel_n_cms=perhaps(-1500, 1500),
        vel_e_cms=perhaps(-(2**31), 2**31 - 1),
        vel_d_cms=perhaps(-300, 300),
        heading_cdeg=perhaps(0, 35_999),
        battery_pct_x10=perhaps(0, 1000),
        voltage_mv=perhaps(20_000, 25_000),
        current_ca=perhaps(-100, 4000),
        wind_n_cms=perhaps(-900, 900),
        wind_e_cms=perhaps(-900, 900),
        link_pct_x10=perhaps(0, 1000),
        step=perhaps(0, 9),
        mode=chance.choice((None, "MISSION", "HOLD")),
        armed=chance.choice((None, True, False)),
        on_ground=chance.choice((None, True, False)),
        mission_id=chance.choice((None, "m-1", "m-2")),
    )


SAMPLES = [_sample(number, random.Random(number)) for number in range(1500)]
# Two samples of one moment: the number decides which is the last.
SAMPLES += [
    Sample("drone-0", T, 9000 - seq, 0, lat_e7=seq, lon_e7=seq, battery_pct_x10=seq, step=seq) for seq in (1, 2)
]


def _speed(north: int | None, east: int | None) -> float | None:
    return None if north is None or east is None else math.hypot(north, east)


def _rolled_up(samples: Iterable[Sample], width: timedelta) -> list[dict[str, Any]]:
    """What the rollups must be, from the meaning of their names."""
    groups: dict[tuple[str, datetime], list[Sample]] = {}
    for sample in sorted(samples, key=lambda each: (each.vehicle_id, each.t, each.seq)):
        midnight = datetime(2026, 1, 1, tzinfo=UTC)
        bucket = sample.t - (sample.t - midnight) % width
        groups.setdefault((sample.vehicle_id, bucket), []).append(sample)
    return [_row(vehicle_id, bucket, of_bucket) for (vehicle_id, bucket), of_bucket in groups.items()]


def _row(vehicle_id: str, bucket: datetime, samples: list[Sample]) -> dict[str, Any]:
    def said(value: Callable[[Sample], Any]) -> list[Any]:
        return [found for sample in samples if (found := value(sample)) is not None]

    places = [sample for sample in samples if sample.lat_e7 is not None]
    first = places[0] if places else Sample(vehicle_id, T, 0, 0)
    last = places[-1] if places else Sample(vehicle_id, T, 0, 0)
    row: dict[str, Any] = {
        "vehicle_id": vehicle_id,
        "bucket": bucket,
        "samples": len(samples),
        "first_t": samples[0].t,
        "last_t": samples[-1].t,
        "last_place_t": last.t if places else None,
        "first_lat_e7": first.lat_e7,
        "first_lon_e7": first.lon_e7,
        "first_alt_amsl_cm": first.alt_amsl_cm,
        "last_lat_e7": last.lat_e7,
        "last_lon_e7": last.lon_e7,
        "last_alt_amsl_cm": last.alt_amsl_cm,
        "last_alt_home_cm": last.alt_home_cm,
        "last_heading_cdeg": last.heading_cdeg,
        "last_place_battery_pct_x10": last.battery_pct_x10,
    }
    ranges: dict[str, Callable[[Sample], Any]] = {
        "lat_e7": lambda s: s.lat_e7,
        "lon_e7": lambda s: s.lon_e7,
        "alt_amsl_cm": lambda s: s.alt_amsl_cm,
        "alt_home_cm": lambda s: s.alt_home_cm,
        "speed_cms": lambda s: _speed(s.vel_n_cms, s.vel_e_cms),
        "vel_d_cms": lambda s: s.vel_d_cms,
        "battery_pct_x10": lambda s: s.battery_pct_x10,
        "voltage_mv": lambda s: s.voltage_mv,
        "current_ca": lambda s: s.current_ca,
        "link_pct_x10": lambda s: s.link_pct_x10,
        "wind_cms": lambda s: _speed(s.wind_n_cms, s.wind_e_cms),
    }
    for name, value in ranges.items():
        row[f"min_{name}"] = min(said(value), default=None)
        row[f"max_{name}"] = max(said(value), default=None)
    altitudes = said(lambda s: s.alt_amsl_cm)
    row["avg_alt_amsl_cm"] = sum(altitudes) / len(altitudes) if altitudes else None
    lasts: dict[str, Callable[[Sample], Any]] = {
        "last_battery_pct_x10": lambda s: s.battery_pct_x10,
        "last_mode": lambda s: s.mode,
        "last_mission_id": lambda s: s.mission_id,
        "last_step": lambda s: s.step,
    }
    row |= {name: (said(value) or [None])[-1] for name, value in lasts.items()}
    armed, on_ground = said(lambda s: s.armed), said(lambda s: s.on_ground)
    return row | {"any_armed": any(armed) if armed else None, "all_on_ground": all(on_ground) if on_ground else None}


async def _write(connection: AsyncConnection[Any], samples: Sequence[Sample]) -> None:
    await store.write_batch(connection, Batch([to_row(sample) for sample in samples]), writer="test")


async def _rollups(connection: AsyncConnection[Any], source: str) -> list[dict[str, Any]]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"SELECT * FROM {source} ORDER BY vehicle_id, bucket".encode())
        return await cursor.fetchall()


def _assert_same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == {name: pytest.approx(v) if isinstance(v, float) else v for name, v in theirs.items()}


@pytest.mark.parametrize("name", WIDTHS)
async def test_rollups_are_what_python_makes_of_the_samples(connection: AsyncConnection[Any], name: str) -> None:
    expected = _rolled_up(SAMPLES, WIDTHS[name])
    await store.ensure_partitions(connection, T)
    await _write(connection, SAMPLES)

    at_once = await _rollups(connection, name)
    await keep_house(connection, T + DAY, Limits())
    kept = await _rollups(connection, name)

    _assert_same(at_once, expected)
    _assert_same(kept, expected)


@pytest.mark.parametrize("name", WIDTHS)
async def test_rollups_of_one_vehicle_and_time_are_those_that_begin_in_it(
    connection: AsyncConnection[Any], name: str
) -> None:
    await _write(connection, SAMPLES)
    await keep_house(connection, T + timedelta(minutes=4), Limits())
    low, high = T + 59.5 * SECOND, T + 240 * SECOND

    found = await _rollups(connection, f"{name}_of('drone-1', '{low}', '{high}')")

    everything = _rolled_up([s for s in SAMPLES if s.vehicle_id == "drone-1"], WIDTHS[name])
    _assert_same(found, [row for row in everything if low <= row["bucket"] < high])
    assert found


async def test_samples_that_come_late_are_in_the_rollups_after_the_next_round(connection: AsyncConnection[Any]) -> None:
    late = [sample for sample in SAMPLES if sample.seq % 5 == 0]
    await _write(connection, [sample for sample in SAMPLES if sample.seq % 5])
    await keep_house(connection, T + DAY, Limits())

    await _write(connection, late)
    await keep_house(connection, T + DAY, Limits())

    for name, width in WIDTHS.items():
        _assert_same(await _rollups(connection, name), _rolled_up(SAMPLES, width))


async def test_rollups_outlive_their_samples(connection: AsyncConnection[Any]) -> None:
    await store.ensure_partitions(connection, T)
    await _write(connection, SAMPLES)
    await keep_house(connection, T + DAY, Limits())

    kept = await keep_house(connection, T + 100 * DAY, Limits())

    assert kept.days_dropped >= 2
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute("SELECT count(*) AS samples FROM sample_all")
        assert await cursor.fetchall() == [{"samples": 0}]
    for name, width in WIDTHS.items():
        _assert_same(await _rollups(connection, name), _rolled_up(SAMPLES, width))
        _assert_same(await _rollups(connection, f"{name}_past"), _rolled_up(SAMPLES, width))


async def test_rollups_that_nobody_had_asked_for_in_time_are_stored_before_the_samples_go(
    connection: AsyncConnection[Any],
) -> None:
    await _write(connection, SAMPLES)

    await keep_house(connection, T + 100 * DAY, Limits())

    for name, width in WIDTHS.items():
        _assert_same(await _rollups(connection, name), _rolled_up(SAMPLES, width))


async def test_a_sample_that_comes_after_its_day_was_dropped_changes_no_rollup(
    connection: AsyncConnection[Any],
) -> None:
    await _write(connection, SAMPLES)
    await keep_house(connection, T + 100 * DAY, Limits())

    await _write(connection, [Sample("drone-0", T, 1, 1, alt_amsl_cm=10**9)])
    await keep_house(connection, T + 101 * DAY, Limits())

    for name, width in WIDTHS.items():
        _assert_same(await _rollups(connection, name), _rolled_up(SAMPLES, width))


async def test_seconds_fall_before_minutes(connection: AsyncConnection[Any]) -> None:
    await _write(connection, SAMPLES)
    await keep_house(connection, T + 100 * DAY, Limits())

    # A chunk of TimescaleDB's rollups is older than the time as a whole, or is not.
    await keep_house(connection, T + (365 + 40) * DAY, Limits())

    assert await _rollups(connection, "sample_1s") == []
    _assert_same(await _rollups(connection, "sample_1m"), _rolled_up(SAMPLES, WIDTHS["sample_1m"]))
    await keep_house(connection, T + (5 * 365 + 40) * DAY, Limits())
    assert await _rollups(connection, "sample_1m") == []
