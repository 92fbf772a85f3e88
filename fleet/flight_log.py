"""The flight log of each vehicle: entries, their revisions and signatures, and the particulars that head it.

Civil Aeronautics Act of Japan (航空法), article 132-89, and its Ordinance (施行規則), article 236-84: the flight record
(飛行記録), the daily inspection record (日常点検記録) and the inspection and maintenance record (点検整備記録) of each
aircraft; electronic ones are allowed, and they are kept for as long as the aircraft is registered. Items and forms
after 無人航空機の飛行日誌の取扱要領 (国土交通省航空局, 国空無機第236963号, 1 December 2022, forms 1 to 3). Nothing
here is ever deleted: a correction is a revision, and what stood before stays readable. A robot has a record of its
remote operation in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg.types.json import Jsonb

from fleet import audit, vehicles
from fleet.db.database import Connection
from fleet.errors import BadRequest, Conflict, NotFound
from fleet.ids import new_id
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "flight_log.sql")

SERVICE = "service"
"""The actor of revisions that no person made."""
KINDS = ("flight", "operation", "inspection", "maintenance", "defect")
ALWAYS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
MAX_LINES = 20_000
"""Lines of a log read at once: 27 flights a day for two years. The period has to be shorter when there are more."""

_BEGIN = {"flight": "takeoff_at", "operation": "takeoff_at"}
_END = {"flight": "landing_at", "operation": "landing_at"}


@dataclass(frozen=True, slots=True)
class By:
    """Who writes when (domain time), and why."""

    actor: str
    at: datetime
    reason: str


async def begin_writing(conn: Connection, vehicle_id: str) -> None:
    """Have the log of a vehicle to oneself until the transaction ends."""
    await conn.execute(_SQL["lock_log"], {"vehicle_id": vehicle_id})


async def add(
    conn: Connection,
    *,
    vehicle_id: str,
    kind: str,
    content: Mapping[str, Any],
    by: By,
    mission_id: str | None = None,
) -> str | None:
    """Add a line; return its id, or ``None`` for an operation whose mission has one already.

    ``content`` is plain JSON with times as ISO 8601 text. Raises ``BadRequest`` for times that cannot be, and
    ``Conflict`` for a flight by a person that overlaps another one of the vehicle.
    """
    began_at, ended_at = _times(kind, content)
    if kind == "flight" and by.actor != SERVICE:
        await _refuse_overlap(conn, vehicle_id, began_at, ended_at, entry_id=None)
    entry_id = new_id({"flight": "f", "operation": "f"}.get(kind, "l"))
    values = {
        "entry_id": entry_id,
        "vehicle_id": vehicle_id,
        "kind": kind,
        "began_at": began_at,
        "ended_at": ended_at,
        "mission_id": mission_id,
    }
    if await (await conn.execute(_SQL["insert_entry"], values)).fetchone() is None:
        return None
    await _write(conn, entry_id, 0, content, by)
    if by.actor != SERVICE:
        await _audit(conn, by, f"log.{kind}", vehicle_id, {"entry": entry_id})
    return entry_id


async def get(conn: Connection, entry_id: str) -> dict[str, Any]:
    """Return a line with its newest content; raises ``NotFound``."""
    row = await (await conn.execute(_SQL["get_entry"], {"entry_id": entry_id})).fetchone()
    if row is None:
        raise NotFound(f"there is no log entry {entry_id!r}")
    return row


async def revisions(conn: Connection, entry_id: str) -> list[dict[str, Any]]:
    """Return all that a line ever said, oldest first: revision, at, actor, reason, content, signed."""
    return await (await conn.execute(_SQL["revisions"], {"entry_id": entry_id})).fetchall()


async def revise(
    conn: Connection,
    entry_id: str,
    changes: Mapping[str, Any],
    *,
    revision: int,
    by: By,
) -> dict[str, Any]:
    """Correct or complete a line; what it said before stays in its revisions. Return it as it is then.

    ``revision`` is the one that the person has read: ``Conflict`` when there is a newer one. A signed line is no
    longer signed: whoever answers for it signs it again.
    """
    row = await _locked(conn, entry_id)
    if row["revision"] != revision:
        raise Conflict(f"log entry {entry_id} has changed since (revision {row['revision']}, not {revision}); read it")
    content = {**row["content"], **changes}
    # What was snapshot at a signature is taken anew at the next one.
    content.pop("as_signed", None)
    if content == row["content"]:
        return row
    began_at, ended_at = _times(row["kind"], content)
    moved = row["void"] or (began_at, ended_at) != (row["began_at"], row["ended_at"])
    if row["kind"] == "flight" and by.actor != SERVICE and moved and not content.get("void"):
        await _refuse_overlap(conn, row["vehicle_id"], began_at, ended_at, entry_id=entry_id)
    await _write(conn, entry_id, revision + 1, content, by)
    values = {
        "entry_id": entry_id,
        "began_at": began_at,
        "ended_at": ended_at,
        "revision": revision + 1,
        "signed_by": None,
        "void": bool(content.get("void")),
    }
    await conn.execute(_SQL["set_entry"], values)
    if by.actor != SERVICE:
        detail = {"entry": entry_id, "revision": revision + 1, "fields": sorted(changes)}
        await _audit(conn, by, "log.revise", row["vehicle_id"], detail)
    return await get(conn, entry_id)


async def sign(
    conn: Connection, entry_id: str, *, revision: int, by: By, snapshot: Mapping[str, Any]
) -> dict[str, Any]:
    """Sign a line off as it stands, with the particulars as they are now (``snapshot``); return it.

    Signed again by the same person it stays as it is. Raises ``Conflict`` for another revision than the newest.
    """
    row = await _locked(conn, entry_id)
    if row["signed_by"] == by.actor and row["revision"] in {revision, revision + 1}:
        return row
    if row["revision"] != revision:
        raise Conflict(f"log entry {entry_id} has changed since (revision {row['revision']}, not {revision}); read it")
    if row["void"]:
        raise Conflict(f"log entry {entry_id} is void; there is nothing to sign")
    content = {**row["content"], "as_signed": dict(snapshot)}
    await _write(conn, entry_id, revision + 1, content, by, signed=True)
    values = {"entry_id": entry_id, "began_at": row["began_at"], "ended_at": row["ended_at"], "revision": revision + 1}
    await conn.execute(_SQL["set_entry"], {**values, "signed_by": by.actor, "void": False})
    await _audit(conn, by, "log.sign", row["vehicle_id"], {"entry": entry_id})
    return await get(conn, entry_id)


async def lines(
    conn: Connection, vehicle_id: str, *, kinds: tuple[str, ...] = KINDS, start: datetime, end: datetime
) -> list[dict[str, Any]]:
    """Return the lines of a vehicle's log that lie in a period, oldest first, with ``total_s`` up to each.

    ``total_s`` counts the flights that the service knows; hours brought along are among the particulars. Raises
    ``BadRequest`` when there are more than ``MAX_LINES``.
    """
    values = {"vehicle_id": vehicle_id, "kinds": list(kinds), "start": start, "end": end, "limit": MAX_LINES + 1}
    found = await (await conn.execute(_SQL["entries"], values)).fetchall()
    if len(found) > MAX_LINES:
        raise BadRequest(f"start: the log has more than {MAX_LINES} lines in this period; ask for a shorter one")
    return found


async def open_defects(conn: Connection, vehicle_id: str) -> list[dict[str, Any]]:
    """Return the defects of a vehicle that nobody has put right: entry_id, began_at, content."""
    return await (await conn.execute(_SQL["open_defects"], {"vehicle_id": vehicle_id})).fetchall()


async def overlapping(
    conn: Connection, vehicle_id: str, began_at: datetime, ended_at: datetime
) -> list[dict[str, Any]]:
    """Return a vehicle's flights that share time with a period, with those that a person has declared ``void``;
    ``untouched`` by any person."""
    values = {"vehicle_id": vehicle_id, "began_at": began_at, "ended_at": ended_at}
    return await (await conn.execute(_SQL["overlapping"], values)).fetchall()


async def particulars(conn: Connection, what: str, subject_id: str) -> dict[str, Any]:
    """Return what the log says of an ``aircraft`` or a ``pilot`` (by vehicle or user id); empty when nobody has said.

    An aircraft has registration, type, certificates, maker, serial, hours brought along and the usual airspace and
    method; a pilot has name, licence class and number.
    """
    row = await (await conn.execute(_SQL[what], {"subject_id": subject_id})).fetchone()
    return dict(row["content"]) if row else {}


async def pilots(conn: Connection, user_ids: list[str]) -> dict[str, dict[str, Any]]:
    """Return name and licence number of each user, the display name where no particulars are kept."""
    rows = await (await conn.execute(_SQL["pilots"], {"user_ids": user_ids})).fetchall()
    return {row["user_id"]: {"name": row["display_name"], **(row["content"] or {})} for row in rows}


async def put_particulars(
    conn: Connection, what: str, subject_id: str, content: Mapping[str, Any], *, at: datetime, actor: str
) -> None:
    """Keep new particulars; the former stay in the table. Raises ``NotFound`` for an unknown vehicle or user."""
    if what == "aircraft":
        await vehicles.get(conn, subject_id)
    elif await (await conn.execute(_SQL["user_exists"], {"subject_id": subject_id})).fetchone() is None:
        raise NotFound(f"there is no user {subject_id!r}")
    await conn.execute(_SQL["lock_log"], {"vehicle_id": f"{what}/{subject_id}"})
    before = await particulars(conn, what, subject_id)
    if before == dict(content):
        return
    values = {"subject_id": subject_id, "at": at, "actor": actor, "content": Jsonb(dict(content))}
    await conn.execute(_SQL[f"put_{what}"], values)
    changed = sorted(key for key in {*before, *content} if before.get(key) != content.get(key))
    subject = ("vehicle" if what == "aircraft" else "user", subject_id)
    await audit.record(conn, at=at, actor=actor, action=f"log.{what}", subject=subject, detail={"fields": changed})


async def _locked(conn: Connection, entry_id: str) -> dict[str, Any]:
    vehicle_id = (await get(conn, entry_id))["vehicle_id"]
    await begin_writing(conn, vehicle_id)
    row = await (await conn.execute(_SQL["lock_entry"], {"entry_id": entry_id})).fetchone()
    assert row is not None  # entries are never deleted
    return row


async def _write(
    conn: Connection,
    entry_id: str,
    revision: int,
    content: Mapping[str, Any],
    by: By,
    *,
    signed: bool = False,
) -> None:
    values = {
        "entry_id": entry_id,
        "revision": revision,
        "at": by.at,
        "actor": by.actor,
        "reason": by.reason,
        "content": Jsonb(dict(content)),
        "signed": signed,
    }
    await conn.execute(_SQL["insert_revision"], values)


async def _audit(conn: Connection, by: By, action: str, vehicle_id: str, detail: dict[str, Any]) -> None:
    await audit.record(conn, at=by.at, actor=by.actor, action=action, subject=("vehicle", vehicle_id), detail=detail)


async def _refuse_overlap(
    conn: Connection, vehicle_id: str, began_at: datetime, ended_at: datetime | None, *, entry_id: str | None
) -> None:
    await begin_writing(conn, vehicle_id)
    if ended_at is None:
        raise BadRequest("landing_at: a time is needed")
    others = await overlapping(conn, vehicle_id, began_at, ended_at)
    for other in others:
        if other["entry_id"] != entry_id and not other["void"]:
            raise Conflict(
                f"{vehicle_id} has another flight at that time ({other['entry_id']}, "
                f"{other['began_at'].isoformat()} to {other['ended_at'].isoformat()}); correct that one"
            )


def _times(kind: str, content: Mapping[str, Any]) -> tuple[datetime, datetime | None]:
    """Return when a line's matter began and ended; raises ``BadRequest`` naming the field that cannot be."""
    begin, end = _BEGIN.get(kind, "at"), _END.get(kind)
    began_at = moment(begin, content.get(begin))
    if end is None:
        return began_at, None
    ended_at = moment(end, content.get(end))
    if ended_at < began_at:
        raise BadRequest(f"{end}: must not be before {begin}")
    return began_at, ended_at


def moment(field: str, value: object) -> datetime:
    """Read a time of a line; raises ``BadRequest`` naming its field."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise BadRequest(f"{field}: a time such as 2026-04-01T09:30:00+09:00 is needed") from error
    if found.tzinfo is None or not ALWAYS[0] <= found < ALWAYS[1]:
        raise BadRequest(f"{field}: a time with its zone, in the years 2000 to 2199, is needed")
    return found.astimezone(UTC)
