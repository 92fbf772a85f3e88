"""Aircraft with people aboard, over HTTP: what is known of now, and what a person has seen or been told."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from fleet import manned_aircraft
from fleet.api.context import Ctx, Signed
from fleet.api.fields import Text
from fleet.ids import new_id
from fleet.manned_aircraft import EXPIRES_S, LONGEST_S, MAX_IDENT, WIDEST_M, Aircraft

router = APIRouter(prefix="/api/airspace/aircraft")

Name = Annotated[Text, StringConstraints(min_length=1, max_length=100)]
Ident = Annotated[Text, StringConstraints(min_length=1, max_length=MAX_IDENT)]

RADIUS_M = 1_000.0
"""How far around the place it may be, where nobody says: what "near X" means. Our own choice."""


class AircraftIn(BaseModel):
    """An aircraft that somebody has seen: somewhere within ``radius_m`` of a place, for ``valid_s`` from now on.

    The same ``ident`` again moves it.
    """

    model_config = ConfigDict(extra="forbid")

    ident: Ident | None = None
    name: Name | None = None
    lat: float = Field(ge=-89.0, le=89.0, allow_inf_nan=False)
    lon: float = Field(ge=-180.0, le=180.0, allow_inf_nan=False)
    alt_amsl_m: float | None = Field(default=None, ge=-500.0, le=20_000.0, allow_inf_nan=False)
    track_deg: float | None = Field(default=None, ge=0.0, le=360.0, allow_inf_nan=False)
    speed_mps: float | None = Field(default=None, ge=0.0, le=manned_aircraft.FASTEST_MPS, allow_inf_nan=False)
    radius_m: float = Field(default=RADIUS_M, ge=0.0, le=WIDEST_M, allow_inf_nan=False)
    valid_s: float = Field(default=EXPIRES_S, gt=0.0, le=LONGEST_S, allow_inf_nan=False)


@router.get("")
async def listing(ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return the manned aircraft that are known of now."""
    user.require("viewer")
    now = ctx.clock.now()
    async with ctx.database.transaction() as conn:
        rows = await manned_aircraft.listing(conn, region_id=await ctx.region_id(conn), at=now)
    return {"now": now, "aircraft": rows}


@router.post("", status_code=201)
async def report(body: AircraftIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Report an aircraft: flights that come near give way, and launches wait."""
    user.require("dispatcher")
    now = ctx.clock.now()
    given = body.model_dump(exclude={"ident", "name", "valid_s"})
    ident = body.ident or new_id("a")
    one = Aircraft(
        ident=ident,
        name=body.name or ident,
        observed_at=now,
        expires_at=now + timedelta(seconds=body.valid_s),
        **given,
    )
    async with ctx.database.transaction() as conn:
        region_id = await ctx.region_id(conn)
        return await manned_aircraft.report_by_hand(conn, one, region_id=region_id, actor=user.user_id)


@router.delete("/{ident}", status_code=204)
async def remove(ident: str, ctx: Ctx, user: Signed) -> None:
    """Say that it has gone."""
    user.require("dispatcher")
    async with ctx.database.transaction() as conn:
        region_id = await ctx.region_id(conn)
        await manned_aircraft.remove(conn, ident, region_id=region_id, at=ctx.clock.now(), actor=user.user_id)
