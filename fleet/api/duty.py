"""Duty of pilots over HTTP."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from fleet import duty
from fleet.api.context import Ctx, Signed
from fleet.errors import Conflict

router = APIRouter(prefix="/api/duty")


@router.get("")
async def listing(ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return who is on duty, what each controls, and since when nobody has heard of them."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        return {"duty": await duty.listing(conn), "silent_s": duty.SILENT_S}


@router.post("/start")
async def start(ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Begin your duty."""
    user.require("pilot")
    async with ctx.database.transaction() as conn:
        return await duty.begin(conn, user.user_id, at=ctx.clock.now())


@router.post("/end")
async def end(ctx: Ctx, user: Signed) -> dict[str, Any]:
    """End your duty; what moves in your hands is handed over first."""
    user.require("pilot")
    async with ctx.database.transaction() as conn:
        ended = await duty.end(conn, user.user_id, at=ctx.clock.now())
    if ended is None:
        raise Conflict(f"{user.display_name} is not on duty")
    return ended


@router.post("/beat")
async def beat(ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Say that you are there; any change that you ask for says it too."""
    user.require("pilot")
    async with ctx.database.transaction() as conn:
        row = await duty.beat(conn, user.user_id)
    return {"on_duty": row is not None, "silent_s": duty.SILENT_S}
