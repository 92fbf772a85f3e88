"""A large synthetic region for planning tests: 10 x 15 km of ridges and valleys, two hubs, a power line, a network."""

from __future__ import annotations

import itertools
import math
from datetime import timedelta
from functools import cache

import numpy as np

from routing.geo import LocalFrame, Position
from routing.problem import FleetVehicle, OrderRequest, Policy, Problem
from routing.region.model import GroundEdge, GroundNode, Obstacle, Region, Site, SiteKind, Terrain, WayKind, Zone
from tests.problems import DRONE, ROBOT, START

ORIGIN = Position(36.1, 137.6, 500.0)
FRAME = LocalFrame(ORIGIN)
HUBS = (("hub-1", 0.0, 0.0), ("hub-2", 1500.0, 4000.0))
FAR = tuple((f"far-{i}", east, north) for i, (east, north) in enumerate(
    [(2300.0, 900.0), (-2400.0, 700.0), (1900.0, 2300.0), (-1500.0, 2600.0), (2600.0, -1400.0), (-2200.0, -1800.0),
     (3600.0, 4700.0), (-500.0, 5200.0), (1200.0, 6600.0)]
))  # fmt: skip
NEAR = tuple((f"near-{i}", hub, along, aside) for i, (hub, along, aside) in enumerate(
    [(0, 600.0, 0.0), (0, -700.0, 0.0), (0, 300.0, 400.0), (1, 650.0, 0.0), (1, -600.0, 0.0), (1, 250.0, -450.0)]
))  # fmt: skip


def _heights() -> Terrain:
    """A valley from south to north, side valleys, and ridges 500 m higher between them, on 30 m."""
    east, north = np.meshgrid(np.arange(-5000.0, 5001.0, 30.0), np.arange(-7500.0, 7501.0, 30.0))
    axis = 300.0 * np.sin(north / 1800.0)
    aside = np.abs(east - axis)
    side = 0.5 + 0.5 * np.cos(north / 650.0)
    rise = np.clip((aside - 250.0) / 3500.0, 0.0, 1.0)
    ridge = 650.0 * (0.35 + 0.65 * side) * rise * (2.0 - rise)
    rough = 6.0 * np.sin(east / 90.0) * np.cos(north / 110.0) * rise
    return Terrain(-5000.0, -7500.0, 30.0, (500.0 + 0.01 * north + ridge + rough).astype(np.float32), "test", 5.0)


@cache
def highlands() -> Region:
    """Return the region; it is made once."""
    terrain = _heights()

    def place(east_m: float, north_m: float, up_m: float = 0.0) -> Position:
        return FRAME.to_global(east_m, north_m, round(float(terrain.height_m(east_m, north_m)), 2) + up_m)

    nodes: dict[tuple[float, float], GroundNode] = {}
    edges: list[GroundEdge] = []

    def node(east_m: float, north_m: float) -> str:
        key = (round(east_m, 1), round(north_m, 1))
        if key not in nodes:
            nodes[key] = GroundNode(f"n{len(nodes)}", place(*key))
        return nodes[key].node_id

    def way(start: tuple[float, float], end: tuple[float, float]) -> None:
        count = max(1, round(math.dist(start, end) / 50.0))
        points = [tuple(a + (b - a) * i / count for a, b in zip(start, end, strict=True)) for i in range(count + 1)]
        for i, (a, b) in enumerate(itertools.pairwise(points)):
            length = math.dist((*a, terrain.height_m(*a)), (*b, terrain.height_m(*b)))
            kind = WayKind.CROSSING if i == 2 else WayKind.FOOTWAY
            edges.append(GroundEdge(node(*a), node(*b), length, kind, crossing=i == 2))

    sites = []
    for site_id, east, north in HUBS:
        pads = tuple(place(east + 15.0 * i, north + 20.0) for i in range(4))
        own = node(east, north)
        sites.append(Site(site_id, SiteKind.HUB, site_id, site_id, place(east, north), own, True, True, pads))
    for site_id, east, north in FAR:
        pad = place(east, north)
        sites.append(Site(site_id, SiteKind.DROP_POINT, site_id, site_id, pad, None, True, False, (pad,)))
    for site_id, hub, along, aside in NEAR:
        east, north = HUBS[hub][1:]
        way((east, north), (east, north + along))
        if aside:
            way((east, north + along), (east + aside, north + along))
        at = (east + aside, north + along)
        sites.append(
            Site(site_id, SiteKind.DROP_POINT, site_id, site_id, place(*at), node(*at), True, True, (place(*at),))
        )
    school = tuple((p.lat, p.lon) for p in (place(900, 300), place(1200, 300), place(1200, 600), place(900, 600)))
    pylons = tuple(place(-4500.0 + 300.0 * i, 1500.0 + 60.0 * (i % 2), 45.0) for i in range(31))
    return Region(
        "highlands",
        "高地",
        "Highlands",
        ORIGIN,
        terrain,
        tuple(sites),
        tuple(nodes.values()),
        tuple(edges),
        (Zone("school", "school", "学校", "School", (*school, school[0])),),
        (
            Obstacle("line", "power_line", "Power line", pylons, 30.0),
            Obstacle("mast", "mast", "Mast", (place(600.0, 2000.0, 160.0),), 60.0),
        ),
    )


def morning(orders: int = 24, *, drones: int = 4, robots: int = 4, seed: int = 1) -> Problem:
    """Orders of one morning, half of them for the drones alone; vehicles at both hubs in turn."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(orders):
        hub = i % 2
        if i // 2 % 2:
            site = FAR[int(rng.integers(0, len(FAR)))][0]
            mass_kg = float(rng.uniform(0.2, 0.9))
        else:
            site = NEAR[3 * hub + int(rng.integers(0, 3))][0]
            mass_kg = float(rng.uniform(0.3, 9.0))
        opens = int(rng.integers(0, 60))
        made.append(
            OrderRequest(
                f"o{i}",
                HUBS[hub][0],
                site,
                round(mass_kg, 2),
                round(2.0 * mass_kg, 1),
                START + timedelta(minutes=opens),
                START + timedelta(minutes=opens + int(rng.integers(60, 150))),
                int(rng.integers(0, 3)),
            )
        )
    fleet = [FleetVehicle(f"drone-{i + 1}", DRONE, HUBS[i % 2][0], START, i // 2) for i in range(drones)]
    fleet += [FleetVehicle(f"robot-{i + 1}", ROBOT, HUBS[i % 2][0], START) for i in range(robots)]
    # Vehicles stay with the orders of their hubs.
    return Problem(highlands(), tuple(made), tuple(fleet), START, seed, policy=Policy(away_pickups=False))
