"""A plan under work: the trips of each vehicle with their slots, into which single orders are put and taken out."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from routing.board import Board, Offer
from routing.timetable import Timetable
from routing.trip_book import TripBook
from routing.trips import DELAY_WEIGHT, Visits, order_ids, without_order

MOST_OFFERS = 8
"""Places for an order for which a slot is looked for; a better one than the best of these is rarely behind them."""


MOST_CANDIDATES = 24
"""Places that are looked at exactly, of all that there are."""

LONGEST_TRIP_S = 4 * 3_600
"""Orders whose windows are farther apart than this are not on one trip."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Where a trip may lie among those of a vehicle: before the trip ``number``, or in place of it.

    It leaves from ``free_s`` on and is over, turnaround included, by ``until_s``.
    """

    vehicle: int
    number: int
    replaces: bool
    free_s: int
    until_s: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trip with one more order and what it adds to the cost of the plan at least."""

    least_cost: float
    gap: Gap
    visits: Visits


class Roster:
    """Trips with slots on a board. Everything that it holds keeps every rule."""

    def __init__(self, book: TripBook, board: Board) -> None:
        """``board`` is taken over as it is; what lies on it, and is no trip of the roster, stays where it is."""
        self.book = book
        self.board = board
        self._trips: list[list[Offer]] = [[] for _ in book.problem.vehicles]

    @classmethod
    def of(cls, book: TripBook, board: Board, table: Timetable) -> Roster:
        """The trips of a timetable, alone on the board but for the given ones."""
        board.clear()
        roster = cls(book, board)
        for i, (tour, slots) in enumerate(zip(table.tours, table.slots, strict=True)):
            for visits, slot in zip(tour, slots, strict=True):
                roster.put(i, board.at(book.problem.vehicles[i], visits, slot))
        return roster

    def put(self, vehicle: int, offer: Offer) -> None:
        """Add a trip of a vehicle, in the slot that it has."""
        self.board.take(offer, offer)
        trips = self._trips[vehicle]
        trips.append(offer)
        trips.sort(key=lambda one: one.slot.departure_s)

    def drop(self, vehicle: int, offer: Offer) -> None:
        """Take a trip off."""
        self.board.free(offer)
        self._trips[vehicle].remove(offer)

    def trips(self) -> Iterator[tuple[int, Offer]]:
        """Yield all trips with their vehicles."""
        for i, trips in enumerate(self._trips):
            for offer in trips:
                yield i, offer

    def of_vehicle(self, vehicle: int) -> tuple[Offer, ...]:
        """The trips of a vehicle, in the sequence of their departures."""
        return tuple(self._trips[vehicle])

    def save(self) -> list[tuple[Offer, ...]]:
        """What ``restore`` needs to come back to the present trips."""
        return [tuple(trips) for trips in self._trips]

    def restore(self, saved: Sequence[Sequence[Offer]]) -> None:
        """Come back to the trips that there were."""
        for i, trips in enumerate(saved):
            for offer in set(self._trips[i]).difference(trips):
                self.drop(i, offer)
        for i, trips in enumerate(saved):
            for offer in trips:
                if offer not in self._trips[i]:
                    self.put(i, offer)

    def cost(self) -> float:
        """What the trips cost, without that of orders left out."""
        return sum(self._cost(i, offer) for i, offer in self.trips())

    def table(self, crowded: Iterable[str] = ()) -> Timetable:
        """The trips as a timetable."""
        return Timetable(
            tuple(tuple(offer.visits for offer in trips) for trips in self._trips),
            tuple(tuple(offer.slot for offer in trips) for trips in self._trips),
            tuple(crowded),
        )

    def insert(self, order_id: str, vehicles: Sequence[int], *, offers: int = MOST_OFFERS) -> float | None:
        """Put an order where it adds least to the cost, and return how much; ``None`` where there is no place.

        ``vehicles``: the indices of those that may serve it. ``offers``: so many slots are looked for at most. All
        other trips stay as they are; the one that takes the order may leave at another time.
        """
        best = self._best(order_id, vehicles, offers)
        if best is None:
            return None
        cost, gap, offer = best
        if gap.replaces:
            self.drop(gap.vehicle, self._trips[gap.vehicle][gap.number])
        self.put(gap.vehicle, offer)
        return cost

    def place(self, order_id: str, vehicles: Sequence[int], *, offers: int = MOST_OFFERS) -> Offer | None:
        """The trip that ``insert`` would make, without making it."""
        best = self._best(order_id, vehicles, offers)
        return None if best is None else best[2]

    def _best(self, order_id: str, vehicles: Sequence[int], offers: int) -> tuple[float, Gap, Offer] | None:
        best: tuple[float, Gap, Offer] | None = None
        for candidate in self.candidates(order_id, vehicles)[:offers]:
            if best is not None and candidate.least_cost >= best[0]:
                break
            found = self._offered(candidate)
            if found is not None:
                cost = self._added(candidate.gap, found)
                if best is None or cost < best[0]:
                    best = (cost, candidate.gap, found)
        return best

    def candidates(self, order_id: str, vehicles: Sequence[int]) -> list[Candidate]:
        """Trips with one more order that would be possible if no other vehicle were there, the cheapest first.

        Those are looked at that are nearest by straight lines, ``MOST_CANDIDATES`` of them.
        """
        book = self.book
        found: list[Candidate] = []
        for guess in heapq.nsmallest(
            MOST_CANDIDATES, self._guesses(order_id, vehicles), key=lambda one: one.least_cost
        ):
            gap, trip = guess.gap, guess.visits
            vehicle = book.problem.vehicles[gap.vehicle]
            shape = book.next_shape(vehicle, trip, gap.free_s)
            if shape is None:
                continue
            departure = max(gap.free_s, shape.soonest_s)
            if departure <= min(shape.latest_s, gap.until_s - shape.seconds - vehicle.type.turnaround_s):
                cost = book.trip_cost(vehicle, shape, departure)
                found.append(Candidate(cost - self._replaced_cost(gap), gap, trip))
        return sorted(found, key=lambda candidate: candidate.least_cost)

    def _guesses(self, order_id: str, vehicles: Sequence[int]) -> Iterator[Candidate]:
        """All trips with one more order that load and windows do not forbid, with what they add by straight lines."""
        book = self.book
        opens, closes = book.window_s(order_id)
        for i in vehicles:
            vehicle = book.problem.vehicles[i]
            visits = book.visits(vehicle, order_id)
            for gap in self._gaps(i):
                if gap.free_s > closes or gap.until_s < opens:
                    continue
                if not gap.replaces:
                    waits_s = max(0.0, gap.free_s - opens)
                    yield Candidate(self._straight_s(i, visits) + DELAY_WEIGHT * waits_s, gap, visits)
                    continue
                there = self._trips[i][gap.number].visits
                if self._windows_meet(there, opens, closes):
                    before_s = self._straight_s(i, there)
                    for trip in book.inserted(there, visits):
                        if book.fits(vehicle.type, trip):
                            yield Candidate(self._straight_s(i, trip) - before_s, gap, trip)

    def _windows_meet(self, visits: Visits, opens: int, closes: int) -> bool:
        """Whether one trip might keep the windows of its drops and one more."""
        windows = [self.book.window_s(visit.order_id) for visit in visits if not visit.pickup]
        return max(opens, *(a for a, _ in windows)) <= min(closes, *(b for _, b in windows)) + LONGEST_TRIP_S

    def _straight_s(self, vehicle: int, visits: Visits) -> float:
        """Time of a trip along straight lines at cruise speed, with its turnaround."""
        kind, book = self.book.problem.vehicles[vehicle].type, self.book
        home = book.places[self.book.problem.vehicles[vehicle].home_site]
        stops = [home, *(book.places[book.site(visit)] for visit in visits), home]
        return sum(itertools.starmap(math.dist, itertools.pairwise(stops))) / kind.cruise_speed_mps + kind.turnaround_s

    def remove(self, order_id: str) -> bool:
        """Take an order off; the trip that is left of it keeps its departure if it can. Return whether it was there.

        Where what is left has no slot any more, all of its orders are taken off.
        """
        for i, offer in self.trips():
            if order_id in order_ids(offer.visits):
                self.drop(i, offer)
                shorter = without_order(offer.visits, order_id)
                if shorter:
                    self.fit(i, shorter, offer.slot.departure_s)
                return True
        return False

    def fit(self, vehicle: int, visits: Visits, departure_s: int) -> bool:
        """Put a trip as soon after a departure as there is a slot, else as soon as can be; return whether there is one.

        It keeps its place among the trips of its vehicle.
        """
        number = sum(1 for trip in self._trips[vehicle] if trip.slot.departure_s < departure_s)
        gap = self._gap(vehicle, number, replaces=False)
        for soonest in dict.fromkeys((max(gap.free_s, departure_s), gap.free_s)):
            found = self.board.offer(self.book.problem.vehicles[vehicle], visits, soonest)
            if found is not None and self._end_s(vehicle, found) <= gap.until_s:
                self.put(vehicle, found)
                return True
        return False

    def served(self) -> set[str]:
        """Orders on any trip."""
        return {order_id for _, offer in self.trips() for order_id in order_ids(offer.visits)}

    def _offered(self, candidate: Candidate) -> Offer | None:
        """The first slot of a candidate that is free, where it is over in time."""
        gap = candidate.gap
        vehicle = self.book.problem.vehicles[gap.vehicle]
        replaced = self._trips[gap.vehicle][gap.number] if gap.replaces else None
        if replaced is not None:
            self.board.free(replaced)
        found = self.board.offer(vehicle, candidate.visits, gap.free_s)
        if replaced is not None:
            self.board.take(replaced, replaced)
        return None if found is None or self._end_s(gap.vehicle, found) > gap.until_s else found

    def _gaps(self, vehicle: int) -> Iterator[Gap]:
        """Where one more trip of a vehicle may lie, and those that may be changed."""
        trips = self._trips[vehicle]
        for number in range(len(trips)):
            yield self._gap(vehicle, number, replaces=True)
        if len(trips) < self.book.problem.max_trips_per_vehicle:
            for number in range(len(trips) + 1):
                yield self._gap(vehicle, number, replaces=False)

    def _gap(self, vehicle: int, number: int, *, replaces: bool) -> Gap:
        trips = self._trips[vehicle]
        free_s = self.book.ready_s(self.book.problem.vehicles[vehicle])
        if number > 0:
            free_s = max(free_s, self._end_s(vehicle, trips[number - 1]))
        after = number + 1 if replaces else number
        until_s = float(trips[after].slot.departure_s) if after < len(trips) else math.inf
        return Gap(vehicle, number, replaces, free_s, until_s)

    def _end_s(self, vehicle: int, offer: Offer) -> int:
        return offer.over_s + math.ceil(self.book.problem.vehicles[vehicle].type.turnaround_s)

    def _cost(self, vehicle: int, offer: Offer) -> float:
        return self.book.trip_cost(self.book.problem.vehicles[vehicle], offer.shape, offer.slot.departure_s)

    def _replaced_cost(self, gap: Gap) -> float:
        return self._cost(gap.vehicle, self._trips[gap.vehicle][gap.number]) if gap.replaces else 0.0

    def _added(self, gap: Gap, offer: Offer) -> float:
        return self._cost(gap.vehicle, offer) - self._replaced_cost(gap)
