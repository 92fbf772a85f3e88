"""Incidents: one action freezes what is stored of vehicles for a time, and a report is drafted from it.

Frozen are samples, rollups, events and gaps (``telemetry.keeping``). Orders, custody, missions, plans, commands,
alarms, the flight log and the audit trail are never deleted by the service, frozen or not. Nothing is copied: what is
frozen stays where it is and can be read as before.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from fleet import audit, vehicles
from fleet.db.database import Connection
from fleet.errors import BadRequest, Conflict, NotFound
from fleet.flight_log import ALWAYS
from fleet.ids import new_id
from fleet.incident_law import CLASSES, SECTIONS
from telemetry import keeping
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "incidents.sql")

SCOPES = ("vehicle", "type", "region")
BEFORE = timedelta(minutes=30)
"""What an incident takes in from before it was opened, where nothing else is said."""
MAX_TEXT = 20_000
_NEVER = ALWAYS[1]
"""Until when an incident that goes on is frozen."""


async def begin(
    conn: Connection,
    *,
    region_id: str,
    scope: tuple[str, str],
    at: datetime,
    actor: str,
    key: str,
    start: datetime | None = None,
    content: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Open an incident and freeze its data, from half an hour ago until it is closed; return it.

    ``scope`` is the kind (vehicle, type, region) and id of what it is about. The same key of the same person is the
    same incident. Raises ``NotFound`` for what is not there and ``BadRequest`` for a start in the future.
    """
    kind, scope_id = scope
    if kind == "vehicle" and (await vehicles.get(conn, scope_id))["region_id"] != region_id:
        raise NotFound(f"there is no vehicle {scope_id!r} in region {region_id}")
    if kind == "region" and scope_id != region_id:
        raise NotFound(f"this is region {region_id!r}, not {scope_id!r}")
    began_at = at - BEFORE if start is None else start
    if began_at >= at:
        raise BadRequest("start: must be in the past")
    values: dict[str, Any] = {
        "incident_id": new_id("i"), "region_id": region_id, "scope_kind": kind, "scope_id": scope_id,
        "began_at": began_at, "actor": actor, "at": at, "key": key,
    }  # fmt: skip
    if await (await conn.execute(_SQL["insert"], values)).fetchone() is None:
        known = await (await conn.execute(_SQL["by_key"], values)).fetchone()
        assert known is not None
        found = await get(conn, known["incident_id"])
        if (found["scope_kind"], found["scope_id"]) != scope:
            raise Conflict(f"idempotency_key: {key!r} was used for another incident")
        return found
    incident_id = values["incident_id"]
    await _write(conn, incident_id, 0, _checked(content or {}), at=at, actor=actor)
    await conn.execute(_SQL["add_vehicles"], {"incident_id": incident_id})
    incident = await get(conn, incident_id)
    if not incident["vehicle_ids"]:
        raise NotFound(f"no vehicle here is of the {kind} {scope_id!r}")
    await _freeze(conn, incident)
    detail = {"scope": f"{kind} {scope_id}", "start": began_at.isoformat(), "vehicles": incident["vehicle_ids"][:100]}
    await _record(conn, incident_id, "open", at=at, actor=actor, detail=detail)
    return incident


async def get(conn: Connection, incident_id: str) -> dict[str, Any]:
    """Return an incident with ``vehicle_ids`` and its newest ``content``; raises ``NotFound``."""
    row = await (await conn.execute(_SQL["get"], {"incident_id": incident_id})).fetchone()
    if row is None:
        raise NotFound(f"there is no incident {incident_id!r}")
    return row


async def listing(conn: Connection, *, region_id: str, limit: int = 500) -> list[dict[str, Any]]:
    """Return incidents, newest first."""
    return await (await conn.execute(_SQL["list_all"], {"region_id": region_id, "limit": limit})).fetchall()


async def revisions(conn: Connection, incident_id: str) -> list[dict[str, Any]]:
    """Return what people said of an incident, each time, oldest first."""
    return await (await conn.execute(_SQL["revisions"], {"incident_id": incident_id})).fetchall()


async def revise(
    conn: Connection, incident_id: str, changes: Mapping[str, Any], *, revision: int, at: datetime, actor: str
) -> dict[str, Any]:
    """Change title, classes or sections; the former words stay in the revisions.

    ``changes["sections"]`` replaces those it names. Raises ``Conflict`` when ``revision`` is not the newest.
    """
    incident = await _locked(conn, incident_id)
    if incident["revision"] != revision:
        raise Conflict(f"incident {incident_id} has changed since (revision {incident['revision']}); read it again")
    before = incident["content"]
    sections = {**before.get("sections", {}), **changes.get("sections", {})}
    content = _checked({**before, **changes, "sections": sections})
    if content == before:
        return incident
    await _write(conn, incident_id, revision + 1, content, at=at, actor=actor)
    await conn.execute(_SQL["set_revision"], {"incident_id": incident_id, "revision": revision + 1})
    detail = {"revision": revision + 1, "fields": sorted(changes)}
    await _record(conn, incident_id, "revise", at=at, actor=actor, detail=detail)
    return await get(conn, incident_id)


async def close(
    conn: Connection, incident_id: str, *, end: datetime | None, at: datetime, actor: str
) -> dict[str, Any]:
    """End the period of an incident; what lies in it stays frozen. Raises ``Conflict`` when it was closed before."""
    incident = await _locked(conn, incident_id)
    if incident["closed_at"] is not None:
        raise Conflict(f"incident {incident_id} is closed already")
    ended_at = end or at
    if not incident["began_at"] < ended_at <= at:
        raise BadRequest("end: must be after the start and not in the future")
    values = {"incident_id": incident_id, "ended_at": ended_at, "at": at, "actor": actor}
    await conn.execute(_SQL["close"], values)
    incident = await get(conn, incident_id)
    await _freeze(conn, incident)
    await _record(conn, incident_id, "close", at=at, actor=actor, detail={"end": ended_at.isoformat()})
    return incident


async def unfreeze(conn: Connection, incident_id: str, *, reason: str, at: datetime, actor: str) -> dict[str, Any]:
    """Give an incident's data back to retention: what is past its time is deleted by the next round of keeping.

    Raises ``Conflict`` for one that goes on or was unfrozen before, and ``BadRequest`` without a reason.
    """
    incident = await _locked(conn, incident_id)
    if not reason:
        raise BadRequest("reason: say why the data need not be kept any more")
    if incident["closed_at"] is None:
        raise Conflict(f"incident {incident_id} goes on; close it first")
    if incident["unfrozen_at"] is not None:
        raise Conflict(f"incident {incident_id} was unfrozen by {incident['unfrozen_by']} already")
    await conn.execute(_SQL["unfreeze"], {"incident_id": incident_id, "reason": reason, "at": at, "actor": actor})
    await keeping.unfreeze(conn, incident_id)
    await _record(conn, incident_id, "unfreeze", at=at, actor=actor, detail={"reason": reason})
    return await get(conn, incident_id)


async def keep_up(conn: Connection) -> None:
    """Take vehicles in that have joined the type or region of an incident that goes on."""
    grown = await (await conn.execute(_SQL["add_vehicles"], {"incident_id": None})).fetchall()
    for incident_id in sorted({row["incident_id"] for row in grown}):
        await _freeze(conn, await get(conn, incident_id))


def period(incident: Mapping[str, Any], now: datetime) -> tuple[datetime, datetime]:
    """Return the time that an incident is about; one that goes on ends now."""
    return incident["began_at"], incident["ended_at"] or max(now, incident["opened_at"])


async def _freeze(conn: Connection, incident: Mapping[str, Any]) -> None:
    await keeping.freeze(
        conn,
        freeze_id=incident["incident_id"],
        vehicle_ids=incident["vehicle_ids"],
        start=incident["began_at"],
        end=incident["ended_at"] or _NEVER,
    )


async def _locked(conn: Connection, incident_id: str) -> dict[str, Any]:
    await conn.execute(_SQL["lock"], {"incident_id": incident_id})
    return await get(conn, incident_id)


def _checked(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return title, classes and sections in their form; raises ``BadRequest`` naming what does not fit."""
    classes = list(dict.fromkeys(content.get("classes", ())))
    for name in classes:
        if name not in CLASSES:
            raise BadRequest(f"classes: {name!r} is none of {', '.join(CLASSES)}")
    sections = {name: text for name, text in content.get("sections", {}).items() if text}
    for name, text in sections.items():
        if name not in SECTIONS:
            raise BadRequest(f"sections: {name!r} is none of {', '.join(SECTIONS)}")
        if len(text) > MAX_TEXT:
            raise BadRequest(f"sections.{name}: at most {MAX_TEXT} characters")
    return {"title": str(content.get("title", "")), "classes": classes, "sections": sections}


async def _write(
    conn: Connection, incident_id: str, revision: int, content: Mapping[str, Any], *, at: datetime, actor: str
) -> None:
    values = {"incident_id": incident_id, "revision": revision, "at": at, "actor": actor, "content": Jsonb(content)}
    await conn.execute(_SQL["insert_revision"], values)


async def _record(
    conn: Connection, incident_id: str, what: str, *, at: datetime, actor: str, detail: dict[str, Any]
) -> None:
    subject = ("incident", incident_id)
    await audit.record(conn, at=at, actor=actor, action=f"incident.{what}", subject=subject, detail=detail)
