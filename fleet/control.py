"""Control: one pilot at most commands a vehicle, and it changes hands explicitly.

Control is a lease by presence: its pilot keeps it until handing it over, releasing it or going off duty, and others may
take it from one who is silent (``fleet.duty``). Every change of hands makes a new epoch; a person's command carries the
epoch that it was given under, and an older one is never sent. To stop a vehicle takes no control at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fleet import audit, duty, users, vehicles, workload
from fleet.db.database import Connection
from fleet.errors import BadRequest, Conflict
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "control.sql")


async def listing(conn: Connection, *, region_id: str) -> list[dict[str, Any]]:
    """Return who controls what: vehicle_id, pilot, display_name, epoch, since, offered_to, offered_at, silent."""
    values = {"region_id": region_id, "silent_s": duty.SILENT_S}
    return await (await conn.execute(_SQL["listing"], values)).fetchall()


async def pilot_of(conn: Connection, vehicle_id: str) -> str | None:
    """Return who controls a vehicle."""
    row = await (await conn.execute(_SQL["get"], {"vehicle_id": vehicle_id})).fetchone()
    return None if row is None else row["pilot"]


async def require(conn: Connection, vehicle_id: str, pilot: str) -> int:
    """Return the epoch under which a pilot commands a vehicle; raises ``Conflict`` naming who controls it instead."""
    row = await (await conn.execute(_SQL["get"], {"vehicle_id": vehicle_id})).fetchone()
    if row is None or row["pilot"] is None:
        raise Conflict(f"nobody controls {vehicle_id}: take control of it first (a hold takes none)")
    if row["pilot"] != pilot:
        raise Conflict(f"{row['pilot']} controls {vehicle_id}: have it handed over to you first (a hold takes none)")
    return int(row["epoch"])


async def take(conn: Connection, vehicle_id: str, *, at: datetime, actor: str) -> dict[str, Any]:
    """Take a vehicle that nobody controls, or whose pilot is silent or off duty; one's own stays as it is.

    A drone in the air without its pilot is taken beyond the limit of how many ``actor`` may have there: somebody must
    be able to land it. ``limit_exceeded`` of the row returned says so in words, and so does the audit. Raises
    ``Conflict`` naming a pilot who is there.
    """
    row = await _locked(conn, vehicle_id, at)
    await duty.begin(conn, actor, at=at)
    if row["pilot"] == actor:
        return {**row, "limit_exceeded": None}
    if row["pilot"] is not None and await duty.present(conn, row["pilot"]):
        raise Conflict(f"{row['pilot']} controls {vehicle_id} and is there: have it offered to you")
    exceeded = await _full(conn, vehicle_id, actor)
    note = {} if exceeded is None else {"limit_exceeded": exceeded}
    return {**await _give(conn, row, actor, "take", at=at, actor=actor, note=note), "limit_exceeded": exceeded}


async def gain(conn: Connection, vehicle_id: str, *, at: datetime, actor: str) -> None:
    """Make the pilot who accepts a vehicle's launch its controller, and on duty.

    Raises ``Conflict`` while another pilot controls it who is not silent.
    """
    row = await _locked(conn, vehicle_id, at)
    await duty.begin(conn, actor, at=at)
    if row["pilot"] == actor:
        return
    if row["pilot"] is not None and await duty.present(conn, row["pilot"]):
        raise Conflict(f"{row['pilot']} controls {vehicle_id}: have it handed over before you accept its launch")
    await _give(conn, row, actor, "launch", at=at, actor=actor)


async def offer(conn: Connection, vehicle_id: str, *, to: str, at: datetime, actor: str) -> dict[str, Any]:
    """Offer a vehicle to another pilot on duty, who accepts or declines; a newer offer replaces an older one.

    Raises ``BadRequest`` for somebody who is no other pilot, and ``Conflict`` for one who is not on duty.
    """
    row = await _of(conn, vehicle_id, actor, at)
    if to == actor:
        raise BadRequest("to: that is yourself")
    if not await users.is_pilot(conn, to):
        raise BadRequest(f"to: {to!r} is no pilot")
    if not await duty.present(conn, to):
        raise Conflict(f"{to} is not on duty, or does not answer; choose another pilot")
    if row["offered_to"] == to:
        return row
    return await _offered(conn, row, to, "offer", at=at, actor=actor)


async def accept(conn: Connection, vehicle_id: str, *, at: datetime, actor: str) -> dict[str, Any]:
    """Take over a vehicle that was offered; again it does nothing.

    Raises ``Conflict`` when nobody has offered it, and naming the limit that it would exceed.
    """
    row = await _locked(conn, vehicle_id, at)
    if row["pilot"] == actor:
        return row
    if row["offered_to"] != actor:
        raise Conflict(f"{vehicle_id} is not offered to {actor} any more")
    await duty.begin(conn, actor, at=at)
    full = await _full(conn, vehicle_id, actor)
    if full is not None:
        raise Conflict(full)
    return await _give(conn, row, actor, "accept", at=at, actor=actor)


async def decline(conn: Connection, vehicle_id: str, *, at: datetime, actor: str) -> dict[str, Any]:
    """Decline an offer, or withdraw one's own; raises ``Conflict`` when there is none of either kind."""
    row = await _locked(conn, vehicle_id, at)
    if row["offered_to"] is None or actor not in {row["offered_to"], row["pilot"]}:
        raise Conflict(f"{vehicle_id} is not offered to {actor}")
    return await _offered(conn, row, None, "decline", at=at, actor=actor)


async def release(conn: Connection, vehicle_id: str, *, at: datetime, actor: str) -> dict[str, Any]:
    """Leave a vehicle that rests to whoever takes it; raises ``Conflict`` while it moves or is about to."""
    row = await _of(conn, vehicle_id, actor, at)
    values = {"pilot": actor, "vehicle_id": vehicle_id}
    tended = await (await conn.execute(_SQL["tended"], values)).fetchone()
    if tended is not None:
        raise Conflict(f"mission {tended['mission_id']} of {vehicle_id} is {tended['state']}: hand it over instead")
    return await _give(conn, row, None, "release", at=at, actor=actor)


async def _locked(conn: Connection, vehicle_id: str, at: datetime) -> dict[str, Any]:
    await vehicles.get(conn, vehicle_id)
    values = {"vehicle_id": vehicle_id, "at": at}
    await conn.execute(_SQL["ensure"], values)
    row = await (await conn.execute(_SQL["lock"], values)).fetchone()
    assert row is not None
    return row


async def _of(conn: Connection, vehicle_id: str, pilot: str, at: datetime) -> dict[str, Any]:
    """Lock a vehicle's row for its own pilot."""
    row = await _locked(conn, vehicle_id, at)
    if row["pilot"] != pilot:
        raise Conflict(f"{row['pilot'] or 'nobody'} controls {vehicle_id}, not {pilot}")
    await duty.beat(conn, pilot)
    return row


async def _full(conn: Connection, vehicle_id: str, pilot: str) -> str | None:
    """Return in words why a drone in the air would be one too many for a pilot, ``None`` where it would not."""
    mission = await (await conn.execute(_SQL["active_mission"], {"vehicle_id": vehicle_id})).fetchone()
    vehicle = await vehicles.get(conn, vehicle_id)
    if mission is None or vehicle["kind"] != "drone":
        return None
    return await workload.full(conn, vehicle, pilot=pilot, but=mission["mission_id"])


async def _give(
    conn: Connection,
    row: dict[str, Any],
    pilot: str | None,
    how: str,
    *,
    at: datetime,
    actor: str,
    note: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    vehicle_id, before = row["vehicle_id"], row["pilot"]
    values = {"vehicle_id": vehicle_id, "pilot": pilot, "at": at}
    new = await (await conn.execute(_SQL["give"], values)).fetchone()
    assert new is not None
    if how != "launch":
        # That names its pilot itself.
        cause = f"control: {before or 'nobody'} to {pilot or 'nobody'} ({how})"
        await conn.execute(_SQL["note_on_mission"], values | {"cause": cause})
    why = f"outdated: control went from {before or 'nobody'} to {pilot or 'nobody'} before it was sent"
    await conn.execute(_SQL["expire_outdated"], {"vehicle_ids": [vehicle_id], "at": at, "why": why})
    await audit.record(
        conn, at=at, actor=actor, action=f"control.{how}", subject=("vehicle", vehicle_id),
        detail={"from": before, "to": pilot, "epoch": new["epoch"], **(note or {})},
    )  # fmt: skip
    return new


async def _offered(
    conn: Connection, row: dict[str, Any], to: str | None, how: str, *, at: datetime, actor: str
) -> dict[str, Any]:
    values = {"vehicle_id": row["vehicle_id"], "to": to, "at": at}
    new = await (await conn.execute(_SQL["offer"], values)).fetchone()
    assert new is not None
    await audit.record(
        conn, at=at, actor=actor, action=f"control.{how}", subject=("vehicle", row["vehicle_id"]),
        detail={"from": row["pilot"], "to": to or row["offered_to"]},
    )  # fmt: skip
    return new
