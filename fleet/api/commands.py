"""Commands over HTTP: their second step and their outcome."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from fleet import commands
from fleet.api.context import Ctx, Signed

router = APIRouter(prefix="/api/commands")


@router.get("")
async def listing(ctx: Ctx, user: Signed, vehicle_id: str | None = None) -> dict[str, Any]:
    """Return the newest commands."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        rows = await commands.listing(conn, vehicle_id=vehicle_id)
    return {"commands": [commands.shown(row) for row in rows]}


@router.get("/{command_id}")
async def one(command_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return one command with its outcome."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        return commands.shown(await commands.get(conn, command_id))


@router.post("/{command_id}/confirm", status_code=202)
async def confirm(command_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Take the second step: only now is the command sent."""
    user.require("pilot")
    async with ctx.database.transaction() as conn:
        row = await commands.confirm(conn, command_id, actor=user.user_id, at=ctx.clock.now(), speed=ctx.clock.speed)
    return commands.shown(row)
