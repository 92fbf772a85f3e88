"""A flat region in which everything is known, and a good plan made by hand in it: no solver has a part in them.

The hub is in the middle; ``east``, ``west``, ``north`` and ``south`` lie 1,500 m away, with a way to each.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache

import numpy as np

from routing.geo import LocalFrame, Position
from routing.plan import Leg, Plan, Route, StopAction, Trip, Unserved
from routing.problem import FleetVehicle, OrderRequest, Problem, Separation
from routing.region.model import GroundEdge, GroundNode, Region, Site, SiteKind, Terrain, WayKind
from routing.trajectory import home_pads
from routing.validate.context import TripContext
from routing.validate.energy import leg_energies
from routing.validate.motion import movements
from routing.vehicle_type import VehicleKind
from tests.problems import DRONE, ROAD_ROBOT, ROBOT, START, minutes

GROUND_M = 100.0
FAR_M = 1500.0
DIRECTIONS = {"east": (1.0, 0.0), "west": (-1.0, 0.0), "north": (0.0, 1.0), "south": (0.0, -1.0)}
FRAME = LocalFrame(Position(35.0, 138.0))

Stop = tuple[str, StopAction, Sequence[str]]
"""A site, what is done there, and for which orders."""


def at(east_m: float, north_m: float, up_m: float = 0.0) -> Position:
    """A place so high above the ground."""
    return FRAME.to_global(east_m, north_m, GROUND_M + up_m)


def far(site_id: str, share: float = 1.0) -> tuple[float, float]:
    """East and north of a share of the way from the hub to a site."""
    east, north = DIRECTIONS[site_id]
    return east * FAR_M * share, north * FAR_M * share


@cache
def plain_region() -> Region:
    """The hub with three pads 80 m apart, and four drop points for everybody."""
    hub = Site("hub", SiteKind.HUB, "", "Hub", at(0, 0), "hub", True, True, (at(0, 0), at(0, 80), at(0, 160)))
    drops = [
        Site(name, SiteKind.DROP_POINT, "", name, at(*far(name)), name, True, True, (at(*far(name)),))
        for name in DIRECTIONS
    ]
    nodes = [GroundNode("hub", at(0, 0))]
    edges = []
    for name in DIRECTIONS:
        nodes += [GroundNode(f"half-{name}", at(*far(name, 0.5))), GroundNode(name, at(*far(name)))]
        for a, b in itertools.pairwise(("hub", f"half-{name}", name)):
            edges.append(GroundEdge(a, b, FAR_M / 2, WayKind.ROAD, road=True))
    terrain = Terrain(-5000.0, -5000.0, 1000.0, np.full((11, 11), GROUND_M), "flat", 0.0)
    return Region("plain", "", "Plain", FRAME.origin, terrain, (hub, *drops), tuple(nodes), tuple(edges), ())


def plain_problem() -> Problem:
    """Two drones with pads of their own, a sidewalk robot and a road robot; ``spare`` is an order for nobody."""
    late = minutes(600)
    orders = [
        OrderRequest("a", "hub", "east", 0.2, 1.0, START, late),
        OrderRequest("b", "east", "west", 0.2, 1.0, START, late),
        OrderRequest("c", "hub", "north", 0.2, 1.0, START, late),
        OrderRequest("d", "hub", "north", 0.2, 1.0, START, late),
        OrderRequest("e", "hub", "south", 5.0, 9.0, START, late),
        OrderRequest("f", "hub", "west", 50.0, 90.0, START, late),
        OrderRequest("spare", "east", "west", 0.1, 1.0, START, late),
    ]
    vehicles = (
        FleetVehicle("drone-1", replace(DRONE, battery_wh=1400.0), "hub", START, 0),
        FleetVehicle("drone-2", replace(DRONE, battery_wh=1400.0), "hub", START, 1),
        FleetVehicle("robot-1", ROBOT, "hub", START),
        FleetVehicle("robot-2", ROAD_ROBOT, "hub", START),
    )
    # Without drift, so that it is plain what is near to what.
    return Problem(plain_region(), tuple(orders), vehicles, START, separation=Separation(drift=0.0))


def plain_plan(problem: Problem) -> Plan:
    """Drone 1 drops in the east; on a second trip it fetches there what it drops in the west. The others go once."""
    drop, pickup = StopAction.DROP, StopAction.PICKUP
    drone_1, drone_2, robot_1, robot_2 = problem.vehicles
    routes = (
        _route(
            problem,
            drone_1,
            [[("east", drop, ["a"])], [("east", pickup, ["b"]), ("west", drop, ["b"])]],
        ),
        _route(problem, drone_2, [[("north", drop, ["c", "d"])]]),
        _route(problem, robot_1, [[("south", drop, ["e"])]]),
        _route(problem, robot_2, [[("west", drop, ["f"])]]),
    )
    return Plan(routes, (Unserved("spare", "nobody is free"),), 0.0)


def _route(problem: Problem, vehicle: FleetVehicle, trips: Sequence[Sequence[Stop]]) -> Route:
    made, depart = [], START
    for number, stops in enumerate(trips, start=1):
        made.append(trip(problem, vehicle, stops, depart=depart, trip_id=f"{vehicle.vehicle_id}-t{number}"))
        depart = made[-1].arrive + timedelta(seconds=vehicle.type.turnaround_s)
    return Route(vehicle.vehicle_id, "hub", tuple(made))


def trip(
    problem: Problem,
    vehicle: FleetVehicle,
    stops: Sequence[Stop],
    *,
    depart: datetime = START,
    trip_id: str = "trip",
    up_m: float = 60.0,
) -> Trip:
    """A trip straight from stop to stop ``up_m`` above the ground, or over the hub on the ways."""
    bare = Trip(trip_id, ())
    legs, here = [], "hub"
    for site_id, action, order_ids in (*stops, ("hub", StopAction.HOME, ())):
        nodes: tuple[str, ...] = ()
        if vehicle.type.kind is VehicleKind.DRONE:
            start, end = home_pads(bare, vehicle, problem.region)
            a = start if here == "hub" else at(*far(here))
            b = end if site_id == "hub" else at(*far(site_id))
            path = tuple(replace(place, alt_amsl_m=GROUND_M + up_m) for place in (a, b))
        else:
            nodes = _nodes(here, site_id)
            places = {node.node_id: node.position for node in problem.region.nodes}
            path = tuple(places[node] for node in nodes)
        legs.append(Leg(site_id, action, tuple(order_ids), path, nodes, depart, depart, depart, 0.0, 0.0))
        here = site_id
    return retimed(problem, vehicle, replace(bare, legs=tuple(legs)))


def _nodes(start: str, end: str) -> tuple[str, ...]:
    back = () if start == "hub" else (start, f"half-{start}")
    on = () if end == "hub" else (f"half-{end}", end)
    return (*back, "hub", *on)


def retimed(problem: Problem, vehicle: FleetVehicle, made: Trip) -> Trip:
    """The trip with the times, distances and energy that its paths and stops take, from its departure on."""
    sites = {site.site_id: site for site in problem.region.sites}
    orders = {order.order_id: order for order in problem.orders}
    context = TripContext(vehicle, made, orders, sites)
    moved = movements(problem, context)
    assert moved is not None
    legs, depart = [], made.legs[0].depart
    for leg, movement in zip(made.legs, moved, strict=True):
        arrive = depart + timedelta(seconds=math.ceil(movement.duration_s))
        leave = arrive + timedelta(seconds=math.ceil(context.service_s(leg)))
        legs.append(replace(leg, depart=depart, arrive=arrive, leave=leave, distance_m=movement.distance_m))
        depart = leave
    return restated(problem, vehicle, replace(made, legs=tuple(legs)))


def restated(problem: Problem, vehicle: FleetVehicle, made: Trip) -> Trip:
    """The trip with the energy that it takes at its times."""
    sites = {site.site_id: site for site in problem.region.sites}
    orders = {order.order_id: order for order in problem.orders}
    needed = leg_energies(problem, TripContext(vehicle, made, orders, sites))
    legs = tuple(replace(leg, energy_wh=wh) for leg, wh in zip(made.legs, needed, strict=True))
    return replace(made, legs=legs)
