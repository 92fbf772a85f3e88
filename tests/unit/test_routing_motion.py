"""How long movements take, and at which airspeeds."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.driving import (
    ASPHALT,
    CROSSING_WAIT_S,
    ROBOT_TURN_RADPS,
    ROLLING,
    WALKING_MPS,
    Stretch,
    drive,
    stretches,
)
from routing.errors import TooWindy
from routing.geo import LocalFrame, Position
from routing.motion import HELD_SHARE, HOP_MPS, SPOOL_UP_S, fly
from routing.movement import Flight, Movement, trapezoids
from routing.region.model import GroundEdge
from routing.vehicle_type import VehicleType
from routing.wind import CALM, Wind, along_track_mps, ground_speed_mps
from tests.problems import DRONE, ROAD_ROBOT, ROBOT, VTOL

FRAME = LocalFrame(Position(35.0, 138.0))


def _path(*points: tuple[float, float, float]) -> tuple[Position, ...]:
    return tuple(FRAME.to_global(*point) for point in points)


def _flown(*points: tuple[float, float, float], wind: Wind = CALM, **ends: Any) -> Flight:
    """From a hover at the first height to a hover at the last, unless told otherwise."""
    given = {"from_alt_amsl_m": points[0][2], "to_alt_amsl_m": points[-1][2], "takes_off": False, "lands": False}
    return fly(DRONE, FRAME, _path(*points), **(given | ends), wind=wind)


def test_from_rest_to_rest_a_long_way_adds_one_ramp_and_a_short_one_never_reaches_the_speed() -> None:
    def seconds(metres: float, brake_mps2: float = 2.0) -> float:
        return sum(phase[0] for phase in trapezoids([metres], [10.0], [], 2.0, brake_mps2))

    # v / a of ramps: half of each of the two is lost against full speed.
    assert seconds(1000.0) == pytest.approx(100.0 + 5.0)
    assert seconds(8.0) == pytest.approx(2 * math.sqrt(8.0 / 2.0))
    assert seconds(0.0) == 0.0
    # Braking at half the rate: its ramp loses twice as much.
    assert seconds(1000.0, 1.0) == pytest.approx(100.0 + 2.5 + 5.0)


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


def test_a_headwind_costs_time_and_a_tailwind_saves_a_multirotor_none() -> None:
    path = ((0.0, 0.0, 80.0), (3000.0, 0.0, 80.0))
    calm, head, tail = (_flown(*path, wind=wind).movement for wind in (CALM, Wind(-8, 0), Wind(4, 0)))
    assert head.duration_s > 1.35 * calm.duration_s
    assert tail.duration_s == calm.duration_s


def test_a_robot_never_drives_faster_than_the_law_allows() -> None:
    fast = replace(ROBOT, cruise_speed_mps=5.0)
    assert drive(fast, FRAME, _path((0, 0, 0), (600, 0, 0))).duration_s >= 600.0 / (6 / 3.6)


def test_a_robot_climbs_the_ups_and_not_the_downs() -> None:
    way = _path((0, 0, 10), (50, 0, 13), (100, 0, 11), (150, 0, 12))
    assert drive(ROBOT, FRAME, way).climb_m == pytest.approx(4.0)


def _vtol(*points: tuple[float, float, float], wind: Wind = CALM, **ends: Any) -> Flight:
    given = {"from_alt_amsl_m": 0.0, "to_alt_amsl_m": 0.0, "takes_off": True, "lands": True}
    return fly(VTOL, FRAME, _path(*points), **(given | ends), wind=wind)


FAR = ((0.0, 0.0, 80.0), (10_000.0, 0.0, 80.0))


def test_a_vtol_goes_up_speeds_up_cruises_on_its_wing_slows_down_and_comes_down() -> None:
    movement = _vtol(*FAR).movement
    spells = movement.spells
    on_wing = [spell.on_wing for spell in spells]
    first, last = on_wing.index(True), len(on_wing) - on_wing[::-1].index(True)
    assert all(on_wing[first:last])
    assert sum(spell.seconds for spell in spells[:first]) > 80 / VTOL.climb_speed_mps + VTOL.transition_s
    assert sum(spell.seconds for spell in spells[last:]) > 80 / VTOL.descent_speed_mps + VTOL.transition_s
    cruise = [spell for spell in spells if spell.on_wing]
    assert {spell.airspeed_mps for spell in cruise} == {VTOL.cruise_speed_mps}
    # Two transitions of 12 s at half the speed on average, and the rest at cruise speed.
    assert sum(s.seconds for s in cruise) == pytest.approx(10_000 / 25.0 - VTOL.transition_s, rel=0.04)
    assert movement.duration_s == pytest.approx(sum(spell.seconds for spell in spells))


def test_the_wind_makes_a_vtol_faster_and_slower() -> None:
    def cruise_mps(wind: Wind) -> float:
        near, far = (_vtol((0, 0, 80), (end, 0, 80), wind=wind).movement.duration_s for end in (10_000, 20_000))
        return 10_000 / (far - near)

    assert cruise_mps(CALM) == pytest.approx(25.0 * HELD_SHARE)
    assert cruise_mps(Wind(8, 0)) == pytest.approx(33.0 * HELD_SHARE)
    assert cruise_mps(Wind(-8, 0)) == pytest.approx(17.0 * HELD_SHARE)
    # 25 m/s through the air, 15 across: 20 are left.
    assert cruise_mps(Wind(0, 15)) == pytest.approx(20.0 * HELD_SHARE)


@pytest.mark.parametrize("wind", [Wind(0, 25.5), Wind(-24.5, 0), Wind(0, 10, 26)])
def test_a_crosswind_above_its_airspeed_lets_a_vtol_not_fly(wind: Wind) -> None:
    with pytest.raises(TooWindy, match="too strong"):
        _vtol(*FAR, wind=wind)


def test_a_vtol_stays_on_its_rotors_where_the_way_is_too_short_for_its_wing() -> None:
    hop = _vtol((0, 0, 80), (200, 0, 80)).movement
    assert not any(spell.on_wing for spell in hop.spells)
    assert hop.duration_s > 200 / HOP_MPS
    assert any(spell.on_wing for spell in _vtol((0, 0, 80), (900, 0, 80)).movement.spells)


def test_a_vtol_takes_gentle_corners_at_speed_slows_for_others_and_turns_on_its_rotors_at_sharp_ones() -> None:
    def by(turn_deg: float) -> Movement:
        turn = math.radians(turn_deg)
        return _vtol((0, 0, 80), (5000, 0, 80), (5000 + 5000 * math.cos(turn), 5000 * math.sin(turn), 80)).movement

    def stretches_on_wing(movement: Movement) -> int:
        flags = [spell.on_wing for spell in movement.spells]
        return sum(1 for before, now in pairwise([False, *flags]) if now and not before)

    straight = by(0)
    assert by(40).duration_s == pytest.approx(straight.duration_s, abs=0.1)
    assert straight.duration_s + 0.5 < by(60).duration_s < straight.duration_s + 10
    assert by(110).duration_s > straight.duration_s + VTOL.transition_s / 2
    assert [stretches_on_wing(by(turn)) for turn in (0, 40, 60, 110)] == [1, 1, 1, 2]


def test_a_vtol_circles_up_where_its_path_is_too_steep() -> None:
    steep = _vtol((0, 0, 80), (1000, 0, 280)).movement
    assert sum(spell.seconds for spell in steep.spells if spell.on_wing) > 0.5 * 200 / VTOL.climb_speed_mps
    assert steep.climb_m == pytest.approx(280)


@given(st.lists(st.tuples(st.floats(-9e3, 9e3), st.floats(-9e3, 9e3), st.floats(60, 400)), min_size=2, max_size=6))
def test_spells_add_up_to_the_time_and_the_height_of_a_flight(points: list[tuple[float, float, float]]) -> None:
    for kind in (DRONE, VTOL):
        movement = fly(kind, FRAME, _path(*points), from_alt_amsl_m=0, to_alt_amsl_m=0, wind=Wind(3, 1, 6)).movement
        assert sum(spell.seconds for spell in movement.spells) == pytest.approx(movement.duration_s)
        assert sum(spell.seconds for spell in movement.gust_spells) > 0.0
        rotors = kind is DRONE
        climbed = sum(s.seconds * max(0.0, s.climb_mps) for s in movement.spells)
        assert climbed == pytest.approx(movement.climb_m, abs=0.1) if rotors else climbed >= movement.climb_m - 0.1


def test_gusts_are_met_in_the_airspeed_of_the_spells_in_gusts_alone() -> None:
    flight = _flown((0, 0, 80), (3000, 0, 80), wind=Wind(-3, 0, 6)).movement
    assert max(spell.airspeed_mps for spell in flight.spells) == pytest.approx(13.0, rel=0.03)
    assert max(spell.airspeed_mps for spell in flight.gust_spells) == pytest.approx(15.0, rel=0.07)
    # In calm air a gust comes from ahead, whichever way one flies.
    for end in ((3000, 0, 80), (-3000, 0, 80)):
        sudden = _flown((0, 0, 80), end, wind=Wind(gust_mps=4.0)).movement
        assert max(spell.airspeed_mps for spell in sudden.gust_spells) == pytest.approx(14.0, rel=0.03)
        assert max(spell.airspeed_mps for spell in sudden.spells) == pytest.approx(10.0, rel=0.03)


def test_a_robot_stops_for_sharp_corners_and_waits_at_crossings() -> None:
    straight = drive(ROBOT, FRAME, _path((0, 0, 0), (100, 0, 0), (200, 0, 0)))
    corner = drive(ROBOT, FRAME, _path((0, 0, 0), (100, 0, 0), (100, 100, 0)))
    ramp = ROBOT.cruise_speed_mps / ROBOT.acceleration_mps2
    assert corner.duration_s == pytest.approx(straight.duration_s + ramp + math.pi / 2 / ROBOT_TURN_RADPS, abs=0.01)
    crossed = drive(ROBOT, FRAME, _path((0, 0, 0), (100, 0, 0), (200, 0, 0)), crossings=2)
    assert crossed.duration_s == pytest.approx(straight.duration_s + 2 * CROSSING_WAIT_S)


def test_a_road_robot_keeps_to_the_limits_of_roads_and_of_its_class() -> None:
    way = _path((0, 0, 0), (2000, 0, 0))

    def mean_mps(*on: Stretch, kind: VehicleType = ROAD_ROBOT) -> float:
        return 2000 / drive(kind, FRAME, way, stretches=on).duration_s

    assert mean_mps() == pytest.approx(ROAD_ROBOT.cruise_speed_mps, rel=0.02)
    assert mean_mps(Stretch(max_speed_mps=3.0)) == pytest.approx(3.0, rel=0.02)
    assert mean_mps(kind=replace(ROAD_ROBOT, cruise_speed_mps=9.0)) == pytest.approx(20 / 3.6, rel=0.02)
    assert mean_mps(Stretch(max_speed_mps=0.5), kind=ROBOT) == pytest.approx(ROBOT.cruise_speed_mps, rel=0.02)


def test_a_road_robot_is_slower_on_slopes_up_and_down() -> None:
    def seconds(rise_m: float, incline: float | None = None) -> float:
        on = (Stretch(incline=incline),)
        return drive(ROAD_ROBOT, FRAME, _path((0, 0, 0), (500, 0, rise_m)), stretches=on).duration_s

    level, steepest = seconds(0), seconds(500 * ROAD_ROBOT.max_slope)
    assert steepest == pytest.approx(500 / WALKING_MPS, rel=0.03)
    assert level < seconds(25) < steepest
    assert level < seconds(-25)
    # What is tagged counts for more than heights of nodes.
    assert seconds(0, incline=0.05) == pytest.approx(seconds(25), rel=0.01)


def test_stretches_are_read_in_the_direction_of_the_way() -> None:
    edge = GroundEdge("a", "b", 10.0, surface="gravel", incline=0.08, max_speed_mps=4.0)
    there, back, unknown = stretches(("a", "b", "a", "z"), {("a", "b"): edge})
    assert there == Stretch("gravel", 4.0, 0.08)
    assert back == Stretch("gravel", 4.0, -0.08)
    assert unknown == Stretch()


def test_a_tagged_incline_is_climbed_whatever_the_heights_say() -> None:
    way = _path((0, 0, 0), (100, 0, 0))
    assert drive(ROBOT, FRAME, way, stretches=(Stretch(incline=0.1),)).climb_m == pytest.approx(10.0)
    assert drive(ROBOT, FRAME, way, stretches=(Stretch(incline=-0.1),)).climb_m == 0.0


def test_rough_ground_rolls_worse_than_asphalt() -> None:
    way = _path((0, 0, 0), (100, 0, 0), (150, 0, 0))
    mixed = drive(ROBOT, FRAME, way, stretches=(Stretch("gravel"), Stretch("asphalt")))
    assert mixed.rolling_m == pytest.approx(100 * ROLLING["gravel"] / ASPHALT + 50)
    assert drive(ROBOT, FRAME, way).rolling_m == pytest.approx(150)
    assert drive(ROBOT, FRAME, way, stretches=(Stretch("moss"), Stretch())).rolling_m > 300
