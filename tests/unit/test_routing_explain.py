"""Why an order is not served, and what would help."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from routing.cause import Cause
from routing.explain import Change, Explanation, explain
from routing.plan import Plan
from routing.problem import AirborneLimit, Category, Pack, Problem, Station
from routing.solve import solve
from routing.wind import Wind
from tests.problems import DRONE, drone, minutes, order, problem, random_problem, robot, village


def _explained(made: Problem) -> Explanation:
    return explain(made, solve(made))


def _first(made: Problem) -> tuple[dict[str, Cause], list[Change]]:
    (one,) = _explained(made).orders
    return {block.vehicle_id: block.cause for block in one.blocks}, [remedy.change for remedy in one.remedies]


def _two(latest: float = 5.0) -> Problem:
    """Two orders for one drone, which has time for one of them."""
    orders = [
        order(name, site, mass_kg=0.9, latest=minutes(latest)) for name, site in (("a", "drop-5"), ("b", "drop-8"))
    ]
    return problem(orders, [drone()])


@pytest.mark.parametrize("seed", range(3))
def test_the_parts_of_the_cost_are_all_of_it(seed: int) -> None:
    base = random_problem(8, seed=seed)
    late = tuple(replace(each, due=each.earliest - timedelta(minutes=1), late_cost=0.5) for each in base.orders[:4])
    made = replace(base, orders=(*late, *base.orders[4:], order("heavy", mass_kg=30.0)))
    plan = solve(made)
    parts = explain(made, plan, seconds=0.0).cost
    assert parts.total == pytest.approx(plan.cost, abs=0.1)
    assert min(parts.travel, parts.turnarounds, parts.waiting, parts.lateness, parts.unserved) > 0.0


def test_a_parcel_that_is_too_heavy_says_by_how_much() -> None:
    (one,) = _explained(problem([order("a", "drop-5", mass_kg=1.3)])).orders
    assert [(block.vehicle_id, block.cause) for block in one.blocks] == [
        ("drone-1", Cause.MASS),
        ("robot-1", Cause.SITE_ACCEPTS),
    ]
    assert one.blocks[0].short_by == pytest.approx(0.3)
    assert [(remedy.change, remedy.message) for remedy in one.remedies] == [(Change.LESS_MASS, "0.3 kg less")]


def test_a_window_that_is_too_short_says_by_how_much_and_that_much_is_enough() -> None:
    made = problem([order("a", "drop-5", latest=minutes(1))])
    (one,) = _explained(made).orders
    (remedy,) = one.remedies
    assert remedy.change is Change.WINDOW_LATER
    longer = replace(made, orders=(order("a", "drop-5", latest=minutes(1 + remedy.amount)),))
    assert not solve(longer).unserved
    shorter = replace(made, orders=(order("a", "drop-5", latest=minutes(remedy.amount)),))
    assert solve(shorter).unserved


def test_a_vehicle_that_is_busy_is_relieved_by_patience_or_by_another_one() -> None:
    causes, changes = _first(_two())
    assert causes == {"drone-1": Cause.CAPACITY}
    assert changes == [Change.WINDOW_LATER, Change.ANOTHER_VEHICLE]


def test_trips_that_are_used_up_may_be_more() -> None:
    orders = [order(f"o{i}", "drop-5", mass_kg=0.9) for i in range(3)]
    causes, changes = _first(problem(orders, [drone()], max_trips=2))
    assert causes == {"drone-1": Cause.CAPACITY}
    assert changes[0] is Change.MORE_TRIPS


def test_the_pilot_limit_is_named() -> None:
    made = replace(problem([order("a", "drop-5")], [drone()]), airborne=(AirborneLimit(Category.LEVEL_4, 0),))
    assert _first(made) == ({"drone-1": Cause.PILOT_LIMIT}, [Change.MORE_PILOTS])


def test_a_pilot_who_is_busy_is_named_and_so_is_a_second_one() -> None:
    made = replace(
        _two(8.0), vehicles=(drone(), drone("drone-2", pad=2)), airborne=(AirborneLimit(Category.LEVEL_4, 1),)
    )
    causes, changes = _first(made)
    assert Cause.PILOT_LIMIT in causes.values()
    assert Change.MORE_PILOTS in changes


def test_battery_packs_that_are_empty_are_named_and_one_more_helps() -> None:
    orders = [order(f"o{i}", "drop-5", mass_kg=0.9, latest=minutes(15)) for i in range(2)]
    made = replace(problem(orders, [drone()]), stations=(Station("hub-1", DRONE.type_id, (Pack("one"),), 1),))
    causes, changes = _first(made)
    assert causes == {"drone-1": Cause.PACKS}
    assert Change.MORE_PACKS in changes


def test_a_zone_in_the_way_is_named_and_opening_it_helps() -> None:
    region = village(1)
    there = region.site("drop-5").position
    ring = tuple((there.lat + lat, there.lon + lon) for lat, lon in ((-1e-3, -1e-3), (-1e-3, 1e-3), (1e-3, 0)))
    closed = replace(region, zones=(*region.zones, replace(region.zones[0], zone_id="fair", ring=ring)))
    (one,) = _explained(problem([order("a", "drop-5")], [drone()], region=closed)).orders
    assert one.blocks[0].cause is Cause.AIRSPACE
    assert [(remedy.change, remedy.subject) for remedy in one.remedies] == [(Change.ZONE_OPEN, "fair")]


def test_range_and_wind_are_told_apart() -> None:
    weak = replace(DRONE, battery_wh=120.0)
    assert _first(problem([order("a", "drop-8")], [drone(kind=weak)])) == (
        {"drone-1": Cause.ENERGY},
        [Change.STRONGER_BATTERY],
    )
    stormy = replace(problem([order("a", "drop-5")], [drone()]), wind=Wind(0.0, 10.0, 17.0))
    assert _first(stormy) == ({"drone-1": Cause.WIND}, [Change.CALM])


def test_robots_without_a_way_and_wrong_sites_have_their_causes() -> None:
    region = village(1)
    node = str(region.site("drop-1").node)
    cut = replace(region, edges=tuple(edge for edge in region.edges if node not in (edge.a, edge.b)))
    assert _first(problem([order("a", "drop-1")], [robot()], region=cut))[0] == {"robot-1": Cause.NO_WAY}
    (one,) = _explained(problem([order("a", "moon")])).orders
    assert one.problem is not None
    assert one.problem[0] is Cause.UNKNOWN_SITE


def test_an_order_that_has_a_place_after_all_needs_no_change() -> None:
    made = problem([order("a", "drop-5")], [drone()])
    (entry,) = solve(replace(made, vehicles=())).unserved
    (one,) = explain(made, Plan((), (entry,), 0.0)).orders
    assert [remedy.change for remedy in one.remedies] == [Change.NONE]


def test_nothing_is_tried_when_the_time_is_over() -> None:
    made = problem([order("a", "drop-5", mass_kg=1.3)])
    (one,) = explain(made, solve(made), seconds=0.0).orders
    assert one.blocks
    assert one.remedies == ()
