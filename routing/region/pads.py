"""Where drones can stand and land at a site: places clear of buildings, water, zones and tall things."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import shapely

from routing.geo import LocalFrame, Position
from routing.region.landscape import local_coords
from routing.region.model import Obstacle, Terrain, Zone
from routing.region.osm import OsmData

PAD_STEP_M = 15.0
"""Lattice on which pads are looked for: more than the least distance between pads."""

BUILDING_M = 10.0
"""Distance of a pad from a wall: the drone's size and position error."""

ZONE_M = 30.0
"""Distance of a pad from a no-fly zone: more than the margin that flights keep."""

SMALL_ZONE_M = 300.0
"""Zones that a straight line crosses on a shorter stretch than this are flown around without much ado."""

SEARCH_M = 120.0
STEEPEST = 0.3
"""How far from a site a pad may lie, and the steepest ground for it (at the resolution of the terrain)."""

MAIN_ROAD_M, STREET_M = 12.0, 7.0
"""Distance of a pad from the middle of a main road and of a street: half of its width and the drone's own."""

_MAIN_ROADS = {"motorway", "trunk", "primary", "secondary", "motorway_link", "trunk_link", "primary_link"}
_NO_TRAFFIC = {"footway", "path", "steps", "pedestrian", "track", "bridleway", "cycleway", "construction", "proposed"}
_BLOCKING_WATER = ("water", "wetland", "glacier", "cliff", "scree")


class Pads:
    """Finds places for pads."""

    def __init__(
        self,
        data: OsmData,
        frame: LocalFrame,
        terrain: Terrain,
        zones: Iterable[Zone],
        obstacles: Iterable[Obstacle],
    ) -> None:
        self._frame, self._terrain = frame, terrain
        self._tree = shapely.STRtree(_areas(data, frame, obstacles))
        zone_areas = [_zone(zone, frame) for zone in zones]
        self._zone_tree, self._zones = shapely.STRtree(zone_areas), shapely.union_all(zone_areas)
        lattice = np.arange(-SEARCH_M, SEARCH_M + 1, PAD_STEP_M)
        east, north = (grid.ravel() for grid in np.meshgrid(lattice, lattice))
        near = np.hypot(east, north) <= SEARCH_M
        offsets = np.column_stack((east[near], north[near]))
        self._offsets = offsets[np.lexsort((offsets[:, 1], offsets[:, 0], np.hypot(*offsets.T).round(3)))]

    def near(self, at: Sequence[float], most: int) -> tuple[Position, ...]:
        """Up to ``most`` pads near a place of the local frame, the nearest first; none where there is no room."""
        places = np.asarray(at, dtype=np.float64) + self._offsets
        free = self._clear(places)
        # A site's own place is where its building is; outside it the nearest clear places are taken.
        found = places[free][:most]
        return tuple(self._position(east, north) for east, north in found)

    def way_is_open(self, start: npt.NDArray[np.float64], places: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """To which places a flight from ``start`` need not go far around no-fly zones."""
        if not len(places):
            return np.zeros(0, dtype=bool)
        lines = shapely.linestrings(np.stack((np.broadcast_to(start, places.shape), places), axis=1))
        inside_m = shapely.length(shapely.intersection(lines, self._zones))
        return np.asarray((inside_m <= SMALL_ZONE_M) & ~self._hits(self._zone_tree, places))

    def _clear(self, places: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        east, north = places.T
        terrain, half = self._terrain, PAD_STEP_M
        slope_east = terrain.height_m(east + half, north) - terrain.height_m(east - half, north)
        slope_north = terrain.height_m(east, north + half) - terrain.height_m(east, north - half)
        level = np.hypot(slope_east, slope_north) / (2 * half) <= STEEPEST
        inside = (
            (east > terrain.west_m) & (east < terrain.east_m) & (north > terrain.south_m) & (north < terrain.north_m)
        )
        return np.asarray(level & inside & ~self._hits(self._tree, places) & ~self._hits(self._zone_tree, places))

    @staticmethod
    def _hits(tree: shapely.STRtree, places: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        hit = np.zeros(len(places), dtype=bool)
        hit[tree.query(shapely.points(places), predicate="intersects")[0]] = True
        return hit

    def _position(self, east: float, north: float) -> Position:
        place = self._frame.to_global(float(east), float(north))
        height = float(self._terrain.height_m(east, north))
        return Position(round(place.lat, 7), round(place.lon, 7), round(height, 1))


def _zone(zone: Zone, frame: LocalFrame) -> shapely.Geometry:
    ring = [frame.to_local(Position(lat, lon)) for lat, lon in zone.ring]
    return shapely.buffer(shapely.make_valid(shapely.Polygon(ring)), ZONE_M, join_style="mitre")


def _areas(data: OsmData, frame: LocalFrame, obstacles: Iterable[Obstacle]) -> list[shapely.Geometry]:
    """What pads must be clear of, with its margins."""
    rings = []
    for area in data.areas:
        tags = area.tags
        if tags.get("building", "no") != "no" or tags.get("natural") in _BLOCKING_WATER or "waterway" in tags:
            rings.append(shapely.Polygon(local_coords(area.ring, frame)))
    shapes = list(shapely.buffer(shapely.make_valid(np.array(rings, dtype=object)), BUILDING_M)) if rings else []
    for way in data.lines:
        coords = way.coords[~np.isnan(way.coords[:, 0])]
        if way.tags.get("waterway") in ("river", "canal") and len(coords) > 1:
            shapes.append(shapely.buffer(shapely.LineString(local_coords(coords, frame)), 1.5 * BUILDING_M))
    for way in data.highways:
        coords = way.coords[~np.isnan(way.coords[:, 0])]
        if len(coords) > 1 and way.tags.get("highway") not in _NO_TRAFFIC:
            half_m = MAIN_ROAD_M if way.tags.get("highway") in _MAIN_ROADS else STREET_M
            shapes.append(shapely.buffer(shapely.LineString(local_coords(coords, frame)), half_m))
    for obstacle in obstacles:
        points = [frame.to_local(point) for point in obstacle.line]
        shape = shapely.LineString(points) if len(points) > 1 else shapely.Point(points[0])
        shapes.append(shapely.buffer(shape, obstacle.margin_m + 10.0))
    return shapes
