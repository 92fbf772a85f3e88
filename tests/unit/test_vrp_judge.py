"""The judge of routes in numbers: every rule has a mutation that it alone finds, and costs are exact."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from routing.search.model import AT_START, SearchModel, SearchRoute
from routing.validate.routes import RouteReport, judge_routes

INFINITE = math.inf


def model(**changes: Any) -> SearchModel:
    """A line of places 0 (depot) to 3, ten apart; three requests from the start, and one of each of two vehicles."""
    at = np.arange(4) * 10.0
    distance = np.abs(at[:, None] - at[None, :])[None]
    requests, classes = 3, 2
    given = SearchModel(
        distance=distance,
        duration=distance.copy(),
        energy_base=distance.copy(),
        energy_per_load=distance / 10.0,
        pickup=np.full(requests, AT_START),
        dropoff=np.array([1, 2, 3]),
        load=np.array([[1.0], [2.0], [3.0]]),
        pickup_from=np.zeros(requests),
        pickup_to=np.full(requests, INFINITE),
        pickup_service=np.zeros(requests),
        drop_from=np.zeros(requests),
        drop_to=np.full(requests, INFINITE),
        drop_service=np.zeros(requests),
        release=np.zeros(requests),
        due=np.full(requests, INFINITE),
        late_cost=np.zeros(requests),
        prize=np.full(requests, INFINITE),
        allowed=np.ones((requests, classes), dtype=bool),
        count=np.array([1, 1]),
        profile=np.zeros(classes, dtype=np.int64),
        start=np.zeros(classes, dtype=np.int64),
        end=np.zeros(classes, dtype=np.int64),
        capacity=np.full((classes, 1), 10.0),
        slots=np.zeros(classes, dtype=np.int64),
        shift_from=np.zeros(classes),
        shift_to=np.full(classes, 1_000.0),
        fixed_cost=np.zeros(classes),
        trip_cost=np.zeros(classes),
        distance_cost=np.ones(classes),
        duration_cost=np.zeros(classes),
        max_trips=np.full(classes, 2),
        first_load_time=np.zeros(classes),
        reload_time=np.zeros(classes),
        max_distance=np.full(classes, INFINITE),
        max_duration=np.full(classes, INFINITE),
        energy_limit=np.full(classes, INFINITE),
        may_wait=np.ones(classes, dtype=bool),
    )
    return replace(given, **{name: np.asarray(value) for name, value in changes.items()})


ALL = (SearchRoute(0, ((1, 3, 5),)),)
"""Out to the end of the line and back."""

TWO_TRIPS = (SearchRoute(0, ((1, 3), (5,))),)


def judged(routes: tuple[SearchRoute, ...] = ALL, **changes: Any) -> RouteReport:
    return judge_routes(model(**changes), routes)


def rules(report: RouteReport) -> set[str]:
    return {violation.rule for violation in report.violations}


def test_routes_that_keep_every_rule_cost_their_distance() -> None:
    report = judged()

    assert report.violations == ()
    assert (report.cost, report.distance, report.vehicles) == (60.0, 60.0, 1)


@pytest.mark.parametrize(
    ("rule", "routes", "changes"),
    [
        ("routes.form", (SearchRoute(7, ((1, 3, 5),)),), {}),
        ("routes.form", (SearchRoute(0, ((1, 3, 9),)),), {}),
        ("routes.form", (SearchRoute(0, ((0, 1, 3, 5),)),), {}),
        ("routes.form", (SearchRoute(0, ((1, 3, 5), ())),), {}),
        ("routes.count", (SearchRoute(0, ((1,),)), SearchRoute(0, ((3, 5),))), {}),
        ("routes.once", (SearchRoute(0, ((1, 3, 5),)), SearchRoute(1, ((5,),))), {}),
        ("routes.unserved", (SearchRoute(0, ((1, 3),)),), {}),
        ("routes.trips", TWO_TRIPS, {"max_trips": [1, 1]}),
        ("routes.load", ALL, {"capacity": [[5.9], [9.0]]}),
        ("routes.slots", ALL, {"slots": [2, 0]}),
        ("routes.allowed", ALL, {"allowed": [[True, True], [False, True], [True, True]]}),
        ("routes.window", ALL, {"drop_to": [9.0, INFINITE, INFINITE]}),
        ("routes.window", ALL, {"shift_to": [59.0, 59.0]}),
        ("routes.window", ALL, {"release": [0.0, 950.0, 0.0]}),
        ("routes.window", ALL, {"first_load_time": [941.0, 0.0]}),
        ("routes.window", TWO_TRIPS, {"reload_time": [901.0, 0.0]}),
        ("routes.distance", ALL, {"max_distance": [59.0, 59.0]}),
        ("routes.duration", ALL, {"max_duration": [59.0, 59.0]}),
        ("routes.energy", ALL, {"energy_limit": [60.0, 999.0]}),
        ("routes.pairing", ALL, {"pickup": [2, AT_START, AT_START]}),
        ("routes.pairing", (SearchRoute(0, ((0, 3, 5),)),), {"pickup": [2, AT_START, AT_START], "prize": [5, 5, 5]}),
        ("routes.pairing", (SearchRoute(0, ((3, 0), (1, 5))),), {"pickup": [2, AT_START, AT_START]}),
    ],
)
def test_a_broken_rule_is_found_and_no_other(
    rule: str, routes: tuple[SearchRoute, ...], changes: dict[str, Any]
) -> None:
    assert rules(judged(routes, **changes)) == {rule}


def test_there_is_no_way_where_a_distance_is_infinite() -> None:
    distance = model().distance.copy()
    distance[0, 1, 2] = INFINITE

    assert rules(judged(distance=distance)) == {"routes.way"}


def test_energy_is_by_the_load_that_is_aboard() -> None:
    # 60 for the way, then 6 aboard for one leg, 5 for the next and 3 for the last.
    assert rules(judged(energy_limit=[73.9, 0.0])) == {"routes.energy"}
    assert not judged(energy_limit=[74.0, 0.0]).violations


def test_loads_of_pairs_are_aboard_between_their_ends_only() -> None:
    pairs: dict[str, Any] = {"pickup": [1, 2, 3], "dropoff": [2, 3, 0], "load": [[6.0], [6.0], [6.0]]}

    one_by_one = judged((SearchRoute(0, ((0, 1, 2, 3, 4, 5),)),), **pairs)
    together = judged((SearchRoute(0, ((0, 2, 1, 4, 3, 5),)),), **pairs)

    assert not one_by_one.violations
    assert rules(together) == {"routes.load"}


def test_left_out_requests_cost_their_prize() -> None:
    report = judged((SearchRoute(0, ((1,),)),), prize=[INFINITE, 7.0, 4.0])

    assert not report.violations
    assert report.left_out == (1, 2)
    assert report.cost == 20.0 + 11.0


def test_used_vehicles_and_trips_cost_what_the_model_says() -> None:
    report = judged(TWO_TRIPS, fixed_cost=[100.0, 0.0], trip_cost=[10.0, 0.0], distance_cost=[2.0, 1.0])

    assert report.cost == 100.0 + 20.0 + 2 * (40.0 + 60.0)


def test_a_vehicle_that_is_not_used_costs_nothing() -> None:
    assert judged((*ALL, SearchRoute(1, ((),))), fixed_cost=[0.0, 99.0]).cost == 60.0


def test_duration_counts_from_the_best_departure() -> None:
    late_window: dict[str, Any] = {
        "drop_from": [500.0, 0.0, 0.0],
        "duration_cost": [1.0, 1.0],
        "distance_cost": [0.0, 0.0],
    }

    assert judged(**late_window).cost == 60.0
    # A second window that ends before allows no later departure: the wait between them is paid.
    held = judged(**late_window, drop_to=[INFINITE, INFINITE, 530.0], drop_service=[10.0, 0.0, 0.0])
    assert held.cost == 70.0


def test_a_wait_between_trips_is_paid_and_bounded() -> None:
    later: dict[str, Any] = {"release": [0.0, 0.0, 300.0], "duration_cost": [1.0, 0.0]}

    assert judged(TWO_TRIPS, **later, shift_to=[400.0, 0.0]).cost == 100.0 + 100.0
    # The first trip must be over by 100: from its departure at 60 to the return at 360.
    early = {**later, "drop_to": [70.0, INFINITE, INFINITE]}
    assert judged(TWO_TRIPS, **early).cost == 100.0 + 300.0
    assert rules(judged(TWO_TRIPS, **early, max_duration=[299.0, 0.0])) == {"routes.duration"}


def test_lateness_is_paid_from_due_on_and_weighed_against_duration() -> None:
    late: dict[str, Any] = {"due": [INFINITE, INFINITE, 100.0], "late_cost": [0.0, 0.0, 3.0]}

    assert judged(**late).cost == 60.0
    # The first window holds the vehicle until 200; 20 later it is at the place that was due at 100.
    assert judged(**late, drop_from=[200.0, 0.0, 0.0]).cost == 60.0 + 3.0 * 120.0


def test_who_may_not_wait_leaves_later_instead() -> None:
    windows: dict[str, Any] = {"drop_from": [0.0, 500.0, 0.0], "drop_to": [100.0, INFINITE, INFINITE]}

    assert not judged(**windows).violations
    assert rules(judged(**windows, may_wait=[False, False])) == {"routes.window"}


def test_open_routes_end_where_they_serve_last() -> None:
    assert judged(end=[-1, -1]).cost == 30.0
    assert judged(TWO_TRIPS, end=[-1, -1]).cost == 40.0 + 30.0
