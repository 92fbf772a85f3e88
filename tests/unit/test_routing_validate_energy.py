"""What the validator asks of the energy of trips: reserve, health, temperature, packs, gusts and waiting."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from routing.energy import service_wh
from routing.plan import Plan, Route, Trip
from routing.problem import Pack, Policy, Problem, Station
from routing.validate import Violation, validate
from routing.wind import Wind
from tests.plain import plain_plan, plain_problem, restated, retimed, trip
from tests.problems import VTOL, minutes


def _tight(share: float = 1.0, **changes: Any) -> tuple[Problem, Plan]:
    """The good plan of one drone, with a battery that the longer of its trips uses to a share of what may be used."""
    problem = replace(plain_problem(), **changes)
    problem = replace(problem, vehicles=problem.vehicles[:2])
    problem = replace(problem, orders=tuple(o for o in problem.orders if o.order_id in "ab"))
    drone = problem.vehicles[0]
    route = plain_plan(replace(plain_problem(), **changes)).routes[0]
    needed = max(sum(leg.energy_wh for leg in one.legs) for one in route.trips)
    kind = replace(drone.type, battery_wh=needed / share / (1.0 - drone.type.reserve_fraction))
    return replace(problem, vehicles=(replace(drone, type=kind),)), Plan((route,), (), 0.0)


def _reserve(problem: Problem, plan: Plan) -> list[Violation]:
    found = validate(problem, plan)
    assert {violation.rule for violation in found} <= {"energy.reserve"}
    return list(found)


def _changed(problem: Problem, **changes: Any) -> Problem:
    return replace(problem, vehicles=tuple(replace(vehicle, **changes) for vehicle in problem.vehicles))


def test_a_trip_may_use_all_but_the_reserve_and_not_a_percent_more() -> None:
    assert not _reserve(*_tight(1.0))
    (found,) = _reserve(*_tight(1.01))
    assert found.subject == "drone-1-t2"
    assert found.vehicle_id == "drone-1"
    assert found.at == _tight()[1].routes[0].trips[1].arrive
    assert found.place == _tight()[1].routes[0].trips[1].legs[-1].path[-1]
    needed = sum(leg.energy_wh for leg in _tight()[1].routes[0].trips[1].legs)
    assert found.size == pytest.approx(needed - needed / 1.01)
    assert "Wh may be used" in found.message


def test_the_reserve_is_the_policys_where_that_says_one() -> None:
    problem, plan = _tight(0.9)
    assert not _reserve(problem, plan)
    assert _reserve(replace(problem, policy=Policy(reserve_fraction=0.4)), plan)
    full, plan = _tight(1.2)
    assert not _reserve(replace(full, policy=Policy(reserve_fraction=0.05)), plan)


def test_old_packs_and_cold_packs_give_less() -> None:
    problem, plan = _tight(0.9)
    assert _reserve(_changed(problem, battery_health=0.85), plan)
    assert not _reserve(_changed(problem, battery_health=0.95), plan)
    assert _reserve(replace(problem, temperature_c=5.0), plan)
    assert not _reserve(replace(problem, temperature_c=18.0), plan)


def test_where_there_is_a_station_the_health_is_that_of_the_pack_of_the_trip() -> None:
    problem, plan = _tight(0.9)
    packs = (Pack("good"), Pack("worn", health=0.8), Pack("other"))
    station = Station("hub", problem.vehicles[0].type.type_id, packs, 3)
    problem = replace(_changed(problem, battery_health=0.1), stations=(station,))

    def with_packs(first: str, second: str) -> Plan:
        (route,) = plan.routes
        trips = tuple(replace(one, pack_id=pack) for one, pack in zip(route.trips, (first, second), strict=True))
        return replace(plan, routes=(replace(route, trips=trips),))

    assert not _reserve(problem, with_packs("good", "other"))
    # The first trip is short enough for the worn one.
    assert not _reserve(problem, with_packs("worn", "other"))
    assert [found.subject for found in _reserve(problem, with_packs("other", "worn"))] == ["drone-1-t2"]


def test_gusts_count_on_the_way_home_alone() -> None:
    """They come from the east: from the west home is against them."""
    mean = Wind(-2.0, 0.0)
    problem, plan = _tight(0.97, wind=mean)
    assert not _reserve(problem, plan)
    found = validate(replace(problem, wind=replace(mean, gust_mps=9.0)), plan)
    assert [one.subject for one in found if one.rule == "energy.reserve"] == ["drone-1-t2"]
    stated = {one.subject: one.size for one in found if one.rule == "energy.stated"}
    assert stated.keys() <= {"drone-1-t1/2", "drone-1-t2/3"}
    assert (stated["drone-1-t2/3"] or 0.0) > 10.0


def test_hovering_on_the_way_and_at_the_drop_is_paid_for() -> None:
    """A leg that arrives later than its flight takes, and one whose stop is longer, cost the hover."""
    problem, plan = _tight(0.97)
    drone = problem.vehicles[0]
    (route,) = plan.routes
    hover_wh = service_wh(drone.type, 0.2, 60.0)

    def late(made: Trip, *, arrives_s: float, leaves_s: float) -> Trip:
        first, *others = made.legs
        first = replace(
            first, arrive=first.arrive + timedelta(seconds=arrives_s), leave=first.leave + timedelta(seconds=leaves_s)
        )
        after = timedelta(seconds=leaves_s)
        moved = (replace(x, depart=x.depart + after, arrive=x.arrive + after, leave=x.leave + after) for x in others)
        return replace(made, legs=(first, *moved))

    for arrives_s, leaves_s in ((60.0, 60.0), (0.0, 60.0)):
        made = late(route.trips[0], arrives_s=arrives_s, leaves_s=leaves_s)
        (stated,) = validate(problem, replace(plan, routes=(replace(route, trips=(made,)),), unserved=plan.unserved))[
            :1
        ]
        assert stated.rule in ("energy.stated", "order.lost")
        told = restated(problem, drone, made)
        used = sum(leg.energy_wh for leg in told.legs) - sum(leg.energy_wh for leg in route.trips[0].legs)
        assert used == pytest.approx(hover_wh, rel=0.02)


def test_a_vtol_in_the_wind_is_judged_at_the_speeds_that_it_makes() -> None:
    wind = Wind(8.0, 0.0, 10.0)
    problem = replace(plain_problem(), wind=wind)
    vehicle = replace(problem.vehicles[0], type=VTOL)
    order = replace(problem.orders[0], latest=minutes(30))
    problem = replace(problem, vehicles=(vehicle,), orders=(order,))
    stops = [("east", plain_plan(plain_problem()).routes[0].trips[0].legs[0].action, ["a"])]
    made = trip(problem, vehicle, stops, trip_id="t")
    plan = Plan((Route("drone-1", "hub", (made,)),), (), 0.0)
    assert validate(problem, plan) == ()
    out, back = ((leg.arrive - leg.depart).total_seconds() for leg in made.legs)
    assert out < back
    # In calm air the same times are too fast, and the crosswind that it cannot meet is no matter of time.
    calm = replace(problem, wind=Wind())
    assert "speed.time" in {found.rule for found in validate(calm, plan)}
    assert {found.rule for found in validate(replace(problem, wind=Wind(0.0, 26.0)), plan)} == {"drone.wind"}


def test_a_road_robot_is_judged_by_the_road_that_it_drives() -> None:
    problem = plain_problem()
    robot = problem.vehicles[3]
    plan = plain_plan(problem)

    def on(**changes: Any) -> Problem:
        edges = tuple(replace(edge, **changes) for edge in problem.region.edges)
        return replace(problem, region=replace(problem.region, edges=edges))

    slow, rough = on(max_speed_mps=3.0), on(surface="gravel")
    assert {(v.rule, v.vehicle_id) for v in validate(slow, plan)} >= {("speed.time", "robot-2")}
    assert {(v.rule, v.vehicle_id) for v in validate(rough, plan)} >= {("energy.stated", "robot-2")}
    again = Route("robot-2", "hub", (retimed(slow, robot, plan.routes[3].trips[0]),))
    assert validate(slow, replace(plan, routes=(*plan.routes[:3], again))) == ()
