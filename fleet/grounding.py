"""Grounding: a vehicle, a type or a whole region that may not set out until a person lifts it.

It keeps what stands from setting out. What is under way goes on: a vehicle in the air is safer on its mission than
anywhere else, and there are commands for it.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Any

from fleet import audit, vehicles
from fleet.db.database import Connection
from fleet.errors import BadRequest, Conflict, NotFound
from fleet.ids import new_id
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "launch.sql")

SCOPES = ("vehicle", "type", "region")


async def ground(
    conn: Connection,
    *,
    region_id: str,
    scope: tuple[str, str],
    reason: str,
    at: datetime,
    actor: str,
    key: str | None = None,
) -> dict[str, Any]:
    """Ground ``scope``, its kind and id; raises ``BadRequest`` or ``NotFound`` when there is no such thing here.

    With a ``key`` the same one of the same actor is the same grounding.
    """
    kind, scope_id = scope
    if kind not in SCOPES:
        raise BadRequest(f"scope_kind: must be one of {', '.join(SCOPES)}, not {kind!r}")
    if kind == "vehicle" and (await vehicles.get(conn, scope_id))["region_id"] != region_id:
        raise NotFound(f"there is no vehicle {scope_id!r} in region {region_id}")
    if kind == "type":
        found = await conn.execute(_SQL["is_type_of_fleet"], {"region_id": region_id, "type_id": scope_id})
        if await found.fetchone() is None:
            raise NotFound(f"no vehicle here is of the type {scope_id!r}")
    if kind == "region" and scope_id != region_id:
        raise NotFound(f"this is region {region_id!r}, not {scope_id!r}")
    values = {
        "grounding_id": new_id("g") if key is None else f"g-{sha256(f'{actor}/{key}'.encode()).hexdigest()[:16]}",
        "region_id": region_id,
        "scope_kind": kind,
        "scope_id": scope_id,
        "reason": reason,
    }
    row = await (await conn.execute(_SQL["ground"], values | {"at": at, "actor": actor})).fetchone()
    if row is None:
        known = await (await conn.execute(_SQL["grounding"], values)).fetchone()
        assert known is not None
        return known
    await audit.record(conn, at=at, actor=actor, action="ground", subject=(kind, scope_id), detail={"reason": reason})
    return row


async def lift(
    conn: Connection, grounding_id: str, *, region_id: str, reason: str, at: datetime, actor: str
) -> dict[str, Any]:
    """Lift a grounding; raises ``NotFound``, and ``Conflict`` when it has been lifted before."""
    values = {"grounding_id": grounding_id, "region_id": region_id, "reason": reason, "at": at, "actor": actor}
    row = await (await conn.execute(_SQL["lift"], values)).fetchone()
    if row is None:
        if await (await conn.execute(_SQL["grounding"], values)).fetchone() is None:
            raise NotFound(f"there is no grounding {grounding_id!r}")
        raise Conflict(f"grounding {grounding_id} has been lifted already")
    subject = (row["scope_kind"], row["scope_id"])
    await audit.record(conn, at=at, actor=actor, action="ground.lift", subject=subject, detail={"reason": reason})
    return row


async def listing(conn: Connection, *, region_id: str, standing: bool = True, limit: int = 500) -> list[dict[str, Any]]:
    """Return groundings, newest first; those that stand, or all."""
    values = {"region_id": region_id, "standing": standing, "limit": limit}
    return await (await conn.execute(_SQL["groundings"], values)).fetchall()


async def vehicles_of(conn: Connection, *, region_id: str) -> set[str]:
    """Return the vehicles of a region that may not set out."""
    rows = await (await conn.execute(_SQL["grounded_vehicles"], {"region_id": region_id})).fetchall()
    return {row["vehicle_id"] for row in rows}


async def of_vehicle(conn: Connection, vehicle_id: str) -> list[dict[str, Any]]:
    """Return what keeps a vehicle from setting out, its own groundings and those of its type and region."""
    return await (await conn.execute(_SQL["groundings_of"], {"vehicle_id": vehicle_id})).fetchall()
