"""The validator: a good plan passes, and each thing broken in it is named."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest

from routing.geo import Position
from routing.plan import Leg, Plan, Route, StopAction, Trip, Unserved
from routing.problem import Problem
from routing.region.model import GroundEdge
from routing.solve import solve
from routing.validate import validate
from tests.problems import DRONE, ROBOT, START, drone, minutes, order, problem, robot


@cache
def _made() -> tuple[Problem, Plan]:
    """A drone with two trips, the first of two drops, and a robot with one; one order is unserved."""
    made = problem(
        [
            order("near", "drop-5", mass_kg=0.4, latest=minutes(60)),
            order("far", "drop-6", mass_kg=0.4, latest=minutes(60)),
            order("later", "drop-6", mass_kg=0.9, earliest=minutes(70)),
            order("heavy", "drop-4", mass_kg=8.0),
            order("too-heavy", "drop-5", mass_kg=5.0),
        ],
        [drone(), robot()],
        max_trips=2,
    )
    plan = solve(made)
    assert [[len(trip.legs) for trip in route.trips] for route in plan.routes] == [[3, 2], [2]]
    return made, plan


def _leg(plan: Plan, change: Callable[[Leg], Leg], *, route: int = 0, trip: int = 0, leg: int = 0) -> Plan:
    """The plan with one leg changed."""
    legs = list(plan.routes[route].trips[trip].legs)
    legs[leg] = change(legs[leg])
    return _trip(plan, lambda old: replace(old, legs=tuple(legs)), route=route, trip=trip)


def _trip(plan: Plan, change: Callable[[Trip], Trip], *, route: int = 0, trip: int = 0) -> Plan:
    trips = list(plan.routes[route].trips)
    trips[trip] = change(trips[trip])
    return _route(plan, lambda old: replace(old, trips=tuple(trips)), route=route)


def _route(plan: Plan, change: Callable[[Route], Route], *, route: int = 0) -> Plan:
    routes = list(plan.routes)
    routes[route] = change(routes[route])
    return replace(plan, routes=tuple(routes))


def _shifted(trip: Trip, by: timedelta) -> Trip:
    return replace(
        trip,
        legs=tuple(
            replace(leg, depart=leg.depart + by, arrive=leg.arrive + by, leave=leg.leave + by) for leg in trip.legs
        ),
    )


def _at(leg: Leg, index: int, **changes: float) -> Leg:
    """The leg with one point of its path changed."""
    path = list(leg.path)
    path[index] = replace(path[index], **changes)
    return replace(leg, path=tuple(path))


def _rules(made: Problem, plan: Plan) -> set[str]:
    return {violation.rule for violation in validate(made, plan)}


def test_the_plan_as_solved_breaks_no_rule() -> None:
    made, plan = _made()
    assert validate(made, plan) == ()


def test_a_violation_names_the_subject_and_the_figures() -> None:
    made, plan = _made()
    early = replace(
        made, orders=tuple(replace(o, latest=minutes(1)) if o.order_id == "near" else o for o in made.orders)
    )
    (violation,) = validate(early, plan)
    assert (violation.rule, violation.subject) == ("order.window", "near")
    assert "2026-04-01T00:01:00+00:00" in violation.message


Mutation = Callable[[Plan], Plan]

PLANS: list[tuple[str, Mutation]] = [
    ("form.route", lambda p: replace(p, routes=(*p.routes, p.routes[0]))),
    ("form.vehicle", lambda p: _route(p, lambda r: replace(r, vehicle_id="ghost"))),
    ("form.home", lambda p: _route(p, lambda r: replace(r, home_site="drop-2"))),
    ("form.home", lambda p: _leg(p, lambda leg: replace(leg, to_site="drop-2"), leg=-1)),
    ("form.home", lambda p: _leg(p, lambda leg: replace(leg, action=StopAction.DROP), leg=-1)),
    ("form.trip", lambda p: _trip(p, lambda t: replace(t, trip_id="drone-1-t2"))),
    ("form.trips", lambda p: _route(p, lambda r: replace(r, trips=r.trips * 3))),
    ("form.legs", lambda p: _trip(p, lambda t: replace(t, legs=()))),
    ("form.drop", lambda p: _leg(p, lambda leg: replace(leg, order_ids=()))),
    ("form.site", lambda p: _leg(p, lambda leg: replace(leg, to_site="moon"))),
    ("form.path", lambda p: _leg(p, lambda leg: replace(leg, path=()))),
    ("form.path", lambda p: _leg(p, lambda leg: replace(leg, path=leg.path[:1]))),
    ("form.time", lambda p: _leg(p, lambda leg: replace(leg, arrive=leg.arrive.replace(tzinfo=None)))),
    ("form.time", lambda p: _leg(p, lambda leg: replace(leg, leave=leg.leave + timedelta(days=999)))),
    ("form.number", lambda p: _leg(p, lambda leg: _at(leg, 0, alt_amsl_m=1e308))),
    ("form.number", lambda p: _leg(p, lambda leg: replace(leg, energy_wh=-1.0))),
    ("form.number", lambda p: _leg(p, lambda leg: replace(leg, energy_wh=math.nan))),
    ("form.number", lambda p: _leg(p, lambda leg: _at(leg, 0, lat=math.inf))),
    ("form.number", lambda p: _leg(p, lambda leg: _at(leg, 0, lat=91.0))),
    ("order.lost", lambda p: replace(p, unserved=())),
    ("order.lost", lambda p: _route(p, lambda r: replace(r, trips=r.trips[:1]))),
    ("order.once", lambda p: replace(p, unserved=(*p.unserved, Unserved("near", "why not")))),
    ("order.once", lambda p: replace(p, unserved=p.unserved * 2)),
    ("order.once", lambda p: _leg(p, lambda leg: replace(leg, order_ids=("near", "near")))),
    ("order.known", lambda p: _leg(p, lambda leg: replace(leg, order_ids=(*leg.order_ids, "stray")))),
    ("order.known", lambda p: replace(p, unserved=(*p.unserved, Unserved("stray", "who")))),
    ("order.reason", lambda p: replace(p, unserved=(Unserved("too-heavy", " "),))),
    ("order.site", lambda p: _leg(p, lambda leg: replace(leg, to_site="drop-7"))),
    ("site.accepts", lambda p: _leg(p, lambda leg: replace(leg, to_site="drop-1"))),
    ("site.accepts", lambda p: _leg(p, lambda leg: replace(leg, to_site="drop-5"), route=1)),
    ("path.ends", lambda p: _leg(p, lambda leg: _at(leg, 0, lat=leg.path[0].lat + 2e-5))),
    ("path.ends", lambda p: _leg(p, lambda leg: _at(leg, -1, lon=leg.path[-1].lon + 2e-5))),
    ("path.ends", lambda p: _leg(p, lambda leg: replace(leg, path=leg.path[::-1]))),
    ("path.distance", lambda p: _leg(p, lambda leg: replace(leg, distance_m=leg.distance_m * 0.9))),
    ("drone.clearance", lambda p: _leg(p, lambda leg: _at(leg, 0, alt_amsl_m=leg.path[0].alt_amsl_m - 20))),
    ("drone.ceiling", lambda p: _leg(p, lambda leg: _at(leg, 0, alt_amsl_m=leg.path[0].alt_amsl_m + 100))),
    ("robot.network", lambda p: _leg(p, lambda leg: replace(leg, nodes=("n0", leg.nodes[-1])), route=1)),
    (
        "robot.network",
        lambda p: _leg(
            p,
            lambda leg: replace(
                leg, nodes=(leg.nodes[0], *leg.nodes[2:]), path=(leg.path[0], *leg.path[2:])
            ),
            route=1,
        ),
    ),
    ("robot.network", lambda p: _leg(p, lambda leg: replace(leg, nodes=("lost", *leg.nodes[1:])), route=1)),
    ("robot.network", lambda p: _leg(p, lambda leg: _at(leg, 3, lat=leg.path[3].lat + 5e-5), route=1)),
    ("speed.limit", lambda p: _leg(p, lambda leg: replace(leg, arrive=leg.depart + timedelta(seconds=60)))),
    ("speed.limit", lambda p: _leg(p, lambda leg: replace(leg, arrive=leg.depart), route=1)),
    ("speed.time", lambda p: _leg(p, lambda leg: replace(leg, arrive=leg.arrive - timedelta(seconds=30)))),
    ("time.service", lambda p: _leg(p, lambda leg: replace(leg, leave=leg.leave - timedelta(seconds=5)))),
    ("time.order", lambda p: _leg(p, lambda leg: replace(leg, depart=leg.depart - timedelta(seconds=5)), leg=1)),
    ("time.order", lambda p: _leg(p, lambda leg: replace(leg, leave=leg.arrive - timedelta(seconds=1)))),
    ("time.order", lambda p: _leg(p, lambda leg: replace(leg, arrive=leg.depart - timedelta(seconds=1)))),
    ("time.start", lambda p: _trip(p, lambda t: _shifted(t, timedelta(seconds=-1)))),
    (
        "time.turnaround",
        lambda p: _trip(
            p,
            lambda t: _shifted(t, p.routes[0].trips[0].arrive + timedelta(seconds=119) - t.depart),
            trip=1,
        ),
    ),
    ("time.turnaround", lambda p: _route(p, lambda r: replace(r, trips=r.trips[::-1]))),
    ("order.window", lambda p: _trip(p, lambda t: _shifted(t, timedelta(hours=2)), route=1)),
    ("order.window", lambda p: _trip(p, lambda t: _shifted(t, timedelta(minutes=-20)), trip=1)),
    ("energy.stated", lambda p: _leg(p, lambda leg: replace(leg, energy_wh=leg.energy_wh * 0.95))),
    ("energy.stated", lambda p: _leg(p, lambda leg: replace(leg, energy_wh=leg.energy_wh * 0.95), route=1)),
    # The drone hovers ten minutes over its first drop: all the rest of the trip is later.
    (
        "energy.reserve",
        lambda p: _trip(
            p,
            lambda t: replace(
                t,
                legs=(
                    replace(t.legs[0], leave=t.legs[0].leave + timedelta(minutes=10)),
                    *_shifted(t, timedelta(minutes=10)).legs[1:],
                ),
            ),
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "mutate"), PLANS, ids=[f"{i}-{rule}" for i, (rule, _) in enumerate(PLANS)])
def test_what_is_broken_in_a_plan_is_named(rule: str, mutate: Mutation) -> None:
    made, plan = _made()
    assert rule in _rules(made, mutate(plan))


def _orders(made: Problem, order_id: str, **changes: object) -> Problem:
    orders = tuple(replace(o, **changes) if o.order_id == order_id else o for o in made.orders)  # type: ignore[arg-type]  # names of fields
    return replace(made, orders=orders)


def _drones(made: Problem, **changes: float) -> Problem:
    return replace(made, vehicles=(drone(kind=replace(DRONE, **changes)), made.vehicles[1]))  # type: ignore[arg-type]  # names of float fields


def _robots(made: Problem, **changes: float) -> Problem:
    return replace(made, vehicles=(made.vehicles[0], robot(kind=replace(ROBOT, **changes))))  # type: ignore[arg-type]  # names of float fields


def _school_at(made: Problem, place: Position) -> Problem:
    ring = tuple((place.lat + lat, place.lon + lon) for lat, lon in ((0, 0), (1e-4, 0), (1e-4, 1e-4)))
    return replace(made, region=replace(made.region, zones=(replace(made.region.zones[0], ring=ring),)))


def _halfway(made: Problem) -> Position:
    return _made()[1].routes[0].trips[0].legs[0].path[1]


PROBLEMS: list[tuple[str, Callable[[Problem], Problem]]] = [
    ("capacity.mass", lambda m: _orders(m, "near", mass_kg=0.7)),
    ("capacity.volume", lambda m: _orders(m, "near", volume_l=7.0)),
    ("order.pickup", lambda m: _orders(m, "near", pickup_site="drop-2")),
    ("order.site", lambda m: _orders(m, "near", dropoff_site="drop-7")),
    ("order.window", lambda m: _orders(m, "heavy", earliest=minutes(30))),
    ("energy.reserve", lambda m: _drones(m, battery_wh=0.55 * DRONE.battery_wh)),
    ("energy.reserve", lambda m: _robots(m, battery_wh=20.0)),
    ("energy.stated", lambda m: _drones(m, cruise_power_w=1.2 * DRONE.cruise_power_w)),
    ("time.turnaround", lambda m: _drones(m, turnaround_s=7200.0)),
    ("time.start", lambda m: replace(m, start=START + timedelta(minutes=1))),
    ("time.start", lambda m: replace(m, vehicles=(drone(free=minutes(1)), m.vehicles[1]))),
    ("speed.limit", lambda m: _robots(m, cruise_speed_mps=1.2)),
    ("speed.time", lambda m: _drones(m, climb_speed_mps=1.0)),
    ("form.trips", lambda m: replace(m, max_trips_per_vehicle=1)),
    ("drone.zone", lambda m: _school_at(m, _halfway(m))),
    (
        "robot.network",
        lambda m: replace(m, region=replace(m.region, edges=(GroundEdge("n1", "n0", 25.0),))),
    ),
]


@pytest.mark.parametrize(("rule", "mutate"), PROBLEMS, ids=[f"{i}-{rule}" for i, (rule, _) in enumerate(PROBLEMS)])
def test_a_plan_for_another_problem_does_not_pass(rule: str, mutate: Callable[[Problem], Problem]) -> None:
    made, plan = _made()
    assert rule in _rules(mutate(made), plan)


def test_a_flight_straight_over_the_school_is_stopped() -> None:
    made, plan = _made()

    def straight(leg: Leg) -> Leg:
        start, end = (made.region.site(name).position for name in ("hub-1", "drop-6"))
        top = max(point.alt_amsl_m for point in leg.path)
        return replace(leg, path=(replace(start, alt_amsl_m=top), replace(end, alt_amsl_m=top)))

    found = [v for v in validate(made, _leg(plan, straight, trip=1)) if v.rule == "drone.zone"]
    assert [violation.subject for violation in found] == ["drone-1-t2/1"]
    assert "school" in found[0].message


def test_a_robot_faster_than_6_km_h_is_stopped_whatever_its_profile_says() -> None:
    made, plan = _made()
    fast = _robots(made, cruise_speed_mps=3.0)

    def hurried(leg: Leg) -> Leg:
        return replace(leg, arrive=leg.depart + timedelta(seconds=leg.distance_m / 1.8))

    assert "speed.limit" in _rules(fast, _leg(plan, hurried, route=1))


def test_an_empty_plan_loses_every_order() -> None:
    made, _ = _made()
    found = validate(made, Plan((), (), 0.0))
    assert {violation.rule for violation in found} == {"order.lost"}
    assert len(found) == len(made.orders)
