"""Duty: which pilots are at work, and whether they give signs of life.

A pilot is on duty from starting it, or from accepting a launch or a vehicle, until ending it. Who gives no sign of life
for ``SILENT_S`` is silent: others may take what this pilot controls, and are told to (``fleet.duty_watch``).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fleet import audit
from fleet.db.database import Connection
from fleet.errors import Conflict
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "duty.sql")
_CONTROL = statements("fleet.db.sql", "control.sql")

SILENT_S = 60.0
"""Wall seconds without a sign of life after which a pilot is silent: whether somebody is there does not depend on how
fast a simulation runs."""


async def begin(conn: Connection, pilot: str, *, at: datetime) -> dict[str, Any]:
    """Begin a pilot's duty; for one who is on duty it is a sign of life."""
    row = await (await conn.execute(_SQL["begin"], {"pilot": pilot, "at": at})).fetchone()
    if row is None:
        known = await beat(conn, pilot)
        # Ended in the same moment by another window of the same pilot: then begun anew.
        return known if known is not None else await begin(conn, pilot, at=at)
    await audit.record(conn, at=at, actor=pilot, action="duty.start", subject=("user", pilot))
    return row


async def beat(conn: Connection, pilot: str) -> dict[str, Any] | None:
    """Note a sign of life; ``None`` for somebody who is not on duty."""
    return await (await conn.execute(_SQL["beat"], {"pilot": pilot})).fetchone()


async def hear(conn: Connection, pilot: str) -> None:
    """Note a sign of life beside a request, which never waits for it."""
    await conn.execute(_SQL["hear"], {"pilot": pilot})


async def end(conn: Connection, pilot: str, *, at: datetime) -> dict[str, Any] | None:
    """End a pilot's duty; ``None`` for somebody who is not on duty. What this pilot controls and rests has nobody then.

    Raises ``Conflict`` naming the vehicles that move, or will set out, in this pilot's hands: they are handed over
    first.
    """
    row = await (await conn.execute(_SQL["lock"], {"pilot": pilot})).fetchone()
    if row is None:
        return None
    values = {"pilot": pilot, "vehicle_id": None, "at": at}
    tended = await (await conn.execute(_CONTROL["tended"], values)).fetchall()
    if tended:
        names = ", ".join(dict.fromkeys(one["vehicle_id"] for one in tended))
        raise Conflict(f"{pilot} controls {names}, which move or are about to: hand them over first")
    freed = await (await conn.execute(_CONTROL["free_all"], values)).fetchall()
    ids = [one["vehicle_id"] for one in freed]
    why = f"outdated: {pilot} went off duty before it was sent"
    await conn.execute(_CONTROL["expire_outdated"], {"vehicle_ids": ids, "at": at, "why": why})
    await conn.execute(_CONTROL["withdraw_offers_to"], values)
    ended = await (await conn.execute(_SQL["end"], {"duty_id": row["duty_id"], "at": at})).fetchone()
    await audit.record(conn, at=at, actor=pilot, action="duty.end", subject=("user", pilot), detail={"vehicles": ids})
    return ended


async def present(conn: Connection, pilot: str) -> bool:
    """Whether a pilot is on duty and has given a sign of life lately."""
    values = {"pilot": pilot, "silent_s": SILENT_S}
    return await (await conn.execute(_SQL["present"], values)).fetchone() is not None


async def listing(conn: Connection) -> list[dict[str, Any]]:
    """Return who is on duty: user_id, display_name, since, quiet_s (wall seconds), silent, vehicles."""
    return await (await conn.execute(_SQL["listing"], {"silent_s": SILENT_S})).fetchall()


async def silent(conn: Connection) -> list[dict[str, Any]]:
    """Return the silent pilots who control vehicles that move: pilot, display_name, quiet_s, vehicles."""
    return await (await conn.execute(_SQL["silent"], {"silent_s": SILENT_S})).fetchall()
