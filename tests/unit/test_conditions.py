"""Conditions: what a vehicle's state and mission show, look by look."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.conditions import MESSAGE_S, NEVER_HEARD_S, STUCK_S, Look, Memory, findings, remember
from hardware.link import Activity, Progress, VehicleState
from hardware.profiles import load_profile
from routing.geo import Position
from telemetry.monitors.finding import Finding

START = datetime(2026, 4, 1, tzinfo=UTC)
HOME = Position(36.0, 138.0, 500.0)
OUT = Position(36.01, 138.01, 600.0)
DRONE, ROBOT = load_profile("multirotor_1kg"), load_profile("sidewalk_robot")
FLYING = VehicleState(
    connected=True, activity=Activity.MISSION, armed=True, on_ground=False, position=OUT, battery_pct=80.0
)
DRIVING = replace(FLYING, armed=False, on_ground=True)
STANDING = VehicleState(connected=True, activity=Activity.IDLE, position=HOME, battery_pct=80.0, ready=True)


def mission(state: str = "underway", **more: Any) -> dict[str, Any]:
    steps = [{"kind": "move"}, {"kind": "release"}, {"kind": "move"}]
    return {"mission_id": "m-1", "state": state, "reason": None, "trip": {"mission": {"steps": steps}}, **more}


class Sequence:
    """One vehicle over time: each ``shows`` is a state that lasts, looked at five times a wall second."""

    def __init__(self, kind: str = "drone", *, speed: float = 1.0) -> None:
        self.vehicle_type = DRONE if kind == "drone" else ROBOT
        self.now = START
        self.speed = speed
        self.mission: dict[str, Any] | None = mission()
        self.asked: tuple[str, datetime] | None = None
        self.found: list[Finding] = []
        self.ever: set[str] = set()
        self._memory = Memory()

    def shows(self, state: VehicleState, seconds: float) -> list[str]:
        """Show one state for some domain seconds; return the codes of what holds at the end."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            self.now += timedelta(seconds=0.2 * self.speed)
            heard = replace(state, t=self.now) if state.connected else state
            look = Look(self.now, heard, self.vehicle_type, self.mission, self.asked, HOME, self.speed)
            self._memory = remember(look, self._memory)
            self.found = findings(look, self._memory)
            self.ever |= {finding.code for finding in self.found if finding.holds}
        return [finding.code for finding in self.found if finding.holds]

    def asks(self, kind: str) -> None:
        self.asked = kind, self.now


def test_a_whole_flight_as_planned_shows_nothing() -> None:
    flight = Sequence()
    flight.mission = mission("accepted")
    flight.shows(STANDING, 30)
    flight.mission = mission("starting")
    on_ground = replace(FLYING, on_ground=True, activity=Activity.HOLD)
    for state in (on_ground, replace(FLYING, activity=Activity.TAKEOFF), FLYING):
        flight.shows(state, 20)
    flight.mission = mission("underway")
    flight.shows(replace(FLYING, battery_pct=26.0), 300)
    flight.shows(replace(FLYING, on_ground=True), 5)
    flight.mission = mission("completed", attempts=1, parcels_aboard=False, changed_at=flight.now)
    flight.shows(STANDING, 60)
    assert flight.ever == set()


@pytest.mark.parametrize("speed", [1.0, 4.0, 20.0])
def test_a_silent_vehicle_on_a_mission_is_found_at_once_with_when_it_was_heard(speed: float) -> None:
    flight = Sequence(speed=speed)
    flight.shows(FLYING, 10 * speed)
    last_heard = flight.now

    assert flight.shows(replace(FLYING, connected=False, t=last_heard), 0.2 * speed) == ["silent"]

    assert flight.found[0].since == last_heard
    assert flight.shows(FLYING, 0.2 * speed) == []


def test_silence_without_a_mission_is_nothing() -> None:
    parked = Sequence()
    parked.mission = None
    parked.shows(STANDING, 10)
    assert parked.shows(replace(STANDING, connected=False, t=START), 600) == []


def test_a_robot_that_a_new_gateway_has_not_heard_yet_has_the_time_that_its_protocol_allows() -> None:
    taken = Sequence("robot")
    assert taken.shows(VehicleState(), ROBOT.lost_link_s + NEVER_HEARD_S) == []
    assert taken.shows(VehicleState(), 1.0) == ["silent"]


def test_nothing_is_said_of_a_silent_vehicle_but_that() -> None:
    flight = Sequence()
    low = replace(FLYING, battery_pct=20.0, faults=("GPS glitch",))
    assert flight.shows(low, 1) == ["battery", "fault"]
    assert flight.shows(replace(low, connected=False, t=flight.now), 60) == ["silent"]
    assert flight.shows(low, 1) == ["battery", "fault"]


def test_battery_below_the_reserve_in_flight_is_the_worse_case_and_does_not_flicker_around_it() -> None:
    flight = Sequence()
    reserve = 100 * DRONE.reserve_fraction
    assert flight.shows(replace(FLYING, battery_pct=reserve), 5) == []

    assert flight.shows(replace(FLYING, battery_pct=reserve - 1), 1) == ["battery"]

    assert flight.found[0].worse
    assert flight.found[0].values == {"charge_pct": reserve - 1, "reserve_pct": reserve}
    assert flight.shows(replace(FLYING, battery_pct=reserve + 1), 5) == ["battery"]
    assert flight.shows(replace(FLYING, battery_pct=reserve + 4), 5) == []
    assert flight.shows(replace(FLYING, battery_pct=reserve + 1), 5) == []
    assert flight.shows(replace(FLYING, battery_pct=reserve - 1, on_ground=True), 1) == []


def test_a_battery_that_is_not_told_in_flight_cannot_be_judged() -> None:
    flight = Sequence()
    assert flight.shows(replace(FLYING, battery_pct=None), 1) == []
    assert [(finding.code, finding.holds) for finding in flight.found] == [("battery", None)]


def test_an_empty_battery_of_a_drone_on_the_ground_is_nothing_but_of_a_robot_on_its_way() -> None:
    landed = Sequence()
    landed.mission = None
    assert landed.shows(replace(STANDING, battery_pct=5.0), 60) == []
    driving = Sequence("robot")
    assert driving.shows(replace(DRIVING, battery_pct=5.0), 10) == ["battery"]
    assert not driving.found[0].worse


@pytest.mark.parametrize(
    ("activity", "code"),
    [
        (Activity.HOLD, "holds_unasked"),
        (Activity.RETURN, "returns_unasked"),
        (Activity.LAND, "lands_unasked"),
        (Activity.MANUAL, "manual"),
    ],
)
def test_what_a_vehicle_does_by_itself_on_a_mission_is_found(activity: Activity, code: str) -> None:
    flight = Sequence()
    flight.shows(FLYING, 10)
    assert flight.shows(replace(FLYING, activity=activity), 0.2) == [code]


@pytest.mark.parametrize(
    ("asked", "does", "holds"),
    [
        ("hold", Activity.HOLD, []),
        ("return", Activity.RETURN, []),
        ("return", Activity.LAND, []),
        ("land", Activity.LAND, []),
        ("hold", Activity.RETURN, ["returns_unasked"]),
        ("return", Activity.HOLD, ["holds_unasked"]),
        ("resume", Activity.HOLD, ["holds_unasked"]),
        ("hold", Activity.MANUAL, ["manual"]),
    ],
)
def test_what_a_person_asked_for_is_nothing_and_anything_else_is(asked: str, does: Activity, holds: list[str]) -> None:
    flight = Sequence()
    flight.shows(FLYING, 10)
    flight.asks(asked)
    assert flight.shows(replace(FLYING, activity=does), 120) == holds


def test_a_hold_that_is_resumed_has_time_to_take_effect() -> None:
    flight = Sequence(speed=10.0)
    flight.asks("hold")
    flight.shows(replace(FLYING, activity=Activity.HOLD), 120)
    flight.asks("resume")
    flight.shows(replace(FLYING, activity=Activity.HOLD), 30)
    flight.shows(FLYING, 120)
    assert flight.ever == set()


def test_a_landing_on_the_ground_is_over() -> None:
    flight = Sequence()
    assert flight.shows(replace(FLYING, activity=Activity.LAND, on_ground=True), 60) == []


def test_what_a_drone_says_grows_old() -> None:
    flight = Sequence()
    flight.shows(FLYING, 10)
    said_at = flight.now
    assert flight.shows(replace(FLYING, faults=("GPS glitch",)), 5) == ["fault"]
    fault = flight.found[0]
    assert fault.values == {"text": "GPS glitch", "more": 0}
    assert not fault.worse
    assert fault.since is not None
    assert fault.since - said_at < timedelta(seconds=1)

    # The link keeps the words; the condition does not.
    assert flight.shows(replace(FLYING, faults=("GPS glitch",)), MESSAGE_S) == []


def test_the_same_words_said_again_later_are_news() -> None:
    flight = Sequence()
    flight.shows(replace(FLYING, faults=("GPS glitch", "wind")), MESSAGE_S + 5)
    assert flight.shows(replace(FLYING, faults=("GPS glitch", "wind", "GPS glitch")), 5) == ["fault"]


def test_newer_words_are_something_newer() -> None:
    flight = Sequence()
    flight.shows(replace(FLYING, faults=("GPS glitch",)), 30)
    first = flight.found[0].since
    flight.shows(replace(FLYING, faults=("GPS glitch", "wind too strong")), 5)
    assert first is not None
    assert flight.found[0].since is not None
    assert flight.found[0].since > first
    assert flight.found[0].values == {"text": "wind too strong", "more": 1}


def test_what_a_drone_said_before_its_mission_is_nothing_on_it() -> None:
    flight = Sequence()
    flight.mission = mission("accepted")
    flight.shows(replace(STANDING, faults=("Preflight Fail: Compass",)), 10)
    flight.mission = mission("underway")
    assert flight.shows(replace(FLYING, faults=("Preflight Fail: Compass",)), 30) == []


def test_what_a_robot_says_holds_for_as_long_as_it_says_so() -> None:
    drive = Sequence("robot")
    moving = [replace(DRIVING, position=replace(OUT, lat=OUT.lat + i * 1e-4)) for i in range(40)]
    for state in moving:
        assert drive.shows(replace(state, faults=("obstacle ahead",)), 10) == ["fault"]
    assert drive.shows(moving[0], 1) == []


def test_a_vehicle_in_a_fault_state_is_the_worse_case_with_or_without_words() -> None:
    flight = Sequence()
    assert flight.shows(replace(FLYING, activity=Activity.FAULT), 5) == ["fault"]
    assert flight.found[0].worse


def test_a_robot_that_does_not_move_for_a_minute_on_its_mission_is_stuck() -> None:
    drive = Sequence("robot")
    assert drive.shows(DRIVING, STUCK_S - 5) == []
    assert drive.shows(replace(DRIVING, position=replace(OUT, lat=OUT.lat + 1e-6)), 10) == ["stuck"]
    assert drive.found[0].since == START + timedelta(seconds=0.2)
    assert drive.shows(replace(DRIVING, position=HOME), 1) == []


def test_a_robot_that_delivers_or_is_held_does_not_move_and_that_is_right() -> None:
    drive = Sequence("robot")
    at_the_door = replace(DRIVING, progress=Progress("m-1", step=1))
    assert drive.shows(at_the_door, STUCK_S + ROBOT.service_s - 5) == []
    drive.asks("hold")
    assert drive.shows(replace(at_the_door, activity=Activity.HOLD), 600) == []


def test_a_hovering_drone_is_not_stuck() -> None:
    assert Sequence().shows(FLYING, 600) == []


def test_a_failed_mission_is_found_until_parcels_and_vehicle_are_back() -> None:
    out_there = replace(STANDING, position=OUT)
    after = Sequence()
    after.mission = mission("failed", reason="stands idle", changed_at=START, parcels_aboard=True, attempts=1)
    assert after.shows(out_there, 0.2) == ["mission_failed"]
    assert after.found[0].values == {"reason": "stands idle"}
    assert after.found[0].since == START
    after.mission = {**after.mission, "parcels_aboard": False}
    assert after.shows(out_there, 600) == ["mission_failed"]
    assert after.shows(STANDING, 1) == []


@pytest.mark.parametrize(("attempts", "holds"), [(0, []), (1, []), (2, ["start_refused"]), (4, ["start_refused"])])
def test_a_start_refused_once_is_nothing_and_twice_is(attempts: int, holds: list[str]) -> None:
    waiting = Sequence()
    waiting.mission = mission("loaded", reason="arming refused", changed_at=START, attempts=attempts)
    assert waiting.shows(STANDING, 5) == holds
