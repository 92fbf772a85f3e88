"""A region from other people's data: OpenStreetMap, elevation files, zones and sites."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from routing.errors import BadInput
from routing.geo import Position
from routing.region.dem_files import dem_files
from routing.region.elevation import read_terrain
from routing.region.extent import Extent, checked
from routing.region.landscape import features_of
from routing.region.model import Region
from routing.region.network import build_network
from routing.region.notes import ImportNotes, Progress, silent
from routing.region.obstacles import obstacles_of
from routing.region.osm import clean, read_osm
from routing.region.pads import Pads
from routing.region.protected import protected_zones
from routing.region.site_choice import choose_sites
from routing.region.sites import Placing, read_sites
from routing.region.zones import read_zones, with_distinct_ids


@dataclass(frozen=True, slots=True)
class ImportFiles:
    """What a region is made from. Of several ``dem`` the first that has a height at a place wins there."""

    osm: Path
    dem: Sequence[Path] = ()
    zones: Sequence[Path] = ()
    sites: Path | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """A region and how it came about."""

    region: Region
    extent: Extent
    notes: ImportNotes = field(default_factory=ImportNotes)


def import_region(
    name: str,
    files: ImportFiles,
    *,
    bbox: Extent | None = None,
    name_ja: str = "",
    name_en: str = "",
    progress: Progress = silent,
) -> Imported:
    """Make a region from files; equal files give equal regions.

    ``name`` becomes the id; it is also the region's name in the languages for which none is given.
    Raises ``BadInput`` that names the option and what is wrong with what it was given.
    """
    region_id = _region_id(name)
    dem = dem_files(files.dem)
    notes = ImportNotes()
    data = read_osm(files.osm, bbox, notes, progress)
    extent = checked(data.extent, "the extent of the file's ways")
    frame = extent.frame
    # Read before the long work: a mistake in them is told at once.
    wanted = read_sites(files.sites, extent) if files.sites else None
    given = [zone for path in files.zones for zone in read_zones(path, extent, frame, notes)]
    terrain = read_terrain(dem, extent, frame, notes, progress)
    with _step("ground network", progress):
        network = build_network(data, frame, terrain, notes)
    with _step("obstacles and zones", progress):
        obstacles = obstacles_of(data, frame, terrain, notes)
        zones = tuple(with_distinct_ids([*given, *protected_zones(data, frame, notes)]))
        notes.counts["zones given"] = len(given)
    with _step("sites", progress):
        pads = Pads(data, frame, terrain, zones, obstacles)
        placing = Placing(network, frame, terrain, pads)
        if wanted is None:
            sites = choose_sites(data, network, frame, terrain, pads, placing, notes)
        else:
            sites = placing.placed(wanted)
            notes.counts["sites given"] = len(sites)
    with _step("features", progress):
        features = features_of(data, frame, notes)
    middle_m = round(float(terrain.height_m(0.0, 0.0)), 1)
    region = Region(
        region_id=region_id,
        name_ja=clean(name_ja) or clean(name_en) or name,
        name_en=clean(name_en) or name,
        origin=Position(frame.origin.lat, frame.origin.lon, middle_m),
        terrain=terrain,
        sites=sites,
        nodes=network.nodes,
        edges=network.edges,
        zones=zones,
        obstacles=obstacles,
        features=features,
    )
    return Imported(region, extent, notes)


@contextmanager
def _step(name: str, progress: Progress) -> Iterator[None]:
    progress(name, 0, 1)
    yield
    progress(name, 1, 1)


def _region_id(name: str) -> str:
    """The id that a name becomes: it is also the robots' ``mapId`` and part of file names."""
    region_id = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not 1 <= len(region_id) <= 40 or len(name) > 80:
        raise BadInput(f"region name {name[:80]!r}: needs a letter a-z or digit in it, and at most 40 of them")
    return region_id
