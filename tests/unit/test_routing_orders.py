"""What orders and vehicles ask of a plan: where parcels come from, when, how cold, how many, and until when."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest

from routing.errors import BadInput
from routing.plan import Leg, Plan, StopAction
from routing.problem import OrderRequest, Pack, Permit, Policy, Problem, Station
from routing.region.model import Period
from routing.solve import solve
from routing.validate import validate
from tests.problems import DRONE, ROBOT, START, drone, minutes, order, problem, random_problem, robot, village

WARM = replace(ROBOT, temperature_classes=("ambient",))
COOL = replace(ROBOT, temperature_classes=("ambient", "chilled"))


def _legs(plan: Plan) -> list[tuple[str, str, tuple[str, ...]]]:
    return [
        (leg.to_site, leg.action.value, leg.order_ids)
        for route in plan.routes
        for trip in route.trips
        for leg in trip.legs
    ]


def _drop(plan: Plan, order_id: str) -> Leg:
    return next(
        leg
        for route in plan.routes
        for trip in route.trips
        for leg in trip.legs
        if order_id in leg.order_ids and leg.action is StopAction.DROP
    )


def _solved(made: Problem) -> Plan:
    plan = solve(made)
    assert validate(made, plan) == ()
    return plan


def test_a_parcel_is_fetched_on_the_way_and_dropped_on_the_same_trip() -> None:
    plan = _solved(problem([order("a", "drop-2", pickup="drop-1", mass_kg=2.0)], [robot()]))
    assert _legs(plan) == [("drop-1", "pickup", ("a",)), ("drop-2", "drop", ("a",)), ("hub-1", "home", ())]
    fetch = plan.routes[0].trips[0].legs[0]
    assert fetch.leave - fetch.arrive == timedelta(seconds=60)
    assert plan.routes[0].trips[0].order_ids == ("a",)


def test_what_is_dropped_on_the_way_makes_room_for_what_is_fetched() -> None:
    loads = [order("out", "drop-1", mass_kg=18.0), order("back", "drop-2", pickup="drop-1", mass_kg=18.0)]
    plan = _solved(problem(loads, [robot()]))
    assert len(plan.routes[0].trips) == 1
    assert not plan.unserved


@pytest.mark.parametrize("seed", range(3))
def test_plans_with_pickups_everywhere_keep_the_rules(seed: int) -> None:
    base = random_problem(9, seed=seed)
    ground = ("drop-1", "drop-2", "drop-3", "drop-4")
    orders = tuple(
        replace(each, pickup_site=ground[(ground.index(each.dropoff_site) + 1) % 4], release=each.earliest)
        if each.dropoff_site in ground and i % 2
        else replace(each, service_s=30.0 * i)
        for i, each in enumerate(base.orders)
    )
    plan = _solved(replace(base, orders=orders))
    assert any(action == "pickup" for _, action, _ in _legs(plan))


def test_a_parcel_leaves_home_when_it_is_there() -> None:
    plan = _solved(problem([replace(order("a", "drop-5"), release=minutes(20))], [drone()]))
    assert plan.routes[0].trips[0].depart == minutes(20)


def test_a_parcel_is_fetched_when_it_is_there() -> None:
    plan = _solved(problem([replace(order("a", "drop-2", pickup="drop-1"), release=minutes(40))], [robot()]))
    assert plan.routes[0].trips[0].legs[0].arrive == minutes(40)


def test_a_stop_takes_the_time_of_its_order() -> None:
    plan = _solved(problem([replace(order("a", "drop-1"), service_s=300.0)], [robot()]))
    assert _drop(plan, "a").leave - _drop(plan, "a").arrive == timedelta(seconds=300)


def test_the_order_that_is_due_goes_first() -> None:
    """Two orders, one drone, one parcel at a time: lateness outweighs the shorter way."""
    near, far = order("near", "drop-5", mass_kg=0.9), order("far", "drop-8", mass_kg=0.9)
    early = _solved(problem([near, replace(far, due=minutes(6), late_cost=5.0)], [drone()]))
    assert _drop(early, "far").arrive < _drop(early, "near").arrive
    other = _solved(problem([replace(near, due=minutes(6), late_cost=5.0), far], [drone()]))
    assert _drop(other, "near").arrive < _drop(other, "far").arrive


def test_the_order_whose_loss_costs_more_is_served() -> None:
    orders = [
        order("a", "drop-5", latest=minutes(5)),
        replace(order("b", "drop-8", latest=minutes(5)), unserved_cost=9e6),
    ]
    plan = _solved(problem(orders, [drone()]))
    assert [entry.order_id for entry in plan.unserved] == ["a"]


def test_chilled_goods_ride_where_it_is_cold() -> None:
    plan = _solved(
        problem(
            [replace(order("a", "drop-1"), temperature="chilled")], [robot("warm", kind=WARM), robot("cold", kind=COOL)]
        )
    )
    assert plan.routes[0].vehicle_id == "cold"
    (left,) = solve(problem([replace(order("a", "drop-1"), temperature="frozen")], [robot("cold", kind=COOL)])).unserved
    assert left.reason == "frozen goods: no vehicle that may go to drop-1 can carry them"


def test_compartments_hold_an_order_each() -> None:
    orders = [order(name, "drop-1", mass_kg=1.0) for name in "abc"]
    plan = _solved(problem(orders, [robot(kind=replace(ROBOT, compartments=2))]))
    assert sorted(len(trip.order_ids) for trip in plan.routes[0].trips) == [1, 2]


def test_a_vehicle_is_back_by_the_end_of_its_shift() -> None:
    made = problem([order("a", "drop-5", earliest=minutes(30))], [replace(drone(), shift_end=minutes(25))])
    (left,) = solve(made).unserved
    assert re.fullmatch(r"drone-1 would be back \d+ min after the end of its shift", left.reason)
    assert not solve(replace(made, vehicles=(replace(drone(), shift_end=minutes(45)),))).unserved


@pytest.mark.parametrize(
    "weaker",
    [
        lambda made: replace(made, vehicles=(replace(made.vehicles[0], battery_health=0.6),)),
        lambda made: replace(made, policy=Policy(reserve_fraction=0.55)),
        lambda made: replace(
            made,
            temperature_c=-10.0,
            vehicles=(drone(kind=replace(DRONE, battery_wh=260.0, capacity_at_c=((-10.0, 0.6), (20.0, 1.0)))),),
        ),
        lambda made: replace(made, stations=(Station("hub-1", DRONE.type_id, (Pack("old", 0.6),), 1),)),
    ],
    ids=["health", "reserve", "cold", "packs"],
)
def test_energy_is_that_of_the_pack_as_it_is(weaker: Callable[[Problem], Problem]) -> None:
    made = problem([order("a", "drop-8")], [drone(kind=replace(DRONE, battery_wh=260.0))])
    assert not _solved(made).unserved
    (left,) = solve(weaker(made)).unserved
    assert left.reason.startswith("out of range")


def test_a_zone_that_is_closed_for_a_time_is_flown_through_afterwards() -> None:
    region = village(1)
    there = region.site("drop-5").position
    ring = tuple((there.lat + lat, there.lon + lon) for lat, lon in ((-1e-3, -1e-3), (-1e-3, 1e-3), (1e-3, 0)))
    closed = replace(region.zones[0], zone_id="fair", ring=ring, schedule=(Period(START, minutes(40)),))
    made = replace(problem([order("a", "drop-5")], [drone()]), zones=(closed,))
    assert _solved(made).routes[0].trips[0].depart >= minutes(40)
    (left,) = solve(replace(made, zones=(replace(closed, schedule=()),))).unserved
    assert "no-fly zone" in left.reason


def test_flights_keep_the_hours_and_the_vehicles_of_their_permit() -> None:
    region = village(1)
    here = region.site("hub-1").position
    ring = tuple((here.lat + lat, here.lon + lon) for lat, lon in ((-0.1, -0.1), (-0.1, 0.1), (0.1, 0.1), (0.1, -0.1)))
    permit = Permit("p", ring, begins=minutes(30), vehicle_ids=("drone-2",))
    made = replace(
        problem([order("a", "drop-5")], [drone(), drone("drone-2", pad=1)]),
        permits=(permit,),
        policy=Policy(permit_required=True),
    )
    (route,) = _solved(made).routes
    assert route.vehicle_id == "drone-2"
    assert route.trips[0].depart >= minutes(30)


@cache
def _made() -> tuple[Problem, Plan]:
    """A robot with one parcel from home and one that it fetches, a stop of ten minutes, and a chilled one."""
    made = problem(
        [
            replace(order("home", "drop-1", mass_kg=1.0), release=minutes(5), temperature="chilled"),
            replace(order("away", "drop-3", pickup="drop-2", mass_kg=1.0), release=minutes(15), service_s=600.0),
        ],
        [replace(robot(kind=replace(COOL, compartments=2)), shift_end=minutes(200))],
    )
    plan = _solved(made)
    assert sorted(action for _, action, _ in _legs(plan)) == ["drop", "drop", "home", "pickup"]
    return made, plan


def _with_orders(made: Problem, order_id: str, change: Callable[[OrderRequest], OrderRequest]) -> Problem:
    return replace(made, orders=tuple(change(o) if o.order_id == order_id else o for o in made.orders))


def _with_legs(plan: Plan, change: Callable[[tuple[Leg, ...]], tuple[Leg, ...]]) -> Plan:
    (route,) = plan.routes
    (trip,) = route.trips
    return replace(plan, routes=(replace(route, trips=(replace(trip, legs=change(trip.legs)),)),))


def _fetched_twice(legs: tuple[Leg, ...]) -> tuple[Leg, ...]:
    return tuple(replace(leg, order_ids=("away", "away")) if leg.action is StopAction.PICKUP else leg for leg in legs)


def _dropped_unfetched(legs: tuple[Leg, ...]) -> tuple[Leg, ...]:
    """The pickup of one order is said to be that of the other, which is loaded at home."""
    return tuple(replace(leg, order_ids=("home",)) if leg.action is StopAction.PICKUP else leg for leg in legs)


@pytest.mark.parametrize(
    ("rules", "problem_change", "plan_change"),
    [
        ({"order.away"}, lambda p: replace(p, policy=Policy(away_pickups=False)), lambda p: p),
        ({"order.pair"}, lambda p: p, lambda p: _with_legs(p, _fetched_twice)),
        ({"order.pickup", "order.release"}, lambda p: p, lambda p: _with_legs(p, _dropped_unfetched)),
        (
            {"order.pickup"},
            lambda p: _with_orders(p, "away", lambda o: replace(o, pickup_site="drop-4")),
            lambda p: p,
        ),
        ({"order.release"}, lambda p: _with_orders(p, "home", lambda o: replace(o, release=minutes(90))), lambda p: p),
        ({"order.release"}, lambda p: _with_orders(p, "away", lambda o: replace(o, release=minutes(90))), lambda p: p),
        (
            {"order.temperature"},
            lambda p: _with_orders(p, "home", lambda o: replace(o, temperature="frozen")),
            lambda p: p,
        ),
        (
            {"time.shift"},
            lambda p: replace(p, vehicles=(replace(p.vehicles[0], shift_end=minutes(20)),)),
            lambda p: p,
        ),
        (
            {"time.service", "energy.stated"},
            lambda p: _with_orders(p, "away", lambda o: replace(o, pickup_s=900.0)),
            lambda p: p,
        ),
        (
            {"time.service", "energy.stated"},
            lambda p: _with_orders(p, "home", lambda o: replace(o, service_s=900.0)),
            lambda p: p,
        ),
    ],
)
def test_each_rule_about_orders_is_kept_by_the_validator(
    rules: set[str], problem_change: Callable[[Problem], Problem], plan_change: Callable[[Plan], Plan]
) -> None:
    made, plan = _made()
    assert {violation.rule for violation in validate(problem_change(made), plan_change(plan))} == rules


def test_more_orders_than_compartments_are_seen() -> None:
    made = problem([order(name, "drop-1", mass_kg=1.0) for name in "ab"], [robot(kind=replace(ROBOT, compartments=2))])
    plan = _solved(made)
    one = replace(made, vehicles=(robot(kind=replace(ROBOT, compartments=1)),))
    assert [violation.rule for violation in validate(one, plan)] == ["capacity.compartments"]


def test_a_drone_uses_its_own_pad_and_one_without_names_one() -> None:
    made = problem([order("a", "drop-5")], [drone()])
    plan = _solved(made)
    (route,) = plan.routes
    other = replace(plan, routes=(replace(route, trips=(replace(route.trips[0], pad=1),)),))
    assert [violation.rule for violation in validate(made, other)] == ["form.pad"]
    without = replace(made, vehicles=(replace(drone(), pad=None),))
    assert [violation.rule for violation in validate(without, plan)] == ["form.pad", "form.pad"]
    assert _solved(without).routes[0].trips[0].pad is not None


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (problem([replace(order(), temperature="lukewarm")]), "order a: temperature must be one of ambient"),
        (problem([replace(order(), release=minutes(500))]), "order a: release must not be after latest"),
        (problem([replace(order(), service_s=-1.0)]), "order a: service_s must be a number from 0 on"),
        (problem([replace(order(), unserved_cost=float("nan"))]), "order a: unserved_cost must be a number from 0 on"),
        (problem([replace(order(), due=START.replace(tzinfo=None))]), "order a: due needs a time zone"),
        (problem([order()], [replace(drone(), shift_end=START)]), "shift_end must be after available_from"),
        (
            problem([order()], [replace(drone(), battery_health=1.2)]),
            "battery_health must be more than 0 and at most 1",
        ),
        (problem([order()], [drone(kind=replace(DRONE, capacity_at_c=((5.0, 1.0), (0.0, 0.5))))]), "capacity_at_c"),
        (replace(problem([order()]), policy=Policy(reserve_fraction=1.0)), "policy.reserve_fraction"),
        (replace(problem([order()]), temperature_c=float("nan")), "temperature_c must be in degrees"),
        (replace(problem([order()]), permits=(Permit("p", ()),)), "permit p: the ring needs at least 3 points"),
    ],
)
def test_what_cannot_be_is_refused_by_name(made: Problem, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        solve(made)
