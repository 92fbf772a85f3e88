"""A town-sized day on the real map of Andorra: hubs with shared pads, drones, robots, zones and a thousand orders.

The region is imported from OpenStreetMap and its elevation file, which takes two seconds; hubs, drop sites and
further zones are put where the map has settlements, shops and streets. Needs the files of ``tests.shared_data``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import shapely
from scipy.sparse.csgraph import dijkstra

from routing.geo import Position
from routing.problem import FleetVehicle, OrderRequest, Problem
from routing.region.build import ImportFiles, import_region
from routing.region.model import Region, Site, SiteKind, Zone
from routing.region.notes import ImportNotes, silent
from routing.region.osm import read_osm
from routing.vehicle_type import VehicleKind
from tests.problems import DRONE, ROBOT, START
from tests.shared_data import ANDORRA_DEM, ANDORRA_OSM

HUBS = (("La Massana", 3), ("Andorra la Vella", 3), ("Encamp", 2), ("Sant Julià de Lòria", 2))
"""Towns with a hub, and how many pads it has: ten in all."""

ZONES, DRONE_SITES, ROBOT_SITES = 200, 140, 160
DRONE_NEAR_M, DRONE_FAR_M = 800.0, 4_000.0
ROBOT_NEAR_M, ROBOT_FAR_M = 150.0, 1_300.0
SITE_SPACING_M = 60.0
PAD_STEP_M = 55.0
"""Pads of a hub lie farther apart than flights must, so that drones may go up and down on several of them at once."""

ZONE_CLEAR_M = 80.0
DAY_H = 9.0

Array = npt.NDArray[np.float64]


@cache
def town_region(zones: int = ZONES) -> Region:
    """Return the region with its sites and zones; it is made once."""
    base = import_region("town", ImportFiles(ANDORRA_OSM, (ANDORRA_DEM,))).region
    data = read_osm(ANDORRA_OSM, None, ImportNotes(), silent)
    points = [point for point in data.points if point.tags.get("name") or point.tags.get("amenity")]
    places = np.array([base.frame.to_local(Position(point.lat, point.lon)) for point in points])
    towns = {point.tags.get("name"): place for point, place in zip(points, places, strict=True)
             if point.tags.get("place") == "town"}  # fmt: skip
    graph, nodes = _robot_graph(base)
    hubs = [_hub(base, i, towns[name], pads, nodes) for i, (name, pads) in enumerate(HUBS)]
    drops = [*_robot_drops(base, hubs, graph, nodes), *_drone_drops(base, hubs, places, nodes)]
    sites = (*hubs, *drops)
    more = _zones(base, sites, places, zones - len(base.zones))
    near = _clear_of([zone.ring for zone in base.zones], base, sites)
    kept = tuple(site for site, clear in zip(sites, near, strict=True) if clear or site.kind is SiteKind.HUB)
    return replace(base, sites=kept, zones=(*base.zones, *more))


def town(orders: int = 1_000, *, drones: int = 60, robots: int = 40, seed: int = 1, trips: int = 16) -> Problem:
    """Return a day of so many orders; the drones share the pads of their hubs."""
    region = town_region()
    rng = np.random.default_rng(seed)
    hubs = [site for site in region.sites if site.kind is SiteKind.HUB]
    weights = [sum(1 for site in region.sites if _hub_of(site, hubs) is hub) for hub in hubs]
    air = [site for site in region.sites if site.kind is SiteKind.DROP_POINT and site.accepts_drone]
    ground = [site for site in region.sites if site.kind is SiteKind.DROP_POINT and not site.accepts_drone]
    requests = []
    for i in range(orders):
        flown = i % 5 < 2
        site = (air if flown else ground)[int(rng.integers(len(air if flown else ground)))]
        mass_kg = round(float(rng.uniform(0.2, 0.8) if flown else rng.uniform(0.3, 6.0)), 2)
        opens = float(rng.uniform(0.0, 60.0 * (DAY_H - 1.5)))
        closes = opens + float(rng.uniform(60.0, 180.0))
        begin, end = (START + timedelta(minutes=round(each)) for each in (opens, closes))
        hub = _hub_of(site, hubs).site_id
        priority = int(rng.integers(0, 3))
        requests.append(
            OrderRequest(f"o{i}", hub, site.site_id, mass_kg, round(2.0 * mass_kg, 1), begin, end, priority)
        )
    shares = list(itertools.islice(_spread(weights), max(drones, robots)))
    fleet = [FleetVehicle(f"drone-{i + 1}", DRONE, hubs[shares[i]].site_id, START, None) for i in range(drones)]
    fleet += [FleetVehicle(f"robot-{i + 1}", ROBOT, hubs[shares[i]].site_id, START) for i in range(robots)]
    return Problem(region, tuple(requests), tuple(fleet), START, seed, trips)


def with_own_pads(problem: Problem) -> Problem:
    """The same day with as many pads as drones: each has its own."""
    counts = dict.fromkeys((site.site_id for site in problem.region.sites), 0)
    vehicles = []
    for vehicle in problem.vehicles:
        if vehicle.type.kind is VehicleKind.DRONE:
            vehicles.append(replace(vehicle, pad=counts[vehicle.home_site]))
            counts[vehicle.home_site] += 1
        else:
            vehicles.append(vehicle)
    region = problem.region
    sites = tuple(
        replace(site, pads=_pad_grid(region, np.array(region.frame.to_local(site.position)), counts[site.site_id] + 1))
        if site.kind is SiteKind.HUB
        else site
        for site in region.sites
    )
    return replace(problem, region=replace(region, sites=sites), vehicles=tuple(vehicles))


def _spread(weights: Sequence[int]) -> Iterator[int]:
    """Indices in turn, each as often as its weight asks (largest remainder, one at a time)."""
    given = [0] * len(weights)
    while True:
        chosen = max(range(len(weights)), key=lambda i: (weights[i] / (given[i] + 1), -i))
        given[chosen] += 1
        yield chosen


def _hub_of(site: Site, hubs: Sequence[Site]) -> Site:
    """The hub that a drop site was chosen for, which its id names."""
    return next(hub for hub in hubs if site.site_id.startswith(hub.site_id))


def _robot_graph(region: Region) -> tuple[sp.csr_array, Array]:
    """Lengths of the ways that robots may use, and the nodes' places (infinite where none of them ends)."""
    index = {node.node_id: i for i, node in enumerate(region.nodes)}
    usable = [edge for edge in region.edges if edge.robot]
    a, b = (np.array([index[getattr(edge, end)] for edge in usable]) for end in ("a", "b"))
    lengths = np.array([max(0.01, edge.length_m) for edge in usable])
    places = np.array([region.frame.to_local(node.position) for node in region.nodes])
    unused = np.ones(len(places), dtype=bool)
    unused[np.concatenate((a, b))] = False
    places[unused] = np.inf
    return sp.csr_array((lengths, (a, b)), shape=(len(places), len(places))), places


def _hub(region: Region, number: int, town: Array, pads: int, nodes: Array) -> Site:
    node = region.nodes[int(np.argmin(np.hypot(*(nodes - town).T)))]
    at = np.array(region.frame.to_local(node.position))
    site_id = f"hub{number + 1}"
    return Site(
        site_id, SiteKind.HUB, HUBS[number][0], HUBS[number][0], node.position, node.node_id, True, True,
        _pad_grid(region, at, pads),
    )  # fmt: skip


def _pad_grid(region: Region, at: Array, count: int) -> tuple[Position, ...]:
    """Pads in rows of five, the first on the place itself."""
    offsets = sorted(itertools.product(range(-2, 3), range(count // 5 + 1)), key=lambda o: (o[0] ** 2 + o[1] ** 2, o))
    return tuple(_position(region, at + np.array(offset) * PAD_STEP_M) for offset in offsets[:count])


def _position(region: Region, place: Array) -> Position:
    height = round(float(region.terrain.height_m(place[0], place[1])), 1)
    return region.frame.to_global(float(place[0]), float(place[1]), height)


def _robot_drops(region: Region, hubs: Sequence[Site], graph: sp.csr_array, nodes: Array) -> Iterator[Site]:
    """Nodes of streets at a fair distance along the ways from each hub, apart from one another."""
    index = {node.node_id: i for i, node in enumerate(region.nodes)}
    ways_m = dijkstra(graph, directed=False, indices=[index[str(hub.node)] for hub in hubs], limit=ROBOT_FAR_M)
    each = ROBOT_SITES // len(hubs)
    for hub, away_m in zip(hubs, ways_m, strict=True):
        candidates = np.flatnonzero((away_m >= ROBOT_NEAR_M) & (away_m <= ROBOT_FAR_M))
        candidates = candidates[np.argsort((candidates * 0.6180339887) % 1.0)]
        for n, i in enumerate(itertools.islice(_apart(nodes, candidates), each)):
            node = region.nodes[i]
            name = f"{hub.site_id}-r{n}"
            yield Site(name, SiteKind.DROP_POINT, name, name, node.position, node.node_id, False, True)


def _drone_drops(region: Region, hubs: Sequence[Site], places: Array, nodes: Array) -> Iterator[Site]:
    """Places of the map and street corners that a drone reaches from each hub."""
    corners = nodes[np.isfinite(nodes[:, 0])]
    corners = corners[np.argsort((np.arange(len(corners)) * 0.6180339887) % 1.0)][:3000]
    everywhere = np.concatenate((places, corners))
    at = np.array([region.frame.to_local(hub.position) for hub in hubs])
    away_m = np.hypot(*(everywhere[:, None] - at[None]).transpose(2, 0, 1))
    ground = region.terrain.height_m(everywhere[:, 0], everywhere[:, 1])
    each = DRONE_SITES // len(hubs)
    for h, hub in enumerate(hubs):
        near = (away_m.argmin(axis=1) == h) & (away_m[:, h] >= DRONE_NEAR_M) & (away_m[:, h] <= DRONE_FAR_M)
        level = np.abs(ground - hub.position.alt_amsl_m) <= 450.0
        candidates = np.flatnonzero(near & level)
        candidates = candidates[np.argsort((candidates * 0.6180339887) % 1.0)]
        for n, i in enumerate(itertools.islice(_apart(everywhere, candidates), each)):
            pad = _position(region, everywhere[i])
            name = f"{hub.site_id}-d{n}"
            yield Site(name, SiteKind.DROP_POINT, name, name, pad, None, True, False, (pad,))


def _apart(places: Array, candidates: npt.NDArray[np.int64]) -> Iterator[int]:
    taken = np.empty((0, 2))
    for i in candidates:
        if not len(taken) or np.hypot(*(taken - places[i]).T).min() >= SITE_SPACING_M:
            taken = np.concatenate((taken, places[i][None]))
            yield int(i)


def _clear_of(rings: Sequence[tuple[tuple[float, float], ...]], region: Region, sites: Sequence[Site]) -> list[bool]:
    areas = shapely.union_all([
        shapely.Polygon([region.frame.to_local(Position(*corner)) for corner in ring]) for ring in rings
    ])  # fmt: skip
    at = shapely.points([region.frame.to_local(site.position) for site in sites])
    return [bool(away) for away in shapely.distance(at, areas) > ZONE_CLEAR_M]


def _zones(region: Region, sites: Sequence[Site], places: Array, count: int) -> Iterator[Zone]:
    """Hexagons around what the map names, clear of all sites: nobody flies over a school yard."""
    rng = np.random.default_rng(7)
    at = np.array([region.frame.to_local(site.position) for site in sites])
    angles = np.radians(60.0 * np.arange(7))
    found = 0
    while found < count:
        radius = float(rng.uniform(40.0, 120.0))
        place = places[int(rng.integers(len(places)))] + rng.uniform(-200.0, 200.0, 2)
        if np.hypot(*(at - place).T).min() < radius + ZONE_CLEAR_M:
            continue
        corners = place + radius * np.stack((np.cos(angles), np.sin(angles)), axis=1)
        ring = tuple((p.lat, p.lon) for p in (_position(region, corner) for corner in corners))
        yield Zone(f"zone-{found}", "school", f"区域{found}", f"Zone {found}", (*ring[:-1], ring[0]))
        found += 1
