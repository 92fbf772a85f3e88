"""Who was in an area, and when."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import shapely
from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from shapely import Polygon

from routing.errors import BadInput
from telemetry.history import check_range, heard_since
from telemetry.sqlfile import statements
from telemetry.track import Resolution

MOST_ROWS = 20_000
"""Places looked at; a question that meets more is answered as far as they go, and says so."""
MOST_CORNERS = 1_000
LONGEST: tuple[tuple[timedelta, Resolution, float], ...] = (
    (timedelta(minutes=15), "samples", 0.0),
    (timedelta(days=1), "1s", 1.0),
    (timedelta(days=31), "1m", 60.0),
)
"""Up to which length a period is looked at by samples, by seconds, by minutes; longer ones are refused."""
_AWAY_S = 30.0
_SQL = statements("telemetry.sql", "history.sql")


@dataclass(frozen=True, slots=True)
class Place:
    """A sample in the area, or a second or minute from ``t`` to ``until`` of which the path touches it.

    ``lat_e7``/``lon_e7`` is the last position of it, which may lie outside already.
    """

    vehicle_id: str
    t: datetime
    until: datetime
    lat_e7: int
    lon_e7: int
    lowest_amsl_cm: int | None
    highest_amsl_cm: int | None


@dataclass(frozen=True, slots=True)
class Pass:
    """A vehicle's stay in the area, with its places; shorter absences are not told apart from gaps in the data."""

    vehicle_id: str
    entered_at: datetime
    left_at: datetime
    lowest_amsl_cm: int | None
    highest_amsl_cm: int | None
    places: list[Place]


@dataclass(frozen=True, slots=True)
class Presence:
    """All passes by vehicle and time. ``complete``: no bound was met."""

    passes: list[Pass]
    resolution: Resolution
    complete: bool


def polygon_of(corners: Sequence[tuple[float, float]]) -> Polygon:
    """Return the area with these corners, (lat, lon) in degrees; raises ``BadInput`` naming what is wrong with it."""
    if not 3 <= len(corners) <= MOST_CORNERS:
        raise BadInput(f"polygon: must have 3 to {MOST_CORNERS} corners, not {len(corners)}")
    points = np.asarray(corners, dtype=np.float64)
    wrong = ~(np.abs(points) <= (90.0, 180.0)).all(axis=1)  # NaN compares as wrong
    if wrong.any():
        raise BadInput(f"polygon: corner {int(np.argmax(wrong)) + 1} must be a latitude and a longitude in degrees")
    area = Polygon(points[:, ::-1])
    if not area.is_valid or area.is_empty or area.area == 0.0:
        raise BadInput(f"polygon: {shapely.is_valid_reason(area)}" if not area.is_valid else "polygon: has no area")
    return area


def box_of(west: float, south: float, east: float, north: float) -> Polygon:
    """Return the area between two meridians and two parallels; raises ``BadInput`` naming what is wrong with it."""
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise BadInput("bbox: must be west,south,east,north in degrees, west below east and south below north")
    return shapely.box(west, south, east, north)


async def within(connection: AsyncConnection[Any], area: Polygon, start: datetime, end: datetime) -> Presence:
    """Return every pass of any vehicle through an area with ``start <= t < end``.

    ``area`` has x = longitude, y = latitude in degrees. Up to 15 minutes, samples are looked at; up to a day, seconds;
    up to 31 days, minutes, of which the rectangle around all positions counts: a pass may be told that touched the
    area only nearly, none is missed. Raises ``ValueError`` for a range that is longer or ends before it starts.
    """
    check_range(start, end)
    found = next((entry for entry in LONGEST if end - start <= entry[0]), None)
    if found is None:
        raise ValueError(f"the range must not be longer than {LONGEST[-1][0].days} days; ask for a part of it")
    _, resolution, width_s = found
    west, south, east, north = area.bounds
    values: dict[str, object] = {"start": start, "end": end, "limit": MOST_ROWS + 1}
    values["vehicle_ids"] = await heard_since(connection, start)
    for name, low in (("west", west), ("south", south)):
        values[name] = int(np.floor(low * 1e7))
    for name, high in (("east", east), ("north", north)):
        values[name] = int(np.ceil(high * 1e7))
    async with connection.cursor(row_factory=tuple_row, binary=True) as cursor:
        await cursor.execute(_SQL[f"area_{resolution}"], values)
        rows = await cursor.fetchall()
    complete = len(rows) <= MOST_ROWS
    return Presence(_passes(_touching(area, rows[:MOST_ROWS]), width_s), resolution, complete)


def _touching(area: Polygon, rows: Sequence[tuple[Any, ...]]) -> list[Place]:
    """The rows of which the rectangle of positions touches the area."""
    if not rows:
        return []
    south, north, west, east = np.array([row[5:9] for row in rows], dtype=np.float64).T / 1e7
    shapely.prepare(area)
    touch = shapely.intersects(area, shapely.box(west, south, east, north))
    points = shapely.intersects_xy(area, west, south)
    inside = np.where((west == east) & (south == north), points, touch)
    return [Place(*row[:5], *row[9:]) for row, is_in in zip(rows, inside, strict=True) if is_in]


def _passes(places: Iterable[Place], width_s: float) -> list[Pass]:
    apart = timedelta(seconds=max(_AWAY_S, 2 * width_s))
    passes = []
    for vehicle_id, of_vehicle in itertools.groupby(places, key=lambda place: place.vehicle_id):
        stay: list[Place] = []
        for place in of_vehicle:
            if stay and place.t - stay[-1].until > apart:
                passes.append(_pass(vehicle_id, stay))
                stay = []
            stay.append(place)
        passes.append(_pass(vehicle_id, stay))
    return passes


def _pass(vehicle_id: str, stay: list[Place]) -> Pass:
    lowest = [place.lowest_amsl_cm for place in stay if place.lowest_amsl_cm is not None]
    highest = [place.highest_amsl_cm for place in stay if place.highest_amsl_cm is not None]
    return Pass(
        vehicle_id, stay[0].t, stay[-1].until, min(lowest, default=None), max(highest, default=None), places=stay
    )
