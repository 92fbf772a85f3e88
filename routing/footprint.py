"""What a trip takes up wherever in time it lies: air, drop points, pads, and what there is a number of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from routing.deconflict import STEP_S, Array, Hold, Kind, Occupancy, given_occupancy, occupancy
from routing.problem import Category, FleetVehicle, GivenTrip
from routing.shared_air import LaneAir
from routing.trip_book import TripBook
from routing.trips import Slot, TripShape
from routing.vehicle_type import VehicleKind

PAD_NEAR_M, PAD_UNDER_M = 6.0, 15.0
"""A given track that begins or ends so near to a pad, and so low over it, leaves from or lands on it."""


@dataclass(frozen=True, slots=True)
class Use:
    """A trip takes one of a counted resource from ``begin_s`` to ``end_s`` since its departure, if on time."""

    resource: str
    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Footprint:
    """What a trip has to itself, and what it is one of several to use."""

    taken: Occupancy
    uses: tuple[Use, ...]


class Footprints:
    """Footprints of one problem's trips, each worked out once."""

    def __init__(self, book: TripBook) -> None:
        self._book = book
        problem = book.problem
        self._lanes = LaneAir(problem)
        self.capacities = {limit.category.value: limit.most for limit in problem.airborne} | self._lanes.capacities
        drones = [vehicle for vehicle in problem.vehicles if vehicle.type.kind is VehicleKind.DRONE]
        self._shared = {vehicle.home_site for vehicle in drones if vehicle.pad is None}
        self._categories = {vehicle.vehicle_id: vehicle.category for vehicle in problem.vehicles}
        self._known: dict[tuple[int, int | None, int | None, Category], tuple[TripShape, Footprint]] = {}

    def of(self, vehicle: FleetVehicle, shape: TripShape, slot: Slot) -> Footprint:
        """Return the footprint of a shape with the pads of a slot."""
        key = (id(shape), slot.pad, slot.landing_pad, vehicle.category)
        if key not in self._known:
            taken = self._occupancy(vehicle, shape, slot)
            flies = vehicle.type.kind is VehicleKind.DRONE
            uses = self._uses(taken, [vehicle.category]) if flies else ()
            # The shape is kept with it, so that its id stays its own.
            self._known[key] = (shape, Footprint(taken, tuple(uses)))
        return self._known[key][1]

    def given(self, trip: GivenTrip) -> tuple[float, Footprint] | None:
        """When a given trip begins, in seconds from the problem's start, and its footprint.

        ``None`` if it takes up nothing. It counts in its vehicle's category, and in all of them where nobody knows the
        vehicle.
        """
        start, taken = given_occupancy(trip, self._book.problem.region.frame)
        if start is None:
            return None
        departure_s = self._book.seconds(start)
        if not len(taken.seconds):
            return departure_s, Footprint(taken, ())
        pads = (self._pad_under(taken.places[0]), self._pad_under(taken.places[-1]))
        stays = [
            (stay.site_id, self._book.seconds(stay.arrive) - departure_s, self._book.seconds(stay.leave) - departure_s)
            for stay in trip.stays
        ]
        taken = occupancy(taken.seconds, taken.places, stays, self._pad_holds(taken, *pads))
        known = self._categories.get(trip.vehicle_id)
        return departure_s, Footprint(taken, tuple(self._uses(taken, list(Category) if known is None else [known])))

    def _uses(self, taken: Occupancy, categories: Iterable[Category]) -> Iterator[Use]:
        for category in categories:
            if category.value in self.capacities:
                yield Use(category.value, 0.0, float(taken.seconds[-1]))
        yield from (Use(*each) for each in self._lanes.spans(taken))

    def _occupancy(self, vehicle: FleetVehicle, shape: TripShape, slot: Slot) -> Occupancy:
        stays = [(leg.to_site, leg.arrive_s, leg.leave_s) for leg in shape.legs if leg.order_ids]
        if vehicle.type.kind is VehicleKind.ROBOT:
            return occupancy(np.empty(0), np.empty((0, 3)), stays)
        seconds, places = [], []
        for leg in shape.legs:
            assert leg.way.flight is not None
            times = np.append(np.arange(leg.depart_s, leg.leave_s, STEP_S), leg.leave_s)
            seconds.append(times)
            places.append(leg.way.flight.at(times - leg.depart_s))
        plain = occupancy(np.concatenate(seconds), np.concatenate(places), stays)
        pads: list[Hold] = []
        if slot.pad is not None and slot.landing_pad is not None:
            names = (pad_name(vehicle.home_site, slot.pad), pad_name(vehicle.home_site, slot.landing_pad))
            pads += self._pad_holds(plain, *names)
        for hold in plain.holds:
            stop = self._book.drop(vehicle.type, hold.name) if hold.name in self._shared else None
            if stop is not None:
                pads.append(Hold(hold.begin_s, hold.end_s, Kind.PAD, pad_name(hold.name, stop.pad)))
        return occupancy(plain.seconds, plain.places, stays, pads) if pads else plain

    def _pad_holds(self, flown: Occupancy, leaves: str | None, lands: str | None) -> Iterator[Hold]:
        """A pad from readiness until the drone is up, and from when it comes down until it is taken off."""
        times = self._book.problem.pad_times
        columns = [hold for hold in flown.holds if hold.kind is Kind.AIR]
        last_s = float(flown.seconds[-1])
        up_s = columns[0].end_s if columns else 0.0
        down_s = columns[-1].begin_s if columns else last_s
        if leaves is not None:
            yield Hold(-times.ready_s, up_s, Kind.PAD, leaves)
        if lands is not None:
            yield Hold(down_s, last_s + times.clear_s, Kind.PAD, lands)

    def _pad_under(self, place: Array) -> str | None:
        frame = self._book.problem.region.frame
        for site in self._book.problem.region.sites:
            for number, pad in enumerate(site.pads):
                if math.dist(frame.to_local(pad), place[:2]) <= PAD_NEAR_M and place[2] - pad.alt_amsl_m <= PAD_UNDER_M:
                    return pad_name(site.site_id, number)
        return None


def pad_name(site_id: str, pad: int) -> str:
    """What a pad is called among the things that a trip has to itself."""
    return f"{site_id}#{pad}"
