"""No-fly zones from GeoJSON files (RFC 7946): polygons with names, and a margin if they have one."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from routing.errors import BadInput
from routing.geo import LocalFrame
from routing.region.extent import Extent
from routing.region.landscape import degrees, local_coords
from routing.region.model import Zone
from routing.region.notes import ImportNotes
from routing.region.osm import clean
from routing.region.protected import circle

MAX_BYTES = 32 * 2**20
MAX_FEATURES = 2_000
MAX_CORNERS = 20_000
"""Bounds of one file."""

MAX_BUFFER_M = 50_000.0
LEAST_M2 = 1.0


def read_geojson(path: Path, option: str) -> list[Mapping[str, Any]]:
    """Read the features of a file: a collection, one feature, or a bare geometry.

    Raises ``BadInput`` that names the option and the place when the file is missing, too large or not GeoJSON.
    """
    where = f"{option} {path}"
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"{where}: larger than {MAX_BYTES // 2**20} MiB")
        data = json.loads(path.read_bytes().decode("utf-8-sig"), parse_constant=_no_number)
    except OSError as error:
        raise BadInput(f"{where}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: not GeoJSON: {error}") from error
    if not isinstance(data, dict):
        raise BadInput(f"{where}: not GeoJSON: an object is needed")
    if data.get("type") == "Feature":
        features: Any = [data]
    elif "coordinates" in data:
        features = [{"type": "Feature", "geometry": data, "properties": {}}]
    else:
        features = data.get("features")
    if not isinstance(features, list) or not features:
        raise BadInput(f"{where}: not GeoJSON with features in it")
    if len(features) > MAX_FEATURES:
        raise BadInput(f"{where}: {len(features)} features; at most {MAX_FEATURES}")
    crs = data.get("crs")
    name = str(crs.get("properties", {}).get("name", "")) if isinstance(crs, dict) else ""
    if name and not re.search(r"CRS84|4326|4979|6668", name):
        raise BadInput(f"{where}: coordinates in {clean(name)}; longitude and latitude (WGS 84) are needed")
    for index, feature in enumerate(features):
        if not isinstance(feature, dict) or not isinstance(feature.get("geometry"), dict):
            raise BadInput(f"{where}: feature {index}: has no geometry")
    return features


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number that JSON has")


def read_zones(path: Path, extent: Extent, frame: LocalFrame, notes: ImportNotes) -> list[Zone]:
    """Read no-fly zones that meet an extent.

    Polygons and multipolygons, ``[lon, lat]``; a point needs a radius (``buffer`` in metres, or ED-318's ``extent``).
    Properties, all optional: ``id`` or ``identifier``, ``name`` (also ``name_ja``, ``name_en``, ``name:ja``,
    ``name:en``), ``kind`` or ``type``, ``buffer``. Rings that cross themselves are repaired, holes are closed, and the
    notes say so. Raises ``BadInput`` that names the feature, counted from 0.
    """
    zones: list[Zone] = []
    for index, feature in enumerate(read_geojson(path, "--zones")):
        where = f"--zones {path}: feature {index}"
        properties = feature.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        shape = _shape(feature["geometry"], where, frame, notes)
        margin_m = _margin_m(feature["geometry"], properties, where)
        if margin_m:
            shape = shapely.union_all([_around(part, margin_m) for part in shapely.get_parts(shape)])
        if shapely.area(shape) < LEAST_M2:
            raise BadInput(f"{where}: encloses less than {LEAST_M2:g} m2; a point or line needs a buffer in metres")
        parts = [part for part in shapely.get_parts(shape) if shapely.area(part) >= LEAST_M2]
        for number, part in enumerate(parts):
            if len(shapely.get_rings(part)) > 1:
                notes.warn(f"{where}: its holes are closed: the whole of it is a no-fly zone")
            if not _meets(part, extent, frame):
                notes.skip("zones outside the extent")
                continue
            suffix = f"-{number + 1}" if len(parts) > 1 else ""
            zones.append(_zone(path, index, suffix, feature, properties, part, frame))
    return zones


def _zone(
    path: Path,
    index: int,
    suffix: str,
    feature: Mapping[str, Any],
    properties: Mapping[str, Any],
    part: shapely.Geometry,
    frame: LocalFrame,
) -> Zone:
    given = feature.get("id", properties.get("id", properties.get("identifier", "")))
    zone_id = clean(str(given)).replace(" ", "-") if given not in ("", None) else f"{path.stem}-{index}"
    name_ja, name_en = _names(properties)
    kind = properties.get("kind", properties.get("type"))
    ring = degrees(shapely.get_coordinates(shapely.get_exterior_ring(part)), frame, 7)
    return Zone(
        zone_id + suffix,
        clean(kind).lower() if isinstance(kind, str) and kind.strip() else "no_fly",
        name_ja or zone_id,
        name_en or zone_id,
        ring,
    )


def _names(properties: Mapping[str, Any]) -> tuple[str, str]:
    """Japanese and English; ED-318 has a list of texts with their languages."""
    texts = properties.get("name")
    local, by_language = "", {}
    if isinstance(texts, str):
        local = clean(texts)
    elif isinstance(texts, list):
        for text in texts:
            if isinstance(text, dict) and isinstance(text.get("text"), str):
                by_language[str(text.get("lang", ""))[:2].lower()] = clean(text["text"])
        local = next(iter(by_language.values()), "")

    def in_language(code: str) -> str:
        for key in (f"name_{code}", f"name:{code}"):
            if isinstance(properties.get(key), str):
                return clean(properties[key])
        return by_language.get(code, "")

    ja, en = in_language("ja"), in_language("en")
    return ja or local or en, en or local or ja


def _shape(geometry: Mapping[str, Any], where: str, frame: LocalFrame, notes: ImportNotes) -> shapely.Geometry:
    """The geometry in the local frame, valid."""
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "Point":
        return shapely.Point(local_coords(np.array([_place(coordinates, where)]), frame)[0])
    if kind == "Polygon":
        polygons: Any = [coordinates]
    elif kind == "MultiPolygon":
        polygons = coordinates
    else:
        raise BadInput(f"{where}: geometry {str(kind)[:40]!r}; Polygon, MultiPolygon or Point with a buffer needed")
    if not isinstance(polygons, list) or not polygons:
        raise BadInput(f"{where}: has no coordinates")
    return shapely.union_all([_polygon(rings, where, frame, notes) for rings in polygons])


def _polygon(rings: object, where: str, frame: LocalFrame, notes: ImportNotes) -> shapely.Geometry:
    if not isinstance(rings, list) or not rings or not all(isinstance(ring, list) for ring in rings):
        raise BadInput(f"{where}: a polygon is a list of rings, each a list of [lon, lat]")
    outlines = []
    for number, ring in enumerate(rings):
        if len(ring) > MAX_CORNERS:
            raise BadInput(f"{where}: ring {number} has {len(ring)} corners; at most {MAX_CORNERS}")
        places = [_place(place, f"{where}: ring {number}, corner {i}") for i, place in enumerate(ring)]
        if len(set(places)) < 3:
            raise BadInput(f"{where}: ring {number} has fewer than 3 different corners")
        if places[0] != places[-1]:
            notes.warn(f"{where}: ring {number} was not closed; it was closed")
        outlines.append(local_coords(np.array(places), frame))
    polygon: shapely.Geometry = shapely.Polygon(outlines[0], outlines[1:])
    if not shapely.is_valid(polygon):
        notes.warn(f"{where}: repaired: {shapely.is_valid_reason(polygon)[:60].partition('[')[0]}")
        polygon = _only_areas(shapely.make_valid(polygon))
        if shapely.area(polygon) < LEAST_M2:
            raise BadInput(f"{where}: its ring encloses nothing")
    return polygon


def _only_areas(shape: shapely.Geometry) -> shapely.Geometry:
    return shapely.union_all([part for part in shapely.get_parts(shape) if shapely.get_dimensions(part) == 2])


def _place(place: object, where: str) -> tuple[float, float]:
    if not isinstance(place, list) or len(place) < 2:
        raise BadInput(f"{where}: [lon, lat] is needed")
    lon, lat = place[0], place[1]
    if (
        isinstance(lon, bool)
        or isinstance(lat, bool)
        or not isinstance(lon, int | float)
        or not isinstance(lat, int | float)
    ):
        raise BadInput(f"{where}: [lon, lat] in numbers is needed")
    if not (math.isfinite(lon) and math.isfinite(lat) and abs(lon) <= 180 and abs(lat) < 90):
        turned = " (latitude first? GeoJSON has the longitude first)" if abs(lat) <= 180 and abs(lon) < 90 else ""
        raise BadInput(f"{where}: [{lon}, {lat}] is not on the earth{turned}")
    return float(lon), float(lat)


def _margin_m(geometry: Mapping[str, Any], properties: Mapping[str, Any], where: str) -> float:
    given = properties.get("buffer", properties.get("buffer_m"))
    circle_extent = geometry.get("extent")
    if given is None and isinstance(circle_extent, dict) and circle_extent.get("subType") == "Circle":
        given = circle_extent.get("radius")
    if given is None:
        return 0.0
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= MAX_BUFFER_M:
        raise BadInput(f"{where}: buffer {given!r}: metres from 0 to {MAX_BUFFER_M:.0f} are needed")
    return float(given)


def _around(part: shapely.Geometry, margin_m: float) -> shapely.Geometry:
    if isinstance(part, shapely.Point):
        return circle(shapely.get_coordinates(part)[0], margin_m)
    # Mitred corners lie outside the round ones: few of them, and none nearer than asked for.
    return shapely.buffer(part, margin_m, join_style="mitre")


def _meets(part: shapely.Geometry, extent: Extent, frame: LocalFrame) -> bool:
    corners = np.array([[extent.west, extent.south], [extent.east, extent.north]])
    (west, south), (east, north) = local_coords(corners, frame)
    return bool(shapely.intersects(part, shapely.box(west, south, east, north)))


def with_distinct_ids(zones: list[Zone]) -> Iterator[Zone]:
    """Yield zones whose ids are used once: files from different makers both begin at 1."""
    seen: set[str] = set()
    for zone in zones:
        names = itertools.chain([zone.zone_id], (f"{zone.zone_id}.{number}" for number in itertools.count(2)))
        zone_id = next(name for name in names if name not in seen)
        seen.add(zone_id)
        yield replace(zone, zone_id=zone_id)
