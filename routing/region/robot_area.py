"""The area that robots are approved for, from GeoJSON files: polygons they stay in, and polygons they keep out of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import shapely

from routing.errors import BadInput
from routing.formats.zones_geojson import read_geojson
from routing.geo import LocalFrame
from routing.ground_rules import AREA, NO_AREA
from routing.region.landscape import degrees, local_coords
from routing.region.model import Feature
from routing.region.notes import ImportNotes
from routing.region.osm import clean

LEAST_M2 = 1.0


def read_robot_areas(path: Path, frame: LocalFrame, notes: ImportNotes) -> list[Feature]:
    """Read polygons and multipolygons, ``[lon, lat]``, as features of the kinds ``robot_area`` and ``no_robot_area``.

    A polygon is where robots may drive, unless its property ``excluded`` is true: then it is where they may not, as
    are holes. ``name`` is its name. Rings that cross themselves are repaired. Raises ``BadInput`` that names the
    feature, counted from 0.
    """
    found: list[Feature] = []
    for index, feature in enumerate(read_geojson(path, "--robot-area")):
        where = f"--robot-area {path}: feature {index}"
        shape = _shape(feature["geometry"], where, frame)
        properties = feature.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        name = clean(str(properties.get("name") or ""))
        kind = NO_AREA if properties.get("excluded") is True else AREA
        for part in shapely.get_parts(shape):
            outer = shapely.get_exterior_ring(part)
            found.append(_feature(kind, name, outer, frame))
            holes = [ring for ring in shapely.get_rings(part)[1:] if kind == AREA]
            found += [_feature(NO_AREA, name, hole, frame) for hole in holes]
    notes.counts["robot areas"] += len(found)
    return found


def _feature(kind: str, name: str, ring: shapely.Geometry, frame: LocalFrame) -> Feature:
    return Feature(kind, name, degrees(shapely.get_coordinates(ring), frame, 7), closed=True)


def _shape(geometry: object, where: str, frame: LocalFrame) -> shapely.Geometry:
    """Polygons in the local frame, valid."""
    try:
        shape = shapely.from_geojson(json.dumps(geometry))
    except (shapely.errors.GEOSException, ValueError) as error:
        raise BadInput(f"{where}: not a polygon: {clean(str(error))}") from error
    if shape is None or shape.geom_type not in ("Polygon", "MultiPolygon"):
        raise BadInput(f"{where}: Polygon or MultiPolygon needed")
    coords = shapely.get_coordinates(shape)
    if not len(coords) or not (np.isfinite(coords).all() and (np.abs(coords) <= (180, 89)).all()):
        raise BadInput(f"{where}: a corner is not [lon, lat] in degrees")
    local = shapely.make_valid(shapely.transform(shape, lambda points: local_coords(points, frame)))
    areas = [part for part in shapely.get_parts(local) if shapely.get_dimensions(part) == 2]
    merged = shapely.union_all(areas) if areas else None
    if merged is None or shapely.area(merged) < LEAST_M2:
        raise BadInput(f"{where}: encloses less than {LEAST_M2:g} m2")
    return merged
