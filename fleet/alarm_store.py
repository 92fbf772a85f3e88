"""Alarms in the database: one row for each, its journal, and what people do to it.

The row is the truth about what people owe an alarm. Processes and people move it by the same table
(``alarm_states.TRANSITIONS``), one writer at a time, so that whoever reads the journal by its ``event_id`` misses
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from fleet import audit
from fleet.alarm_states import START, TRANSITIONS, Event, Place, State, after
from fleet.alarm_table import Urgency, definition
from fleet.alarms import Change, Occurrence
from fleet.db.database import Connection
from fleet.errors import BadRequest, Conflict, NotFound
from fleet.ids import new_id
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "alarms.sql")
Row = dict[str, Any]

_SOUNDS = frozenset({Event.RAISE, Event.RENEW, Event.WORSEN})
_CAUSES: Mapping[Event, str] = {
    Event.RAISE: "the condition holds",
    Event.RENEW: "something newer of the same kind",
    Event.WORSEN: "it has become more urgent",
    Event.CLEAR: "the condition is over",
}
SHELF_REASON_MAX = 200


async def apply(conn: Connection, changes: Iterable[Change], *, actor: str) -> dict[str, str]:
    """Store what a process saw, in order; sent again it is stored once.

    Returns the id under which each alarm stands in the database: another one than its own where that condition had
    an open alarm already.
    """
    await conn.execute(_SQL["turn"])
    ids: dict[str, str] = {}
    for change in changes:
        ids[change.alarm.alarm_id] = await _apply(conn, change, actor)
    return ids


async def _apply(conn: Connection, change: Change, actor: str) -> str:
    alarm = change.alarm
    known = await _one(conn, "known_change", {"change_id": change.change_id})
    if known is not None:
        return str(known["alarm_id"])
    kind, source_id = alarm.source
    values = {"source_kind": kind, "source_id": source_id, "code": alarm.code, "key": alarm.key}
    row = await _one(conn, "open_one", values)
    news = {
        "urgency": alarm.urgency,
        "text_ja": alarm.text_ja,
        "text_en": alarm.text_en,
        "given": Jsonb(dict(alarm.values)),
        "since": alarm.since,
    }
    if row is None:
        return await _open(conn, change, values | news, actor)
    to = after(_place(row), change.event)
    if to is not None:
        await _move(conn, row, change.event, to, at=change.at, actor=actor, change=change, news=news)
    return str(row["alarm_id"])


async def _open(conn: Connection, change: Change, values: dict[str, Any], actor: str) -> str:
    """Open an alarm. One that was closed meanwhile is not opened to say that it is over."""
    alarm_id = change.alarm.alarm_id
    closed = await _one(conn, "get", {"alarm_id": alarm_id}) is not None
    over = change.event is Event.CLEAR
    if closed and over:
        return alarm_id
    state, standing = (State.RETURNED, False) if over else TRANSITIONS[START][Event.RAISE]
    times = {"shown_at": change.alarm.shown_at, "raised_at": change.alarm.raised_at, "at": change.at}
    ids = {"alarm_id": new_id("a") if closed else alarm_id, "state": state, "standing": standing}
    row = await _one(conn, "insert", values | times | ids)
    assert row is not None
    await _write(conn, row, change.event, at=change.at, actor=actor, change=change)
    return str(row["alarm_id"])


async def acknowledge(conn: Connection, alarm_id: str, *, at: datetime, actor: str) -> Row:
    """Say that somebody knows and sees to it; again it does nothing. Raises ``NotFound``, ``Conflict``."""
    row = await _mine(conn, alarm_id)
    if row["state"] in {State.ACKNOWLEDGED, State.NORMAL}:
        return row
    return await _by_person(conn, row, Event.ACKNOWLEDGE, at=at, actor=actor)


async def shelve(conn: Connection, alarm_id: str, *, minutes: float, reason: str, at: datetime, actor: str) -> Row:
    """Put an alarm aside for some minutes of domain time; one that is on the shelf stays there as it is.

    Raises ``BadRequest`` without a reason or beyond what its urgency allows, ``NotFound``, ``Conflict``.
    """
    row = await _mine(conn, alarm_id)
    if row["state"] == State.SHELVED:
        return row
    most = definition(row["code"]).shelve_max_min(Urgency(row["urgency"]))
    if most == 0:
        raise Conflict(f"an alarm of the kind {row['code']!r} cannot be shelved")
    if not 0 < minutes <= most:
        raise BadRequest(f"minutes: more than 0 and at most {most} for an alarm that is {row['urgency']}")
    if not 1 <= len(reason.strip()) <= SHELF_REASON_MAX:
        raise BadRequest(f"reason: 1 to {SHELF_REASON_MAX} characters are needed")
    shelf = {"shelved_until": at + timedelta(minutes=minutes), "shelf_reason": reason.strip()}
    return await _by_person(conn, row, Event.SHELVE, at=at, actor=actor, shelf=shelf)


async def unshelve(conn: Connection, alarm_id: str, *, at: datetime, actor: str) -> Row:
    """Take an alarm off the shelf; one that is not on it stays as it is. Raises ``NotFound``."""
    row = await _mine(conn, alarm_id)
    return row if row["state"] != State.SHELVED else await _by_person(conn, row, Event.UNSHELVE, at=at, actor=actor)


async def unshelve_due(conn: Connection, *, at: datetime, actor: str) -> int:
    """Take off the shelf what has been there for its time; return how many."""
    rows = await _all(conn, "due", {"at": at})
    if not rows:
        return 0
    await conn.execute(_SQL["turn"])
    rows = await _all(conn, "due", {"at": at})
    for row in rows:
        to = TRANSITIONS[_place(row)][Event.UNSHELVE]
        await _move(conn, row, Event.UNSHELVE, to, at=at, actor=actor, cause="its time on the shelf is over")
    return len(rows)


async def clear_retired(conn: Connection, *, at: datetime, actor: str) -> int:
    """Clear the alarms of vehicles that have been retired: nobody looks at them any more. Return how many."""
    return await _clear(conn, "of_retired", {}, at=at, actor=actor, cause="the vehicle was retired")


async def idle_processes(conn: Connection) -> set[str]:
    """Return the processes that have standing alarms of their own and hold no vehicle."""
    return {row["source_id"] for row in await _all(conn, "idle_processes", {})}


async def clear_gone(conn: Connection, names: Sequence[str], *, at: datetime, actor: str) -> int:
    """Clear what processes said of themselves that there are no more. Return how many alarms."""
    return await _clear(conn, "of_gone", {"names": list(names)}, at=at, actor=actor, cause="the process is gone")


async def _clear(
    conn: Connection, name: str, values: Mapping[str, Any], *, at: datetime, actor: str, cause: str
) -> int:
    if not await _all(conn, name, values):
        return 0
    await conn.execute(_SQL["turn"])
    rows = await _all(conn, name, values)
    for row in rows:
        to = TRANSITIONS[_place(row)][Event.CLEAR]
        await _move(conn, row, Event.CLEAR, to, at=at, actor=actor, cause=cause)
    return len(rows)


async def get(conn: Connection, alarm_id: str) -> Row:
    """Return one alarm; raises ``NotFound``."""
    row = await _one(conn, "get", {"alarm_id": alarm_id})
    if row is None:
        raise NotFound(f"there is no alarm {alarm_id!r}")
    return row


async def events(conn: Connection, alarm_id: str) -> list[Row]:
    """Return what has happened to an alarm, in order."""
    return await _all(conn, "events", {"alarm_id": alarm_id})


async def listing(
    conn: Connection,
    *,
    state: str | None = None,
    source: tuple[str | None, str | None] = (None, None),
    urgency: str | None = None,
    open_since: datetime | None = None,
    until: datetime | None = None,
    before: int | None = None,
    limit: int = 200,
) -> list[Row]:
    """Return alarms, the newest first: those not closed before ``open_since`` and raised before ``until``.

    ``before`` is the ``number`` of the last row of the page before.
    """
    values = {
        "state": state,
        "source_kind": source[0],
        "source_id": source[1],
        "urgency": urgency,
        "open_since": open_since,
        "until": until,
        "before": before,
        "limit": limit,
    }
    return await _all(conn, "listing", values)


async def since(conn: Connection, cursor: int, limit: int = 500) -> list[Row]:
    """Return what has happened to alarms after the event ``cursor``, in order: nothing is ever left out."""
    return await _all(conn, "since", {"cursor": cursor, "limit": limit})


async def cursor(conn: Connection) -> int:
    """Return the newest event's id: who has read the alarms that are open now reads on from there."""
    row = await _one(conn, "cursor", {})
    return int(row["cursor"]) if row else 0


async def open_of_source(conn: Connection, source_kind: str, source_id: str) -> list[Occurrence]:
    """Return the open alarms of a source, for a process that looks at it from now on."""
    rows = await _all(conn, "open_of_source", {"source_kind": source_kind, "source_id": source_id})
    return [_occurrence(row) for row in rows]


async def open_of_code(conn: Connection, code: str) -> list[Occurrence]:
    """Return the open alarms of one code."""
    return [_occurrence(row) for row in await _all(conn, "open_of_code", {"code": code})]


async def of_ids(conn: Connection, alarm_ids: Sequence[str]) -> dict[str, Occurrence]:
    """Return those of these alarms that are stored, by id."""
    rows = await _all(conn, "of_ids", {"alarm_ids": list(alarm_ids)})
    return {row["alarm_id"]: _occurrence(row) for row in rows}


async def silent_gateways(
    conn: Connection, *, over_s: float, looking_s: float, patience_s: float
) -> list[tuple[str, float]]:
    """Return gateways whose leases have all run out more than ``over_s`` wall seconds ago, and how long ago that was.

    Who has looked for ``looking_s`` only, less than ``patience_s``, is not told of what ran out before.
    """
    values = {"over_s": over_s, "looking_s": looking_s, "patience_s": patience_s}
    return [(row["gateway"], float(row["over_s"])) for row in await _all(conn, "silent_gateways", values)]


async def _mine(conn: Connection, alarm_id: str) -> Row:
    await conn.execute(_SQL["turn"])
    return await get(conn, alarm_id)


async def _by_person(
    conn: Connection, row: Row, event: Event, *, at: datetime, actor: str, shelf: Mapping[str, Any] | None = None
) -> Row:
    to = after(_place(row), event)
    if to is None:
        raise Conflict(f"alarm {row['alarm_id']} is {row['state']}: {event} is not possible now")
    reason = f": {shelf['shelf_reason']}" if shelf else ""
    moved = await _move(conn, row, event, to, at=at, actor=actor, cause=f"{actor}{reason}", news=shelf or {})
    detail = {"source": row["source_id"], "code": row["code"]}
    if shelf:
        detail |= {"until": shelf["shelved_until"].isoformat(), "reason": shelf["shelf_reason"]}
    subject = ("alarm", str(row["alarm_id"]))
    await audit.record(conn, at=at, actor=actor, action=f"alarm.{event}", subject=subject, detail=detail)
    return moved


async def _move(
    conn: Connection,
    row: Row,
    event: Event,
    to: Place,
    *,
    at: datetime,
    actor: str,
    cause: str | None = None,
    change: Change | None = None,
    news: Mapping[str, Any] | None = None,
) -> Row:
    values = {
        **{name: row[name] for name in ("alarm_id", "urgency", "text_ja", "text_en", "since")},
        "given": Jsonb(row["given"]),
        "shelved_until": None,
        "shelf_reason": None,
        **(news or {}),
        "state": to[0],
        "standing": to[1],
        "event": event,
        "at": at,
        "actor": actor,
        "sounds": event in _SOUNDS,
    }
    moved = await _one(conn, "move", values)
    assert moved is not None
    await _write(conn, moved, event, at=at, actor=actor, change=change, cause=cause)
    return moved


async def _write(
    conn: Connection,
    row: Row,
    event: Event,
    *,
    at: datetime,
    actor: str,
    change: Change | None,
    cause: str | None = None,
) -> None:
    detection_s = None
    if change is not None and event is Event.RAISE:
        detection_s = (change.alarm.raised_at - change.alarm.shown_at).total_seconds()
    names = ("alarm_id", "state", "standing", "urgency", "text_ja", "text_en", "since", "shelved_until")
    more = {
        "event": event,
        "at": at,
        "detection_s": detection_s,
        "actor": actor,
        "cause": cause or _CAUSES[event],
        "change_id": change.change_id if change else None,
    }
    await conn.execute(_SQL["journal"], {name: row[name] for name in names} | more)


def _place(row: Row) -> Place:
    return State(row["state"]), row["standing"]


def _occurrence(row: Row) -> Occurrence:
    return Occurrence(
        alarm_id=row["alarm_id"],
        source=(row["source_kind"], row["source_id"]),
        code=row["code"],
        key=row["key"],
        urgency=Urgency(row["urgency"]),
        place=_place(row),
        text_ja=row["text_ja"],
        text_en=row["text_en"],
        values=row["given"],
        since=row["since"],
        shown_at=row["shown_at"],
        raised_at=row["raised_at"],
        sounded_at=row["changed_at"],
        stored=True,
        shelved_until=row["shelved_until"],
    )


async def _one(conn: Connection, name: str, values: Mapping[str, Any]) -> Row | None:
    return await (await conn.execute(_SQL[name], values)).fetchone()


async def _all(conn: Connection, name: str, values: Mapping[str, Any]) -> list[Row]:
    return await (await conn.execute(_SQL[name], values)).fetchall()
