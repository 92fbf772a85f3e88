"""Shortest ways on the ground network of a region."""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass

from routing.errors import NoWay
from routing.geo import Position
from routing.region.model import GroundEdge, Region

CROSSING_M = 25.0
"""The wait at a crossing (``motion.CROSSING_WAIT_S``) as a way at 6 km/h."""


@dataclass(frozen=True, slots=True)
class GroundPath:
    """A way over the network: its nodes from start to end, the length of each edge between them, and how many
    roads it crosses (edges of a crossing that follow one another are one)."""

    nodes: tuple[str, ...]
    positions: tuple[Position, ...]
    lengths_m: tuple[float, ...]
    crossings: int


class GroundNetwork:
    """The ways of a region that robots may use; quickest paths from one node are computed once.

    Each edge of a crossing counts as ``CROSSING_M`` more, so that roads are crossed where it saves something.
    """

    def __init__(self, region: Region) -> None:
        self._positions = {node.node_id: node.position for node in region.nodes}
        self._ways: dict[str, dict[str, GroundEdge]] = {node.node_id: {} for node in region.nodes}
        for edge in (edge for edge in region.edges if edge.robot):
            for a, b in ((edge.a, edge.b), (edge.b, edge.a)):
                known = self._ways[a].get(b)
                if known is None or _weight_m(edge) < _weight_m(known):
                    self._ways[a][b] = edge
        self._trees: dict[str, dict[str, str]] = {}

    def path(self, start: str, end: str) -> GroundPath:
        """Return the quickest path; raises ``NoWay`` when the nodes are not connected or not there."""
        for node in (start, end):
            if node not in self._ways:
                raise NoWay(f"node {node} is not in the ground network")
        came_from = self._tree(start)
        nodes = [end]
        while nodes[-1] != start:
            if nodes[-1] not in came_from:
                raise NoWay(f"the ground network does not connect {start} and {end}")
            nodes.append(came_from[nodes[-1]])
        nodes.reverse()
        edges = [self._ways[a][b] for a, b in itertools.pairwise(nodes)]
        return GroundPath(
            tuple(nodes),
            tuple(self._positions[node] for node in nodes),
            tuple(edge.length_m for edge in edges),
            sum(1 for is_crossing, _ in itertools.groupby(edge.crossing for edge in edges) if is_crossing),
        )

    def _tree(self, start: str) -> dict[str, str]:
        """Predecessors of all nodes reachable from ``start`` (Dijkstra 1959); ties go to the lesser id."""
        if start in self._trees:
            return self._trees[start]
        came_from: dict[str, str] = {}
        best = {start: 0.0}
        queue = [(0.0, start)]
        while queue:
            length, node = heapq.heappop(queue)
            if length > best[node]:
                continue
            for other, edge in self._ways[node].items():
                there = length + _weight_m(edge)
                if there < best.get(other, math.inf):
                    best[other] = there
                    came_from[other] = node
                    heapq.heappush(queue, (there, other))
        self._trees[start] = came_from
        return came_from


def _weight_m(edge: GroundEdge) -> float:
    return edge.length_m + (CROSSING_M if edge.crossing else 0.0)
