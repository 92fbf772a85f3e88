"""A region: an operating area as planning, simulation and the console know it.

Reading and writing is ``routing.region.bundle``'s.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import asdict, dataclass, field
from datetime import datetime
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

    ``robot``: a sidewalk robot may use it and, kerbs apart, the usual one can (0.7 m wide, no steps, 15 %).
    ``crossing``: it crosses a road. Types that are wider or climb less pass fewer edges (``GroundNetwork``).
    ``width_m`` (of a road with a sidewalk, that of the sidewalk) is None where nobody has measured it, ``incline``
    (rise over run from ``a`` to ``b``) where nobody has tagged it and the nodes' heights decide. ``road``: a larger
    robot may use it; ``one_way`` (from ``a`` to ``b``) binds it alone. ``kerb_m`` is the height of a kerb on it,
    ``max_speed_mps`` the limit of the road.
    """

    a: str
    b: str
    length_m: float
    kind: WayKind = WayKind.FOOTWAY
    width_m: float | None = None
    surface: str = "paved"
    crossing: bool = False
    robot: bool = True
    road: bool = False
    one_way: bool = False
    incline: float | None = None
    kerb_m: float = 0.0
    max_speed_mps: float | None = None


class AltitudeReference(StrEnum):
    """What a height is measured from."""

    AGL = "agl"
    AMSL = "amsl"
    ELLIPSOID = "ellipsoid"


class Restriction(StrEnum):
    """What a zone asks of a flight (the restriction types of ED-269 and ED-318)."""

    PROHIBITED = "prohibited"
    AUTHORISATION = "authorisation"
    CONDITIONAL = "conditional"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Period:
    """When a zone applies: from ``begins`` to ``ends`` (``None``: open), on ``weekdays`` (0 is Monday; empty: all),
    from ``from_minute`` to ``to_minute`` of the day in UTC (past midnight where the second is less)."""

    begins: datetime | None = None
    ends: datetime | None = None
    weekdays: tuple[int, ...] = ()
    from_minute: int = 0
    to_minute: int = 1_440


@dataclass(frozen=True, slots=True)
class Zone:
    """A UAS geographical zone (ED-318): a closed ring of ``(lat, lon)`` from ``floor_m`` to ``ceiling_m``.

    ``kind`` is what is protected: school, clinic, helipad, prison, ... ``None`` for a floor or ceiling leaves that
    side open. ``schedule``: it applies in any of these periods; empty: always. PROHIBITED is closed to all,
    AUTHORISATION to all without a ``Permit`` that names it, CONDITIONAL to all but the vehicles that meet
    ``conditions`` (``lane``: along a lane only), NONE to nobody. ``margin_m`` is kept around it (``None``:
    ``airspace.ZONE_MARGIN_M``).
    """

    zone_id: str
    kind: str
    name_ja: str
    name_en: str
    ring: tuple[tuple[float, float], ...]
    floor_m: float | None = None
    floor_reference: AltitudeReference = AltitudeReference.AGL
    ceiling_m: float | None = None
    ceiling_reference: AltitudeReference = AltitudeReference.AGL
    restriction: Restriction = Restriction.PROHIBITED
    conditions: tuple[str, ...] = ()
    schedule: tuple[Period, ...] = ()
    margin_m: float | None = None


@dataclass(frozen=True, slots=True)
class LaneSection:
    """A section of a drone lane (along a river or a power line) between two junctions.

    ``line`` runs from junction ``a`` to junction ``b`` at the height of its centre; flights along it stay within
    ``width_m`` / 2 of it (Japan's guideline 1.1: 100 m, at least 50 m). ``capacity``: drones in it at once.
    """

    section_id: str
    a: str
    b: str
    line: tuple[Position, ...]
    width_m: float = 100.0
    one_way: bool = False
    capacity: int = 1_000


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A raster of the region beside its terrain, with the grid as of ``Terrain``: ``values[0, 0]`` lies at
    ``west_m``, ``south_m``. Infinite values are allowed where they have a meaning.
    """

    west_m: float
    south_m: float
    step_m: float
    values: Raster
    source: str = ""

    def __post_init__(self) -> None:
        values = _raster(self.values, "layer: values")
        if values.ndim != 2 or min(values.shape) < 2 or np.isnan(values).any():
            raise BadInput("layer: values must be at least 2 x 2 numbers")
        _check_grid("layer", self.west_m, self.south_m, self.step_m)
        object.__setattr__(self, "values", values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Layer):
            return NotImplemented
        return self._key() == other._key() and np.array_equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return (self.west_m, self.south_m, self.step_m, self.values.shape, self.source)

    def at(self, east_m: npt.ArrayLike, north_m: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Bilinear values at local coordinates; clamped to the edge of the grid outside it. For finite values."""
        return _bilinear(self.values, self.west_m, self.south_m, self.step_m, east_m, north_m)

    def greatest(self, east_m: npt.ArrayLike, north_m: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The greatest of the four values around local coordinates; clamped to the edge of the grid outside it."""
        left, low, _, _ = _square(self.values, self.west_m, self.south_m, self.step_m, east_m, north_m)
        around = [self.values[low + up, left + right] for up in (0, 1) for right in (0, 1)]
        return np.asarray(np.max(np.stack(around), axis=0), dtype=np.float64)


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
    """Something to draw: a line or a closed area of ``(lat, lon)``.

    ``kind``: river, water, building, forest, road or power_line, which no rule looks at; municipality, by which
    coverage is summed; robot_area, outside of which robots do not drive, and no_robot_area, inside of which they do
    not (``routing.ground_rules``).
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


def _square(
    grid: Raster, west_m: float, south_m: float, step_m: float, east_m: npt.ArrayLike, north_m: npt.ArrayLike
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Column and row of the point south-west of each place, and how far beyond it the place is, 0 to 1."""
    rows, columns = grid.shape
    x = np.clip((np.asarray(east_m, dtype=np.float64) - west_m) / step_m, 0, columns - 1)
    y = np.clip((np.asarray(north_m, dtype=np.float64) - south_m) / step_m, 0, rows - 1)
    left = np.minimum(x.astype(int), columns - 2)
    low = np.minimum(y.astype(int), rows - 2)
    return left, low, x - left, y - low


def _bilinear(
    grid: Raster, west_m: float, south_m: float, step_m: float, east_m: npt.ArrayLike, north_m: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    left, low, fx, fy = _square(grid, west_m, south_m, step_m, east_m, north_m)
    south = grid[low, left] * (1 - fx) + grid[low, left + 1] * fx
    north = grid[low + 1, left] * (1 - fx) + grid[low + 1, left + 1] * fx
    return np.asarray(south * (1 - fy) + north * fy, dtype=np.float64)


def _persons(values: npt.ArrayLike, what: str) -> Raster:
    persons = _raster(values, what)
    if persons.ndim != 2 or not persons.size or not (np.isfinite(persons).all() and (persons >= 0).all()):
        raise BadInput(f"{what} must be a grid of finite numbers from 0 on")
    return persons


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
        return _bilinear(self.heights, self.west_m, self.south_m, self.step_m, east_m, north_m)


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Persons per cell of a regular mesh of the local frame.

    ``persons`` is a read-only float32 array of shape ``(rows, columns)``; row 0 is the southernmost. The south-west
    corner of the first cell is at ``west_m``, ``south_m``. ``bands`` are those of them of an age, by name (``65+``),
    in arrays of the same shape; bands may overlap. Raises ``BadInput`` for a mesh that is not rectangular, finite and
    free of negative numbers, and for bands that do not fit it.
    """

    west_m: float
    south_m: float
    step_m: float
    persons: Raster
    bands: tuple[tuple[str, Raster], ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        persons = _persons(self.persons, "population: persons")
        _check_grid("population", self.west_m, self.south_m, self.step_m)
        bands = tuple((name, _persons(band, f"population: band {name!r}")) for name, band in self.bands)
        names = [name for name, _ in bands]
        if len(set(names)) != len(names) or not all(names):
            raise BadInput("population: each band needs a name of its own")
        for name, band in bands:
            if band.shape != persons.shape:
                raise BadInput(f"population: band {name!r} has another shape than the mesh")
        object.__setattr__(self, "persons", persons)
        object.__setattr__(self, "bands", bands)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Population):
            return NotImplemented
        return self._key() == other._key() and all(map(np.array_equal, self.rasters, other.rasters))

    def __hash__(self) -> int:
        return hash(self._key())

    @property
    def rasters(self) -> tuple[Raster, ...]:
        """All arrays: everybody, then the bands."""
        return (self.persons, *(band for _, band in self.bands))

    def _key(self) -> tuple[object, ...]:
        names = tuple(name for name, _ in self.bands)
        return (self.west_m, self.south_m, self.step_m, self.persons.shape, names, self.source)


@dataclass(frozen=True, slots=True)
class Region:
    """An immutable operating area. ``region_id`` is also the VDA 5050 ``mapId``.

    ``canopy`` is the height of trees above the ground in metres, ``radio`` the least height above ground from which
    on there is a radio link (infinite: none at any), ``geoid`` the height of mean sea level above the ellipsoid.

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
    lanes: tuple[LaneSection, ...] = ()
    canopy: Layer | None = None
    radio: Layer | None = None
    geoid: Layer | None = None
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
            if edge.max_speed_mps is not None and not 0.0 < edge.max_speed_mps < math.inf:
                raise BadInput(f"edge {edge.a}-{edge.b} has no speed limit that can be")
            if not (0.0 <= edge.kerb_m < math.inf and math.isfinite(edge.incline or 0.0)):
                raise BadInput(f"edge {edge.a}-{edge.b} has no kerb or incline that can be")
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
                "bands": [name for name, _ in population.bands],
                "source": population.source,
            },
            **{name: _layer_json(layer) for name, layer in self._layers()},
            "lanes": [asdict(lane) for lane in self.lanes],
            "sites": [asdict(site) | {"kind": site.kind.value} for site in self.sites],
            "zones": [_zone_json(zone) for zone in self.zones],
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
                "road": [edge.road for edge in self.edges],
                "one_way": [edge.one_way for edge in self.edges],
                "incline": [None if edge.incline is None else float(edge.incline) for edge in self.edges],
                "kerb_m": [float(edge.kerb_m) for edge in self.edges],
                "max_speed_mps": [
                    None if edge.max_speed_mps is None else float(edge.max_speed_mps) for edge in self.edges
                ],
            },
        }

    def rasters(self) -> dict[str, Raster]:
        """The rasters that ``to_json`` leaves out, by name; ``population.0`` is that of the first age band."""
        found = {"terrain": self.terrain.heights}
        if self.population is not None:
            found["population"] = self.population.persons
            found |= {f"population.{i}": band for i, (_, band) in enumerate(self.population.bands)}
        return found | {name: layer.values for name, layer in self._layers() if layer is not None}

    def _layers(self) -> tuple[tuple[str, Layer | None], ...]:
        return (("canopy", self.canopy), ("radio", self.radio), ("geoid", self.geoid))

    def content_hash(self) -> str:
        """SHA-256 over the canonical JSON and the rasters: equal regions have equal hashes."""
        if self._hash is None:
            canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            digest = hashlib.sha256(canonical.encode())
            for name, raster in self.rasters().items():
                digest.update(f"{name} {raster.shape}".encode() + raster.tobytes())
            object.__setattr__(self, "_hash", digest.hexdigest())
        return str(self._hash)


def _layer_json(layer: Layer | None) -> dict[str, Any] | None:
    if layer is None:
        return None
    return {
        "west_m": float(layer.west_m),
        "south_m": float(layer.south_m),
        "step_m": float(layer.step_m),
        "source": layer.source,
    }


def _zone_json(zone: Zone) -> dict[str, Any]:
    schedule = [
        asdict(period)
        | {name: at and at.isoformat() for name, at in (("begins", period.begins), ("ends", period.ends))}
        for period in zone.schedule
    ]
    return asdict(zone) | {"schedule": schedule}


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
