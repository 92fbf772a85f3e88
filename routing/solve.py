"""Make a plan: what nobody can serve, a first plan by insertion, OR-Tools on it, and exact repair."""

from __future__ import annotations

import itertools
import math

import numpy as np

from routing.eligibility import Unservable, eligible
from routing.improve import improve
from routing.plan import Plan, Unserved
from routing.problem import FleetVehicle, Problem, check_problem
from routing.travel import Travel
from routing.trips import Tour, TripBook, drop_penalty_s, served, with_order, without

NO_CAPACITY = "dropped by the solver: no capacity in the time window"

Tours = tuple[Tour, ...]
"""A tour for each vehicle, in the order of ``Problem.vehicles``."""


def solve(problem: Problem, *, seconds: float = 5.0, seed: int | None = None) -> Plan:
    """Return a plan that serves as many orders as it can, by priority, at little travel time.

    ``seconds`` bounds the search; it ends earlier by a count of steps that grows with the number of orders,
    so that within the bound equal problems and seeds give equal plans. ``seed`` defaults to the problem's.
    Orders that cannot be served come back in ``unserved`` with the reason. Raises ``BadInput`` for a problem
    that contradicts itself.
    """
    check_problem(problem)
    book = TripBook(problem, Travel(problem.region))
    unserved: dict[str, Unserved] = {}
    allowed: dict[str, list[int]] = {}
    index = {vehicle.vehicle_id: i for i, vehicle in enumerate(problem.vehicles)}
    for order in problem.orders:
        try:
            allowed[order.order_id] = [index[v.vehicle_id] for v in eligible(book, order)]
        except Unservable as reason:
            unserved[order.order_id] = Unserved(order.order_id, str(reason), reason.final)
    tours = _search(book, allowed, seconds, problem.seed if seed is None else seed)
    done = served(tours)
    for order_id in allowed:
        if order_id not in done:
            unserved[order_id] = Unserved(order_id, NO_CAPACITY)
    return Plan(
        routes=tuple(book.route(v, tour) for v, tour in zip(problem.vehicles, tours, strict=True) if tour),
        unserved=tuple(unserved[order.order_id] for order in problem.orders if order.order_id in unserved),
        cost=round(_cost(book, tours) + sum(drop_penalty_s(book.orders[o]) for o in unserved), 1),
    )


def _search(book: TripBook, allowed: dict[str, list[int]], seconds: float, seed: int) -> Tours:
    # The seed decides between orders that are equally urgent.
    chance = np.random.default_rng(abs(seed)).permutation(len(allowed))
    rank = {order_id: int(place) for order_id, place in zip(sorted(allowed), chance, strict=True)}
    urgency = sorted(allowed, key=lambda o: (-book.orders[o].priority, book.window_s(o)[1], rank[o]))
    empty: Tours = tuple(() for _ in book.problem.vehicles)
    first = _insert(book, empty, urgency, allowed)
    # With one order or none insertion has looked at everything there is.
    if len(allowed) < 2 or seconds <= 0:
        return first
    proposed = _repaired(book, improve(book, first, allowed, seconds=seconds, seed=seed))
    proposed = _insert(book, proposed, [o for o in urgency if o not in served(proposed)], allowed)
    return min(first, proposed, key=lambda tours: _total(book, tours, allowed))


def _insert(book: TripBook, tours: Tours, order_ids: list[str], allowed: dict[str, list[int]]) -> Tours:
    """Put each order where it costs least, if there is a place for it."""
    current = list(tours)
    costs = [book.cost(v, tour) for v, tour in zip(book.problem.vehicles, current, strict=True)]
    for order_id in order_ids:
        best: tuple[float, int, Tour] | None = None
        for i in allowed[order_id]:
            for tour in with_order(current[i], order_id, max_trips=book.problem.max_trips_per_vehicle):
                if not _reachable(book, book.problem.vehicles[i], tour):
                    continue
                added = book.cost(book.problem.vehicles[i], tour) - costs[i]
                if added < (best[0] if best else math.inf):
                    best = (added, i, tour)
        if best is not None:
            added, i, tour = best
            current[i], costs[i] = tour, costs[i] + added
    return tuple(current)


def _reachable(book: TripBook, vehicle: FleetVehicle, tour: Tour) -> bool:
    """Whether the vehicle has a way between the neighbouring stops of every trip."""
    for order_ids in tour:
        sites = [book.orders[order_id].dropoff_site for order_id in order_ids]
        for a, b in itertools.pairwise(sites):
            if a != b and not book.travel.reaches(vehicle.type, a, b):
                return False
    return True


def _repaired(book: TripBook, tours: Tours) -> Tours:
    """Take orders out, the least urgent first, until every trip holds exactly."""
    whole = []
    for vehicle, proposed in zip(book.problem.vehicles, tours, strict=True):
        tour = proposed
        while tour and book.departures(vehicle, tour) is None:
            broken = [ids for ids in tour if book.shape(vehicle, ids) is None] or list(tour)
            tour = without(
                tour,
                min(
                    (order_id for ids in broken for order_id in ids),
                    key=lambda o: (book.orders[o].priority, -book.window_s(o)[1], o),
                ),
            )
        whole.append(tour)
    return tuple(whole)


def _cost(book: TripBook, tours: Tours) -> float:
    return sum(book.cost(v, tour) for v, tour in zip(book.problem.vehicles, tours, strict=True))


def _total(book: TripBook, tours: Tours, allowed: dict[str, list[int]]) -> float:
    done = served(tours)
    return _cost(book, tours) + sum(drop_penalty_s(book.orders[o]) for o in allowed if o not in done)
