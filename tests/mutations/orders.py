"""Mutations of the plan's form, of its orders, and of what vehicles may carry."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

from routing.plan import Plan, StopAction, Trip, Unserved
from routing.problem import (
    Policy,
    Problem,
)
from tests.mutations.kit import (
    SECOND,
    Case,
    change_leg,
    change_order,
    change_region,
    change_route,
    change_trip,
    change_type,
    change_vehicle,
    mutation,
    vehicle_of,
)
from tests.plain import restated, trip
from tests.problems import START

# Form.


@mutation("form.route")
def _(problem: Problem, plan: Plan) -> Case:
    """A vehicle's trips on two routes."""
    first, *others = plan.routes
    halves = (replace(first, trips=first.trips[:1]), replace(first, trips=first.trips[1:]))
    return problem, replace(plan, routes=(*halves, *others))


@mutation("form.trip")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, change_trip(plan, "drone-1", 1, lambda t: replace(t, trip_id="drone-1-t1"))


@mutation("form.vehicle")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, change_route(plan, "robot-1", lambda r: replace(r, vehicle_id="ghost"))


@mutation("form.home")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, change_route(plan, "drone-1", lambda r: replace(r, home_site="east"))


@mutation("form.trips")
def _(problem: Problem, plan: Plan) -> Case:
    return replace(problem, max_trips_per_vehicle=1), plan


@mutation("form.legs")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, change_route(plan, "drone-2", lambda r: replace(r, trips=(*r.trips, Trip("nothing", ()))))


@mutation("form.drop")
def _(problem: Problem, plan: Plan) -> Case:
    """A stop at which nothing is done."""
    drone = vehicle_of(problem, "drone-2")
    stops = [("north", StopAction.DROP, ["c", "d"]), ("west", StopAction.DROP, [])]
    made = trip(problem, drone, stops, trip_id="drone-2-t1")
    return problem, change_trip(plan, "drone-2", 0, lambda _: made)


@mutation("form.site")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, change_leg(plan, "robot-1", 0, 0, lambda leg: replace(leg, to_site="moon"))


@mutation("form.pad")
def _(problem: Problem, plan: Plan) -> Case:
    """Kept beside the pads, with trips that name none."""
    return change_vehicle(problem, "drone-1", pad=None), plan


@mutation("form.time")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, change_leg(plan, "robot-1", 0, 1, lambda leg: replace(leg, leave=leg.leave + timedelta(days=999)))


@mutation("form.path")
def _(problem: Problem, plan: Plan) -> Case:
    """From a place to itself, and yet some way."""
    problem = change_order(problem, "d", dropoff_site="north")
    drone = vehicle_of(problem, "drone-2")
    stops = [("north", StopAction.DROP, ["c"]), ("north", StopAction.DROP, ["d"])]
    made = trip(problem, drone, stops, trip_id="drone-2-t1")
    plan = change_trip(plan, "drone-2", 0, lambda _: made)
    return problem, change_leg(plan, "drone-2", 0, 1, lambda leg: replace(leg, path=leg.path[:1], distance_m=0.5))


@mutation("form.number")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, change_leg(plan, "drone-1", 0, 0, lambda leg: replace(leg, energy_wh=math.nan))


# Orders.


@mutation("order.known")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, replace(plan, unserved=(*plan.unserved, Unserved("stray", "who?")))


@mutation("order.lost")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, replace(plan, unserved=())


@mutation("order.once")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, replace(plan, unserved=plan.unserved * 2)


@mutation("order.reason")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, replace(plan, unserved=(Unserved("spare", " "),))


@mutation("order.pickup")
def _(problem: Problem, plan: Plan) -> Case:
    return change_order(problem, "a", pickup_site="south"), plan


@mutation("order.away")
def _(problem: Problem, plan: Plan) -> Case:
    return replace(problem, policy=Policy(away_pickups=False)), plan


@mutation("order.pair")
def _(problem: Problem, plan: Plan) -> Case:
    """Fetched and never dropped."""
    plan = change_leg(plan, "drone-1", 1, 0, lambda leg: replace(leg, order_ids=("b", "spare")))
    return problem, change_trip(plan, "drone-1", 1, lambda t: restated(problem, vehicle_of(problem, "drone-1"), t))


@mutation("order.release")
def _(problem: Problem, plan: Plan) -> Case:
    return change_order(problem, "a", release=START + SECOND), plan


@mutation("order.site")
def _(problem: Problem, plan: Plan) -> Case:
    return change_order(problem, "a", dropoff_site="south"), plan


@mutation("order.window")
def _(problem: Problem, plan: Plan) -> Case:
    return change_order(problem, "a", latest=plan.routes[0].trips[0].legs[0].arrive - SECOND), plan


@mutation("order.temperature")
def _(problem: Problem, plan: Plan) -> Case:
    return change_order(problem, "a", temperature="frozen"), plan


@mutation("site.accepts")
def _(problem: Problem, plan: Plan) -> Case:
    sites = tuple(replace(s, accepts_drone=s.site_id != "north") for s in problem.region.sites)
    return change_region(problem, sites=sites), plan


@mutation("capacity.mass")
def _(problem: Problem, plan: Plan) -> Case:
    return change_type(problem, "drone-2", payload_kg=0.39), plan


@mutation("capacity.volume")
def _(problem: Problem, plan: Plan) -> Case:
    return change_type(problem, "drone-2", payload_l=1.9), plan


@mutation("capacity.compartments")
def _(problem: Problem, plan: Plan) -> Case:
    return change_type(problem, "drone-2", compartments=1), plan
