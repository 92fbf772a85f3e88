"""A region: an operating area as planning, simulation and the console know it.

Reading and writing is ``routing.region.bundle``'s.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from routing.errors import BadInput
from routing.geo import LocalFrame, Position

PAD_SPACING_M = 12.0
"""Least distance between the pads of a site: two drones of 1.5 m with a position error of 3 m each, and a person
between them."""

_SPACING_TOLERANCE_M = 0.1

Raster = npt.NDArray[np.float32]


class SiteKind(StrEnum):
    """What a site is for."""

    HUB = "hub"
    DRONE_PORT = "drone_port"
    DROP_POINT = "drop_point"
    CHARGING = "charging"
    EMERGENCY = "emergency"


class WayKind(StrEnum):
    """What a part of the ground network is."""

    FOOTWAY = "footway"
    PATH = "path"
    STEPS = "steps"
    CROSSING = "crossing"
    RESIDENTIAL = "residential"
    SERVICE = "service"
    ROAD = "road"
    TRACK = "track"


@dataclass(frozen=True, slots=True)
class Site:
    """A place where vehicles start, end or serve.

    ``node`` is its node of the ground network, if any. ``pads`` are where drones stand and land, the nearest to
    ``position`` first, at least ``PAD_SPACING_M`` apart; a site that accepts drones has one.
    """

    site_id: str
    kind: SiteKind
    name_ja: str
    name_en: str
    position: Position
    node: str | None
    accepts_drone: bool
    accepts_robot: bool
    pads: tuple[Position, ...] = ()

    @property
    def landing(self) -> Position:
        """Where a drone comes down: the first pad."""
        return self.pads[0] if self.pads else self.position


@dataclass(frozen=True, slots=True)
class GroundNode:
    """A point of the ground network; altitude is the terrain's."""

    node_id: str
    position: Position


@dataclass(frozen=True, slots=True)
class GroundEdge:
    """A straight piece of a way, in both directions; ``length_m`` is measured on the slope.

    ``robot``: a sidewalk robot (0.7 m wide, no steps) may use it. ``crossing``: it crosses a road.
    ``width_m`` is None where nobody has measured it.
    """

    a: str
    b: str
    length_m: float
    kind: WayKind = WayKind.FOOTWAY
    width_m: float | None = None
    surface: str = "paved"
    crossing: bool = False
    robot: bool = True


@dataclass(frozen=True, slots=True)
class Zone:
    """A UAS geographical zone that flights must not enter at any height: a closed ring of ``(lat, lon)``.

    ``kind`` is what is protected: school, clinic, helipad, prison, ...
    """

    zone_id: str
    kind: str
    name_ja: str
    name_en: str
    ring: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something tall and thin: one point of ``line`` is a mast, more are a line between pylons.

    Altitudes are those of its top. Flights keep ``margin_m`` away from it horizontally, or 20 m above it.
    ``kind``: power_line, mast, ropeway, ...
    """

    obstacle_id: str
    kind: str
    name_en: str
    line: tuple[Position, ...]
    margin_m: float


@dataclass(frozen=True, slots=True)
class Feature:
    """Something to draw, which no rule looks at: a line or a closed area of ``(lat, lon)``.

    ``kind``: river, water, building, forest, road or power_line.
    """

    kind: str
    name: str
    coords: tuple[tuple[float, float], ...]
    closed: bool


def _raster(values: npt.ArrayLike, what: str) -> Raster:
    """Return a read-only copy as little-endian float32, which has the same bytes on every machine."""
    try:
        grid = np.array(values, dtype="<f4", order="C")
    except (TypeError, ValueError) as error:
        raise BadInput(f"{what} must be a rectangular grid of numbers: {error}") from error
    grid.setflags(write=False)
    return grid


def _check_grid(what: str, west_m: float, south_m: float, step_m: float) -> None:
    if not (step_m > 0 and math.isfinite(west_m) and math.isfinite(south_m) and math.isfinite(step_m)):
        raise BadInput(f"{what}: west_m, south_m and step_m must be finite and step_m positive")


@dataclass(frozen=True, slots=True, eq=False)
class Terrain:
    """Ground heights AMSL at the points of a regular grid of the local frame.

    ``heights`` is a read-only float32 array of shape ``(rows, columns)``, at least 2 x 2; row 0 is the southern
    edge, column 0 the western. ``datum`` names the vertical datum, ``error_m`` is the vertical error that 90 % of
    heights keep within. Raises ``BadInput`` for a grid that is not rectangular and finite.
    """

    west_m: float
    south_m: float
    step_m: float
    heights: Raster
    datum: str
    error_m: float

    def __post_init__(self) -> None:
        heights = _raster(self.heights, "terrain: heights")
        if heights.ndim != 2 or min(heights.shape) < 2 or not np.isfinite(heights).all():
            raise BadInput("terrain: heights must be at least 2 x 2 finite numbers")
        _check_grid("terrain", self.west_m, self.south_m, self.step_m)
        if not 0 <= self.error_m < math.inf:
            raise BadInput("terrain: error_m must be a number from 0 on")
        object.__setattr__(self, "heights", heights)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Terrain):
            return NotImplemented
        return self._key() == other._key() and np.array_equal(self.heights, other.heights)

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return (self.west_m, self.south_m, self.step_m, self.heights.shape, self.datum, self.error_m)

    @property
    def east_m(self) -> float:
        """The eastern edge."""
        return float(self.west_m + (self.heights.shape[1] - 1) * self.step_m)

    @property
    def north_m(self) -> float:
        """The northern edge."""
        return float(self.south_m + (self.heights.shape[0] - 1) * self.step_m)

    def height_m(self, east_m: npt.ArrayLike, north_m: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Bilinear ground height AMSL at local coordinates; clamped to the edge of the grid outside it."""
        grid = self.heights
        rows, columns = grid.shape
        x = np.clip((np.asarray(east_m, dtype=np.float64) - self.west_m) / self.step_m, 0, columns - 1)
        y = np.clip((np.asarray(north_m, dtype=np.float64) - self.south_m) / self.step_m, 0, rows - 1)
        left = np.minimum(x.astype(int), columns - 2)
        low = np.minimum(y.astype(int), rows - 2)
        fx, fy = x - left, y - low
        south = grid[low, left] * (1 - fx) + grid[low, left + 1] * fx
        north = grid[low + 1, left] * (1 - fx) + grid[low + 1, left + 1] * fx
        return np.asarray(south * (1 - fy) + north * fy, dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Persons per cell of a regular mesh of the local frame.

    ``persons`` is a read-only float32 array of shape ``(rows, columns)``; row 0 is the southernmost. The south-west
    corner of the first cell is at ``west_m``, ``south_m``. Raises ``BadInput`` for a mesh that is not rectangular,
    finite and free of negative numbers.
    """

    west_m: float
    south_m: float
    step_m: float
    persons: Raster

    def __post_init__(self) -> None:
        persons = _raster(self.persons, "population: persons")
        if persons.ndim != 2 or not persons.size or not (np.isfinite(persons).all() and (persons >= 0).all()):
            raise BadInput("population: persons must be a grid of finite numbers from 0 on")
        _check_grid("population", self.west_m, self.south_m, self.step_m)
        object.__setattr__(self, "persons", persons)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Population):
            return NotImplemented
        return self._key() == other._key() and np.array_equal(self.persons, other.persons)

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return (self.west_m, self.south_m, self.step_m, self.persons.shape)


@dataclass(frozen=True, slots=True)
class Region:
    """An immutable operating area. ``region_id`` is also the VDA 5050 ``mapId``.

    Raises ``BadInput`` when an id is used twice, an edge or a site names a node that is not there, pads are missing
    or too near to one another, or a position or length is not a number that can be.
    """

    region_id: str
    name_ja: str
    name_en: str
    origin: Position
    terrain: Terrain
    sites: tuple[Site, ...]
    nodes: tuple[GroundNode, ...]
    edges: tuple[GroundEdge, ...]
    zones: tuple[Zone, ...]
    obstacles: tuple[Obstacle, ...] = ()
    features: tuple[Feature, ...] = ()
    population: Population | None = None
    # Worked out when first asked for: it reads the whole region.
    _hash: str | None = field(init=False, default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            self._check()
        except BadInput as error:
            raise BadInput(f"region {self.region_id!r}: {error}") from None

    def _check(self) -> None:
        nodes = {node.node_id for node in self.nodes}
        for kind, total, distinct in (
            ("site", len(self.sites), len({site.site_id for site in self.sites})),
            ("node", len(self.nodes), len(nodes)),
            ("zone", len(self.zones), len({zone.zone_id for zone in self.zones})),
            ("obstacle", len(self.obstacles), len({obstacle.obstacle_id for obstacle in self.obstacles})),
        ):
            if total != distinct:
                raise BadInput(f"a {kind} id is used twice")
        for edge in self.edges:
            if edge.a not in nodes or edge.b not in nodes:
                raise BadInput(f"edge {edge.a}-{edge.b} names an unknown node")
            if not 0.0 <= edge.length_m < math.inf:
                raise BadInput(f"edge {edge.a}-{edge.b} has no length")
            if edge.width_m is not None and not 0.0 < edge.width_m < math.inf:
                raise BadInput(f"edge {edge.a}-{edge.b} has no width that can be")
        _on_earth("origin", self.origin)
        for node in self.nodes:
            _on_earth(f"node {node.node_id}", node.position)
        for site in self.sites:
            _on_earth(f"site {site.site_id}", site.position, *site.pads)
            if site.node is not None and site.node not in nodes:
                raise BadInput(f"site {site.site_id} names an unknown node")
            _check_pads(site, self.frame)
        for obstacle in self.obstacles:
            _on_earth(f"obstacle {obstacle.obstacle_id}", *obstacle.line)
            if not obstacle.line or not 0.0 <= obstacle.margin_m < math.inf:
                raise BadInput(f"obstacle {obstacle.obstacle_id} needs a point and a margin_m from 0 on")

    @property
    def frame(self) -> LocalFrame:
        """The local metric frame at the region's origin."""
        return LocalFrame(self.origin)

    def site(self, site_id: str) -> Site:
        """Return a site; raises ``BadInput`` naming the sites there are when it does not exist."""
        for site in self.sites:
            if site.site_id == site_id:
                return site
        known = ", ".join(site.site_id for site in self.sites)
        raise BadInput(f"site {site_id!r} is not in region {self.region_id!r}; known sites: {known}")

    def ground_amsl_m(self, position: Position) -> float:
        """Terrain height AMSL under a position."""
        east_m, north_m = self.frame.to_local(position)
        return float(self.terrain.height_m(east_m, north_m))

    def to_json(self) -> dict[str, Any]:
        """Plain data for a bundle's ``region.json``: everything but the numbers of the rasters.

        The network is in columns, since it is by far the longest part.
        """
        terrain, population = self.terrain, self.population
        return {
            "region_id": self.region_id,
            "name_ja": self.name_ja,
            "name_en": self.name_en,
            "origin": asdict(self.origin),
            "terrain": {
                "west_m": float(terrain.west_m),
                "south_m": float(terrain.south_m),
                "step_m": float(terrain.step_m),
                "datum": terrain.datum,
                "error_m": float(terrain.error_m),
            },
            "population": population
            and {
                "west_m": float(population.west_m),
                "south_m": float(population.south_m),
                "step_m": float(population.step_m),
            },
            "sites": [asdict(site) | {"kind": site.kind.value} for site in self.sites],
            "zones": [asdict(zone) for zone in self.zones],
            "obstacles": [asdict(obstacle) for obstacle in self.obstacles],
            "features": [asdict(feature) for feature in self.features],
            "nodes": {
                "node_id": [node.node_id for node in self.nodes],
                "lat": [float(node.position.lat) for node in self.nodes],
                "lon": [float(node.position.lon) for node in self.nodes],
                "alt_amsl_m": [float(node.position.alt_amsl_m) for node in self.nodes],
            },
            "edges": {
                "a": [edge.a for edge in self.edges],
                "b": [edge.b for edge in self.edges],
                "length_m": [float(edge.length_m) for edge in self.edges],
                "kind": [edge.kind.value for edge in self.edges],
                "width_m": [None if edge.width_m is None else float(edge.width_m) for edge in self.edges],
                "surface": [edge.surface for edge in self.edges],
                "crossing": [edge.crossing for edge in self.edges],
                "robot": [edge.robot for edge in self.edges],
            },
        }

    def content_hash(self) -> str:
        """SHA-256 over the canonical JSON and the rasters: equal regions have equal hashes."""
        if self._hash is None:
            canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            digest = hashlib.sha256(canonical.encode())
            for raster in (self.terrain.heights, self.population.persons if self.population else None):
                digest.update(b"-" if raster is None else repr(raster.shape).encode() + raster.tobytes())
            object.__setattr__(self, "_hash", digest.hexdigest())
        return str(self._hash)


def _on_earth(name: str, *places: Position) -> None:
    for place in places:
        # The poles have no local frame.
        if not (abs(place.lat) < 90 and abs(place.lon) <= 180 and math.isfinite(place.alt_amsl_m)):
            raise BadInput(f"{name} is not on the earth")


def _check_pads(site: Site, frame: LocalFrame) -> None:
    if site.accepts_drone and not site.pads:
        raise BadInput(f"site {site.site_id} accepts drones and needs a pad")
    at = [frame.to_local(pad) for pad in site.pads]
    if any(math.dist(a, b) < PAD_SPACING_M - _SPACING_TOLERANCE_M for a, b in itertools.combinations(at, 2)):
        raise BadInput(f"site {site.site_id}: pads must be at least {PAD_SPACING_M:.0f} m apart")
    away = [math.dist(frame.to_local(site.position), pad) for pad in at]
    if away and away[0] > min(away) + _SPACING_TOLERANCE_M:
        raise BadInput(f"site {site.site_id}: the pad nearest to its position must be the first")
