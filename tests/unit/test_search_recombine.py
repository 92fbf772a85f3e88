"""Choosing among routes of several solutions: exact, within the fleet, and never worse than what is known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from routing.search.model import SearchModel, SearchRoute
from routing.search.recombine import Pool
from tests.search_kit import plain_model, plane

REQUESTS = 4


def _route(vehicle_class: int, *requests: int) -> SearchRoute:
    return SearchRoute(vehicle_class, (tuple(2 * request + 1 for request in requests),))


def _model(**changes: object) -> SearchModel:
    return plain_model(plane(REQUESTS + 1, 1), **changes)


def _best(pool: Pool, model: SearchModel, below: float = 1e6) -> tuple[SearchRoute, ...] | None:
    return pool.best(model, below, seconds=None, seed=1, workers=1)


def test_good_routes_of_two_solutions_make_a_better_third() -> None:
    pool = Pool()
    pool.add([(_route(0, 0, 1), 10.0), (_route(0, 2, 3), 90.0)])
    pool.add([(_route(0, 1, 0), 80.0), (_route(0, 3, 2), 20.0)])

    assert _best(pool, _model()) == (_route(0, 0, 1), _route(0, 3, 2))


def test_nothing_is_found_that_is_not_better_than_what_is_known() -> None:
    pool = Pool()
    pool.add([(_route(0, 0, 1), 10.0), (_route(0, 2, 3), 90.0)])

    assert _best(pool, _model(), below=100.0) is None


def test_no_more_vehicles_are_used_than_there_are() -> None:
    pool = Pool()
    pool.add([(_route(0, 0, 1), 10.0), (_route(0, 2, 3), 10.0), (_route(0, 0, 1, 2, 3), 50.0)])

    assert _best(pool, _model(count=[1])) == (_route(0, 0, 1, 2, 3),)


def test_what_costs_more_than_its_prize_is_left_out() -> None:
    pool = Pool()
    pool.add([(_route(0, 0, 1), 10.0), (_route(0, 2, 3), 90.0)])

    assert _best(pool, _model(prize=30.0)) == (_route(0, 0, 1),)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.sets(st.integers(0, REQUESTS - 1), min_size=1), st.integers(1, 50)), max_size=9))
def test_the_choice_is_the_cheapest_there_is(offered: list[tuple[set[int], int]]) -> None:
    pool = Pool()
    pool.add([(_route(0, *sorted(requests)), float(cost)) for requests, cost in offered])

    chosen = _best(pool, _model(prize=40.0))

    kept = {frozenset(requests): cost for requests, (cost, _) in _by_requests(pool).items()}
    found = _cost(kept, [frozenset(v >> 1 for v in route.trips[0]) for route in chosen or ()])
    every = itertools.chain.from_iterable(itertools.combinations(kept, n) for n in range(len(kept) + 1))
    assert math.isclose(found, min(_cost(kept, choice) for choice in every), abs_tol=1e-4)


def _by_requests(pool: Pool) -> dict[frozenset[int], tuple[float, SearchRoute]]:
    return {requests: entry for (_, requests), entry in pool.routes.items()}


def _cost(kept: dict[frozenset[int], float], choice: Iterable[frozenset[int]]) -> float:
    served: set[int] = set()
    cost = 0.0
    for requests in choice:
        if requests & served:
            return math.inf
        served |= requests
        cost += kept[requests]
    return cost + 40.0 * (REQUESTS - len(served))
