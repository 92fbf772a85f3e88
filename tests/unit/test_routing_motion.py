"""How long movements take, and what they cost in energy."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
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
from routing.errors import TooWindy
from routing.geo import LocalFrame, Position
from routing.motion import CROSSING_WAIT_S, ROBOT_TURN_RADPS, SPOOL_UP_S, Flight, Movement, drive, fly, ramped_s
from routing.wind import CALM, Wind, along_track_mps, ground_speed_mps
from tests.problems import DRONE, ROBOT

FRAME = LocalFrame(Position(35.0, 138.0))


def _path(*points: tuple[float, float, float]) -> tuple[Position, ...]:
    return tuple(FRAME.to_global(*point) for point in points)


def _flown(*points: tuple[float, float, float], wind: Wind = CALM, **ends: Any) -> Flight:
    """From a hover at the first height to a hover at the last, unless told otherwise."""
    given = {"from_alt_amsl_m": points[0][2], "to_alt_amsl_m": points[-1][2], "takes_off": False, "lands": False}
    return fly(DRONE, FRAME, _path(*points), **(given | ends), wind=wind)


def test_from_rest_to_rest_a_long_way_adds_one_ramp_and_a_short_one_never_reaches_the_speed() -> None:
    # v / a of ramps: half of each of the two is lost against full speed.
    assert ramped_s(1000.0, 10.0, 2.0) == pytest.approx(100.0 + 5.0)
    assert ramped_s(8.0, 10.0, 2.0) == pytest.approx(2 * math.sqrt(8.0 / 2.0))
    assert ramped_s(0.0, 10.0, 2.0) == 0.0
    # Braking at half the rate: its ramp loses twice as much.
    assert ramped_s(1000.0, 10.0, 2.0, 1.0) == pytest.approx(100.0 + 2.5 + 5.0)


def test_a_straight_flight_is_spool_up_climb_cruise_and_descent() -> None:
    flight = _flown((0, 0, 80), (1000, 0, 80), from_alt_amsl_m=0, to_alt_amsl_m=0, takes_off=True, lands=True)
    movement = flight.movement
    assert movement.distance_m == pytest.approx(1000)
    assert movement.climb_m == pytest.approx(80)
    # At set speeds throughout: 10 m at 1.5 and 70 m at 3 m/s, 1000 m at 10 m/s, 70 m at 1.5 and 10 m at less.
    at_least = SPOOL_UP_S + 10 / 1.5 + 70 / 3 + 1000 / 10 + 70 / 1.5 + 10 / 1.5
    assert at_least < movement.duration_s < 1.15 * at_least
    assert flight.at(SPOOL_UP_S) == pytest.approx([0, 0, 0], abs=0.01)
    assert flight.at(movement.duration_s + 99) == pytest.approx([1000, 0, 0], abs=0.01)


def test_positions_in_time_agree_with_the_speeds() -> None:
    flight = _flown((0, 0, 80), (300, 0, 80), (300, 400, 110), (0, 800, 90), from_alt_amsl_m=60)
    times = np.arange(0.0, flight.movement.duration_s, 0.1)
    velocity = np.diff(flight.at(times), axis=0) / 0.1
    assert np.hypot(velocity[:, 0], velocity[:, 1]).max() <= DRONE.cruise_speed_mps
    assert velocity[:, 2].max() <= DRONE.climb_speed_mps
    assert velocity[:, 2].min() >= -DRONE.descent_speed_mps
    begin = np.hypot(velocity[200:230, 0], velocity[200:230, 1])
    assert np.abs(np.diff(begin)).max() / 0.1 < DRONE.acceleration_mps2
    for corner in ((300, 0, 80), (300, 400, 110), (0, 800, 90)):
        assert np.linalg.norm(flight.at(np.append(times, 1e9)) - corner, axis=1).min() < 1.0


def test_a_waypoint_on_the_line_costs_nothing_and_a_right_angle_nearly_a_stop() -> None:
    def seconds(*points: tuple[float, float, float]) -> float:
        return _flown(*points).movement.duration_s

    straight = seconds((0, 0, 80), (1000, 0, 80))
    assert seconds((0, 0, 80), (400, 0, 80), (1000, 0, 80)) == pytest.approx(straight, abs=1e-3)
    corner = seconds((0, 0, 80), (500, 0, 80), (500, 500, 80))
    stopped = 2 * seconds((0, 0, 80), (500, 0, 80))
    assert straight + 3 < corner < stopped
    assert seconds((0, 0, 80), (500, 0, 80), (980, 150, 80)) < corner


def test_a_steep_line_is_flown_at_climb_or_descent_speed() -> None:
    up = _flown((0, 0, 80), (100, 0, 200)).movement
    down = _flown((0, 0, 200), (100, 0, 80)).movement
    assert up.duration_s >= 120 / DRONE.climb_speed_mps
    assert down.duration_s >= 120 / DRONE.descent_speed_mps
    assert up.climb_m == pytest.approx(120)
    assert down.climb_m == 0


@given(st.lists(st.tuples(st.floats(-2e3, 2e3), st.floats(-2e3, 2e3), st.floats(60, 400)), min_size=2, max_size=8))
def test_no_flight_is_faster_than_its_limits(points: list[tuple[float, float, float]]) -> None:
    movement = _flown(*points, from_alt_amsl_m=0, to_alt_amsl_m=0, takes_off=True, lands=True).movement
    down = points[-1][2] + sum(max(0.0, a[2] - b[2]) for a, b in pairwise(points))
    assert movement.duration_s >= movement.distance_m / DRONE.cruise_speed_mps
    assert movement.duration_s >= movement.climb_m / DRONE.climb_speed_mps + down / DRONE.descent_speed_mps - 1e-6


def test_planned_times_are_those_that_px4_flew() -> None:
    """A trip of PX4 1.16 (SIH quadrotor, default parameters), timed at the corners of its flight."""
    take_off = _flown((0, 0, 65.2), (1, 0, 65.2), from_alt_amsl_m=0, takes_off=True).movement
    assert take_off.duration_s == pytest.approx(36.5, rel=0.10)
    # 98 m straight up from a hover took 36 s; 1430 m on the level with a stop at either end 162 s.
    assert _flown((0, 0, 98), (1, 0, 98), from_alt_amsl_m=0).movement.duration_s == pytest.approx(36, rel=0.12)
    assert _flown((0, 0, 98), (1430, 0, 98)).movement.duration_s == pytest.approx(162, rel=0.10)
    landing = _flown((0, 0, 65), (1, 0, 65), to_alt_amsl_m=0, lands=True).movement
    assert landing.duration_s == pytest.approx(57, rel=0.10)


def test_a_crosswind_slows_a_drone_down_only_when_its_airspeed_is_used_up() -> None:
    east = (1.0, 0.0)
    assert ground_speed_mps(DRONE, Wind(0, 8), *east) == DRONE.cruise_speed_mps
    # 15 m/s through the air, 12 across: 9 are left.
    assert ground_speed_mps(DRONE, Wind(0, 12), *east) == pytest.approx(9.0)
    assert ground_speed_mps(DRONE, Wind(-9, 0), *east) == pytest.approx(6.0)
    assert ground_speed_mps(DRONE, Wind(9, 0), *east) == DRONE.cruise_speed_mps


@given(st.floats(0, 14), st.floats(0, math.tau), st.floats(0, math.tau))
def test_the_wind_triangle_closes(wind_mps: float, blows_rad: float, track_rad: float) -> None:
    speed = along_track_mps(15.0, wind_mps, blows_rad - track_rad)
    assert speed is not None
    through_air = (
        speed * math.cos(track_rad) - wind_mps * math.cos(blows_rad),
        speed * math.sin(track_rad) - wind_mps * math.sin(blows_rad),
    )
    assert math.hypot(*through_air) == pytest.approx(15.0)


@pytest.mark.parametrize("wind", [Wind(0, 15.5), Wind(-14.5, 0), Wind(0, 5, 16), Wind(-3, 0, 14.5)])
def test_a_leg_that_the_wind_or_its_gusts_do_not_allow_has_no_way(wind: Wind) -> None:
    with pytest.raises(TooWindy, match="too strong"):
        _flown((0, 0, 80), (1000, 0, 80), wind=wind)


def test_a_headwind_costs_time_and_energy_and_a_light_tailwind_neither() -> None:
    path = ((0.0, 0.0, 80.0), (3000.0, 0.0, 80.0))
    calm, head, tail = (_flown(*path, wind=wind).movement for wind in (CALM, Wind(-8, 0), Wind(4, 0)))
    assert head.duration_s > 1.35 * calm.duration_s
    assert movement_wh(DRONE, 0.5, head) > 1.4 * movement_wh(DRONE, 0.5, calm)
    assert tail == calm


def test_a_robot_never_drives_faster_than_the_law_allows() -> None:
    fast = replace(ROBOT, cruise_speed_mps=5.0)
    assert drive(fast, FRAME, _path((0, 0, 0), (600, 0, 0))).duration_s >= 600.0 / (6 / 3.6)


def test_a_robot_climbs_the_ups_and_not_the_downs() -> None:
    way = _path((0, 0, 10), (50, 0, 13), (100, 0, 11), (150, 0, 12))
    assert drive(ROBOT, FRAME, way).climb_m == pytest.approx(4.0)


def test_a_robot_stops_for_sharp_corners_and_waits_at_crossings() -> None:
    straight = drive(ROBOT, FRAME, _path((0, 0, 0), (100, 0, 0), (200, 0, 0)))
    corner = drive(ROBOT, FRAME, _path((0, 0, 0), (100, 0, 0), (100, 100, 0)))
    ramp = ROBOT.cruise_speed_mps / ROBOT.acceleration_mps2
    assert corner.duration_s == pytest.approx(straight.duration_s + ramp + math.pi / 2 / ROBOT_TURN_RADPS, abs=0.01)
    crossed = drive(ROBOT, FRAME, _path((0, 0, 0), (100, 0, 0), (200, 0, 0)), crossings=2)
    assert crossed.duration_s == pytest.approx(straight.duration_s + 2 * CROSSING_WAIT_S)


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
    ends: dict[str, Any] = {"from_alt_amsl_m": 0, "to_alt_amsl_m": 0, "takes_off": True, "lands": True}
    needed = movement_wh(DRONE, 0.0, _flown((0, 0, 50), (11_400, 0, 50), **ends).movement)
    assert 0.9 * usable_wh(DRONE) < needed < DRONE.battery_wh
