"""Control of vehicles over HTTP: who commands which, and how it changes hands."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from fleet import control
from fleet.api.context import Ctx, Signed

router = APIRouter(prefix="/api")


class OfferIn(BaseModel):
    """To whom a vehicle is offered."""

    model_config = ConfigDict(extra="forbid")

    to: str = Field(min_length=1, max_length=64)


@router.get("/control")
async def listing(ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return who controls what; a vehicle that nobody ever has is left out."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        return {"control": await control.listing(conn, region_id=await ctx.region_id(conn))}


@router.post("/vehicles/{vehicle_id}/control/take")
async def take(vehicle_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Take a vehicle that nobody controls, or whose pilot does not answer.

    ``limit_exceeded`` says in words that it is a drone in the air beyond the pilot's limit, else it is ``null``.
    """
    user.require("pilot")
    async with ctx.database.transaction() as conn:
        return await control.take(conn, vehicle_id, at=ctx.clock.now(), actor=user.user_id)


@router.post("/vehicles/{vehicle_id}/control/offer")
async def offer(vehicle_id: str, body: OfferIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Offer a vehicle that you control to another pilot."""
    user.require("pilot")
    async with ctx.database.transaction() as conn:
        return await control.offer(conn, vehicle_id, to=body.to, at=ctx.clock.now(), actor=user.user_id)


@router.post("/vehicles/{vehicle_id}/control/accept")
async def accept(vehicle_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Take over a vehicle that was offered to you."""
    user.require("pilot")
    async with ctx.database.transaction() as conn:
        return await control.accept(conn, vehicle_id, at=ctx.clock.now(), actor=user.user_id)


@router.post("/vehicles/{vehicle_id}/control/decline")
async def decline(vehicle_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Decline what was offered to you, or withdraw what you offer."""
    user.require("pilot")
    async with ctx.database.transaction() as conn:
        return await control.decline(conn, vehicle_id, at=ctx.clock.now(), actor=user.user_id)


@router.post("/vehicles/{vehicle_id}/control/release")
async def release(vehicle_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Leave a vehicle that rests to whoever takes it."""
    user.require("pilot")
    async with ctx.database.transaction() as conn:
        return await control.release(conn, vehicle_id, at=ctx.clock.now(), actor=user.user_id)
