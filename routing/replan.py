"""Change a plan that is being carried out, as little as can be, when orders, vehicles, zones or the wind change."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

import numpy as np

from routing.cause import Cause
from routing.eligibility import Unservable, eligible_nearby
from routing.errors import BadInput
from routing.plan import Plan, StopAction, Trip, Unserved
from routing.problem import OrderRequest, Problem
from routing.problem_check import check_problem
from routing.region.model import Zone
from routing.running import NO_ROOM, RunningPlan, begun, remaining
from routing.trips import drop_penalty_s
from routing.wind import Wind

MOVE_COST_S = 60.0
"""What it costs to give an order to another vehicle or trip than was said, in seconds of travel."""

SHIFT_COST = 0.2
"""What a second costs by which an order comes earlier or later than was said, in seconds of travel."""

SHIFT_SAID_S = 60.0
"""A lesser shift is no change: nobody is told times to the second."""

MOST_REMOVED = 4
"""Orders that are taken out and put in again at once, in search of a better place."""

TRIES_PER_ORDER = 6


@dataclass(frozen=True, slots=True)
class Changes:
    """What is different from what a plan was made for. ``wind``: ``None`` where it blows as forecast.

    ``closed`` zones are closed from now on; of ``lost`` vehicles no trip starts any more, and what is aboard them is
    not delivered.
    """

    orders: tuple[OrderRequest, ...] = ()
    cancelled: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    closed: tuple[Zone, ...] = ()
    wind: Wind | None = None


class Move(StrEnum):
    """What has become of an order. The values are stable: user interfaces translate them."""

    ADDED = "added"
    CANCELLED = "cancelled"
    VEHICLE = "vehicle"
    TIME = "time"
    DROPPED = "dropped"
    ABOARD = "aboard"


class Why(StrEnum):
    """Why an order was moved. The values are stable."""

    NEW_ORDER = "new_order"
    CANCELLED = "cancelled"
    VEHICLE_LOST = "vehicle_lost"
    ZONE_CLOSED = "zone_closed"
    WIND = "wind"
    ROOM = "room"
    BETTER = "better"


@dataclass(frozen=True, slots=True)
class Said:
    """What a plan says about an order: by which vehicle it comes, and when."""

    vehicle_id: str
    arrives: datetime


@dataclass(frozen=True, slots=True)
class Moved:
    """One change: ``before`` and ``after`` are ``None`` where the order is on no trip. ``message`` is for people."""

    order_id: str
    move: Move
    why: Why
    before: Said | None
    after: Said | None
    message: str


@dataclass(frozen=True, slots=True)
class Replanned:
    """The new plan of what had not begun, the problem that it answers (``validate(problem, plan)``), and what moved.

    ``frozen`` are the trips that had begun: they are as they were, and given to the problem.
    """

    problem: Problem
    plan: Plan
    frozen: tuple[Trip, ...]
    moved: tuple[Moved, ...]


def replan(
    problem: Problem,
    plan: Plan,
    now: datetime,
    changes: Changes | None = None,
    *,
    seconds: float = 5.0,
    work: int | None = None,
    seed: int | None = None,
) -> Replanned:
    """Return a new plan for what ``plan`` has not begun ``now``; what has begun stays as it is.

    First the old plan is patched: what is impossible now is taken off and put where it adds least. Then single orders
    and small groups are moved while that makes the plan better by more than the move is worth (``MOVE_COST_S``,
    ``SHIFT_COST``), for ``seconds`` at most or ``work`` tries, which gives the same plan for the same seed. So the plan
    never costs more than the patched one. Raises ``BadInput`` for changes that contradict the problem.
    """
    began = time.monotonic()
    changes = changes or Changes()
    _check_changes(problem, changes)
    known = {order.order_id for order in problem.orders}
    changed = replace(
        problem,
        orders=(*problem.orders, *changes.orders),
        zones=(*problem.zones, *changes.closed),
        wind=problem.wind if changes.wind is None else changes.wind,
    )
    check_problem(changed)
    before = {order_id: said for order_id, said in _said(plan).items() if order_id in known}
    frozen = begun(plan, now)
    aboard = {
        order_id: route.vehicle_id
        for route, trip in frozen
        if route.vehicle_id in changes.lost
        for leg in trip.legs
        if leg.action is StopAction.DROP and leg.arrive > now
        for order_id in leg.order_ids
    }
    left = remaining(changed, plan, now, without_orders=changes.cancelled, without_vehicles=changes.lost)
    running = RunningPlan(left, plan)
    planner = _Replanner(running, before, seed=problem.seed if seed is None else seed)
    planner.patch()
    if work is None:
        planner.improve(math.inf, lambda: time.monotonic() - began < 0.95 * seconds)
    else:
        planner.improve(work, lambda: True)
    after = running.plan()
    under_way = {order_id for _, trip in frozen for order_id in trip.order_ids}
    reasons = _Reasons(changes, known, aboard, under_way, running.released)
    moved = tuple(reasons.moved(before, _said(after), [order.order_id for order in left.orders]))
    return Replanned(running.problem, after, tuple(trip for _, trip in frozen), moved)


def _check_changes(problem: Problem, changes: Changes) -> None:
    orders = {order.order_id for order in problem.orders}
    vehicles = {vehicle.vehicle_id for vehicle in problem.vehicles}
    for what, named, there in (("order", changes.cancelled, orders), ("vehicle", changes.lost, vehicles)):
        for one in named:
            if one not in there:
                raise BadInput(f"changes: {what} {one} is not in the problem")


class _Replanner:
    """Patches a running plan, and moves orders where that is worth it."""

    def __init__(self, running: RunningPlan, before: dict[str, Said], *, seed: int) -> None:
        self._running = running
        self._roster, self._book = running.roster, running.book
        self._before = before
        self._rng = np.random.default_rng(abs(seed))
        self._able: dict[str, list[int]] = {}
        self._index = {vehicle.vehicle_id: i for i, vehicle in enumerate(running.problem.vehicles)}
        for order in self._book.orders.values():
            if order.order_id not in self._roster.served():
                self._look_at(order)

    def patch(self) -> None:
        """Insert what has no trip, the most urgent first."""
        served = self._roster.served()
        missing = [order for order in self._book.orders.values() if order.order_id not in served]
        missing.sort(key=lambda order: (-drop_penalty_s(order), self._book.window_s(order.order_id)[1], order.order_id))
        for order in missing:
            self._insert(order.order_id)

    def improve(self, most: float, goes_on: Callable[[], bool]) -> None:
        """Take few orders that belong together out and put them in again, and keep what is better."""
        if not self._book.orders:
            return
        best = self._worth()
        tries = min(most, TRIES_PER_ORDER * len(self._book.orders))
        for number in itertools.count():
            if number >= tries or not goes_on():
                return
            chosen = self._related()
            saved = self._roster.save()
            cost = self._running.cost()
            for order_id in chosen:
                self._roster.remove(order_id)
            for order_id in self._rng.permutation(np.array(sorted(chosen), dtype=object)):
                self._insert(str(order_id))
            worth = self._worth()
            if worth < best - 1e-6 and self._running.cost() <= cost + 1e-6:
                best = worth
            else:
                self._roster.restore(saved)

    def _insert(self, order_id: str) -> None:
        if self._vehicles(order_id):
            self._roster.insert(order_id, self._vehicles(order_id))
        if order_id in self._roster.served():
            self._running.unserved.pop(order_id, None)

    def _vehicles(self, order_id: str) -> list[int]:
        if order_id not in self._able:
            self._look_at(self._book.orders[order_id])
        return self._able[order_id]

    def _look_at(self, order: OrderRequest) -> None:
        try:
            self._able[order.order_id] = [self._index[v.vehicle_id] for v in eligible_nearby(self._book, order)]
            self._running.unserved[order.order_id] = Unserved(order.order_id, NO_ROOM, cause=Cause.CAPACITY)
        except Unservable as reason:
            self._able[order.order_id] = []
            self._running.unserved[order.order_id] = Unserved(order.order_id, str(reason), reason.final, reason.cause)

    def _related(self) -> set[str]:
        """Some orders whose windows and vehicles have something in common, one chosen by chance among them."""
        served = self._roster.served()
        left_out = sorted(o for o, able in self._able.items() if able and o not in served)
        # Half of the tries are for those that nobody serves, if there are any.
        ids = left_out if left_out and self._rng.random() < 0.5 else sorted(self._book.orders)
        seed = ids[int(self._rng.integers(len(ids)))]
        middle = sum(self._book.window_s(seed)) / 2.0
        near = sorted(self._book.orders, key=lambda o: (abs(sum(self._book.window_s(o)) / 2.0 - middle), o))[
            : 4 * MOST_REMOVED
        ]
        count = int(self._rng.integers(1, MOST_REMOVED + 1))
        return {seed, *(str(o) for o in self._rng.choice(np.array(near, dtype=object), min(count, len(near)), False))}

    def _worth(self) -> float:
        """Cost of the plan, and of what it changes."""
        total = self._running.cost()
        for i, offer in self._roster.trips():
            vehicle_id = self._running.problem.vehicles[i].vehicle_id
            for leg in offer.shape.legs:
                for order_id in leg.order_ids if leg.action is StopAction.DROP else ():
                    said = self._before.get(order_id)
                    if said is not None:
                        total += MOVE_COST_S * (said.vehicle_id != vehicle_id)
                        arrives_s = offer.slot.departure_s + leg.arrive_s
                        total += SHIFT_COST * abs(arrives_s - self._book.seconds(said.arrives))
        return total


def _said(plan: Plan) -> dict[str, Said]:
    """What a plan says about each order."""
    return {
        order_id: Said(route.vehicle_id, leg.arrive)
        for route in plan.routes
        for trip in route.trips
        for leg in trip.legs
        if leg.action is StopAction.DROP
        for order_id in leg.order_ids
    }


@dataclass(frozen=True, slots=True)
class _Reasons:
    """Says what moved and why."""

    changes: Changes
    known: set[str]
    aboard: dict[str, str]
    under_way: set[str]
    released: dict[str, Trip]

    def moved(self, before: dict[str, Said], after: dict[str, Said], left: Iterable[str]) -> Iterator[Moved]:
        """Yield the changes, by order; ``left`` are those that have not begun."""
        for order_id in sorted(self.changes.cancelled):
            if order_id in self.under_way:
                words = "is cancelled, but under way already"
                yield self._one(order_id, Move.ABOARD, Why.CANCELLED, before.get(order_id), before.get(order_id), words)
                continue
            yield self._one(order_id, Move.CANCELLED, Why.CANCELLED, before.get(order_id), None, "is cancelled")
        for order_id, vehicle_id in sorted(self.aboard.items()):
            words = f"is aboard {vehicle_id}, which is lost"
            yield self._one(order_id, Move.ABOARD, Why.VEHICLE_LOST, before.get(order_id), None, words)
        for order_id in sorted(left):
            one = self._compared(order_id, before.get(order_id), after.get(order_id))
            if one is not None:
                yield one

    def _compared(self, order_id: str, before: Said | None, after: Said | None) -> Moved | None:
        if before is None and after is None:
            return None
        why, because = self._why(order_id, before)
        if after is None:
            return self._one(order_id, Move.DROPPED, why, before, None, f"is served by nobody any more: {because}")
        if before is None:
            words = f"comes by {after.vehicle_id}: {because}"
            return self._one(order_id, Move.ADDED, why, None, after, words)
        if before.vehicle_id != after.vehicle_id:
            words = f"comes by {after.vehicle_id} instead of {before.vehicle_id}: {because}"
            return self._one(order_id, Move.VEHICLE, why, before, after, words)
        shift_s = (after.arrives - before.arrives).total_seconds()
        if abs(shift_s) <= SHIFT_SAID_S:
            return None
        words = f"comes {abs(shift_s) / 60.0:.0f} min {'later' if shift_s > 0 else 'earlier'}: {because}"
        return self._one(order_id, Move.TIME, why, before, after, words)

    def _why(self, order_id: str, before: Said | None) -> tuple[Why, str]:
        if order_id not in self.known:
            return Why.NEW_ORDER, "it is new"
        if before is None:
            return Why.ROOM, "there is room for it now"
        if before.vehicle_id in self.changes.lost:
            return Why.VEHICLE_LOST, f"{before.vehicle_id} is lost"
        if order_id in self.released and self.changes.closed:
            return Why.ZONE_CLOSED, f"zone {', '.join(zone.zone_id for zone in self.changes.closed)} is closed"
        if order_id in self.released or self.changes.wind is not None:
            return Why.WIND, "the wind has changed"
        return Why.BETTER, "that makes room for others"

    @staticmethod
    def _one(order_id: str, move: Move, why: Why, before: Said | None, after: Said | None, words: str) -> Moved:
        return Moved(order_id, move, why, before, after, f"order {order_id} {words}")
