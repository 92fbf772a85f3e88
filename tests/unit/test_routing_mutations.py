"""Every rule of the validator has a plan that only it stops.

A good plan made by hand, or its problem, is changed a little. The validator must say just the one rule; with that
rule taken out of its table it says nothing, so that the test of the rule fails when the rule is lost.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import routing.validate
from routing.plan import Leg, Plan, Route, StopAction, Trip, Unserved
from routing.problem import (
    AirborneLimit,
    Category,
    FleetVehicle,
    GivenTrip,
    Intent,
    Pack,
    Policy,
    Problem,
    Separation,
    Station,
    TimedPosition,
)
from routing.region.model import Feature, LaneSection, Layer, Obstacle, Population, Restriction, Zone
from routing.validate import RULES, Violation, validate
from routing.wind import Wind
from tests.plain import at, far, plain_plan, plain_problem, restated, retimed, trip
from tests.problems import START, minutes

Case = tuple[Problem, Plan]
Mutation = Callable[[Problem, Plan], Case]

SECOND = timedelta(seconds=1)
HALF_EAST = far("east", 0.5)


@cache
def _good() -> Case:
    problem = plain_problem()
    return problem, plain_plan(problem)


# What is changed: by vehicle, number of the trip, number of the leg.


def _route(plan: Plan, vehicle_id: str, change: Callable[[Route], Route]) -> Plan:
    return replace(plan, routes=tuple(change(r) if r.vehicle_id == vehicle_id else r for r in plan.routes))


def _trip(plan: Plan, vehicle_id: str, number: int, change: Callable[[Trip], Trip]) -> Plan:
    def changed(route: Route) -> Route:
        return replace(route, trips=tuple(change(t) if i == number else t for i, t in enumerate(route.trips)))

    return _route(plan, vehicle_id, changed)


def _leg(plan: Plan, vehicle_id: str, number: int, leg: int, change: Callable[[Leg], Leg]) -> Plan:
    def changed(made: Trip) -> Trip:
        return replace(made, legs=tuple(change(one) if i == leg else one for i, one in enumerate(made.legs)))

    return _trip(plan, vehicle_id, number, changed)


def _vehicle(problem: Problem, vehicle_id: str) -> FleetVehicle:
    return next(vehicle for vehicle in problem.vehicles if vehicle.vehicle_id == vehicle_id)


def _vehicles(problem: Problem, vehicle_id: str, **changes: Any) -> Problem:
    return replace(
        problem,
        vehicles=tuple(replace(v, **changes) if v.vehicle_id == vehicle_id else v for v in problem.vehicles),
    )


def _type(problem: Problem, vehicle_id: str, **changes: Any) -> Problem:
    return _vehicles(problem, vehicle_id, type=replace(_vehicle(problem, vehicle_id).type, **changes))


def _order(problem: Problem, order_id: str, **changes: Any) -> Problem:
    return replace(
        problem, orders=tuple(replace(o, **changes) if o.order_id == order_id else o for o in problem.orders)
    )


def _region(problem: Problem, **changes: Any) -> Problem:
    return replace(problem, region=replace(problem.region, **changes))


def _edges(problem: Problem, end: str, **changes: Any) -> Problem:
    """The edge from half of the way to a site on, changed."""
    edges = tuple(replace(edge, **changes) if edge.b == end else edge for edge in problem.region.edges)
    return _region(problem, edges=edges)


def _replaced(problem: Problem, plan: Plan, vehicle_id: str, number: int, **how: Any) -> Plan:
    """A trip of a vehicle flown anew with the same stops, but ``how`` says."""
    vehicle = _vehicle(problem, vehicle_id)

    def flown(old: Trip) -> Trip:
        stops = [(leg.to_site, leg.action, leg.order_ids) for leg in old.legs[:-1]]
        given: dict[str, Any] = {"depart": old.depart, "trip_id": old.trip_id} | how
        return trip(problem, vehicle, stops, **given)

    return _trip(plan, vehicle_id, number, flown)


def _again(problem: Problem, plan: Plan, vehicle_id: str) -> Plan:
    """All trips of a vehicle with times, distances and energy that are right in the problem."""
    vehicle = _vehicle(problem, vehicle_id)
    return _route(plan, vehicle_id, lambda r: replace(r, trips=tuple(retimed(problem, vehicle, t) for t in r.trips)))


def _box(east_m: float, north_m: float, half_m: float = 20.0) -> tuple[tuple[float, float], ...]:
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


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Take a rule out of the validator."""

    def nothing(problem: Problem, plan: Plan) -> Iterator[Violation]:
        return iter(())

    return lambda rule: monkeypatch.setitem(routing.validate.RULES, rule, nothing)


def test_the_good_plan_breaks_no_rule() -> None:
    assert validate(*_good()) == ()


@pytest.mark.parametrize("rule", RULES)
def test_only_this_rule_stops_its_mutation(rule: str, without: Callable[[str], None]) -> None:
    assert rule in MUTATIONS, f"rule {rule} has no mutation here: nothing shows that it is kept"
    bad = MUTATIONS[rule](*_good())
    assert {violation.rule for violation in validate(*bad)} == {rule}
    without(rule)
    assert validate(*bad) == ()


def test_every_rule_that_the_validator_names_is_in_its_table_and_no_other() -> None:
    folder = Path(routing.validate.__file__).parent
    files = [file for file in folder.glob("*.py") if file.name not in ("__init__.py", "routes.py")]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    dotted = set(re.findall(r'"([a-z]+\.[a-z_]+)"', text))
    plain = set(re.findall(r'Violation\(\s*"([a-z]+)"', text))
    assert dotted | plain == set(RULES)
    assert set(MUTATIONS) == set(RULES)


def test_a_violation_says_who_when_where_and_how_much() -> None:
    problem, plan = MUTATIONS["energy.stated"](*_good())
    (found,) = validate(problem, plan)
    leg = plan.routes[0].trips[0].legs[0]
    assert (found.subject, found.vehicle_id, found.at, found.place) == (
        "drone-1-t1/1",
        "drone-1",
        leg.depart,
        leg.path[-1],
    )
    assert found.size == pytest.approx(0.1 * _good()[1].routes[0].trips[0].legs[0].energy_wh)
    assert found.unit == "Wh"


# Form.


@mutation("form.route")
def _(problem: Problem, plan: Plan) -> Case:
    """A vehicle's trips on two routes."""
    first, *others = plan.routes
    halves = (replace(first, trips=first.trips[:1]), replace(first, trips=first.trips[1:]))
    return problem, replace(plan, routes=(*halves, *others))


@mutation("form.trip")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, _trip(plan, "drone-1", 1, lambda t: replace(t, trip_id="drone-1-t1"))


@mutation("form.vehicle")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, _route(plan, "robot-1", lambda r: replace(r, vehicle_id="ghost"))


@mutation("form.home")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, _route(plan, "drone-1", lambda r: replace(r, home_site="east"))


@mutation("form.trips")
def _(problem: Problem, plan: Plan) -> Case:
    return replace(problem, max_trips_per_vehicle=1), plan


@mutation("form.legs")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, _route(plan, "drone-2", lambda r: replace(r, trips=(*r.trips, Trip("nothing", ()))))


@mutation("form.drop")
def _(problem: Problem, plan: Plan) -> Case:
    """A stop at which nothing is done."""
    drone = _vehicle(problem, "drone-2")
    stops = [("north", StopAction.DROP, ["c", "d"]), ("west", StopAction.DROP, [])]
    made = trip(problem, drone, stops, trip_id="drone-2-t1")
    return problem, _trip(plan, "drone-2", 0, lambda _: made)


@mutation("form.site")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, _leg(plan, "robot-1", 0, 0, lambda leg: replace(leg, to_site="moon"))


@mutation("form.pad")
def _(problem: Problem, plan: Plan) -> Case:
    """Kept beside the pads, with trips that name none."""
    return _vehicles(problem, "drone-1", pad=None), plan


@mutation("form.time")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, _leg(plan, "robot-1", 0, 1, lambda leg: replace(leg, leave=leg.leave + timedelta(days=999)))


@mutation("form.path")
def _(problem: Problem, plan: Plan) -> Case:
    """From a place to itself, and yet some way."""
    problem = _order(problem, "d", dropoff_site="north")
    drone = _vehicle(problem, "drone-2")
    stops = [("north", StopAction.DROP, ["c"]), ("north", StopAction.DROP, ["d"])]
    made = trip(problem, drone, stops, trip_id="drone-2-t1")
    plan = _trip(plan, "drone-2", 0, lambda _: made)
    return problem, _leg(plan, "drone-2", 0, 1, lambda leg: replace(leg, path=leg.path[:1], distance_m=0.5))


@mutation("form.number")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, _leg(plan, "drone-1", 0, 0, lambda leg: replace(leg, energy_wh=math.nan))


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
    return _order(problem, "a", pickup_site="south"), plan


@mutation("order.away")
def _(problem: Problem, plan: Plan) -> Case:
    return replace(problem, policy=Policy(away_pickups=False)), plan


@mutation("order.pair")
def _(problem: Problem, plan: Plan) -> Case:
    """Fetched and never dropped."""
    plan = _leg(plan, "drone-1", 1, 0, lambda leg: replace(leg, order_ids=("b", "spare")))
    return problem, _trip(plan, "drone-1", 1, lambda t: restated(problem, _vehicle(problem, "drone-1"), t))


@mutation("order.release")
def _(problem: Problem, plan: Plan) -> Case:
    return _order(problem, "a", release=START + SECOND), plan


@mutation("order.site")
def _(problem: Problem, plan: Plan) -> Case:
    return _order(problem, "a", dropoff_site="south"), plan


@mutation("order.window")
def _(problem: Problem, plan: Plan) -> Case:
    return _order(problem, "a", latest=plan.routes[0].trips[0].legs[0].arrive - SECOND), plan


@mutation("order.temperature")
def _(problem: Problem, plan: Plan) -> Case:
    return _order(problem, "a", temperature="frozen"), plan


@mutation("site.accepts")
def _(problem: Problem, plan: Plan) -> Case:
    sites = tuple(replace(s, accepts_drone=s.site_id != "north") for s in problem.region.sites)
    return _region(problem, sites=sites), plan


@mutation("capacity.mass")
def _(problem: Problem, plan: Plan) -> Case:
    return _type(problem, "drone-2", payload_kg=0.39), plan


@mutation("capacity.volume")
def _(problem: Problem, plan: Plan) -> Case:
    return _type(problem, "drone-2", payload_l=1.9), plan


@mutation("capacity.compartments")
def _(problem: Problem, plan: Plan) -> Case:
    return _type(problem, "drone-2", compartments=1), plan


# Times and speeds.


@mutation("time.start")
def _(problem: Problem, plan: Plan) -> Case:
    return _vehicles(problem, "drone-1", available_from=START + SECOND), plan


@mutation("time.shift")
def _(problem: Problem, plan: Plan) -> Case:
    return _vehicles(problem, "drone-1", shift_end=plan.routes[0].trips[1].arrive - SECOND), plan


@mutation("time.turnaround")
def _(problem: Problem, plan: Plan) -> Case:
    return _type(problem, "drone-1", turnaround_s=121.0), plan


@mutation("time.order")
def _(problem: Problem, plan: Plan) -> Case:
    """It goes on before it has left."""
    return problem, _leg(plan, "drone-1", 0, 0, lambda leg: replace(leg, leave=leg.leave + SECOND))


@mutation("time.service")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, _leg(plan, "drone-1", 0, 0, lambda leg: replace(leg, leave=leg.leave - SECOND))


@mutation("speed.limit")
def _(problem: Problem, plan: Plan) -> Case:
    """There in no time, and then it waits."""
    plan = _leg(plan, "robot-1", 0, 0, lambda leg: replace(leg, arrive=leg.depart + 60 * SECOND))
    return problem, _trip(plan, "robot-1", 0, lambda t: restated(problem, _vehicle(problem, "robot-1"), t))


@mutation("speed.time")
def _(problem: Problem, plan: Plan) -> Case:
    """As fast as at cruise speed from the first second to the last."""
    plan = _leg(plan, "drone-2", 0, 0, lambda leg: replace(leg, arrive=leg.arrive - 30 * SECOND))
    return problem, _trip(plan, "drone-2", 0, lambda t: restated(problem, _vehicle(problem, "drone-2"), t))


# Paths.


@mutation("path.ends")
def _(problem: Problem, plan: Plan) -> Case:
    def off(leg: Leg) -> Leg:
        return replace(leg, path=(at(0.0, 81.5, 60.0), leg.path[1]))

    return problem, _leg(plan, "drone-2", 0, 0, off)


@mutation("path.distance")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, _leg(plan, "drone-1", 0, 0, lambda leg: replace(leg, distance_m=leg.distance_m * 0.95))


@mutation("drone.path")
def _(problem: Problem, plan: Plan) -> Case:
    """To and fro until it is too far for anyone."""
    problem = replace(_type(problem, "drone-2", battery_wh=1e7), vehicles=problem.vehicles[:2])
    problem = _type(problem, "drone-2", battery_wh=1e7, cruise_speed_mps=100.0, max_airspeed_mps=150.0)
    problem = replace(problem, orders=tuple(replace(o, latest=minutes(60_000)) for o in problem.orders[:4]))
    plan = Plan(plan.routes[:2], (), 0.0)
    problem = replace(problem, orders=tuple(o for o in problem.orders if o.order_id != "spare"))

    def far_off(leg: Leg) -> Leg:
        start, end = leg.path[0], leg.path[-1]
        there, back = at(0.0, 2000.0, 60.0), at(0.0, 200.0, 60.0)
        return replace(leg, path=(start, *(there, back) * 280, end))

    return problem, _again(problem, _leg(plan, "drone-2", 0, 0, far_off), "drone-2")


@mutation("drone.wind")
def _(problem: Problem, plan: Plan) -> Case:
    return replace(problem, wind=Wind(0.0, 0.0, 14.5)), plan


@mutation("drone.clearance")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, _replaced(problem, plan, "drone-2", 0, up_m=20.0)


@mutation("drone.ceiling")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, _replaced(problem, plan, "drone-2", 0, up_m=155.0)


@mutation("drone.obstacle")
def _(problem: Problem, plan: Plan) -> Case:
    mast = Obstacle("mast", "mast", "Mast", (at(*HALF_EAST, 70.0),), 30.0)
    return _region(problem, obstacles=(mast,)), plan


@mutation("drone.zone")
def _(problem: Problem, plan: Plan) -> Case:
    return _region(problem, zones=(Zone("school", "school", "", "School", _box(*HALF_EAST)),)), plan


@mutation("drone.lane")
def _(problem: Problem, plan: Plan) -> Case:
    """Where only lanes may be flown, there is none."""
    zone = Zone("town", "town", "", "Town", _box(*HALF_EAST), restriction=Restriction.CONDITIONAL, conditions=("lane",))
    return _region(problem, zones=(zone,)), plan


@mutation("drone.permit")
def _(problem: Problem, plan: Plan) -> Case:
    return replace(problem, policy=Policy(permit_required=True)), plan


@mutation("drone.radio")
def _(problem: Problem, plan: Plan) -> Case:
    """A valley without a link at any height: 300 m of it are twice the way of ten seconds."""
    values = np.zeros((61, 61), dtype=np.float32)
    values[30, 37:41] = np.inf
    return _region(problem, radio=Layer(-3000.0, -3000.0, 100.0, values)), plan


@mutation("drone.ground_risk")
def _(problem: Problem, plan: Plan) -> Case:
    """A crowd under the way to the east."""
    persons = np.zeros((60, 60), dtype=np.float32)
    persons[30, 37] = 5000.0
    mesh = Population(-3000.0, -3000.0, 100.0, persons)
    return replace(_region(problem, population=mesh), policy=Policy(ground_risk=5)), plan


# Robots.


@mutation("robot.network")
def _(problem: Problem, plan: Plan) -> Case:
    """Past the node in the middle of the way, where there is no edge."""

    def shorter(leg: Leg) -> Leg:
        return replace(leg, nodes=("hub", "south"), path=(leg.path[0], leg.path[-1]))

    return problem, _leg(plan, "robot-1", 0, 0, shorter)


@mutation("robot.way")
def _(problem: Problem, plan: Plan) -> Case:
    return _edges(problem, "south", robot=False), plan


@mutation("robot.one_way")
def _(problem: Problem, plan: Plan) -> Case:
    return _edges(problem, "west", one_way=True), plan


@mutation("robot.width")
def _(problem: Problem, plan: Plan) -> Case:
    return _edges(problem, "south", width_m=0.9), plan


@mutation("robot.kerb")
def _(problem: Problem, plan: Plan) -> Case:
    return _edges(problem, "south", kerb_m=0.1), plan


@mutation("robot.slope")
def _(problem: Problem, plan: Plan) -> Case:
    problem = _edges(problem, "south", incline=0.2)
    return problem, _again(problem, plan, "robot-1")


@mutation("robot.area")
def _(problem: Problem, plan: Plan) -> Case:
    """Approved but for a place that it drives through."""
    return _region(problem, features=(Feature("no_robot_area", "yard", _box(*far("south", 0.7)), True),)), plan


# Energy.


@mutation("energy.stated")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, _leg(plan, "drone-1", 0, 0, lambda leg: replace(leg, energy_wh=leg.energy_wh * 0.9))


@mutation("energy.reserve")
def _(problem: Problem, plan: Plan) -> Case:
    """New packs would do."""
    return _vehicles(problem, "drone-1", battery_health=0.25), plan


@mutation("pack.known")
def _(problem: Problem, plan: Plan) -> Case:
    return problem, _trip(plan, "drone-1", 0, lambda t: replace(t, pack_id="borrowed"))


def _stationed(problem: Problem, plan: Plan, packs: list[Pack], names: list[str]) -> Case:
    """A station for the drones, and the packs of the first's two trips and of the second's."""
    station = Station("hub", _vehicle(problem, "drone-1").type.type_id, tuple(packs), 4)
    first, second, third = names
    plan = _trip(plan, "drone-1", 0, lambda t: replace(t, pack_id=first))
    plan = _trip(plan, "drone-1", 1, lambda t: replace(t, pack_id=second))
    plan = _trip(plan, "drone-2", 0, lambda t: replace(t, pack_id=third))
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
    third = replace(_vehicle(problem, "drone-1"), vehicle_id="drone-3", home_site="north", pad=0)
    return replace(problem, vehicles=(*problem.vehicles, third)), plan


@mutation("pad.column")
def _(problem: Problem, plan: Plan) -> Case:
    """Up together 80 m apart, where 100 m are asked of those who are at one height."""
    apart = Separation(100.0, 0.0, late_s=0.0, drift=0.0)
    plan = _replaced(problem, plan, "drone-2", 0, up_m=90.0, depart=START + 7 * SECOND)
    return replace(problem, separation=apart), plan


@mutation("pad.own")
def _(problem: Problem, plan: Plan) -> Case:
    """From a pad that is another's, who is long away."""
    problem = _vehicles(problem, "drone-2", pad=None)
    third = replace(_vehicle(problem, "drone-1"), vehicle_id="drone-3", pad=1)
    problem = replace(problem, vehicles=(*problem.vehicles, third))
    return problem, _trip(plan, "drone-2", 0, lambda t: replace(t, pad=1, landing_pad=1))


@mutation("pad.shared")
def _(problem: Problem, plan: Plan) -> Case:
    """The second takes the pad of the first when that has just landed, and nobody could have got it ready."""
    problem, plan = _with_one_pad(problem, plan)
    landed = plan.routes[0].trips[0].arrive
    plan = _replaced(problem, plan, "drone-2", 0, depart=landed + 60 * SECOND)
    return problem, _trip(plan, "drone-2", 0, lambda t: replace(t, pad=0, landing_pad=0))


def _with_one_pad(problem: Problem, plan: Plan) -> Case:
    """Both drones are kept beside the pads; the first goes once, from the first pad and back to it."""
    for drone_id in ("drone-1", "drone-2"):
        problem = _vehicles(problem, drone_id, pad=None)
    plan = _route(plan, "drone-1", lambda r: replace(r, trips=r.trips[:1]))
    plan = _trip(plan, "drone-1", 0, lambda t: replace(t, pad=0, landing_pad=0))
    return problem, replace(plan, unserved=(*plan.unserved, Unserved("b", "tomorrow")))


@mutation("drop.shared")
def _(problem: Problem, plan: Plan) -> Case:
    """A robot stands where a drone drops."""
    problem = _order(problem, "f", dropoff_site="north")
    robot = _vehicle(problem, "robot-2")
    made = trip(problem, robot, [("north", StopAction.DROP, ["f"])], trip_id="robot-2-t1")
    plan = _trip(plan, "robot-2", 0, lambda _: made)
    return problem, _replaced(problem, plan, "drone-2", 0, depart=START + 60 * SECOND)


@mutation("separation")
def _(problem: Problem, plan: Plan) -> Case:
    """Somebody hovers over the middle of the way."""
    there = at(*HALF_EAST, 60.0)
    track = tuple(TimedPosition(minutes(minute), there) for minute in (0, 30))
    return replace(problem, given=(GivenTrip("other-1", "other", track),)), plan


@mutation("intent")
def _(problem: Problem, plan: Plan) -> Case:
    held = Intent("theirs", _box(*HALF_EAST), 150.0, 170.0, START, minutes(30))
    return replace(problem, intents=(held,)), plan


@mutation("airborne.limit")
def _(problem: Problem, plan: Plan) -> Case:
    return replace(problem, airborne=(AirborneLimit(Category.LEVEL_4, 1),)), plan


@mutation("lane.capacity")
def _(problem: Problem, plan: Plan) -> Case:
    """The lane ends over both pads: nobody else may be in it while one is."""
    line = (at(-100.0, 40.0, 60.0), at(100.0, 40.0, 60.0))
    lane = LaneSection("river", "a", "b", line, width_m=100.0, capacity=1)
    return _region(problem, lanes=(lane,)), plan


# Contingencies.


def _cautious(problem: Problem) -> Problem:
    return replace(problem, policy=replace(problem.policy, contingency=True))


@mutation("contingency.path")
def _(problem: Problem, plan: Plan) -> Case:
    """A failsafe setting that leads to rally points, of which there are none."""
    return _cautious(_type(problem, "drone-2", rtl_type=5)), plan


@mutation("contingency.energy")
def _(problem: Problem, plan: Plan) -> Case:
    """Enough to drop the parcels and come home, not to come home with them."""
    needed_wh = sum(leg.energy_wh for leg in plan.routes[1].trips[0].legs)
    kind = _vehicle(problem, "drone-2").type
    return _cautious(_type(problem, "drone-2", battery_wh=(needed_wh + 1.0) / (1.0 - kind.reserve_fraction))), plan


@mutation("contingency.landing")
def _(problem: Problem, plan: Plan) -> Case:
    """Both would land on the first pad, though by plan one after another."""
    problem, plan = _with_one_pad(problem, plan)
    drone = _vehicle(problem, "drone-2")
    plan = _replaced(problem, plan, "drone-2", 0, depart=START + 300 * SECOND)
    plan = _trip(plan, "drone-2", 0, lambda t: replace(t, pad=0, landing_pad=0))
    return _cautious(problem), _trip(plan, "drone-2", 0, lambda t: retimed(problem, drone, t))


@mutation("contingency.separation")
def _(problem: Problem, plan: Plan) -> Case:
    """They meet one above the other on the way to the east and from it, and would climb to one height."""
    for drone_id in ("drone-1", "drone-2"):
        problem = _type(problem, drone_id, rtl_type=0)
        plan = _trip(plan, drone_id, 0, lambda t: replace(t, return_alt_amsl_m=220.0))
    plan = _trip(plan, "drone-1", 1, lambda t: replace(t, return_alt_amsl_m=180.0))
    for order_id in ("c", "d"):
        problem = _order(problem, order_id, dropoff_site="east")
    stops = [("east", StopAction.DROP, ["c", "d"])]
    made = trip(problem, _vehicle(problem, "drone-2"), stops, trip_id="drone-2-t1", up_m=90.0, depart=MEETING)
    return _cautious(problem), _trip(plan, "drone-2", 0, lambda _: replace(made, return_alt_amsl_m=220.0))


MEETING = START + 175 * SECOND
"""When a drone leaves for the east that meets one that left at the start, on its way home."""
