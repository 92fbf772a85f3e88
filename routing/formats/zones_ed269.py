"""UAS geographical zones as EUROCAE ED-269 (2020, chapter 8) writes them, and as authorities really publish them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from routing.errors import BadInput
from routing.formats.zone_drafts import Draft, circle_of, finished, finite, read_each, shell_of
from routing.formats.zone_rules import (
    kind_of,
    names_in,
    read_band,
    read_conditions,
    read_restriction,
    texts_of,
    to_metres,
    with_band,
)
from routing.formats.zone_times import read_periods
from routing.region.model import Zone
from routing.region.notes import ImportNotes
from routing.region.osm import clean


def is_ed269(data: object) -> bool:
    """Tell whether JSON is a list of ED-269 zones: their geometry is a list of volumes."""
    zones = zone_list(data)
    return bool(zones) and isinstance(zones[0], Mapping) and isinstance(zones[0].get("geometry"), list)


def zone_list(data: object) -> list[Any]:
    """The zones of a file: ``features`` in the standard, ``UASZoneList`` in Swiss files, or a bare list."""
    if isinstance(data, Mapping):
        data = next((data[key] for key in ("UASZoneList", "features") if isinstance(data.get(key), list)), None)
    return data if isinstance(data, list) else []


def read_ed269(data: object, where: str, notes: ImportNotes) -> tuple[Zone, ...]:
    """Zones of parsed JSON. One that cannot be read is left out, and the notes name it and say why."""
    return finished(read_each(zone_list(data), f"{where}: zone", notes, _drafts), notes, strict=False)


def _drafts(given: Mapping[str, Any], index: int, where: str, notes: ImportNotes) -> Iterator[Draft]:
    where = f"{where} ({clean(str(given.get('identifier', '')))})"
    volumes = given.get("geometry")
    if not isinstance(volumes, list) or not volumes:
        raise BadInput(f"{where}: geometry: a list of volumes is needed")
    restriction = read_restriction(given.get("restriction"), where, notes)
    name_ja, name_en = names_in(texts_of(given.get("name")))
    zone_id = clean(str(given.get("identifier") or "")).replace(" ", "-") or f"zone-{index}"
    zone = Zone(
        zone_id,
        kind_of(given, restriction),
        name_ja or zone_id,
        name_en or zone_id,
        (),
        restriction=restriction,
        conditions=read_conditions(given.get("restrictionConditions")),
        schedule=read_periods(given.get("applicability"), where, notes),
    )
    for number, volume in enumerate(volumes):
        yield from _volume(zone, volume, index, f"{where}: volume {number}" if len(volumes) > 1 else where, notes)


def _volume(zone: Zone, volume: object, index: int, where: str, notes: ImportNotes) -> Iterator[Draft]:
    projection = volume.get("horizontalProjection") if isinstance(volume, Mapping) else None
    if not isinstance(volume, Mapping) or not isinstance(projection, Mapping):
        raise BadInput(f"{where}: horizontalProjection is missing")
    # The unit is that of all dimensions of the volume: its limits, and the radius of a circle.
    unit_m = to_metres(volume.get("uomDimensions"), where, notes)
    band = read_band(
        (volume.get("lowerLimit"), volume.get("lowerVerticalReference")),
        (volume.get("upperLimit"), volume.get("upperVerticalReference")),
        unit_m,
        where,
        notes,
    )
    made = with_band(zone, band)
    kind = str(projection.get("type", "")).strip().lower()
    coordinates = projection.get("coordinates")
    if kind == "circle":
        radius_m = finite(projection.get("radius"), where, "radius") * unit_m
        if unit_m != 1.0:
            notes.warn(f"{where}: its radius is taken in feet, as its limits are: {radius_m:.0f} m")
        centre = projection.get("center", projection.get("centre", coordinates))
        yield Draft(made, index, where, *circle_of(centre, radius_m, where))
    elif kind == "polygon":
        yield Draft(made, index, where, shell_of(coordinates, where, notes))
    elif kind == "multipolygon" and isinstance(coordinates, list):
        for rings in coordinates:
            yield Draft(made, index, where, shell_of(rings, where, notes))
    else:
        raise BadInput(f"{where}: horizontalProjection {kind[:40]!r}; Circle or Polygon is needed")
