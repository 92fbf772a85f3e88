"""Medical orders that will be late: somebody is told, and a new plan is asked for where that can help.

Which orders these are the rule says: by their priority, or by what the goods are called (``contingency_rules.toml``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from fleet import alarm_store, contingency_journal, delays, manned_aircraft, planning, regions
from fleet.alarm_keeper import AlarmKeeper
from fleet.alarms import AlarmBook
from fleet.contingencies import Case, State
from fleet.contingency_journal import Done, Subject
from fleet.contingency_rules import RULES, Response, Rule
from fleet.db.database import Connection, Database
from fleet.errors import Conflict
from telemetry.clock import Clock
from telemetry.monitors.finding import Finding, Value
from telemetry.sqlfile import statements

_LOG = structlog.get_logger()
_SQL = statements("fleet.db.sql", "contingency.sql")

RULE = "medical_late"
SOURCE = ("process", "orders")
"""Of all orders together: each alarm has its order as its key."""
ACTOR = "housekeeping"
FLIES_MIN = 20.0
"""What an order that is on no mission yet takes at least: planning, loading and the flight. Our own choice."""


@dataclass(frozen=True, slots=True)
class Late:
    """An order that will be late, by how much, and why; ``waits``: it is on no mission, so that a plan can help."""

    order_id: str
    ref: str
    by: timedelta
    why_ja: str
    why_en: str
    waits: bool

    def values(self) -> dict[str, Value]:
        """Return what an alarm's text names."""
        minutes = max(1, round(self.by.total_seconds() / 60.0))
        return {"order": self.ref, "late_min": minutes, "why_ja": self.why_ja, "why_en": self.why_en}


def is_medical(row: Mapping[str, Any], rule: Rule) -> bool:
    """Whether an order is one that must not be late."""
    goods = str(row["goods"]).casefold()
    return row["priority"] >= rule.limits["priority_from"] or any(word.casefold() in goods for word in rule.words)


def late(row: Mapping[str, Any], late_missions: Mapping[str, timedelta], rule: Rule, *, at: datetime) -> Late | None:
    """Return how late an order (a row of ``late_orders``) will be by what is known now; ``None``: it is in time."""
    order_id, ref = row["order_id"], row["external_ref"]
    if row["mission_id"] is None:
        if row["latest"] - at > timedelta(seconds=rule.limits["ahead_s"]):
            return None
        by = at + timedelta(minutes=FLIES_MIN) - row["latest"]
        return (
            Late(order_id, ref, by, "まだ運航が決まっていません", "it is on no mission yet", True)
            if by > timedelta()
            else None
        )
    if row["eta"] is None:
        return None
    by = row["eta"] + late_missions.get(row["mission_id"], timedelta()) - row["latest"]
    if by <= timedelta():
        return None
    why = f"運航 {row['mission_id']} の遅れ", f"mission {row['mission_id']} runs late"
    return Late(order_id, ref, by, *why, waits=False)


class LateOrders:
    """Rounds of one process; any number of them may make theirs at once, since what stands is one row."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock, self._rule = database, clock, RULES[RULE]
        self._book = AlarmBook()
        self._keeper = AlarmKeeper(self._book, database, actor=ACTOR)

    async def once(self) -> None:
        """Make one round. Raises one of ``DATABASE_ERRORS``."""
        at, found = self._clock.now(), []
        async with self._database.transaction() as conn:
            await contingency_journal.end_strays(conn, at=at)
            await manned_aircraft.forget_old(conn, at=at)
            known = await alarm_store.open_of_code(conn, RULE)
            for region in await regions.listing(conn):
                found += await self._of_region(conn, region["region_id"], at)
        mine = {alarm.key for alarm in self._book.open()}
        self._book.adopt(alarm for alarm in known if alarm.key not in mine)
        findings = [Finding(RULE, True, key=each.order_id, values=each.values()) for each in found]
        self._book.take(*SOURCE, findings, at=at, speed=self._clock.speed)
        await self._keeper.once()

    async def _of_region(self, conn: Connection, region_id: str, at: datetime) -> list[Late]:
        rows = await (await conn.execute(_SQL["late_orders"], {"region_id": region_id, "at": at})).fetchall()
        medical = [row for row in rows if is_medical(row, self._rule)]
        values = {"region_id": region_id, "rule": RULE}
        standing = await (await conn.execute(_SQL["standing_of_rule"], values)).fetchall()
        if not medical and not standing:
            return []
        by_mission = await delays.of_region(conn, region_id=region_id, now=at)
        found = [each for row in medical if (each := late(row, by_mission, self._rule, at=at)) is not None]
        cases = {row["order_id"]: row for row in standing}
        for each in found:
            await self._answer(conn, region_id, each, cases.get(each.order_id), at)
        for order_id in cases.keys() - {each.order_id for each in found}:
            await contingency_journal.end(conn, cases[order_id]["contingency_id"], at=at)
        return found

    async def _answer(
        self, conn: Connection, region_id: str, one: Late, row: dict[str, Any] | None, at: datetime
    ) -> None:
        """Ask for a plan where that can help, again after a while where it could not be asked for; once else."""
        about = Subject(region_id, order_id=one.order_id)
        case = (
            Case(RULE, "", at, State.ACTING, values=one.values()) if row is None else contingency_journal.case_of(row)
        )
        if row is None:
            case = replace(case, case_id=await contingency_journal.open_case(conn, self._rule, case, about, at=at))
        elif not self._again(case, one, at):
            return
        if not one.waits:
            told = Done(
                None, "配車担当者に知らせました", f"the dispatcher is told: {one.why_en}, no plan can bring it forward"
            )
            case = replace(case, state=State.NOTED, outcome=told.en)
            await contingency_journal.acted(conn, self._rule, case, about, told, at=at)
            return
        try:
            async with conn.transaction():
                run = await planning.request(conn, region_id=region_id, at=at, actor=self._rule.issuer)
            told = Done(Response.REPLAN, "計画の作り直しを求めました", f"a new plan was asked for: {run['run_id']}")
            case = replace(case, state=State.DONE, outcome=told.en)
        except Conflict as error:
            told = Done(Response.REPLAN, "計画の作り直しを求められません", str(error))
            case = replace(case, state=State.FAILED, outcome=str(error))
        await contingency_journal.acted(conn, self._rule, case, about, told, at=at)
        _LOG.warning("contingency", rule=RULE, order=one.ref, state=case.state.value, outcome=case.outcome)

    def _again(self, case: Case, one: Late, at: datetime) -> bool:
        if case.state is State.NOTED:
            return one.waits
        waited = case.acted_at is None or at - case.acted_at >= timedelta(seconds=self._rule.repeat_s)
        return case.state is State.FAILED and case.attempts <= self._rule.repeats and waited
