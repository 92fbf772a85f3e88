"""What is to be done when something goes wrong: findings, the state of a vehicle and the rules make steps. Pure.

An occurrence is one finding of one mission, from when it has lasted long enough until it has been over long enough.
It is answered once, however often it is looked at, and a person's newer command stands over it: whoever steers a
vehicle has seen more than a rule can. Rules of safety (``safety_over_pilot``) act all the same. It is answered again
when another command has sent the vehicle elsewhere while it still holds.

A vehicle is given one command at a time, for what is most severe: a second one would only undo the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from fleet.alarm_table import Urgency
from fleet.command_kinds import by_rule
from fleet.contingency_rules import Response, Rule
from hardware.link import Activity
from routing.vehicle_type import VehicleKind
from telemetry.monitors.finding import Finding, Value


class State(StrEnum):
    """How far an occurrence is answered. ``WAITING`` has not lasted long enough and is not written down."""

    WAITING = "waiting"
    ASKING = "asking"
    ACTING = "acting"
    DONE = "done"
    FAILED = "failed"
    LEFT = "left"
    NOTED = "noted"


class Do(StrEnum):
    """What whoever carries rules out is to do with an occurrence."""

    OPEN = "open"
    ACT = "act"
    LEAVE = "leave"
    END = "end"


STAYS = frozenset({Response.HOLD, Response.HOLD_CLEAR, Response.OTHER_ALTITUDE})
"""Responses after which a vehicle stands until somebody has it go on: so long they are not over."""
_ANSWERED = frozenset({State.ACTING, State.DONE})
_FOR_ALL = frozenset(Response) - {Response.NONE, Response.SKIP, Response.REPLAN}
"""Responses that are chosen by all that is around, and not by one finding's key."""

COMES_DOWN = frozenset({"divert", "abort", "land"})
"""Commands that bring a drone down. One that a rule has given undoes no other rule's answer."""


@dataclass(frozen=True, slots=True)
class Word:
    """The newest command that a person has given for a mission."""

    kind: str
    issuer: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Move:
    """The newest command that a vehicle has obeyed and that changed where it goes, and when it was sent."""

    command_id: str
    kind: str
    issuer: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Case:
    """One occurrence. ``shown`` is the first look that showed it, ``over`` the first since when none has.

    ``acts_at``: until then a pilot may do otherwise. ``tried`` are the responses that could not be done.
    """

    rule_id: str
    key: str
    shown: datetime
    state: State = State.WAITING
    case_id: str | None = None
    values: Mapping[str, Value] = field(default_factory=dict)
    over: datetime | None = None
    acts_at: datetime | None = None
    acted_at: datetime | None = None
    attempts: int = 0
    response: Response | None = None
    command_id: str | None = None
    outcome: str = ""

    @property
    def open(self) -> bool:
        """Whether it has lasted long enough to count."""
        return self.state is not State.WAITING


@dataclass(frozen=True, slots=True)
class Situation:
    """One look at a vehicle on a mission, at domain time ``at``. ``word`` is ``None`` where nobody has said anything,
    ``move`` where it was never sent elsewhere.

    ``findings`` are all that hold, and those of which it cannot be told.
    """

    at: datetime
    kind: VehicleKind
    activity: Activity
    flying: bool
    findings: Sequence[Finding]
    word: Word | None = None
    move: Move | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do, and the occurrence as it is then."""

    do: Do
    case: Case
    finding: Finding | None = None
    why: str = ""


Cases = Mapping[tuple[str, str], Case]
"""By rule and key."""


def decide(situation: Situation, cases: Cases, rules: Iterable[Rule]) -> tuple[dict[tuple[str, str], Case], list[Step]]:
    """Return the occurrences after a look, and what is to be done, the most severe first; one command at most."""
    told: dict[str, dict[str, Finding]] = {}
    for finding in situation.findings:
        told.setdefault(finding.code, {})[finding.key] = finding
    after: dict[tuple[str, str], Case] = {}
    steps: list[Step] = []
    # Whether a more severe rule has acted on what still holds: no other undoes that a second time.
    answered = False
    ordered = sorted(rules, key=_severity)
    for rule in ordered:
        of_rule = told.get(rule.trigger, {}) if situation.kind in rule.vehicles else {}
        keys = [*of_rule, *(key for rule_id, key in cases if rule_id == rule.rule_id and key not in of_rule)]
        for key in keys:
            name = rule.rule_id, key
            case, step = _look(rule, cases.get(name), of_rule.get(key), key, situation, again=not answered)
            if step is not None and step.do is Do.ACT:
                step = _answered_with(step, cases)
                case = step.case
            if case is not None:
                after[name] = case
            if step is not None:
                steps.append(step)
        answered = answered or any(case.state in _ANSWERED for case in _holding(rule, of_rule, after))
    return _one_command(steps, cases, after, {rule.rule_id: _severity(rule) for rule in ordered})


def _severity(rule: Rule) -> tuple[int, bool]:
    """Rules of one severity stay in the order of their file."""
    return list(Urgency).index(rule.urgency), not rule.safety_over_pilot


def _holding(rule: Rule, of_rule: Mapping[str, Finding], cases: Cases) -> Iterable[Case]:
    names = ((rule.rule_id, key) for key, finding in of_rule.items() if finding.holds is not False)
    return (cases[name] for name in names if name in cases)


def _answered_with(step: Step, cases: Cases) -> Step:
    """What was there already when its rule acted on another key was answered with that: it took all into account."""
    case = step.case
    others = (
        other
        for (rule_id, key), other in cases.items()
        if rule_id == case.rule_id and key != case.key and other.state is State.DONE and other.response in _FOR_ALL
    )
    with_it = next((other for other in others if other.acted_at is not None and other.acted_at >= case.shown), None)
    if with_it is None or case.attempts > 0:
        return step
    done = replace(
        case, state=State.DONE, acted_at=with_it.acted_at, response=with_it.response, command_id=with_it.command_id
    )
    return Step(Do.OPEN if case.case_id is None else Do.LEAVE, done, step.finding, f"answered with {with_it.key}")


def _one_command(
    steps: Sequence[Step], cases: Cases, after: dict[tuple[str, str], Case], severity: Mapping[str, tuple[int, bool]]
) -> tuple[dict[tuple[str, str], Case], list[Step]]:
    """Put off all commands but the first; while one is being carried out, all but what is more severe than it."""
    under_way = [severity.get(case.rule_id, (0, False)) for case in cases.values() if case.state is State.ACTING]
    made: list[Step] = []
    acts = False
    for step in steps:
        name = step.case.rule_id, step.case.key
        if step.do is Do.ACT and (acts or any(severity[step.case.rule_id] >= other for other in under_way)):
            after[name] = cases.get(name) or replace(step.case, state=State.WAITING, acted_at=None)
            continue
        acts = acts or step.do is Do.ACT
        made.append(step)
    return after, made


def _look(
    rule: Rule, case: Case | None, finding: Finding | None, key: str, now: Situation, *, again: bool
) -> tuple[Case | None, Step | None]:
    holds = finding is not None and finding.holds is True and _applies(rule, now)
    # What cannot be told, as of a vehicle that is silent, is neither over nor goes on.
    unknown = finding is not None and finding.holds is None
    if case is None:
        if not holds or finding is None:
            return None, None
        case = Case(rule.rule_id, key, now.at)
    if finding is not None and finding.values:
        case = replace(case, values=finding.values)
    if not holds:
        return (case, None) if unknown and case.open else _over(rule, case, now)
    case = replace(case, over=None)
    if case.state is State.WAITING:
        return _begins(rule, case, finding, now) if _lasted(case.shown, rule.holds_s, now) else (case, None)
    return _goes_on(rule, case, now, again=again)


def _applies(rule: Rule, now: Situation) -> bool:
    return (not rule.flying or now.flying) and (not rule.activities or now.activity in rule.activities)


def _over(rule: Rule, case: Case, now: Situation) -> tuple[Case | None, Step | None]:
    if not case.open:
        return None, None
    if case.state is State.DONE and case.response in STAYS and now.activity is Activity.HOLD:
        return replace(case, over=None), None
    case = replace(case, over=case.over or now.at)
    assert case.over is not None
    if case.state is State.ACTING:
        # What becomes of its command is written down first.
        return case, None
    return (None, Step(Do.END, case)) if _lasted(case.over, rule.clear_s, now) else (case, None)


def _begins(rule: Rule, case: Case, finding: Finding | None, now: Situation) -> tuple[Case, Step]:
    """The occurrence counts from now on: ask, act at once, leave it to the person who has just acted, or note it."""
    if not rule.acts:
        return _to(case, State.NOTED), Step(Do.OPEN, _to(case, State.NOTED), finding)
    if stands(rule, case, now.word):
        left = _to(case, State.LEFT)
        return left, Step(Do.OPEN, left, finding, _left(now))
    if rule.ask_pilot_s > 0.0:
        asking = replace(_to(case, State.ASKING), acts_at=now.at + timedelta(seconds=rule.ask_pilot_s))
        return asking, Step(Do.OPEN, asking, finding)
    acting = replace(_to(case, State.ACTING), acted_at=now.at)
    return acting, Step(Do.ACT, acting, finding)


def _goes_on(rule: Rule, case: Case, now: Situation, *, again: bool) -> tuple[Case, Step | None]:
    if case.state in {State.ASKING, State.FAILED} and stands(rule, case, now.word):
        left = _to(case, State.LEFT)
        return left, Step(Do.LEAVE, left, why=_left(now))
    due = case.state is State.ASKING and case.acts_at is not None and now.at >= case.acts_at
    if again and _undone(rule, case, now):
        # From its first response on, as if it had just begun.
        acting = replace(_to(case, State.ACTING), acted_at=now.at, response=None, command_id=None, outcome="")
        return acting, Step(Do.ACT, acting)
    repeats = (
        case.state is State.FAILED
        and case.attempts <= rule.repeats
        and case.acted_at is not None
        and _lasted(case.acted_at, rule.repeat_s, now)
    )
    if not due and not repeats:
        return case, None
    acting = replace(_to(case, State.ACTING), acted_at=now.at)
    return acting, Step(Do.ACT, acting)


def stands(rule: Rule, case: Case, word: Word | None) -> bool:
    """Whether a person has spoken since the condition was there: a command from before was not about it."""
    return word is not None and word.at >= case.shown and not rule.safety_over_pilot


def _undone(rule: Rule, case: Case, now: Situation) -> bool:
    """Whether the vehicle was sent elsewhere after it had been sent by this rule, and not by whom it is left to."""
    move = now.move
    if move is None or case.acted_at is None or case.state not in {State.DONE, State.FAILED}:
        return False
    own = move.command_id == case.command_id or move.issuer == rule.issuer
    comes_down = by_rule(move.issuer) and move.kind in COMES_DOWN
    if own or comes_down or move.at <= case.acted_at or stands(rule, case, now.word):
        return False
    return _lasted(case.acted_at, rule.repeat_s, now)


def _left(now: Situation) -> str:
    assert now.word is not None
    return said(now.word)


def said(word: Word) -> str:
    """Return in words what a person has given."""
    return f"{word.issuer} has given {word.kind}"


def _to(case: Case, state: State) -> Case:
    return replace(case, state=state)


def _lasted(since: datetime, seconds: float, now: Situation) -> bool:
    return now.at - since >= timedelta(seconds=seconds)


def settled(case: Case, *, done: bool, outcome: str) -> Case:
    """Return an occurrence whose command has come to its end."""
    return replace(case, state=State.DONE if done else State.FAILED, outcome=outcome)
