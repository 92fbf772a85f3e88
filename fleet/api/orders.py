"""Orders over HTTP."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from fleet import custody, delays, delivery_evidence, order_files, orders
from fleet.api.context import Ctx, Signed
from fleet.api.fields import Moment, Text
from fleet.errors import BadRequest

router = APIRouter(prefix="/api/orders")

State = Literal["received", "planned", "loaded", "underway", "unconfirmed", "delivered", "failed", "cancelled"]


class OrderIn(BaseModel):
    """One customer's request."""

    model_config = ConfigDict(extra="forbid")

    external_ref: Annotated[Text, Field(min_length=1, max_length=200)]
    pickup_site: Annotated[Text, Field(min_length=1, max_length=200)]
    dropoff_site: Annotated[Text, Field(min_length=1, max_length=200)]
    recipient: Annotated[Text, Field(min_length=1, max_length=200)]
    goods: Annotated[Text, Field(max_length=500)] = ""
    mass_kg: float = Field(gt=0, le=1000, allow_inf_nan=False)
    volume_l: float = Field(gt=0, le=10000, allow_inf_nan=False)
    earliest: Moment
    latest: Moment
    priority: int = Field(default=0, ge=0, le=100)


class ResolveIn(BaseModel):
    """What has become of a delivery that nobody has seen, and how that is known."""

    model_config = ConfigDict(extra="forbid")

    outcome: Annotated[str, Field(max_length=16)]
    note: Annotated[Text, Field(min_length=1, max_length=500)]


def _shown(row: dict[str, Any], late: dict[str, timedelta], now: datetime) -> dict[str, Any]:
    """Return an order with the arrival that can be expected now, and how much later than planned that is.

    What is on its way back undelivered has no arrival.
    """
    planned, delay = row["eta"], late.get(row["mission_id"] or "", timedelta())
    if planned is None or row["mission_state"] == "returning":
        return {**row, "eta": None, "delay_s": None}
    expected = max(planned + delay, now)
    return {**row, "eta": expected, "delay_s": round((expected - planned).total_seconds())}


@router.get("")
async def listing(ctx: Ctx, user: Signed, state: State | None = None) -> dict[str, Any]:
    """Return all orders, or those in one state."""
    user.require("viewer")
    now = ctx.clock.now()
    async with ctx.database.transaction() as conn:
        region_id = await ctx.region_id(conn)
        rows = await orders.listing(conn, region_id=region_id, state=state)
        late = await delays.of_region(conn, region_id=region_id, now=now)
    return {"orders": [_shown(row, late, now) for row in rows]}


@router.post("", status_code=201)
async def receive(body: OrderIn, ctx: Ctx, user: Signed, response: Response) -> dict[str, Any]:
    """Take an order in; sent twice it is taken once."""
    user.require("dispatcher")
    if body.latest <= body.earliest:
        raise BadRequest("latest: must be after earliest")
    if body.pickup_site == body.dropoff_site:
        raise BadRequest("dropoff_site: is the same site as pickup_site")
    async with ctx.database.transaction() as conn:
        region_id = await ctx.region_id(conn)
        await order_files.check_sites(conn, region_id, pickup_site=body.pickup_site, dropoff_site=body.dropoff_site)
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
    content = await request.body()
    async with ctx.database.transaction() as conn:
        new, known = await order_files.import_csv(
            conn,
            content,
            region_id=await ctx.region_id(conn),
            at=ctx.clock.now(),
            actor=user.user_id,
        )
    return {"imported": new, "already": known}


@router.get("/{order_id}")
async def one(order_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return an order with its history, its custody from shelf to door and all that is known of its delivery.

    ``evidence`` has the findings, too; ``delivery_class`` is the strongest class of evidence, and ``findings`` those
    that somebody should look into.
    """
    user.require("viewer")
    now = ctx.clock.now()
    async with ctx.database.transaction() as conn:
        row = await orders.get_shown(conn, order_id)
        late = await delays.of_region(conn, region_id=row["region_id"], now=now)
        events = await orders.events(conn, order_id)
        chain = await custody.chain(conn, order_id)
        known = await delivery_evidence.of_order(conn, order_id)
    return {
        **_shown(row, late, now),
        "events": events,
        "custody": chain,
        "evidence": known,
        "delivery_class": delivery_evidence.best(known),
        "findings": sorted({row["finding"] for row in known} & delivery_evidence.FINDINGS),
    }


@router.post("/{order_id}/resolve", status_code=204)
async def resolve(order_id: str, body: ResolveIn, ctx: Ctx, user: Signed) -> None:
    """Say what has become of a delivery that nobody has seen."""
    user.require("dispatcher")
    async with ctx.database.transaction() as conn:
        await orders.resolve(conn, order_id, body.outcome, note=body.note, at=ctx.clock.now(), actor=user.user_id)


@router.post("/{order_id}/cancel", status_code=204)
async def cancel(order_id: str, ctx: Ctx, user: Signed) -> None:
    """Cancel an order that waits."""
    user.require("dispatcher")
    async with ctx.database.transaction() as conn:
        await orders.cancel(conn, order_id, at=ctx.clock.now(), actor=user.user_id)
