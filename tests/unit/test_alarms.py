"""Alarms over time: sequences of what a vehicle shows, and which alarms stand after each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from fleet import live
from fleet.alarms import CLEAR_S, MESSAGE_S, STUCK_S, AlarmWatch, Urgency
from hardware.link import Activity, Progress, VehicleState
from hardware.profiles import load_profile
from routing.geo import Position

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
        self.watch = AlarmWatch(DRONE if kind == "drone" else ROBOT, HOME)
        self.now = START
        self.speed = speed
        self.mission: dict[str, Any] | None = mission()
        self.asked: tuple[str, datetime] | None = None
        self.flips = 0
        self.alarms: tuple[Any, ...] = ()

    def shows(self, state: VehicleState, seconds: float) -> list[str]:
        """Show one state for some domain seconds; return the codes of the alarms that stand at the end."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            before = {alarm.code for alarm in self.alarms}
            self.now += timedelta(seconds=0.2 * self.speed)
            heard = replace(state, t=self.now) if state.connected else state
            self.alarms = self.watch.see(heard, self.mission, at=self.now, speed=self.speed, asked=self.asked)
            self.flips += len(before ^ {alarm.code for alarm in self.alarms})
        return [alarm.code for alarm in self.alarms]

    def asks(self, kind: str) -> None:
        self.asked = kind, self.now


def test_a_whole_flight_as_planned_raises_nothing() -> None:
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
    assert flight.flips == 0


@pytest.mark.parametrize("speed", [1.0, 4.0, 20.0])
def test_a_silent_vehicle_on_a_mission_is_urgent_until_it_is_heard_again(speed: float) -> None:
    flight = Sequence(speed=speed)
    flight.shows(FLYING, 10 * speed)
    last_heard = flight.now

    assert flight.shows(replace(FLYING, connected=False, t=last_heard), 3 * speed) == ["silent"]

    assert flight.alarms[0].urgency is Urgency.URGENT
    assert flight.alarms[0].since == last_heard
    assert flight.shows(FLYING, CLEAR_S * speed + speed) == []
    assert flight.flips == 2


def test_silence_without_a_mission_is_no_alarm() -> None:
    parked = Sequence()
    parked.mission = None
    parked.shows(STANDING, 10)
    assert parked.shows(replace(STANDING, connected=False, t=START), 600) == []


def test_a_robot_that_a_new_gateway_has_not_heard_yet_has_the_time_that_its_protocol_allows() -> None:
    taken = Sequence("robot")
    assert taken.shows(VehicleState(), ROBOT.lost_link_s) == []
    assert taken.shows(VehicleState(), 10.0) == ["silent"]


def test_a_link_that_comes_and_goes_makes_one_alarm_and_not_many() -> None:
    flight = Sequence()
    flight.shows(FLYING, 10)
    for _ in range(20):
        flight.shows(replace(FLYING, connected=False, t=flight.now), 3)
        flight.shows(FLYING, 3)
    assert [alarm.code for alarm in flight.alarms] == ["silent"]
    assert flight.flips == 1


def test_what_stood_when_the_vehicle_fell_silent_goes_on_standing() -> None:
    flight = Sequence()
    low = replace(FLYING, battery_pct=20.0)
    assert flight.shows(low, 10) == ["battery"]
    assert sorted(flight.shows(replace(low, connected=False, t=flight.now), 120)) == ["battery", "silent"]


def test_battery_below_the_reserve_in_flight_is_urgent_and_does_not_flicker_around_it() -> None:
    flight = Sequence()
    reserve = 100 * DRONE.reserve_fraction
    assert flight.shows(replace(FLYING, battery_pct=reserve), 30) == []

    assert flight.shows(replace(FLYING, battery_pct=reserve - 1), 10) == ["battery"]

    assert flight.alarms[0].urgency is Urgency.URGENT
    for _ in range(30):
        flight.shows(replace(FLYING, battery_pct=reserve + 1), 12)
        flight.shows(replace(FLYING, battery_pct=reserve - 1), 4)
    assert flight.flips == 1
    assert flight.shows(replace(FLYING, battery_pct=reserve - 1, on_ground=True), CLEAR_S + 1) == []


def test_a_short_dip_of_the_battery_is_no_alarm() -> None:
    flight = Sequence()
    for _ in range(10):
        flight.shows(replace(FLYING, battery_pct=20.0), 1)
        flight.shows(replace(FLYING, battery_pct=30.0), 5)
    assert flight.flips == 0


def test_an_empty_battery_of_a_drone_on_the_ground_is_no_alarm_but_of_a_robot_on_its_way() -> None:
    landed = Sequence()
    landed.mission = None
    assert landed.shows(replace(STANDING, battery_pct=5.0), 60) == []
    driving = Sequence("robot")
    assert driving.shows(replace(DRIVING, battery_pct=5.0), 10) == ["battery"]
    assert driving.alarms[0].urgency is Urgency.HIGH


@pytest.mark.parametrize(
    ("activity", "code"),
    [
        (Activity.HOLD, "holds_unasked"),
        (Activity.RETURN, "returns_unasked"),
        (Activity.LAND, "lands_unasked"),
        (Activity.MANUAL, "manual"),
    ],
)
def test_what_a_vehicle_does_by_itself_on_a_mission_is_high(activity: Activity, code: str) -> None:
    flight = Sequence()
    flight.shows(FLYING, 10)
    assert flight.shows(replace(FLYING, activity=activity), 5) == [code]
    assert flight.alarms[0].urgency is Urgency.HIGH


@pytest.mark.parametrize(
    ("asked", "does", "stands"),
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
def test_what_a_person_asked_for_is_no_alarm_and_anything_else_is(
    asked: str, does: Activity, stands: list[str]
) -> None:
    flight = Sequence()
    flight.shows(FLYING, 10)
    flight.asks(asked)
    assert flight.shows(replace(FLYING, activity=does), 120) == stands


def test_a_hold_that_is_resumed_has_time_to_take_effect() -> None:
    flight = Sequence(speed=10.0)
    flight.asks("hold")
    flight.shows(replace(FLYING, activity=Activity.HOLD), 120)
    flight.asks("resume")
    flight.shows(replace(FLYING, activity=Activity.HOLD), 30)
    flight.shows(FLYING, 120)
    assert flight.flips == 0


def test_a_landing_on_the_ground_is_over() -> None:
    flight = Sequence()
    assert flight.shows(replace(FLYING, activity=Activity.LAND, on_ground=True), 60) == []


def test_what_a_drone_says_is_medium_and_grows_old() -> None:
    flight = Sequence()
    flight.shows(FLYING, 10)
    said_at = flight.now
    assert flight.shows(replace(FLYING, faults=("GPS glitch",)), 5) == ["fault"]
    assert flight.alarms[0].urgency is Urgency.MEDIUM
    assert "GPS glitch" in flight.alarms[0].text_en
    assert "GPS glitch" in flight.alarms[0].text_ja
    assert flight.alarms[0].since - said_at < timedelta(seconds=1)

    # The link keeps the words; the alarm does not.
    assert flight.shows(replace(FLYING, faults=("GPS glitch",)), MESSAGE_S + CLEAR_S) == []


def test_the_same_words_said_again_later_are_news() -> None:
    flight = Sequence()
    flight.shows(replace(FLYING, faults=("GPS glitch", "wind")), MESSAGE_S + CLEAR_S + 5)
    assert flight.shows(replace(FLYING, faults=("GPS glitch", "wind", "GPS glitch")), 5) == ["fault"]


def test_newer_words_are_a_newer_alarm() -> None:
    flight = Sequence()
    flight.shows(replace(FLYING, faults=("GPS glitch",)), 30)
    first = flight.alarms[0]
    flight.shows(replace(FLYING, faults=("GPS glitch", "wind too strong")), 5)
    assert flight.alarms[0].since > first.since
    assert "wind too strong" in flight.alarms[0].text_en


def test_what_a_drone_said_before_its_mission_is_no_alarm_on_it() -> None:
    flight = Sequence()
    flight.mission = mission("accepted")
    flight.shows(replace(STANDING, faults=("Preflight Fail: Compass",)), 10)
    flight.mission = mission("underway")
    assert flight.shows(replace(FLYING, faults=("Preflight Fail: Compass",)), 30) == []


def test_what_a_robot_says_stands_for_as_long_as_it_says_so() -> None:
    drive = Sequence("robot")
    moving = [replace(DRIVING, position=replace(OUT, lat=OUT.lat + i * 1e-4)) for i in range(40)]
    for state in moving:
        drive.shows(replace(state, faults=("obstacle ahead",)), 10)
    assert [alarm.code for alarm in drive.alarms] == ["fault"]
    assert drive.flips == 1
    assert drive.shows(moving[0], CLEAR_S + 2) == []


def test_a_vehicle_in_a_fault_state_is_high_with_or_without_words() -> None:
    flight = Sequence()
    assert flight.shows(replace(FLYING, activity=Activity.FAULT), 5) == ["fault"]
    assert flight.alarms[0].urgency is Urgency.HIGH


def test_a_robot_that_does_not_move_for_a_minute_on_its_mission_is_medium() -> None:
    drive = Sequence("robot")
    assert drive.shows(DRIVING, STUCK_S - 5) == []
    assert drive.shows(replace(DRIVING, position=replace(OUT, lat=OUT.lat + 1e-6)), 10) == ["stuck"]
    assert drive.alarms[0].urgency is Urgency.MEDIUM
    assert drive.alarms[0].since == START + timedelta(seconds=0.2)
    assert drive.shows(replace(DRIVING, position=HOME), CLEAR_S + 2) == []


def test_a_robot_that_delivers_or_is_held_does_not_move_and_that_is_right() -> None:
    drive = Sequence("robot")
    at_the_door = replace(DRIVING, progress=Progress("m-1", step=1))
    assert drive.shows(at_the_door, STUCK_S + ROBOT.service_s - 5) == []
    drive.asks("hold")
    assert drive.shows(replace(at_the_door, activity=Activity.HOLD), 600) == []


def test_a_hovering_drone_is_not_stuck() -> None:
    assert Sequence().shows(FLYING, 600) == []


def test_a_failed_mission_is_high_until_parcels_and_vehicle_are_back() -> None:
    out_there = replace(STANDING, position=OUT)
    after = Sequence()
    after.mission = mission("failed", reason="stands idle", changed_at=START, parcels_aboard=True, attempts=1)
    assert after.shows(out_there, 1.5) == ["mission_failed"]
    assert after.alarms[0].urgency is Urgency.HIGH
    assert "stands idle" in after.alarms[0].text_en
    after.mission = {**after.mission, "parcels_aboard": False}
    assert after.shows(out_there, 3600) == ["mission_failed"]
    assert after.shows(STANDING, CLEAR_S + 1) == []


@pytest.mark.parametrize(("attempts", "stands"), [(0, []), (1, []), (2, ["start_refused"]), (4, ["start_refused"])])
def test_a_start_refused_once_is_no_alarm_and_twice_is(attempts: int, stands: list[str]) -> None:
    waiting = Sequence()
    waiting.mission = mission("loaded", reason="arming refused", changed_at=START, attempts=attempts)
    assert waiting.shows(STANDING, 5) == stands


def test_alarms_come_most_urgent_first() -> None:
    flight = Sequence()
    flight.shows(replace(FLYING, faults=("Low battery",), activity=Activity.RETURN, battery_pct=20.0), 20)
    assert [alarm.code for alarm in flight.alarms] == ["battery", "returns_unasked", "fault"]


def test_each_alarm_outlives_its_condition_by_many_snapshots_however_fast_the_clock() -> None:
    flight = Sequence(speed=50.0)
    assert flight.shows(replace(FLYING, activity=Activity.RETURN), 100) == ["returns_unasked"]
    assert flight.shows(FLYING, 4.0 * 50.0) == ["returns_unasked"]
    assert flight.shows(FLYING, 2.0 * 50.0) == []


def test_a_vehicle_whose_gateway_has_died_is_silent_for_those_who_look(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1000.0
    monkeypatch.setattr("fleet.live.time.monotonic", lambda: now_s)
    flying = live.vehicle_snapshot("drone-1", replace(FLYING, t=START), mission(), gateway="g-1")
    parked = live.vehicle_snapshot("drone-2", replace(STANDING, t=START), None, gateway="g-1")
    view = live.LiveView()
    view.take(live.encode_snapshot("g-1", START, [flying, parked]))
    assert all(vehicle["alarms"] == [] for vehicle in view.vehicles())

    now_s += live.SILENT_S + 0.1

    first, second = view.vehicles()
    alarm = first["alarms"][0]
    assert (alarm["code"], alarm["urgency"], alarm["since"]) == ("silent", "urgent", first["t"])
    assert second["alarms"] == []
    assert orjson.loads(orjson.dumps(view.vehicles()))
