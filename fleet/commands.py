"""Commands: instructions to a vehicle with a key, an issuer, a time to live and a recorded outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from fleet import audit, control, going_on, vehicles
from fleet.alarm_table import Words
from fleet.command_kinds import (
    KINDS,
    MOVES,
    STOPS,
    SpeedParams,
    by_rule,
    check_limits,
    check_params,
    check_vehicle,
    kind_of,
)
from fleet.db.database import Connection
from fleet.errors import BadRequest, Conflict, NotFound
from fleet.ids import new_id
from hardware.profiles import load_profile
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "commands.sql")

_A_STOP = {"hold": "a hold", "emergency_stop": "an emergency stop"}

TIME_TO_LIVE_S = 15.0
"""Wall seconds within which a command is sent, or a proposed one confirmed, or never."""

REMEMBERED = timedelta(days=1)
"""No mission lasts longer than this, and a command counts for its own mission only."""

MAX_KEY = 128


async def issue(
    conn: Connection,
    *,
    vehicle_id: str,
    kind: str,
    key: str,
    issuer: str,
    at: datetime,
    speed: float,
    params: Mapping[str, Any] | None = None,
    preview: Words | None = None,
) -> dict[str, Any]:
    """Record a command; the same key of the same issuer is the same command.

    What stops is pending at once, and withdraws what was not sent yet: whoever says stop means it for all that was
    said before. Kinds of two steps are proposed and wait for ``confirm``. ``speed`` is the clock's, since time to live
    is wall time and ``expires_at`` domain time. ``preview`` is what the issuer is told that it will do.

    What does not stop is given by the vehicle's controller or by a rule, whose issuer begins with ``RULE_PREFIX``.
    Raises ``BadRequest`` naming what is wrong with the kind, its parameters or the key, ``NotFound`` for the vehicle,
    ``Conflict`` naming who controls it instead.
    """
    row = kind_of(kind)
    check_key(key)
    vehicle = await vehicles.get(conn, vehicle_id)
    _check_vehicle(vehicle)
    check_vehicle(row, vehicle["kind"])
    given = check_params(row, params)
    if row.params is SpeedParams:
        # No other command needs the profile: a vehicle whose profile is missing is held all the same.
        check_limits(row, given, load_profile(vehicle["type_id"]))
    known = await _known(conn, issuer, key, (vehicle_id, kind, given))
    if known is not None:
        return known
    authority = None if row.stops or by_rule(issuer) else await control.require(conn, vehicle_id, issuer)
    values = {
        "command_id": new_id("c"),
        "idempotency_key": key,
        "vehicle_id": vehicle_id,
        "kind": kind,
        "params": Jsonb(given),
        "issuer": issuer,
        "issued_at": at,
        "state": "pending" if row.steps == 1 else "proposed",
        "expires_at": at + timedelta(seconds=TIME_TO_LIVE_S * speed),
        "control_epoch": authority,
        "preview_ja": preview.ja if preview else None,
        "preview_en": preview.en if preview else None,
    }
    await one_at_a_time(conn, vehicle_id)
    new = await (await conn.execute(_SQL["insert"], values)).fetchone()
    if new is None:
        # Given twice in the same moment.
        known = await _known(conn, issuer, key, (vehicle_id, kind, given))
        assert known is not None
        return known
    if row.stops:
        stop = {
            "vehicle_id": vehicle_id,
            "issued_at": at,
            "issuer": issuer,
            "stop": _A_STOP[kind],
            "stops": list(STOPS),
        }
        await conn.execute(_SQL["withdraw_others"], stop)
    detail = {"command_id": new["command_id"], "state": new["state"], **({"params": given} if given else {})}
    await audit.record(
        conn, at=at, actor=issuer, action=f"command.{kind}", subject=("vehicle", vehicle_id), detail=detail
    )
    return new


async def one_at_a_time(conn: Connection, vehicle_id: str) -> None:
    """Let nobody else give a vehicle a command until this transaction ends: what was read before it is still so."""
    await conn.execute(_SQL["one_at_a_time"], {"vehicle_id": vehicle_id})


async def _known(
    conn: Connection, issuer: str, key: str, same: tuple[str, str, dict[str, Any]]
) -> dict[str, Any] | None:
    """Return the command that a key was used for; raises ``Conflict`` when it is another than the one given now."""
    known = await (await conn.execute(_SQL["by_key"], {"issuer": issuer, "idempotency_key": key})).fetchone()
    if known is not None and (known["vehicle_id"], known["kind"], known["params"]) != same:
        raise Conflict(f"idempotency_key: {key!r} was used for another command")
    return known


async def _check_authority(conn: Connection, command: Mapping[str, Any]) -> None:
    """Raise ``Conflict`` where control has changed hands; of a change that is under way now the claim will know."""
    vehicle_id, given = command["vehicle_id"], command["control_epoch"]
    if given is not None and await control.require(conn, vehicle_id, command["issuer"]) != given:
        raise Conflict(f"control of {vehicle_id} has changed hands since {command['command_id']}; give it again")


async def _check_way(conn: Connection, command: Mapping[str, Any], *, at: datetime, speed: float) -> None:
    """Raise ``Conflict`` naming who is in the way of a drone that would go on after a hold; a rule has looked itself.

    It is looked at again when it is sent.
    """
    if command["kind"] != "resume" or by_rule(command["issuer"]):
        return
    near = await going_on.in_the_way(conn, command["vehicle_id"], at=at, speed=speed)
    if near:
        raise Conflict(f"{command['vehicle_id']} goes on holding: {', '.join(near)} would come too near")


def _check_vehicle(vehicle: Mapping[str, Any]) -> None:
    if vehicle["retired_at"] is not None:
        raise Conflict(f"vehicle {vehicle['vehicle_id']!r} is retired and is not commanded")


def check_key(key: str) -> None:
    """Raise ``BadRequest`` for an idempotency key that is none."""
    if not 1 <= len(key) <= MAX_KEY or not key.isprintable():
        raise BadRequest(f"idempotency_key: 1 to {MAX_KEY} printable characters are needed")


async def confirm(conn: Connection, command_id: str, *, actor: str, at: datetime, speed: float) -> dict[str, Any]:
    """Confirm a proposed command; again it does nothing.

    Raises ``Conflict`` when it is too late, when control has changed hands since, and naming who is in the way of a
    drone that would go on.
    """
    known = await get(conn, command_id)
    if known["issuer"] != actor:
        raise Conflict(f"command {command_id} was proposed by {known['issuer']}; propose it yourself")
    if known["state"] not in {"proposed", "expired"}:
        return known
    if known["state"] == "proposed" and known["expires_at"] > at:
        await _check_authority(conn, known)
        await _check_way(conn, known, at=at, speed=speed)
    values = {
        "command_id": command_id,
        "at": at,
        "expires_at": at + timedelta(seconds=TIME_TO_LIVE_S * speed),
    }
    # Not before: what looks at the way may wait for a launch, and no stop shall wait with it.
    await one_at_a_time(conn, known["vehicle_id"])
    row = await (await conn.execute(_SQL["confirm"], values)).fetchone()
    if row is None:
        why = known["outcome"] or "it was not confirmed in time"
        raise Conflict(f"command {command_id} has expired and nothing was sent ({why}). Give it again")
    _check_vehicle(await vehicles.get(conn, row["vehicle_id"]))
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
    conn: Connection, *, vehicle_id: str, epoch: int, at: datetime, kinds: Sequence[str] | None = None
) -> dict[str, Any] | None:
    """Take the next pending command of a vehicle, what stops first; it is marked sent before it is sent.

    ``kinds``: of these alone, else of all.

    What was given under another controller is not sent any more: it expires.
    """
    only = None if kinds is None else list(kinds)
    values = {"vehicle_id": vehicle_id, "epoch": epoch, "at": at, "kinds": only, "stops": list(STOPS)}
    row = await (await conn.execute(_SQL["claim"], values)).fetchone()
    if row is None:
        await conn.execute(_SQL["expire_outdated"], values)
    return row


async def waiting(conn: Connection, vehicle_ids: list[str]) -> list[str]:
    """Return those of the vehicles that have a command to be sent."""
    cursor = await conn.execute(_SQL["waiting"], {"vehicle_ids": vehicle_ids})
    return [row["vehicle_id"] for row in await cursor.fetchall()]


async def finish(conn: Connection, command_id: str, *, state: str, outcome: str, at: datetime) -> None:
    """Record the outcome of a sent command: ``done`` or ``failed``, and why."""
    values = {"command_id": command_id, "state": state, "outcome": outcome, "at": at}
    await conn.execute(_SQL["finish"], values)


async def sent_to(conn: Connection, command_id: str, site_id: str) -> None:
    """Record where a drone is sent, before it is: others keep clear of its way there."""
    await conn.execute(_SQL["sent_to"], {"command_id": command_id, "site_id": site_id})


async def abandon(conn: Connection, *, vehicle_id: str, at: datetime) -> None:
    """After a restart: commands that were sent and have no outcome have failed; they are never replayed."""
    await conn.execute(_SQL["abandon"], {"vehicle_id": vehicle_id, "at": at})


async def latest(conn: Connection, *, vehicle_id: str, since: datetime) -> dict[str, Any] | None:
    """Return the newest command sent to a vehicle since a moment: the likely cause of what it does."""
    cursor = await conn.execute(_SQL["latest_of_vehicle"], {"vehicle_id": vehicle_id, "since": since})
    return await cursor.fetchone()


async def newest_move(conn: Connection, *, vehicle_id: str, since: datetime) -> dict[str, Any] | None:
    """Return the newest command sent to a vehicle since a moment that has changed where it goes, if it has obeyed: its
    ``state`` is ``sent`` while nobody knows, else ``done``."""
    values = {"vehicle_id": vehicle_id, "since": since, "moves": list(MOVES)}
    return await (await conn.execute(_SQL["newest_move"], values)).fetchone()


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return a command with what its kind does, in both languages, beside what it was said to do to this vehicle."""
    kind = KINDS[row["kind"]]
    return {**row, "description_ja": kind.ja, "description_en": kind.en}
