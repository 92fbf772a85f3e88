"""Make a plan: what nobody can serve, a first plan by insertion, OR-Tools on it, exact repair, and a timetable."""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass

import numpy as np

from routing.eligibility import Unservable, eligible
from routing.improve import improve
from routing.plan import Plan, Unserved
from routing.problem import FleetVehicle, Problem, check_problem
from routing.timetable import Timetable, Timetabler
from routing.travel import Travel
from routing.trips import Tour, TripBook, drop_penalty_s, served, with_order, without

NO_CAPACITY = "dropped by the solver: no capacity in the time window"
CROWDED = "no slot in the time window that keeps clear of the other vehicles in the air and at the drop points"

MOST_TRIES = 60
"""Timetables tried for orders that found no slot: their number bounds the work, so that plans do not depend on it."""

TRIES_PER_ORDER = 10

LEAST_SEARCH_S = 0.5
"""Time of the search in any case, however long the ways took."""

Tours = tuple[Tour, ...]
"""A tour for each vehicle, in the order of ``Problem.vehicles``."""


def solve(problem: Problem, *, seconds: float = 5.0, seed: int | None = None) -> Plan:
    """Return a plan that serves as many orders as it can, by priority, at little travel time.

    ``seconds`` bounds the search; it ends earlier by a count of steps that grows with the number of orders,
    so that within the bound equal problems and seeds give equal plans. ``seed`` defaults to the problem's.
    Orders that cannot be served come back in ``unserved`` with the reason. Raises ``BadInput`` for a problem
    that contradicts itself.
    """
    deadline = time.monotonic() + seconds
    check_problem(problem)
    book = TripBook(problem, Travel(problem.region, problem.wind))
    unserved: dict[str, Unserved] = {}
    allowed: dict[str, list[int]] = {}
    index = {vehicle.vehicle_id: i for i, vehicle in enumerate(problem.vehicles)}
    for order in problem.orders:
        try:
            allowed[order.order_id] = [index[v.vehicle_id] for v in eligible(book, order)]
        except Unservable as reason:
            unserved[order.order_id] = Unserved(order.order_id, str(reason), reason.final)
    search = _Search(book, allowed, problem.seed if seed is None else seed)
    found = search.run(seconds, deadline)
    done = served(found.tours)
    crowded = set(found.crowded)
    for order_id in allowed:
        if order_id not in done:
            unserved[order_id] = Unserved(order_id, CROWDED if order_id in crowded else NO_CAPACITY)
    return Plan(
        routes=tuple(
            book.route(vehicle, tour, slots)
            for vehicle, tour, slots in zip(problem.vehicles, found.tours, found.slots, strict=True)
            if tour
        ),
        unserved=tuple(unserved[order.order_id] for order in problem.orders if order.order_id in unserved),
        cost=round(_cost(book, found) + sum(drop_penalty_s(book.orders[o]) for o in unserved), 1),
    )


@dataclass(slots=True)
class _Search:
    """One search. ``allowed`` holds the indices of the vehicles that may serve each order."""

    book: TripBook
    allowed: dict[str, list[int]]
    seed: int

    def run(self, seconds: float, deadline: float) -> Timetable:
        """Return the best timetable of those that insertion and the search lead to."""
        timetabler = Timetabler(self.book)
        urgency = self._urgency()
        first = self._insert(tuple(() for _ in self.book.problem.vehicles), urgency)
        best = self._filled(timetabler, first, urgency, deadline)
        # With one order or none insertion has looked at everything there is.
        if len(self.allowed) < 2 or seconds <= 0:
            return best
        left = max(LEAST_SEARCH_S, deadline - time.monotonic())
        proposed = improve(self.book, first, self.allowed, seconds=left, seed=self.seed)
        repaired = _repaired(self.book, proposed)
        repaired = self._insert(repaired, [o for o in urgency if o not in served(repaired)])
        other = self._filled(timetabler, repaired, urgency, deadline)
        return min(best, other, key=self._total)

    def _urgency(self) -> list[str]:
        """Orders, the most urgent first; the seed decides between those that are equally urgent."""
        orders, window = self.book.orders, self.book.window_s
        chance = np.random.default_rng(abs(self.seed)).permutation(len(self.allowed))
        rank = {order_id: int(place) for order_id, place in zip(sorted(self.allowed), chance, strict=True)}
        return sorted(self.allowed, key=lambda o: (-orders[o].priority, window(o)[1], rank[o]))

    def _total(self, table: Timetable) -> float:
        done = served(table.tours)
        dropped = sum(drop_penalty_s(self.book.orders[o]) for o in self.allowed if o not in done)
        return _cost(self.book, table) + dropped

    def _insert(self, tours: Tours, order_ids: list[str]) -> Tours:
        """Put each order where it costs least, if there is a place for it."""
        current = list(tours)
        for order_id in order_ids:
            found = self._places(tuple(current), order_id)
            if found:
                _, i, tour = found[0]
                current[i] = tour
        return tuple(current)

    def _places(self, tours: Tours, order_id: str) -> list[tuple[float, int, Tour]]:
        """Places for one more order, cheapest first: added cost, vehicle, its tour."""
        book = self.book
        places: list[tuple[float, int, Tour]] = []
        for i in self.allowed[order_id]:
            vehicle = book.problem.vehicles[i]
            before = book.cost(vehicle, tours[i])
            longer = with_order(tours[i], order_id, max_trips=book.problem.max_trips_per_vehicle)
            possible = [tour for tour in longer if _reachable(book, vehicle, tour)]
            places += [(book.cost(vehicle, tour) - before, i, tour) for tour in possible]
        return sorted((place for place in places if place[0] < math.inf), key=lambda place: place[0])

    def _filled(self, timetabler: Timetabler, tours: Tours, urgency: list[str], deadline: float) -> Timetable:
        """The timetable of tours; orders of trips that found no slot are tried elsewhere."""
        table = timetabler.place(tours)
        tries = 0
        for order_id in [o for o in urgency if o in table.crowded]:
            for _, i, tour in self._places(table.tours, order_id)[:TRIES_PER_ORDER]:
                if tries >= MOST_TRIES or time.monotonic() > deadline:
                    return table
                tries += 1
                other = timetabler.place((*table.tours[:i], tour, *table.tours[i + 1 :]))
                if not other.crowded:
                    left = tuple(o for o in table.crowded if o != order_id)
                    table = Timetable(other.tours, other.slots, left)
                    break
        return table


def _reachable(book: TripBook, vehicle: FleetVehicle, tour: Tour) -> bool:
    """Whether the vehicle holds the orders of every trip and has a way between its neighbouring stops."""
    for order_ids in tour:
        if not book.fits(vehicle.type, order_ids):
            return False
        stops = [book.drop(vehicle.type, book.orders[order_id].dropoff_site) for order_id in order_ids]
        for a, b in itertools.pairwise(stops):
            if a is None or b is None or (a != b and not book.travel.reaches(vehicle.type, a, b)):
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


def _cost(book: TripBook, table: Timetable) -> float:
    vehicles = book.problem.vehicles
    return sum(book.cost(*each) for each in zip(vehicles, table.tours, table.slots, strict=True))
