"""The ground network of a region from ways of OpenStreetMap: split at junctions and into short straight pieces."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import shapely
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import spsolve

from routing.errors import BadInput
from routing.geo import LocalFrame, Position
from routing.ground_rules import within_area
from routing.region.landscape import local_coords
from routing.region.model import Feature, GroundEdge, GroundNode, Terrain, WayKind
from routing.region.notes import ImportNotes
from routing.region.osm import OsmData, OsmWay
from routing.region.ways import (
    BLOCKING_BARRIERS,
    ROAD_BARRIERS,
    ROAD_CLASSES,
    ROBOT_KERB_M,
    STEEPEST,
    WayRule,
    kerb_m,
    read_way,
)

LONGEST_M = 50.0
"""Longest piece of a way between two nodes."""

BEND_M = 1.5
"""Bends that stray less than this from a straight line are left out: less than the survey's error."""

MAX_NODES = 60_000
"""More are a city's network, and are refused."""

LEAST_SHARE = 0.1
"""Parts of the network that nothing joins to the largest are kept from this share of its length on."""

_ON_FOOT = (WayKind.FOOTWAY, WayKind.PATH, WayKind.CROSSING)
_OUTSIDE = "outside the approved area"
_STEEP = "steeper than 15 %"
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

    def for_robots(self) -> npt.NDArray[np.bool_]:
        """Which edges a sidewalk robot of the usual kind passes."""
        return np.array([edge.robot and edge.kerb_m <= ROBOT_KERB_M for edge in self.edges], dtype=bool)


@dataclass(slots=True)
class _Piece:
    """A way between two junctions: its points in the local frame, and the keys of its ends."""

    way: OsmWay
    rule: WayRule
    ends: tuple[int, int]


@dataclass(slots=True)
class _Marks:
    """Ids of nodes that sidewalk and road robots cannot pass, of crossings (``closed``: not to be crossed there),
    and the heights of kerbs."""

    blocking: set[int] = field(default_factory=set)
    blocking_road: set[int] = field(default_factory=set)
    crossings: set[int] = field(default_factory=set)
    closed: set[int] = field(default_factory=set)
    kerbs: dict[int, float] = field(default_factory=dict)

    def all(self) -> set[int]:
        return self.blocking | self.blocking_road | self.crossings | self.kerbs.keys()


@dataclass(frozen=True, slots=True)
class _Edge:
    """An edge between two nodes by number, in the direction of its one-way or else of the way."""

    a: int
    b: int
    rule: WayRule
    crossing: bool
    kerb_m: float
    why_not: str
    why_no_road: str
    incline: float | None

    @property
    def worth(self) -> tuple[bool, bool]:
        return not self.why_not, not self.why_no_road


def build_network(
    data: OsmData,
    frame: LocalFrame,
    terrain: Terrain,
    notes: ImportNotes,
    *,
    areas: Sequence[Feature] = (),
    without_sidewalk: Collection[str] = ROAD_CLASSES,
) -> Network:
    """Make the network; robots may use it within ``areas`` (``routing.ground_rules``), where there are any.

    ``without_sidewalk``: classes of roads that sidewalk robots may use where no sidewalk is mapped. Raises
    ``BadInput`` when there is no way, or when the network is larger than ``MAX_NODES``.
    """
    usable = _usable(data.highways, without_sidewalk, notes)
    marks = _marked(data)
    lines, pieces = [], []
    for run, coords, way, rule in _runs(data, usable, marks.all()):
        lines.append(shapely.linestrings(local_coords(coords, frame)))
        pieces.append(_Piece(way, rule, (run[0], run[-1])))
    if not pieces:
        raise BadInput("there are no ways for pedestrians in the extent: choose another --bbox")
    draft = _Draft(marks, _kerbs_on_crossings(pieces, marks))
    for piece, line in zip(pieces, _straightened(lines), strict=True):
        draft.add(piece, line)
    if len(draft.xy) > MAX_NODES:
        raise BadInput(
            f"the ground network has {len(draft.xy)} nodes; at most {MAX_NODES} are taken: give a smaller --bbox"
        )
    return draft.finish(frame, terrain, areas, notes)


def _usable(
    highways: Iterable[OsmWay], without_sidewalk: Collection[str], notes: ImportNotes
) -> list[tuple[OsmWay, WayRule]]:
    usable = []
    for way in highways:
        rule = read_way(way.tags, without_sidewalk)
        if isinstance(rule, str):
            notes.skip(rule)
        else:
            usable.append((way, rule))
            notes.counts["ways"] += 1
    return usable


def _marked(data: OsmData) -> _Marks:
    marks = _Marks()
    for point in data.points:
        tags, barrier = point.tags, point.tags.get("barrier")
        locked = barrier is not None and tags.get("access") in ("no", "private")
        no_wheels = barrier is not None and tags.get("wheelchair") == "no"
        if barrier in BLOCKING_BARRIERS or locked or no_wheels:
            marks.blocking.add(point.osm_id)
        if barrier in BLOCKING_BARRIERS | ROAD_BARRIERS or locked or tags.get("motor_vehicle") in ("no", "private"):
            marks.blocking_road.add(point.osm_id)
        if tags.get("highway") == "crossing" or tags.get("crossing", "no") != "no":
            marks.crossings.add(point.osm_id)
            if tags.get("crossing") == "no":
                marks.closed.add(point.osm_id)
        if (height_m := kerb_m(tags)) > 0.0:
            marks.kerbs[point.osm_id] = height_m
    return marks


def _is_crossing(piece: _Piece, marks: _Marks) -> bool:
    kind = piece.rule.kind
    return kind is WayKind.CROSSING or (kind in _ON_FOOT and not marks.crossings.isdisjoint(piece.ends))


def _kerbs_on_crossings(pieces: Iterable[_Piece], marks: _Marks) -> set[int]:
    """Kerbs at the end of a crossing: who goes past them along the sidewalk does not climb them."""
    return {end for piece in pieces if _is_crossing(piece, marks) for end in piece.ends if end in marks.kerbs}


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
    """The network while it grows: nodes by number, edges by the pair of them."""

    def __init__(self, marks: _Marks, kerbs_on_crossings: set[int]) -> None:
        self.xy: list[tuple[float, float]] = []
        self.streets: list[Street] = []
        self._marks, self._kerbs_on_crossings = marks, kerbs_on_crossings
        self._number_of: dict[int, int] = {}
        self._edges: dict[tuple[int, int], _Edge] = {}

    def add(self, piece: _Piece, line: _Array) -> None:
        street = Street(piece.way.tags.get("name", ""), piece.rule.kind, piece.rule.covered)
        numbers = [self._node(piece.ends[0], line[0], street)]
        numbers += [self._new(point, street) for point in line[1:-1]]
        numbers.append(self._node(piece.ends[1], line[-1], street))
        for i, (a, b) in enumerate(itertools.pairwise(numbers)):
            if a == b:
                continue
            ends = [end for end, at in zip(piece.ends, (0, len(numbers) - 2), strict=True) if at == i]
            edge = self._edge(piece, a, b, ends)
            key = (min(a, b), max(a, b))
            known = self._edges.get(key)
            # Of two straight pieces between the same nodes the one that a robot may use is worth more.
            if known is None or edge.worth > known.worth:
                self._edges[key] = edge

    def _edge(self, piece: _Piece, a: int, b: int, ends: Sequence[int]) -> _Edge:
        """The edge from ``a`` to ``b`` of a piece, with those ``ends`` of the piece that it touches."""
        rule, marks = piece.rule, self._marks
        crossing = _is_crossing(piece, marks)
        no_crossing = rule.kind in _ON_FOOT and not marks.closed.isdisjoint(piece.ends)
        blocked = no_crossing or not marks.blocking.isdisjoint(piece.ends)
        height_m = max(
            (marks.kerbs[end] for end in ends if end in marks.kerbs if crossing or end not in self._kerbs_on_crossings),
            default=0.0,
        )
        back = rule.one_way < 0
        return _Edge(
            b if back else a,
            a if back else b,
            rule,
            crossing,
            max(height_m, rule.kerb_m),
            rule.why_not or ("barriers" if blocked else ""),
            rule.why_no_road or ("barriers" if not marks.blocking_road.isdisjoint(piece.ends) else ""),
            -rule.incline if back and rule.incline is not None else rule.incline,
        )

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

    def finish(self, frame: LocalFrame, terrain: Terrain, areas: Sequence[Feature], notes: ImportNotes) -> Network:
        xy = np.array(self.xy)
        drafts = list(self._edges.values())
        ends = np.array([(draft.a, draft.b) for draft in drafts], dtype=np.int64).reshape(-1, 2)
        level_m = np.hypot(*(xy[ends[:, 0]] - xy[ends[:, 1]]).T)
        kept_nodes, kept_edges = _joined(len(xy), ends, level_m, notes)
        drafts = list(itertools.compress(drafts, kept_edges))
        renumbered = np.cumsum(kept_nodes) - 1
        xy, ends, level_m = xy[kept_nodes], renumbered[ends[kept_edges]], level_m[kept_edges]
        covered = np.array([draft.rule.covered for draft in drafts])
        heights = np.round(_heights(xy, ends, level_m, covered, terrain), 1)
        rise_m = np.abs(heights[ends[:, 0]] - heights[ends[:, 1]])
        steep = rise_m > STEEPEST * level_m
        outside = ~within_area(areas, frame, xy[ends])
        names = [f"n{number}" for number in range(len(xy))]
        edges = []
        unmapped_m = 0.0
        for draft, (a, b), length_m, too_steep, is_out in zip(
            drafts, ends.tolist(), np.hypot(level_m, rise_m).tolist(), steep.tolist(), outside.tolist(), strict=True
        ):
            why_not = draft.why_not or (_OUTSIDE if is_out else _STEEP if too_steep else "")
            if why_not:
                notes.skip(f"metres of way closed to robots: {why_not}", round(length_m))
            elif draft.rule.unmapped:
                unmapped_m += length_m
            road = not (draft.why_no_road or is_out)
            edges.append(_ground_edge(draft, names[a], names[b], round(length_m, 2), robot=not why_not, road=road))
        nodes = []
        for name, (east, north), height in zip(names, xy.tolist(), heights.tolist(), strict=True):
            at = frame.to_global(east, north)
            nodes.append(GroundNode(name, Position(round(at.lat, 7), round(at.lon, 7), height)))
        streets = [each for each, keep in zip(self.streets, kept_nodes, strict=True) if keep]
        _count(edges, nodes, notes)
        if unmapped_m >= 500.0:
            notes.warn(
                f"{unmapped_m / 1000:.0f} km of busy roads are open to sidewalk robots, and nobody has mapped whether"
                " they have sidewalks: look at them, or close them with --roads-without-sidewalk unclassified,tertiary"
            )
        return Network(tuple(nodes), tuple(edges), xy, ends, tuple(streets))


def _ground_edge(draft: _Edge, a: str, b: str, length_m: float, *, robot: bool, road: bool) -> GroundEdge:
    rule = draft.rule
    return GroundEdge(
        a,
        b,
        length_m,
        rule.kind,
        rule.width_m,
        rule.surface,
        draft.crossing,
        robot,
        road,
        one_way=road and rule.one_way != 0,
        incline=None if draft.incline is None else round(draft.incline, 4),
        kerb_m=draft.kerb_m,
        max_speed_mps=None if rule.max_speed_mps is None else round(rule.max_speed_mps, 3),
    )


def _count(edges: Sequence[GroundEdge], nodes: Sequence[GroundNode], notes: ImportNotes) -> None:
    notes.counts["ground nodes"] = len(nodes)
    notes.counts["ground edges"] = len(edges)
    notes.counts["km of ways"] = round(sum(edge.length_m for edge in edges) / 1000)
    notes.counts["km of ways for robots"] = round(sum(edge.length_m for edge in edges if edge.robot) / 1000)
    notes.counts["km of ways for road robots"] = round(sum(edge.length_m for edge in edges if edge.road) / 1000)


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
