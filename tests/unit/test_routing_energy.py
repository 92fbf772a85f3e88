"""What movements cost in energy, by mass, airspeed, climb, wind, slope and surface, and how much of it there is."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.profiles import load_profile, profile_ids
from routing.driving import Stretch, drive
from routing.energy import (
    WHEEL_EFFICIENCY,
    capacity_wh,
    leg_energy,
    movement_wh,
    service_energy,
    service_wh,
    usable_wh,
)
from routing.geo import LocalFrame, Position
from routing.motion import SPOOL_UP_S, fly
from routing.movement import GRAVITY_MPS2, Movement, Spell
from routing.power import hover_w, induced_mps, rotor_w, wing_w
from routing.vehicle_type import Airframe, VehicleKind, VehicleType
from routing.wind import CALM, Wind
from tests.benchmarks.energy import WORST_PCT, Fact, facts
from tests.problems import DRONE, ROAD_ROBOT, ROBOT, VTOL

FRAME = LocalFrame(Position(35.0, 138.0))
TYPES = [load_profile(type_id) for type_id in profile_ids()]
DRONES = [kind for kind in TYPES if kind.kind is VehicleKind.DRONE]
MULTIROTORS = [kind for kind in DRONES if kind.built_as is Airframe.MULTIROTOR]
ROBOTS = [kind for kind in TYPES if kind.kind is VehicleKind.ROBOT]


def _path(*points: tuple[float, float, float]) -> tuple[Position, ...]:
    return tuple(FRAME.to_global(*point) for point in points)


def _flight(kind: VehicleType, *points: tuple[float, float, float], wind: Wind = CALM, **ends: Any) -> Movement:
    given = {"from_alt_amsl_m": 0.0, "to_alt_amsl_m": 0.0, "takes_off": True, "lands": True}
    return fly(kind, FRAME, _path(*points), **(given | ends), wind=wind).movement


def _level(kind: VehicleType, metres: float = 3000.0, wind: Wind = CALM) -> Movement:
    """From a hover to a hover at one height."""
    ends: dict[str, Any] = {"from_alt_amsl_m": 80.0, "to_alt_amsl_m": 80.0, "takes_off": False, "lands": False}
    return _flight(kind, (0, 0, 80), (metres, 0, 80), wind=wind, **ends)


@pytest.mark.parametrize("fact", facts(), ids=lambda fact: fact.name)
def test_the_model_of_drones_is_within_fifteen_percent_of_what_is_published(fact: Fact) -> None:
    assert abs(fact.error_pct) < WORST_PCT


def test_hover_power_grows_with_mass_to_the_power_one_and_a_half() -> None:
    assert hover_w(DRONE, 0.0) == DRONE.cruise_power_w
    assert hover_w(DRONE, DRONE.empty_mass_kg) == pytest.approx(DRONE.cruise_power_w * 2**1.5)
    assert rotor_w(VTOL, 0.0, 0.0, 0.0) == pytest.approx(VTOL.hover_power_w)


@pytest.mark.parametrize("kind", MULTIROTORS, ids=lambda kind: kind.type_id)
def test_power_at_cruise_speed_and_in_hover_is_that_of_the_profile(kind: VehicleType) -> None:
    assert rotor_w(kind, 0.0, kind.cruise_speed_mps, 0.0) == pytest.approx(kind.cruise_power_w)
    assert rotor_w(kind, 0.0, 0.0, 0.0) == pytest.approx(kind.hover_power_w or kind.cruise_power_w)


def test_a_cruise_power_that_no_rotor_could_do_with_is_overruled() -> None:
    thrifty = replace(DRONE, hover_power_w=750.0, cruise_power_w=200.0)
    assert 300 < rotor_w(thrifty, 0.0, thrifty.cruise_speed_mps, 0.0) < 750


def test_a_rotor_saves_power_in_slow_flight_and_needs_more_and_more_in_fast() -> None:
    speeds = np.arange(0.0, 20.0, 0.5)
    power = rotor_w(DRONE, 0.0, speeds, 0.0)
    least = int(np.argmin(power))
    assert 3.0 < speeds[least] < DRONE.cruise_speed_mps
    assert (np.diff(power[: least + 1]) < 0).all()
    assert (np.diff(power[least:]) > 0).all()


def test_a_wing_has_a_speed_of_least_power_and_a_polar_calibrated_in_cruise() -> None:
    assert wing_w(VTOL, 0.0, VTOL.cruise_speed_mps, 0.0) == pytest.approx(VTOL.cruise_power_w)
    # Induced drag, 0.4 of the whole, grows with the square of the mass.
    heavy = wing_w(VTOL, VTOL.empty_mass_kg, VTOL.cruise_speed_mps, 0.0)
    assert heavy == pytest.approx(VTOL.cruise_power_w * (0.6 + 0.4 * 4.0))
    assert wing_w(VTOL, 5.0, 10.0, 0.0) > wing_w(VTOL, 5.0, 17.0, 0.0) < wing_w(VTOL, 5.0, 30.0, 0.0)


def test_climbing_takes_more_than_weight_times_climb_of_a_wing_and_less_of_a_rotor() -> None:
    """A climb brings the rotors fresh air: of ``m g v``, momentum theory leaves about half at low speeds."""
    lift_w = DRONE.empty_mass_kg * GRAVITY_MPS2 * 2.0
    assert 0.4 * lift_w < rotor_w(DRONE, 0.0, 0.0, 2.0) - rotor_w(DRONE, 0.0, 0.0, 0.0) < lift_w
    lift_w = VTOL.empty_mass_kg * GRAVITY_MPS2 * 2.0
    assert wing_w(VTOL, 0.0, 25.0, 2.0) - wing_w(VTOL, 0.0, 25.0, 0.0) > lift_w


def test_nothing_is_won_back_coming_down() -> None:
    assert rotor_w(DRONE, 0.0, 5.0, -1.5) == rotor_w(DRONE, 0.0, 5.0, 0.0)
    assert wing_w(VTOL, 0.0, 25.0, -1.5) == wing_w(VTOL, 0.0, 25.0, 0.0)
    down = drive(ROBOT, FRAME, _path((0, 0, 10), (100, 0, 0)))
    assert movement_wh(ROBOT, 0.0, down) >= 0.99 * movement_wh(
        ROBOT, 0.0, drive(ROBOT, FRAME, _path((0, 0, 0), (100, 0, 0)))
    )


@given(st.floats(1.0, 15.0), st.floats(0.0, 40.0), st.floats(0.0, 10.0))
def test_the_induced_velocity_solves_glauerts_equation(hover: float, along: float, through: float) -> None:
    (found,) = induced_mps(np.array([hover**2]), np.array([along]), np.array([through]))
    assert 0.0 < found <= hover * (1 + 1e-9)
    assert found * math.hypot(along, through + found) == pytest.approx(hover**2, rel=1e-5)


def test_the_induced_velocity_has_the_limits_of_hover_climb_and_fast_flight() -> None:
    """Leishman, sections 2.2, 2.13 and 2.14: ``v_h``, the root of ``v (v + V_c) = v_h^2``, and ``v_h^2 / V``."""
    squared = np.array([25.0, 25.0, 25.0])
    found = induced_mps(squared, np.array([0.0, 0.0, 60.0]), np.array([0.0, 3.0, 0.0]))
    assert found == pytest.approx([5.0, -1.5 + math.sqrt(1.5**2 + 25.0), 25.0 / 60.0], rel=1e-3)


payloads = st.floats(0.0, 1.0)
airspeeds = st.floats(0.0, 25.0)
climbs = st.floats(-3.0, 5.0)


@given(st.sampled_from(DRONES), payloads, payloads, airspeeds, climbs)
def test_more_mass_never_takes_less_power(kind: VehicleType, a: float, b: float, airspeed: float, climb: float) -> None:
    light, heavy = (share * kind.payload_kg for share in sorted((a, b)))
    assert rotor_w(kind, light, airspeed, climb) <= rotor_w(kind, heavy, airspeed, climb) * (1 + 1e-9)
    assert wing_w(kind, light, max(1.0, airspeed), climb) <= wing_w(kind, heavy, max(1.0, airspeed), climb) * (1 + 1e-9)


@given(st.sampled_from(DRONES), payloads, airspeeds, climbs, climbs)
def test_a_steeper_climb_never_takes_less_power(
    kind: VehicleType, share: float, airspeed: float, a: float, b: float
) -> None:
    low, high = sorted((a, b))
    payload = share * kind.payload_kg
    assert rotor_w(kind, payload, airspeed, low) <= rotor_w(kind, payload, airspeed, high) * (1 + 1e-9)


@given(st.sampled_from(DRONES), payloads, st.floats(0.0, 7.0), st.floats(0.0, 7.0))
def test_more_headwind_never_takes_less_energy_on_a_long_way(
    kind: VehicleType, share: float, a: float, b: float
) -> None:
    """Drones cruise faster than at their least power, so that no headwind is a help; but for speeding up, of which it
    leaves less to do."""
    weak, strong = (_level(kind, 20_000, wind=Wind(-speed, 0.0)) for speed in sorted((a, b)))
    payload = share * kind.payload_kg
    assert movement_wh(kind, payload, weak) <= 1.002 * movement_wh(kind, payload, strong)


@given(st.sampled_from(DRONES), payloads, st.floats(0, 6), st.floats(0, math.tau), st.floats(0, 4))
def test_gusts_never_take_less_energy_than_the_mean_wind(
    kind: VehicleType, share: float, wind_mps: float, to_rad: float, more_mps: float
) -> None:
    wind = Wind(wind_mps * math.cos(to_rad), wind_mps * math.sin(to_rad), wind_mps + more_mps)
    flight = _level(kind, wind=wind)
    payload = share * kind.payload_kg
    assert movement_wh(kind, payload, flight) <= movement_wh(kind, payload, flight, in_gusts=True)


def test_a_gust_from_ahead_costs_what_flying_against_it_costs() -> None:
    for kind in (DRONE, VTOL):
        mean, gusty = (_level(kind, 20_000, wind=wind) for wind in (Wind(-2, 0, 6), Wind(-6, 0)))
        assert movement_wh(kind, 0.5, mean, in_gusts=True) == pytest.approx(movement_wh(kind, 0.5, gusty))
        assert movement_wh(kind, 0.5, mean) < 0.95 * movement_wh(kind, 0.5, gusty)


@given(st.sampled_from(DRONES), payloads, airspeeds, climbs)
def test_a_spell_takes_its_power_for_its_time(kind: VehicleType, share: float, airspeed: float, climb: float) -> None:
    payload = share * kind.payload_kg
    movement = Movement(0.0, 120.0, 0.0, (Spell(30.0, airspeed, climb), Spell(90.0, airspeed, climb)))
    assert movement_wh(kind, payload, movement) == pytest.approx(float(rotor_w(kind, payload, airspeed, climb)) / 30.0)


def test_a_drone_of_whose_movement_nothing_is_known_hovers_all_the_time() -> None:
    assert movement_wh(DRONE, 0.0, Movement(1000.0, 120.0, 0.0)) == pytest.approx(DRONE.cruise_power_w / 30.0)


@given(st.sampled_from(TYPES), payloads, st.integers(0, 4))
def test_the_linear_form_is_exact_at_the_ends_and_a_little_more_between(
    kind: VehicleType, share: float, which: int
) -> None:
    movements = _movements(kind)
    bases, per_kg = leg_energy(kind, movements, in_gusts=True)
    payload = share * kind.payload_kg
    exact = movement_wh(kind, payload, movements[which], in_gusts=True)
    linear = bases[which] + per_kg[which] * payload
    bound = (kind.payload_kg / kind.empty_mass_kg) ** 2 / 4.0 * bases[which] if kind.kind is VehicleKind.DRONE else 0.0
    assert exact * (1 - 1e-9) <= linear <= exact + bound + 1e-9 * exact
    if share in (0.0, 1.0):
        assert linear == pytest.approx(exact)


def _movements(kind: VehicleType) -> list[Movement]:
    wind = Wind(-3.0, 2.0, 6.0)
    if kind.kind is VehicleKind.ROBOT:
        rises = (0.0, 5.0, -5.0, 9.0, 1.0)
        return [drive(kind, FRAME, _path((0, 0, 0), (300, 0, rise)), stretches=(Stretch("gravel"),)) for rise in rises]
    ends = ((900, 0, 80), (3000, 500, 120), (20, 0, 60), (-4000, 0, 80), (0, 8000, 300))
    return [_flight(kind, (0, 0, 80), end, wind=wind) for end in ends]


def test_many_movements_cost_what_they_cost_one_by_one() -> None:
    for kind in TYPES:
        movements = _movements(kind)
        together, _ = leg_energy(kind, movements)
        assert together == pytest.approx([movement_wh(kind, 0.0, one) for one in movements])


def test_no_movement_and_a_movement_to_where_one_is_cost_nothing() -> None:
    for kind in TYPES:
        base, per_kg = leg_energy(kind, [], in_gusts=True)
        assert base.shape == per_kg.shape == (0,)
    for kind in DRONES:
        for wind in (CALM, Wind(3, 0, 8), Wind(0, 0, 5)):
            hovering: dict[str, Any] = {"from_alt_amsl_m": 80.0, "to_alt_amsl_m": 80.0, "lands": False}
            assert movement_wh(kind, 0.0, _flight(kind, (0, 0, 80), wind=wind, takes_off=False, **hovering)) == 0.0
            # From the ground: until the motors have spun up.
            spun_up = _flight(kind, (0, 0, 80), wind=wind, **hovering)
            assert movement_wh(kind, 0.0, spun_up) == pytest.approx(
                float(rotor_w(kind, 0.0, wind.speed_mps, 0.0)) * SPOOL_UP_S / 3600.0
            )


def test_a_vtol_saves_most_of_its_energy_on_the_wing() -> None:
    movement = _flight(VTOL, (0, 0, 80), (20_000, 0, 80))
    hovering = replace(movement, spells=tuple(replace(s, on_wing=False, airspeed_mps=0.0) for s in movement.spells))
    assert movement_wh(VTOL, 5.0, movement) < 0.4 * movement_wh(VTOL, 5.0, hovering)


def test_robots_pay_for_time_rolling_and_height() -> None:
    way = Movement(1000.0, 700.0, 12.0)
    rolling_wh = (ROBOT.cruise_power_w - ROBOT.idle_power_w) * 1000.0 / ROBOT.cruise_speed_mps / 3600.0
    lift_wh = ROBOT.empty_mass_kg * GRAVITY_MPS2 * 12.0 / WHEEL_EFFICIENCY / 3600.0
    standing_wh = ROBOT.idle_power_w * 700.0 / 3600.0
    assert movement_wh(ROBOT, 0.0, way) == pytest.approx(rolling_wh + lift_wh + standing_wh)
    loaded = standing_wh + (rolling_wh + lift_wh) * (1 + 20.0 / ROBOT.empty_mass_kg)
    assert movement_wh(ROBOT, 20.0, way) == pytest.approx(loaded)


@pytest.mark.parametrize("kind", ROBOTS, ids=lambda kind: kind.type_id)
def test_a_robot_at_cruise_speed_on_asphalt_draws_the_power_of_its_profile(kind: VehicleType) -> None:
    way = Movement(kind.cruise_speed_mps * 3600.0, 3600.0, 0.0)
    assert movement_wh(kind, 0.0, way) == pytest.approx(kind.cruise_power_w)


def test_gravel_and_slopes_cost_a_robot_more_and_waiting_only_its_idle_power() -> None:
    def wh(*on: Stretch, rise_m: float = 0.0, crossings: int = 0) -> float:
        way = drive(ROAD_ROBOT, FRAME, _path((0, 0, 0), (1000, 0, rise_m)), stretches=on, crossings=crossings)
        return movement_wh(ROAD_ROBOT, 50.0, way)

    assert wh(Stretch("gravel")) > 2 * wh(Stretch("asphalt"))
    assert wh(rise_m=30) > wh() + 400.0 * GRAVITY_MPS2 * 30 / 3600.0
    assert wh(crossings=2) - wh() == pytest.approx(ROAD_ROBOT.idle_power_w * 30.0 / 3600.0)


def test_a_drone_hovers_while_it_serves_and_a_robot_stands() -> None:
    assert service_wh(DRONE, 0.0, 36.0) == pytest.approx(DRONE.cruise_power_w / 100)
    assert service_wh(ROBOT, 20.0, 36.0) == pytest.approx(ROBOT.idle_power_w / 100)
    assert service_wh(DRONE, 0.0, 36.0, wind=Wind(14, 0)) > 1.4 * service_wh(DRONE, 0.0, 36.0)
    assert service_wh(DRONE, 0.0, 36.0, wind=Wind(5, 0)) == service_wh(DRONE, 0.0, 36.0)
    for kind in TYPES:
        base, per_kg = service_energy(kind, [36.0, 0.0])
        assert base == pytest.approx([service_wh(kind, 0.0, 36.0), 0.0])
        assert base + per_kg * kind.payload_kg == pytest.approx([service_wh(kind, kind.payload_kg, 36.0), 0.0])


def test_the_published_ranges_of_the_profiles_are_within_their_usable_energy() -> None:
    """11.4 km of the PF2-CAT3, 75 km with 5 kg of the Wingcopter 198; the JP2's 35 km are to the last watt hour."""
    for kind, metres, payload_kg, up_m in ((DRONE, 11_400, 0.0, 50), (VTOL, 75_000, 5.0, 100)):
        needed = movement_wh(kind, payload_kg, _flight(kind, (0, 0, up_m), (metres, 0, up_m)))
        assert 0.9 * usable_wh(kind) < needed < usable_wh(kind), kind.type_id
    five = load_profile("multirotor_5kg")
    assert movement_wh(five, 0.0, _level(five, 35_000)) == pytest.approx(five.battery_wh, rel=0.05)


def test_a_pack_gives_less_when_it_is_old_or_cold_and_the_reserve_is_of_what_it_gives() -> None:
    kind = replace(DRONE, battery_wh=400.0, capacity_at_c=((-10.0, 0.5), (10.0, 0.9), (20.0, 1.0)))
    assert capacity_wh(kind) == 400.0
    assert capacity_wh(kind, temperature_c=0.0) == pytest.approx(400 * 0.7)
    assert capacity_wh(kind, health=0.8, temperature_c=0.0) == pytest.approx(400 * 0.7 * 0.8)
    # Outside of what is known it is level.
    assert capacity_wh(kind, temperature_c=-40.0) == 200.0
    assert capacity_wh(kind, temperature_c=45.0) == 400.0
    assert usable_wh(kind) == pytest.approx(300.0)
    assert usable_wh(kind, health=0.8, temperature_c=0.0, reserve_fraction=0.5) == pytest.approx(400 * 0.7 * 0.8 / 2)
    assert usable_wh(replace(kind, capacity_at_c=()), temperature_c=-30.0) == pytest.approx(300.0)
