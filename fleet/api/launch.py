"""What keeps vehicles from setting out, over HTTP: groundings, emergency airspace, pilots' limits."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from fleet import commands, emergency_airspace, grounding, launch, region_hold, weather, workload
from fleet.api.context import Ctx, Signed
from fleet.api.fields import Moment, Text

router = APIRouter(prefix="/api")

Words = Annotated[Text, StringConstraints(min_length=1, max_length=500)]


class GroundingIn(BaseModel):
    """What is grounded, and why."""

    model_config = ConfigDict(extra="forbid")

    scope_kind: str = Field(max_length=16)
    scope_id: str = Field(min_length=1, max_length=200)
    reason: Words


class Reason(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid")

    reason: Words


class KeyIn(BaseModel):
    """The key by which a repeated request is recognised."""

    model_config = ConfigDict(extra="forbid")

    idempotency_key: str = Field(min_length=1, max_length=commands.MAX_KEY)


class CheckIn(BaseModel):
    """Where somebody has looked for emergency airspace, and found none that is not entered here."""

    model_config = ConfigDict(extra="forbid")

    source: Words


class EmergencyIn(BaseModel):
    """An area of ``[lat, lon]`` corners, from the ground up; from now on and until it is withdrawn if not said.

    ``kind`` ``closed``: no emergency airspace, but closed at short notice for another reason.
    """

    model_config = ConfigDict(extra="forbid")

    name: Words
    kind: Literal["emergency", "closed"] = "emergency"
    ring: list[tuple[float, float]] = Field(max_length=emergency_airspace.MAX_CORNERS)
    begins_at: Moment | None = None
    ends_at: Moment | None = None


class LimitIn(BaseModel):
    """How many aircraft one pilot may have in the air, and what says so."""

    model_config = ConfigDict(extra="forbid")

    most: int = Field(ge=0, le=workload.MOST)
    source: Words


@router.get("/launch")
async def conditions(ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return what launches are held against now, and how old it may be."""
    user.require("viewer")
    now = ctx.clock.now()
    async with ctx.database.transaction() as conn:
        region_id = await ctx.region_id(conn)
        report = await weather.newest(conn, region_id=region_id)
        check = await emergency_airspace.newest_check(conn, region_id=region_id)
        areas = await emergency_airspace.listing(conn, region_id=region_id, at=now)
        grounded = await grounding.listing(conn, region_id=region_id)
    return {
        "now": now,
        "weather": report,
        "weather_for_s": launch.WEATHER_FOR.total_seconds(),
        "check": check,
        "check_for_s": launch.CHECK_FOR.total_seconds(),
        "emergencies": areas,
        "groundings": grounded,
    }


@router.get("/groundings")
async def groundings(ctx: Ctx, user: Signed, standing: bool = True) -> dict[str, Any]:
    """Return what is grounded; with ``standing=false`` also what was."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        rows = await grounding.listing(conn, region_id=await ctx.region_id(conn), standing=standing)
    return {"groundings": rows}


@router.post("/groundings", status_code=201)
async def ground(body: GroundingIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Keep a vehicle, a type or the region from setting out."""
    user.require("pilot")
    async with ctx.database.transaction() as conn:
        return await grounding.ground(
            conn,
            region_id=await ctx.region_id(conn),
            scope=(body.scope_kind, body.scope_id),
            reason=body.reason,
            at=ctx.clock.now(),
            actor=user.user_id,
        )


@router.post("/groundings/{grounding_id}/lift")
async def lift(grounding_id: str, body: Reason, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Let it set out again."""
    user.require("pilot")
    async with ctx.database.transaction() as conn:
        region_id = await ctx.region_id(conn)
        at, actor = ctx.clock.now(), user.user_id
        return await grounding.lift(conn, grounding_id, region_id=region_id, reason=body.reason, at=at, actor=actor)


@router.post("/region/hold", status_code=202)
async def hold(body: KeyIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Hold everything that moves, and keep what stands from setting out: one action, by any pilot."""
    user.require("pilot")
    async with ctx.database.transaction() as conn:
        region_id = await ctx.region_id(conn)
    rows = await region_hold.hold(
        ctx.database,
        region_id=region_id,
        key=body.idempotency_key,
        issuer=user.user_id,
        at=ctx.clock.now(),
        speed=ctx.clock.speed,
    )
    return {"commands": [commands.shown(row) for row in rows]}


@router.get("/airspace/emergencies")
async def emergencies(ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return the emergency airspace that is in force or will be, and when somebody has looked for it last."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        region_id = await ctx.region_id(conn)
        areas = await emergency_airspace.listing(conn, region_id=region_id, at=ctx.clock.now())
        check = await emergency_airspace.newest_check(conn, region_id=region_id)
    return {"emergencies": areas, "check": check}


@router.post("/airspace/checks", status_code=201)
async def check(body: CheckIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Say that you have looked for emergency airspace just now."""
    user.require("dispatcher")
    async with ctx.database.transaction() as conn:
        region_id = await ctx.region_id(conn)
        at, actor = ctx.clock.now(), user.user_id
        return await emergency_airspace.record_check(conn, region_id=region_id, source=body.source, at=at, actor=actor)


@router.post("/airspace/emergencies", status_code=201)
async def declare(body: EmergencyIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Enter an emergency airspace: nothing sets out whose way enters it."""
    user.require("dispatcher")
    now = ctx.clock.now()
    async with ctx.database.transaction() as conn:
        return await emergency_airspace.declare(
            conn,
            region_id=await ctx.region_id(conn),
            name=body.name,
            kind=body.kind,
            ring=body.ring,
            begins_at=body.begins_at or now,
            ends_at=body.ends_at,
            at=now,
            actor=user.user_id,
        )


@router.post("/airspace/emergencies/{airspace_id}/withdraw")
async def withdraw(airspace_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Say that it is open again."""
    user.require("dispatcher")
    async with ctx.database.transaction() as conn:
        region_id = await ctx.region_id(conn)
        at, actor = ctx.clock.now(), user.user_id
        return await emergency_airspace.withdraw(conn, airspace_id, region_id=region_id, at=at, actor=actor)


@router.get("/pilot-limits")
async def limits(ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return how many aircraft of each category one pilot may have in the air, and what says so."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        found = await workload.limits(conn, region_id=await ctx.region_id(conn))
    return {"limits": [asdict(each) for each in found.values()]}


@router.put("/pilot-limits/{category}")
async def set_limit(category: str, body: LimitIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Enter the figure of a permit."""
    user.require("administrator")
    async with ctx.database.transaction() as conn:
        region_id = await ctx.region_id(conn)
        at, actor = ctx.clock.now(), user.user_id
        return await workload.set_limit(
            conn, region_id=region_id, category=category, most=body.most, source=body.source, at=at, actor=actor
        )
