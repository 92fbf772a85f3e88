"""Quickest ways on the ground network of a region, for each type of robot, one by one and many to many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from routing.energy import movement_wh
from routing.errors import NoWay
from routing.geo import Position
from routing.ground_graph import GroundGraph, Trees
from routing.ground_ways import Bools, Floats, GroundWays, Ints, Limits
from routing.movement import Movement
from routing.region.model import GroundEdge, Region
from routing.vehicle_type import VehicleType

MAX_TREES = 2_000
"""Trees of quickest ways that are kept; then they are worked out anew."""


@dataclass(frozen=True, slots=True)
class GroundPath:
    """A way over the network: its nodes from start to end, the length of each edge between them, and how many
    roads it crosses (edges of a crossing that follow one another are one). ``edges`` are in the sequence of the way,
    each as the region has it."""

    nodes: tuple[str, ...]
    positions: tuple[Position, ...]
    lengths_m: tuple[float, ...]
    crossings: int
    edges: tuple[GroundEdge, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class GroundMatrix:
    """Quickest ways between ``nodes``, for one type of robot; rows are starts, columns ends.

    ``seconds`` is what ``driving.drive`` takes for the way, within a few percent: edges at their speeds, waits,
    corners, and the start and the stop. ``length_m`` is on the slope, ``climb_m`` what is climbed in all,
    ``rolling_m`` the length weighted with the surface (``Movement``). Infinite where there is no way.
    """

    nodes: tuple[str, ...]
    seconds: Floats
    length_m: Floats
    climb_m: Floats
    rolling_m: Floats
    crossings: Floats
    _network: GroundNetwork = field(repr=False)
    _graph: GroundGraph = field(repr=False)
    _trees: Trees = field(repr=False)
    _states: Ints = field(repr=False)

    def path(self, start: int, end: int) -> GroundPath:
        """The way between two nodes by their place in ``nodes``; raises ``NoWay`` when there is none."""
        if not np.isfinite(self.seconds[start, end]):
            raise NoWay(f"the ground network does not connect {self.nodes[start]} and {self.nodes[end]}")
        arcs = self._graph.arcs_to(self._trees, start, int(self._states[start, end]))
        return self._network._as_path(self.nodes[start], self._graph, arcs)

    def energy_wh(self, vehicle_type: VehicleType, payload_kg: float) -> Floats:
        """Energy of each way in Wh (``routing.energy``), which is linear in its time, length and climb."""
        units = (Movement(0.0, 1.0, 0.0), Movement(0.0, 0.0, 1.0), Movement(1.0, 0.0, 0.0, rolling_m=1.0))
        weights = [movement_wh(vehicle_type, payload_kg, unit) for unit in units]
        parts = zip(weights, (self.seconds, self.climb_m, self.rolling_m), strict=True)
        return np.asarray(sum(weight * part for weight, part in parts))


class GroundNetwork:
    """The ways of a region that robots may use, for each type of them; what is worked out is kept.

    A way is the quickest at the speeds of its edges with the waits at crossings (``driving.CROSSING_WAIT_S`` each).
    A robot keeps to edges for its kind that are wide enough with ``ground_rules.SIDE_MARGIN_M`` on both sides, not
    too steep, without too high a kerb, and in the approved area; a road robot also to one-way streets and limits.
    """

    def __init__(self, region: Region) -> None:
        self._region = region
        self._ways = GroundWays(region)
        self._sites = [self._ways.number[site.node] for site in region.sites if site.node is not None]
        self._graphs: dict[tuple[Limits, bool], GroundGraph] = {}
        self._trees: dict[tuple[Limits, bool, int], Trees] = {}

    def path(self, start: str, end: str, vehicle_type: VehicleType | None = None) -> GroundPath:
        """Return the quickest path, by default for any sidewalk robot.

        Raises ``NoWay`` when the nodes are not there or not connected, saying what the type cannot pass.
        """
        numbers = self._numbers((start, end))
        limits = _limits(vehicle_type)
        graph, trees = self._tree(limits, numbers)
        state = int(graph.states_of(trees, numbers[1:])[0, 0])
        if not np.isfinite(trees.seconds[0, state]):
            raise NoWay(f"the ground network does not connect {start} and {end}{self._barrier(limits, numbers)}")
        return self._as_path(start, graph, graph.arcs_to(trees, 0, state))

    def matrix(self, nodes: Sequence[str], vehicle_type: VehicleType | None = None) -> GroundMatrix:
        """Return all quickest ways between nodes; raises ``NoWay`` naming a node that is not there."""
        numbers = self._numbers(nodes)
        limits = _limits(vehicle_type)
        graph = self._graph(limits, everywhere=False)
        if not np.isin(numbers, self._sites).all():
            graph = GroundGraph(self._ways.arcs(limits), limits, len(self._region.nodes), numbers)
        sources, row = np.unique(numbers, return_inverse=True)
        trees = graph.trees(sources)
        trees = Trees(trees.seconds[row], trees.before[row], trees.chain[row])
        return self._measured(tuple(nodes), limits, graph, trees, numbers)

    def reach(self, start: str, vehicle_type: VehicleType | None = None, *, homewards: bool = False) -> GroundMatrix:
        """Return the quickest ways from one node to all of the region, in its sequence: a matrix of one row.

        ``homewards``: those from all of them to the node (a ``path`` of it reads from its end).
        """
        numbers = self._numbers((start,))
        limits = replace(_limits(vehicle_type), homewards=homewards)
        graph = self._graph(limits, everywhere=True)
        trees = graph.trees(numbers)
        names = tuple(node.node_id for node in self._region.nodes)
        return self._measured(names, limits, graph, trees, np.arange(len(names)))

    def usable_nodes(self, vehicle_type: VehicleType | None = None) -> Bools:
        """Which nodes of the region lie on a way that a robot may use."""
        usable = np.zeros(len(self._region.nodes), dtype=np.bool_)
        arcs = self._ways.arcs(_limits(vehicle_type))
        usable[arcs.tail] = usable[arcs.head] = True
        return usable

    def _measured(
        self, names: tuple[str, ...], limits: Limits, graph: GroundGraph, trees: Trees, targets: Ints
    ) -> GroundMatrix:
        states = graph.states_of(trees, targets)
        found = np.take_along_axis(trees.seconds, states, 1)
        reached = np.isfinite(found)
        length_m, climb_m, rolling_m, crossings, lost_s = (
            np.where(reached, np.take_along_axis(each, states, 1), np.inf) for each in graph.along(trees)
        )
        # From rest to the speed and back takes the mean of both twice as long; a short way does not get that far.
        speed, change = limits.speed_mps, limits.acceleration_mps2
        way_m = np.where(reached, length_m, 0.0)
        short_s = np.where(way_m > 0.0, 2.0 * np.sqrt(way_m / change) - way_m / speed, 0.0)
        ramps_s = np.where(way_m < speed**2 / change, short_s, speed / change)
        seconds = found + np.where(reached, lost_s + ramps_s, 0.0)
        return GroundMatrix(names, seconds, length_m, climb_m, rolling_m, crossings, self, graph, trees, states)

    def _numbers(self, nodes: Sequence[str]) -> Ints:
        for node in nodes:
            if node not in self._ways.number:
                raise NoWay(f"node {node} is not in the ground network")
        return np.array([self._ways.number[node] for node in nodes], dtype=np.int64)

    def _graph(self, limits: Limits, *, everywhere: bool) -> GroundGraph:
        """The graph for paths between sites, or between any nodes."""
        key = (limits, everywhere)
        if key not in self._graphs:
            size = len(self._region.nodes)
            keep: npt.ArrayLike = np.arange(size) if everywhere else self._sites
            self._graphs[key] = GroundGraph(self._ways.arcs(limits), limits, size, keep)
        return self._graphs[key]

    def _tree(self, limits: Limits, numbers: Ints) -> tuple[GroundGraph, Trees]:
        everywhere = not np.isin(numbers, self._sites).all()
        graph = self._graph(limits, everywhere=everywhere)
        key = (limits, everywhere, int(numbers[0]))
        if key not in self._trees:
            if len(self._trees) >= MAX_TREES:
                self._trees.clear()
            self._trees[key] = graph.trees(numbers[:1])
        return graph, self._trees[key]

    def _barrier(self, limits: Limits, numbers: Ints) -> str:
        """What it is that a robot cannot pass between two nodes, where one thing alone is."""
        reasons = (
            ("ways too narrow for it", replace(limits, width_m=0.0)),
            ("ways too steep for it", replace(limits, max_slope=np.inf)),
            ("kerbs too high for it", replace(limits, max_kerb_m=np.inf)),
            ("one-way streets", replace(limits, one_ways=False)),
        )
        for reason, without in reasons:
            graph = GroundGraph(self._ways.arcs(without), without, len(self._region.nodes), numbers)
            trees = graph.trees(numbers[:1])
            if without != limits and np.isfinite(trees.seconds[0, graph.states_of(trees, numbers[1:])[0, 0]]):
                return f": {reason} are in the way"
        return ""

    def _as_path(self, start: str, graph: GroundGraph, arcs: Ints) -> GroundPath:
        nodes = [self._region.nodes[self._ways.number[start]]]
        nodes += [self._region.nodes[node] for node in graph.arcs.head[arcs].tolist()]
        edges = tuple(self._region.edges[edge] for edge in graph.arcs.edge[arcs].tolist())
        on = np.concatenate(([False], graph.arcs.crossing[arcs]))
        return GroundPath(
            tuple(node.node_id for node in nodes),
            tuple(node.position for node in nodes),
            tuple(edge.length_m for edge in edges),
            int((on[1:] & ~on[:-1]).sum()),
            edges,
        )


def _limits(vehicle_type: VehicleType | None) -> Limits:
    return Limits() if vehicle_type is None else Limits.of(vehicle_type)
