"""What is measured on stored tracks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from fleet.tracks import Track, closest, energy_wh, legs_m, length_m, zone_violations
from routing.region.model import Period, Region, Restriction
from tests.problems import order, problem


def track(vehicle_id: str, points: list[tuple[float, float, float, float]], *, kind: str = "drone") -> Track:
    """Return a track of ``(t, east, north, height)``, with one point on the ground before."""
    t, east, north, height = np.asarray([(points[0][0] - 1, *points[0][1:3], 0.0), *points], dtype=float).T
    return Track(vehicle_id, kind, "multirotor_1kg", t, east, north, height, np.full(len(t), np.nan))


def flight(vehicle_id: str, *, north_m: float, height_m: float, start_s: float = 120.0, gap: bool = False) -> Track:
    """Return a flight of 60 s due east at 10 m/s."""
    seconds = [s for s in range(60) if not (gap and 20 < s < 40)]
    return track(vehicle_id, [(start_s + s, 10.0 * s, north_m, height_m) for s in seconds])


def test_flights_apart_in_either_way_are_separated() -> None:
    side_by_side = closest([flight("a", north_m=0, height_m=80), flight("b", north_m=55, height_m=80)])
    layered = closest([flight("a", north_m=0, height_m=80), flight("b", north_m=0, height_m=105)])
    assert (side_by_side.horizontal_m, side_by_side.vertical_m, side_by_side.violations) == (55.0, 0.0, 0)
    assert (layered.horizontal_m, layered.vertical_m, layered.violations) == (0.0, 25.0, 0)


def test_flights_too_close_in_both_ways_are_a_violation_that_names_them() -> None:
    found = closest([flight("a", north_m=0, height_m=80), flight("b", north_m=30, height_m=90)])
    assert found.violations == 1
    assert found.vehicles == ("a", "b")


def test_crossing_flights_are_close_only_if_at_the_same_time() -> None:
    across = [(120.0 + s, 300.0, -300.0 + 10.0 * s, 80.0) for s in range(60)]
    later = [(420.0 + s, 300.0, -300.0 + 10.0 * s, 80.0) for s in range(60)]
    assert closest([flight("a", north_m=0, height_m=80), track("b", across)]).violations == 1
    assert closest([flight("a", north_m=0, height_m=80), track("b", later)]).violations == 0


def test_nothing_is_said_about_a_silence() -> None:
    # They pass at second 30, of which the first has no samples.
    met = [(120.0 + s, 600.0 - 10.0 * s, 0.0, 80.0) for s in range(60)]
    assert closest([flight("a", north_m=0, height_m=80), track("b", met)]).violations == 1
    assert closest([flight("a", north_m=0, height_m=80, gap=True), track("b", met)]).violations == 0


def test_vehicles_on_their_pads_are_not_flights() -> None:
    waiting = track("b", [(120.0 + s, 100.0, 0.0, 0.5) for s in range(60)])
    assert closest([flight("a", north_m=0, height_m=80), waiting]).horizontal_m is None


def test_a_length_does_not_grow_with_receiver_noise() -> None:
    noise = np.random.default_rng(1).normal(0.0, 0.1, (500, 2))
    assert length_m(noise[:, 0], noise[:, 1]) < 3.0
    assert length_m(np.arange(0.0, 101.0), np.zeros(101)) == pytest.approx(100.0)


def test_legs_run_from_start_to_release_to_end() -> None:
    there_and_back = [(120.0 + s, 10.0 * min(s, 60 - s), 0.0, 80.0) for s in range(61)]
    assert legs_m(track("a", there_and_back), [(119.0, 180.0, [150.0])]) == pytest.approx([300.0, 300.0])


def test_energy_is_what_left_the_battery_and_a_swap_gives_none_back() -> None:
    flown = track("a", [(120.0 + s, 0.0, 0.0, 80.0) for s in range(5)])
    with_battery = replace(flown, battery_pct=np.asarray([100, 90, np.nan, 80, 100, 95.0]))
    assert energy_wh(with_battery, 200.0) == pytest.approx(0.25 * 200.0)


def test_a_drone_inside_a_zone_is_counted_and_a_robot_is_not() -> None:
    region = problem([order()]).region
    frame = region.frame
    corners = [(280.0, -20.0), (320.0, -20.0), (320.0, 20.0), (280.0, 20.0)]
    ring = tuple((p.lat, p.lon) for p in (frame.to_global(east, north) for east, north in corners))
    zoned = _with_zone(region, ring)
    assert zone_violations([flight("a", north_m=0, height_m=80)], zoned) == 1
    assert zone_violations([flight("a", north_m=30, height_m=80)], zoned) == 0
    assert zone_violations([track("r", [(120.0 + s, 300.0, 0.0, 9.0) for s in range(9)], kind="robot")], zoned) == 0


def test_a_drone_under_a_zones_floor_or_at_another_time_is_not_counted() -> None:
    region = problem([order()]).region
    corners = [(280.0, -20.0), (320.0, -20.0), (320.0, 20.0), (280.0, 20.0)]
    ring = tuple((p.lat, p.lon) for p in (region.frame.to_global(east, north) for east, north in corners))
    flown = flight("a", north_m=0, height_m=80)
    at_m = 80.0 - region.ground_amsl_m(region.frame.to_global(300.0, 0.0))

    def counted(**how: Any) -> int:
        return zone_violations([flown], _with_zone(region, ring, **how))

    assert counted(floor_m=at_m - 20.0) == 1
    assert counted(floor_m=at_m + 20.0) == 0
    assert counted(ceiling_m=at_m - 20.0) == 0
    midnight = datetime.fromtimestamp(0, tz=UTC)
    assert counted(schedule=(Period(midnight, midnight + timedelta(days=1)),)) == 1
    assert counted(schedule=(Period(begins=midnight + timedelta(days=1)),)) == 0
    assert counted(restriction=Restriction.NONE) == 0


def _with_zone(region: Region, ring: tuple[tuple[float, float], ...], **how: Any) -> Region:
    return replace(region, zones=(replace(region.zones[0], ring=ring, **how),))
