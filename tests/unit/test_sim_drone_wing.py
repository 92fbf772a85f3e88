"""The simulated VTOL: hover, transitions, flight on its wing, and what that takes."""

from __future__ import annotations

import math

import pytest

from hardware.profiles import load_profile
from simulators.missions import Item
from simulators.modes import Mode
from simulators.wing import VtolState
from tests.drone_pilot import HOME, Pilot, action, at, placed

KIND = load_profile("vtol_5kg")
FAR_M = 1500.0


def vtol(**params: float) -> Pilot:
    own = {"FW_AIRSPD_TRIM": KIND.cruise_speed_mps, "MPC_XY_CRUISE": 10.0, **params}
    return Pilot(own, type_id="vtol_5kg", payload_kg=2.0).run(6.0)


def delivery(height_m: float = 60.0) -> tuple[Item, ...]:
    over, low = at(0, FAR_M, height_m), at(0, FAR_M, 8)
    return (
        placed(84, at(0, 0, height_m)),
        placed(16, at(0, 800, height_m)),
        placed(16, over),
        action(3000, 3),
        placed(16, over, 0.0, 2.0),
        placed(16, low, 2.0, 1.0),
        action(211, 1, 0),
        placed(16, over),
        action(3000, 4),
        placed(16, at(400, 800, height_m)),
        placed(85, HOME),
    )


def flying() -> Pilot:
    drone = vtol()
    drone.upload(delivery())
    drone.run(1.0)
    drone.pilot.set_mode(Mode.MISSION)
    assert drone.pilot.arm()
    return drone


def speed_mps(drone: Pilot) -> float:
    return math.hypot(drone.body.ve, drone.body.vn)


def states(drone: Pilot) -> list[str]:
    return [event["state"] for event in drone.named("vtol")]


def test_a_whole_delivery_with_two_flights_on_the_wing() -> None:
    drone = flying()
    drone.until(lambda: not drone.pilot.armed, 600)

    assert states(drone) == ["TO_WING", "WING", "TO_ROTORS", "ROTORS"] * 2
    place = drone.named("released")[0]
    assert place["alt_m"] == pytest.approx(HOME.alt_amsl_m + 8, abs=2.0)
    assert place["lat"] == pytest.approx(at(0, FAR_M, 0).lat, abs=2e-5)
    assert math.hypot(drone.body.east_m, drone.body.north_m) < 3.0
    assert not drone.pilot.crashed


def test_powers_and_speeds_are_the_profiles() -> None:
    drone = flying()
    drone.until(lambda: drone.height_m > 30, 60)
    loaded = (KIND.empty_mass_kg + 2.0) / KIND.empty_mass_kg
    climbing_w = drone.body.mass_kg * 9.81 * drone.body.vu
    assert drone.body.power_w - climbing_w == pytest.approx(KIND.hover_power_w * loaded**1.5, rel=0.02)

    drone.until(lambda: drone.pilot.wing is not None and drone.pilot.wing.state is VtolState.WING, 90)
    drone.run(10.0)
    assert speed_mps(drone) == pytest.approx(KIND.cruise_speed_mps, rel=0.05)
    assert drone.body.power_w == pytest.approx(KIND.cruise_power_w * (0.6 + 0.4 * loaded**2), rel=0.1)


def test_the_transition_takes_the_profiles_time() -> None:
    drone = flying()
    drone.until(lambda: "TO_WING" in states(drone), 90)
    took_s = drone.until(lambda: speed_mps(drone) > 0.95 * KIND.cruise_speed_mps, 60)
    assert took_s == pytest.approx(KIND.transition_s, rel=0.15)


def test_on_its_wing_it_holds_in_a_circle_and_lands_on_its_rotors() -> None:
    drone = flying()
    drone.until(lambda: drone.north_m > 600, 120)
    drone.pilot.set_mode(Mode.LOITER)
    held = drone.north_m
    drone.run(60.0)
    away = []
    for _ in range(60):
        drone.run(0.5)
        away.append(math.hypot(drone.body.east_m, drone.north_m - held))
    assert max(away) < 140.0
    assert min(away) > 80.0
    assert speed_mps(drone) > 20.0

    drone.pilot.set_mode(Mode.LAND)
    drone.until(lambda: not drone.pilot.armed, 180)
    assert states(drone)[-1] == "ROTORS"
    assert not drone.pilot.crashed


def test_it_returns_on_its_wing_and_lands_at_home() -> None:
    drone = flying()
    drone.until(lambda: drone.north_m > 600, 120)
    drone.pilot.set_mode(Mode.RTL)
    drone.until(lambda: not drone.pilot.armed, 300)
    assert math.hypot(drone.body.east_m, drone.body.north_m) < 3.0


def test_airspeed_by_command_is_for_the_wing_and_ground_speed_for_the_rotors() -> None:
    drone = flying()
    drone.until(lambda: drone.north_m > 300, 120)
    drone.pilot.guided.change_speed(18.0, of_air=True)
    drone.run(10.0)
    assert speed_mps(drone) == pytest.approx(18.0, rel=0.05)


def test_a_multirotor_takes_no_airspeed() -> None:
    drone = Pilot({"MPC_XY_CRUISE": 5.0}).run(6.0)
    drone.upload((placed(22, at(0, 0, 20)), placed(16, at(0, 400, 20)), placed(21, HOME)))
    drone.run(1.0)
    drone.pilot.set_mode(Mode.MISSION)
    drone.pilot.arm()
    drone.until(lambda: drone.north_m > 50, 90)
    drone.pilot.guided.change_speed(9.0, of_air=True)
    drone.run(8.0)
    assert speed_mps(drone) < 5.5
