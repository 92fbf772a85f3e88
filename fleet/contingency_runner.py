"""Carries the rules for contingencies out: one per gateway, beside its working loop, for the vehicles that it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

import structlog

from fleet import commands, contingency_choice, contingency_journal, leases, regions
from fleet.conditions import ON_MISSION
from fleet.contingencies import Case, Do, Move, Situation, State, Step, decide, said, settled, stands
from fleet.contingency_choice import Choice
from fleet.contingency_journal import Done, Subject
from fleet.contingency_rules import RULES, Rule
from fleet.db.database import DATABASE_ERRORS, Connection, Database
from fleet.errors import FleetError
from fleet.leases import Lease, LeaseLost
from fleet.look_ahead import Ahead
from hardware.link import VehicleState
from routing.errors import RoutingError
from routing.vehicle_type import VehicleKind
from telemetry.clock import Clock
from telemetry.monitors.finding import Finding, Value
from telemetry.monitors.zones import ClosedAirspace

_LOG = structlog.get_logger()

POLL_S = 0.3
"""Wall seconds between two rounds without word of anything."""
MAX_ACTING = 3
"""Vehicles for which a response is chosen at once: it keeps a connection while ways are reckoned, and leases and stops
need some of the same few."""


class Held(Protocol):
    """A vehicle that this process holds, as ``VehicleRunner`` has it."""

    vehicle: dict[str, Any]
    lease: Lease
    mission: dict[str, Any] | None


class Around(Protocol):
    """What is known of the surroundings of vehicles, as ``Watching`` has it."""

    def ahead(self, vehicle_id: str) -> Ahead | None:
        """Return what was found ahead in the region of a vehicle."""
        ...

    def closed(self, vehicle_id: str) -> ClosedAirspace | None:
        """Return the zones of the region of a vehicle."""
        ...


@dataclass(frozen=True, slots=True)
class _Look:
    """The newest look at a vehicle."""

    held: Held
    mission: Mapping[str, Any] | None
    state: VehicleState
    findings: Sequence[Finding]
    at: datetime

    @property
    def kind(self) -> VehicleKind:
        return VehicleKind(self.held.vehicle["kind"])

    @property
    def subject(self) -> Subject:
        mission_id = None if self.mission is None else self.mission["mission_id"]
        return Subject(self.held.vehicle["region_id"], self.held.vehicle["vehicle_id"], mission_id)


class _Vehicle:
    """The occurrences of one vehicle, and the work on them."""

    def __init__(self) -> None:
        self.mission_id: str | None = None
        self.cases: dict[tuple[str, str], Case] = {}
        self.did: dict[str, Done] = {}
        self.adopted = False
        self.task: asyncio.Task[None] | None = None
        self.look: _Look | None = None

    @property
    def free(self) -> bool:
        return self.task is None or self.task.done()


class ContingencyRunner:
    """Decides by the rules what is to be done for each vehicle, does it, and writes it down.

    ``see`` is told of each look and waits for nothing; ``run`` does the work. What stands is in the database, so that
    another process carries on: an occurrence is answered once, whoever holds the vehicle. While the database is away
    nothing is done by rule; the vehicles' own failsafes hold.
    """

    def __init__(self, database: Database, clock: Clock, around: Around, *, rules: Mapping[str, Rule] = RULES) -> None:
        self._database, self._clock, self._around, self._rules = database, clock, around, rules
        self._triggers = frozenset(rule.trigger for rule in rules.values())
        self._vehicles: dict[str, _Vehicle] = {}
        self._wake = asyncio.Event()
        self._acting = asyncio.Semaphore(MAX_ACTING)

    def see(self, held: Held, state: VehicleState, findings: Sequence[Finding], now: datetime) -> list[Finding]:
        """Take a look at a vehicle; return what is to be told of its occurrences, as findings of ``contingency``."""
        vehicle_id = held.vehicle["vehicle_id"]
        vehicle = self._vehicles.setdefault(vehicle_id, _Vehicle())
        vehicle.look = _Look(held, held.mission, state, tuple(findings), now)
        return [self._told(vehicle, case) for case in vehicle.cases.values() if self._tells(case)]

    def _tells(self, case: Case) -> bool:
        rule = self._rules.get(case.rule_id)
        return rule is not None and rule.acts and case.state not in {State.WAITING, State.LEFT, State.NOTED}

    def _told(self, vehicle: _Vehicle, case: Case) -> Finding:
        rule = self._rules[case.rule_id]
        ja, en = contingency_journal.words_of(rule, case.values)
        values: dict[str, Value] = {"seen_ja": ja, "seen_en": en}
        done = vehicle.did.get(case.case_id or "")
        if case.state is State.ASKING and case.acts_at is not None:
            values |= {
                "asks_ja": f"{case.acts_at:%H:%M:%S} UTC に自動で対応",
                "asks_en": f"acts at {case.acts_at:%H:%M:%S} UTC",
            }
        elif done is not None:
            values |= {"did_ja": done.ja, "did_en": done.en}
        worse = rule.urgency.value == "urgent"
        return Finding("contingency", True, key=f"{rule.rule_id}/{case.key}", values=values, worse=worse)

    def forget(self, vehicle_id: str) -> None:
        """Look at a vehicle no more: another process holds it."""
        vehicle = self._vehicles.pop(vehicle_id, None)
        if vehicle is not None and vehicle.task is not None:
            vehicle.task.cancel()

    def wake(self) -> None:
        """Make a round now: something has changed."""
        self._wake.set()

    async def run(self) -> None:
        """Make rounds until cancelled."""
        try:
            while True:
                self.begin_round()
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await self._wake.wait()
                self._wake.clear()
        finally:
            for vehicle in self._vehicles.values():
                if vehicle.task is not None:
                    vehicle.task.cancel()

    def begin_round(self) -> None:
        """Begin to work on each vehicle that is not being worked on: one that takes long holds up no other."""
        for vehicle_id, vehicle in self._vehicles.items():
            if vehicle.free and vehicle.look is not None and self._concerns(vehicle, vehicle.look):
                vehicle.task = asyncio.create_task(self._guard(vehicle_id, vehicle, vehicle.look))

    def _concerns(self, vehicle: _Vehicle, look: _Look) -> bool:
        """Whether there may be something to do: most vehicles have nothing at all, and ask the database nothing."""
        if not look.held.lease.held():
            return False
        return not vehicle.adopted or bool(vehicle.cases) or any(f.code in self._triggers for f in look.findings)

    async def _guard(self, vehicle_id: str, vehicle: _Vehicle, look: _Look) -> None:
        try:
            await self._work(vehicle, look)
        except DATABASE_ERRORS as error:
            _LOG.warning("rules wait: the database is away", vehicle=vehicle_id, error=str(error).strip())
        except LeaseLost:
            _LOG.info("rules left to another gateway", vehicle=vehicle_id)
        except Exception as error:
            # Rules for one vehicle that go wrong must not end those for all others.
            _LOG.exception("rules failed", vehicle=vehicle_id, error=repr(error))

    async def _work(self, vehicle: _Vehicle, look: _Look) -> None:
        if not vehicle.adopted:
            await self._adopt(vehicle, look)
        on_mission = look.mission is not None and look.mission["state"] in ON_MISSION
        mission_id = str(look.mission["mission_id"]) if on_mission and look.mission is not None else None
        if mission_id is None or mission_id != vehicle.mission_id:
            await self._end_all(vehicle, look)
            vehicle.mission_id = mission_id
        if mission_id is None:
            return
        async with self._database.transaction() as conn:
            await self._settle(conn, vehicle, look)
            word = await contingency_journal.word_of_person(conn, mission_id)
            move = await self._move(conn, look, mission_id)
        flying = look.kind is VehicleKind.DRONE and not look.state.on_ground
        situation = Situation(look.at, look.kind, look.state.activity, flying, look.findings, word, move)
        after, steps = decide(situation, vehicle.cases, self._rules.values())
        wanted = {(step.case.rule_id, step.case.key) for step in steps}
        # What is to be done counts once it has been: otherwise it is decided on again.
        for name in [name for name in vehicle.cases if name not in after and name not in wanted]:
            del vehicle.cases[name]
        vehicle.cases |= {name: case for name, case in after.items() if name not in wanted}
        for step in steps:
            async with self._acting if step.do is Do.ACT else nullcontext():
                await self._do(vehicle, look, step)

    async def _move(self, conn: Connection, look: _Look, mission_id: str) -> Move | None:
        """Return where the vehicle was last sent on its mission, by whoever."""
        since = look.at - commands.REMEMBERED
        row = await commands.newest_move(conn, vehicle_id=look.subject.vehicle_id or "", since=since)
        if row is None or row["mission_id"] != mission_id or row["state"] != "done":
            return None
        return Move(row["command_id"], row["kind"], row["issuer"], row["sent_at"])

    async def _adopt(self, vehicle: _Vehicle, look: _Look) -> None:
        """Take over what stands of the vehicle in the journal."""
        async with self._database.transaction() as conn:
            known = await contingency_journal.standing(conn, look.held.vehicle["vehicle_id"])
        for mission_id, case in known:
            vehicle.mission_id = mission_id
            vehicle.cases[case.rule_id, case.key] = case
        vehicle.adopted = True

    async def _end_all(self, vehicle: _Vehicle, look: _Look) -> None:
        ended = [case for case in vehicle.cases.values() if case.case_id is not None]
        if ended:
            async with leases.fenced(self._database, look.held.lease) as conn:
                await self._settle(conn, vehicle, look)
                for case in ended:
                    await contingency_journal.end(conn, str(case.case_id), at=look.at)
        vehicle.cases.clear()
        vehicle.did.clear()

    async def _settle(self, conn: Connection, vehicle: _Vehicle, look: _Look) -> None:
        """Read what has become of the commands that were given."""
        acting = {case.command_id: name for name, case in vehicle.cases.items() if case.state is State.ACTING}
        ids = [command_id for command_id in acting if command_id is not None]
        for command_id, (state, outcome) in (await contingency_journal.outcomes(conn, ids) if ids else {}).items():
            if state in {"done", "failed", "expired"}:
                name = acting[command_id]
                known = vehicle.cases[name]
                said = "; ".join(filter(None, (known.outcome, outcome)))
                case = settled(known, done=state == "done", outcome=said)
                vehicle.cases[name] = case
                await contingency_journal.settle(conn, case, at=look.at)
                _LOG.info(
                    "rule acted", rule=case.rule_id, vehicle=look.subject.vehicle_id, state=state, outcome=outcome
                )

    async def _do(self, vehicle: _Vehicle, look: _Look, step: Step) -> None:
        rule, case, name = self._rules[step.case.rule_id], step.case, (step.case.rule_id, step.case.key)
        async with leases.fenced(self._database, look.held.lease) as conn:
            if case.case_id is None and step.do is not Do.END:
                case = replace(case, outcome=step.why)
                case_id = await contingency_journal.open_case(conn, rule, case, look.subject, at=look.at)
                case = replace(case, case_id=case_id)
            if step.do is Do.ACT:
                case = await self._act(conn, vehicle, look, rule, case)
            elif step.do is Do.LEAVE:
                case = replace(case, outcome=step.why)
                await contingency_journal.settle(conn, case, at=look.at)
            elif step.do is Do.END and case.case_id is not None:
                await contingency_journal.end(conn, case.case_id, at=look.at)
        if step.do is Do.END:
            vehicle.cases.pop(name, None)
            return
        vehicle.cases[name] = case
        _LOG.warning(
            "contingency", rule=rule.rule_id, vehicle=look.subject.vehicle_id, key=case.key, state=case.state.value,
            outcome=case.outcome,
        )  # fmt: skip

    async def _act(self, conn: Connection, vehicle: _Vehicle, look: _Look, rule: Rule, case: Case) -> Case:
        """Give the first command of the rule that can be; one that has failed before is tried after the others."""
        choice, against = await self._choose(conn, look, rule, case)
        about, attempts = look.subject, case.attempts + 1
        # A person may have said something while ways were reckoned.
        await commands.one_at_a_time(conn, look.held.vehicle["vehicle_id"])
        word = await contingency_journal.word_of_person(conn, str(vehicle.mission_id))
        if word is not None and stands(rule, case, word):
            case = replace(case, state=State.LEFT, outcome=said(word))
            await contingency_journal.settle(conn, case, at=look.at)
            return case
        if choice is None:
            outcome = "nothing could be done: " + "; ".join(against)
            case = replace(case, state=State.FAILED, attempts=attempts, acted_at=look.at, outcome=outcome)
            done = Done(None, "対応できませんでした", outcome)
        else:
            command_id = await self._give(conn, look, rule, case, choice)
            case = replace(
                case, attempts=attempts, acted_at=look.at, response=choice.response, command_id=command_id,
                outcome="; ".join(against),
            )  # fmt: skip
            done = Done(choice.response, choice.ja, choice.en, command_id)
        vehicle.did[str(case.case_id)] = done
        await contingency_journal.acted(conn, rule, case, about, done, at=look.at)
        return case

    async def _choose(self, conn: Connection, look: _Look, rule: Rule, case: Case) -> tuple[Choice | None, list[str]]:
        vehicle_id = look.held.vehicle["vehicle_id"]
        closed, ahead = self._around.closed(vehicle_id), self._around.ahead(vehicle_id)
        if look.mission is None or closed is None:
            return None, ["its surroundings are not known"]
        region = await regions.load(conn, look.held.vehicle["region_id"])
        asked = contingency_choice.Case(
            look.held.vehicle, look.state, look.mission, region, closed, ahead or Ahead(look.at), look.at,
            rule.trigger, case.key, case.values,
        )  # fmt: skip
        tried = case.response in rule.responses
        first = (rule.responses.index(case.response) + 1) % len(rule.responses) if case.response and tried else 0
        against: list[str] = []
        for response in (*rule.responses[first:], *rule.responses[:first]):
            try:
                async with conn.transaction():
                    choice = await contingency_choice.choose(conn, response, asked)
            except (FleetError, RoutingError) as error:
                choice = contingency_choice.NotPossible(str(error))
            if isinstance(choice, Choice):
                return choice, against
            against.append(f"{response.value}: {choice.why}")
        return None, against

    async def _give(self, conn: Connection, look: _Look, rule: Rule, case: Case, choice: Choice) -> str:
        at, speed = self._clock.now(), self._clock.speed
        given = await commands.issue(
            conn,
            vehicle_id=look.held.vehicle["vehicle_id"],
            kind=choice.kind,
            key=f"{case.case_id}/{case.attempts}",
            issuer=rule.issuer,
            at=at,
            speed=speed,
            params=choice.params,
        )
        if given["state"] == "proposed":
            await commands.confirm(conn, given["command_id"], actor=rule.issuer, at=at, speed=speed)
        return str(given["command_id"])
