"""Weather over HTTP: reported by people or a station, shown with its age."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from fleet import weather
from fleet.api.context import Ctx, Signed
from fleet.api.fields import Moment

router = APIRouter(prefix="/api/weather")


class WeatherIn(BaseModel):
    """A report; gusts are the wind itself, and the time is now, where nothing else is said."""

    model_config = ConfigDict(extra="forbid")

    wind_from_deg: float = Field(ge=0, le=360, allow_inf_nan=False)
    wind_mps: float = Field(ge=0, le=100, allow_inf_nan=False)
    gust_mps: float | None = Field(default=None, ge=0, le=150, allow_inf_nan=False)
    temperature_c: float | None = Field(default=None, ge=-60, le=60, allow_inf_nan=False)
    rain_mm_h: float | None = Field(default=None, ge=0, le=500, allow_inf_nan=False)
    visibility_m: float | None = Field(default=None, ge=0, le=100_000, allow_inf_nan=False)
    observed_at: Moment | None = None


def _shown(row: dict[str, Any], now: datetime) -> dict[str, Any]:
    age_s = (now - row["observed_at"]).total_seconds()
    return row | {"age_s": age_s, "used_by_planning": age_s <= weather.MAX_AGE.total_seconds()}


@router.post("", status_code=201)
async def report(ctx: Ctx, user: Signed, body: WeatherIn) -> dict[str, Any]:
    """Take a report in; the next plan uses it."""
    user.require("dispatcher")
    now = ctx.clock.now()
    told = weather.Report(
        body.wind_from_deg,
        body.wind_mps,
        body.wind_mps if body.gust_mps is None else body.gust_mps,
        body.temperature_c,
        body.rain_mm_h,
        body.visibility_m,
    )
    async with ctx.database.transaction() as conn:
        row = await weather.record(
            conn,
            told,
            region_id=await ctx.region_id(conn),
            observed_at=body.observed_at or now,
            at=now,
            actor=user.user_id,
        )
    return _shown(row, now)


@router.get("")
async def newest(ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return the newest report, ``null`` where there is none."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        row = await weather.newest(conn, region_id=await ctx.region_id(conn))
    return {"weather": None if row is None else _shown(row, ctx.clock.now())}
