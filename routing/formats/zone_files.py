"""Zones from a file in any of the formats that authorities and people use, told apart by what is in it."""

from __future__ import annotations

from pathlib import Path

from routing.errors import BadInput
from routing.formats.zones_ed269 import is_ed269, read_ed269, zone_list
from routing.formats.zones_ed318 import feature_list, is_ed318, read_ed318
from routing.formats.zones_geojson import MAX_FEATURES, features_of, read_json, read_plain_zones
from routing.region.model import Zone
from routing.region.notes import ImportNotes


def read_zone_file(path: Path, notes: ImportNotes, *, option: str = "--zones") -> tuple[Zone, ...]:
    """Read all zones of an ED-318, ED-269 or plain GeoJSON file, wherever they are.

    The notes tell what was repaired, assumed or left out, and why. Raises ``BadInput`` that names the option, the
    file and the place.
    """
    where = f"{option} {path}"
    data = read_json(path, where)
    if is_ed269(data):
        if len(zone_list(data)) > MAX_FEATURES:
            raise BadInput(f"{where}: {len(zone_list(data))} zones; at most {MAX_FEATURES}")
        return read_ed269(data, where, notes)
    if is_ed318(data):
        if len(feature_list(data)) > MAX_FEATURES:
            raise BadInput(f"{where}: {len(feature_list(data))} features; at most {MAX_FEATURES}")
        return read_ed318(data, where, notes)
    return read_plain_zones(features_of(data, where), where, path.stem, notes)
