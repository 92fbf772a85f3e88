"""Many-to-many ways of robots on the paths of Andorra, beside SciPy's shortest paths on the bare graph.

The network is opened to the robot on every path of the map, so that its parts hang together; the floor works out
distances and predecessors alone, without waits at crossings, climbs, corners or energy.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components, dijkstra

from hardware.profiles import load_profile
from routing.ground import GroundNetwork
from routing.region.build import ImportFiles, import_region
from routing.region.model import Region, WayKind
from tests.benchmarks.figures import Figure
from tests.shared_data import ANDORRA_DEM, ANDORRA_OSM

NODES = 500
PATHS = 10_000
ROUNDS = 3


def measure() -> list[Figure]:
    """Figures; none where the map is not beside the working tree."""
    if not (ANDORRA_OSM.is_file() and ANDORRA_DEM.is_file()):
        print("GROUND NOT MEASURED: the map of Andorra is not beside the working tree")
        return []
    region = import_region("Andorra", ImportFiles(ANDORRA_OSM, [ANDORRA_DEM])).region
    figures = _figures(region, "as imported")
    opened = tuple(replace(edge, robot=edge.kind is not WayKind.STEPS, width_m=None) for edge in region.edges)
    return figures + _figures(replace(region, edges=opened), "every path")


def _figures(region: Region, what: str) -> list[Figure]:
    robot = replace(load_profile("sidewalk_robot"), max_slope=1.0)
    graph, nodes = _bare(region)
    chosen = np.random.default_rng(1).choice(nodes, NODES, replace=False)
    names = [region.nodes[i].node_id for i in chosen.tolist()]
    floor_s = _best_s(lambda: dijkstra(graph, indices=chosen, return_predecessors=True))
    network = GroundNetwork(region)
    first_s = _best_s(lambda: GroundNetwork(region).matrix(names, robot))
    matrix = network.matrix(names, robot)
    assert np.isfinite(matrix.seconds).all()
    pairs = np.random.default_rng(2).integers(NODES, size=(PATHS, 2)).tolist()
    paths_s = _best_s(lambda: [matrix.path(a, b) for a, b in pairs])
    name = f"ground: {NODES} x {NODES} robot matrix, {what}"
    return [
        Figure(f"{name}, seconds", first_s, "s", aim="<= 2"),
        Figure(f"{name}, beside the floor", first_s, "s", "csgraph.dijkstra on the bare graph", floor_s),
        Figure(f"ground: a path of the matrix, {what}", 1e6 * paths_s / PATHS, "us"),
    ]


def _bare(region: Region) -> tuple[sp.csr_array, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """The graph of the edges for robots, and the nodes of its largest part."""
    number = {node.node_id: i for i, node in enumerate(region.nodes)}
    edges = [edge for edge in region.edges if edge.robot and edge.kind is not WayKind.STEPS]
    a, b = (np.array([number[getattr(edge, end)] for edge in edges]) for end in ("a", "b"))
    lengths = np.array([edge.length_m for edge in edges])
    shape = (len(number), len(number))
    graph = sp.csr_array((np.tile(lengths, 2), (np.append(a, b), np.append(b, a))), shape=shape)
    _, part = connected_components(graph, directed=False)
    return graph, np.flatnonzero(part == np.bincount(part).argmax())


def _best_s(work: Callable[[], object]) -> float:
    """Seconds of the quickest of some rounds: the machine is shared."""
    best = np.inf
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return float(best)
