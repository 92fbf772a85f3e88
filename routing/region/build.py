"""A region from other people's data: OpenStreetMap, elevation files, zones and sites."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from routing.errors import BadInput
from routing.geo import Position
from routing.region.dem_files import dem_files
from routing.region.elevation import read_terrain
from routing.region.extent import Extent, checked
from routing.region.geoid_files import read_geoid
from routing.region.landscape import features_of
from routing.region.model import Region
from routing.region.municipalities import municipalities_of
from routing.region.network import build_network
from routing.region.notes import ImportNotes, Progress, silent
from routing.region.obstacles import obstacles_of
from routing.region.osm import clean, read_osm
from routing.region.pads import Pads
from routing.region.population import read_population
from routing.region.protected import protected_zones
from routing.region.robot_area import read_robot_areas
from routing.region.site_choice import choose_sites
from routing.region.sites import Placing, read_sites
from routing.region.ways import ROAD_CLASSES
from routing.region.zones import read_zones, with_distinct_ids


@dataclass(frozen=True, slots=True)
class ImportFiles:
    """What a region is made from. Of several ``dem`` the first that has a height at a place wins there.

    ``population``: census tables by mesh; ``robot_areas``: where robots are approved to drive (everywhere without).
    ``geoid``: a model of the geoid, which heights above the ellipsoid are converted with.
    """

    osm: Path
    dem: Sequence[Path] = ()
    zones: Sequence[Path] = ()
    sites: Path | None = None
    population: Sequence[Path] = ()
    robot_areas: Sequence[Path] = ()
    geoid: Path | None = None


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
    without_sidewalk: Collection[str] = ROAD_CLASSES,
    progress: Progress = silent,
) -> Imported:
    """Make a region from files; equal files give equal regions.

    ``name`` becomes the id; it is also the region's name in the languages for which none is given.
    ``without_sidewalk``: classes of roads that sidewalk robots may use where no sidewalk is mapped.
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
    given = [zone for path in files.zones for zone in read_zones(path, extent, notes)]
    areas = [area for path in files.robot_areas for area in read_robot_areas(path, frame, notes)]
    terrain = read_terrain(dem, extent, frame, notes, progress)
    geoid = read_geoid(files.geoid, extent, frame, terrain.datum, notes) if files.geoid else None
    with _step("ground network", progress):
        network = build_network(
            data, frame, terrain, notes, areas=areas, without_sidewalk=_road_classes(without_sidewalk)
        )
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
        features = (*features_of(data, frame, notes), *municipalities_of(data, network, frame, notes), *areas)
        population = None
        if files.population:
            population = read_population(files.population, data, network, frame, notes)
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
        population=population,
        geoid=geoid,
    )
    return Imported(region, extent, notes)


@contextmanager
def _step(name: str, progress: Progress) -> Iterator[None]:
    progress(name, 0, 1)
    yield
    progress(name, 1, 1)


def _road_classes(names: Collection[str]) -> tuple[str, ...]:
    for name in names:
        if name not in ROAD_CLASSES:
            raise BadInput(f"--roads-without-sidewalk {name[:40]!r}: give some of {','.join(ROAD_CLASSES)}, or none")
    return tuple(names)


def _region_id(name: str) -> str:
    """The id that a name becomes: it is also the robots' ``mapId`` and part of file names."""
    region_id = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not 1 <= len(region_id) <= 40 or len(name) > 80:
        raise BadInput(f"region name {name[:80]!r}: needs a letter a-z or digit in it, and at most 40 of them")
    return region_id
