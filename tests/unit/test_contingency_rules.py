"""Rules for contingencies: what a file of them must say, and what they make of what is seen. No vehicle, no clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fleet.alarm_table import TABLE
from fleet.contingencies import Case, Do, Move, Situation, State, Step, Word, decide, settled
from fleet.contingency_rules import LIMITS, RULES, Response, Rule, read
from fleet.errors import ConfigError
from hardware.link import Activity
from routing.vehicle_type import VehicleKind
from telemetry.monitors.finding import Finding

NOW = datetime(2026, 4, 1, 9, 0, tzinfo=UTC)
GOOD = """
[rules.windy]
trigger = "weather"
vehicles = ["drone"]
holds_s = 5.0
responses = ["hold", "land"]
ask_pilot_s = 20.0
repeats = 1
repeat_s = 10.0
urgency = "high"
ja = "風"
en = "wind"
source = "test"
"""


def rule(**changes: object) -> Rule:
    return read(GOOD)["windy"].model_copy(update=changes)


class Sequence:
    """A vehicle that is looked at again and again; ``done`` is what the rule has had done."""

    def __init__(self, one: Rule) -> None:
        self.rule, self.at = one, NOW
        self.cases: dict[tuple[str, str], Case] = {}
        self.done: list[Do] = []
        self.word: Word | None = None
        self.activity = Activity.MISSION

    @property
    def state(self) -> State | None:
        return next((case.state for case in self.cases.values()), None)

    def look(self, seconds: float, *, holds: bool | None = True, key: str = "") -> list[Do]:
        """Let time pass, look each second, and return what was to be done."""
        steps = []
        for _ in range(round(seconds)):
            self.at += timedelta(seconds=1)
            found = [] if holds is False else [Finding("weather", holds, key=key, values={"what": "12 m/s"})]
            now = Situation(self.at, VehicleKind.DRONE, self.activity, True, found, self.word)
            self.cases, asked = decide(now, self.cases, [self.rule])
            steps += [step.do for step in asked]
        self.done += steps
        return steps

    def says(self, kind: str) -> None:
        self.word = Word(kind, "pilot", self.at)

    def outcome(self, *, done: bool, response: Response | None = None) -> None:
        """Let the rule's command come to its end."""
        (name,) = self.cases
        case = replace(self.cases[name], response=response, attempts=self.cases[name].attempts + 1)
        self.cases[name] = settled(case, done=done, outcome="told so")


def test_what_passes_at_once_is_nothing() -> None:
    one = Sequence(rule())
    assert one.look(4) == []
    assert one.look(1, holds=False) == []
    assert one.look(4) == []
    assert one.state is State.WAITING


def test_a_pilot_is_asked_first_and_the_rule_acts_when_nothing_is_said() -> None:
    one = Sequence(rule())
    assert one.look(6) == [Do.OPEN]
    assert one.state is State.ASKING
    assert one.look(19) == []
    assert one.look(1) == [Do.ACT]
    assert one.look(30) == []


def test_without_a_time_to_ask_it_acts_at_once() -> None:
    one = Sequence(rule(ask_pilot_s=0.0, holds_s=0.0))
    assert one.look(1) == [Do.ACT]


def test_whoever_commands_meanwhile_has_decided() -> None:
    one = Sequence(rule())
    one.look(10)
    one.says("resume")
    assert one.look(1) == [Do.LEAVE]
    assert one.look(60) == []
    assert one.state is State.LEFT


def test_what_was_said_before_it_came_up_was_not_about_it() -> None:
    one = Sequence(rule())
    one.says("resume")
    one.at += timedelta(seconds=1)
    assert one.look(6) == [Do.OPEN]
    assert one.state is State.ASKING


def test_a_rule_of_safety_acts_whatever_was_said() -> None:
    one = Sequence(rule(ask_pilot_s=0.0, safety_over_pilot=True))
    one.look(2)
    one.says("resume")
    assert one.look(4) == [Do.ACT]


def test_a_command_that_failed_is_given_again_as_often_as_the_rule_says() -> None:
    one = Sequence(rule(ask_pilot_s=0.0, holds_s=0.0, repeats=2))
    one.look(1)
    for again in ([Do.ACT], [Do.ACT], []):
        one.outcome(done=False)
        assert one.look(11) == again


def test_what_was_done_is_done_once_while_it_lasts_and_again_when_it_comes_back_later() -> None:
    one = Sequence(rule(ask_pilot_s=0.0, holds_s=0.0, clear_s=30.0))
    one.look(1)
    one.outcome(done=True, response=Response.LAND)
    assert one.look(100) == []
    # It flickers: that is the same occurrence.
    one.look(20, holds=False)
    assert one.look(20) == []
    assert one.look(31, holds=False) == [Do.END]
    assert one.look(1) == [Do.ACT]


def test_a_vehicle_that_was_held_is_not_done_with_until_it_goes_on() -> None:
    one = Sequence(rule(ask_pilot_s=0.0, holds_s=0.0, clear_s=10.0))
    one.look(1)
    one.outcome(done=True, response=Response.HOLD)
    one.activity = Activity.HOLD
    assert one.look(300, holds=False) == []
    one.activity = Activity.MISSION
    assert one.look(11, holds=False) == [Do.END]


def test_it_is_not_over_before_its_command_has_an_outcome() -> None:
    one = Sequence(rule(ask_pilot_s=0.0, holds_s=0.0, clear_s=5.0))
    one.look(1)
    assert one.look(20, holds=False) == []
    one.outcome(done=True, response=Response.LAND)
    assert one.look(1, holds=False) == [Do.END]


def test_what_cannot_be_told_neither_ends_nor_acts() -> None:
    one = Sequence(rule())
    one.look(10)
    assert one.look(200, holds=None) == []
    assert one.state is State.ASKING


def test_a_rule_that_only_tells_is_noted() -> None:
    one = Sequence(rule(responses=(Response.NONE,)))
    assert one.look(6) == [Do.OPEN]
    assert one.state is State.NOTED
    assert one.look(100) == []


def test_rules_are_for_their_kinds_of_vehicles_and_what_these_do() -> None:
    grounded = Sequence(rule(flying=True, activities=(Activity.HOLD,)))
    assert grounded.look(60) == []
    robots = Sequence(rule(vehicles=(VehicleKind.ROBOT,)))
    assert robots.look(60) == []


def test_two_things_of_one_rule_are_two_occurrences() -> None:
    one = Sequence(rule(ask_pilot_s=0.0, holds_s=0.0))
    assert one.look(1, key="a") == [Do.ACT]
    one.outcome(done=True, response=Response.LAND)
    one.at += timedelta(seconds=1)
    found = [Finding("weather", True, key=key) for key in ("a", "b")]
    now = Situation(one.at, VehicleKind.DRONE, Activity.MISSION, True, found)
    cases, steps = decide(now, one.cases, [one.rule])
    assert [step.case.key for step in steps] == ["b"]
    assert len(cases) == 2


class Flight:
    """A drone kept to the service's own rules, which does at once what it is told."""

    def __init__(self) -> None:
        self.cases: dict[tuple[str, str], Case] = {}
        self.move: Move | None = None
        self.word: Word | None = None

    def look(self, second: float, *found: tuple[str, str], obeys: bool = True) -> list[Step]:
        """Look once at what is found, by code and key; return the steps."""
        at = NOW + timedelta(seconds=second)
        findings = [Finding(code, True, key=key) for code, key in found]
        now = Situation(at, VehicleKind.DRONE, Activity.MISSION, True, findings, self.word, self.move)
        self.cases, steps = decide(now, self.cases, RULES.values())
        for step in steps:
            if step.do is Do.ACT and obeys:
                self._obeys(step.case, at)
        return steps

    def _obeys(self, case: Case, at: datetime) -> None:
        one = RULES[case.rule_id]
        self.move = Move(f"c{at:%H%M%S}", case.rule_id, one.issuer, at + timedelta(seconds=0.1))
        done = replace(case, response=one.responses[0], command_id=self.move.command_id, attempts=case.attempts + 1)
        self.cases[case.rule_id, case.key] = settled(done, done=True, outcome="")

    def acts(self, second: float, *found: tuple[str, str], obeys: bool = True) -> list[str]:
        """Look once; return the rules that act."""
        return [step.case.rule_id for step in self.look(second, *found, obeys=obeys) if step.do is Do.ACT]


AREA, AIRCRAFT, ENERGY = ("emergency_airspace", "e"), ("aircraft_near", "a"), ("energy", "")


def test_of_two_rules_in_one_look_the_more_severe_acts_and_the_other_waits_for_what_becomes_of_it() -> None:
    flight = Flight()
    assert flight.acts(0, AIRCRAFT, AREA, obeys=False) == ["emergency_airspace"]
    assert flight.acts(1, AIRCRAFT, AREA) == []
    ((name, case),) = [(name, case) for name, case in flight.cases.items() if case.state is State.ACTING]
    flight.cases[name] = settled(case, done=True, outcome="")
    assert flight.acts(2, AIRCRAFT, AREA) == ["manned_aircraft"]


def test_what_is_more_severe_does_not_wait_for_a_command_that_is_being_carried_out() -> None:
    flight = Flight()
    for second in range(66):
        acted = flight.acts(second, ("weather", ""), obeys=False)
    assert acted == ["weather"]
    assert flight.acts(66, ("weather", ""), AIRCRAFT) == ["manned_aircraft"]


def test_twenty_aircraft_at_once_are_answered_with_one_command() -> None:
    flight = Flight()
    found = [("aircraft_near", f"x{n}") for n in range(20)]
    assert flight.acts(0, *found) == ["manned_aircraft"]
    opened = flight.look(1, *found)
    assert [step.do for step in opened] == [Do.OPEN] * 19
    assert {case.state for case in flight.cases.values()} == {State.DONE}
    assert flight.look(60, *found) == []


def test_a_diversion_that_another_rule_has_stopped_goes_on_when_that_is_over() -> None:
    flight = Flight()
    for second in (0, 6):
        flight.look(second, ENERGY)
    assert flight.acts(17, ENERGY) == ["low_energy"]
    assert flight.acts(40, ENERGY, AIRCRAFT) == ["manned_aircraft"]
    assert flight.acts(60, ENERGY, AIRCRAFT) == []
    assert flight.acts(61, ENERGY) == ["low_energy"]
    assert flight.acts(62, ENERGY) == []


def test_a_rule_of_safety_acts_again_on_a_pilot_who_resumes_into_it_and_no_other_rule_does() -> None:
    for finding, again in ((AIRCRAFT, ["manned_aircraft"]), (ENERGY, [])):
        flight = Flight()
        for second in range(20):
            flight.look(second, finding)
        at = NOW + timedelta(seconds=25)
        flight.word, flight.move = Word("resume", "pilot", at), Move("c-pilot", "resume", "pilot", at)
        assert flight.acts(60, finding) == again


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('trigger = "weather"', 'trigger = "wether"'), r"rule windy: trigger: 'wether' is no finding"),
        (('responses = ["hold", "land"]', "responses = []"), "rule windy: responses"),
        (('["hold", "land"]', '["none", "land"]'), "'none' stands alone"),
        (('["hold", "land"]', '["hover"]'), r"rule windy: responses\.0"),
        (("holds_s = 5.0", "holds_s = -1.0"), "rule windy: holds_s"),
        (("holds_s = 5.0", "holds_s = nan"), "rule windy: holds_s"),
        (('urgency = "high"', 'urgency = "dire"'), "rule windy: urgency"),
        (('en = "wind"', ""), "rule windy: en: Field required"),
        (('source = "test"', 'source = "test"\nlimit = 3'), "rule windy: limit: Extra inputs"),
        (('vehicles = ["drone"]', "vehicles = []"), "vehicles: needed"),
        (('trigger = "weather"', 'trigger = "weather_old"'), "limits: weather_old needs old_s"),
        (('trigger = "weather"', 'trigger = "medical_late"'), "limits: medical_late needs"),
        (("[rules.windy]", "[rules.windy"), "not TOML"),
        (("[rules.windy]", "[windy]"), "one table 'rules'"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_by_its_name(change: tuple[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(GOOD.replace(*change))


def test_the_services_own_rules_are_about_alarms_that_there_are_and_say_where_they_are_from() -> None:
    assert {each.trigger for each in RULES.values()} <= set(TABLE)
    assert set(LIMITS) <= {each.trigger for each in RULES.values()}
    for each in RULES.values():
        assert any(ord(character) > 0x3000 for character in each.ja), each.rule_id
        assert each.source
        # What a robot might do to people in the road is never done blindly.
        assert each.rule_id != "robot_in_road" or not each.acts
