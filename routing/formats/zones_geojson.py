"""Zones from plain GeoJSON (RFC 7946): polygons with names, and a margin if they have one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from routing.errors import BadInput
from routing.formats.zone_drafts import Draft, circle_of, finished, shell_of
from routing.formats.zone_rules import names_in, texts_of
from routing.region.model import Zone
from routing.region.notes import ImportNotes
from routing.region.osm import clean

MAX_BYTES = 512 * 2**20
MAX_FEATURES = 200_000
"""Bounds of one file: the zones of a whole country."""

MAX_BUFFER_M = 50_000.0


def read_json(path: Path, where: str) -> Any:
    """Parse a file of JSON; raises ``BadInput`` when it is missing, too large, or has numbers that are none."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"{where}: larger than {MAX_BYTES // 2**20} MiB")
        return json.loads(path.read_bytes(), parse_constant=_no_number)
    except OSError as error:
        raise BadInput(f"{where}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: not GeoJSON: {error}") from error


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number that JSON has")


def read_geojson(path: Path, option: str) -> list[Mapping[str, Any]]:
    """Read the features of a file: a collection, one feature, or a bare geometry.

    Raises ``BadInput`` that names the option and the place when the file is missing, too large or not GeoJSON.
    """
    where = f"{option} {path}"
    return features_of(read_json(path, where), where)


def features_of(data: object, where: str) -> list[Mapping[str, Any]]:
    """The features of parsed GeoJSON; raises ``BadInput`` where there are none."""
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
    _check_system(data.get("crs"), where)
    for index, feature in enumerate(features):
        if not isinstance(feature, dict) or not isinstance(feature.get("geometry"), dict):
            raise BadInput(f"{where}: feature {index}: has no geometry")
    return features


def _check_system(system: object, where: str) -> None:
    """Only longitude and latitude: the ``crs`` of GeoJSON before RFC 7946 may say otherwise."""
    properties = system.get("properties") if isinstance(system, Mapping) else None
    name = str(properties.get("name", "")) if isinstance(properties, Mapping) else ""
    if name and not re.search(r"CRS84|4326|4979|6668", name):
        raise BadInput(f"{where}: coordinates in {clean(name)}; longitude and latitude (WGS 84) are needed")


def polygon_of(ring: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """A GeoJSON polygon of a ring of ``(lat, lon)``: closed, and against the clock (RFC 7946, 3.1.6)."""
    corners = [[lon, lat] for lat, lon in ring]
    if corners and corners[0] != corners[-1]:
        corners.append(corners[0])
    turn = sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(corners))
    return {"type": "Polygon", "coordinates": [corners if turn >= 0 else corners[::-1]]}


def read_plain_zones(
    features: Sequence[Mapping[str, Any]], where: str, default_id: str, notes: ImportNotes
) -> tuple[Zone, ...]:
    """Zones of features: polygons and multipolygons; a point needs a radius (``buffer`` in metres).

    Properties, all optional: ``id`` or ``identifier``, ``name`` (also ``name_ja``, ``name_en``, ``name:ja``,
    ``name:en``), ``kind`` or ``type``, ``buffer``. Rings that cross themselves are repaired, holes are closed, and
    the notes say so. These files are the user's own: raises ``BadInput`` that names the feature, counted from 0,
    where one cannot be read.
    """
    drafts = [
        draft
        for index, feature in enumerate(features)
        for draft in _drafts(feature, index, f"{where}: feature {index}", f"{default_id}-{index}", notes)
    ]
    return finished(drafts, notes, strict=True)


def _drafts(feature: Mapping[str, Any], index: int, where: str, default_id: str, notes: ImportNotes) -> Iterator[Draft]:
    properties = feature.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    given = feature.get("id", properties.get("id", properties.get("identifier", "")))
    zone_id = clean(str(given)).replace(" ", "-") if given not in ("", None) else default_id
    name_ja, name_en = _names(properties)
    kind = properties.get("kind", properties.get("type"))
    kind = clean(kind).lower() if isinstance(kind, str) and kind.strip() else "no_fly"
    zone = Zone(zone_id, kind, name_ja or zone_id, name_en or zone_id, ())
    geometry, reach_m = feature["geometry"], _buffer_m(properties, where)
    shape, coordinates = geometry.get("type"), geometry.get("coordinates")
    if shape == "Point":
        if not reach_m:
            raise BadInput(f"{where}: a point needs a buffer in metres")
        yield Draft(zone, index, where, *circle_of(coordinates, reach_m, where))
    elif shape == "Polygon":
        yield Draft(zone, index, where, shell_of(coordinates, where, notes), reach_m)
    elif shape == "MultiPolygon":
        if not isinstance(coordinates, list) or not coordinates:
            raise BadInput(f"{where}: has no coordinates")
        for rings in coordinates:
            yield Draft(zone, index, where, shell_of(rings, where, notes), reach_m)
    else:
        raise BadInput(f"{where}: geometry {str(shape)[:40]!r}; Polygon, MultiPolygon or Point with a buffer needed")


def _names(properties: Mapping[str, Any]) -> tuple[str, str]:
    texts = texts_of(properties.get("name"))
    for code in ("ja", "en"):
        for key in (f"name_{code}", f"name:{code}"):
            if isinstance(properties.get(key), str):
                texts[code] = clean(properties[key])
    return names_in(texts)


def _buffer_m(properties: Mapping[str, Any], where: str) -> float:
    given = properties.get("buffer", properties.get("buffer_m"))
    if given is None:
        return 0.0
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= MAX_BUFFER_M:
        raise BadInput(f"{where}: buffer {given!r}: metres from 0 to {MAX_BUFFER_M:.0f} are needed")
    return float(given)
