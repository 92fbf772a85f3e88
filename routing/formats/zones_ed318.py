"""UAS geographical zones as EUROCAE ED-318 (2024) writes them: GeoJSON with layers, circles and limited hours.

Read from the schemas and examples that go with the standard (UASGeoZones/ED-318).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from routing.errors import BadInput
from routing.formats.zone_drafts import Draft, circle_of, finished, finite, read_each, shell_of
from routing.formats.zone_rules import (
    RESTRICTIONS,
    Band,
    kind_of,
    names_in,
    read_band,
    read_conditions,
    read_restriction,
    texts_of,
    to_metres,
    with_band,
)
from routing.formats.zone_times import moment, read_periods, write_periods
from routing.formats.zones_geojson import polygon_of
from routing.region.model import AltitudeReference, Restriction, Zone
from routing.region.notes import ImportNotes
from routing.region.osm import clean

OURS = "todoke"
"""Key of ``extendedProperties`` for what the standard has no field for."""

MAX_IDENTIFIER = 7
"""Longest identifier that the standard allows."""

_TYPES = {
    Restriction.PROHIBITED: "PROHIBITED",
    Restriction.AUTHORISATION: "REQ_AUTHORIZATION",
    Restriction.CONDITIONAL: "CONDITIONAL",
    Restriction.NONE: "NO_RESTRICTION",
}
_REFERENCES = {
    AltitudeReference.AGL: "AGL",
    AltitudeReference.AMSL: "AMSL",
    AltitudeReference.ELLIPSOID: "WGS84",
}
_REASONS = {"air_traffic", "sensitive", "privacy", "population", "nature", "noise", "emergency", "dar", "other"}


def is_ed318(data: object) -> bool:
    """Tell whether GeoJSON is made of zones of the standard, and not of areas of any kind."""
    return any(isinstance(feature, Mapping) and _is_zone(feature) for feature in feature_list(data)[:20])


def feature_list(data: object) -> list[Any]:
    """The features of a collection, or the one that there is."""
    if not isinstance(data, Mapping):
        return []
    features = [data] if data.get("type") == "Feature" else data.get("features")
    return features if isinstance(features, list) else []


def _is_zone(feature: Mapping[str, Any]) -> bool:
    properties, geometry = feature.get("properties"), feature.get("geometry")
    properties = properties if isinstance(properties, Mapping) else {}
    geometry = geometry if isinstance(geometry, Mapping) else {}
    if "zoneAuthority" in properties or "variant" in properties or {"layer", "extent"} & set(geometry):
        return True
    return str(properties.get("type", "")).upper() in RESTRICTIONS and "identifier" in properties


def read_ed318(data: Mapping[str, Any], where: str, notes: ImportNotes) -> tuple[Zone, ...]:
    """Zones of parsed JSON. One that cannot be read is left out, and the notes name it and say why.

    Raises ``BadInput`` where the collection's own validity cannot be read: it may be out of date.
    """
    _check_validity(data.get("metadata"), where, notes)
    return finished(read_each(feature_list(data), f"{where}: feature", notes, _drafts), notes, strict=False)


def _check_validity(metadata: object, where: str, notes: ImportNotes) -> None:
    given = metadata if isinstance(metadata, Mapping) else {}
    for key in ("validFrom", "validTo"):
        value = given.get(key)
        if value in (None, ""):
            continue
        if moment(value) is None:
            raise BadInput(f"{where}: metadata: {key} {str(value)[:60]} is not a date and time")
        if key == "validTo":
            notes.warn(f"{where}: its zones are valid until {value}")


def _drafts(feature: Mapping[str, Any], index: int, where: str, notes: ImportNotes) -> Iterator[Draft]:
    properties = feature.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    extended = properties.get("extendedProperties")
    ours = extended.get(OURS) if isinstance(extended, Mapping) else None
    ours = ours if isinstance(ours, Mapping) else {}
    given_id = ours.get("zone_id") or properties.get("identifier") or feature.get("id") or f"zone-{index}"
    zone_id = clean(str(given_id)).replace(" ", "-")
    where = f"{where} ({zone_id})"
    geometry = feature.get("geometry")
    if not isinstance(geometry, Mapping):
        raise BadInput(f"{where}: has no geometry")
    restriction = read_restriction(properties.get("type"), where, notes)
    if str(properties.get("type")).upper() == "REQ_AUTHORISATION":
        notes.warn(f"{where}: type REQ_AUTHORISATION is ED-269's; it is taken as REQ_AUTHORIZATION")
    name_ja, name_en = names_in(texts_of(properties.get("name")))
    margin_m = ours.get("margin_m")
    zone = Zone(
        zone_id,
        clean(str(ours["kind"])) if "kind" in ours else kind_of(properties, restriction),
        name_ja or zone_id,
        name_en or zone_id,
        (),
        restriction=restriction,
        conditions=read_conditions(ours.get("conditions", properties.get("restrictionConditions"))),
        schedule=read_periods(properties.get("limitedApplicability"), where, notes),
        margin_m=None if margin_m is None else finite(margin_m, where, "margin_m"),
    )
    yield from _geometry(zone, geometry, None, index, where, notes)


def _geometry(
    zone: Zone, geometry: object, layer: Mapping[str, Any] | None, index: int, where: str, notes: ImportNotes
) -> Iterator[Draft]:
    """Outlines of a geometry; one within a collection has the collection's layer unless it has its own."""
    if not isinstance(geometry, Mapping):
        raise BadInput(f"{where}: a geometry is not an object")
    own = geometry.get("layer")
    layer = own if isinstance(own, Mapping) else layer
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "GeometryCollection":
        parts = geometry.get("geometries")
        if not isinstance(parts, list) or not parts:
            raise BadInput(f"{where}: a collection without geometries")
        for number, part in enumerate(parts):
            if isinstance(part, Mapping) and part.get("type") == "GeometryCollection":
                raise BadInput(f"{where}: geometry {number}: a collection in a collection")
            yield from _geometry(zone, part, layer, index, f"{where}: geometry {number}", notes)
        return
    made = with_band(zone, _band(layer, where, notes))
    if kind == "Polygon":
        yield Draft(made, index, where, shell_of(coordinates, where, notes))
    elif kind == "MultiPolygon" and isinstance(coordinates, list) and coordinates:
        for rings in coordinates:
            yield Draft(made, index, where, shell_of(rings, where, notes))
    elif kind == "Point":
        extent = geometry.get("extent")
        if not isinstance(extent, Mapping) or str(extent.get("subType", "")).lower() != "circle":
            raise BadInput(f"{where}: a Point without a circle as its extent")
        yield Draft(made, index, where, *circle_of(coordinates, finite(extent.get("radius"), where, "radius"), where))
    else:
        raise BadInput(f"{where}: geometry {str(kind)[:40]!r}; Polygon, MultiPolygon or a circle is needed")


def _band(layer: Mapping[str, Any] | None, where: str, notes: ImportNotes) -> Band:
    if layer is None:
        return Band()
    return read_band(
        (layer.get("lower"), layer.get("lowerReference")),
        (layer.get("upper"), layer.get("upperReference")),
        to_metres(layer.get("uom"), where, notes),
        where,
        notes,
    )


def write_ed318(zones: Sequence[Zone], *, name: str = "", country: str = "JPN") -> dict[str, Any]:
    """A collection of zones, as JSON data that the standard's schemas accept.

    ``country`` is an ISO 3166 code of three letters. What the standard has no field for, or no room (identifiers
    have seven characters), is kept in ``extendedProperties`` and read back from there. Raises ``BadInput`` for a
    country that is none.
    """
    if not re.fullmatch(r"[A-Z]{3}", country):
        raise BadInput(f"country {country[:20]!r}: three capital letters are needed (ISO 3166), such as JPN")
    return {
        "type": "FeatureCollection",
        "name": name[:200],
        "features": [_feature(zone, number, country) for number, zone in enumerate(zones, 1)],
    }


def _feature(zone: Zone, number: int, country: str) -> dict[str, Any]:
    names = [{"text": zone.name_ja[:200], "lang": "ja-JP"}, {"text": zone.name_en[:200], "lang": "en-GB"}]
    ours: dict[str, Any] = {"zone_id": zone.zone_id, "kind": zone.kind, "conditions": list(zone.conditions)}
    if zone.margin_m is not None:
        ours["margin_m"] = zone.margin_m
    fits = zone.zone_id.isascii() and len(zone.zone_id) <= MAX_IDENTIFIER
    properties: dict[str, Any] = {
        "identifier": zone.zone_id if fits else f"Z{number:06}"[:MAX_IDENTIFIER],
        "country": country,
        "name": names,
        "type": _TYPES[zone.restriction],
        "variant": "COMMON",
        "reason": [zone.kind.upper() if zone.kind in _REASONS else "OTHER"],
        "zoneAuthority": [{"purpose": "INFORMATION"}],
        "extendedProperties": {OURS: ours},
    }
    if zone.conditions:
        properties["restrictionConditions"] = "; ".join(zone.conditions)
    if zone.schedule:
        properties["limitedApplicability"] = write_periods(zone.schedule)
    return {"type": "Feature", "properties": properties, "geometry": _polygon(zone)}


def _polygon(zone: Zone) -> dict[str, Any]:
    layer: dict[str, Any] = {"uom": "m"}
    if zone.floor_m is not None:
        layer |= {"lower": zone.floor_m, "lowerReference": _REFERENCES[zone.floor_reference]}
    if zone.ceiling_m is not None:
        layer |= {"upper": zone.ceiling_m, "upperReference": _REFERENCES[zone.ceiling_reference]}
    return polygon_of(zone.ring) | {"layer": layer}
