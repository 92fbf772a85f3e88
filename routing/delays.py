"""Trips that wait long for others: their times are dealt out anew, so that no one waits for very long."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from routing.board import Board, Offer
from routing.trip_book import TripBook
from routing.trips import Slot, Tour

WORTH_S = 60.0
"""Shorter delays are left as they are."""

MOST_MOVED = 10
"""Trips that are given new times together."""

Key = tuple[int, int]


@dataclass(slots=True)
class _Trip:
    """A trip on the board, and when it would leave if its vehicle were alone in the world."""

    key: Key
    offer: Offer
    wish_s: int

    @property
    def delay_s(self) -> int:
        """How much later it leaves than it would alone."""
        return max(0, self.offer.slot.departure_s - self.wish_s)


class Delays:
    """The trips of a timetable on a board, by vehicle and number."""

    def __init__(self, book: TripBook, board: Board, tours: Sequence[Tour], slots: Sequence[Sequence[Slot]]) -> None:
        """The trips are put on the board, alone but for the given ones. ``tours`` are possible without the others."""
        self._book, self._board = book, board
        self._trips: list[list[_Trip]] = []
        board.clear()
        for i, (vehicle, tour, given) in enumerate(zip(book.problem.vehicles, tours, slots, strict=True)):
            wishes = book.departures(vehicle, tour) or [slot.departure_s for slot in given]
            trips = []
            for n, (visits, slot, wish_s) in enumerate(zip(tour, given, wishes, strict=True)):
                offer = board.at(vehicle, visits, slot)
                board.take((i, n), offer)
                trips.append(_Trip((i, n), offer, wish_s))
            self._trips.append(trips)

    def slots(self) -> tuple[tuple[Slot, ...], ...]:
        """The slots of all trips as they are now."""
        return tuple(tuple(trip.offer.slot for trip in trips) for trips in self._trips)

    @property
    def worst_s(self) -> int:
        """The longest delay of a trip."""
        return max((trip.delay_s for trips in self._trips for trip in trips), default=0)

    def shorten(self, *, rounds: int, deadline: float = math.inf) -> int:
        """Shorten the longest delays, one after the other, and return how many exchanges were made.

        At most ``rounds`` are tried, until ``deadline`` of ``time.monotonic``. Each takes a trip that is late off the
        board with those that it waits for, and gives them times in another sequence. The sum of the squares of delays
        never grows, so that one long delay becomes several short ones.
        """
        made, hopeless = 0, set[tuple[Key, int]]()
        for _ in range(rounds):
            if time.monotonic() > deadline:
                break
            late = [
                trip
                for trips in self._trips
                for trip in trips
                if trip.delay_s > WORTH_S and (trip.key, trip.offer.slot.departure_s) not in hopeless
            ]
            if not late:
                break
            target = max(late, key=lambda trip: (trip.delay_s, trip.key))
            moved = self._in_the_way(target)
            if any(self._again(sequence) for sequence in self._sequences(target, moved)):
                made += 1
            else:
                hopeless.add((target.key, target.offer.slot.departure_s))
        return made

    def _sequences(self, target: _Trip, moved: Sequence[_Trip]) -> Iterator[list[_Trip]]:
        """In which sequences a trip and those in its way may be given their times."""
        own = [trip for trip in moved if trip.key[0] == target.key[0]]
        others = [trip for trip in moved if trip.key[0] != target.key[0]]
        own.sort(key=lambda trip: trip.key)
        others.sort(key=lambda trip: (trip.wish_s, trip.key))
        yield [*own, *others]
        yield [*own, *others[::-1]]
        # Not first, it may find a gap among others that are put closer together.
        yield sorted(moved, key=lambda trip: (trip.wish_s, trip.key))

    def _again(self, moved: Sequence[_Trip]) -> bool:
        """Give trips new times, one after the other; put all back where that is no better."""
        for trip in moved:
            self._board.free(trip.key)
        before = [(trip, trip.offer) for trip in moved]
        worth = sum(trip.delay_s**2 for trip in moved)
        done: list[_Trip] = []
        cost, waiting = 0, {trip.key for trip in moved}
        for trip in moved:
            found = self._offer(trip, waiting)
            if found is not None:
                trip.offer = found
                self._board.take(trip.key, found)
                done.append(trip)
                waiting.discard(trip.key)
                cost += trip.delay_s**2
            if found is None or cost >= worth:
                break
        if len(done) == len(moved) and cost < worth:
            return True
        for trip in done:
            self._board.free(trip.key)
        for trip, offer in before:
            trip.offer = offer
            self._board.take(trip.key, offer)
        return False

    def _in_the_way(self, target: _Trip) -> list[_Trip]:
        """A trip, the one before it of its vehicle if it waits for that, and those that forbid earlier departures."""
        vehicle, number = target.key
        moved = {target.key: target}
        free_s = self._free_s(target, set())
        if free_s > target.wish_s and number > 0:
            before = self._trips[vehicle][number - 1]
            moved[before.key] = before
        self._board.free(target.key)
        blockers = self._board.blockers(target.offer, max(target.wish_s, free_s))
        self._board.take(target.key, target.offer)
        for key in sorted(key for key in blockers if isinstance(key, tuple)):
            if len(moved) < MOST_MOVED:
                moved[key] = self._trips[key[0]][key[1]]
        return list(moved.values())

    def _offer(self, trip: _Trip, waiting: set[Key]) -> Offer | None:
        """The first slot between its vehicle's trips before and after it that have their times."""
        vehicle, number = trip.key
        until_s = next(
            (later.offer.slot.departure_s for later in self._trips[vehicle][number + 1 :] if later.key not in waiting),
            math.inf,
        )
        return self._board.offer(
            self._book.problem.vehicles[vehicle], trip.offer.visits, self._free_s(trip, waiting), until_s
        )

    def _free_s(self, trip: _Trip, waiting: set[Key]) -> float:
        """When its vehicle is back from the trip before, of those that have their times."""
        number, vehicle = trip.key[1], self._book.problem.vehicles[trip.key[0]]
        turnaround_s = math.ceil(vehicle.type.turnaround_s)
        before = [each for each in self._trips[trip.key[0]][:number] if each.key not in waiting]
        return before[-1].offer.over_s + turnaround_s if before else self._book.ready_s(vehicle)
