"""The lanes of a region as a graph, and where a way joins and leaves them at best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from routing.cells import Floats, Ints
from routing.compiled import compiled
from routing.lanes import LANE_COST


class LaneGraph(NamedTuple):
    """Points of lanes, what the cheapest way along lanes costs between any two in metres, infinite where there is
    none, and the point before the second on it."""

    places: Floats
    costs: Floats
    before: Ints


def lane_graph(lanes: Sequence[tuple[Floats, bool]]) -> LaneGraph:
    """The graph of lines, each with whether it is one-way; lines meet where they have a point in common."""
    if not lanes:
        return LaneGraph(np.empty((0, 2)), np.empty((0, 0)), np.empty((0, 0), dtype=np.int64))
    places, which = np.unique(np.round(np.concatenate([line for line, _ in lanes]), 1), axis=0, return_inverse=True)
    last = np.cumsum([len(line) for line, _ in lanes]) - 1
    inner = np.ones(len(which), dtype=bool)
    inner[last] = False
    a = which[:-1][inner[:-1]]
    b = which[1:][inner[:-1]]
    two_way = np.repeat([not one_way for _, one_way in lanes], [len(line) - 1 for line, _ in lanes])
    tail, head = np.concatenate((a, b[two_way])), np.concatenate((b, a[two_way]))
    # A link given twice would count twice.
    links = np.unique(np.stack((tail, head), axis=1), axis=0)
    lengths = np.hypot(*(places[links[:, 0]] - places[links[:, 1]]).T) * LANE_COST
    graph = csr_array((np.maximum(lengths, 1e-9), (links[:, 0], links[:, 1])), shape=(len(places), len(places)))
    costs, before = dijkstra(graph, return_predecessors=True)
    return LaneGraph(places, np.ascontiguousarray(costs), before.astype(np.int64))


@compiled
def joins(graph: LaneGraph, starts: Floats, ends: Floats) -> tuple[Ints, Floats]:
    """Where ways between places join and leave lanes at best, if nothing were in their way, and what they then cost.

    Where no lane is worth it, both points are -1 and the cost infinite.
    """
    places, between = graph.places, graph.costs
    count = len(places)
    found, costs = np.full((len(starts), 2), -1, dtype=np.int64), np.full(len(starts), math.inf)
    on, off = np.empty(count), np.empty(count)
    for pair in range(len(starts)):
        best = math.hypot(ends[pair, 0] - starts[pair, 0], ends[pair, 1] - starts[pair, 1]) * _FARTHER
        for i in range(count):
            on[i] = math.hypot(places[i, 0] - starts[pair, 0], places[i, 1] - starts[pair, 1])
            off[i] = math.hypot(places[i, 0] - ends[pair, 0], places[i, 1] - ends[pair, 1])
        for i in range(count):
            if on[i] >= best:
                continue
            for j in range(count):
                total = on[i] + between[i, j] + off[j]
                if total < best and i != j:
                    best, found[pair, 0], found[pair, 1], costs[pair] = total, i, j, total
    return found, costs


_FARTHER = 3.0
"""Ways so many times as long as straight are not looked for along lanes."""


def along(graph: LaneGraph, start: int, end: int) -> Floats:
    """The points of the cheapest way along lanes from one of its points to another."""
    chosen = [end]
    while chosen[-1] != start:
        chosen.append(int(graph.before[start, chosen[-1]]))
    return np.asarray(graph.places[chosen[::-1]])
