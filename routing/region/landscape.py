"""What a map of the region shows besides the ground network: water, woods, buildings, roads and power lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from routing.geo import LocalFrame, Position
from routing.region.extent import Extent
from routing.region.model import Feature
from routing.region.notes import ImportNotes
from routing.region.osm import OsmData, Tags


@dataclass(frozen=True, slots=True)
class _Layer:
    """One kind of feature: which tags it is made from, how coarse it may be drawn, and how many are kept."""

    kind: str
    closed: bool
    wanted: Callable[[Tags], bool]
    tolerance_m: float
    least: float
    """Smallest area (m2) or length (m) that is drawn."""
    most: int
    """Kept: the largest."""


_MAIN_ROADS = {"motorway", "trunk", "primary", "secondary", "tertiary", "unclassified"}
_MAIN_ROADS |= {f"{road}_link" for road in _MAIN_ROADS}

_LAYERS = (
    _Layer(
        "water",
        True,
        lambda t: (
            t.get("natural") == "water"
            or t.get("landuse") in ("reservoir", "basin")
            or t.get("waterway") in ("riverbank", "dock")
        ),
        4.0,
        200.0,
        800,
    ),
    _Layer(
        "forest",
        True,
        lambda t: t.get("landuse") == "forest" or t.get("natural") in ("wood", "scrub"),
        15.0,
        5e3,
        1_000,
    ),
    _Layer("building", True, lambda t: t.get("building", "no") != "no", 1.0, 15.0, 5_000),
    _Layer("river", False, lambda t: t.get("waterway") in ("river", "stream", "canal"), 5.0, 150.0, 1_000),
    _Layer("road", False, lambda t: t.get("highway") in _MAIN_ROADS, 5.0, 30.0, 3_000),
    _Layer("power_line", False, lambda t: t.get("power") in ("line", "minor_line"), 1.0, 50.0, 500),
)


def features_of(data: OsmData, frame: LocalFrame, notes: ImportNotes) -> tuple[Feature, ...]:
    """Return what can be drawn, cut at the extent, simplified, the largest of each kind."""
    box = _box(data.extent, frame)
    features: list[Feature] = []
    for layer in _LAYERS:
        found = _polygons(data, layer, frame) if layer.closed else _lines(data, layer, frame)
        drawn = _drawn(found, layer, box, frame, notes)
        if drawn:
            notes.counts[f"features: {layer.kind}"] = len(drawn)
        features += drawn
    return tuple(features)


_Named = list[tuple[str, shapely.Geometry]]


def _polygons(data: OsmData, layer: _Layer, frame: LocalFrame) -> _Named:
    areas = [area for area in data.areas if layer.wanted(area.tags) and len(area.ring) >= 4]
    return [(area.tags.get("name", ""), shapely.Polygon(local_coords(area.ring, frame))) for area in areas]


def _lines(data: OsmData, layer: _Layer, frame: LocalFrame) -> _Named:
    found: _Named = []
    for way in (*data.lines, *data.highways):
        coords = way.coords[~np.isnan(way.coords[:, 0])]
        if layer.wanted(way.tags) and len(coords) > 1 and way.tags.get("location") != "underground":
            found.append((way.tags.get("name", ""), shapely.LineString(local_coords(coords, frame))))
    return found


def _drawn(found: _Named, layer: _Layer, box: shapely.Geometry, frame: LocalFrame, notes: ImportNotes) -> list[Feature]:
    if not found:
        return []
    shapes = np.array([shape for _, shape in found], dtype=object)
    shapes = shapely.intersection(shapely.make_valid(shapes) if layer.closed else shapes, box)
    parts, owner = shapely.get_parts(shapes, return_index=True)
    sizes = shapely.area(parts) if layer.closed else shapely.length(parts)
    fits = (shapely.get_dimensions(parts) == (2 if layer.closed else 1)) & (sizes >= layer.least)
    parts, owner, sizes = parts[fits], owner[fits], sizes[fits]
    if len(parts) > layer.most:
        notes.skip(f"small features of kind {layer.kind}", len(parts) - layer.most)
        # A stable order keeps equal sizes as in the file, so that the result does not depend on the sort.
        largest = np.sort(np.argsort(-sizes, kind="stable")[: layer.most])
        parts, owner = parts[largest], owner[largest]
    parts = shapely.simplify(parts, layer.tolerance_m)
    return [
        Feature(layer.kind, found[int(i)][0], degrees(_outline(part), frame, 6), layer.closed)
        for part, i in zip(parts, owner, strict=True)
    ]


def _outline(part: shapely.Geometry) -> npt.NDArray[np.float64]:
    return shapely.get_coordinates(shapely.get_exterior_ring(part) if isinstance(part, shapely.Polygon) else part)


def _box(extent: Extent, frame: LocalFrame) -> shapely.Geometry:
    (west, south) = frame.to_local(Position(extent.south, extent.west))
    (east, north) = frame.to_local(Position(extent.north, extent.east))
    return shapely.box(west, south, east, north)


def local_coords(lon_lat: npt.NDArray[np.float64], frame: LocalFrame) -> npt.NDArray[np.float64]:
    """``(lon, lat)`` rows as ``(east, north)`` in a frame; frames are linear in degrees."""
    east, north = frame.to_local(Position(0.0, 0.0))
    east_1, north_1 = frame.to_local(Position(1.0, 1.0))
    return np.asarray(lon_lat * [east_1 - east, north_1 - north] + [east, north])


def degrees(
    points: npt.NDArray[np.float64] | Sequence[tuple[float, float]], frame: LocalFrame, digits: int
) -> tuple[tuple[float, float], ...]:
    """``(east, north)`` rows as rounded ``(lat, lon)`` pairs."""
    places = [frame.to_global(float(east), float(north)) for east, north in points]
    return tuple((round(place.lat, digits), round(place.lon, digits)) for place in places)
