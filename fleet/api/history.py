"""What vehicles did, over HTTP: tracks, charts, who was in an area, events and gaps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from psycopg.errors import QueryCanceled
from shapely import Polygon

from fleet import vehicles
from fleet.api.context import Context, Ctx, Signed
from fleet.api.fields import Moment
from fleet.db.database import Connection
from fleet.errors import BadRequest
from telemetry import area, history, series, track

router = APIRouter(prefix="/api")

Start = Annotated[Moment, Query(alias="from")]
End = Annotated[Moment, Query(alias="to")]
Points = Annotated[int, Query(ge=2, le=10_000)]
Limit = Annotated[int, Query(ge=1, le=1_000)]
_TOO_MUCH = "to: this would take too long to look through; ask for less time"


@router.get("/vehicles/{vehicle_id}/track")
async def own_track(
    vehicle_id: str, ctx: Ctx, user: Signed, start: Start, end: End, points: Points = 500
) -> dict[str, Any]:
    """Return where a vehicle was, thinned to ``points``: time, lat, lon, altitude AMSL in m, battery in %."""
    user.require("viewer")
    async with _asked(ctx, start, end, vehicle_id) as conn:
        found = await track.track(conn, vehicle_id, start, end, points)
    return {"points": [_point(place) for place in found.points], "resolution": found.resolution}


def _point(place: track.TrackPoint) -> list[Any]:
    scaled = ((place.lat_e7, 1e7), (place.lon_e7, 1e7), (place.alt_amsl_cm, 100), (place.battery_pct_x10, 10))
    return [place.t, *(None if value is None else value / scale for value, scale in scaled)]


@router.get("/vehicles/{vehicle_id}/series")
async def own_series(
    vehicle_id: str,
    ctx: Ctx,
    user: Signed,
    field: Annotated[str, Query(max_length=40)],
    start: Start,
    end: End,
    points: Points = 500,
) -> dict[str, Any]:
    """Return a quantity for a chart: for each stretch of ``width_s`` its time, lowest and highest value."""
    user.require("viewer")
    if field not in series.FIELDS:
        raise BadRequest(f"field: must be one of {', '.join(series.FIELDS)}")
    async with _asked(ctx, start, end, vehicle_id) as conn:
        found = await series.series(conn, vehicle_id, field, start, end, points)
    return {
        "field": field,
        "unit": series.FIELDS[field].unit,
        "width_s": found.width_s,
        "resolution": found.resolution,
        "stretches": [[each.t, each.lowest, each.highest] for each in found.stretches],
    }


@router.get("/vehicles/{vehicle_id}/events")
async def own_events(
    vehicle_id: str, ctx: Ctx, user: Signed, start: Start, end: End, limit: Limit = 200
) -> dict[str, Any]:
    """Return the newest events of a vehicle, newest first."""
    user.require("viewer")
    async with _asked(ctx, start, end, vehicle_id) as conn:
        found = await history.events(conn, vehicle_id, start, end, limit=limit)
    return {"events": [asdict(event) for event in found]}


@router.get("/vehicles/{vehicle_id}/gaps")
async def own_gaps(
    vehicle_id: str, ctx: Ctx, user: Signed, start: Start, end: End, limit: Limit = 200
) -> dict[str, Any]:
    """Return the newest times of which it is not known what a vehicle said, newest first."""
    user.require("viewer")
    async with _asked(ctx, start, end, vehicle_id) as conn:
        found = await history.gaps(conn, vehicle_id, start, end, limit=limit)
    return {"gaps": [asdict(gap) for gap in found]}


@router.get("/history/area")
async def own_area(
    ctx: Ctx,
    user: Signed,
    start: Start,
    end: End,
    bbox: Annotated[str | None, Query(max_length=200)] = None,
    polygon: Annotated[str | None, Query(max_length=40_000)] = None,
) -> dict[str, Any]:
    """Return who was in an area and when. ``bbox`` is west,south,east,north; ``polygon`` lat,lon;lat,lon;... (degrees).

    A place is time, lat, lon, lowest and highest altitude AMSL in m. Not ``complete``: there are more places than are
    looked at; ask for a smaller area or less time.
    """
    user.require("viewer")
    wanted = _area(bbox, polygon)
    async with _asked(ctx, start, end) as conn:
        found = await area.within(conn, wanted, start, end)
    return {
        "passes": [_pass(each) for each in found.passes],
        "resolution": found.resolution,
        "complete": found.complete,
    }


def _pass(found: area.Pass) -> dict[str, Any]:
    return {
        "vehicle_id": found.vehicle_id,
        "entered_at": found.entered_at,
        "left_at": found.left_at,
        "lowest_amsl_m": _metres(found.lowest_amsl_cm),
        "highest_amsl_m": _metres(found.highest_amsl_cm),
        "places": [
            [p.t, p.lat_e7 / 1e7, p.lon_e7 / 1e7, _metres(p.lowest_amsl_cm), _metres(p.highest_amsl_cm)]
            for p in found.places
        ],
    }


def _metres(value_cm: int | None) -> float | None:
    return None if value_cm is None else value_cm / 100


def _area(bbox: str | None, polygon: str | None) -> Polygon:
    if (bbox is None) == (polygon is None):
        raise BadRequest("bbox: give either bbox or polygon")
    if bbox is not None:
        numbers = _numbers("bbox", bbox)
        if len(numbers) != 4:
            raise BadRequest(f"bbox: must be four numbers, west,south,east,north, not {len(numbers)}")
        return area.box_of(numbers[0], numbers[1], numbers[2], numbers[3])
    corners = [_numbers("polygon", corner) for corner in (polygon or "").split(";") if corner.strip()]
    if any(len(corner) != 2 for corner in corners):
        raise BadRequest("polygon: each corner must be lat,lon; corners are separated by ;")
    return area.polygon_of([(corner[0], corner[1]) for corner in corners])


def _numbers(name: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise BadRequest(f"{name}: {text!r:.80} must be numbers separated by commas") from None


@asynccontextmanager
async def _asked(
    ctx: Context, start: datetime, end: datetime, vehicle_id: str | None = None
) -> AsyncIterator[Connection]:
    """Yield a connection for a question about a time and perhaps a vehicle; raises what is wrong with the question."""
    if end <= start:
        raise BadRequest("to: must be after from")
    try:
        async with ctx.database.transaction() as conn:
            if vehicle_id is not None:
                await vehicles.get(conn, vehicle_id)
            yield conn
    except QueryCanceled as error:
        raise BadRequest(_TOO_MUCH) from error
    except ValueError as error:
        raise BadRequest(f"to: {error}") from error
