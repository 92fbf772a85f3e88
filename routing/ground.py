"""Shortest ways on the ground network of a region."""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass

from routing.errors import NoWay
from routing.geo import Position
from routing.region.model import Region


@dataclass(frozen=True, slots=True)
class GroundPath:
    """A way over the network: its nodes from start to end, and the length of each edge between them."""

    nodes: tuple[str, ...]
    positions: tuple[Position, ...]
    lengths_m: tuple[float, ...]


class GroundNetwork:
    """The network of a region; shortest paths from one node are computed once."""

    def __init__(self, region: Region) -> None:
        self._positions = {node.node_id: node.position for node in region.nodes}
        self._ways: dict[str, dict[str, float]] = {node.node_id: {} for node in region.nodes}
        for edge in region.edges:
            for a, b in ((edge.a, edge.b), (edge.b, edge.a)):
                self._ways[a][b] = min(edge.length_m, self._ways[a].get(b, math.inf))
        self._trees: dict[str, dict[str, str]] = {}

    def path(self, start: str, end: str) -> GroundPath:
        """Return the shortest path; raises ``NoWay`` when the nodes are not connected or not there."""
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
        return GroundPath(
            tuple(nodes),
            tuple(self._positions[node] for node in nodes),
            tuple(self._ways[a][b] for a, b in itertools.pairwise(nodes)),
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
            for other, edge_m in self._ways[node].items():
                if length + edge_m < best.get(other, math.inf):
                    best[other] = length + edge_m
                    came_from[other] = node
                    heapq.heappush(queue, (length + edge_m, other))
        self._trees[start] = came_from
        return came_from
