"""Where people live: buildings beside the lanes, and the population mesh."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from routing.region.model import Population, Raster, WayKind
from routing.region.sample.curve import Array
from routing.region.sample.places import Ground
from routing.region.sample.streets import Network

PERSONS = 6_000
CELL_M = 250.0
AGED, OLD = 0.45, 0.55
"""Share of persons who are 65 or older, and of these who are 75 or older: as where many have moved to the cities."""
SPACING_M = 18.0
"""Least distance between the middles of two buildings."""
FROM_WAYS_M = 9.0
FROM_SITES_M = 26.0

_SHARES = {WayKind.RESIDENTIAL: 0.85, WayKind.FOOTWAY: 0.6, WayKind.SERVICE: 0.1}
"""How many pieces of ways have a building beside them."""
_SIDES_M = (12.0, 17.0)


def make_buildings(
    rng: np.random.Generator, ground: Ground, network: Network, keep_clear: Array
) -> tuple[Array, Array]:
    """Return the middles of buildings, shape ``(n, 2)``, and their corners, shape ``(n, 4, 2)``."""
    numbers = {node.node_id: i for i, node in enumerate(network.nodes)}
    ends = network.places[[(numbers[edge.a], numbers[edge.b]) for edge in network.edges]]
    start, run = ends[:, 0], ends[:, 1] - ends[:, 0]
    u = run / np.maximum(np.hypot(*run.T), 1.0)[:, None]
    v = np.stack((-u[:, 1], u[:, 0]), axis=1) * np.where(rng.random(len(u)) < 0.5, -1.0, 1.0)[:, None]
    middles = start + run / 2 + u * rng.uniform(-5, 5, (len(u), 1)) + v * rng.uniform(*_SIDES_M, (len(u), 1))
    ways = cKDTree(np.concatenate([start + run * share for share in (0.0, 0.25, 0.5, 0.75, 1.0)]))
    wanted = rng.random(len(u)) < np.array([_SHARES.get(edge.kind, 0.0) for edge in network.edges])
    wanted &= (ways.query(middles)[0] >= FROM_WAYS_M) & (cKDTree(keep_clear).query(middles)[0] >= FROM_SITES_M)
    chosen = _apart(middles, np.flatnonzero(wanted))
    at, u, v = middles[chosen], u[chosen], v[chosen]
    u, v = u * rng.uniform(4.0, 7.5, (len(at), 1)), v * rng.uniform(3.5, 5.0, (len(at), 1))
    return at, np.stack((at - u - v, at + u - v, at + u + v, at - u + v), axis=1)


def _apart(places: Array, candidates: npt.NDArray[np.int64]) -> list[int]:
    """Of the candidates those, first come first served, that keep their distance."""
    near = cKDTree(places)
    chosen: list[int] = []
    refused: set[int] = set()
    for i in candidates.tolist():
        if i not in refused:
            chosen.append(i)
            refused.update(near.query_ball_point(places[i], SPACING_M))
    return chosen


def make_population(rng: np.random.Generator, ground: Ground, homes: Array) -> Population:
    """``PERSONS`` persons in the mesh cells of their homes, by age."""
    terrain = ground.land.terrain
    columns = math.ceil((terrain.east_m - terrain.west_m) / CELL_M)
    rows = math.ceil((terrain.north_m - terrain.south_m) / CELL_M)
    weights = rng.gamma(2.0, 1.0, len(homes))
    living = rng.multinomial(PERSONS, weights / weights.sum())
    aged = rng.binomial(living, AGED)
    cells = np.floor((homes - (terrain.west_m, terrain.south_m)) / CELL_M).astype(int)

    def laid(counts: npt.NDArray[np.int64]) -> Raster:
        mesh = np.zeros((rows, columns), dtype=np.float32)
        np.add.at(mesh, (cells[:, 1], cells[:, 0]), counts)
        return mesh

    bands = (("65+", laid(aged)), ("75+", laid(rng.binomial(aged, OLD))))
    return Population(terrain.west_m, terrain.south_m, CELL_M, laid(living), bands)
