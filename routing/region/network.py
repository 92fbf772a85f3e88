"""The ground network of a region from ways of OpenStreetMap: split at junctions and into short straight pieces."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import shapely
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import spsolve

from routing.errors import BadInput
from routing.geo import LocalFrame, Position
from routing.region.landscape import local_coords
from routing.region.model import GroundEdge, GroundNode, Terrain, WayKind
from routing.region.notes import ImportNotes
from routing.region.osm import OsmData, OsmWay
from routing.region.ways import BLOCKING_BARRIERS, STEEPEST, WayRule, read_way

LONGEST_M = 50.0
"""Longest piece of a way between two nodes."""

BEND_M = 1.5
"""Bends that stray less than this from a straight line are left out: less than the survey's error."""

MAX_NODES = 60_000
"""More are a city's network, and are refused."""

LEAST_SHARE = 0.1
"""Parts of the network that nothing joins to the largest are kept from this share of its length on."""

_ON_FOOT = (WayKind.FOOTWAY, WayKind.PATH, WayKind.CROSSING)
_Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Street:
    """The way at a node, for the names of sites; ``covered`` in a tunnel or on a bridge."""

    name: str
    kind: WayKind
    covered: bool


@dataclass(frozen=True, slots=True)
class Network:
    """Nodes and edges as in a region; ``xy`` holds the nodes in the local frame, ``streets`` the way at each node."""

    nodes: tuple[GroundNode, ...]
    edges: tuple[GroundEdge, ...]
    xy: _Array
    ends: npt.NDArray[np.int64]
    streets: tuple[Street, ...]


@dataclass(slots=True)
class _Piece:
    """A way between two junctions: its points in the local frame, and the keys of its ends."""

    way: OsmWay
    rule: WayRule
    ends: tuple[int, int]
    blocked: bool
    at_crossing: bool


def build_network(data: OsmData, frame: LocalFrame, terrain: Terrain, notes: ImportNotes) -> Network:
    """Make the network. Raises ``BadInput`` when there is none, or when it is larger than ``MAX_NODES``."""
    usable = _usable(data.highways, notes)
    blocking, crossings = _marked(data)
    lines, pieces = [], []
    for run, coords, way, rule in _runs(data, usable, blocking | crossings):
        lines.append(shapely.linestrings(local_coords(coords, frame)))
        ends = (run[0], run[-1])
        pieces.append(_Piece(way, rule, ends, not blocking.isdisjoint(ends), not crossings.isdisjoint(ends)))
    if not pieces:
        raise BadInput("there are no ways for pedestrians in the extent: choose another --bbox")
    draft = _Draft()
    for piece, line in zip(pieces, _straightened(lines), strict=True):
        draft.add(piece, line)
    if len(draft.xy) > MAX_NODES:
        raise BadInput(
            f"the ground network has {len(draft.xy)} nodes; at most {MAX_NODES} are taken: give a smaller --bbox"
        )
    return draft.finish(frame, terrain, notes)


def _usable(highways: Iterable[OsmWay], notes: ImportNotes) -> list[tuple[OsmWay, WayRule]]:
    usable = []
    for way in highways:
        rule = read_way(way.tags)
        if isinstance(rule, str):
            notes.skip(rule)
        else:
            usable.append((way, rule))
            notes.counts["ways"] += 1
    return usable


def _marked(data: OsmData) -> tuple[set[int], set[int]]:
    """Ids of nodes that a robot cannot pass, and of crossings."""
    blocking, crossings = set(), set()
    for point in data.points:
        barrier = point.tags.get("barrier")
        locked = barrier is not None and point.tags.get("access") in ("no", "private")
        no_wheels = barrier is not None and point.tags.get("wheelchair") == "no"
        if barrier in BLOCKING_BARRIERS or locked or no_wheels:
            blocking.add(point.osm_id)
        if point.tags.get("highway") == "crossing":
            crossings.add(point.osm_id)
    return blocking, crossings


def _runs(
    data: OsmData, usable: Sequence[tuple[OsmWay, WayRule]], marked: set[int]
) -> Iterable[tuple[tuple[int, ...], _Array, OsmWay, WayRule]]:
    """Ways without what lies outside the extent, cut at junctions and at marked nodes."""
    used = Counter(ref for way, _ in usable for ref in way.refs)
    for way, rule in usable:
        inside = data.extent.contains(way.coords[:, 0], way.coords[:, 1])  # False for what is NaN
        start = 0
        for i in range(len(way.refs)):
            if not inside[i]:
                start = i + 1
            elif i > start and (used[way.refs[i]] > 1 or way.refs[i] in marked or not inside[i + 1 : i + 2].all()):
                yield way.refs[start : i + 1], way.coords[start : i + 1], way, rule
                start = i
            elif i > start and i == len(way.refs) - 1:
                yield way.refs[start:], way.coords[start:], way, rule


def _straightened(lines: Sequence[object]) -> list[_Array]:
    """Points of each line, fewer where it is straight, and more where it is longer than ``LONGEST_M``."""
    plain = shapely.segmentize(shapely.simplify(np.array(lines, dtype=object), BEND_M), LONGEST_M)
    coords, owner = shapely.get_coordinates(plain, return_index=True)
    return np.split(coords, np.flatnonzero(np.diff(owner)) + 1)


class _Draft:
    """The network while it grows: nodes by number, edges as pairs of them."""

    def __init__(self) -> None:
        self.xy: list[tuple[float, float]] = []
        self.streets: list[Street] = []
        self._number_of: dict[int, int] = {}
        self._edges: dict[tuple[int, int], tuple[GroundEdge, WayRule]] = {}

    def add(self, piece: _Piece, line: _Array) -> None:
        street = Street(piece.way.tags.get("name", ""), piece.rule.kind, piece.rule.covered)
        numbers = [self._node(piece.ends[0], line[0], street)]
        numbers += [self._new(point, street) for point in line[1:-1]]
        numbers.append(self._node(piece.ends[1], line[-1], street))
        rule = piece.rule
        crossing = rule.kind is WayKind.CROSSING or (piece.at_crossing and rule.kind in _ON_FOOT)
        robot = not rule.why_not and not piece.blocked
        for a, b in itertools.pairwise(numbers):
            if a == b:
                continue
            edge = GroundEdge("", "", 0.0, rule.kind, rule.width_m, rule.surface, crossing, robot)
            key = (min(a, b), max(a, b))
            known = self._edges.get(key)
            # Of two straight pieces between the same nodes the one that a robot may use is worth more.
            if known is None or (robot and not known[0].robot):
                self._edges[key] = (edge, rule)

    def _node(self, ref: int, at: _Array, street: Street) -> int:
        if ref not in self._number_of:
            self._number_of[ref] = self._new(at, street)
        else:
            known = self.streets[self._number_of[ref]]
            if (not street.covered, street.name != "") > (not known.covered, known.name != ""):
                self.streets[self._number_of[ref]] = street
        return self._number_of[ref]

    def _new(self, at: _Array, street: Street) -> int:
        self.xy.append((float(at[0]), float(at[1])))
        self.streets.append(street)
        return len(self.xy) - 1

    def finish(self, frame: LocalFrame, terrain: Terrain, notes: ImportNotes) -> Network:
        xy = np.array(self.xy)
        ends = np.array(list(self._edges), dtype=np.int64).reshape(-1, 2)
        level_m = np.hypot(*(xy[ends[:, 0]] - xy[ends[:, 1]]).T)
        kept_nodes, kept_edges = _joined(len(xy), ends, level_m, notes)
        covered = np.array([rule.covered for _, rule in self._edges.values()])[kept_edges]
        drafts = [each for each, keep in zip(self._edges.values(), kept_edges, strict=True) if keep]
        renumbered = np.cumsum(kept_nodes) - 1
        xy, ends, level_m = xy[kept_nodes], renumbered[ends[kept_edges]], level_m[kept_edges]
        heights = np.round(_heights(xy, ends, level_m, covered, terrain), 1)
        rise_m = np.abs(heights[ends[:, 0]] - heights[ends[:, 1]])
        steep = rise_m > STEEPEST * level_m
        names = [f"n{number}" for number in range(len(xy))]
        edges = []
        for (draft, rule), (a, b), length_m, too_steep in zip(
            drafts, ends.tolist(), np.hypot(level_m, rise_m).tolist(), steep.tolist(), strict=True
        ):
            if rule.why_not or too_steep or not draft.robot:
                why = rule.why_not or ("steeper than 15 %" if too_steep else "barriers")
                notes.skip(f"metres of way closed to robots: {why}", round(length_m))
            robot = draft.robot and not too_steep
            edges.append(replace(draft, a=names[a], b=names[b], length_m=round(length_m, 2), robot=robot))
        nodes = []
        for name, (east, north), height in zip(names, xy.tolist(), heights.tolist(), strict=True):
            at = frame.to_global(east, north)
            nodes.append(GroundNode(name, Position(round(at.lat, 7), round(at.lon, 7), height)))
        streets = [each for each, keep in zip(self.streets, kept_nodes, strict=True) if keep]
        _count(edges, nodes, notes)
        return Network(tuple(nodes), tuple(edges), xy, ends, tuple(streets))


def _count(edges: Sequence[GroundEdge], nodes: Sequence[GroundNode], notes: ImportNotes) -> None:
    notes.counts["ground nodes"] = len(nodes)
    notes.counts["ground edges"] = len(edges)
    notes.counts["km of ways"] = round(sum(edge.length_m for edge in edges) / 1000)
    notes.counts["km of ways for robots"] = round(sum(edge.length_m for edge in edges if edge.robot) / 1000)


def _graph(size: int, ends: npt.NDArray[np.int64], weights: _Array) -> sp.csr_array:
    rows = np.concatenate((ends[:, 0], ends[:, 1]))
    columns = np.concatenate((ends[:, 1], ends[:, 0]))
    return sp.csr_array((np.tile(weights, 2), (rows, columns)), shape=(size, size))


def _joined(
    size: int, ends: npt.NDArray[np.int64], level_m: _Array, notes: ImportNotes
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Nodes and edges of the largest connected parts."""
    _, part = connected_components(_graph(size, ends, np.maximum(level_m, 0.01)), directed=False)
    lengths = np.bincount(part[ends[:, 0]], weights=level_m, minlength=part.max() + 1)
    large = lengths >= LEAST_SHARE * lengths.max()
    notes.skip("parts of the network that nothing joins to the rest", int((~large).sum()))
    notes.skip("metres of way in such parts", round(float(lengths[~large].sum())))
    return large[part], large[part[ends[:, 0]]]


def _heights(
    xy: _Array, ends: npt.NDArray[np.int64], level_m: _Array, covered: npt.NDArray[np.bool_], terrain: Terrain
) -> _Array:
    """Heights of nodes AMSL: the terrain's, evened out along the ways over about one step of its grid.

    A way on a slope is cut into it, and a step of the grid is often wider than the slope is long: read point by
    point, the terrain makes ways steeper than they are. The heights ``z`` minimise the sum over ways of
    ``(z - terrain)^2 + step^2 z'^2``, where bridges and tunnels have only the second term (linear finite elements
    with lumped masses, so one sparse system).
    """
    size = len(xy)
    mass = np.full(size, 1e-3)
    for column in range(2):
        np.add.at(mass, ends[:, column], np.where(covered, 0.0, level_m / 2))
    weights = terrain.step_m**2 / np.maximum(level_m, 0.5)
    coupling = _graph(size, ends, weights)
    stiffness = sp.diags_array(np.asarray(coupling.sum(axis=1)).ravel()) - coupling
    ground = terrain.height_m(xy[:, 0], xy[:, 1])
    return np.asarray(spsolve(sp.csc_matrix(sp.diags_array(mass) + stiffness), mass * ground))
