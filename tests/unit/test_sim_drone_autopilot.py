"""The simulated autopilot in its own time: arming, flying missions, failsafes, as PX4 1.16 does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulators.gripper import RELEASE
from simulators.missions import FENCE, RALLY, Item
from simulators.modes import Mode
from tests.drone_pilot import HOME, Pilot, action, at, delivery, placed

READY_S = 6.0


def flying(items: tuple[Item, ...] = delivery(), **params: float) -> Pilot:
    """Return a pilot 30 m up in its mission."""
    drone = Pilot(params).run(READY_S)
    drone.upload(items)
    drone.run(1.0)
    assert drone.pilot.arm()
    assert drone.pilot.set_mode(Mode.MISSION)
    drone.until(lambda: drone.height_m > 25, 60)
    return drone


def test_refuses_to_arm_until_its_sensors_are_up() -> None:
    drone = Pilot().run(1.0)
    assert not drone.pilot.arm()
    assert "Arming denied: Resolve system health failures first" in drone.texts
    assert drone.run(READY_S).pilot.arm()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda d: setattr(d, "gcs", False), "ground control station"),
        (lambda d: d.params.set("SIM_GPS_USED", 0), "global position"),
        (lambda d: setattr(d.pilot, "battery_failed", True), "low battery"),
        (lambda d: d.pilot.set_mode(Mode.MISSION), "no mission"),
        (lambda d: d.pilot.set_mode(Mode.RTL), "AUTO.RTL"),
    ],
)
def test_says_why_it_does_not_arm(spoil: Callable[[Pilot], object], reason: str) -> None:
    drone = Pilot().run(READY_S)
    spoil(drone)
    drone.run(15.0)
    assert not drone.pilot.arm()
    assert reason in " ".join(drone.named("arming_denied")[-1]["reasons"])


def test_disarms_itself_when_nothing_takes_off() -> None:
    drone = Pilot().run(READY_S)
    drone.pilot.arm()
    took_s = drone.until(lambda: not drone.pilot.armed, 30)
    assert took_s == pytest.approx(10.0, abs=0.5)


def test_flies_a_delivery_and_lands_at_home() -> None:
    drone = flying()
    drone.until(lambda: not drone.pilot.armed, 300)
    released = drone.named("released")[0]
    assert released["seq"] == 4
    assert (released["lat"], released["lon"]) == pytest.approx((at(0, 120, 8).lat, HOME.lon), abs=3e-5)
    assert [e["seq"] for e in drone.named("reached")] == list(range(9))
    assert abs(drone.north_m) < 2.0
    assert drone.height_m == pytest.approx(0.0, abs=0.1)
    assert drone.pilot.mission.current == 8, "the current item stays the last"


def test_a_release_makes_it_lighter_and_the_crew_loads_it_again() -> None:
    drone = flying()
    drone.until(lambda: bool(drone.named("released")), 120)
    assert drone.body.payload_kg == 0.0
    drone.until(lambda: not drone.pilot.armed, 200)
    spent_wh = drone.body.energy_wh
    drone.run(8.0)
    assert drone.body.payload_kg == 0.8
    assert drone.body.energy_wh > spent_wh


def test_hold_keeps_the_item_and_mission_mode_goes_on_with_it() -> None:
    drone = flying()
    drone.until(lambda: drone.pilot.mission.current == 2 and drone.north_m > 40, 60)
    drone.pilot.set_mode(Mode.LOITER)
    drone.run(10.0)
    held_at_m = drone.north_m
    drone.run(20.0)
    assert drone.north_m == pytest.approx(held_at_m, abs=1.0)
    assert drone.pilot.mission.current == 2
    drone.pilot.set_mode(Mode.MISSION)
    drone.until(lambda: drone.pilot.mission.current == 3, 60)


def test_an_equal_upload_does_not_restart_the_mission() -> None:
    drone = flying()
    drone.until(lambda: drone.pilot.mission.current == 2, 60)
    drone.upload(delivery())
    assert drone.pilot.mission.current == 2
    drone.upload(delivery(distance_m=150))
    assert drone.pilot.mission.current == 0


def test_a_mission_flown_to_its_end_starts_over_when_armed_again() -> None:
    drone = flying()
    drone.until(lambda: not drone.pilot.armed, 300)
    drone.run(10.0)
    assert drone.pilot.arm()
    assert drone.pilot.mission.current == 0
    drone.until(lambda: drone.height_m > 20, 60)


def test_after_a_return_mode_goes_back_to_mission_so_that_arming_flies_again() -> None:
    drone = flying()
    drone.pilot.set_mode(Mode.RTL)
    drone.until(lambda: not drone.pilot.armed, 300)
    assert drone.pilot.mode is Mode.MISSION


def test_a_mission_that_takes_off_twice_is_stored_but_not_armed_for() -> None:
    drone = Pilot().run(READY_S)
    drone.upload((placed(22, at(0, 0, 20)), placed(21, at(0, 50, 0)), placed(22, at(0, 50, 20))))
    drone.run(1.0)
    drone.pilot.set_mode(Mode.MISSION)
    assert not drone.pilot.arm()
    assert drone.named("infeasible")[-1]["reason"] == "takeoff not first waypoint item"


def test_an_infeasible_upload_in_flight_makes_it_hold_at_once() -> None:
    drone = flying()
    drone.upload((placed(22, at(0, 0, 20)), placed(16, at(0, 50, 20)), placed(22, at(0, 50, 20))))
    assert drone.pilot.mode is Mode.LOITER
    assert not drone.pilot.set_mode(Mode.MISSION)


def test_a_new_mission_needs_a_moment_before_it_can_be_started_in_the_air() -> None:
    drone = flying()
    drone.pilot.set_mode(Mode.LOITER)
    drone.upload(())
    drone.upload(delivery(distance_m=90))
    assert not drone.pilot.set_mode(Mode.MISSION)
    drone.run(0.5)
    assert drone.pilot.set_mode(Mode.MISSION)


def test_landed_amid_a_mission_it_stays_armed_and_goes_on() -> None:
    items = (placed(22, at(0, 0, 10)), placed(21, at(0, 40, 0)), action(93, 6, -1, -1, -1), placed(16, at(0, 0, 10)))
    drone = Pilot().run(READY_S)
    drone.upload((*items, placed(21, HOME)))
    drone.run(1.0)
    drone.pilot.arm()
    drone.pilot.set_mode(Mode.MISSION)
    drone.until(lambda: len(drone.named("landed")) == 1, 120)
    drone.run(4.0)
    assert drone.pilot.armed
    drone.until(lambda: len(drone.named("landed")) == 2, 120)
    assert abs(drone.north_m) < 2.0


def test_link_loss_holds_then_returns_and_does_not_resume_by_itself() -> None:
    drone = flying(COM_DL_LOSS_T=10)
    drone.gcs = False
    held_s = drone.until(lambda: drone.pilot.mode is Mode.LOITER, 30)
    assert held_s == pytest.approx(12.5, abs=1.2)
    assert drone.until(lambda: drone.pilot.mode is Mode.RTL, 30) == pytest.approx(5.0, abs=0.5)
    drone.gcs = True
    drone.run(3.0)
    assert drone.pilot.mode is Mode.RTL
    drone.until(lambda: not drone.pilot.armed, 200)
    assert drone.height_m == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize(("act", "mode"), [(1, Mode.LOITER), (3, Mode.LAND)])
def test_link_loss_does_what_the_parameter_says(act: int, mode: Mode) -> None:
    drone = flying(NAV_DLL_ACT=act)
    drone.gcs = False
    drone.run(25.0)
    assert drone.pilot.mode is mode


def test_without_an_action_it_flies_on_when_the_link_is_lost() -> None:
    drone = flying(NAV_DLL_ACT=0)
    drone.gcs = False
    drone.until(lambda: drone.pilot.mission.current > 2, 60)


def test_a_critical_battery_brings_it_home() -> None:
    drone = flying(delivery(400), COM_LOW_BAT_ACT=3)
    drone.until(lambda: drone.north_m > 60, 60)
    drone.body.energy_wh = 0.068 * drone.body.kind.battery_wh
    drone.until(lambda: drone.pilot.mode is Mode.RTL, 10)
    drone.until(lambda: not drone.pilot.armed, 200)
    assert abs(drone.north_m) < 2.0


def test_an_empty_battery_makes_it_fall() -> None:
    drone = flying(COM_LOW_BAT_ACT=0)
    drone.body.energy_wh = 0.01
    drone.until(lambda: bool(drone.named("crashed")), 20)
    drone.run(1.0)
    assert not drone.pilot.armed
    assert not drone.pilot.arm()


def test_lost_position_lands_and_holds_when_it_comes_back() -> None:
    drone = flying()
    drone.params.set("SIM_GPS_USED", 0)
    drone.until(lambda: drone.pilot.mode is Mode.LAND, 15)
    drone.params.set("SIM_GPS_USED", 10)
    drone.until(lambda: drone.pilot.mode is Mode.LOITER, 5)


def ring(half_m: float) -> list[Item]:
    corners = ((-half_m, -half_m), (-half_m, half_m), (half_m, half_m), (half_m, -half_m))
    return [placed(5001, at(e, n, 0), 4) for e, n in corners]


def test_a_waypoint_outside_the_fence_makes_the_mission_infeasible_and_says_so() -> None:
    drone = Pilot().run(READY_S)
    drone.upload(ring(80), FENCE)
    drone.upload(delivery(120))
    drone.run(1.0)
    assert "Geofence violation for waypoint 3" in drone.texts
    drone.pilot.set_mode(Mode.MISSION)
    assert not drone.pilot.arm()


def test_leaving_the_fence_makes_it_hold() -> None:
    drone = flying()
    drone.pilot.guided.reposition((at(0, 200, 0).lat, HOME.lon), None, None)
    drone.upload(ring(60), FENCE)
    drone.until(lambda: bool(drone.named("fence_breach")), 30)
    drone.run(20.0)
    assert drone.pilot.mode is Mode.LOITER
    assert 60 < drone.north_m < 90


def test_a_reposition_outside_the_fence_is_accepted_and_not_flown() -> None:
    drone = flying()
    drone.upload(ring(60), FENCE)
    assert drone.pilot.guided.reposition((at(0, 200, 0).lat, HOME.lon), None, None)
    drone.run(20.0)
    assert "Reposition is outside geofence" in drone.texts
    assert drone.north_m < 60


def test_a_fence_without_home_is_reported_once_and_ignored() -> None:
    drone = Pilot().run(READY_S)
    drone.upload([placed(5003, at(0, 5000, 0), 100)], FENCE)
    drone.upload(delivery())
    drone.run(1.0)
    assert drone.texts.count("Geofence invalid, doesn't contain Home position") == 1
    drone.pilot.set_mode(Mode.MISSION)
    assert drone.pilot.arm()


def test_returns_to_the_nearer_rally_point() -> None:
    drone = flying(delivery(300))
    drone.upload([placed(5100, at(0, 150, 0), frame=0)], RALLY)
    drone.until(lambda: drone.north_m > 120, 60)
    drone.pilot.set_mode(Mode.RTL)
    drone.until(lambda: not drone.pilot.armed, 200)
    assert drone.north_m == pytest.approx(150, abs=2)


def test_a_rally_point_in_an_int_frame_is_stored_and_then_forbids_missions() -> None:
    drone = Pilot().run(READY_S)
    drone.upload(delivery())
    drone.upload([placed(5100, at(0, 50, 0), frame=5)], RALLY)
    drone.run(1.0)
    drone.pilot.set_mode(Mode.MISSION)
    assert not drone.pilot.arm()


def test_take_off_goes_to_its_altitude_and_holds() -> None:
    drone = Pilot().run(READY_S)
    drone.pilot.guided.takeoff(HOME.alt_amsl_m + 15)
    drone.pilot.arm()
    drone.until(lambda: drone.pilot.mode is Mode.LOITER, 40)
    drone.run(3.0)
    assert drone.height_m == pytest.approx(15, abs=0.6)
    assert not drone.pilot.disarm()
    assert drone.pilot.disarm(force=True)


def test_the_gripper_takes_a_second_and_says_so() -> None:
    drone = Pilot().run(READY_S)
    drone.pilot.gripper.command(RELEASE, partner=(245, 190))
    assert drone.acks == [5]
    drone.run(0.5)
    assert drone.body.payload_kg == 0.8
    drone.run(0.6)
    assert drone.acks == [5, 0]
    assert drone.body.payload_kg == 0.0
    drone.pilot.gripper.command(7, partner=(245, 190))
    assert drone.acks[-1] == 2


def test_wind_does_not_carry_it_away() -> None:
    drone = Pilot(wind_mps=10.0).run(READY_S)
    drone.pilot.guided.takeoff(HOME.alt_amsl_m + 15)
    drone.pilot.arm()
    drone.until(lambda: drone.pilot.mode is Mode.LOITER, 40)
    drone.run(30.0)
    assert abs(drone.body.east_m) + abs(drone.body.north_m) < 3.0
