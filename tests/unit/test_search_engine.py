"""The vehicle routing engine against a slow evaluator: never infeasible, exact costs, best on tiny models."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from routing.errors import BadInput
from routing.search import SearchModel, SearchRoute, check_model, insert, search, warm_up
from routing.search.model import SearchTrip
from tests.search_kit import FEATURES, least_cost, plain_model, plane, random_model, route_cost, total_cost


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    warm_up()


@pytest.mark.parametrize("seed", range(60))
def test_costs_are_exact_and_no_limit_is_broken_whatever_the_features(seed: int) -> None:
    model = random_model(seed, requests=9)

    found = search(model, iterations=300, workers=1, seed=seed)

    true_cost = total_cost(model, found.routes, found.left_out)
    if found.feasible:
        assert found.cost == pytest.approx(true_cost, abs=1e-5)
    else:
        assert all(math.isfinite(route_cost(model, route)) for route in found.routes)
        assert any(math.isinf(model.prize[r]) for r in found.left_out)


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("seed", range(2))
def test_a_tiny_model_with_each_feature_is_solved_to_the_optimum(feature: str, seed: int) -> None:
    model = random_model(100 + seed, requests=3 if feature == "pairs" else 4, features=(feature,))
    best = least_cost(model)

    found = search(model, iterations=400, workers=1)

    assert found.cost == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize("seed", range(12))
def test_a_tiny_model_with_many_features_is_solved_to_the_optimum(seed: int) -> None:
    model = random_model(1000 + seed, requests=3)
    best = least_cost(model)

    found = search(model, iterations=400, workers=1)

    assert found.cost == pytest.approx(best, abs=1e-5) or (math.isinf(best) and not found.feasible)


def test_the_same_seed_gives_the_same_routes_with_a_work_limit() -> None:
    model = random_model(5, requests=40, features=("windows", "loads"))

    first, second = (search(model, iterations=400, workers=2, seed=3) for _ in range(2))

    assert first.routes == second.routes
    assert search(model, iterations=400, workers=2, seed=4).routes != first.routes


@pytest.mark.parametrize("seconds", [0.1, 1.0])
def test_it_stops_when_it_was_told_to(seconds: float) -> None:
    model = plain_model(plane(201, 3), capacity=12.0)
    began = time.monotonic()

    found = search(model, seconds=seconds)

    assert time.monotonic() - began < seconds * 1.05 + 0.15  # a machine that runs other things as well
    assert found.feasible
    assert found.cost == pytest.approx(total_cost(model, found.routes, found.left_out))


def test_better_solutions_are_told_as_they_are_found() -> None:
    model = plain_model(plane(61, 3), capacity=8.0)
    heard: list[tuple[float, float]] = []

    found = search(model, iterations=500, workers=1, on_better=lambda seconds, cost: heard.append((seconds, cost)))

    assert heard == list(found.progress)
    assert [cost for _, cost in heard] == sorted((cost for _, cost in heard), reverse=True)
    assert heard[-1][1] == pytest.approx(found.cost)


def test_routes_to_start_with_are_never_made_worse() -> None:
    model = plain_model(plane(41, 9), capacity=8.0)
    good = search(model, iterations=3000, workers=1)

    again = search(model, iterations=1, workers=1, start=good.routes)

    assert again.cost <= good.cost + 1e-9


def test_vehicles_that_cost_more_than_all_ways_are_saved_first() -> None:
    loads = np.array([6, 6, 6, 6, 4, 4, 4, 4, 5, 5, 3, 7] * 2)
    model = plain_model(plane(25, 4), load=loads, capacity=10.0, fixed_cost=1e5)

    found = search(model, iterations=4000, workers=1)

    assert found.feasible
    assert len(found.routes) == loads.sum() / 10


def test_small_vehicles_are_found_where_they_are_cheaper_in_all() -> None:
    model = plain_model(plane(25, 6), capacity=[4.0, 8.0], count=[24, 24], distance_cost=[1.0, 2.2])

    found = search(model, iterations=2000, workers=1)

    assert {route.vehicle_class for route in found.routes} == {0}


def test_what_cannot_be_served_is_left_out_and_the_rest_is_served() -> None:
    model = plain_model(plane(6, 1), load=[1, 1, 99, 1, 1], capacity=10.0)

    found = search(model, iterations=50, workers=1)

    assert found.left_out == (2,)
    assert not found.feasible


def test_a_model_without_requests_has_no_routes() -> None:
    found = search(plain_model(np.zeros((1, 1)), count=[3]), iterations=10, workers=1)

    assert (found.routes, found.left_out, found.cost, found.feasible) == ((), (), 0.0, True)


def test_a_place_without_a_way_to_it_is_left_out() -> None:
    ways = plane(5, 2)
    ways[:, 3] = ways[3, :] = np.inf

    found = search(plain_model(ways), iterations=50, workers=1)

    assert found.left_out == (2,)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"load": np.array([[np.nan], [1.0]])}, r"load\[0, 0\] is not a number"),
        ({"load": np.ones((3, 1))}, "load must have shape"),
        ({"drop_from": np.array([5.0, 9.0]), "drop_to": np.array([6.0, 8.0])}, r"drop_from\[1\] is after drop_to"),
        ({"dropoff": np.array([1, 7])}, r"dropoff\[1\] is no place"),
        ({"distance": -np.ones((1, 3, 3))}, r"distance\[0, 0, 0\] must not be negative"),
        ({"count": np.array([-1])}, r"count\[0\] must not be negative"),
        ({"end": np.array([2]), "max_trips": np.array([2])}, "end must be start"),
    ],
)
def test_a_model_that_makes_no_sense_is_refused_by_name(change: dict[str, object], named: str) -> None:
    model = replace(plain_model(plane(3, 1)), **change)  # type: ignore[arg-type]  # wrong on purpose

    with pytest.raises(BadInput, match=named):
        check_model(model)


@pytest.mark.parametrize(
    ("routes", "named"),
    [
        ((SearchRoute(5, ((1,),)),), "no class 5"),
        ((SearchRoute(0, ((1, 1),)),), "made twice"),
        ((SearchRoute(0, ((9,),)),), "no visit 9"),
        ((SearchRoute(0, ((0, 1),)),), "no pickup place"),
    ],
)
def test_routes_that_make_no_sense_are_refused(routes: tuple[SearchRoute, ...], named: str) -> None:
    with pytest.raises(BadInput, match=named):
        search(plain_model(plane(3, 1)), iterations=1, start=routes)


@pytest.mark.parametrize("seed", range(25))
def test_one_more_request_goes_where_it_costs_least(seed: int) -> None:
    model = random_model(seed + 300, requests=6)
    found = search(replace(model, prize=np.append(model.prize[:-1], 0.0)), iterations=60, workers=1)
    if 5 not in found.left_out:
        pytest.skip("served although it brings nothing")

    put = insert(model, found.routes, 5)

    best, before = _cheapest_insertion(model, found.routes, 5)
    if put is None:
        assert math.isinf(best)
    else:
        old = before[put.route] if put.route < len(before) else 0.0
        assert 11 in put.changed.trips[put.trip]
        assert route_cost(model, put.changed) - old == pytest.approx(best, abs=1e-5)
        assert put.cost == pytest.approx(best, abs=1e-5)


def _cheapest_insertion(model: SearchModel, routes: Sequence[SearchRoute], request: int) -> tuple[float, list[float]]:
    visits = [2 * request + 1] if model.pickup[request] < 0 else [2 * request, 2 * request + 1]
    before = [route_cost(model, route) for route in routes]
    best = math.inf
    for number, route in enumerate(routes):
        for trips in _with(route.trips, visits):
            best = min(best, route_cost(model, SearchRoute(route.vehicle_class, trips)) - before[number])
    for k in range(len(model.count)):
        if sum(route.vehicle_class == k for route in routes) < model.count[k]:
            best = min(best, route_cost(model, SearchRoute(k, (tuple(visits),))))
    return best, before


def _with(trips: tuple[SearchTrip, ...], visits: list[int]) -> Iterator[tuple[SearchTrip, ...]]:
    for gap in range(len(trips) + 1):
        yield (*trips[:gap], tuple(visits), *trips[gap:])
    for number, trip in enumerate(trips):
        for i in range(len(trip) + 1):
            for j in range(i, len(trip) + 1 if len(visits) > 1 else i + 1):
                changed = (*trip[:i], visits[0], *trip[i:j], *visits[1:], *trip[j:])
                yield (*trips[:number], changed, *trips[number + 1 :])
