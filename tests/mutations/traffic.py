"""Mutations of energy, of traffic, and of what happens when links fail."""

from __future__ import annotations

from dataclasses import replace

from routing.plan import Plan, StopAction, Unserved
from routing.problem import (
    AirborneLimit,
    Category,
    GivenTrip,
    Intent,
    Pack,
    Problem,
    Separation,
    Station,
    TimedPosition,
)
from routing.region.model import LaneSection
from tests.mutations.kit import (
    HALF_EAST,
    SECOND,
    Case,
    box,
    change_leg,
    change_order,
    change_region,
    change_route,
    change_trip,
    change_type,
    change_vehicle,
    mutation,
    replaced,
    vehicle_of,
)
from tests.plain import at, retimed, trip
from tests.problems import START, minutes

# Energy.


@mutation("energy.stated")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, change_leg(plan, "drone-1", 0, 0, lambda leg: replace(leg, energy_wh=leg.energy_wh * 0.9))


@mutation("energy.reserve")
def _(problem: Problem, plan: Plan) -> Case:
    """New packs would do."""
    return change_vehicle(problem, "drone-1", battery_health=0.25), plan


@mutation("pack.known")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, change_trip(plan, "drone-1", 0, lambda t: replace(t, pack_id="borrowed"))


def _stationed(problem: Problem, plan: Plan, packs: list[Pack], names: list[str]) -> Case:
    """A station for the drones, and the packs of the first's two trips and of the second's."""
    station = Station("hub", vehicle_of(problem, "drone-1").type.type_id, tuple(packs), 4)
    first, second, third = names
    plan = change_trip(plan, "drone-1", 0, lambda t: replace(t, pack_id=first))
    plan = change_trip(plan, "drone-1", 1, lambda t: replace(t, pack_id=second))
    plan = change_trip(plan, "drone-2", 0, lambda t: replace(t, pack_id=third))
    return replace(problem, stations=(station,)), plan


@mutation("pack.shared")
def _(problem: Problem, plan: Plan) -> Case:
    """Both drones fly with one pack at once."""
    return _stationed(problem, plan, [Pack("one"), Pack("two")], ["one", "two", "one"])


@mutation("pack.charged")
def _(problem: Problem, plan: Plan) -> Case:
    packs = [Pack("one"), Pack("two"), Pack("three", full_from=START + SECOND)]
    return _stationed(problem, plan, packs, ["one", "two", "three"])


# Traffic.


@mutation("pad.taken")
def _(problem: Problem, plan: Plan) -> Case:
    """Somebody lives in the north."""
    third = replace(vehicle_of(problem, "drone-1"), vehicle_id="drone-3", home_site="north", pad=0)
    return replace(problem, vehicles=(*problem.vehicles, third)), plan


@mutation("pad.column")
def _(problem: Problem, plan: Plan) -> Case:
    """Up together 80 m apart, where 100 m are asked of those who are at one height."""
    apart = Separation(100.0, 0.0, late_s=0.0, drift=0.0)
    plan = replaced(problem, plan, "drone-2", 0, up_m=90.0, depart=START + 7 * SECOND)
    return replace(problem, separation=apart), plan


@mutation("pad.own")
def _(problem: Problem, plan: Plan) -> Case:
    """From a pad that is another's, who is long away."""
    problem = change_vehicle(problem, "drone-2", pad=None)
    third = replace(vehicle_of(problem, "drone-1"), vehicle_id="drone-3", pad=1)
    problem = replace(problem, vehicles=(*problem.vehicles, third))
    return problem, change_trip(plan, "drone-2", 0, lambda t: replace(t, pad=1, landing_pad=1))


@mutation("pad.shared")
def _(problem: Problem, plan: Plan) -> Case:
    """The second takes the pad of the first when that has just landed, and nobody could have got it ready."""
    problem, plan = with_one_pad(problem, plan)
    landed = plan.routes[0].trips[0].arrive
    plan = replaced(problem, plan, "drone-2", 0, depart=landed + 60 * SECOND)
    return problem, change_trip(plan, "drone-2", 0, lambda t: replace(t, pad=0, landing_pad=0))


def with_one_pad(problem: Problem, plan: Plan) -> Case:
    """Both drones are kept beside the pads; the first goes once, from the first pad and back to it."""
    for drone_id in ("drone-1", "drone-2"):
        problem = change_vehicle(problem, drone_id, pad=None)
    plan = change_route(plan, "drone-1", lambda r: replace(r, trips=r.trips[:1]))
    plan = change_trip(plan, "drone-1", 0, lambda t: replace(t, pad=0, landing_pad=0))
    return problem, replace(plan, unserved=(*plan.unserved, Unserved("b", "tomorrow")))


@mutation("drop.shared")
def _(problem: Problem, plan: Plan) -> Case:
    """A robot stands where a drone drops."""
    problem = change_order(problem, "f", dropoff_site="north")
    robot = vehicle_of(problem, "robot-2")
    made = trip(problem, robot, [("north", StopAction.DROP, ["f"])], trip_id="robot-2-t1")
    plan = change_trip(plan, "robot-2", 0, lambda _: made)
    return problem, replaced(problem, plan, "drone-2", 0, depart=START + 60 * SECOND)


@mutation("separation")
def _(problem: Problem, plan: Plan) -> Case:
    """Somebody hovers over the middle of the way."""
    there = at(*HALF_EAST, 60.0)
    track = tuple(TimedPosition(minutes(minute), there) for minute in (0, 30))
    return replace(problem, given=(GivenTrip("other-1", "other", track),)), plan


@mutation("intent")
def _(problem: Problem, plan: Plan) -> Case:
    held = Intent("theirs", box(*HALF_EAST), 150.0, 170.0, START, minutes(30))
    return replace(problem, intents=(held,)), plan


@mutation("airborne.limit")
def _(problem: Problem, plan: Plan) -> Case:
    return replace(problem, airborne=(AirborneLimit(Category.LEVEL_4, 1),)), plan


@mutation("lane.capacity")
def _(problem: Problem, plan: Plan) -> Case:
    """The lane ends over both pads: nobody else may be in it while one is."""
    line = (at(-100.0, 40.0, 60.0), at(100.0, 40.0, 60.0))
    lane = LaneSection("river", "a", "b", line, width_m=100.0, capacity=1)
    return change_region(problem, lanes=(lane,)), plan


# Contingencies.


def _cautious(problem: Problem) -> Problem:
    return replace(problem, policy=replace(problem.policy, contingency=True))


@mutation("contingency.path")
def _(problem: Problem, plan: Plan) -> Case:
    """A failsafe setting that leads to rally points, of which there are none."""
    return _cautious(change_type(problem, "drone-2", rtl_type=5)), plan


@mutation("contingency.energy")
def _(problem: Problem, plan: Plan) -> Case:
    """Enough to drop the parcels and come home, not to come home with them."""
    needed_wh = sum(leg.energy_wh for leg in plan.routes[1].trips[0].legs)
    kind = vehicle_of(problem, "drone-2").type
    return _cautious(
        change_type(problem, "drone-2", battery_wh=(needed_wh + 1.0) / (1.0 - kind.reserve_fraction))
    ), plan


@mutation("contingency.landing")
def _(problem: Problem, plan: Plan) -> Case:
    """Both would land on the first pad, though by plan one after another."""
    problem, plan = with_one_pad(problem, plan)
    drone = vehicle_of(problem, "drone-2")
    plan = replaced(problem, plan, "drone-2", 0, depart=START + 300 * SECOND)
    plan = change_trip(plan, "drone-2", 0, lambda t: replace(t, pad=0, landing_pad=0))
    return _cautious(problem), change_trip(plan, "drone-2", 0, lambda t: retimed(problem, drone, t))


@mutation("contingency.separation")
def _(problem: Problem, plan: Plan) -> Case:
    """They meet one above the other on the way to the east and from it, and would climb to one height."""
    for drone_id in ("drone-1", "drone-2"):
        problem = change_type(problem, drone_id, rtl_type=0)
        plan = change_trip(plan, drone_id, 0, lambda t: replace(t, return_alt_amsl_m=220.0))
    plan = change_trip(plan, "drone-1", 1, lambda t: replace(t, return_alt_amsl_m=180.0))
    for order_id in ("c", "d"):
        problem = change_order(problem, order_id, dropoff_site="east")
    stops = [("east", StopAction.DROP, ["c", "d"])]
    made = trip(problem, vehicle_of(problem, "drone-2"), stops, trip_id="drone-2-t1", up_m=90.0, depart=MEETING)
    return _cautious(problem), change_trip(plan, "drone-2", 0, lambda _: replace(made, return_alt_amsl_m=220.0))


MEETING = START + 175 * SECOND
"""When a drone leaves for the east that meets one that left at the start, on its way home."""
