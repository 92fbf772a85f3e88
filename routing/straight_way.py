"""Straight flights from where a drone is to places where it could come down: how high, how long, what they take, and
what is in their way. For what was not planned: a diversion, or a mission that is given up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import shapely

from routing.airspace import (
    CEILING_AGL_M,
    applies,
    areas_of,
    clearance_m,
    margins_m,
    over_limit_m,
    widened,
    zone_limits_amsl,
)
from routing.energy import movement_wh
from routing.errors import RoutingError
from routing.geo import Position
from routing.motion import fly
from routing.movement import Flight
from routing.region.model import Region, Restriction, Zone
from routing.straight_air import obstacle_floors
from routing.vehicle_type import VehicleType
from routing.wind import CALM, Wind

LEAST_OVER_M = 30.0
"""Least height over the terrain on a way that nobody has planned: ``TREES_OVER_M`` over bare ground."""
SAMPLE_M = 10.0
"""Spacing at which terrain and zones are read along a way."""
CROWNS_OVER_M = 10.0
"""Least height over trees, where the region knows how tall they are."""
OVER_IT_M = 15.0
"""Nearer than this to where it comes down a drone does not climb first."""
MAX_SAMPLES = 4_000
"""Samples of one way; a longer one is sampled more coarsely."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Target:
    """A place to come down at: ``to`` at ground level, by the id of its site."""

    site_id: str
    to: Position


@dataclass(frozen=True, slots=True)
class Closed:
    """What else is closed: a polygon in the local frame, from the ground up, by its name."""

    name: str
    area: shapely.Polygon


@dataclass(frozen=True, slots=True, eq=False)
class StraightWay:
    """One straight flight. ``alt_amsl_m`` is that of its level part, ``needed_wh`` all that it takes until touchdown
    without any reserve, ``through`` the names of what is closed on it. ``too_high``: it is more than ``CEILING_AGL_M``
    above ground somewhere, since over a valley between hills there is no other level. ``flight`` is the way in time.
    """

    site_id: str
    to: Position
    alt_amsl_m: float
    distance_m: float
    duration_s: float
    needed_wh: float
    through: tuple[str, ...]
    too_high: bool
    flight: Flight

    @property
    def clear(self) -> bool:
        """Whether nothing closed is in the way."""
        return not self.through


def straight_ways(
    region: Region,
    vehicle_type: VehicleType,
    here: Position,
    targets: Sequence[Target],
    *,
    at: datetime,
    payload_kg: float = 0.0,
    wind: Wind = CALM,
    zones: Sequence[Zone] | None = None,
    closed: Sequence[Closed] = (),
) -> tuple[StraightWay, ...]:
    """Return the straight ways from ``here`` (AMSL) to ``targets``, those that take least energy first.

    ``zones``: the region's own unless told otherwise; all count that ask anything of a flight, since nothing was asked
    for this one. Those that the drone is in already count for nothing unless the way ends in them. A target that
    cannot be flown to in this wind is left out. Takes some milliseconds a target.
    """
    shut = _Shut(region, region.zones if zones is None else zones, closed)
    found = [_way(region, vehicle_type, here, target, at, payload_kg, wind, shut) for target in targets]
    return tuple(sorted((way for way in found if way is not None), key=lambda way: (way.needed_wh, way.site_id)))


def level_amsl_m(region: Region, here: Position, to: Position) -> tuple[float, bool]:
    """Return the altitude AMSL for the level part of a straight way, and whether it is too high above ground anywhere.

    It is that of ``here`` if that is within the planner's own height band all along, else the nearest to it that is.
    Where there is none, ``CEILING_AGL_M`` is kept as long as ``LEAST_OVER_M`` over the terrain and
    ``CROWNS_OVER_M`` over trees are, which are kept in any case; obstacles are flown over.
    """
    places = _along(region, here, to)
    if np.hypot(*(places[-1] - places[0])) < OVER_IT_M:
        return here.alt_amsl_m, False
    ground = region.terrain.height_m(places[:, 0], places[:, 1])
    tops = obstacle_floors(region, places)
    wish = float(np.maximum(ground + clearance_m(region, places[:, 0], places[:, 1]), tops).max())
    trees = region.canopy.greatest(places[:, 0], places[:, 1]) + CROWNS_OVER_M if region.canopy else 0.0
    least = float(np.maximum(ground + np.maximum(LEAST_OVER_M, trees) + region.terrain.error_m, tops).max())
    ceiling = float(ground.min()) + CEILING_AGL_M
    level = min(max(here.alt_amsl_m, wish), max(ceiling, wish))
    if level > ceiling:
        level = max(least, ceiling)
    return level, bool(level > ceiling)


def _along(region: Region, here: Position, to: Position) -> Array:
    """Places (east, north) on the straight way, both ends with them."""
    begin, end = (np.array(region.frame.to_local(place)) for place in (here, to))
    count = int(np.clip(np.ceil(np.hypot(*(end - begin)) / SAMPLE_M) + 1, 2, MAX_SAMPLES))
    return np.linspace(begin, end, count)


def _way(
    region: Region,
    vehicle_type: VehicleType,
    here: Position,
    target: Target,
    at: datetime,
    payload_kg: float,
    wind: Wind,
    shut: _Shut,
) -> StraightWay | None:
    level_m, too_high = level_amsl_m(region, here, target.to)
    path = [Position(here.lat, here.lon, level_m), Position(target.to.lat, target.to.lon, level_m)]
    try:
        flight = fly(
            vehicle_type,
            region.frame,
            path,
            from_alt_amsl_m=here.alt_amsl_m,
            to_alt_amsl_m=target.to.alt_amsl_m,
            takes_off=False,
            wind=wind,
        )
    except RoutingError:
        return None
    moved = flight.movement
    through = shut.entered(here, _along(region, here, target.to), level_m, (at, moved.duration_s))
    needed_wh = movement_wh(vehicle_type, payload_kg, moved, in_gusts=True)
    return StraightWay(
        target.site_id,
        target.to,
        level_m,
        moved.distance_m,
        moved.duration_s,
        needed_wh,
        through,
        too_high,
        flight,
    )


class _Shut:
    """What is closed, as areas with the margins that flights keep from them."""

    def __init__(self, region: Region, zones: Sequence[Zone], closed: Sequence[Closed]) -> None:
        self._region = region
        self._zones = [zone for zone in zones if zone.restriction is not Restriction.NONE]
        own = widened(areas_of(self._zones, region.frame), margins_m(self._zones))
        self._areas = np.array([*own, *(one.area for one in closed)], dtype=object)
        names = [zone.name_ja or zone.name_en or zone.zone_id for zone in self._zones]
        self._names = [*names, *(one.name for one in closed)]
        shapely.prepare(self._areas)

    def entered(self, here: Position, places: Array, level_m: float, when: tuple[datetime, float]) -> tuple[str, ...]:
        """Return the names of what a way at a level enters; at its end it comes down through all heights."""
        if not len(self._areas):
            return ()
        line = shapely.linestrings(places[[0, -1]])
        crossed = np.flatnonzero(shapely.intersects(self._areas, line))
        begin, seconds = when
        return tuple(self._names[i] for i in crossed if self._blocks(int(i), here, places, level_m, begin, seconds))

    def _blocks(
        self, index: int, here: Position, places: Array, level_m: float, begin: datetime, seconds: float
    ) -> bool:
        area, first, last = self._areas[index], shapely.Point(places[0]), shapely.Point(places[-1])
        if index >= len(self._zones):
            return bool(not area.intersects(first) or area.intersects(last))
        zone = self._zones[index]
        if not applies(zone, begin, begin + timedelta(seconds=seconds)):
            return False
        inside = np.flatnonzero(shapely.intersects_xy(area, places[:, 0], places[:, 1]))
        # A way that only clips a corner between two samples is inside at neither.
        rows = places[inside] if len(inside) else places[[len(places) // 2]]
        floor, ceiling = zone_limits_amsl(zone, self._region, rows[:, 0], rows[:, 1])
        floor = floor - over_limit_m(zone.floor_reference, self._region)
        ceiling = ceiling + over_limit_m(zone.ceiling_reference, self._region)
        at_level = bool(np.any((level_m > floor) & (level_m < ceiling)))
        begins_in = len(inside) > 0 and inside[0] == 0 and bool(floor[0] < here.alt_amsl_m < ceiling[0])
        ends_in = len(inside) > 0 and inside[-1] == len(places) - 1 and bool(level_m > floor[-1])
        return ends_in or (at_level and not begins_in)
