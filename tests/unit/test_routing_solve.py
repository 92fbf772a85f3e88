"""Plans: who serves what, when, and why not."""

from __future__ import annotations

import gc
import math
import time
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from routing.cause import Cause
from routing.energy import usable_wh
from routing.errors import BadInput
from routing.formats.json import plan_from_json, plan_to_json
from routing.modelling import Modelling
from routing.plan import Plan, StopAction
from routing.problem import FleetVehicle, OrderRequest, Policy, Problem
from routing.region.model import Region
from routing.search import search
from routing.solve import NO_CAPACITY, solve, who_may
from routing.travel import Travel
from routing.trip_book import TripBook
from routing.trips import drop_penalty_s, served
from routing.validate import validate
from tests.problems import DRONE, ROBOT, START, drone, minutes, order, problem, random_problem, robot, village


def _reason(made: Problem) -> tuple[str, bool]:
    plan = solve(made)
    assert not plan.routes
    (entry,) = plan.unserved
    return entry.reason, entry.final


def _served(plan: Plan) -> dict[str, str]:
    return {o: route.vehicle_id for route in plan.routes for trip in route.trips for o in trip.order_ids}


def test_a_drone_flies_to_the_hamlet_and_home() -> None:
    made = problem([order("a", "drop-5")])
    (route,) = solve(made).routes
    (trip,) = route.trips
    out, home = trip.legs
    assert (route.vehicle_id, trip.trip_id, trip.order_ids) == ("drone-1", "drone-1-t1", ("a",))
    assert [(leg.to_site, leg.action) for leg in (out, home)] == [
        ("drop-5", StopAction.DROP),
        ("hub-1", StopAction.HOME),
    ]
    assert trip.depart == START
    assert out.leave - out.arrive == timedelta(seconds=DRONE.service_s)
    assert home.depart == out.leave
    # 800 m at 10 m/s is 80 s; climb and descent come on top.
    assert 120 < (out.arrive - out.depart).total_seconds() < 240
    assert out.energy_wh > home.energy_wh * 0.8 > 0


def test_a_robot_drives_along_the_network_to_the_clinic_and_home() -> None:
    made = problem([order("a", "drop-2", mass_kg=5.0)])
    (route,) = solve(made).routes
    out, home = route.trips[0].legs
    assert route.vehicle_id == "robot-1"
    assert (out.nodes[0], out.nodes[-1]) == ("n0", made.region.site("drop-2").node)
    assert home.nodes == out.nodes[::-1]
    assert (out.arrive - out.depart).total_seconds() >= out.distance_m / ROBOT.cruise_speed_mps


def test_a_drone_only_and_a_robot_only_order_give_each_kind_a_trip() -> None:
    plan = solve(problem([order("light", "drop-8"), order("heavy", "drop-4", mass_kg=6.0)]))
    assert _served(plan) == {"light": "drone-1", "heavy": "robot-1"}
    assert not plan.unserved


def test_neighbours_share_a_stop() -> None:
    made = problem([order(name, "drop-1", mass_kg=3.0) for name in "abc"], [robot()])
    (route,) = solve(made).routes
    (trip,) = route.trips
    assert len(trip.legs) == 2
    assert sorted(trip.legs[0].order_ids) == ["a", "b", "c"]


def test_more_than_the_payload_takes_more_trips_with_a_turnaround_between() -> None:
    made = problem([order(name, "drop-5", mass_kg=0.9) for name in "abc"], [drone()])
    (route,) = solve(made).routes
    assert [trip.trip_id for trip in route.trips] == ["drone-1-t1", "drone-1-t2", "drone-1-t3"]
    for before, after in pairwise(route.trips):
        assert (after.depart - before.arrive).total_seconds() >= DRONE.turnaround_s


def test_a_drop_waits_for_its_window_at_the_hub() -> None:
    plan = solve(problem([order("a", "drop-5", earliest=minutes(40), latest=minutes(50))]))
    out = plan.routes[0].trips[0].legs[0]
    assert out.arrive == minutes(40)
    assert out.depart > minutes(35)


def test_orders_with_windows_far_apart_ride_on_trips_of_their_own() -> None:
    made = problem([order("noon", "drop-5", latest=minutes(10)), order("late", "drop-5", earliest=minutes(60))])
    plan = solve(made)
    assert [trip.order_ids for trip in plan.routes[0].trips] == [("noon",), ("late",)]


def test_a_vehicle_departs_only_when_it_is_free() -> None:
    plan = solve(problem([order("a", "drop-5")], [drone(free=minutes(30))]))
    assert plan.routes[0].trips[0].depart == minutes(30)


def test_the_more_urgent_order_is_served_when_only_one_can_be() -> None:
    orders = [order("plain", "drop-5", latest=minutes(5)), order("urgent", "drop-8", latest=minutes(5), priority=5)]
    plan = solve(problem(orders, [drone()]))
    assert list(_served(plan)) == ["urgent"]
    (entry,) = plan.unserved
    assert (entry.order_id, entry.reason, entry.final, entry.cause) == ("plain", NO_CAPACITY, False, "capacity")


def test_no_more_trips_than_allowed() -> None:
    orders = [order(f"o{i}", "drop-5", mass_kg=0.9) for i in range(4)]
    plan = solve(problem(orders, [drone()], max_trips=2))
    assert len(plan.routes[0].trips) == 2
    assert [entry.reason for entry in plan.unserved] == [NO_CAPACITY] * 2


@pytest.mark.parametrize(
    ("request_", "words", "final"),
    [
        (
            order(dropoff="drop-5", mass_kg=3.2),
            "3.2 kg is too heavy: vehicles that may go to drop-5 carry at most 1 kg",
            True,
        ),
        (
            order(dropoff="drop-1", mass_kg=25),
            "25 kg is too heavy: vehicles that may go to drop-1 carry at most 20 kg",
            True,
        ),
        (
            order(dropoff="drop-5", volume_l=9),
            "9 L is too large: vehicles that may go to drop-5 hold at most 8 L",
            True,
        ),
        (order(dropoff="moon"), "drop-off site moon is not in region sugigase", True),
        (order(pickup="moon"), "pickup site moon is not in region sugigase", True),
        (order(dropoff="hub-1"), "pickup and drop-off are the same site, hub-1", True),
        (order(pickup="drop-1"), "no kind of vehicle may stop at both drop-1 and drop-5", True),
        (order(latest=minutes(2)), "before the soonest possible arrival, 2026-04-01T00:02+00:00 by drone-1", False),
        (order(earliest=minutes(-60), latest=minutes(-30)), "the time window ends 32 min before", False),
        (
            order(earliest=START + timedelta(days=40), latest=START + timedelta(days=41)),
            "more than 30 days ahead",
            False,
        ),
    ],
)
def test_an_order_that_nobody_can_serve_comes_back_with_the_reason(
    request_: OrderRequest, words: str, final: bool
) -> None:
    reason, is_final = _reason(problem([request_]))
    assert words in reason
    assert is_final is final


def test_where_vehicles_fetch_nothing_an_order_from_elsewhere_waits_for_one_there() -> None:
    made = replace(problem([order("a", "drop-6", pickup="drop-5")]), policy=Policy(away_pickups=False))
    assert _reason(made) == ("no vehicle is based at pickup site drop-5; vehicles are at hub-1", False)


def test_a_site_that_no_vehicle_here_may_go_to() -> None:
    assert _reason(problem([order("a", "drop-5")], [robot()])) == (
        "site drop-5 accepts drones only, and hub-1 has no vehicle for it",
        False,
    )
    assert _reason(problem([order("a", "drop-1")], [drone()]))[0].startswith("site drop-1 accepts robots only")
    assert "there are no vehicles" in _reason(problem([order()], []))[0]


def test_out_of_range_names_the_energy() -> None:
    weak = replace(DRONE, battery_wh=120.0)
    reason, final = _reason(problem([order("a", "drop-8")], [drone(kind=weak)]))
    assert reason.startswith("out of range: there and back takes 1")
    assert "may use 90 Wh" in reason
    assert final


@pytest.mark.parametrize(
    ("request_", "cause"),
    [
        (order(dropoff="drop-5", mass_kg=3.2), Cause.MASS),
        (order(dropoff="drop-5", volume_l=9), Cause.VOLUME),
        (order(dropoff="moon"), Cause.UNKNOWN_SITE),
        (order(latest=minutes(2)), Cause.WINDOW),
    ],
)
def test_the_reason_is_told_as_a_value_that_stays_the_same_too(request_: OrderRequest, cause: Cause) -> None:
    plan = solve(problem([request_]))

    (entry,) = plan_from_json(plan_to_json(plan)).unserved
    assert entry.cause == cause.value


def test_a_network_that_does_not_connect_is_named() -> None:
    region = village(1)
    node = str(region.site("drop-1").node)
    cut = replace(region, edges=tuple(edge for edge in region.edges if node not in (edge.a, edge.b)))
    reason, final = _reason(problem([order("a", "drop-1", mass_kg=5.0)], region=cut))
    assert reason == f"no way from hub-1 to drop-1: the ground network does not connect n0 and {node}"
    assert final


def test_a_drop_point_in_a_no_fly_zone_has_no_way() -> None:
    region = village(1)
    there = region.site("drop-5").position
    ring = tuple((there.lat + lat, there.lon + lon) for lat, lon in ((-1e-3, -1e-3), (-1e-3, 1e-3), (1e-3, 0)))
    closed = replace(region, zones=(replace(region.zones[0], zone_id="fair", ring=ring),))
    reason, _ = _reason(problem([order("a", "drop-5")], region=closed))
    assert "no way from hub-1 to drop-5: the destination lies in a no-fly zone" in reason


@pytest.mark.parametrize("seed", range(6))
def test_what_the_solver_returns_passes_the_validator(seed: int) -> None:
    made = random_problem(9, seed=seed)
    plan = solve(made)
    assert validate(made, plan) == ()
    assert len(_served(plan)) + len(plan.unserved) == 9


def test_a_tight_battery_is_respected_exactly() -> None:
    """The optimiser's model understates trips of several stops; what it proposes is split where it must be."""
    weak = replace(DRONE, battery_wh=0.61 * DRONE.battery_wh)
    made = problem(
        [order(f"o{i}", f"drop-{site}", mass_kg=0.3) for i, site in enumerate((5, 6, 7, 8, 5, 6, 7, 8))],
        [drone("drone-1", kind=weak), drone("drone-2", kind=weak, pad=1)],
    )
    plan = solve(made)
    assert validate(made, plan) == ()
    assert len(_served(plan)) == 8
    used = [sum(leg.energy_wh for leg in trip.legs) for route in plan.routes for trip in route.trips]
    assert max(used) <= usable_wh(weak)
    assert max(used) > 0.8 * usable_wh(weak)


def test_the_search_is_no_worse_than_insertion_alone_and_often_better() -> None:
    better = 0
    for seed in range(4):
        made = random_problem(12, seed=seed)
        searched, inserted = solve(made).cost, solve(made, seconds=0).cost
        assert searched <= inserted
        better += searched < inserted
    assert better >= 2


def test_equal_problems_and_seeds_give_equal_plans() -> None:
    made = random_problem(10, seed=3)
    assert solve(made, seed=5) == solve(made, seed=5)
    assert solve(replace(made, seed=5)) == solve(made, seed=5)


def test_with_a_count_of_work_the_plan_depends_on_the_seed_alone() -> None:
    made = random_problem(14, seed=3)
    first = solve(made, work=400, seed=1, workers=2)
    assert first == solve(made, work=400, seed=1, workers=2, seconds=0.001)
    assert validate(made, first) == ()


def test_better_plans_are_told_of_as_they_are_found() -> None:
    made = random_problem(14, seed=3)
    told: list[tuple[float, float]] = []
    plan = solve(made, on_better=lambda seconds, cost: told.append((seconds, cost)))
    assert told == sorted(told, key=lambda each: (each[0], -each[1]))
    assert told[-1][1] == pytest.approx(plan.cost, abs=0.1)


@pytest.mark.alone
def test_a_search_ends_when_its_time_is_over() -> None:
    made = random_problem(80, seed=1)
    solve(made, seconds=0.5)  # what is loaded and compiled on first use is no part of it
    gc.collect()
    gc.freeze()  # nor is looking through all that a long run of tests holds
    begun = time.monotonic()
    plan = solve(made, seconds=2.0)
    assert time.monotonic() - begun < 2.5
    assert validate(made, plan) == ()


def test_the_search_knows_what_trips_take_exactly() -> None:
    """Time, energy and cost in the search's model are those of the trips that come of it."""
    made = random_problem(10, seed=4)
    book = TripBook(made, Travel.of(made))
    allowed, _ = who_may(book)
    modelling = Modelling(book, allowed)
    found = search(modelling.model, iterations=300, seed=1, workers=1)
    tours = modelling.tours(found.routes)
    exact = sum(book.cost(*each) for each in zip(made.vehicles, tours, strict=True))
    left = sum(drop_penalty_s(book.orders[order_id]) for order_id in allowed if order_id not in served(tours))
    # But for the few metres between the pads of one hub.
    assert found.cost == pytest.approx(exact + left, abs=3.0)
    assert modelling.tours(modelling.routes(tours)) == tours


def test_trips_found_by_hand_cost_no_less() -> None:
    """Two orders, one drone: every tour there is, against the plan."""
    made = problem([order("a", "drop-5", mass_kg=0.4), order("b", "drop-8", mass_kg=0.4)], [drone()])
    book = TripBook(made, Travel(made.region))
    (only,) = made.vehicles
    tours = [tour for first in book.with_order(only, (), "a") for tour in book.with_order(only, first, "b")]
    assert len(tours) == 4
    assert solve(made).cost == pytest.approx(min(book.cost(only, tour) for tour in tours), abs=0.1)


def _with(**changes: object) -> FleetVehicle:
    return drone(kind=replace(DRONE, **changes))  # type: ignore[arg-type]  # names of float fields


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (problem([order("a"), order("a")]), "order id 'a' is used twice"),
        (problem([order()], [drone(), drone()]), "vehicle id 'drone-1' is used twice"),
        (problem([order(latest=START)]), "order a: latest must be after earliest"),
        (problem([order(earliest=START.replace(tzinfo=None))]), "order a: earliest needs a time zone"),
        (problem([order(mass_kg=math.nan)]), "order a: mass_kg must be a number above 0"),
        (problem([order(volume_l=-1)]), "order a: volume_l must be a number above 0"),
        (problem([order()], [replace(drone(), home_site="moon")]), "site 'moon' is not in region"),
        (problem([order()], [_with(cruise_speed_mps=0.0)]), "cruise_speed_mps must be more than 0"),
        (problem([order()], [_with(battery_wh=math.inf)]), "battery_wh must be more than 0, not inf"),
        (problem([order()], [_with(reserve_fraction=1.0)]), "reserve_fraction must be less than 1"),
        (replace(problem([order()]), start=START.replace(year=9999)), "start is in the year 9999"),
        (problem([order()], max_trips=0), "max_trips_per_vehicle must be at least 1"),
    ],
)
def test_a_problem_that_contradicts_itself_is_refused_by_name(made: Problem, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        solve(made)
    with pytest.raises(BadInput, match=words):
        validate(made, Plan((), (), 0.0))


def test_nothing_to_do_is_an_empty_plan() -> None:
    assert solve(problem([])) == Plan((), (), 0.0)


def test_extreme_figures_are_answered_and_do_not_break_the_solver() -> None:
    slow = replace(ROBOT, cruise_speed_mps=1e-9, acceleration_mps2=1e-9)
    heavy = replace(ROBOT, payload_kg=1e9, payload_l=1e9, battery_wh=1e9, turnaround_s=1e9, service_s=1e6)
    orders = [order(f"o{i}", "drop-1", mass_kg=1e6, priority=10**9) for i in range(4)]
    far = FleetVehicle("late", ROBOT, "hub-1", START + timedelta(days=36_500))
    made = problem(orders, [robot("slow", kind=slow), robot("heavy", kind=heavy), far])
    plan = solve(made)
    assert validate(made, plan) == ()
    assert sorted(_served(plan)) == ["o0", "o1", "o2", "o3"]


def test_a_vehicle_away_from_the_orders_hub_takes_no_part() -> None:
    region: Region = village(1)
    away = FleetVehicle("away", DRONE, "drop-2", START)
    plan = solve(problem([order("a", "drop-5"), order("b", "drop-6")], [away, drone()], region=region))
    assert set(_served(plan).values()) == {"drone-1"}
