"""Plans of a whole morning: several hubs and pads, wind, and traffic that is there already."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import pytest

from routing.errors import BadInput
from routing.geo import Position, distance_m
from routing.plan import Plan
from routing.problem import FleetVehicle, GivenTrip, Problem, Separation, Stay, TimedPosition
from routing.solve import solve
from routing.validate import validate
from routing.wind import Wind
from tests.highlands import morning
from tests.problems import DRONE, START, drone, minutes, order, problem, robot


def _reason(made: Problem) -> tuple[str, bool]:
    (entry,) = solve(made).unserved
    return entry.reason, entry.final


def _served(plan: Plan) -> dict[str, str]:
    return {o: route.vehicle_id for route in plan.routes for trip in route.trips for o in trip.order_ids}


def test_a_morning_with_two_hubs_is_planned_in_seconds_and_holds() -> None:
    made = morning(24)
    begun = time.monotonic()
    plan = solve(made)
    took_s = time.monotonic() - begun
    assert validate(made, plan) == ()
    assert took_s < 10.0
    homes = {vehicle.vehicle_id: vehicle.home_site for vehicle in made.vehicles}
    orders = {order.order_id: order for order in made.orders}
    for order_id, vehicle_id in _served(plan).items():
        assert orders[order_id].pickup_site == homes[vehicle_id]
    kinds = [vehicle_id.split("-")[0] for vehicle_id in _served(plan).values()]
    assert min(kinds.count("drone"), kinds.count("robot")) >= 6
    assert {len(route.trips) > 1 for route in plan.routes if route.vehicle_id.startswith("drone")} >= {True}
    assert all(entry.reason.startswith(("out of range", "no way")) for entry in plan.unserved)
    assert solve(made, work=200) == solve(made, work=200)


@pytest.mark.parametrize("seed", range(2, 6))
def test_every_morning_keeps_the_rules(seed: int) -> None:
    made = replace(morning(16, seed=seed), wind=Wind(3.0, -4.0, 8.0))
    plan = solve(made, seconds=2.0)
    assert validate(made, plan) == ()
    assert len(_served(plan)) + len(plan.unserved) == 16


def test_an_order_of_another_hub_waits_for_a_vehicle_there() -> None:
    made = morning(8, drones=1, robots=1)
    reasons = {entry.order_id: entry.reason for entry in solve(made).unserved}
    for each in made.orders:
        if each.pickup_site == "hub-2":
            assert reasons[each.order_id] == "no vehicle is based at pickup site hub-2; vehicles are at hub-1"


def test_a_strong_wind_is_the_reason_and_it_is_not_final() -> None:
    stormy = replace(problem([order("a", "drop-5")], [drone()]), wind=Wind(0.0, 10.0, 17.0))
    reason, final = _reason(stormy)
    assert "wind of 10.0 m/s, gusts 17.0 m/s, is too strong" in reason
    assert not final
    # It can be flown there and back, but not on one battery: another day it can.
    weak = replace(DRONE, battery_wh=0.53 * DRONE.battery_wh)
    head = replace(problem([order("a", "drop-8")], [drone(kind=weak)]), wind=Wind(-9.0, 9.0))
    assert not solve(replace(head, wind=Wind())).unserved
    reason, final = _reason(head)
    assert "out of range in 13 m/s of wind" in reason
    assert not final


def test_wind_makes_the_way_against_it_longer() -> None:
    made = problem([order("a", "drop-8", mass_kg=0.3)], [drone()])
    calm, windy = (solve(replace(made, wind=wind)).routes[0].trips[0] for wind in (Wind(), Wind(-11.0, 0.0)))
    out_s, home_s = ([(leg.arrive - leg.depart).total_seconds() for leg in trip.legs] for trip in (calm, windy))
    assert home_s[0] > out_s[0] + 20
    assert home_s[1] == pytest.approx(out_s[1], abs=5)


def test_a_drone_leaves_from_and_lands_on_its_own_pad() -> None:
    made = problem([order("a", "drop-5")], [drone(pad=3)])
    trip = solve(made).routes[0].trips[0]
    pad = made.region.site("hub-1").pads[3]
    for point in (trip.legs[0].path[0], trip.legs[-1].path[-1]):
        assert distance_m(point, pad) < 0.5


def test_a_drop_at_a_hub_is_over_a_pad_where_nobody_stands() -> None:
    made = morning(0, drones=4, robots=0)
    to_hub = order("a", "hub-2", latest=minutes(240))
    plan = solve(replace(made, orders=(to_hub,)))
    assert validate(replace(made, orders=(to_hub,)), plan) == ()
    pads = made.region.site("hub-2").pads
    drop = plan.routes[0].trips[0].legs[0].path[-1]
    assert [distance_m(drop, pad) < 0.5 for pad in pads] == [False, False, True, False]
    full = [FleetVehicle(f"d{i}", DRONE, "hub-2", START, i) for i in range(4)]
    reason, final = _reason(replace(made, orders=(to_hub,), vehicles=(made.vehicles[0], *full)))
    assert (reason, final) == ("every pad of hub-2 is the home of a drone", False)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (problem([], [drone("a"), drone("b")]), "pad 0 of hub-1 is a's"),
        (problem([], [drone(pad=9)]), "pad 9 is not there; hub-1 has 4 pads"),
        (problem([], [drone(pad=-1)]), "pad -1 is not there"),
        (replace(problem([]), wind=Wind(math.nan, 0.0)), "wind must be finite"),
        (replace(problem([]), separation=Separation(late_s=-1.0)), "separation.late_s must be a number from 0 on"),
        (replace(problem([]), given=(GivenTrip("m", "d"),) * 2), "given trip id 'm' is used twice"),
        (
            replace(
                problem([]),
                given=(GivenTrip("m", "d", tuple(TimedPosition(minutes(-i), Position(35, 138)) for i in range(2))),),
            ),
            "given trip m: the times of its track must not go back",
        ),
        (
            replace(
                problem([]),
                given=(GivenTrip("m", "d", tuple(TimedPosition(minutes(i), Position(35, 138)) for i in (0, 2000))),),
            ),
            "given trip m: its track is longer than a day",
        ),
        (
            replace(problem([]), given=(GivenTrip("m", "d", (TimedPosition(START, Position(math.nan, 138)),)),)),
            "given trip m: a position of its track is not on the earth",
        ),
        (
            replace(problem([]), given=(GivenTrip("m", "d", (), (Stay("drop-1", minutes(2), minutes(1)),)),)),
            "given trip m: it leaves drop-1 before it arrives",
        ),
    ],
)
def test_traffic_that_contradicts_itself_is_refused_by_name(made: Problem, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        solve(made)


def test_a_robots_pad_means_nothing() -> None:
    plan = solve(problem([order("a", "drop-1", mass_kg=5.0)], [replace(robot(), pad=7)]))
    assert not plan.unserved
