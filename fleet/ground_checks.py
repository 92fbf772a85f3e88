"""The ground crew's checks before a mission: a table of them, what has been said, and what is missing for a launch.

The rows are in ``ground_checks.toml`` beside this file. The newest word on each counts; what has failed holds the
launch until somebody says that it is in order.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any

from fleet import audit, flight_log, vehicles
from fleet.db.database import Connection
from fleet.errors import BadRequest, Conflict
from fleet.flight_log import By
from fleet.log_forms import JAPAN
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "ground_checks.sql")

BEFORE_LAUNCH = frozenset({"planned", "loaded", "accepted"})
"""States of a mission in which it can be checked."""
DONE, MISSING, FAILED, OLD = "done", "missing", "failed", "old"


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the table. ``valid``: for how long it is good, None for the mission. ``inspection``: a daily
    inspection of the flight log answers it. ``defect``: failed it goes into the flight log."""

    name: str
    kinds: frozenset[str]
    ja: str
    en: str
    valid: timedelta | None = None
    defect: bool = False
    inspection: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """How a check stands: ``state`` is done, missing, failed or old; ``until`` is when it will be old.

    ``entry_id`` is the line of the flight log that answers it (an inspection) or that it led to (a defect).
    """

    check: Check
    state: str
    ok: bool | None = None
    note: str | None = None
    checked_at: datetime | None = None
    checked_by: str | None = None
    until: datetime | None = None
    entry_id: str | None = None


@cache
def table() -> Mapping[str, Check]:
    """Return all checks by name, in their sequence."""
    text = (resources.files("fleet") / "ground_checks.toml").read_text(encoding="utf-8")
    return {name: _check(name, row) for name, row in tomllib.loads(text).items()}


def _check(name: str, row: Mapping[str, Any]) -> Check:
    valid = timedelta(minutes=row["valid_min"]) if "valid_min" in row else None
    defect, inspection = row.get("defect", False), row.get("inspection", False)
    return Check(name, frozenset(row["kinds"]), row["ja"], row["en"], valid, defect, inspection)


def of_kind(kind: str) -> list[Check]:
    """Return the checks of a kind of vehicle, in their sequence."""
    return [check for check in table().values() if kind in check.kinds]


async def say(
    conn: Connection,
    mission: Mapping[str, Any],
    name: str,
    *,
    ok: bool,
    at: datetime,
    actor: str,
    note: str | None = None,
    audited: bool = True,
) -> None:
    """Ground crew: a check is in order, or is not (``note`` says what is wrong). ``audited`` is one that the caller
    does not audit with what it does itself; what is not in order always is.

    Raises ``BadRequest`` for a check that the vehicle has not, ``Conflict`` when the mission has set out or is over.
    """
    mission_id = mission["mission_id"]
    vehicle = await vehicles.get(conn, mission["vehicle_id"])
    checks = {check.name: check for check in of_kind(vehicle["kind"])}
    if name not in checks:
        raise BadRequest(f"check: a {vehicle['kind']} has {', '.join(checks)}, not {name!a:.80}")
    if mission["state"] not in BEFORE_LAUNCH:
        raise Conflict(f"mission {mission_id} is {mission['state']}; its vehicle is checked before it sets out")
    check, entry_id = checks[name], None
    if not ok and check.defect:
        text = f"{check.ja}: {note or '否'} ({check.en}: {note or 'no'})"
        content = {"at": at.isoformat(), "text": text, "unairworthy": False}
        by = By(actor, at, "found by a check before a mission")
        vehicle_id = mission["vehicle_id"]
        entry_id = await flight_log.add(conn, vehicle_id=vehicle_id, kind="defect", content=content, by=by)
    values = {"mission_id": mission_id, "name": name, "ok": ok, "note": note}
    await conn.execute(_SQL["insert"], {**values, "at": at, "actor": actor, "entry_id": entry_id})
    if audited or not ok:
        subject, detail = ("mission", mission_id), {"check": name, "ok": ok, "note": note}
        await audit.record(conn, at=at, actor=actor, action="mission.check", subject=subject, detail=detail)


async def standing(conn: Connection, mission: Mapping[str, Any], *, at: datetime) -> list[Found]:
    """Return how each check of a mission stands at a moment."""
    vehicle = await vehicles.get(conn, mission["vehicle_id"])
    rows = await (await conn.execute(_SQL["newest"], {"mission_id": mission["mission_id"]})).fetchall()
    said = {row["name"]: row for row in rows}
    found = []
    for check in of_kind(vehicle["kind"]):
        one = _of_word(check, said.get(check.name), at)
        if check.inspection and one.state == MISSING:
            one = await _of_inspection(conn, check, vehicle["vehicle_id"], at)
        found.append(one)
    return found


async def missing(conn: Connection, mission: Mapping[str, Any], *, at: datetime) -> list[str]:
    """Return in words which checks keep a mission from setting out."""
    return [_words(one, at) for one in await standing(conn, mission, at=at) if one.state != DONE]


def _words(one: Found, at: datetime) -> str:
    what = f"check {one.check.name!r} ({one.check.en})"
    if one.state == FAILED:
        return f"{what} has failed{f': {one.note}' if one.note else ''}; put it right and check again"
    if one.state == OLD and one.checked_at is not None:
        return f"{what} is {(at - one.checked_at).total_seconds() / 60:.0f} minutes old; look again"
    return f"{what} is missing"


def _of_word(check: Check, row: Mapping[str, Any] | None, at: datetime) -> Found:
    if row is None:
        return Found(check, MISSING)
    until = row["checked_at"] + check.valid if check.valid else None
    state = FAILED if not row["ok"] else OLD if until is not None and at > until else DONE
    told = {name: row[name] for name in ("ok", "note", "checked_at", "checked_by", "entry_id")}
    return Found(check, state, until=until, **told)


async def _of_inspection(conn: Connection, check: Check, vehicle_id: str, at: datetime) -> Found:
    """Look into the flight log for an inspection of this day (Japan's) that found nothing, or nothing that is left."""
    since = at.astimezone(JAPAN).replace(hour=0, minute=0, second=0, microsecond=0)
    values = {"vehicle_id": vehicle_id, "since": since, "at": at}
    row = await (await conn.execute(_SQL["inspection"], values)).fetchone()
    if row is None:
        return Found(check, MISSING)
    defects = [
        defect["content"]["text"]
        for defect in await flight_log.open_defects(conn, vehicle_id)
        if defect["content"].get("inspection_id") == row["entry_id"]
    ]
    state, note = (FAILED, "; ".join(defects)) if defects else (DONE, None)
    inspector = row["content"].get("inspector") or row["actor"]
    return Found(check, state, not defects, note, row["began_at"], inspector, None, row["entry_id"])
