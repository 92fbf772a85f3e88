"""How long movements take, and what they cost in energy."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.energy import (
    CLIMB_EFFICIENCY,
    GRAVITY_MPS2,
    movement_wh,
    rolling_power_w,
    rotor_power_w,
    service_wh,
    usable_wh,
)
from routing.geo import LocalFrame, Position
from routing.motion import SPOOL_UP_S, Movement, drive, fly, ramped_s
from tests.problems import DRONE, ROBOT

FRAME = LocalFrame(Position(35.0, 138.0))


def _path(*points: tuple[float, float, float]) -> tuple[Position, ...]:
    return tuple(FRAME.to_global(*point) for point in points)


def test_from_rest_to_rest_a_long_way_adds_one_ramp_and_a_short_one_never_reaches_the_speed() -> None:
    # v / a of ramps: half of each of the two is lost against full speed.
    assert ramped_s(1000.0, 10.0, 2.0) == pytest.approx(100.0 + 5.0)
    assert ramped_s(8.0, 10.0, 2.0) == pytest.approx(2 * math.sqrt(8.0 / 2.0))
    assert ramped_s(0.0, 10.0, 2.0) == 0.0


def test_a_straight_flight_is_climb_cruise_and_descent() -> None:
    movement = fly(DRONE, FRAME, _path((0, 0, 80), (1000, 0, 80)), from_alt_amsl_m=0, to_alt_amsl_m=0)
    climb = ramped_s(80, 3, 3)
    descent = ramped_s(75, 1.5, 3) + 5 / 0.7
    assert movement.distance_m == pytest.approx(1000)
    assert movement.climb_m == pytest.approx(80)
    assert movement.duration_s == pytest.approx(SPOOL_UP_S + climb + ramped_s(1000, 10, 3) + descent)


def test_a_waypoint_on_the_line_costs_nothing_and_a_right_angle_costs_a_stop() -> None:
    def seconds(*points: tuple[float, float, float]) -> float:
        return fly(DRONE, FRAME, _path(*points), from_alt_amsl_m=80, to_alt_amsl_m=80).duration_s

    straight = seconds((0, 0, 80), (1000, 0, 80))
    assert seconds((0, 0, 80), (400, 0, 80), (1000, 0, 80)) == pytest.approx(straight, abs=1e-3)
    corner = seconds((0, 0, 80), (500, 0, 80), (500, 500, 80))
    assert corner == pytest.approx(straight + DRONE.cruise_speed_mps / DRONE.acceleration_mps2, abs=0.05)


def test_a_steep_line_is_flown_at_climb_or_descent_speed() -> None:
    up = fly(DRONE, FRAME, _path((0, 0, 80), (100, 0, 200)), from_alt_amsl_m=80, to_alt_amsl_m=200)
    down = fly(DRONE, FRAME, _path((0, 0, 200), (100, 0, 80)), from_alt_amsl_m=200, to_alt_amsl_m=80)
    assert up.duration_s - SPOOL_UP_S >= 120 / DRONE.climb_speed_mps
    assert down.duration_s - SPOOL_UP_S >= 120 / DRONE.descent_speed_mps
    assert up.climb_m == pytest.approx(120)
    assert down.climb_m == 0


@given(st.lists(st.tuples(st.floats(-2e3, 2e3), st.floats(-2e3, 2e3), st.floats(60, 400)), min_size=2, max_size=8))
def test_no_flight_is_faster_than_its_limits(points: list[tuple[float, float, float]]) -> None:
    movement = fly(DRONE, FRAME, _path(*points), from_alt_amsl_m=0, to_alt_amsl_m=0)
    down = points[-1][2] + sum(max(0.0, a[2] - b[2]) for a, b in pairwise(points))
    assert movement.duration_s >= movement.distance_m / DRONE.cruise_speed_mps
    assert movement.duration_s >= movement.climb_m / DRONE.climb_speed_mps + down / DRONE.descent_speed_mps - 1e-6


def test_a_robot_never_drives_faster_than_the_law_allows() -> None:
    fast = replace(ROBOT, cruise_speed_mps=5.0)
    assert drive(fast, [600.0], [0.0, 0.0]).duration_s >= 600.0 / (6 / 3.6)


def test_a_robot_climbs_the_ups_and_not_the_downs() -> None:
    assert drive(ROBOT, [50.0, 50.0, 50.0], [10.0, 13.0, 11.0, 12.0]).climb_m == pytest.approx(4.0)


def test_rotor_power_grows_with_mass_to_the_power_one_and_a_half() -> None:
    assert rotor_power_w(DRONE, 0.0) == DRONE.cruise_power_w
    # Twice the mass: 2^1.5.
    assert rotor_power_w(DRONE, DRONE.empty_mass_kg) == pytest.approx(DRONE.cruise_power_w * 2**1.5)


def test_a_climb_costs_its_height_over_the_efficiency() -> None:
    level, up = Movement(1000, 120, 0), Movement(1000, 120, 100)
    lift_j = (DRONE.empty_mass_kg + 1.0) * GRAVITY_MPS2 * 100 / CLIMB_EFFICIENCY
    assert movement_wh(DRONE, 1.0, up) - movement_wh(DRONE, 1.0, level) == pytest.approx(lift_j / 3600)
    assert movement_wh(DRONE, 0.0, level) == pytest.approx(DRONE.cruise_power_w * 120 / 3600)


def test_a_loaded_robot_needs_more_only_for_rolling() -> None:
    assert rolling_power_w(ROBOT, 0.0) == ROBOT.cruise_power_w
    extra = rolling_power_w(ROBOT, 20.0) - rolling_power_w(ROBOT, 0.0)
    assert extra == pytest.approx((ROBOT.cruise_power_w - ROBOT.idle_power_w) * 20.0 / ROBOT.empty_mass_kg)


def test_a_drone_hovers_while_it_serves_and_a_robot_stands() -> None:
    assert service_wh(DRONE, 0.0, 36.0) == pytest.approx(DRONE.cruise_power_w / 100)
    assert service_wh(ROBOT, 20.0, 36.0) == pytest.approx(ROBOT.idle_power_w / 100)


def test_the_certified_range_of_the_profile_is_within_its_usable_energy() -> None:
    """11.4 km at 36 km/h without payload (public type certificate data of the PF2-CAT3 class)."""
    movement = fly(DRONE, FRAME, _path((0, 0, 50), (11_400, 0, 50)), from_alt_amsl_m=0, to_alt_amsl_m=0)
    needed = movement_wh(DRONE, 0.0, movement)
    assert 0.9 * usable_wh(DRONE) < needed < DRONE.battery_wh
