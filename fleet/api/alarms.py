"""Alarms over HTTP: what stands, what was, what pilots do about it, and how many there are."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from fleet import alarm_rate, alarm_store, alarm_table
from fleet.api.context import Ctx, Signed
from fleet.api.fields import Moment, Text
from fleet.errors import BadRequest

router = APIRouter(prefix="/api/alarms")

State = Literal["unacknowledged", "acknowledged", "returned", "shelved", "normal"]
RECENT = timedelta(minutes=10)
"""Domain time for which an alarm that is over and answered is still in the list of now."""
MOST = 500


class ShelveIn(BaseModel):
    """For how long an alarm is put aside, and why."""

    model_config = ConfigDict(extra="forbid")

    minutes: float = Field(gt=0, le=24 * 60, allow_inf_nan=False)
    reason: Annotated[Text, Field(min_length=1, max_length=alarm_store.SHELF_REASON_MAX)]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    most = alarm_table.definition(row["code"]).shelve_max_min(alarm_table.Urgency(row["urgency"]))
    return row | {"detection_s": (row["raised_at"] - row["shown_at"]).total_seconds(), "shelve_max_min": most}


def _period(start: datetime | None, end: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    until = end or now
    since = start or until - timedelta(days=1)
    if since >= until:
        raise BadRequest("from: must be before to")
    return since, until


@router.get("")
async def listing(
    ctx: Ctx,
    user: Signed,
    state: State | None = None,
    source_kind: Literal["vehicle", "process"] | None = None,
    source_id: Annotated[str | None, Query(max_length=100)] = None,
    urgency: alarm_table.Urgency | None = None,
    start: Annotated[Moment | None, Query(alias="from")] = None,
    end: Annotated[Moment | None, Query(alias="to")] = None,
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 200,
) -> dict[str, Any]:
    """Return alarms, the newest first: those of a period, or those that are open or were just closed.

    ``next`` is what ``before`` takes for the page after, ``cursor`` the place from which the live view goes on.
    """
    user.require("viewer")
    now = ctx.clock.now()
    since, until = (now - RECENT, None) if start is None and end is None else _period(start, end, now)
    async with ctx.database.transaction() as conn:
        # Before the rows: what happens between the two is then told once more rather than not at all.
        cursor = await alarm_store.cursor(conn)
        rows = await alarm_store.listing(
            conn,
            state=state,
            source=(source_kind, source_id),
            urgency=urgency,
            open_since=since,
            until=until,
            before=before,
            limit=limit,
        )
    more = rows[-1]["number"] if len(rows) == limit else None
    return {"alarms": [_shown(row) for row in rows], "next": more, "cursor": cursor}


@router.get("/table")
async def table(user: Signed) -> dict[str, Any]:
    """Return what each alarm means, why it comes, what answers it, and how soon it is raised."""
    user.require("viewer")
    return {"alarms": [alarm_table.shown(row) for row in alarm_table.TABLE.values()]}


@router.get("/rate")
async def rate(
    ctx: Ctx,
    user: Signed,
    start: Annotated[Moment | None, Query(alias="from")] = None,
    end: Annotated[Moment | None, Query(alias="to")] = None,
    operators: Annotated[int | None, Query(ge=1, le=1000)] = None,
) -> dict[str, Any]:
    """Return alarms per operator per 10 minutes, of a day unless told otherwise.

    Operators are the pilots signed in now, one at least, where their number is not given.
    """
    user.require("viewer")
    since, until = _period(start, end, ctx.clock.now())
    async with ctx.database.transaction() as conn:
        return await alarm_rate.of_period(conn, start=since, end=until, operators=operators, speed=ctx.clock.speed)


@router.get("/{alarm_id}")
async def one(alarm_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return an alarm with all that has happened to it and what it means."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        row = await alarm_store.get(conn, alarm_id)
        events = await alarm_store.events(conn, alarm_id)
    meaning = alarm_table.shown(alarm_table.definition(row["code"]))
    return {**_shown(row), "events": events, "definition": meaning}


@router.post("/{alarm_id}/acknowledge")
async def acknowledge(alarm_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Say that a pilot knows and sees to it; again it does nothing."""
    user.require("pilot")
    async with ctx.database.transaction() as conn:
        row = await alarm_store.acknowledge(conn, alarm_id, at=ctx.clock.now(), actor=user.user_id)
    return _shown(row)


@router.post("/{alarm_id}/shelve")
async def shelve(alarm_id: str, body: ShelveIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Put an alarm aside for a while, with a reason."""
    user.require("pilot")
    async with ctx.database.transaction() as conn:
        row = await alarm_store.shelve(
            conn, alarm_id, minutes=body.minutes, reason=body.reason, at=ctx.clock.now(), actor=user.user_id
        )
    return _shown(row)


@router.post("/{alarm_id}/unshelve")
async def unshelve(alarm_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Take an alarm off the shelf; what still stands is unacknowledged then."""
    user.require("pilot")
    async with ctx.database.transaction() as conn:
        row = await alarm_store.unshelve(conn, alarm_id, at=ctx.clock.now(), actor=user.user_id)
    return _shown(row)
