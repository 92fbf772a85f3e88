"""The body of the simulated drone: limits of motion, ground, energy."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.profiles import load_profile
from routing.geo import Position
from routing.region.model import Region, Terrain
from simulators.flight import Airframe, Target
from simulators.world import Wind, World

KIND = load_profile("multirotor_1kg")
START = Position(35.0, 135.0, 100.0)
DT = 0.02


def body(world: World | None = None, payload_kg: float = 0.0) -> Airframe:
    frame = Airframe(KIND, START, world or World(None, Wind()), random.Random(1))
    frame.payload_kg = payload_kg
    frame.alt_m += 40.0
    return frame


def slope(rise_per_m: float) -> Region:
    heights = tuple(tuple(100.0 + rise_per_m * 100.0 * row for _ in range(21)) for row in range(21))
    terrain = Terrain(-1000.0, -1000.0, 100.0, heights, "test", 0.0)
    return Region("r", "r", "r", START, terrain, (), (), (), ())


@settings(max_examples=40, deadline=None)
@given(
    east_m=st.floats(-300, 300),
    north_m=st.floats(-300, 300),
    climb_m=st.floats(-30, 80),
    speed_mps=st.floats(2, 12),
)
def test_arrives_anywhere_within_its_limits(east_m: float, north_m: float, climb_m: float, speed_mps: float) -> None:
    drone = body()
    target = Target(east_m, north_m, drone.alt_m + climb_m, speed_mps, 3.0, 1.5)
    before = (drone.ve, drone.vn)
    enough_s = 60 + math.hypot(east_m, north_m) / speed_mps + abs(climb_m)
    for _ in range(round(enough_s / DT)):
        drone.step(DT, target, motors=True)
        assert math.hypot(drone.ve - before[0], drone.vn - before[1]) <= KIND.acceleration_mps2 * DT + 1e-9
        assert math.hypot(drone.ve, drone.vn) <= speed_mps + 0.01
        assert -1.51 <= drone.vu <= 3.01
        before = (drone.ve, drone.vn)
    assert math.hypot(drone.east_m - east_m, drone.north_m - north_m) < 0.3
    assert drone.alt_m == pytest.approx(target.alt_amsl_m, abs=0.3)


def test_never_goes_below_rising_ground() -> None:
    world = World(slope(0.5), Wind())
    drone = Airframe(KIND, START, world, random.Random(1))
    drone.alt_m += 20.0
    for _ in range(3000):
        drone.step(DT, Target(0.0, 400.0, drone.alt_m, 10.0, 3.0, 1.5), motors=True)
        assert drone.alt_m >= drone.ground_m - 1e-9


def test_the_world_agrees_with_the_region_on_heights() -> None:
    region = slope(0.3)
    world = World(region, Wind())
    for east_m, north_m in ((0.0, 0.0), (123.4, -456.7), (-999.0, 999.0), (5000.0, -5000.0)):
        place = region.frame.to_global(east_m, north_m)
        assert world.ground_amsl_m(place, flat_m=0.0) == pytest.approx(region.ground_amsl_m(place))


def hovering_wh(payload_kg: float, seconds: float = 60.0) -> float:
    drone = body(payload_kg=payload_kg)
    for _ in range(round(seconds / DT)):
        drone.step(DT, None, motors=True)
    return KIND.battery_wh - drone.energy_wh


def test_hovering_costs_the_profiles_power_and_more_with_a_payload() -> None:
    empty_wh = hovering_wh(0.0)
    assert empty_wh == pytest.approx(KIND.cruise_power_w / 60.0, rel=0.01)
    loaded = (KIND.empty_mass_kg + 1.0) / KIND.empty_mass_kg
    assert hovering_wh(1.0) == pytest.approx(empty_wh * loaded**1.5, rel=0.01)


def test_falls_without_energy() -> None:
    drone = body()
    drone.energy_wh = 0.0
    for _ in range(500):
        drone.step(DT, Target(0.0, 0.0, 200.0, 5.0, 3.0, 1.5), motors=True)
    assert drone.on_ground


def test_equal_seeds_fly_equally() -> None:
    one, two = body(World(None, Wind(8.0))), body(World(None, Wind(8.0)))
    for drone in (one, two):
        for _ in range(500):
            drone.step(DT, Target(50.0, 0.0, 150.0, 5.0, 3.0, 1.5), motors=True)
    assert one.estimate() == two.estimate()
