"""When each trip leaves, and in which layers it flies, so that all of them and the trips given stay apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routing.deconflict import STEP_S, Array, Occupancy, first_free, forbidden, given_occupancy, occupancy
from routing.problem import FleetVehicle, GivenTrip
from routing.trips import Slot, Tour, TripBook, TripShape
from routing.vehicle_type import VehicleKind


@dataclass(frozen=True, slots=True)
class Timetable:
    """Tours with a slot for each trip, in the order of ``Problem.vehicles``. ``crowded``: orders of trips for
    which no slot was left in their time windows; they are on none of the tours."""

    tours: tuple[Tour, ...]
    slots: tuple[tuple[Slot, ...], ...]
    crowded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Placed:
    """Something that has its time: a trip of the plan, or a given one."""

    taken: Occupancy
    departure_s: float
    vehicle_id: str


class Timetabler:
    """Gives slots to trips, soonest first. Pairs of trips are compared once, whatever their times."""

    def __init__(self, book: TripBook) -> None:
        self._book = book
        self._apart = book.problem.separation
        self._given = [placed for placed in map(self._of_given, book.problem.given) if placed is not None]
        self._taken: dict[int, tuple[TripShape, Occupancy]] = {}
        self._pairs: dict[tuple[int, int], Array] = {}

    def place(self, tours: Sequence[Tour]) -> Timetable:
        """Return the tours with times: each trip leaves as soon as its vehicle, windows and the others allow.

        The trip that could leave first is placed first; a trip that finds no slot is left out.
        """
        vehicles = self._book.problem.vehicles
        placed = list(self._given)
        kept: list[list[tuple[str, ...]]] = [[] for _ in vehicles]
        slots: list[list[Slot]] = [[] for _ in vehicles]
        crowded: list[str] = []
        free = [self._book.ready_s(vehicle) for vehicle in vehicles]
        left = [list(tour) for tour in tours]
        while any(left):
            i = min((i for i in range(len(vehicles)) if left[i]), key=lambda i: self._urgency(i, left[i][0], free[i]))
            order_ids = left[i].pop(0)
            found = self._slot(vehicles[i], order_ids, free[i], placed)
            if found is None:
                crowded += order_ids
                continue
            slot, shape = found
            kept[i].append(order_ids)
            slots[i].append(slot)
            placed.append(_Placed(self._occupancy(vehicles[i], shape), slot.departure_s, vehicles[i].vehicle_id))
            free[i] = slot.departure_s + shape.seconds + math.ceil(vehicles[i].type.turnaround_s)
        return Timetable(tuple(map(tuple, kept)), tuple(map(tuple, slots)), tuple(crowded))

    def _urgency(self, vehicle: int, order_ids: tuple[str, ...], free_s: int) -> tuple[float, float, int]:
        shape = self._book.shape(self._book.problem.vehicles[vehicle], order_ids)
        if shape is None:
            return (free_s, math.inf, vehicle)
        return (max(free_s, shape.soonest_s), shape.latest_s, vehicle)

    def _slot(
        self, vehicle: FleetVehicle, order_ids: tuple[str, ...], free_s: int, placed: list[_Placed]
    ) -> tuple[Slot, TripShape] | None:
        """The slot in which the trip is over first; among equals the one in the usual layers."""
        best: tuple[Slot, TripShape] | None = None
        for layers in self._book.layer_choices(vehicle.type):
            shape = self._book.shape(vehicle, order_ids, layers)
            if shape is None:
                continue
            soonest = max(free_s, shape.soonest_s)
            departure = math.ceil(first_free(soonest, self._excluded(vehicle, shape, placed)))
            over = departure + shape.seconds
            if departure <= shape.latest_s and (best is None or over < best[0].departure_s + best[1].seconds):
                best = (Slot(departure, layers), shape)
            if departure == soonest:
                break
        return best

    def _excluded(self, vehicle: FleetVehicle, shape: TripShape, placed: list[_Placed]) -> list[Array]:
        taken = self._occupancy(vehicle, shape)
        return [
            one.departure_s + self._pair(one.taken, taken)
            for one in placed
            # Trips of one vehicle are apart by its turnaround.
            if one.vehicle_id != vehicle.vehicle_id
        ]

    def _pair(self, a: Occupancy, b: Occupancy) -> Array:
        key = (id(a), id(b))
        if key not in self._pairs:
            self._pairs[key] = forbidden(a, b, self._apart)
        return self._pairs[key]

    def _occupancy(self, vehicle: FleetVehicle, shape: TripShape) -> Occupancy:
        known = self._taken.get(id(shape))
        if known is None:
            # The shape is kept with it, so that its id stays its own.
            known = self._taken[id(shape)] = (shape, _occupancy(vehicle, shape))
        return known[1]

    def _of_given(self, given: GivenTrip) -> _Placed | None:
        start, taken = given_occupancy(given, self._book.problem.region.frame)
        if start is None:
            return None
        return _Placed(taken, (start - self._book.problem.start).total_seconds(), given.vehicle_id)


def _occupancy(vehicle: FleetVehicle, shape: TripShape) -> Occupancy:
    service_s = math.ceil(vehicle.type.service_s)
    stays = [(leg.to_site, leg.arrive_s, leg.arrive_s + service_s) for leg in shape.legs if leg.order_ids]
    if vehicle.type.kind is VehicleKind.ROBOT:
        return occupancy(np.empty(0), np.empty((0, 3)), stays)
    seconds, places = [], []
    for leg in shape.legs:
        assert leg.way.flight is not None
        until_s = leg.arrive_s + (service_s if leg.order_ids else 0)
        times = np.append(np.arange(leg.depart_s, until_s, STEP_S), until_s)
        seconds.append(times)
        places.append(leg.way.flight.at(times - leg.depart_s))
    return occupancy(np.concatenate(seconds), np.concatenate(places), stays)
