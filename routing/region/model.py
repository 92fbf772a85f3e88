"""A region: an operating area as planning, simulation and the console know it."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from routing.errors import BadInput
from routing.geo import LocalFrame, Position


class SiteKind(StrEnum):
    """What a site is for."""

    HUB = "hub"
    DROP_POINT = "drop_point"


@dataclass(frozen=True, slots=True)
class Site:
    """A place where vehicles start, end or serve. ``node`` is its node of the ground network, if any."""

    site_id: str
    kind: SiteKind
    name_ja: str
    name_en: str
    position: Position
    node: str | None
    accepts_drone: bool
    accepts_robot: bool


@dataclass(frozen=True, slots=True)
class GroundNode:
    """A point of the ground network; altitude is the terrain's."""

    node_id: str
    position: Position


@dataclass(frozen=True, slots=True)
class GroundEdge:
    """A way that robots may use in both directions."""

    a: str
    b: str
    length_m: float


@dataclass(frozen=True, slots=True)
class Zone:
    """A UAS geographical zone that flights must not enter: a closed ring of ``(lat, lon)``."""

    zone_id: str
    name_ja: str
    name_en: str
    ring: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Terrain:
    """Ground heights AMSL on a regular grid of the local frame.

    ``heights_m`` has shape ``(rows, columns)``, at least 2 x 2; row 0 is the southern edge, column 0 the
    western. ``datum`` names the vertical datum of the heights. Raises ``BadInput`` for a grid that is not
    rectangular and finite.
    """

    west_m: float
    south_m: float
    step_m: float
    heights_m: tuple[tuple[float, ...], ...]
    datum: str
    # The same heights as an array: a lookup must not convert the whole grid.
    _grid: npt.NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len({len(row) for row in self.heights_m}) != 1:
            raise BadInput("terrain: the rows of heights_m must all have the same length")
        grid = np.array(self.heights_m, dtype=np.float64)
        if min(grid.shape) < 2 or not np.isfinite(grid).all():
            raise BadInput("terrain: heights_m must be at least 2 x 2 finite numbers")
        if not (self.step_m > 0 and np.isfinite([self.west_m, self.south_m, self.step_m]).all()):
            raise BadInput("terrain: west_m, south_m and step_m must be finite and step_m positive")
        grid.setflags(write=False)
        object.__setattr__(self, "_grid", grid)

    def height_m(self, east_m: npt.ArrayLike, north_m: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Bilinear ground height AMSL at local coordinates; clamped to the edge of the grid outside it."""
        grid = self._grid
        rows, columns = grid.shape
        x = np.clip((np.asarray(east_m, dtype=np.float64) - self.west_m) / self.step_m, 0, columns - 1)
        y = np.clip((np.asarray(north_m, dtype=np.float64) - self.south_m) / self.step_m, 0, rows - 1)
        left = np.minimum(x.astype(int), columns - 2)
        low = np.minimum(y.astype(int), rows - 2)
        fx, fy = x - left, y - low
        south = grid[low, left] * (1 - fx) + grid[low, left + 1] * fx
        north = grid[low + 1, left] * (1 - fx) + grid[low + 1, left + 1] * fx
        return np.asarray(south * (1 - fy) + north * fy, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Region:
    """An immutable operating area. ``region_id`` is also the VDA 5050 ``mapId``.

    Raises ``BadInput`` when an id is used twice, an edge or a site names a node that is not there, or a
    position or length is not a number that can be.
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

    def __post_init__(self) -> None:
        nodes = {node.node_id for node in self.nodes}
        for kind, total, distinct in (
            ("site", len(self.sites), len({site.site_id for site in self.sites})),
            ("node", len(self.nodes), len(nodes)),
            ("zone", len(self.zones), len({zone.zone_id for zone in self.zones})),
        ):
            if total != distinct:
                raise BadInput(f"region {self.region_id!r}: a {kind} id is used twice")
        for edge in self.edges:
            if edge.a not in nodes or edge.b not in nodes:
                raise BadInput(f"region {self.region_id!r}: edge {edge.a}-{edge.b} names an unknown node")
            if not 0.0 <= edge.length_m < math.inf:
                raise BadInput(f"region {self.region_id!r}: edge {edge.a}-{edge.b} has no length")
        places = [("origin", self.origin), *((f"site {s.site_id}", s.position) for s in self.sites)]
        for name, place in (*places, *((f"node {n.node_id}", n.position) for n in self.nodes)):
            # The poles have no local frame.
            if not (abs(place.lat) < 90 and abs(place.lon) <= 180 and math.isfinite(place.alt_amsl_m)):
                raise BadInput(f"region {self.region_id!r}: {name} is not on the earth")
        for site in self.sites:
            if site.node is not None and site.node not in nodes:
                raise BadInput(f"region {self.region_id!r}: site {site.site_id} names an unknown node")

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
        """Plain data for a bundle's ``region.json``."""
        data = asdict(self)
        del data["terrain"]["_grid"]
        return data

    def content_hash(self) -> str:
        """SHA-256 of the canonical JSON: equal regions have equal hashes."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


def _position(data: dict[str, Any]) -> Position:
    return Position(float(data["lat"]), float(data["lon"]), float(data["alt_amsl_m"]))


def region_from_json(data: dict[str, Any]) -> Region:
    """Read what ``Region.to_json`` wrote; raises ``BadInput`` naming the missing or malformed key."""
    try:
        terrain = data["terrain"]
        return Region(
            region_id=str(data["region_id"]),
            name_ja=str(data["name_ja"]),
            name_en=str(data["name_en"]),
            origin=_position(data["origin"]),
            terrain=Terrain(
                float(terrain["west_m"]),
                float(terrain["south_m"]),
                float(terrain["step_m"]),
                tuple(tuple(float(h) for h in row) for row in terrain["heights_m"]),
                str(terrain["datum"]),
            ),
            sites=tuple(
                Site(
                    str(s["site_id"]),
                    SiteKind(s["kind"]),
                    str(s["name_ja"]),
                    str(s["name_en"]),
                    _position(s["position"]),
                    s["node"],
                    bool(s["accepts_drone"]),
                    bool(s["accepts_robot"]),
                )
                for s in data["sites"]
            ),
            nodes=tuple(GroundNode(str(n["node_id"]), _position(n["position"])) for n in data["nodes"]),
            edges=tuple(GroundEdge(str(e["a"]), str(e["b"]), float(e["length_m"])) for e in data["edges"]),
            zones=tuple(
                Zone(
                    str(z["zone_id"]),
                    str(z["name_ja"]),
                    str(z["name_en"]),
                    tuple((float(lat), float(lon)) for lat, lon in z["ring"]),
                )
                for z in data["zones"]
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"region: missing or malformed {error}") from error


def load_region(path: Path) -> Region:
    """Read a region bundle's ``region.json``; raises ``BadInput`` naming the file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such region; create one with 'todoke region sample'") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not a region file: {error}") from error
    return region_from_json(data)
