"""The zones of a region from files: those that meet its extent, with ids of their own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely

from routing.formats.zone_files import read_zone_file
from routing.region.extent import Extent
from routing.region.model import Zone
from routing.region.notes import ImportNotes


def read_zones(path: Path, extent: Extent, notes: ImportNotes) -> list[Zone]:
    """Read the zones of an ED-318, ED-269 or GeoJSON file that meet an extent; the notes count the others.

    Raises ``BadInput`` that names the place.
    """
    zones = read_zone_file(path, notes)
    meets = _meets(zones, extent)
    notes.skip("zones outside the extent", int((~meets).sum()))
    return [zone for zone, wanted in zip(zones, meets, strict=True) if wanted]


def _meets(zones: Sequence[Zone], extent: Extent) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    rings = [np.array(zone.ring)[:, ::-1] for zone in zones]
    if not rings:
        return np.zeros(0, dtype=np.bool_)
    owner = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    shapes = shapely.polygons(shapely.linearrings(np.vstack(rings), indices=owner))
    return np.asarray(shapely.intersects(shapes, shapely.box(extent.west, extent.south, extent.east, extent.north)))


def with_distinct_ids(zones: list[Zone]) -> Iterator[Zone]:
    """Yield zones whose ids are used once: files from different makers both begin at 1."""
    seen: set[str] = set()
    for zone in zones:
        names = itertools.chain([zone.zone_id], (f"{zone.zone_id}.{number}" for number in itertools.count(2)))
        zone_id = next(name for name in names if name not in seen)
        seen.add(zone_id)
        yield replace(zone, zone_id=zone_id)
