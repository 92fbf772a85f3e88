"""Planning runs over HTTP."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from fleet import planning
from fleet.api.context import Ctx, Signed

router = APIRouter(prefix="/api/plans")


class PlanIn(BaseModel):
    """How long to search, and the seed."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(default=5.0, gt=0, le=planning.MAX_SECONDS, allow_inf_nan=False)
    seed: int = Field(default=1, ge=0, le=2**31 - 1)


_HIDDEN = {"problem", "claimed_by", "claim_expires_wall", "attempts"}


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return a run as the API describes it: a point of a path is an object there, and a list in the store."""
    for route in (row.get("plan") or {}).get("routes", ()):
        for leg in (leg for trip in route["trips"] for leg in trip["legs"]):
            leg["path"] = [dict(zip(("lat", "lon", "alt_amsl_m"), point, strict=True)) for point in leg["path"]]
    return {name: value for name, value in row.items() if name not in _HIDDEN}


@router.post("", status_code=202)
async def request(ctx: Ctx, user: Signed, body: PlanIn | None = None) -> dict[str, Any]:
    """Ask for a plan of what waits."""
    user.require("dispatcher")
    asked = body or PlanIn()
    async with ctx.database.transaction() as conn:
        row = await planning.request(
            conn,
            region_id=await ctx.region_id(conn),
            at=ctx.clock.now(),
            actor=user.user_id,
            seconds=asked.seconds,
            seed=asked.seed,
        )
    return _shown(row)


@router.get("")
async def listing(ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return the newest planning runs; only one that waits for a decision comes with its plan."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        rows = await planning.listing(conn, region_id=await ctx.region_id(conn))
    return {"plans": [_shown(row) for row in rows]}


@router.get("/{run_id}")
async def one(run_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return one planning run with its plan."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        return _shown(await planning.get(conn, run_id))


@router.post("/{run_id}/approve")
async def approve(run_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Turn a proposed plan into missions."""
    user.require("dispatcher")
    async with ctx.database.transaction() as conn:
        created = await planning.approve(conn, run_id, at=ctx.clock.now(), actor=user.user_id)
    return {"missions": created}


@router.post("/{run_id}/reject", status_code=204)
async def reject(run_id: str, ctx: Ctx, user: Signed) -> None:
    """Discard a proposed plan."""
    user.require("dispatcher")
    async with ctx.database.transaction() as conn:
        await planning.reject(conn, run_id, at=ctx.clock.now(), actor=user.user_id)
