"""The day's report over HTTP."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from fleet import report as reports
from fleet.api.context import Ctx, Signed

router = APIRouter(prefix="/api")


@router.get("/report")
async def report(ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return what was done so far, from what is stored."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        return await reports.of_day(conn, region_id=await ctx.region_id(conn), clock=ctx.clock)
