"""The population of a region: census meshes or a raster laid onto its own mesh, where people live in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely

from routing.errors import BadInput
from routing.geo import LocalFrame
from routing.region.census import Census, read_census
from routing.region.extent import Extent
from routing.region.landscape import local_coords
from routing.region.mesh import UNITS, UNITS_PER_DEGREE, WEST, mesh_units
from routing.region.model import Population, WayKind
from routing.region.network import Network
from routing.region.notes import ImportNotes
from routing.region.osm import OsmData
from routing.region.person_counts import read_counts

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CELLS_PER_MESH = 4
STEP_M = (60.0, 250.0)
"""A region's cell is this part of a census mesh's side, within these bounds."""

SAMPLES = 12
"""Points along the side of a mesh over which persons are spread evenly where the map shows no homes."""

LARGEST_HOME_M2 = 1_000.0
"""A building larger than this is hardly a home of so many more persons."""

_LIVED_ON = {WayKind.RESIDENTIAL, WayKind.SERVICE, WayKind.FOOTWAY}
_NOT_HOMES = {
    *("garage", "garages", "shed", "barn", "farm_auxiliary", "greenhouse", "industrial", "warehouse", "church"),
    *("school", "hospital", "hangar", "cowshed", "stable", "ruins", "roof", "service", "temple", "shrine", "no"),
    *("commercial", "retail", "office", "public", "train_station", "cabin", "hut"),
}


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """Points ``(lon, lat)`` with weights."""

    at: Floats
    weights: Floats


def read_population(
    files: Sequence[Path], data: OsmData, network: Network, frame: LocalFrame, notes: ImportNotes
) -> Population:
    """Lay census tables (``routing.region.census``) or GeoTIFFs of persons per pixel onto a mesh of the local frame.

    The persons of a census mesh are spread over the buildings in it by their area (dasymetric mapping: Eicher and
    Brewer 2001, Cartography and Geographic Information Science 28), where the map has none along its streets, and
    where it has none of these evenly. Of a mesh that the extent cuts, the part of its area inside counts. Raises
    ``BadInput`` naming the file, or when no mesh meets the extent.
    """
    extent = data.extent
    rasters = [path for path in files if path.suffix.lower() in (".tif", ".tiff")]
    if rasters and len(rasters) < len(files):
        raise BadInput("--population: give census tables or GeoTIFFs, not both")
    if rasters:
        counted = [read_counts(path, extent) for path in rasters]
        at, persons = (np.concatenate(each) for each in zip(*counted, strict=True))
        grid = _Mesh.of(STEP_M[1], frame, extent)
        population = Population(grid.west_m, grid.south_m, grid.step_m, grid.laid(at, persons), (), "GeoTIFF")
        notes.counts["persons"] = round(float(population.persons.sum()))
        return population
    census = read_census(files, notes)
    unit = UNITS[census.level]
    share = _share_inside(census, extent)
    near = np.flatnonzero(share > 0.0)
    if not len(near):
        raise BadInput(f"--population: no mesh of these files lies in {extent} (south,west,north,east)")
    mesh_of = {pair: i for i, pair in enumerate(zip(census.rows[near], census.columns[near], strict=True))}
    spread = _spread(mesh_of, unit, census, near, extent, [_homes(data), _streets(network, frame)])
    return _rastered(census, near, share, spread, frame, extent, notes)


def _share_inside(census: Census, extent: Extent) -> Floats:
    """The part of each mesh that lies in the extent."""
    unit, (per_lat, per_lon) = UNITS[census.level], UNITS_PER_DEGREE
    shares = []
    for corners, per, low, high, origin in (
        (census.rows, per_lat, extent.south, extent.north, 0.0),
        (census.columns, per_lon, extent.west, extent.east, WEST),
    ):
        begin, end = origin + corners / per, origin + (corners + unit) / per
        inside = np.minimum(end, high) - np.maximum(begin, low)
        shares.append(np.maximum(inside, 0.0) * per / unit)
    return np.asarray(shares[0] * shares[1])


def _homes(data: OsmData) -> _Places:
    areas = [area for area in data.areas if area.tags.get("building", "no") not in _NOT_HOMES and len(area.ring) >= 4]
    if not areas:
        return _Places(np.zeros((0, 2)), np.zeros(0))
    # Degrees as if they were square: within one mesh that is the same factor for all.
    owner = np.repeat(np.arange(len(areas)), [len(area.ring) for area in areas])
    outlines = shapely.polygons(shapely.linearrings(np.concatenate([area.ring for area in areas]), indices=owner))
    middles = shapely.get_coordinates(shapely.centroid(outlines))
    per_degree = 111_000.0
    m2 = shapely.area(outlines) * per_degree**2 * np.cos(np.radians(middles[:, 1]))
    return _Places(middles, np.minimum(m2, LARGEST_HOME_M2))


def _streets(network: Network, frame: LocalFrame) -> _Places:
    lived = np.array([edge.kind in _LIVED_ON for edge in network.edges], dtype=bool)
    middles = network.xy[network.ends[lived]].mean(axis=1)
    lengths = np.array([edge.length_m for edge in network.edges])[lived]
    return _Places(_lon_lat(middles, frame), lengths)


def _lon_lat(xy: Floats, frame: LocalFrame) -> Floats:
    """The inverse of ``local_coords``, which is linear."""
    (east, north), (east_1, north_1) = local_coords(np.array([[0.0, 0.0], [1.0, 1.0]]), frame)
    return np.asarray((xy - [east, north]) / [east_1 - east, north_1 - north])


@dataclass(frozen=True, slots=True, eq=False)
class _Spread:
    """Points of meshes: which mesh each is of, where it lies, and its part of the mesh's persons."""

    mesh: Ints
    at: Floats
    part: Floats


def _spread(
    mesh_of: dict[tuple[int, int], int],
    unit: int,
    census: Census,
    near: Ints,
    extent: Extent,
    kinds: Sequence[_Places],
) -> _Spread:
    """Of each mesh the points of the first kind that it has any of, else points all over it."""
    spreads: list[_Spread] = []
    done = np.zeros(len(near), dtype=bool)
    for places in kinds:
        inside = extent.contains(places.at[:, 0], places.at[:, 1]) & (places.weights > 0.0)
        rows, columns = mesh_units(places.at[:, 1], places.at[:, 0])
        pairs = zip((rows // unit * unit).tolist(), (columns // unit * unit).tolist(), strict=True)
        mesh = np.array([mesh_of.get(pair, -1) for pair in pairs], dtype=np.int64)
        taken = inside & (mesh >= 0) & ~done[mesh]
        totals = np.bincount(mesh[taken], places.weights[taken], minlength=len(near))
        spreads.append(_Spread(mesh[taken], places.at[taken], places.weights[taken] / totals[mesh[taken]]))
        done[mesh[taken]] = True
    spreads.append(_evenly(np.flatnonzero(~done), unit, census, near, extent))
    return _Spread(*(np.concatenate([getattr(each, name) for each in spreads]) for name in ("mesh", "at", "part")))


def _evenly(meshes: Ints, unit: int, census: Census, near: Ints, extent: Extent) -> _Spread:
    per_lat, per_lon = UNITS_PER_DEGREE
    within = (np.arange(SAMPLES) + 0.5) / SAMPLES
    up, right = (each.ravel() for each in np.meshgrid(within, within, indexing="ij"))
    lat = (census.rows[near[meshes], None] + unit * up) / per_lat
    lon = WEST + (census.columns[near[meshes], None] + unit * right) / per_lon
    mesh = np.repeat(meshes, SAMPLES**2)
    at = np.stack((lon.ravel(), lat.ravel()), axis=1)
    kept = extent.contains(at[:, 0], at[:, 1])
    counts = np.bincount(mesh[kept], minlength=len(near))
    return _Spread(mesh[kept], at[kept], 1.0 / counts[mesh[kept]])


@dataclass(frozen=True, slots=True)
class _Mesh:
    """The square mesh of a region."""

    frame: LocalFrame
    west_m: float
    south_m: float
    step_m: float
    rows: int
    columns: int

    @classmethod
    def of(cls, step_m: float, frame: LocalFrame, extent: Extent) -> _Mesh:
        west_m, south_m = local_coords(np.array([[extent.west, extent.south]]), frame)[0].tolist()
        width_m, height_m = extent.size_m
        rows, columns = (max(1, int(np.ceil(side / step_m))) for side in (height_m, width_m))
        return cls(frame, west_m, south_m, step_m, rows, columns)

    def laid(self, at: Floats, persons: Floats) -> npt.NDArray[np.float32]:
        """Persons at places ``(lon, lat)`` in the extent, by cell."""
        east, north = local_coords(at, self.frame).T
        column = np.clip((east - self.west_m) // self.step_m, 0, self.columns - 1).astype(np.int64)
        row = np.clip((north - self.south_m) // self.step_m, 0, self.rows - 1).astype(np.int64)
        counts = np.bincount(row * self.columns + column, persons, minlength=self.rows * self.columns)
        # Hundredths: finer digits would be noise that takes space.
        return np.round(counts, 2).reshape(self.rows, self.columns).astype(np.float32)


def _rastered(
    census: Census, near: Ints, share: Floats, spread: _Spread, frame: LocalFrame, extent: Extent, notes: ImportNotes
) -> Population:
    unit, (per_lat, _) = UNITS[census.level], UNITS_PER_DEGREE
    low, high = STEP_M
    step_m = float(np.clip(round(111_000.0 * unit / per_lat / CELLS_PER_MESH / 10) * 10, low, high))
    grid, mesh = _Mesh.of(step_m, frame, extent), near[spread.mesh]

    def laid(figures: Floats) -> npt.NDArray[np.float32]:
        return grid.laid(spread.at, (figures * share)[mesh] * spread.part)

    bands = tuple((name, laid(figures)) for name, figures in census.bands.items())
    population = Population(grid.west_m, grid.south_m, grid.step_m, laid(census.persons), bands, "e-Stat census mesh")
    notes.counts["persons"] = round(float(population.persons.sum()))
    lost = int(((share[near] > 0.0) & (np.bincount(spread.mesh, minlength=len(near)) == 0)).sum())
    notes.skip("census meshes that the extent merely touches", lost)
    return population
