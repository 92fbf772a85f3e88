"""One-time codes by which recipients unlock a robot.

A code belongs to one order on one mission and ends with it. It is drawn when it is shown, once, and only its salted
hash is kept. Entered rightly while the robot stands at the drop-off it gives the command ``unlock``.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fleet import audit, commands, users
from fleet.db.database import Connection, Database
from fleet.errors import BadRequest, Conflict
from hardware.link import WaitFor
from telemetry.clock import Clock
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "deliveries.sql")
_MISSIONS = statements("fleet.db.sql", "missions.sql")
_ORDERS = statements("fleet.db.sql", "orders.sql")

DIGITS = 6
MAX_TRIES = 5
LOCKED_FOR = timedelta(minutes=10)
"""After so many wrong tries nothing is taken for so much domain time: who guesses has 1 chance in 33,000 an hour."""
ISSUER = "rule: unlock code"


@dataclass(frozen=True, slots=True)
class Entered:
    """What became of a code: the command that it gave, or a ``refusal`` and why."""

    command: dict[str, Any] | None
    refusal: str | None = None
    words: str = ""


async def prepare(conn: Connection, mission: Mapping[str, Any], *, at: datetime) -> None:
    """Make room for the codes of the orders that a mission hands over under lock; again it does nothing."""
    for step in mission["trip"]["mission"]["steps"]:
        for order_id in step["order_ids"] if step.get("unlock") else ():
            values = {"mission_id": mission["mission_id"], "order_id": order_id, "at": at}
            await conn.execute(_SQL["prepare_code"], values)


async def draw(database: Database, order_id: str, *, at: datetime, actor: str, anew: bool = False) -> str:
    """Return the code of an order, in digits, for the only time; ``anew`` makes the former one void.

    Raises ``Conflict`` when the order asks for none, it has been shown before (unless ``anew``) or used.
    """
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"
    # It takes a fifth of a second on purpose, and no row is kept waiting meanwhile.
    code_hash = await asyncio.to_thread(users.hash_password, code)
    async with database.transaction() as conn:
        row = await _locked(conn, order_id)
        if row["used_at"] is not None:
            raise Conflict(f"the code of order {row['external_ref']} has been used")
        if row["code_hash"] is not None and not anew:
            raise Conflict(f"the code of order {row['external_ref']} has been shown; a dispatcher can make another one")
        values = {"mission_id": row["mission_id"], "order_id": order_id, "code_hash": code_hash}
        await conn.execute(_SQL["draw_code"], {**values, "at": at, "actor": actor})
        await audit.record(conn, at=at, actor=actor, action="unlock.draw", subject=("order", order_id))
    return code


async def state(conn: Connection, order_id: str) -> dict[str, Any] | None:
    """Return drawn_at, used_at, locked_until and wrong_tries of an order's code now; ``None`` when it asks for none."""
    row = await (await conn.execute(_SQL["lock_code"], {"order_id": order_id})).fetchone()
    return row and {name: row[name] for name in ("drawn_at", "used_at", "locked_until", "wrong_tries")}


async def enter(
    database: Database, order_id: str, code: str, *, live: Mapping[str, Any] | None, clock: Clock
) -> Entered:
    """Take a code. ``live`` is the newest snapshot of the vehicle that carries the order (``fleet.live``).

    Refusals are ``not_here`` (the robot does not stand at this drop-off: no try is counted), ``not_drawn``, ``locked``,
    ``wrong`` and ``used``. Raises ``BadRequest`` for what is no code, ``Conflict`` for an order that asks for none.
    """
    if not (len(code) == DIGITS and code.isascii() and code.isdigit()):
        raise BadRequest(f"code: {DIGITS} digits are needed")
    async with database.transaction() as conn:
        row = await _locked(conn, order_id)
    refused = _not_here(row, live) or await _spent(database, row) or _locked_out(row, clock.now())
    if refused is not None:
        return refused
    right = await asyncio.to_thread(users.password_matches, code, row["code_hash"])
    async with database.transaction() as conn:
        now = await _locked(conn, order_id)
        # Whoever tries many at once is not let through by the pause between two looks.
        refused = _locked_out(now, clock.now())
        if now["used_at"] != row["used_at"]:
            return Entered(None, "used", "the code has been used already")
        if now["code_hash"] != row["code_hash"] or refused is not None:
            return refused or Entered(None, "wrong", "the code was made anew meanwhile; enter the new one")
        return await (_right(conn, now, clock) if right else _wrong(conn, now, at=clock.now()))


async def _right(conn: Connection, row: Mapping[str, Any], clock: Clock) -> Entered:
    at = clock.now()
    tries = f"{row['mission_id']}/{row['step']}/{at.timestamp():.3f}"
    given: dict[str, Any] = {"at": at, "speed": clock.speed}
    command = await commands.issue(
        conn,
        vehicle_id=row["vehicle_id"],
        kind="unlock",
        key=f"unlock/{tries}",
        issuer=ISSUER,
        params={"step": row["step"]},
        **given,
    )
    command = await commands.confirm(conn, command["command_id"], actor=ISSUER, **given)
    values = {"mission_id": row["mission_id"], "order_id": row["order_id"], "command_id": command["command_id"]}
    await conn.execute(_SQL["use_code"], {**values, "at": at})
    await _note(conn, row, f"the code of order {row['external_ref']} was entered; unlocking step {row['step']}", at=at)
    return Entered(command)


async def _wrong(conn: Connection, row: Mapping[str, Any], *, at: datetime) -> Entered:
    tries = row["wrong_tries"] + 1
    locked = tries >= MAX_TRIES
    values = {"mission_id": row["mission_id"], "order_id": row["order_id"]}
    values |= {"wrong_tries": 0 if locked else tries, "locked_until": at + LOCKED_FOR if locked else None}
    await conn.execute(_SQL["wrong_try"], values)
    if locked:
        minutes = LOCKED_FOR.total_seconds() / 60
        words = f"{MAX_TRIES} wrong codes for order {row['external_ref']}: none is taken for {minutes:.0f} minutes"
        await _note(conn, row, words, at=at)
        subject = ("order", str(row["order_id"]))
        await audit.record(conn, at=at, actor="recipient", action="unlock.locked", subject=subject)
        return Entered(None, "locked", words)
    left = MAX_TRIES - tries
    return Entered(None, "wrong", f"the code is wrong; {left} tries are left")


def _not_here(row: Mapping[str, Any], live: Mapping[str, Any] | None) -> Entered | None:
    waits = (live or {}).get("waits") or {}
    here = waits.get("what") == WaitFor.UNLOCK and waits.get("step") == row["step"]
    if live is not None and live.get("connected") and live.get("mission_id") == row["mission_id"] and here:
        return None
    return Entered(None, "not_here", "the robot with this order does not stand at the drop-off yet")


async def _spent(database: Database, row: Mapping[str, Any]) -> Entered | None:
    if row["code_hash"] is None:
        return Entered(None, "not_drawn", "no code has been made for this order yet")
    if row["used_at"] is None:
        return None
    async with database.transaction() as conn:
        command = await commands.get(conn, row["command_id"])
    if command["state"] in {"failed", "expired"}:
        # It was right, and the robot has not opened: it may be entered once more.
        return None
    return Entered(None, "used", "the code has been used already")


def _locked_out(row: Mapping[str, Any], at: datetime) -> Entered | None:
    if row["locked_until"] is None or at >= row["locked_until"]:
        return None
    minutes = (row["locked_until"] - at).total_seconds() / 60
    return Entered(None, "locked", f"too many wrong codes; try again in {minutes:.0f} minutes, or telephone")


async def _note(conn: Connection, row: Mapping[str, Any], words: str, *, at: datetime) -> None:
    values = {"words": words, "at": at}
    await conn.execute(_MISSIONS["note"], {"mission_id": row["mission_id"], **values})
    await conn.execute(_ORDERS["note"], {"order_id": row["order_id"], **values})


async def _locked(conn: Connection, order_id: str) -> dict[str, Any]:
    row = await (await conn.execute(_SQL["lock_code"], {"order_id": order_id})).fetchone()
    if row is None:
        raise Conflict("this order asks for no code now: no robot with a locked box carries it")
    return row
