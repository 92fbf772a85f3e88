"""10,000 drone paths among 500 zones, beside the least that anyone could do for the same pairs.

The region is the sample municipality, 15 x 10 km between mountains 600 m high, with 500 zones in it; the pairs lie
anywhere in it, so that no two have an end in common. The time is that of everything, from the region to positions,
but the compilation of kernels, which is kept on disk. The floor is one query of the straight lines against the zones,
and the terrain under them read every 5 m.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import shapely

from routing.airspace import zone_areas
from routing.errors import NoWay
from routing.flight_path import FlightPaths
from routing.geo import Position
from routing.region.model import Region, Zone
from routing.region.sample import sample_region
from tests.benchmarks.figures import Figure

PAIRS, ZONES = 10_000, 500
_SAMPLE_M = 5.0

Floats = npt.NDArray[np.float64]
Pairs = list[tuple[Position, Position]]


def measure() -> list[Figure]:
    """Time the paths of pairs all over the region, and those of a matrix of 100 x 100 sites."""
    region = crowded(ZONES)
    anywhere, matrix = _anywhere(region, PAIRS), _matrix(region, 100)
    FlightPaths(region).paths(anywhere[:300])  # compiles, or loads, the kernels
    floor_s, cpu_floor_s = _timed(lambda: _floor(region, anywhere))
    took_s, cpu_s = _timed(lambda: _all(region, anywhere))
    matrix_s, _ = _timed(lambda: _all(region, matrix))
    found = _all(region, anywhere)
    peer = "one query and terrain under straight lines"
    return [
        Figure("10,000 drone paths among 500 zones", took_s, "s", aim="<= 3"),
        Figure("the same, CPU time", cpu_s, "s", peer, cpu_floor_s),
        Figure("the same, beside the floor", took_s, "s", peer, floor_s),
        Figure("100 x 100 drone paths among 500 zones", matrix_s, "s", aim="<= 3"),
        Figure("share of pairs with a path", sum(not isinstance(path, NoWay) for path in found) / len(found), ""),
    ]


def crowded(zones: int, seed: int = 1) -> Region:
    """The sample region with so many more zones of 3 to 12 corners, 80 to 360 m across."""
    region = sample_region(seed)
    rng = np.random.default_rng(seed)
    terrain = region.terrain
    more = []
    for i in range(zones):
        centre = rng.uniform((terrain.west_m, terrain.south_m), (terrain.east_m, terrain.north_m))
        turns = np.sort(rng.uniform(0.0, 2.0 * np.pi, int(rng.integers(5, 13))))
        corners = centre + rng.uniform(40.0, 180.0) * np.stack((np.cos(turns), np.sin(turns)), axis=1)
        hull = shapely.get_coordinates(shapely.MultiPoint(corners).convex_hull)
        places = [region.frame.to_global(float(east), float(north)) for east, north in hull]
        more.append(Zone(f"x{i}", "test", "", "", tuple((place.lat, place.lon) for place in places)))
    return replace(region, zones=(*region.zones, *more))


def _places(region: Region, count: int, seed: int) -> list[Position]:
    """Places on the ground in no zone."""
    rng, terrain = np.random.default_rng(seed), region.terrain
    closed = shapely.union_all(zone_areas(region, 60.0))
    shapely.prepare(closed)
    places = rng.uniform((terrain.west_m, terrain.south_m), (terrain.east_m, terrain.north_m), (3 * count, 2))
    places = places[~shapely.intersects_xy(closed, places)][:count]
    ground = terrain.height_m(*places.T)
    return [
        region.frame.to_global(float(east), float(north), float(height))
        for (east, north), height in zip(places, ground, strict=True)
    ]


def _anywhere(region: Region, count: int) -> Pairs:
    places = _places(region, 2 * count, 2)
    return list(zip(places[:count], places[count:], strict=True))


def _matrix(region: Region, count: int) -> Pairs:
    sites = _places(region, count, 3)
    return [(a, b) for a in sites for b in sites]


def _all(region: Region, pairs: Pairs) -> list[Floats | NoWay]:
    return FlightPaths(region).lines(pairs)


def _floor(region: Region, pairs: Pairs) -> int:
    ends = np.array([[region.frame.to_local(place) for place in pair] for pair in pairs])
    met = shapely.STRtree(zone_areas(region, 25.0)).query(shapely.linestrings(ends), predicate="intersects")
    for start, end in ends:
        count = int(np.hypot(*(end - start)) / _SAMPLE_M) + 2
        along = np.linspace(start, end, count)
        region.terrain.height_m(along[:, 0], along[:, 1]).max()
    return len(met[0])


def _timed(work: object) -> tuple[float, float]:
    assert callable(work)
    begun, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begun, time.process_time() - cpu
