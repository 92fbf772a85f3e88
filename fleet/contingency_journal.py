"""The journal of contingencies: what was seen when, what was done, by which rule, and what became of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from fleet.alarm_table import clean, definition
from fleet.contingencies import Case, State, Word
from fleet.contingency_rules import RULES, Response, Rule
from fleet.db.database import Connection
from fleet.ids import new_id
from telemetry.monitors.finding import Value
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "contingency.sql")

UNDELIVERED = ("recipient_absent", "gone_on_undelivered", "release_failed")
"""Rules that say why a parcel has come home."""
GIVES_UP = frozenset({Response.RETURN, Response.RETURN_CLEAR, Response.LAND, Response.NEAREST_SITE, Response.SKIP})
"""Responses after which parcels come home: their orders are told."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom an occurrence is about: a vehicle on its mission, or an order."""

    region_id: str
    vehicle_id: str | None = None
    mission_id: str | None = None
    order_id: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What was done about an occurrence: the response, in words, and the command that it gave."""

    response: Response | None
    ja: str
    en: str
    command_id: str | None = None


def words_of(rule: Rule, values: Mapping[str, Value]) -> tuple[str, str]:
    """Return what was seen, in both languages, as the alarm of the same finding says it."""
    text = definition(rule.trigger).text(values)
    return text.ja, text.en


async def open_case(conn: Connection, rule: Rule, case: Case, about: Subject, *, at: datetime) -> str:
    """Write an occurrence down; return its id, that of the one that stands already where there is one."""
    ja, en = words_of(rule, case.values)
    values = {
        "contingency_id": new_id("n"),
        "region_id": about.region_id,
        "rule": rule.rule_id,
        "vehicle_id": about.vehicle_id,
        "mission_id": about.mission_id,
        "order_id": about.order_id,
        "key": case.key,
        "urgency": rule.urgency.value,
        "state": case.state.value,
        "seen": Jsonb(clean(case.values)),
        "seen_ja": ja,
        "seen_en": en,
        "acts_at": case.acts_at,
        "outcome": case.outcome or None,
        "at": at,
    }
    row = await (await conn.execute(_SQL["open"], values)).fetchone()
    if row is None:
        subject = about.vehicle_id or about.order_id
        row = await (await conn.execute(_SQL["standing_one"], values | {"subject": subject})).fetchone()
    assert row is not None
    if rule.rule_id in UNDELIVERED and about.mission_id is not None:
        await _tell_orders(conn, rule, about.mission_id, case.key, en, at=at)
    return str(row["contingency_id"])


async def acted(conn: Connection, rule: Rule, case: Case, about: Subject, done: Done, *, at: datetime) -> None:
    """Write down what was done, or that nothing could be (state ``failed``)."""
    values = {
        "contingency_id": case.case_id,
        "state": case.state.value,
        "response": done.response,
        "response_ja": done.ja,
        "response_en": done.en,
        "command_id": done.command_id,
        "outcome": case.outcome or None,
        "at": at,
    }
    await conn.execute(_SQL["acted"], values)
    if done.response in GIVES_UP and about.mission_id is not None:
        key = case.key if done.response is Response.SKIP else ""
        await _tell_orders(conn, rule, about.mission_id, key, done.en, at=at)


async def _tell_orders(conn: Connection, rule: Rule, mission_id: str, key: str, what: str, *, at: datetime) -> None:
    step = int(key) if key.isdigit() else None
    values = {"mission_id": mission_id, "step": step, "at": at, "cause": f"{rule.issuer}: {what}"}
    await conn.execute(_SQL["tell_orders"], values)


async def settle(conn: Connection, case: Case, *, at: datetime) -> None:
    """Write down how an occurrence stands now, and why."""
    values = {"contingency_id": case.case_id, "state": case.state.value, "outcome": case.outcome or None, "at": at}
    await conn.execute(_SQL["settle"], values)


async def end(conn: Connection, case_id: str, *, at: datetime) -> None:
    """Say that an occurrence is over; again it does nothing."""
    await conn.execute(_SQL["end"], {"contingency_id": case_id, "at": at})


async def end_strays(conn: Connection, *, at: datetime) -> None:
    """End the occurrences of missions and orders that are over, whose gateway was not there to see it."""
    await conn.execute(_SQL["end_strays"], {"at": at})


async def standing(conn: Connection, vehicle_id: str) -> list[tuple[str | None, Case]]:
    """Return the occurrences of a vehicle that stand, each with its mission; those of unknown rules are left out."""
    rows = await (await conn.execute(_SQL["standing"], {"vehicle_id": vehicle_id})).fetchall()
    return [(row["mission_id"], case_of(row)) for row in rows if row["rule"] in RULES]


def case_of(row: Mapping[str, Any]) -> Case:
    """Return an occurrence as the rules see it."""
    return Case(
        row["rule"],
        row["key"],
        shown=row["noticed_at"],
        state=State(row["state"]),
        case_id=row["contingency_id"],
        values=row["seen"],
        acts_at=row["acts_at"],
        acted_at=row["acted_at"],
        attempts=row["attempts"],
        response=Response(row["response"]) if row["response"] else None,
        command_id=row["command_id"],
        outcome=row["outcome"] or "",
    )


async def word_of_person(conn: Connection, mission_id: str) -> Word | None:
    """Return the newest command that a person has given for a mission."""
    row = await (await conn.execute(_SQL["word_of_person"], {"mission_id": mission_id})).fetchone()
    return None if row is None else Word(row["kind"], row["issuer"], row["issued_at"])


async def outcomes(conn: Connection, command_ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return state and outcome of commands."""
    rows = await (await conn.execute(_SQL["commands"], {"command_ids": list(command_ids)})).fetchall()
    return {row["command_id"]: (row["state"], row["outcome"] or "") for row in rows}


async def why_undelivered(conn: Connection, mission_id: str, order_id: str) -> str | None:
    """Return what has kept an order from being delivered on a mission, as a rule has seen it."""
    values = {"mission_id": mission_id, "order_id": order_id, "rules": list(UNDELIVERED)}
    row = await (await conn.execute(_SQL["of_order"], values)).fetchone()
    return None if row is None else str(row["seen_en"])


async def listing(
    conn: Connection, *, region_id: str, vehicle_id: str | None = None, standing_only: bool = False, limit: int = 200
) -> list[dict[str, Any]]:
    """Return the newest occurrences, with what their rules are called."""
    values = {"region_id": region_id, "vehicle_id": vehicle_id, "standing": standing_only, "limit": limit}
    rows = await (await conn.execute(_SQL["listing"], values)).fetchall()
    return list(_with_rules(rows))


def _with_rules(rows: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for row in rows:
        rule = RULES.get(row["rule"])
        # While a pilot is asked, what would be done first.
        asks = row["state"] == State.ASKING and rule is not None
        yield {
            **row,
            "response": rule.responses[0] if asks and rule is not None else row["response"],
            "rule_ja": rule.ja if rule else row["rule"],
            "rule_en": rule.en if rule else row["rule"],
            "source": rule.source if rule else "",
        }
