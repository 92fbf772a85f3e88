"""Sites from a file that somebody wrote, and how a site is joined to the ground network and given pads."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from routing.errors import BadInput
from routing.formats.zones_geojson import read_geojson
from routing.geo import LocalFrame, Position
from routing.region.extent import Extent
from routing.region.model import Site, SiteKind, Terrain
from routing.region.network import Network
from routing.region.osm import clean
from routing.region.pads import Pads

COLUMNS = ("id", "kind", "name_ja", "name_en", "lat", "lon", "accepts")
NEEDED = ("id", "kind", "lat", "lon", "accepts")

SNAP_M = 50.0
"""A site for robots lies at most this far from a way that they may use."""

PADS = {SiteKind.HUB: 6, SiteKind.DRONE_PORT: 4, SiteKind.EMERGENCY: 2}
"""Most pads of a site; one where the kind is not named."""

MAX_BYTES = 4 * 2**20
MAX_SITES = 2_000
MAX_PROBLEMS = 20
"""Bounds of a file of sites; after that many problems reading stops."""

_ACCEPTS = {
    "drone": (True, False),
    "robot": (False, True),
    **dict.fromkeys(("both", "drone+robot", "robot+drone", "drone robot", "robot drone"), (True, True)),
    **dict.fromkeys(("drone,robot", "robot,drone", "drone/robot", "robot/drone"), (True, True)),
}


@dataclass(frozen=True, slots=True)
class WantedSite:
    """A site before it is joined to the network; ``where`` is what errors call it."""

    site_id: str
    kind: SiteKind
    name_ja: str
    name_en: str
    lon: float
    lat: float
    accepts_drone: bool
    accepts_robot: bool
    where: str = ""


def read_sites(path: Path, extent: Extent) -> list[WantedSite]:
    """Read a CSV file with the columns ``COLUMNS`` (names may be left out), or GeoJSON points with these properties.

    ``accepts`` is drone, robot or both. Raises ``BadInput`` with each row, column and reason, at most
    ``MAX_PROBLEMS`` of them; nothing is taken then.
    """
    records = _geojson(path) if path.suffix.lower() in (".geojson", ".json") else _csv(path)
    sites: list[WantedSite] = []
    problems: list[str] = []
    seen: set[str] = set()
    for where, record in records:
        try:
            site = _wanted(where, record, extent)
            if site.site_id in seen:
                raise ValueError(f"id: {site.site_id!r} is used twice")
        except ValueError as error:
            problems.append(f"{where}, {error}")
            if len(problems) >= MAX_PROBLEMS:
                break
            continue
        seen.add(site.site_id)
        sites.append(site)
    if len(sites) > MAX_SITES:
        problems.append(f"more than {MAX_SITES} sites")
    if not sites and not problems:
        problems.append("there are no sites in it")
    if problems:
        raise BadInput(f"--sites {path}: {'; '.join(problems)}")
    if not any(site.kind is SiteKind.HUB for site in sites):
        raise BadInput(f"--sites {path}: no site of kind hub: vehicles need one to start from")
    return sites


def _csv(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInput(f"--sites {path}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise BadInput(f"--sites {path}: larger than {MAX_BYTES // 2**20} MiB")
    for encoding in ("utf-8-sig", "cp932"):
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise BadInput(f"--sites {path}: neither UTF-8 nor Shift_JIS (cp932)")
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    try:
        header = [str(name).strip().lower() for name in reader.fieldnames or ()]
        missing = [name for name in NEEDED if name not in header]
        if missing or len(set(header)) != len(header):
            names = f"columns missing: {', '.join(missing)}" if missing else "a column is there twice"
            raise BadInput(f"--sites {path}: line 1: {names}; the columns are {','.join(COLUMNS)}")
        reader.fieldnames = header
        for row in reader:
            if None in row:
                raise BadInput(f"--sites {path}: line {reader.line_num}: more cells than columns")
            if any((cell or "").strip() for cell in row.values()):
                yield f"line {reader.line_num}", row
    except csv.Error as error:
        raise BadInput(f"--sites {path}: line {reader.line_num}: not CSV: {error}") from error


def _geojson(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for index, feature in enumerate(read_geojson(path, "--sites")):
        geometry, properties = feature["geometry"], feature.get("properties")
        at = geometry.get("coordinates")
        if geometry.get("type") != "Point" or not isinstance(at, list) or len(at) < 2:
            raise BadInput(f"--sites {path}: feature {index}: a Point with [lon, lat] is needed")
        record = dict(properties) if isinstance(properties, dict) else {}
        if isinstance(record.get("accepts"), list):
            record["accepts"] = "+".join(str(each) for each in record["accepts"])
        if "id" not in record and "id" in feature:
            record["id"] = feature["id"]
        yield f"feature {index}", record | {"lon": at[0], "lat": at[1]}


def _wanted(where: str, record: Mapping[str, Any], extent: Extent) -> WantedSite:
    site_id = str(record.get("id") or "").strip()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}", site_id):
        raise ValueError(f"id: {site_id[:40]!r}: letters, digits, '-', '_' and '.' are needed, at most 40")
    try:
        kind = SiteKind(str(record.get("kind") or "").strip().lower().replace(" ", "_"))
    except ValueError:
        kinds = ", ".join(kind.value for kind in SiteKind)
        raise ValueError(f"kind: {str(record.get('kind'))[:40]!r} is none of {kinds}") from None
    accepts = _ACCEPTS.get(str(record.get("accepts") or "").strip().lower())
    if accepts is None:
        raise ValueError(f"accepts: {str(record.get('accepts'))[:40]!r}: drone, robot or both is needed")
    lat, lon = (_degrees(record, name) for name in ("lat", "lon"))
    if not (extent.south <= lat <= extent.north and extent.west <= lon <= extent.east):
        raise ValueError(f"lat, lon: {lat}, {lon} is outside the region ({extent}: south,west,north,east)")
    name = clean(str(record.get("name") or ""))
    name_ja, name_en = (clean(str(record.get(f"name_{code}") or "")) for code in ("ja", "en"))
    return WantedSite(
        site_id,
        kind,
        name_ja or name or name_en or site_id,
        name_en or name or name_ja or site_id,
        lon,
        lat,
        *accepts,
        where,
    )


def _degrees(record: Mapping[str, Any], name: str) -> float:
    given = record.get(name)
    try:
        value = math.nan if isinstance(given, bool) or given is None else float(given)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name}: {str(given)[:40]!r} is not a number")
    return value


class Placing:
    """Joins sites to the ways that robots may use, and gives them pads."""

    def __init__(self, network: Network, frame: LocalFrame, terrain: Terrain, pads: Pads) -> None:
        self._network, self._frame, self._terrain, self._pads = network, frame, terrain, pads
        usable = np.zeros(len(network.nodes), dtype=bool)
        usable[network.ends[network.for_robots()].ravel()] = True
        self.usable = np.flatnonzero(usable)
        self._tree = KDTree(network.xy[self.usable]) if len(self.usable) else None

    def nearest(self, places: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Distance to, and number of, the node that a robot can reach nearest to each place."""
        if self._tree is None:
            return np.full(len(places), np.inf), np.zeros(len(places), dtype=np.int64)
        distances, found = self._tree.query(places)
        return distances, self.usable[found]

    def placed(self, wanted: Iterable[WantedSite]) -> tuple[Site, ...]:
        """Return sites; raises ``BadInput`` naming those that have no way within ``SNAP_M`` or no room for a pad."""
        sites, problems = [], []
        for draft in wanted:
            try:
                sites.append(self.place(draft))
            except BadInput as error:
                problems.append(f"{draft.where or draft.site_id}: {error}")
        if problems:
            shown = "; ".join(itertools.islice(problems, MAX_PROBLEMS))
            raise BadInput(f"--sites: {shown}")
        return tuple(sites)

    def place(self, draft: WantedSite) -> Site:
        """Return a site. One for robots stands at its node: that is where they stop."""
        at = self._frame.to_local(Position(draft.lat, draft.lon))
        node = None
        position = Position(round(draft.lat, 7), round(draft.lon, 7), round(float(self._terrain.height_m(*at)), 1))
        if draft.accepts_robot:
            node, position = self._snapped(at)
        pads: Sequence[Position] = ()
        if draft.accepts_drone:
            pads = self._pads.near(self._frame.to_local(position), PADS.get(draft.kind, 1))
            if not pads:
                raise BadInput("no room for a pad: buildings, water, steep ground, zones or obstacles all around")
        return Site(
            draft.site_id,
            draft.kind,
            draft.name_ja,
            draft.name_en,
            position,
            node,
            draft.accepts_drone,
            draft.accepts_robot,
            tuple(pads),
        )

    def _snapped(self, at: tuple[float, float]) -> tuple[str, Position]:
        distance_m, number = (each[0] for each in self.nearest(np.array([at])))
        if not distance_m <= SNAP_M:
            away = f"the nearest is {distance_m:.0f} m away" if math.isfinite(distance_m) else "there is none"
            raise BadInput(f"accepts robots, but no way that they may use lies within {SNAP_M:.0f} m: {away}")
        node = self._network.nodes[int(number)]
        return node.node_id, node.position
