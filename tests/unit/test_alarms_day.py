"""A day of flights in steady operation, with the noise that real links and sensors have: who is called, how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from fleet.alarms import AlarmBook
from fleet.conditions import Look, Memory, findings, remember
from fleet.live import unheard
from hardware.link import Activity, Progress, VehicleState
from hardware.profiles import load_profile
from routing.geo import Position
from telemetry.monitors.finding import Finding

START = datetime(2026, 4, 1, 0, 0, tzinfo=UTC)
HOME = Position(36.0, 138.0, 500.0)
DRONE = load_profile("multirotor_1kg")
SPEED = 5.0
LOOK_S = 0.2 * SPEED
DAY_H, VEHICLES = 6, 4
FLIGHT_S, TURN_S = 900.0, 1800.0
"""A flight of a quarter of an hour each half hour."""


class Flights:
    """One drone's day: what its link shows at each look, with noise; ``wrong`` are real troubles, by second."""

    def __init__(self, number: int, wrong: dict[str, tuple[float, float]]) -> None:
        self._random = Random(number)
        self._wrong = wrong
        self._offset_s = 97.0 * number

    def looks(self) -> Iterator[tuple[datetime, VehicleState, dict[str, Any] | None, list[Finding]]]:
        """Yield time, state, mission and what monitors say besides."""
        heard: VehicleState = VehicleState()
        for step in range(int(DAY_H * 3600 / LOOK_S)):
            second = step * LOOK_S
            into = (second + self._offset_s) % TURN_S
            flies, noise = into < FLIGHT_S, self._random.random
            state = self._state(into, second, flies=flies)
            # A link loses a moment now and then; position and state are then the last ones.
            silent = self._is_wrong("silent", second) or noise() < 0.02
            at = START + timedelta(seconds=second)
            heard = replace(heard, connected=False) if silent else replace(state, t=at)
            besides = [Finding("link_weak", True, values={"arrived_pct": 70.0})] if noise() < 0.05 else []
            besides += [Finding("wind", True, values={"wind_mps": 13.0, "limit_mps": 12.0})] if noise() < 0.02 else []
            yield at, heard, _mission("underway") if flies else None, besides

    def _state(self, into: float, second: float, *, flies: bool) -> VehicleState:
        noise = self._random.random
        charge = 95.0 - (66.0 * into / FLIGHT_S if flies else 0.0) - (3.0 if noise() < 0.05 else 0.0)
        if self._is_wrong("battery", second):
            charge = 12.0
        # Between two items of a mission an autopilot shows its hold for a moment.
        activity = Activity.MISSION if not flies or noise() > 0.02 else Activity.HOLD
        if self._is_wrong("returns_unasked", second):
            activity = Activity.RETURN
        place = Position(HOME.lat + 0.01, HOME.lon, HOME.alt_amsl_m + 80.0)
        if not flies:
            return VehicleState(connected=True, activity=Activity.IDLE, position=HOME, battery_pct=charge, ready=True)
        return VehicleState(
            connected=True, activity=activity, armed=True, on_ground=False, position=place, battery_pct=charge
        )

    def _is_wrong(self, code: str, second: float) -> bool:
        begins, ends = self._wrong.get(code, (0.0, 0.0))
        return begins <= second < ends


def _mission(state: str) -> dict[str, Any]:
    return {"mission_id": "m-1", "state": state, "reason": None, "trip": {"mission": {"steps": [{"kind": "move"}]}}}


def _day(wrong: dict[int, dict[str, tuple[float, float]]]) -> AlarmBook:
    """Live through a day; return the book with all that sounded."""
    book = AlarmBook()
    for number in range(VEHICLES):
        memory = Memory()
        for at, state, mission, besides in Flights(number, wrong.get(number, {})).looks():
            look = Look(at, replace(state, progress=Progress("m-1", step=0)), DRONE, mission, None, HOME, SPEED)
            memory = remember(look, memory)
            found = [*findings(look, memory), *besides]
            book.take("vehicle", f"drone-{number}", found, at=at, speed=SPEED)
    return book


def test_each_trouble_of_a_day_calls_once_and_an_operator_gets_far_fewer_than_one_in_ten_minutes() -> None:
    flight_s = 2 * TURN_S
    wrong = {
        0: {"silent": (flight_s + 200.0, flight_s + 300.0)},
        1: {"battery": (flight_s + 300.0, flight_s + 500.0)},
        2: {"returns_unasked": (flight_s + 100.0, flight_s + 400.0)},
    }
    book = _day(wrong)
    sounded = Counter(str(change.alarm.code) for change in book.changes if change.event != "clear")
    assert sounded == {"silent": 1, "battery": 1, "returns_unasked": 1}
    assert {change.alarm.source[1] for change in book.changes} == {"drone-0", "drone-1", "drone-2"}
    assert len(book.changes) == 2 * 3
    assert sounded.total() / (DAY_H * 6) < 1.0
    # On this clock two seconds of the wall are ten of the day.
    for change in book.changes:
        delay_s = (change.alarm.raised_at - change.alarm.shown_at).total_seconds()
        assert delay_s / SPEED <= 2.0


def test_a_vehicle_of_which_no_gateway_speaks_is_silent_for_those_who_look() -> None:
    battery = {"code": "battery", "urgency": "urgent"}
    (silent, known) = unheard({"mission_state": "underway", "alarms": [battery]}, "2026-04-01T00:00:00Z")
    assert (silent["code"], silent["urgency"], silent["since"]) == ("silent", "urgent", "2026-04-01T00:00:00Z")
    assert silent["text_ja"] == "運航中に応答がありません"
    assert silent["alarm_id"] is None
    assert known == battery
    assert unheard({"mission_state": None, "alarms": []}, None) == []
    assert unheard({"mission_state": "held", "alarms": [silent]}, None) == [silent]
