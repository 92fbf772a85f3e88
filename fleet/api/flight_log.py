"""The flight log over HTTP: read, printed, completed by people; and the samples of one flight."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import BaseModel

from fleet import flight_log, log_page, log_view, sample_files, vehicles
from fleet.api.answers import as_json
from fleet.api.context import Context, Ctx, Signed
from fleet.api.fields import Moment
from fleet.api.log_fields import (
    CORRECTIONS,
    ActionIn,
    AircraftIn,
    DefectIn,
    FlightIn,
    InspectionIn,
    MaintenanceIn,
    PilotIn,
    RevisionIn,
    SignIn,
)
from fleet.db.database import Connection
from fleet.errors import BadRequest, Conflict, Forbidden
from fleet.flight_log import By
from fleet.log_forms import INSPECTION_ITEMS, RESULTS
from fleet.users import GRANTS, User

router = APIRouter(prefix="/api")

Lang = Literal["ja", "en"]


def _take_one_of(user: User, *roles: str) -> None:
    if not GRANTS[user.role] & set(roles):
        raise Forbidden(f"{user.display_name} is signed in as {user.role}; this takes a {' or '.join(roles)}")


def _plain(body: BaseModel, *, only_given: bool = False) -> dict[str, Any]:
    return body.model_dump(mode="json", exclude_unset=only_given, exclude={"revision"})


async def _log(ctx: Context, vehicle_id: str, start: datetime | None, end: datetime | None) -> dict[str, Any]:
    period = (start or flight_log.ALWAYS[0], end or flight_log.ALWAYS[1])
    if period[1] <= period[0]:
        raise BadRequest("end: must be after start")
    async with ctx.database.transaction() as conn:
        return await log_view.read(conn, vehicle_id, start=period[0], end=period[1])


@router.get("/vehicles/{vehicle_id}/log")
async def read(
    vehicle_id: str, ctx: Ctx, user: Signed, start: Moment | None = None, end: Moment | None = None
) -> Response:
    """Return a vehicle's log."""
    user.require("viewer")
    return await as_json(await _log(ctx, vehicle_id, start, end))


@router.get("/vehicles/{vehicle_id}/log.csv")
async def as_csv(
    vehicle_id: str,
    ctx: Ctx,
    user: Signed,
    part: Literal["flight", "operation", "defect", "inspection", "maintenance"] | None = None,
    lang: Lang | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
) -> Response:
    """Return one form of a log as CSV, the flights (a robot's drives) when none is named."""
    user.require("viewer")
    log = await _log(ctx, vehicle_id, start, end)
    kind: str = part or next(iter(log["parts"]))
    if kind not in log["parts"]:
        raise BadRequest(f"part: the log of a {log['vehicle']['kind']} has {', '.join(log['parts'])}")
    text = await asyncio.to_thread(log_view.csv, log, kind, lang)
    return Response(text, headers=_as_file(f"{vehicle_id}-{kind}.csv"), media_type=_CSV)


@router.get("/vehicles/{vehicle_id}/log.html")
async def as_page(
    vehicle_id: str, ctx: Ctx, user: Signed, lang: Lang = "ja", start: Moment | None = None, end: Moment | None = None
) -> HTMLResponse:
    """Return a log as a page to be printed."""
    user.require("viewer")
    log = await _log(ctx, vehicle_id, start, end)
    period = urlencode({name: at.isoformat() for name, at in (("start", start), ("end", end)) if at is not None})
    path = f"log.html?{period}" if period else "log.html"
    return HTMLResponse(await asyncio.to_thread(log_page.render, log, lang=lang, made_at=ctx.clock.now(), path=path))


@router.get("/vehicles/{vehicle_id}/particulars")
async def aircraft(vehicle_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return what heads a vehicle's log, as it was given."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        await vehicles.get(conn, vehicle_id)
        kept = await flight_log.particulars(conn, "aircraft", vehicle_id)
    hours = {name: kept.pop(f"{name}_s", None) for name in ("hours_brought", "hours_at_certification")}
    return {**kept, **{name: None if seconds is None else seconds / 3600 for name, seconds in hours.items()}}


@router.put("/vehicles/{vehicle_id}/particulars", status_code=204)
async def put_aircraft(vehicle_id: str, body: AircraftIn, ctx: Ctx, user: Signed) -> None:
    """Keep what heads a vehicle's log."""
    user.require("dispatcher")
    content = _plain(body)
    for name in ("hours_brought", "hours_at_certification"):
        hours = content.pop(name)
        content[f"{name}_s"] = None if hours is None else round(hours * 3600, 3)
    async with ctx.database.transaction() as conn:
        await flight_log.put_particulars(conn, "aircraft", vehicle_id, content, at=ctx.clock.now(), actor=user.user_id)


@router.get("/pilots/{user_id}/particulars")
async def pilot(user_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return a pilot's name and licence as the log has them."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        return await flight_log.particulars(conn, "pilot", user_id)


@router.put("/pilots/{user_id}/particulars", status_code=204)
async def put_pilot(user_id: str, body: PilotIn, ctx: Ctx, user: Signed) -> None:
    """Keep a pilot's name and licence."""
    user.require("dispatcher")
    async with ctx.database.transaction() as conn:
        await flight_log.put_particulars(conn, "pilot", user_id, _plain(body), at=ctx.clock.now(), actor=user.user_id)


async def _add(ctx: Context, user: User, vehicle_id: str, kind: str, content: dict[str, Any]) -> dict[str, Any]:
    """Add a line and what follows from it, in one transaction; return the line."""
    now = ctx.clock.now()
    if kind != "flight":
        content["at"] = content.get("at") or now.isoformat()
    async with ctx.database.transaction() as conn:
        vehicle = await vehicles.get(conn, vehicle_id)
        _check(kind, vehicle["kind"], content)
        await _known_pilot(conn, content)
        _not_ahead(content, now)
        if kind == "inspection":
            content["inspector"] = content["inspector"] or user.display_name
        if kind == "maintenance":
            content["engineer"] = content["engineer"] or user.display_name
        by = By(user.user_id, now, "written")
        entry_id = await flight_log.add(conn, vehicle_id=vehicle_id, kind=kind, content=content, by=by)
        assert entry_id is not None
        for name, item in content.get("items", {}).items():
            if item["result"] == "defect":
                text = f"{INSPECTION_ITEMS[vehicle['kind']][name][0].ja}: {item['remark'] or '異常'}"
                defect = {"at": content["at"], "text": text, "unairworthy": False, "inspection_id": entry_id}
                await flight_log.add(conn, vehicle_id=vehicle_id, kind="defect", content=defect, by=by)
        return await log_view.line(conn, entry_id)


def _check(kind: str, vehicle_kind: str, content: dict[str, Any]) -> None:
    """Raise ``BadRequest`` for what the form of this kind of vehicle cannot have."""
    if kind == "flight" and vehicle_kind != "drone":
        raise BadRequest("vehicle_id: only a drone flies; a robot's drives are written by the service")
    if kind == "inspection":
        wanted = INSPECTION_ITEMS[vehicle_kind]
        if set(content["items"]) != set(wanted):
            raise BadRequest(f"items: all of {', '.join(wanted)} are needed, each with its result, and no others")


async def _known_pilot(conn: Connection, content: dict[str, Any]) -> None:
    pilot_id = content.get("pilot_id")
    if pilot_id and not await flight_log.pilots(conn, [pilot_id]):
        raise BadRequest("pilot_id: there is no such user; write pilot_name for somebody who is none")


def _not_ahead(content: dict[str, Any], now: datetime) -> None:
    for name in ("at", "takeoff_at", "landing_at", "action_at"):
        if content.get(name) and flight_log.moment(name, content[name]) > now + timedelta(minutes=5):
            raise BadRequest(f"{name}: lies in the future")


@router.post("/vehicles/{vehicle_id}/flights", status_code=201)
async def add_flight(vehicle_id: str, body: FlightIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Write a flight down that the service did not see, such as one by hand."""
    user.require("pilot")
    content = {"pilot_id": user.user_id} | {k: v for k, v in _plain(body).items() if v is not None}
    return await _add(ctx, user, vehicle_id, "flight", content)


@router.post("/vehicles/{vehicle_id}/inspections", status_code=201)
async def add_inspection(vehicle_id: str, body: InspectionIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Write a daily inspection down."""
    _take_one_of(user, "ground_crew", "pilot")
    return await _add(ctx, user, vehicle_id, "inspection", _plain(body))


@router.post("/vehicles/{vehicle_id}/maintenance", status_code=201)
async def add_maintenance(vehicle_id: str, body: MaintenanceIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Write work on a vehicle down."""
    _take_one_of(user, "ground_crew", "pilot")
    return await _add(ctx, user, vehicle_id, "maintenance", _plain(body))


@router.post("/vehicles/{vehicle_id}/defects", status_code=201)
async def add_defect(vehicle_id: str, body: DefectIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Write a defect down. Until it is put right the log warns of it, and an unairworthy vehicle does not set out."""
    _take_one_of(user, "ground_crew", "pilot")
    return await _add(ctx, user, vehicle_id, "defect", _plain(body))


@router.post("/log-entries/{entry_id}/action")
async def put_right(entry_id: str, body: ActionIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Say how a defect was put right."""
    _take_one_of(user, "ground_crew", "pilot")
    now = ctx.clock.now()
    done_at = (body.at or now).isoformat()
    changes = {"action_at": done_at, "action": body.action, "confirmer": body.confirmer or user.display_name}
    async with ctx.database.transaction() as conn:
        row = await flight_log.get(conn, entry_id)
        if row["kind"] != "defect":
            raise Conflict(f"log entry {entry_id} is no defect, but a record of the kind {row['kind']}")
        _not_ahead(changes, now)
        if flight_log.moment("at", done_at) < row["began_at"]:
            raise BadRequest("at: must not be before the defect was found")
        by = By(user.user_id, now, "put right")
        await flight_log.revise(conn, entry_id, changes, revision=body.revision, by=by)
        return await log_view.line(conn, entry_id)


@router.get("/log-entries/{entry_id}")
async def entry(entry_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return a line with all that it ever said."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        return await log_view.line(conn, entry_id)


@router.patch("/log-entries/{entry_id}")
async def revise(entry_id: str, body: RevisionIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Correct or complete a line; the former words stay readable."""
    _take_one_of(user, "ground_crew", "dispatcher")
    now = ctx.clock.now()
    async with ctx.database.transaction() as conn:
        row = await flight_log.get(conn, entry_id)
        _take_one_of(
            user, *(("dispatcher",) if row["kind"] in ("flight", "operation") else ("ground_crew", "dispatcher"))
        )
        vehicle = await vehicles.get(conn, row["vehicle_id"])
        changes = _changes(row, body.changes)
        _check(row["kind"], vehicle["kind"], {**row["content"], **changes})
        await _known_pilot(conn, changes)
        _not_ahead(changes, now)
        by = By(user.user_id, now, body.reason)
        await flight_log.revise(conn, entry_id, changes, revision=body.revision, by=by)
        return await log_view.line(conn, entry_id)


def _changes(row: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return corrections as plain JSON, checked as the form they belong to; raises ``BadRequest`` naming the field."""
    form = CORRECTIONS[row["kind"]]
    unknown = sorted(set(given) - set(form.model_fields))
    if unknown or not given:
        what = f", not {unknown[0]!a:.80}" if unknown else ""
        raise BadRequest(f"changes: may hold {', '.join(form.model_fields)}{what}")
    known = {name: value for name, value in row["content"].items() if name in form.model_fields}
    try:
        read = form.model_validate({**known, **given})
    except ValueError as error:
        first = error.errors()[0] if hasattr(error, "errors") else {"loc": ("?",), "msg": str(error)}
        place = ".".join(str(part) for part in first["loc"])
        raise BadRequest(f"changes.{place}: {first['msg']}") from error
    plain = _plain(read)
    return {name: plain[name] for name in given}


@router.post("/log-entries/{entry_id}/sign")
async def sign(entry_id: str, body: SignIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Sign a flight or drive off as it stands."""
    user.require("pilot")
    async with ctx.database.transaction() as conn:
        row = await flight_log.get(conn, entry_id)
        if row["kind"] not in ("flight", "operation"):
            raise Conflict(f"log entry {entry_id} names who did it; flights and drives are signed")
        snapshot = await log_view.snapshot(conn, entry_id)
        if not snapshot.get("pilot_name"):
            raise Conflict(f"log entry {entry_id} has no pilot; fill in pilot_id or pilot_name first")
        by = By(user.user_id, ctx.clock.now(), "signed")
        await flight_log.sign(conn, entry_id, revision=body.revision, by=by, snapshot=snapshot)
        return await log_view.line(conn, entry_id)


_CSV = "text/csv; charset=utf-8"


def _as_file(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


@router.get("/flights/{flight_id}/samples.csv")
async def samples(
    flight_id: str, ctx: Ctx, user: Signed, around_s: Annotated[float, Query(ge=0, le=600)] = 10.0
) -> StreamingResponse:
    """Return the samples of one flight or drive, with ``around_s`` before and after, as CSV."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        row = await flight_log.get(conn, flight_id)
    if row["ended_at"] is None:
        raise Conflict(f"log entry {flight_id} is no flight")
    around = timedelta(seconds=around_s)
    text = sample_files.as_csv(ctx.database, row["vehicle_id"], row["began_at"] - around, row["ended_at"] + around)
    return StreamingResponse(text, headers=_as_file(f"{row['vehicle_id']}-{flight_id}.csv"), media_type=_CSV)


@router.get("/log-forms")
async def forms(user: Signed) -> dict[str, Any]:
    """Return the items of the daily inspection of each kind of vehicle, what to look at, and the results there are."""
    user.require("viewer")
    return {
        "inspection_items": {
            kind: {key: {"name": asdict(name), "look_at": asdict(look)} for key, (name, look) in items.items()}
            for kind, items in INSPECTION_ITEMS.items()
        },
        "results": {key: asdict(words) for key, words in RESULTS.items()},
    }
