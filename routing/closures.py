"""What of a region's airspace is closed to a flight, and what it passes under or over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely

from routing.airspace import (
    CEILING_AGL_M,
    MIN_CLEARANCE_M,
    ZONE_MARGIN_M,
    Areas,
    areas_of,
    closed_always,
    margins_m,
    over_limit_m,
    widened,
    zone_limits_amsl,
)
from routing.ground_risk import closed_cells
from routing.lanes import corridors
from routing.permits import permit_areas
from routing.problem import Permit
from routing.radio import shadows
from routing.region.model import AltitudeReference, Region, Restriction, Zone

BAND_MARGIN_M = 5.0
"""Planned paths stay this far inside the height band, so that a vehicle's height error does not leave it."""

EXTRA_M = 5.0
"""Planned paths stay this much farther from zones and obstacles than the rule."""

ROOM_M = 5.0
"""A flight passes over or under a zone where there is as much room as this between least and greatest height."""

_TILES = 24
_FINEST_TILE_M = 100.0
_BORDER_M = 2_000.0

IN_ZONE = f"lies in a no-fly zone or within {ZONE_MARGIN_M:.0f} m of one"
NO_PERMIT = "lies outside the area of every permit that holds for this flight"
PEOPLE = "lies where more people live than the limit of ground risk allows"
NO_LINK = "has no radio link at any height that may be flown"

LimitArea = tuple[shapely.Geometry, bool, bool, float]
"""An area, whether its altitude is above ground, whether flights pass under it, and that altitude."""


@dataclass(frozen=True, slots=True)
class Use:
    """Which rules a flight is under: equal uses have equal airspace.

    ``zones`` and ``permits`` are numbers of those that apply; ``risk``: the column of the ground risk table (-1: the
    type is beyond it) and the limit; ``gap_m``: how far it may fly without a radio link. ``None``: nobody asks.
    ``past_limits``: 1: it goes around where it would pass both under and over something, 2: around all that it would
    pass under or over. ``past_shadows``: it goes around where there is no link.
    ``past_one_way``: it keeps out of one-way lanes through zones for lanes only.
    """

    zones: tuple[int, ...]
    permits: tuple[int, ...] = ()
    risk: tuple[int, int] | None = None
    weigh_people: bool = False
    gap_m: float | None = None
    past_limits: int = 0
    past_shadows: bool = False
    past_one_way: bool = False


@dataclass(slots=True)
class Closures:
    """Areas in the local frame: ``closed`` to all flight, ``ends`` to take-off and landing, each with its reason.

    In ``one_way`` areas flights keep to lanes in their direction.
    """

    closed: list[tuple[str, shapely.Geometry]] = field(default_factory=list)
    ends: list[tuple[str, shapely.Geometry]] = field(default_factory=list)
    limits: list[LimitArea] = field(default_factory=list)
    one_way: list[shapely.Geometry] = field(default_factory=list)


class Airspace:
    """The zones and permits of a region as areas, from which the closures of a use are made."""

    def __init__(
        self, region: Region, zones: Sequence[Zone], permits: Sequence[Permit], tall: Areas, *, permit_required: bool
    ) -> None:
        """``tall``: areas of the obstacles that are passed over, or around.

        Raises ``BadInput`` naming a zone or permit that cannot be.
        """
        self._region, self._zones, self._permits = region, zones, permits
        self._areas = widened(areas_of(zones, region.frame), margins_m(zones) + EXTRA_M)
        # Inside a permit a path keeps away from its border as it does from zones.
        self._permitted: Areas = np.asarray(
            shapely.buffer(permit_areas(permits, region.frame), -EXTRA_M, join_style="mitre"), dtype=object
        )
        self._permit_required = permit_required
        self._tall = tall
        self._tree = shapely.STRtree(tall)
        both, one = ([lane for lane in region.lanes if lane.one_way is one_way] for one_way in (False, True))
        self._lanes = shapely.union_all(corridors(both, region.frame, EXTRA_M))
        self._one_way = shapely.union_all(corridors(one, region.frame, EXTRA_M))

    def closures(self, use: Use) -> Closures:
        """What is closed to flights of a use."""
        found = Closures()
        closed = [self._areas[i] if _whole(self._zones[i]) else self._zone(i, use, found) for i in use.zones]
        if use.past_limits:
            closed += self._past_limits(use, found)
        found.closed.append((IN_ZONE, shapely.union_all(np.array(closed, dtype=object))))
        if self._permit_required:
            self._outside_permits(use, found)
        if use.risk is not None:
            cells = closed_cells(self._region, use.risk[0] if use.risk[0] >= 0 else None, use.risk[1])
            found.closed.append((PEOPLE, shapely.union_all(widened(cells, EXTRA_M))))
        if use.past_shadows:
            dark = shadows(self._region, CEILING_AGL_M - 2 * BAND_MARGIN_M)
            found.closed.append((NO_LINK, shapely.union_all(dark)))
        return found

    def _past_limits(self, use: Use, found: Closures) -> list[shapely.Geometry]:
        if use.past_limits > 1:
            areas = [area for area, _, _, _ in found.limits]
            found.limits.clear()
            return areas
        under = shapely.union_all([area for area, _, is_under, _ in found.limits if is_under])
        over = [area for area, _, is_under, _ in found.limits if not is_under]
        over += self._tall[self._tree.query(under, predicate="intersects")].tolist()
        return [shapely.intersection(under, shapely.union_all(np.array(over, dtype=object)))]

    def _zone(self, index: int, use: Use, found: Closures) -> shapely.Geometry:
        """The part of a zone that is closed at every height; what may be passed goes to ``found``."""
        zone, area = self._zones[index], self._areas[index]
        if zone.restriction is Restriction.NONE:
            return shapely.Polygon()
        if zone.restriction is Restriction.AUTHORISATION:
            naming = [i for i in use.permits if zone.zone_id in self._permits[i].zones]
            found.limits += self._permit_limits(naming, area)
            area = shapely.difference(area, shapely.union_all(self._permitted[naming]))
        elif not closed_always(zone):
            lanes = self._lanes if use.past_one_way else shapely.union(self._lanes, self._one_way)
            found.one_way.append(shapely.intersection(area, shapely.difference(self._one_way, self._lanes)))
            area = shapely.difference(area, lanes)
        return self._by_height(zone, area, found)

    def _permit_limits(self, permits: Sequence[int], within: shapely.Geometry | None) -> list[LimitArea]:
        """Areas under whose ceilings flights stay where permits overlap: the highest ceiling holds."""
        limits: list[LimitArea] = []
        higher = shapely.Polygon()
        for i in sorted(permits, key=lambda i: -self._permits[i].ceiling_agl_m):
            ceiling, area = self._permits[i].ceiling_agl_m, self._permitted[i]
            if ceiling < CEILING_AGL_M:
                lower = shapely.difference(area if within is None else shapely.intersection(area, within), higher)
                limits.append((_only_areas(lower), True, True, ceiling - BAND_MARGIN_M))
            higher = shapely.union(higher, area)
        return [limit for limit in limits if not shapely.is_empty(limit[0])]

    def _outside_permits(self, use: Use, found: Closures) -> None:
        terrain = self._region.terrain
        everywhere = shapely.box(
            terrain.west_m - _BORDER_M,
            terrain.south_m - _BORDER_M,
            terrain.east_m + _BORDER_M,
            terrain.north_m + _BORDER_M,
        )
        inside = shapely.union_all(self._permitted[list(use.permits)])
        found.closed.append((NO_PERMIT, shapely.difference(everywhere, inside)))
        found.limits += self._permit_limits(use.permits, None)

    def _by_height(self, zone: Zone, area: shapely.Geometry, found: Closures) -> shapely.Geometry:
        """Split a closed area by where a flight passes under the zone, over it, or not at all; return the last."""
        if (zone.floor_m is None and zone.ceiling_m is None) or shapely.is_empty(area):
            return area
        tiles = self._tiles(zone, area)
        under, over = self._passable(zone, tiles)
        if over.all() and not under.all():
            under[:] = False
        over &= ~under
        for chosen, is_under in ((under, True), (over, False)):
            if chosen.any():
                part = _only_areas(shapely.union_all(tiles[chosen]))
                found.limits.append((part, *self._limit(zone, part, under=is_under)))
                if not is_under:
                    found.ends.append((IN_ZONE, part))
        return shapely.union_all(tiles[~under & ~over])

    def _tiles(self, zone: Zone, area: shapely.Geometry) -> Areas:
        """Parts of an area so small that the ground under each is nearly level, where that matters."""
        references = {
            reference
            for value, reference in ((zone.floor_m, zone.floor_reference), (zone.ceiling_m, zone.ceiling_reference))
            if value is not None
        }
        if references == {AltitudeReference.AGL}:
            return np.array([area], dtype=object)
        west, south, east, north = shapely.bounds(area)
        step = max(_FINEST_TILE_M, max(east - west, north - south) / _TILES)
        x, y = (axis.ravel() for axis in np.meshgrid(np.arange(west, east, step), np.arange(south, north, step)))
        tiles = np.asarray(shapely.intersection(area, shapely.box(x, y, x + step, y + step)), dtype=object)
        return np.asarray(tiles[shapely.area(tiles) > 0.0])

    def _passable(self, zone: Zone, tiles: Areas) -> tuple[np.ndarray, np.ndarray]:
        """Whether flights pass under and over a zone at every place of each tile."""
        share = np.linspace(0.0, 1.0, 7)
        west, south, east, north = (side[:, None] for side in shapely.bounds(tiles).T)
        x = np.repeat(west + (east - west) * share, len(share), axis=1)
        y = np.tile(south + (north - south) * share, (1, len(share)))
        ground = self._region.terrain.height_m(x, y)
        floor, ceiling = zone_limits_amsl(zone, self._region, x, y)
        low = ground + self._region.terrain.error_m + MIN_CLEARANCE_M + BAND_MARGIN_M
        high = ground + CEILING_AGL_M - BAND_MARGIN_M
        below = floor - over_limit_m(zone.floor_reference, self._region) - BAND_MARGIN_M
        above = ceiling + over_limit_m(zone.ceiling_reference, self._region) + BAND_MARGIN_M
        return np.all(below - low >= ROOM_M, axis=1), np.all(high - above >= ROOM_M, axis=1)

    def _limit(self, zone: Zone, part: shapely.Geometry, *, under: bool) -> tuple[bool, bool, float]:
        value, reference = (zone.floor_m, zone.floor_reference) if under else (zone.ceiling_m, zone.ceiling_reference)
        assert value is not None
        if reference is AltitudeReference.ELLIPSOID:
            # The geoid is nearly level: the worst of it under the area holds for all of it.
            west, south, east, north = shapely.bounds(part)
            x, y = np.meshgrid(np.linspace(west, east, 9), np.linspace(south, north, 9))
            floor, ceiling = zone_limits_amsl(zone, self._region, x, y)
            value = float(floor.min() if under else ceiling.max())
        off = over_limit_m(reference, self._region) + BAND_MARGIN_M
        return reference is AltitudeReference.AGL, under, value - off if under else value + off


def _whole(zone: Zone) -> bool:
    return closed_always(zone) and zone.floor_m is None and zone.ceiling_m is None


def _only_areas(shape: shapely.Geometry) -> shapely.Geometry:
    parts = shapely.get_parts(shape)
    return shapely.union_all(parts[(shapely.get_dimensions(parts) == 2) & (shapely.area(parts) > 0.0)])
