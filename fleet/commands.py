"""Commands: instructions to a vehicle with a key, an issuer, a time to live and a recorded outcome."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from fleet import audit, vehicles
from fleet.db.database import Connection
from fleet.errors import BadRequest, Conflict, NotFound
from fleet.ids import new_id
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "commands.sql")

TIME_TO_LIVE_S = 15.0
"""Wall seconds within which a command is sent, or a proposed one confirmed, or never."""

MAX_KEY = 128
ONE_STEP = frozenset({"hold"})
KINDS = {
    "hold": (
        "その場で一時停止します（ドローンはホバリング、ロボットは停車）。",
        "Stops where it is: a drone hovers, a robot stands.",
    ),
    "resume": ("運航を再開します。", "Goes on with its mission."),
    "return": (
        "配達をやめて拠点へ帰還します。ドローンは予定の経路を進み、途中の届け先にも下りますが、荷物は放しません。",
        "Delivers no more and comes home. A drone follows its path, down at the drops ahead too, and releases nothing.",
    ),
    "land": (
        "その場に着陸します。下に人や障害物がないことを確かめてください。",
        "Lands where it is. Make sure that nobody and nothing is below.",
    ),
}


async def issue(
    conn: Connection, *, vehicle_id: str, kind: str, key: str, issuer: str, at: datetime, speed: float
) -> dict[str, Any]:
    """Record a command; the same key of the same issuer is the same command.

    Hold is pending at once, and withdraws what was not sent yet: whoever says stop means it for all that was
    said before. Anything that makes a vehicle go is proposed and waits for ``confirm``. ``speed`` is the
    clock's, since time to live is wall time and ``expires_at`` domain time.
    """
    if kind not in KINDS:
        raise BadRequest(f"kind: {kind!r} is not a command; known: {', '.join(KINDS)}")
    check_key(key)
    vehicle = await vehicles.get(conn, vehicle_id)
    if vehicle["retired_at"] is not None:
        raise Conflict(f"vehicle {vehicle_id!r} is retired and is not commanded")
    if kind == "land" and vehicle["kind"] != "drone":
        raise BadRequest("kind: only a drone can land")
    values = {
        "command_id": new_id("c"),
        "idempotency_key": key,
        "vehicle_id": vehicle_id,
        "kind": kind,
        "issuer": issuer,
        "issued_at": at,
        "state": "pending" if kind in ONE_STEP else "proposed",
        "expires_at": at + timedelta(seconds=TIME_TO_LIVE_S * speed),
    }
    row = await (await conn.execute(_SQL["insert"], values)).fetchone()
    if row is None:
        known = await (await conn.execute(_SQL["by_key"], values)).fetchone()
        if known is None or (known["vehicle_id"], known["kind"]) != (vehicle_id, kind):
            raise Conflict(f"idempotency_key: {key!r} was used for another command")
        return known
    if kind == "hold":
        await conn.execute(_SQL["withdraw_others"], values)
    await audit.record(
        conn, at=at, actor=issuer, action=f"command.{kind}", subject=("vehicle", vehicle_id),
        detail={"command_id": row["command_id"], "state": row["state"]},
    )  # fmt: skip
    return row


def check_key(key: str) -> None:
    """Raise ``BadRequest`` for an idempotency key that is none."""
    if not 1 <= len(key) <= MAX_KEY or not key.isprintable():
        raise BadRequest(f"idempotency_key: 1 to {MAX_KEY} printable characters are needed")


async def confirm(conn: Connection, command_id: str, *, actor: str, at: datetime, speed: float) -> dict[str, Any]:
    """Confirm a proposed command; again it does nothing. Raises ``Conflict`` when it is too late."""
    known = await get(conn, command_id)
    if known["issuer"] != actor:
        raise Conflict(f"command {command_id} was proposed by {known['issuer']}; propose it yourself")
    if known["state"] not in {"proposed", "expired"}:
        return known
    values = {
        "command_id": command_id,
        "at": at,
        "expires_at": at + timedelta(seconds=TIME_TO_LIVE_S * speed),
    }
    row = await (await conn.execute(_SQL["confirm"], values)).fetchone()
    if row is None:
        why = known["outcome"] or "it was not confirmed in time"
        raise Conflict(f"command {command_id} has expired and nothing was sent ({why}). Give it again")
    if (await vehicles.get(conn, row["vehicle_id"]))["retired_at"] is not None:
        raise Conflict(f"vehicle {row['vehicle_id']!r} is retired and is not commanded")
    await audit.record(
        conn, at=at, actor=actor, action="command.confirm", subject=("vehicle", row["vehicle_id"]),
        detail={"command_id": command_id},
    )  # fmt: skip
    return row


async def get(conn: Connection, command_id: str) -> dict[str, Any]:
    """Return one command; raises ``NotFound``."""
    row = await (await conn.execute(_SQL["get"], {"command_id": command_id})).fetchone()
    if row is None:
        raise NotFound(f"there is no command {command_id!r}")
    return row


async def listing(conn: Connection, *, vehicle_id: str | None, limit: int = 100) -> list[dict[str, Any]]:
    """Return the newest commands, of one vehicle or of all."""
    cursor = await conn.execute(_SQL["list_all"], {"vehicle_id": vehicle_id, "limit": limit})
    return await cursor.fetchall()


async def expire(conn: Connection, *, at: datetime) -> list[str]:
    """Expire what was not confirmed or sent in time; return the kind of each."""
    return [row["kind"] for row in await (await conn.execute(_SQL["expire"], {"at": at})).fetchall()]


async def claim(
    conn: Connection, *, vehicle_id: str, epoch: int, at: datetime, only_holds: bool = False
) -> dict[str, Any] | None:
    """Take the next pending command of a vehicle, hold first; it is marked sent before it is sent."""
    values = {"vehicle_id": vehicle_id, "epoch": epoch, "at": at, "only_holds": only_holds}
    cursor = await conn.execute(_SQL["claim"], values)
    return await cursor.fetchone()


async def finish(conn: Connection, command_id: str, *, state: str, outcome: str, at: datetime) -> None:
    """Record the outcome of a sent command: ``done`` or ``failed``, and why."""
    values = {"command_id": command_id, "state": state, "outcome": outcome, "at": at}
    await conn.execute(_SQL["finish"], values)


async def abandon(conn: Connection, *, vehicle_id: str, at: datetime) -> None:
    """After a restart: commands that were sent and have no outcome have failed; they are never replayed."""
    await conn.execute(_SQL["abandon"], {"vehicle_id": vehicle_id, "at": at})


async def latest(conn: Connection, *, vehicle_id: str, since: datetime) -> dict[str, Any] | None:
    """Return the newest command sent to a vehicle since a moment: the likely cause of what it does."""
    cursor = await conn.execute(_SQL["latest_of_vehicle"], {"vehicle_id": vehicle_id, "since": since})
    return await cursor.fetchone()


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return a command with what it will do, in both languages."""
    description_ja, description_en = KINDS[row["kind"]]
    return {**row, "description_ja": description_ja, "description_en": description_en}
