"""What rules have done when something went wrong, over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from fleet import contingency_journal
from fleet.api.context import Ctx, Signed
from fleet.contingency_rules import RULES

router = APIRouter(prefix="/api/contingencies")


@router.get("")
async def journal(
    ctx: Ctx,
    user: Signed,
    vehicle_id: Annotated[str | None, Query(max_length=64)] = None,
    standing: bool = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> dict[str, Any]:
    """Return the newest occurrences: what was seen, by which rule what was done, and what became of it."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        region_id = await ctx.region_id(conn)
        rows = await contingency_journal.listing(
            conn, region_id=region_id, vehicle_id=vehicle_id, standing_only=standing, limit=limit
        )
    return {"contingencies": rows}


@router.get("/rules")
async def rules(user: Signed) -> dict[str, Any]:
    """Return the rules as they are."""
    user.require("viewer")
    return {"rules": [rule.model_dump(mode="json") for rule in RULES.values()]}
