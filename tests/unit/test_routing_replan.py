"""A plan that is changed while it is carried out: what has begun stays, and what moves has its reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache

import pytest

from routing.errors import BadInput
from routing.plan import Plan, Unserved
from routing.problem import Problem
from routing.region.model import Restriction, Zone
from routing.replan import Changes, Move, Moved, Replanned, Why, replan
from routing.running import Placed, RunningPlan, remaining
from routing.solve import solve
from routing.validate import validate
from routing.wind import Wind
from tests.problems import DRONE, drone, minutes, order, problem, random_problem, robot, village

NOW = minutes(30)


@cache
def _made(seed: int = 3) -> tuple[Problem, Plan]:
    made = random_problem(16, seed=seed)
    return made, solve(made, work=2_000)


def _replanned(changes: Changes, *, now: datetime = NOW, seed: int = 3, work: int = 40) -> Replanned:
    made, plan = _made(seed)
    found = replan(made, plan, now, changes, work=work)
    assert validate(found.problem, found.plan) == ()
    return found


def _orders(plan: Plan) -> set[str]:
    return {order_id for route in plan.routes for trip in route.trips for order_id in trip.order_ids}


def _one(found: Replanned, order_id: str) -> Moved:
    (moved,) = [moved for moved in found.moved if moved.order_id == order_id]
    return moved


def test_without_changes_what_has_begun_is_kept_and_the_rest_is_as_it_was() -> None:
    _, plan = _made()
    found = _replanned(Changes(), work=0)
    trips = [trip for route in plan.routes for trip in route.trips]
    assert list(found.frozen) == [trip for trip in trips if trip.depart <= NOW]
    assert found.frozen
    again = {trip.trip_id: trip for route in found.plan.routes for trip in route.trips}
    assert again == {trip.trip_id: trip for trip in trips if trip.depart > NOW}
    assert found.moved == ()


def test_flights_under_way_are_given_to_the_new_problem() -> None:
    now = minutes(1)
    found = _replanned(Changes(), now=now)
    flying = {trip.trip_id for trip in found.frozen if trip.arrive > now}
    assert flying
    assert {given.trip_id for given in found.problem.given} == flying
    free = {vehicle.vehicle_id: vehicle.available_from for vehicle in found.problem.vehicles}
    for trip in found.frozen:
        assert free[trip.trip_id.rsplit("-", 1)[0]] > trip.arrive


def test_a_new_order_is_added_and_says_so() -> None:
    new = order("new", "drop-6", mass_kg=0.4, latest=minutes(100))
    found = _replanned(Changes(orders=(new,)))
    moved = _one(found, "new")
    assert (moved.move, moved.why, moved.before) == (Move.ADDED, Why.NEW_ORDER, None)
    assert moved.after is not None
    assert NOW < moved.after.arrives <= minutes(100)
    assert moved.message == f"order new comes by {moved.after.vehicle_id}: it is new"


def test_a_cancelled_order_is_gone() -> None:
    _, plan = _made()
    last = max((trip for route in plan.routes for trip in route.trips), key=lambda trip: trip.depart)
    found = _replanned(Changes(cancelled=(last.order_ids[0],)))
    assert last.order_ids[0] not in _orders(found.plan)
    assert _one(found, last.order_ids[0]).move is Move.CANCELLED


def test_what_is_under_way_cannot_be_cancelled() -> None:
    begun = _replanned(Changes()).frozen[0].order_ids[0]
    moved = _one(_replanned(Changes(cancelled=(begun,))), begun)
    assert (moved.move, moved.why) == (Move.ABOARD, Why.CANCELLED)
    assert moved.after is not None


def test_the_orders_of_a_lost_vehicle_go_to_others_and_what_is_aboard_is_named() -> None:
    _, plan = _made()
    lost = next(route for route in plan.routes if len(route.trips) > 1)
    now = lost.trips[0].depart + timedelta(seconds=30)
    found = _replanned(Changes(lost=(lost.vehicle_id,)), now=now)
    assert lost.vehicle_id not in {route.vehicle_id for route in found.plan.routes}
    for order_id in lost.trips[0].order_ids:
        assert _one(found, order_id).move is Move.ABOARD
    for order_id in (order_id for trip in lost.trips[1:] for order_id in trip.order_ids):
        moved = _one(found, order_id)
        assert moved.move in (Move.VEHICLE, Move.DROPPED)
        assert moved.why is Why.VEHICLE_LOST


def test_flights_go_around_a_zone_that_is_closed_now_or_are_dropped_with_the_reason() -> None:
    region = village(1)
    there = region.site("drop-5").position
    ring = tuple((there.lat + lat, there.lon + lon) for lat, lon in ((-1e-3, -1e-3), (-1e-3, 1e-3), (1e-3, 0)))
    made = problem([order("a", "drop-5", earliest=minutes(40)), order("b", "drop-8", earliest=minutes(40))], [drone()])
    plan = solve(made)
    closed = Zone("fire", "fire", "", "", ring, restriction=Restriction.PROHIBITED)
    found = replan(made, plan, NOW, Changes(closed=(closed,)), work=10)
    assert validate(found.problem, found.plan) == ()
    assert _orders(found.plan) == {"b"}
    moved = _one(found, "a")
    assert (moved.move, moved.why) == (Move.DROPPED, Why.ZONE_CLOSED)
    assert "zone fire is closed" in moved.message


def test_trips_that_the_wind_makes_longer_are_timed_again() -> None:
    made = problem([order("a", "drop-8", earliest=minutes(40)), order("b", "drop-5", earliest=minutes(60))], [drone()])
    plan = solve(made)
    found = replan(made, plan, NOW, Changes(wind=Wind(-8.0, 8.0)), work=0)
    assert validate(found.problem, found.plan) == ()
    assert _orders(found.plan) == {"a", "b"}
    before, after = (sum(trip.legs[-1].arrive.timestamp() - trip.depart.timestamp() for route in p.routes
                         for trip in route.trips) for p in (plan, found.plan))  # fmt: skip
    assert after > before


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_plan_never_costs_more_than_the_patched_one(seed: int) -> None:
    more = tuple(order(f"new{i}", f"drop-{5 + i}", mass_kg=0.4, latest=minutes(70 + 5 * i)) for i in range(4))
    changes = Changes(orders=more, lost=("drone-1",))
    patched = _replanned(changes, seed=seed, work=0)
    improved = _replanned(changes, seed=seed, work=60)
    assert improved.plan.cost <= patched.plan.cost + 0.2


def test_equal_work_gives_equal_plans() -> None:
    changes = Changes(lost=("robot-1",))
    assert _replanned(changes).plan == _replanned(changes).plan


def test_little_moves_for_one_small_change() -> None:
    """A new order must not shuffle the others: solving anew would move most of them."""
    new = order("new", "drop-6", mass_kg=0.4, latest=minutes(100))
    found = _replanned(Changes(orders=(new,)))
    left = {each.order_id for each in found.problem.orders} - {"new"}
    assert len(found.moved) - 1 <= 0.3 * len(left)


def test_changes_to_what_is_not_there_are_refused() -> None:
    made, plan = _made()
    with pytest.raises(BadInput, match="changes: order ghost is not in the problem"):
        replan(made, plan, NOW, Changes(cancelled=("ghost",)))
    with pytest.raises(BadInput, match="changes: vehicle ghost is not in the problem"):
        replan(made, plan, NOW, Changes(lost=("ghost",)))
    with pytest.raises(BadInput, match="order id 'o1' is used twice"):
        replan(made, plan, NOW, Changes(orders=(order("o1"),)))


def test_orders_go_into_a_running_plan_one_by_one() -> None:
    made, plan = _made()
    running = RunningPlan(remaining(made, plan, NOW), plan)
    before = {trip.trip_id: trip for route in running.plan().routes for trip in route.trips}
    placed = running.insert(order("new", "drop-6", mass_kg=0.3, latest=minutes(110)))
    assert isinstance(placed, Placed)
    after = {trip.trip_id: trip for route in running.plan().routes for trip in route.trips}
    assert "new" in after[placed.trip_id].order_ids
    assert {name: trip for name, trip in after.items() if name != placed.trip_id} == {
        name: trip for name, trip in before.items() if name != placed.trip_id
    }
    assert validate(running.problem, running.plan()) == ()


def test_an_order_that_fits_nowhere_is_left_out_with_the_reason() -> None:
    made = problem([order("a", "drop-5", mass_kg=0.9)], [drone(kind=replace(DRONE, turnaround_s=7_000.0))])
    running = RunningPlan(made, solve(made))
    busy = running.insert(order("b", "drop-8", mass_kg=0.9, latest=minutes(30)))
    assert busy == Unserved("b", "no vehicle has room and time for it beside what is planned", cause="capacity")
    heavy = running.insert(order("c", "drop-8", mass_kg=5.0))
    assert isinstance(heavy, Unserved)
    assert heavy.final
    assert [entry.order_id for entry in running.plan().unserved] == ["b", "c"]
    assert validate(running.problem, running.plan()) == ()


def test_a_running_plan_of_robots_has_names_of_its_own_for_new_trips() -> None:
    made = problem([order("a", "drop-1"), order("b", "drop-2", earliest=minutes(60))], [robot()])
    plan = solve(made)
    running = RunningPlan(remaining(made, plan, minutes(10)), plan)
    placed = running.insert(order("c", "drop-4", mass_kg=18.0, latest=minutes(40)))
    assert isinstance(placed, Placed)
    assert placed.trip_id not in {trip.trip_id for route in plan.routes for trip in route.trips}
