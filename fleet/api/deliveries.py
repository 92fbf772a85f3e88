"""Deliveries over HTTP: drop points, recipients' links and codes, receipts, parcels moved by hand."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from fleet import custody_moves, deliveries, drop_point, recipient, regions, unlock
from fleet.api.context import Ctx, Signed
from fleet.api.fields import Text
from fleet.custody import Holder
from fleet.drop_point import GATE_S, DropPoint
from fleet.errors import Forbidden
from fleet.users import GRANTS
from routing.region.model import SiteKind

router = APIRouter(prefix="/api")

Words = Annotated[Text, Field(min_length=1, max_length=500)]


class DropPointIn(BaseModel):
    """How it is decided that a drop point is clear, and whether robots ask for a code there."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    kind: str = Field(alias="class", max_length=16)
    unlock: bool = False
    note: Annotated[Text, Field(max_length=500)] = ""


class ReceiptIn(BaseModel):
    """Whether the recipient has the parcel, and how that is known."""

    model_config = ConfigDict(extra="forbid")

    received: bool = True
    note: Words


class PlaceIn(BaseModel):
    """A shelf (of a site) or a vehicle."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(max_length=16)
    id: Annotated[Text, Field(min_length=1, max_length=200)]


class MoveIn(BaseModel):
    """Where a parcel is now, and why it was moved."""

    model_config = ConfigDict(extra="forbid")

    to: PlaceIn
    note: Words


class CodeIn(BaseModel):
    """``anew``: the code that was shown before is void."""

    model_config = ConfigDict(extra="forbid")

    anew: bool = False


@router.get("/drop-points")
async def listing(ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return every drop point of the region with its class; ``set_by`` is null for one that nobody has entered."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        region_id = await ctx.region_id(conn)
        region = await regions.load(conn, region_id)
        known = {row["site_id"]: row for row in await drop_point.entries(conn, region_id=region_id)}
    sites = {site.site_id for site in region.sites if site.kind is SiteKind.DROP_POINT} | set(known)
    return {"drop_points": [_shown(site_id, known.get(site_id)) for site_id in sorted(sites)], "gate_s": GATE_S}


def _shown(site_id: str, row: dict[str, Any] | None) -> dict[str, Any]:
    if row is not None:
        return {name: row[name] for name in ("site_id", "class", "unlock", "note", "set_at", "set_by")}
    default = DropPoint(site_id)
    words: dict[str, Any] = {"note": "", "set_at": None, "set_by": None}
    return {"site_id": site_id, "class": default.kind, "unlock": default.unlock, **words}


@router.put("/drop-points/{site_id}", status_code=204)
async def put(site_id: str, body: DropPointIn, ctx: Ctx, user: Signed) -> None:
    """Enter what a drop point is like."""
    user.require("dispatcher")
    async with ctx.database.transaction() as conn:
        region_id = await ctx.region_id(conn)
        at, actor = ctx.clock.now(), user.user_id
        values: dict[str, Any] = {"region_id": region_id, "site_id": site_id, "at": at, "actor": actor}
        await drop_point.put(conn, kind=body.kind, unlock=body.unlock, note=body.note, **values)


@router.post("/orders/{order_id}/recipient-link", status_code=201)
async def link(order_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return a link for the recipient, once; the links before it end."""
    user.require("dispatcher")
    async with ctx.database.transaction() as conn:
        token, expires_at = await recipient.new_link(conn, order_id, at=ctx.clock.now(), actor=user.user_id)
    return {"token": token, "path": f"/api/recipient/{token}", "expires_at": expires_at}


@router.post("/orders/{order_id}/unlock-code", status_code=201)
async def code(order_id: str, ctx: Ctx, user: Signed, body: CodeIn | None = None) -> dict[str, str]:
    """Return the code by which the recipient unlocks the robot, once."""
    user.require("dispatcher")
    anew = body is not None and body.anew
    now, actor = ctx.clock.now(), user.user_id
    return {"code": await unlock.draw(ctx.database, order_id, at=now, actor=actor, anew=anew)}


@router.post("/orders/{order_id}/receipt")
async def receipt(order_id: str, body: ReceiptIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Say whether the recipient has the parcel: evidence by a person."""
    if not GRANTS[user.role] & {"ground_crew", "dispatcher"}:
        raise Forbidden(f"{user.display_name} is signed in as {user.role}; this takes a ground_crew or dispatcher")
    at, by = ctx.clock.now(), user.user_id
    async with ctx.database.transaction() as conn:
        row = await deliveries.receipt(conn, order_id, received=body.received, by=by, note=body.note, at=at)
    return {"order_id": order_id, "state": row["state"]}


@router.post("/orders/{order_id}/custody")
async def move(order_id: str, body: MoveIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Say that a parcel was moved by hand: to another shelf, or out of a vehicle that does not come home."""
    user.require("ground_crew")
    at, to = ctx.clock.now(), Holder(body.to.kind, body.to.id)
    async with ctx.database.transaction() as conn:
        return {"custody": await custody_moves.move(conn, order_id, to=to, note=body.note, at=at, actor=user.user_id)}
