"""Missions over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from fleet import delays, missions
from fleet.api.context import Ctx, Signed

router = APIRouter(prefix="/api/missions")


class LoadIn(BaseModel):
    """The ground crew's checks that were made with the loading, by their names."""

    model_config = ConfigDict(extra="forbid")

    checks: dict[Annotated[str, Field(max_length=64)], bool] = Field(default={}, max_length=50)


class UnloadIn(BaseModel):
    """The orders whose parcels were not in the vehicle, although nobody saw them handed over."""

    model_config = ConfigDict(extra="forbid")

    missing: list[Annotated[str, Field(max_length=64)]] = Field(default=[], max_length=100)


def _shown(row: dict[str, Any], late: dict[str, timedelta]) -> dict[str, Any]:
    """Return a mission as the API describes it; ``delay_s`` is how late it is or will be, None when it has ended."""
    trip = row.pop("trip")
    delay = late.get(row["mission_id"])
    steps = trip["mission"]["steps"]
    path = [[s["position"]["lat"], s["position"]["lon"], s["position"]["alt_amsl_m"]] for s in steps]
    return {
        **row,
        "steps": len(steps),
        "path": path,
        "stops": trip["stops"],
        "delay_s": None if delay is None else round(delay.total_seconds()),
    }


@router.get("")
async def listing(ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return missions with their orders, newest first."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        region_id = await ctx.region_id(conn)
        rows = await missions.listing(conn, region_id=region_id)
        late = await delays.of_region(conn, region_id=region_id, now=ctx.clock.now())
    return {"missions": [_shown(row, late) for row in rows]}


@router.get("/{mission_id}")
async def one(mission_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return a mission with its history, its fence and its emergency sites."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        row = await missions.get(conn, mission_id)
        bounds = {name: row["trip"]["mission"].get(name) for name in ("fence", "rally")}
        late = await delays.of_region(conn, region_id=row["region_id"], now=ctx.clock.now())
        carried = await missions.carried(conn, mission_id)
        events = await missions.events(conn, mission_id)
    return {**_shown(row, late), **bounds, "orders": carried, "events": events}


@router.post("/{mission_id}/load", status_code=204)
async def load(mission_id: str, ctx: Ctx, user: Signed, body: LoadIn | None = None) -> None:
    """Ground crew: the parcels are in the vehicle; with the checks that are made in the same step."""
    user.require("ground_crew")
    checks = body.checks if body else {}
    async with ctx.database.transaction() as conn:
        await missions.load(conn, mission_id, at=ctx.clock.now(), actor=user.user_id, checks=checks)


@router.post("/{mission_id}/accept", status_code=204)
async def accept(mission_id: str, ctx: Ctx, user: Signed) -> None:
    """Pilot: accept the launch."""
    user.require("pilot")
    async with ctx.database.transaction() as conn:
        await missions.accept(conn, mission_id, at=ctx.clock.now(), actor=user.user_id)


@router.post("/{mission_id}/unload")
async def unload(mission_id: str, ctx: Ctx, user: Signed, body: UnloadIn | None = None) -> dict[str, list[str]]:
    """Ground crew: undelivered parcels are back on the shelf, or missing."""
    user.require("ground_crew")
    missing = body.missing if body else ()
    async with ctx.database.transaction() as conn:
        back = await missions.unload(conn, mission_id, at=ctx.clock.now(), actor=user.user_id, missing=missing)
    return {"orders": back}


@router.post("/{mission_id}/cancel", status_code=204)
async def cancel(mission_id: str, ctx: Ctx, user: Signed) -> None:
    """Dispatcher: give up a mission that has not started."""
    user.require("dispatcher")
    async with ctx.database.transaction() as conn:
        await missions.cancel(conn, mission_id, at=ctx.clock.now(), actor=user.user_id)
