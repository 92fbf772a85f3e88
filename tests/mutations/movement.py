"""Mutations of times, speeds and paths, in the air and on the ground."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from routing.plan import Leg, Plan
from routing.problem import (
    Policy,
    Problem,
)
from routing.region.model import Feature, Layer, Obstacle, Population, Restriction, Zone
from routing.wind import Wind
from tests.mutations.kit import (
    HALF_EAST,
    SECOND,
    Case,
    box,
    change_edges,
    change_leg,
    change_region,
    change_trip,
    change_type,
    change_vehicle,
    made_again,
    mutation,
    replaced,
    vehicle_of,
)
from tests.plain import at, far, restated
from tests.problems import START, minutes

# Times and speeds.


@mutation("time.start")
def _(problem: Problem, plan: Plan) -> Case:
    return change_vehicle(problem, "drone-1", available_from=START + SECOND), plan


@mutation("time.shift")
def _(problem: Problem, plan: Plan) -> Case:
    return change_vehicle(problem, "drone-1", shift_end=plan.routes[0].trips[1].arrive - SECOND), plan


@mutation("time.turnaround")
def _(problem: Problem, plan: Plan) -> Case:
    return change_type(problem, "drone-1", turnaround_s=121.0), plan


@mutation("time.order")
def _(problem: Problem, plan: Plan) -> Case:
    """It goes on before it has left."""
    return problem, change_leg(plan, "drone-1", 0, 0, lambda leg: replace(leg, leave=leg.leave + SECOND))


@mutation("time.service")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, change_leg(plan, "drone-1", 0, 0, lambda leg: replace(leg, leave=leg.leave - SECOND))


@mutation("speed.limit")
def _(problem: Problem, plan: Plan) -> Case:
    """There in no time, and then it waits."""
    plan = change_leg(plan, "robot-1", 0, 0, lambda leg: replace(leg, arrive=leg.depart + 60 * SECOND))
    return problem, change_trip(plan, "robot-1", 0, lambda t: restated(problem, vehicle_of(problem, "robot-1"), t))


@mutation("speed.time")
def _(problem: Problem, plan: Plan) -> Case:
    """As fast as at cruise speed from the first second to the last."""
    plan = change_leg(plan, "drone-2", 0, 0, lambda leg: replace(leg, arrive=leg.arrive - 30 * SECOND))
    return problem, change_trip(plan, "drone-2", 0, lambda t: restated(problem, vehicle_of(problem, "drone-2"), t))


# Paths.


@mutation("path.ends")
def _(problem: Problem, plan: Plan) -> Case:
    def off(leg: Leg) -> Leg:
        return replace(leg, path=(at(0.0, 81.5, 60.0), leg.path[1]))

    return problem, change_leg(plan, "drone-2", 0, 0, off)


@mutation("path.distance")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, change_leg(plan, "drone-1", 0, 0, lambda leg: replace(leg, distance_m=leg.distance_m * 0.95))


@mutation("drone.path")
def _(problem: Problem, plan: Plan) -> Case:
    """To and fro until it is too far for anyone."""
    problem = replace(change_type(problem, "drone-2", battery_wh=1e7), vehicles=problem.vehicles[:2])
    problem = change_type(problem, "drone-2", battery_wh=1e7, cruise_speed_mps=100.0, max_airspeed_mps=150.0)
    problem = replace(problem, orders=tuple(replace(o, latest=minutes(60_000)) for o in problem.orders[:4]))
    plan = Plan(plan.routes[:2], (), 0.0)
    problem = replace(problem, orders=tuple(o for o in problem.orders if o.order_id != "spare"))

    def far_off(leg: Leg) -> Leg:
        start, end = leg.path[0], leg.path[-1]
        there, back = at(0.0, 2000.0, 60.0), at(0.0, 200.0, 60.0)
        return replace(leg, path=(start, *(there, back) * 280, end))

    return problem, made_again(problem, change_leg(plan, "drone-2", 0, 0, far_off), "drone-2")


@mutation("drone.wind")
def _(problem: Problem, plan: Plan) -> Case:
    return replace(problem, wind=Wind(0.0, 0.0, 14.5)), plan


@mutation("drone.clearance")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, replaced(problem, plan, "drone-2", 0, up_m=20.0)


@mutation("drone.ceiling")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, replaced(problem, plan, "drone-2", 0, up_m=155.0)


@mutation("drone.obstacle")
def _(problem: Problem, plan: Plan) -> Case:
    mast = Obstacle("mast", "mast", "Mast", (at(*HALF_EAST, 70.0),), 30.0)
    return change_region(problem, obstacles=(mast,)), plan


@mutation("drone.zone")
def _(problem: Problem, plan: Plan) -> Case:
    return change_region(problem, zones=(Zone("school", "school", "", "School", box(*HALF_EAST)),)), plan


@mutation("drone.lane")
def _(problem: Problem, plan: Plan) -> Case:
    """Where only lanes may be flown, there is none."""
    zone = Zone("town", "town", "", "Town", box(*HALF_EAST), restriction=Restriction.CONDITIONAL, conditions=("lane",))
    return change_region(problem, zones=(zone,)), plan


@mutation("drone.permit")
def _(problem: Problem, plan: Plan) -> Case:
    return replace(problem, policy=Policy(permit_required=True)), plan


@mutation("drone.radio")
def _(problem: Problem, plan: Plan) -> Case:
    """A valley without a link at any height: 300 m of it are twice the way of ten seconds."""
    values = np.zeros((61, 61), dtype=np.float32)
    values[30, 37:41] = np.inf
    return change_region(problem, radio=Layer(-3000.0, -3000.0, 100.0, values)), plan


@mutation("drone.ground_risk")
def _(problem: Problem, plan: Plan) -> Case:
    """A crowd under the way to the east."""
    persons = np.zeros((60, 60), dtype=np.float32)
    persons[30, 37] = 5000.0
    mesh = Population(-3000.0, -3000.0, 100.0, persons)
    return replace(change_region(problem, population=mesh), policy=Policy(ground_risk=5)), plan


# Robots.


@mutation("robot.network")
def _(problem: Problem, plan: Plan) -> Case:
    """Past the node in the middle of the way, where there is no edge."""

    def shorter(leg: Leg) -> Leg:
        return replace(leg, nodes=("hub", "south"), path=(leg.path[0], leg.path[-1]))

    return problem, change_leg(plan, "robot-1", 0, 0, shorter)


@mutation("robot.way")
def _(problem: Problem, plan: Plan) -> Case:
    return change_edges(problem, "south", robot=False), plan


@mutation("robot.one_way")
def _(problem: Problem, plan: Plan) -> Case:
    return change_edges(problem, "west", one_way=True), plan


@mutation("robot.width")
def _(problem: Problem, plan: Plan) -> Case:
    return change_edges(problem, "south", width_m=0.9), plan


@mutation("robot.kerb")
def _(problem: Problem, plan: Plan) -> Case:
    return change_edges(problem, "south", kerb_m=0.1), plan


@mutation("robot.slope")
def _(problem: Problem, plan: Plan) -> Case:
    problem = change_edges(problem, "south", incline=0.2)
    return problem, made_again(problem, plan, "robot-1")


@mutation("robot.area")
def _(problem: Problem, plan: Plan) -> Case:
    """Approved but for a place that it drives through."""
    return change_region(problem, features=(Feature("no_robot_area", "yard", box(*far("south", 0.7)), True),)), plan
