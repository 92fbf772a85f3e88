"""No-fly zones that OpenStreetMap suggests: schools, hospitals, helipads, airfields, prisons, military areas.

They stand in for the zones that the authority publishes, which ``--zones`` brings in: what is not mapped is not
protected.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from routing.geo import LocalFrame
from routing.region.landscape import degrees, local_coords
from routing.region.model import Zone
from routing.region.notes import ImportNotes
from routing.region.osm import Coords, OsmData, Tags

CIRCLE_SIDES = 12
"""Circles become polygons around them: every corner is a turn that a path may take."""

CORNER_M = 5.0
"""Zones from areas are widened by this and then simplified within it: fewer corners, never smaller."""

MAX_SIDE_M = 20_000.0
"""Larger areas are not zones of this region but mistakes, and are left out."""


@dataclass(frozen=True, slots=True)
class _Kind:
    kind: str
    around_area_m: float
    """How far the zone reaches beyond an outline."""
    around_point_m: float
    """Its radius around a place of which only a point is mapped."""
    name_ja: str
    name_en: str


_KINDS = {
    "school": _Kind("school", 0.0, 75.0, "学校", "School"),
    "hospital": _Kind("hospital", 0.0, 100.0, "病院", "Hospital"),
    # Approaches of helicopters are open on some sides only; which is not mapped.
    "helipad": _Kind("helipad", 150.0, 200.0, "ヘリポート", "Helipad"),
    "aerodrome": _Kind("aerodrome", 500.0, 1_000.0, "飛行場", "Airfield"),
    "prison": _Kind("prison", 50.0, 200.0, "刑務所", "Prison"),
    "military": _Kind("military", 50.0, 200.0, "自衛隊・軍施設", "Military area"),
}
_AMENITIES = {"school": "school", "kindergarten": "school", "hospital": "hospital", "prison": "prison"}
_MILITARY = {"base", "barracks", "airfield", "range", "training_area", "danger_area", "naval_base"}
_AEROWAYS = {"aerodrome": "aerodrome", "helipad": "helipad", "heliport": "helipad"}


def protected_zones(data: OsmData, frame: LocalFrame, notes: ImportNotes) -> tuple[Zone, ...]:
    """Return the zones, of which those that lie within another of the same kind are left out."""
    found: list[tuple[str, _Kind, Tags, shapely.Geometry]] = list(_found(data, frame, notes))
    # The largest first, so that the point that marks a school is dropped for its grounds.
    found.sort(key=lambda each: -float(shapely.area(each[3])))
    zones: list[Zone] = []
    taken: list[tuple[str, shapely.Geometry]] = []
    for osm_id, kind, tags, shape in found:
        middle = shapely.centroid(shape)
        if any(known == kind.kind and shapely.contains(other, middle) for known, other in taken):
            notes.skip("protected places within a larger one of their kind")
            continue
        taken.append((kind.kind, shape))
        name_ja, name_en = names_of(tags)
        ring = degrees(shapely.get_coordinates(shapely.get_exterior_ring(shape)), frame, 7)
        zones.append(Zone(f"osm-{osm_id}", kind.kind, name_ja or kind.name_ja, name_en or kind.name_en, ring))
        notes.counts[f"zones: {kind.kind}"] += 1
    return tuple(sorted(zones, key=lambda zone: zone.zone_id))


def _found(data: OsmData, frame: LocalFrame, notes: ImportNotes) -> Iterator[tuple[str, _Kind, Tags, shapely.Geometry]]:
    for area in data.areas:
        kind = _kind(area.tags)
        if kind is None:
            continue
        outline = shapely.make_valid(shapely.Polygon(local_coords(area.ring, frame))).convex_hull
        if shapely.area(outline) < 1.0 or max(np.ptp(shapely.get_coordinates(outline), axis=0)) > MAX_SIDE_M:
            notes.skip("protected areas without a sensible outline")
            continue
        yield area.osm_id, kind, area.tags, widened(outline, kind.around_area_m)
    for point in data.points:
        kind = _kind(point.tags)
        if kind is not None:
            at = local_coords(np.array([[point.lon, point.lat]]), frame)[0]
            yield f"p{point.osm_id}", kind, point.tags, circle(at, kind.around_point_m)
    for way in data.lines:
        # Runways without an outline of their airfield.
        if way.tags.get("aeroway") == "runway":
            coords: Coords = way.coords[~np.isnan(way.coords[:, 0])]
            if len(coords) > 1:
                line = shapely.LineString(local_coords(coords, frame))
                kind = _KINDS["aerodrome"]
                yield f"w{way.osm_id}", kind, way.tags, widened(line, kind.around_area_m)


def _kind(tags: Tags) -> _Kind | None:
    if tags.get("landuse") == "military" or tags.get("military") in (
        "base",
        "barracks",
        "airfield",
        "range",
        "danger_area",
    ):
        return _KINDS["military"]
    name = _AMENITIES.get(tags.get("amenity", "")) or _AEROWAYS.get(tags.get("aeroway", ""))
    return _KINDS[name] if name else None


def names_of(tags: Tags) -> tuple[str, str]:
    """Japanese and English name; each is the other, or the local name, where it is missing."""
    local = tags.get("name", "")
    return tags.get("name:ja") or local or tags.get("name:en", ""), tags.get("name:en") or local or tags.get(
        "name:ja", ""
    )


def circle(at: npt.NDArray[np.float64], radius_m: float, sides: int = CIRCLE_SIDES) -> shapely.Polygon:
    """A polygon around a circle, all of it."""
    angles = np.arange(sides) * 2 * np.pi / sides
    reach = radius_m / np.cos(np.pi / sides)
    return shapely.Polygon(at + reach * np.column_stack((np.cos(angles), np.sin(angles))))


def widened(shape: shapely.Geometry, metres: float) -> shapely.Polygon:
    """A shape widened and with fewer corners, nowhere nearer than ``metres`` to what it was."""
    # Mitred corners and square ends lie outside round ones.
    grown = shapely.buffer(shape, metres + CORNER_M, join_style="mitre", mitre_limit=2.0, cap_style="square")
    plain = shapely.simplify(grown, CORNER_M * 0.9)
    return shapely.Polygon(shapely.get_exterior_ring(plain))
