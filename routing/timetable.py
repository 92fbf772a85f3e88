"""When each trip leaves, on which pads and in which layers it flies, so that all of them and the trips given fit."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from routing.board import Board
from routing.delays import Delays
from routing.problem import FleetVehicle
from routing.trip_book import TripBook
from routing.trips import Slot, Tour, Visits, order_ids
from routing.vehicle_type import VehicleKind

ROUNDS = 300
"""Exchanges tried to shorten long delays: it bounds the work, so that equal problems have equal plans."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """Tours with a slot for each trip, in the order of ``Problem.vehicles``.

    ``crowded``: orders of trips for which no slot was left in their time windows; they are on none of the tours.
    ``blocked_by`` names for each of them, in the same sequence, what left it none.
    """

    tours: tuple[Tour, ...]
    slots: tuple[tuple[Slot, ...], ...]
    crowded: tuple[str, ...]
    blocked_by: tuple[tuple[str, ...], ...] = ()


@dataclass(slots=True)
class _Day:
    """A vehicle's trips that have their times, when it is free again, and the wishes of those that do not."""

    vehicle: FleetVehicle
    free_s: float
    wishes: list[float]
    trips: list[Visits]
    slots: list[Slot]


class Timetabler:
    """Gives slots to trips, soonest first. ``board`` has the trips of the last timetable."""

    def __init__(self, book: TripBook) -> None:
        self._book = book
        self.board = Board(book)

    def place(self, tours: Sequence[Tour], *, swap: bool = True, deadline: float = math.inf) -> Timetable:
        """Return the tours with times: each trip leaves as soon as its vehicle, windows and the others allow.

        The trip that would leave first if each vehicle were alone is placed first; a trip that finds no slot is left
        out. ``swap``: a trip whose vehicle is not back in time may go by another that is its like in all respects.
        After ``deadline`` (of ``time.monotonic``) long delays are no longer shortened.
        """
        self.board.clear()
        days = [_Day(v, self._book.ready_s(v), [], [], []) for v in self._book.problem.vehicles]
        queue = self._wishes(days, tours)
        alike = self._alike() if swap else {}
        crowded: list[str] = []
        blocked: list[tuple[str, ...]] = []
        while queue:
            wish_s, _, i, number = heapq.heappop(queue)
            visits = tours[i][number]
            days[i].wishes.pop()
            j = self._who(days, i, wish_s, alike.get(i, ()))
            day = days[j]
            found = self.board.offer(day.vehicle, visits, day.free_s)
            if found is None:
                ids = order_ids(visits)
                crowded += ids
                blocked += [self.board.blocked_by(day.vehicle, visits, day.free_s)] * len(ids)
                continue
            self.board.take((j, len(day.trips)), found)
            day.trips.append(visits)
            day.slots.append(found.slot)
            day.free_s = found.over_s + math.ceil(day.vehicle.type.turnaround_s)
        kept = tuple(tuple(day.trips) for day in days)
        delays = Delays(self._book, self.board, kept, tuple(tuple(day.slots) for day in days))
        delays.shorten(rounds=ROUNDS, deadline=deadline)
        return Timetable(kept, delays.slots(), tuple(crowded), tuple(blocked))

    def _wishes(self, days: Sequence[_Day], tours: Sequence[Tour]) -> list[tuple[float, float, int, int]]:
        """When each trip would leave if its vehicle were alone, as a queue of (wish, latest, vehicle, number)."""
        queue: list[tuple[float, float, int, int]] = []
        for i, (day, tour) in enumerate(zip(days, tours, strict=True)):
            free_s = day.free_s
            for number, visits in enumerate(tour):
                shape = self._book.next_shape(day.vehicle, visits, free_s)
                wish_s = free_s if shape is None else max(free_s, shape.soonest_s)
                queue.append((wish_s, math.inf if shape is None else shape.latest_s, i, number))
                day.wishes.insert(0, wish_s)
                free_s = wish_s + (shape.seconds if shape else 0) + math.ceil(day.vehicle.type.turnaround_s)
        heapq.heapify(queue)
        return queue

    def _alike(self) -> dict[int, tuple[int, ...]]:
        """For each vehicle those that may take its trips: of one kind and home, and with no pad of their own."""
        groups: dict[tuple[object, ...], list[int]] = {}
        for i, vehicle in enumerate(self._book.problem.vehicles):
            if vehicle.type.kind is VehicleKind.ROBOT or vehicle.pad is None:
                key = (self._book.kind(vehicle), vehicle.home_site, vehicle.category)
                groups.setdefault(key, []).append(i)
        return {i: tuple(group) for group in groups.values() for i in group if len(group) > 1}

    def _who(self, days: Sequence[_Day], own: int, wish_s: float, alike: Sequence[int]) -> int:
        """The vehicle for a trip: its own if that is back, else one that is idle for longest, else the first back."""
        most = self._book.problem.max_trips_per_vehicle

        def idle() -> Iterator[int]:
            yield from (j for j in alike if len(days[j].trips) < most)

        if days[own].free_s <= wish_s and len(days[own].trips) < most:
            return own
        free = [j for j in idle() if days[j].free_s <= wish_s]
        if free:
            return max(free, key=lambda j: (days[j].wishes[-1] if days[j].wishes else math.inf, -j))
        return min(idle(), key=lambda j: (days[j].free_s, j != own, j), default=own)
