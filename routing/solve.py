"""Make a plan: what nobody can serve, a search over numbers, exact repair, and a timetable, until the time is up."""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from routing.cause import Cause
from routing.contingency import without_clashes
from routing.eligibility import Unservable, eligible_nearby, prepare
from routing.plan import Plan, Unserved
from routing.problem import Problem
from routing.problem_check import check_problem
from routing.roster import Roster
from routing.timetable import Timetable, Timetabler
from routing.travel import Travel
from routing.trip_book import TripBook
from routing.trips import Tour, Tours, drop_penalty_s, served, without

NO_CAPACITY = "dropped by the solver: no capacity in the time window"
CROWDED = "no slot in the time window that keeps clear of the other vehicles in the air and at the drop points"
NO_TIME = "the time given for planning was over before this order was looked at; plan again with more"

BATCH = 250
"""Orders whose vehicles are looked for before the clock is looked at; the first of them in any case."""

MANY = 200
"""With more orders than this a first solution may take long: it has a time instead of a number of iterations."""

INSERTED = 40
"""Up to so many orders insertion alone is quick, and sometimes the better where there is little room for slots."""

FEW = 3
"""Up to so many orders are inserted in every sequence, and not searched for."""

STEPS_PER_ORDER, FIRST_STEPS = 400, 1_000
"""A search ends after so many iterations for each order, be there time left: nothing better is found any more.
How long they take is learned from the first ones."""

ELIGIBLE_SHARE, WAYS_SHARE, PLACED_SHARE = 0.5, 0.4, 0.9
"""By when, as shares of the time given, orders must have been looked at, ways between drop points found, and trips
have times that are no longer worked on."""

TIMETABLE_S, LITTLE = 0.004, 8.0
"""How long a timetable may take for each order, as long as nothing better is known, and how many times as long the
time must be for two of them."""

SHARES = (0.2, 0.4, 0.6, 1.0)
"""Searches, each followed by a timetable: what share of the time left, or of all the work, each has."""

OnBetter = Callable[[float, float], None]


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a solve may take: until ``deadline`` of ``time.monotonic``, or so many iterations of the search."""

    began: float
    seconds: float
    work: int | None

    @property
    def left_s(self) -> float:
        """Seconds that are left; endless where work is counted."""
        return math.inf if self.work is not None else self.seconds - (time.monotonic() - self.began)

    def at(self, share: float) -> float:
        """The moment when a share of the time is over."""
        return math.inf if self.work is not None else self.began + share * self.seconds


def solve(
    problem: Problem,
    *,
    seconds: float = 5.0,
    work: int | None = None,
    seed: int | None = None,
    workers: int | None = None,
    on_better: OnBetter | None = None,
) -> Plan:
    """Return a plan that serves as many orders as it can, by priority, at little travel time.

    It takes at most ``seconds``, less where few orders leave nothing to search for. ``work``: so many iterations of
    the search instead, however long they take, so that equal problems, seeds and ``workers`` give equal plans.
    ``seed`` defaults to the problem's, ``workers`` to the number of cores. ``on_better`` is called with (seconds, cost)
    whenever there is a better plan. Orders that cannot be served come back in ``unserved`` with the reason. Raises
    ``BadInput`` for a problem that contradicts itself.
    """
    budget = Budget(time.monotonic(), seconds, work)
    check_problem(problem)
    book = TripBook(problem, Travel.of(problem))
    allowed, unserved = who_may(book, deadline=budget.at(ELIGIBLE_SHARE))
    better = _Better(book, unserved, on_better, budget)
    solver = Solver(book, allowed, seed=problem.seed if seed is None else seed, workers=workers)
    solver.run(budget, better.saw)
    plan = solver.plan(unserved)
    return without_clashes(problem, plan) if problem.policy.contingency else plan


def who_may(book: TripBook, *, deadline: float = math.inf) -> tuple[dict[str, list[int]], dict[str, Unserved]]:
    """The vehicles, by their index, that may serve each order, and the orders that none can.

    After ``deadline`` (of ``time.monotonic``) orders are no longer looked at; the most urgent come first.
    """
    problem = book.problem
    index = {vehicle.vehicle_id: i for i, vehicle in enumerate(problem.vehicles)}
    allowed: dict[str, list[int]] = {}
    unserved: dict[str, Unserved] = {}
    left = sorted(problem.orders, key=lambda order: (-drop_penalty_s(order), book.window_s(order.order_id)[1]))
    while left:
        batch, left = left[:BATCH], left[BATCH:]
        prepare(book, batch)
        for order in batch:
            try:
                allowed[order.order_id] = [index[vehicle.vehicle_id] for vehicle in eligible_nearby(book, order)]
            except Unservable as reason:
                unserved[order.order_id] = Unserved(order.order_id, str(reason), reason.final, reason.cause)
        if time.monotonic() > deadline:
            unserved |= {order.order_id: Unserved(order.order_id, NO_TIME) for order in left}
            break
    return {order.order_id: allowed[order.order_id] for order in problem.orders if order.order_id in allowed}, unserved


@dataclass(slots=True)
class _Better:
    """Tells of plans that are better than all before."""

    book: TripBook
    unserved: Mapping[str, Unserved]
    tell: OnBetter | None
    budget: Budget
    best: float = math.inf

    def saw(self, cost: float) -> None:
        total = cost + sum(drop_penalty_s(self.book.orders[order_id]) for order_id in self.unserved)
        if self.tell is not None and total < self.best - 1e-6:
            self.best = total
            self.tell(time.monotonic() - self.budget.began, total)


@dataclass(slots=True)
class Solver:
    """Searches for the best timetable. ``allowed`` holds the indices of the vehicles that may serve each order."""

    book: TripBook
    allowed: dict[str, list[int]]
    seed: int = 0
    workers: int | None = None
    best: Timetable = field(init=False)
    timetabler: Timetabler = field(init=False)

    def __post_init__(self) -> None:
        self.timetabler = Timetabler(self.book)
        vehicles = self.book.problem.vehicles
        self.best = Timetable(tuple(() for _ in vehicles), tuple(() for _ in vehicles), ())

    def run(self, budget: Budget, saw: Callable[[float], None]) -> None:
        """Find the best timetable that the budget allows."""
        if len(self.allowed) <= FEW or budget.left_s <= 0.0:
            self._insert_all(budget, saw)
            return
        if len(self.allowed) <= INSERTED:
            self._insert_all(budget, saw)
        # Loading compiled code takes a second, which a plan for few orders does not need.
        from routing.modelling import Modelling
        from routing.search import search

        modelling = Modelling(self.book, self.allowed, deadline=budget.at(WAYS_SHARE))
        pace = _Pace(budget, len(self.allowed), self.workers)
        for number, share in enumerate(SHARES):
            seconds, steps = pace.next(share)
            found = search(
                modelling.model,
                seconds=seconds,
                iterations=steps,
                seed=self.seed + number,
                workers=self.workers,
                start=modelling.routes(self.best.tours),
            )
            pace.searched(found.iterations, found.seconds)
            begun = time.monotonic()
            proposed = modelling.tours(found.routes)
            modelling.refine(proposed)
            self._keep(self._whole(proposed), budget, saw)
            if not pace.timed(time.monotonic() - begun):
                break

    def _insert_all(self, budget: Budget, saw: Callable[[float], None]) -> None:
        """Plans by insertion alone: in every sequence of few orders, of many in that of their urgency."""
        urgency = self.urgency()
        for order_ids in itertools.permutations(urgency) if len(urgency) <= FEW else (urgency,):
            self._keep(self.inserted(tuple(() for _ in self.book.problem.vehicles), order_ids), budget, saw)

    def plan(self, unserved: Mapping[str, Unserved]) -> Plan:
        """The best plan found, with the orders that no vehicle could serve anyway."""
        book, table = self.book, self.best
        left = dict(unserved)
        done, crowded = served(table.tours), set(table.crowded)
        for order_id in self.allowed:
            if order_id not in done:
                why = (CROWDED, Cause.CROWDED) if order_id in crowded else (NO_CAPACITY, Cause.CAPACITY)
                left[order_id] = Unserved(order_id, why[0], cause=why[1])
        return Plan(
            routes=tuple(
                book.route(vehicle, tour, slots)
                for vehicle, tour, slots in zip(book.problem.vehicles, table.tours, table.slots, strict=True)
                if tour
            ),
            unserved=tuple(left[order.order_id] for order in book.problem.orders if order.order_id in left),
            cost=round(self.cost(table) + sum(drop_penalty_s(book.orders[o]) for o in unserved), 1),
        )

    def cost(self, table: Timetable) -> float:
        """Cost of a timetable, with that of the orders that it leaves out."""
        done = served(table.tours)
        dropped = sum(drop_penalty_s(self.book.orders[o]) for o in self.allowed if o not in done)
        vehicles = self.book.problem.vehicles
        return dropped + sum(self.book.cost(*each) for each in zip(vehicles, table.tours, table.slots, strict=True))

    def urgency(self) -> list[str]:
        """Orders, the most urgent first; the seed decides between those that are equally urgent."""
        orders, window = self.book.orders, self.book.window_s
        chance = np.random.default_rng(abs(self.seed)).permutation(len(self.allowed))
        rank = {order_id: int(place) for order_id, place in zip(sorted(self.allowed), chance, strict=True)}
        return sorted(self.allowed, key=lambda o: (-drop_penalty_s(orders[o]), window(o)[1], rank[o]))

    def inserted(self, tours: Tours, order_ids: Sequence[str]) -> Tours:
        """Put each order where it costs least, if there is a place for it."""
        current = list(tours)
        for order_id in order_ids:
            found = self._places(tuple(current), order_id)
            if found:
                _, i, tour = found[0]
                current[i] = tour
        return tuple(current)

    def _whole(self, proposed: Tours) -> Tours:
        """Proposed tours made exact; what had to be taken out is put elsewhere if it can."""
        repaired = _repaired(self.book, proposed)
        out = served(proposed) - served(repaired)
        return self.inserted(repaired, [order_id for order_id in self.urgency() if order_id in out])

    def _places(self, tours: Tours, order_id: str) -> list[tuple[float, int, Tour]]:
        """Places for one more order, cheapest first: added cost, vehicle, its tour."""
        places: list[tuple[float, int, Tour]] = []
        for i in self.allowed[order_id]:
            vehicle = self.book.problem.vehicles[i]
            before = self.book.cost(vehicle, tours[i])
            longer = self.book.with_order(vehicle, tours[i], order_id)
            places += [(self.book.cost(vehicle, tour) - before, i, tour) for tour in longer]
        return sorted((place for place in places if place[0] < math.inf), key=lambda place: place[0])

    def _keep(self, tours: Tours, budget: Budget, saw: Callable[[float], None]) -> None:
        """Give tours their times; keep them if that is the best plan so far."""
        table = self.timetabler.place(tours, deadline=budget.at(PLACED_SHARE))
        roster = Roster.of(self.book, self.timetabler.board, table)
        done = roster.served()
        for order_id in self.urgency():
            if budget.left_s <= 0.0:
                break
            if order_id not in done:
                roster.insert(order_id, self.allowed[order_id])
        table = roster.table(table.crowded)
        cost = self.cost(table)
        if not any(self.best.tours) or cost < self.cost(self.best) - 1e-6:
            self.best = table
            saw(cost)


class _Pace:
    """How long the searches may go on: to the end of the time less the timetable, or until they have done enough."""

    def __init__(self, budget: Budget, orders: int, workers: int | None) -> None:
        self._budget = budget
        self._workers = workers
        self._steps_left = budget.work if budget.work is not None else STEPS_PER_ORDER * orders
        # Many orders may take long for a first solution.
        self._steps_per_s = math.inf if orders <= MANY else 0.0
        self._timetable_s = TIMETABLE_S * orders

    def next(self, share: float) -> tuple[float | None, int | None]:
        """Seconds or iterations of the next search, which has a share of what is left."""
        if self._budget.work is None and self._budget.left_s < LITTLE * self._timetable_s:
            share = 1.0  # there is time for one timetable only
        steps = max(1, round(self._steps_left * share))
        if self._budget.work is not None:
            self._steps_left -= steps
            return None, steps
        seconds = max(0.0, (self._budget.left_s - 1.5 * self._timetable_s) * share)
        if math.isinf(self._steps_per_s):
            steps = min(steps, FIRST_STEPS)
        if self._steps_per_s * seconds > steps:
            return None, steps
        return seconds, None

    def searched(self, iterations: int, seconds: float) -> None:
        """Take note of a search."""
        done = iterations // (self._workers or os.cpu_count() or 1)
        self._steps_per_s = done / max(seconds, 1e-6)
        if self._budget.work is None:
            self._steps_left -= done

    def timed(self, seconds: float) -> bool:
        """Take note of how long a timetable took; return whether there is time, or work, for another."""
        self._timetable_s = seconds
        return self._budget.left_s > 2.0 * seconds and self._steps_left > 0


def _repaired(book: TripBook, tours: Tours) -> Tours:
    """Take orders out, the least urgent first, until every trip holds exactly."""
    whole = []
    for vehicle, proposed in zip(book.problem.vehicles, tours, strict=True):
        tour = proposed
        while tour and book.departures(vehicle, tour) is None:
            broken = [visits for visits in tour if book.shape(vehicle, visits) is None] or list(tour)
            tour = without(
                tour,
                min(
                    (visit.order_id for visits in broken for visit in visits),
                    key=lambda o: (book.orders[o].priority, -book.window_s(o)[1], o),
                ),
            )
        whole.append(tour)
    return tuple(whole)
