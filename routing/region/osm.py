"""What an OpenStreetMap file says about an area: tagged points, ways and areas, as read with pyosmium."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import osmium
import shapely

from routing.errors import BadInput
from routing.region.extent import MAX_SIDE_M, MIN_SIDE_M, Extent
from routing.region.notes import ImportNotes, Progress
from routing.region.pbf import PbfFile, open_pbf

Tags = Mapping[str, str]
Coords = npt.NDArray[np.float64]

POINT_KEYS = ("place", "shop", "amenity", "tourism", "office", "aeroway", "man_made", "power", "aerialway")
NODE_KEYS = (*POINT_KEYS, "barrier", "crossing", "highway", "kerb", "generator:source")
LINE_KEYS = ("power", "aerialway", "waterway", "man_made", "aeroway")
AREA_KEYS = (
    *("building", "natural", "landuse", "waterway", "amenity", "aeroway", "shop", "tourism", "man_made"),
    *("office", "place", "military", "power"),
)
ADMIN_LEVELS = ("8", "7", "6")
"""Administrative levels at which countries have their municipalities, the finest first."""

MAX_OBJECTS = 400_000
"""Points, ways and areas within the extent; more are a city's, not a rural region's, and are refused."""

NEAR_M = 10_000.0
"""A way whose first, middle and last points are all farther than this from the extent is taken to pass it by."""

_SCALE = 1e-7  # OpenStreetMap keeps positions as multiples of this
_MAX_TEXT = 120


@dataclass(frozen=True, slots=True)
class OsmPoint:
    """A tagged node."""

    osm_id: int
    lon: float
    lat: float
    tags: Tags


@dataclass(frozen=True, slots=True)
class OsmWay:
    """A way: the ids of its nodes, and their ``(lon, lat)`` (NaN where the file does not hold the node)."""

    osm_id: int
    refs: tuple[int, ...]
    coords: Coords
    tags: Tags


@dataclass(frozen=True, slots=True)
class OsmArea:
    """A closed way or a multipolygon's outer ring, ``(lon, lat)``; holes are left out."""

    osm_id: str
    ring: Coords
    tags: Tags


@dataclass(slots=True)
class OsmData:
    """What lies in an extent, or partly in it, in the order of the file."""

    extent: Extent
    points: list[OsmPoint] = field(default_factory=list)
    highways: list[OsmWay] = field(default_factory=list)
    lines: list[OsmWay] = field(default_factory=list)
    areas: list[OsmArea] = field(default_factory=list)
    boundaries: list[OsmArea] = field(default_factory=list)
    """Of municipalities and their like (``ADMIN_LEVELS``), also those that the extent lies within."""


def read_osm(path: Path, extent: Extent | None, notes: ImportNotes, progress: Progress) -> OsmData:
    """Read an ``.osm.pbf`` file.

    Without an extent the file's own is used, or, when that is too large for a region, the part of ``MAX_SIDE_M``
    with most ways, and the notes say so. Raises ``BadInput`` when the file is missing, damaged or no PBF file, or
    when there is no way in the extent.
    """
    pbf = open_pbf(path)
    try:
        relations = _relations(pbf, progress)
        if extent is None:
            extent = _own_extent(pbf, notes, progress)
        return _Reader(pbf, extent, relations, notes).read(progress)
    except RuntimeError as error:  # what libosmium says of a file that it cannot read
        raise BadInput(f"{path}: damaged, or of a kind that cannot be read: {error}") from error


class _Blocks:
    """Goes through the objects of a file part by part, and says how far it is."""

    def __init__(self, pbf: PbfFile, step: str, progress: Progress, *filters: object) -> None:
        self._pbf, self._step, self._progress, self._filters = pbf, step, progress, filters
        self._pool = osmium.io.ThreadPool(1)

    def objects(self, entities: object = osmium.osm.ALL, *, locations: bool = False) -> Iterator[Any]:
        """Yield what passes the filters; with ``locations`` ways know where their nodes are."""
        table = osmium.index.create_map("flex_mem") if locations else None
        done = 0
        for part in self._pbf.parts():
            self._progress(self._step, done, self._pbf.size)
            content = osmium.io.FileBuffer(part, "pbf")
            processor = osmium.FileProcessor(content, entities, thread_pool=self._pool)
            if table is not None:
                processor.with_locations(table)
            for each in self._filters:
                processor.with_filter(each)
            yield from processor
            done += len(part) - len(self._pbf.header)
        self._progress(self._step, self._pbf.size, self._pbf.size)


@dataclass(slots=True)
class _Relation:
    """A multipolygon or boundary: its outer ways, as far as they have been read."""

    osm_id: int
    tags: Tags
    wanted: int = 0
    lines: list[Coords] = field(default_factory=list)


def _relations(pbf: PbfFile, progress: Progress) -> dict[int, list[_Relation]]:
    """Multipolygons and boundaries that may matter, by the ids of their outer ways."""
    outer_of: dict[int, list[_Relation]] = defaultdict(list)
    blocks = _Blocks(pbf, "relations", progress, osmium.filter.KeyFilter(*AREA_KEYS, "boundary"))
    for relation in blocks.objects(osmium.osm.RELATION):
        if relation.tags.get("type") != "multipolygon" and not _is_municipality(relation.tags):
            continue
        found = _Relation(relation.id, _tags(relation))
        for member in relation.members:
            if member.type == "w" and member.role in ("outer", ""):
                found.wanted += 1
                outer_of[member.ref].append(found)
    return outer_of


def _is_municipality(tags: Tags) -> bool:
    return tags.get("boundary") == "administrative" and tags.get("admin_level") in ADMIN_LEVELS


def _own_extent(pbf: PbfFile, notes: ImportNotes, progress: Progress) -> Extent:
    """The extent of a file's ways, or the fullest part of it."""
    only_ways = osmium.filter.EntityFilter(osmium.osm.WAY)
    blocks = _Blocks(pbf, "extent", progress, only_ways, osmium.filter.KeyFilter("highway"))
    middles = []
    for way in blocks.objects(osmium.osm.NODE | osmium.osm.WAY, locations=True):
        nodes = way.nodes
        node = nodes[len(nodes) // 2] if len(nodes) else None
        if node is not None and node.location.valid():
            middles.append((node.x, node.y))
    if not middles:
        raise BadInput(f"{pbf.path}: there are no ways with known positions in it")
    at = np.array(middles, dtype=np.float64) * _SCALE
    whole = Extent(float(at[:, 1].min()), float(at[:, 0].min()), float(at[:, 1].max()), float(at[:, 0].max()))
    width_m, height_m = whole.size_m
    fullest = _fullest(at, whole)
    if max(width_m, height_m) > MAX_SIDE_M:
        notes.warn(
            f"the file covers {width_m / 1000:.0f} x {height_m / 1000:.0f} km; only the part of at most"
            f" {MAX_SIDE_M / 1000:.0f} km a side with the most ways was taken: choose another with --bbox"
            f" south,west,north,east (this one is {fullest})"
        )
    return fullest


def _fullest(at: Coords, whole: Extent) -> Extent:
    """The window of at most ``MAX_SIDE_M`` with the most points, on a grid of a thirtieth of it."""
    frame = whole.frame
    corner = frame.to_global(MAX_SIDE_M, MAX_SIDE_M)
    sides = (corner.lon - frame.origin.lon, corner.lat - frame.origin.lat)
    lows, highs = (whole.west, whole.south), (whole.east, whole.north)
    bins = []
    for low, high, side in zip(lows, highs, sides, strict=True):
        bins.append(np.arange(low, max(high, low + side) + side / 30, side / 30))
    counts, _, _ = np.histogram2d(at[:, 0], at[:, 1], bins=bins)
    sums = np.pad(counts, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    windows = sums[30:, 30:] - sums[:-30, 30:] - sums[30:, :-30] + sums[:-30, :-30]
    x, y = (int(i) for i in np.unravel_index(int(windows.argmax()), windows.shape))
    west, south = float(bins[0][x]), float(bins[1][y])
    least = MIN_SIDE_M / MAX_SIDE_M
    return Extent(
        south,
        west,
        max(min(south + sides[1], whole.north), south + least * sides[1]),
        max(min(west + sides[0], whole.east), west + least * sides[0]),
    )


class _Reader:
    """Sorts the objects of a file into those that matter."""

    def __init__(
        self, pbf: PbfFile, extent: Extent, relations: Mapping[int, list[_Relation]], notes: ImportNotes
    ) -> None:
        self._pbf, self._extent, self._notes = pbf, extent, notes
        self._near = extent.widened(NEAR_M)
        self._outer_of = relations
        self._data = OsmData(extent)
        self._objects = self._vertices = self._lost = 0

    def read(self, progress: Progress) -> OsmData:
        tagged = osmium.filter.KeyFilter(*NODE_KEYS)
        tagged.enable_for(osmium.osm.NODE)
        blocks = _Blocks(self._pbf, "points and ways", progress, tagged)
        for each in blocks.objects(osmium.osm.NODE | osmium.osm.WAY, locations=True):
            if each.is_node():
                self._node(each)
            else:
                self._way(each)
        self._multipolygons()
        if self._lost > self._vertices / 2:
            raise BadInput(
                f"{self._pbf.path}: the positions of most nodes are missing: the file is not in order or was cut"
                " without completing its ways; sort it with 'osmium sort', or fetch another extract"
            )
        self._notes.skip("way nodes that the file does not hold", self._lost)
        if not self._data.highways:
            raise BadInput(f"{self._pbf.path}: there are no ways in {self._extent} (south,west,north,east)")
        return self._data

    def _count(self) -> None:
        self._objects += 1
        if self._objects > MAX_OBJECTS:
            raise BadInput(
                f"{self._pbf.path}: more than {MAX_OBJECTS} objects in {self._extent}: give a smaller --bbox"
            )

    def _node(self, node: Any) -> None:
        location = node.location
        if not location.valid():
            return
        lon, lat = location.x * _SCALE, location.y * _SCALE
        extent = self._extent
        if extent.west <= lon <= extent.east and extent.south <= lat <= extent.north:
            self._count()
            self._data.points.append(OsmPoint(node.id, lon, lat, _tags(node)))

    def _way(self, way: Any) -> None:
        member_of = self._outer_of.get(way.id, ())
        tags = way.tags
        is_highway = "highway" in tags
        is_line = any(key in tags for key in LINE_KEYS)
        is_area = (
            way.is_closed() and (not is_highway or tags.get("area") == "yes") and any(k in tags for k in AREA_KEYS)
        )
        if not (is_highway or is_line or is_area or member_of) or not (member_of or self._is_near(way.nodes)):
            return
        coords = np.array([(node.x, node.y) for node in way.nodes], dtype=np.float64).reshape(-1, 2) * _SCALE
        missing = (np.abs(coords[:, 0]) > 180) | (np.abs(coords[:, 1]) > 90)
        coords[missing] = np.nan
        for relation in member_of:
            relation.lines.append(coords[~missing])
        if not self._extent.contains(coords[:, 0], coords[:, 1]).any():
            return
        self._vertices += len(coords)
        self._lost += int(missing.sum())
        self._count()
        found = OsmWay(way.id, tuple(node.ref for node in way.nodes), coords, _tags(way))
        if is_highway and not is_area:
            self._data.highways.append(found)
        if is_area and len(coords) - missing.sum() >= 4:
            self._data.areas.append(OsmArea(f"w{way.id}", coords[~missing], found.tags))
        elif is_line and not is_area:
            self._data.lines.append(found)

    def _is_near(self, nodes: Any) -> bool:
        near = self._near
        for at in {0, len(nodes) // 2, len(nodes) - 1} if len(nodes) else ():
            lon, lat = nodes[at].x * _SCALE, nodes[at].y * _SCALE
            if abs(lat) > 90 or (near.west <= lon <= near.east and near.south <= lat <= near.north):
                return True  # one that the file does not hold may be anywhere
        return False

    def _multipolygons(self) -> None:
        relations = {relation.osm_id: relation for each in self._outer_of.values() for relation in each}
        extent = self._extent
        box = shapely.box(extent.west, extent.south, extent.east, extent.north)
        for relation in relations.values():
            lines = [shapely.LineString(line) for line in relation.lines if len(line) > 1]
            polygons = shapely.get_parts(shapely.polygonize(lines)) if lines else np.array([], dtype=object)
            if len(relation.lines) < relation.wanted or not len(polygons):
                self._notes.skip("multipolygons of which the file holds only a part")
            area_of = [
                OsmArea(f"r{relation.osm_id}.{number}", ring, relation.tags)
                for number, ring in enumerate(map(shapely.get_coordinates, shapely.get_exterior_ring(polygons)))
            ]
            if _is_municipality(relation.tags):
                self._data.boundaries += itertools.compress(area_of, shapely.intersects(polygons, box))
                continue
            for area in area_of:
                if self._extent.contains(area.ring[:, 0], area.ring[:, 1]).any():
                    self._count()
                    self._data.areas.append(area)


def _tags(each: Any) -> dict[str, str]:
    """Tags with control characters and overlong values taken out of them."""
    return {tag.k: clean(tag.v) for tag in each.tags}


def clean(text: str) -> str:
    """One line of text of a bounded length, as names from other people's data should be."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_MAX_TEXT]
