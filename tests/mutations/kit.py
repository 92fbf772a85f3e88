"""What mutations of a good plan are made with: the plan, changes of its parts, and the register by rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

from routing.plan import Leg, Plan, Route, Trip
from routing.problem import (
    FleetVehicle,
    Problem,
)
from tests.plain import at, far, plain_plan, plain_problem, retimed, trip

Case = tuple[Problem, Plan]
Mutation = Callable[[Problem, Plan], Case]

SECOND = timedelta(seconds=1)
HALF_EAST = far("east", 0.5)


@cache
def good() -> Case:
    problem = plain_problem()
    return problem, plain_plan(problem)


# What is changed: by vehicle, number of the trip, number of the leg.


def change_route(plan: Plan, vehicle_id: str, change: Callable[[Route], Route]) -> Plan:
    return replace(plan, routes=tuple(change(r) if r.vehicle_id == vehicle_id else r for r in plan.routes))


def change_trip(plan: Plan, vehicle_id: str, number: int, change: Callable[[Trip], Trip]) -> Plan:
    def changed(route: Route) -> Route:
        return replace(route, trips=tuple(change(t) if i == number else t for i, t in enumerate(route.trips)))

    return change_route(plan, vehicle_id, changed)


def change_leg(plan: Plan, vehicle_id: str, number: int, leg: int, change: Callable[[Leg], Leg]) -> Plan:
    def changed(made: Trip) -> Trip:
        return replace(made, legs=tuple(change(one) if i == leg else one for i, one in enumerate(made.legs)))

    return change_trip(plan, vehicle_id, number, changed)


def vehicle_of(problem: Problem, vehicle_id: str) -> FleetVehicle:
    return next(vehicle for vehicle in problem.vehicles if vehicle.vehicle_id == vehicle_id)


def change_vehicle(problem: Problem, vehicle_id: str, **changes: Any) -> Problem:
    return replace(
        problem,
        vehicles=tuple(replace(v, **changes) if v.vehicle_id == vehicle_id else v for v in problem.vehicles),
    )


def change_type(problem: Problem, vehicle_id: str, **changes: Any) -> Problem:
    return change_vehicle(problem, vehicle_id, type=replace(vehicle_of(problem, vehicle_id).type, **changes))


def change_order(problem: Problem, order_id: str, **changes: Any) -> Problem:
    return replace(
        problem, orders=tuple(replace(o, **changes) if o.order_id == order_id else o for o in problem.orders)
    )


def change_region(problem: Problem, **changes: Any) -> Problem:
    return replace(problem, region=replace(problem.region, **changes))


def change_edges(problem: Problem, end: str, **changes: Any) -> Problem:
    """The edge from half of the way to a site on, changed."""
    edges = tuple(replace(edge, **changes) if edge.b == end else edge for edge in problem.region.edges)
    return change_region(problem, edges=edges)


def replaced(problem: Problem, plan: Plan, vehicle_id: str, number: int, **how: Any) -> Plan:
    """A trip of a vehicle flown anew with the same stops, but ``how`` says."""
    vehicle = vehicle_of(problem, vehicle_id)

    def flown(old: Trip) -> Trip:
        stops = [(leg.to_site, leg.action, leg.order_ids) for leg in old.legs[:-1]]
        given: dict[str, Any] = {"depart": old.depart, "trip_id": old.trip_id} | how
        return trip(problem, vehicle, stops, **given)

    return change_trip(plan, vehicle_id, number, flown)


def made_again(problem: Problem, plan: Plan, vehicle_id: str) -> Plan:
    """All trips of a vehicle with times, distances and energy that are right in the problem."""
    vehicle = vehicle_of(problem, vehicle_id)
    return change_route(
        plan, vehicle_id, lambda r: replace(r, trips=tuple(retimed(problem, vehicle, t) for t in r.trips))
    )


def box(east_m: float, north_m: float, half_m: float = 20.0) -> tuple[tuple[float, float], ...]:
    corners = ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))
    places = (at(east_m + x * half_m, north_m + y * half_m) for x, y in corners)
    return tuple((place.lat, place.lon) for place in places)


MUTATIONS: dict[str, Mutation] = {}


def mutation(rule: str) -> Callable[[Mutation], Mutation]:
    """Register the change that only a rule must notice."""

    def register(change: Mutation) -> Mutation:
        assert rule not in MUTATIONS, rule
        MUTATIONS[rule] = change
        return change

    return register
