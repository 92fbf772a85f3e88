"""Orders over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from fleet import custody, order_files, orders
from fleet.api.context import Ctx, Signed
from fleet.errors import BadRequest

router = APIRouter(prefix="/api/orders")

MAX_FILE_BYTES = 2_000_000

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class OrderIn(BaseModel):
    """One customer's request."""

    model_config = ConfigDict(extra="forbid")

    external_ref: Text
    pickup_site: Text
    dropoff_site: Text
    recipient: Text
    goods: str = Field(default="", max_length=500)
    mass_kg: float = Field(gt=0, le=1000, allow_inf_nan=False)
    volume_l: float = Field(gt=0, le=10000, allow_inf_nan=False)
    earliest: AwareDatetime
    latest: AwareDatetime
    priority: int = Field(default=0, ge=0, le=100)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    trip = row.pop("mission_trip", None)
    stops = trip["stops"] if trip else []
    eta = next((stop["arrive"] for stop in stops if row["order_id"] in stop["order_ids"]), None)
    return {**row, "eta": datetime.fromisoformat(eta) if eta else None}


@router.get("")
async def listing(ctx: Ctx, user: Signed, state: str | None = None) -> dict[str, Any]:
    """Return all orders, or those in one state."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        rows = await orders.listing(conn, region_id=await ctx.region_id(conn), state=state)
    return {"orders": [_shown(row) for row in rows]}


@router.post("", status_code=201)
async def receive(body: OrderIn, ctx: Ctx, user: Signed, response: Response) -> dict[str, Any]:
    """Take an order in; sent twice it is taken once."""
    user.require("dispatcher")
    if body.latest <= body.earliest:
        raise BadRequest("latest: must be after earliest")
    async with ctx.database.transaction() as conn:
        region_id = await ctx.region_id(conn)
        await order_files.check_sites(conn, region_id, body.pickup_site, body.dropoff_site)
        row, is_new = await orders.receive(
            conn,
            orders.NewOrder(**body.model_dump()),
            region_id=region_id,
            at=ctx.clock.now(),
            actor=user.user_id,
        )
    response.status_code = 201 if is_new else 200
    return row


@router.post("/import")
async def import_file(request: Request, ctx: Ctx, user: Signed) -> dict[str, int]:
    """Take a CSV file in, whole or not at all."""
    user.require("dispatcher")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_FILE_BYTES:
            raise BadRequest(f"the file is larger than {MAX_FILE_BYTES} bytes; split it")
    async with ctx.database.transaction() as conn:
        new, known = await order_files.import_csv(
            conn,
            bytes(content),
            region_id=await ctx.region_id(conn),
            at=ctx.clock.now(),
            actor=user.user_id,
        )
    return {"imported": new, "already": known}


@router.get("/{order_id}")
async def one(order_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return an order with its history and its custody from shelf to door."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        row = await orders.get(conn, order_id)
        events = await orders.events(conn, order_id)
        chain = await custody.chain(conn, order_id)
    return {**row, "events": events, "custody": chain}


@router.post("/{order_id}/cancel", status_code=204)
async def cancel(order_id: str, ctx: Ctx, user: Signed) -> None:
    """Cancel an order that waits."""
    user.require("dispatcher")
    async with ctx.database.transaction() as conn:
        await orders.cancel(conn, order_id, at=ctx.clock.now(), actor=user.user_id)
