"""What is taken when, by the trips that have their times, and when one more trip may leave."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from routing.deconflict import (
    EVERYTHING,
    GUARD_S,
    NOTHING,
    STEP_S,
    Array,
    Hold,
    Kind,
    Occupancy,
    first_free,
    forbidden,
)
from routing.footprint import Footprint, Footprints, Use, pad_name
from routing.problem import FleetVehicle, Problem
from routing.region.model import Site
from routing.resources import Capacity, Packs
from routing.shared_air import IntentAir
from routing.trip_book import TripBook
from routing.trips import Slot, TripShape, Visits
from routing.vehicle_type import VehicleKind

PACKS = "battery packs"
"""How the want of a pack is called among what blocks a trip; other names are those of resources."""

MOST_PADS = 4
"""Pairs of pads that are tried for a trip that cannot leave at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """A slot that a trip may have, and what it takes up then."""

    vehicle: FleetVehicle
    visits: Visits
    slot: Slot
    shape: TripShape
    footprint: Footprint

    @property
    def over_s(self) -> int:
        """When the vehicle is back, in seconds from the problem's start."""
        return self.slot.departure_s + self.shape.seconds


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """Something that has its time: a trip of the plan, or a given one."""

    taken: Occupancy
    departure_s: float
    vehicle_id: str
    begin_s: float
    end_s: float
    flies: bool


class Board:
    """Finds slots for trips and keeps those that are taken. Pairs of trips are compared once, whatever their times."""

    def __init__(self, book: TripBook) -> None:
        self._book = book
        problem = book.problem
        self._apart = problem.separation
        self._sites = {site.site_id: site for site in problem.region.sites}
        self._own_pads = {
            (v.home_site, v.pad) for v in problem.vehicles if v.type.kind is VehicleKind.DRONE and v.pad is not None
        }
        self._intents, self._footprints = IntentAir(problem), Footprints(book)
        self._pairs: dict[tuple[int, int, Kind], Array] = {}
        given = ((trip, self._footprints.given(trip)) for trip in problem.given)
        self._given = [(trip.vehicle_id, *found) for trip, found in given if found is not None]
        self.clear()

    def clear(self) -> None:
        """Take all trips off but the given ones."""
        problem = self._book.problem
        self._placed: dict[object, _Placed] = {}
        self._capacity = {name: Capacity(most) for name, most in self._footprints.capacities.items()}
        self._pad_spans: dict[str, dict[object, tuple[float, float]]] = {}
        self._packs = self._stations(problem)
        for number, (vehicle_id, departure_s, footprint) in enumerate(self._given):
            self._take(number, vehicle_id, departure_s, footprint)

    def _stations(self, problem: Problem) -> dict[tuple[str, str], Packs]:
        stations = {(station.site_id, station.type_id): station for station in problem.stations}
        packs = {}
        for vehicle in problem.vehicles:
            key = (vehicle.home_site, vehicle.type.type_id)
            if key in stations and key not in packs:
                usable = [self._book.usable_wh(vehicle, pack.pack_id) for pack in stations[key].packs]
                packs[key] = Packs(problem, stations[key], vehicle.type, usable)
        return packs

    def take(self, key: object, offer: Offer) -> None:
        """Give a trip the slot of an offer; ``key`` stands for it from then on."""
        self._take(key, offer.vehicle.vehicle_id, offer.slot.departure_s, offer.footprint)
        if offer.slot.pack_id is not None:
            self._packs[_station(offer.vehicle)].take(
                key, offer.slot.pack_id, *self._pack_span(offer.slot.departure_s, offer.shape), offer.shape.energy_wh
            )

    def _take(self, key: object, vehicle_id: str, departure_s: float, footprint: Footprint) -> None:
        taken = footprint.taken
        # As late as drift may make its end.
        end_s = departure_s + taken.end_s * (1.0 + self._apart.drift)
        self._placed[key] = _Placed(
            taken, departure_s, vehicle_id, departure_s + taken.begin_s, end_s, len(taken.seconds) > 0
        )
        for use in footprint.uses:
            begin_s, end_s = self._late(use)
            self._capacity[use.resource].take(key, departure_s + begin_s, departure_s + end_s)
        for hold in taken.holds:
            if hold.kind is Kind.PAD:
                span = (departure_s + hold.begin_s, departure_s + hold.end_s)
                self._pad_spans.setdefault(hold.name, {})[key, hold.begin_s] = span

    def free(self, key: object) -> None:
        """Take a trip off, by the key that it was put on with."""
        placed = self._placed.pop(key)
        for capacity in self._capacity.values():
            capacity.free(key)
        for packs in self._packs.values():
            packs.free(key)
        for hold in placed.taken.holds:
            if hold.kind is Kind.PAD:
                self._pad_spans[hold.name].pop((key, hold.begin_s))

    def offer(self, vehicle: FleetVehicle, visits: Visits, free_s: float, until_s: float = math.inf) -> Offer | None:
        """Return the slot from ``free_s`` on in which a trip is over first, or ``None`` when there is none.

        Its turnaround is over by ``until_s``. Among equals it is the one in the usual layers.
        """
        best: Offer | None = None
        for layers in self._book.layer_choices(vehicle.type):
            found = self._in_layers(vehicle, visits, free_s, until_s, layers)
            if found is None:
                continue
            best = found
            if found.slot.departure_s <= max(free_s, found.shape.soonest_s):
                break
            # Other layers must be better than that.
            until_s = found.over_s - 1 + math.ceil(vehicle.type.turnaround_s)
        return best

    def at(self, vehicle: FleetVehicle, visits: Visits, slot: Slot) -> Offer:
        """Return what a trip takes up in a slot that it has already, whatever else there is."""
        shape = self._book.slotted(vehicle, visits, slot)
        return Offer(vehicle, visits, slot, shape, self._footprints.of(vehicle, shape, slot))

    def blockers(self, offer: Offer, soonest_s: float) -> set[object]:
        """Keys of the trips that forbid departures of one from ``soonest_s`` until its own; it is off the board."""
        found: set[object] = set()
        departure_s = soonest_s
        while departure_s < offer.slot.departure_s:
            near = self._near(offer.vehicle, offer.footprint.taken, departure_s, set())
            ranges = [placed.departure_s + self._pair(placed.taken, offer.footprint.taken) for _, placed in near]
            hit = [((each[:, 0] < departure_s) & (departure_s < each[:, 1])).any() for each in ranges]
            found.update(key for (key, _), is_hit in zip(near, hit, strict=True) if is_hit)
            departure_s = max(departure_s + STEP_S, first_free(departure_s, ranges)) if ranges else math.inf
        return found

    def blocked_by(self, vehicle: FleetVehicle, visits: Visits, free_s: float) -> tuple[str, ...]:
        """Names of what leaves a trip no slot: alone if anything does alone, else everything that takes part."""
        slot = Slot(0, 0, *next(iter(self._pad_choices(vehicle, visits, free_s, 0)), (None, None)))
        shape = self._book.shape(vehicle, visits, 0, pad=slot.pad, landing_pad=slot.landing_pad)
        if shape is None or max(free_s, shape.soonest_s) > shape.latest_s:
            return ()
        soonest, latest = max(free_s, shape.soonest_s), shape.latest_s
        footprint = self._footprints.of(vehicle, shape, slot)
        causes = {name: ranges for name, ranges in self._causes(vehicle, footprint, soonest, latest) if len(ranges)}
        alone = [name for name, ranges in causes.items() if first_free(soonest, [ranges]) > latest]
        if not self._packs_free(vehicle, shape, soonest):
            alone.append(f"{PACKS} of {vehicle.home_site}")
        return tuple(alone or sorted(causes))

    def _in_layers(
        self, vehicle: FleetVehicle, visits: Visits, free_s: float, until_s: float, layers: int
    ) -> Offer | None:
        best: Offer | None = None
        for pad, landing_pad in self._pad_choices(vehicle, visits, free_s, layers):
            shape = self._book.shape(vehicle, visits, layers, pad=pad, landing_pad=landing_pad)
            if shape is None:
                continue
            slot = Slot(0, layers, pad, landing_pad)
            footprint = self._footprints.of(vehicle, shape, slot)
            latest = min(shape.latest_s, until_s - shape.seconds - math.ceil(vehicle.type.turnaround_s))
            if best is not None:
                latest = min(latest, best.over_s - shape.seconds - 1)
            soonest = max(free_s, shape.soonest_s)
            found = self._earliest(vehicle, shape, footprint, soonest, latest)
            if found is not None:
                departure, pack_id = found
                best = Offer(vehicle, visits, replace(slot, departure_s=departure, pack_id=pack_id), shape, footprint)
                if departure <= soonest:
                    break
        return best

    def _pad_choices(
        self, vehicle: FleetVehicle, visits: Visits, free_s: float, layers: int
    ) -> Iterator[tuple[int | None, int | None]]:
        """Pads to leave from and land on, those first that let the trip leave first."""
        if vehicle.type.kind is VehicleKind.ROBOT or vehicle.pad is not None:
            yield None, None
            return
        site = self._sites[vehicle.home_site]
        pads = [pad for pad in range(len(site.pads)) if (site.site_id, pad) not in self._own_pads]
        shape = self._book.shape(vehicle, visits, layers, pad=pads[0], landing_pad=pads[0]) if pads else None
        if shape is None:
            yield from ((pad, pad) for pad in pads[1:])
            return
        taken = self._footprints.of(vehicle, shape, Slot(0, layers, pads[0], pads[0])).taken
        out, back = [hold for hold in taken.holds if hold.kind is Kind.PAD][:2]
        soonest = max(free_s, shape.soonest_s)
        leaving = sorted((self._pad_free(site, pad, out, soonest), pad) for pad in pads)
        landing = sorted((self._pad_free(site, pad, back, leaving[0][0]), pad) for pad in pads)
        for (_, pad), (_, landing_pad) in itertools.islice(itertools.product(leaving, landing), MOST_PADS):
            yield pad, landing_pad

    def _pad_free(self, site: Site, pad: int, hold: Hold, soonest_s: float) -> float:
        """From which departure on a pad is free for a hold, about."""
        departure = soonest_s
        slack = self._apart.late_s + GUARD_S
        for begin_s, end_s in sorted(self._pad_spans.get(pad_name(site.site_id, pad), {}).values()):
            if begin_s - slack < departure + hold.end_s and end_s + slack > departure + hold.begin_s:
                departure = end_s + slack - hold.begin_s
        return departure

    def _earliest(
        self,
        vehicle: FleetVehicle,
        shape: TripShape,
        footprint: Footprint,
        soonest: float,
        latest: float,
    ) -> tuple[int, str | None] | None:
        """The first departure from ``soonest`` to ``latest`` that nothing forbids, and its pack."""
        departure, taken = math.ceil(soonest), footprint.taken
        ranges = self._fixed(footprint)
        seen: set[object] = set()
        pack_id: str | None = None
        while departure <= latest:
            fresh = self._near(vehicle, taken, departure, seen)
            seen.update(key for key, _ in fresh)
            ranges += [placed.departure_s + self._pair(placed.taken, taken) for _, placed in fresh]
            free = first_free(departure, ranges) if ranges else departure
            if free > latest:
                return None
            found = math.ceil(free)
            if found == departure and (packs := self._packs.get(_station(vehicle))) is not None:
                chosen = self._pack(packs, shape, departure)
                if chosen is None:
                    return None
                found, pack_id = math.ceil(chosen[0]), chosen[1]
            if found == departure and not fresh:
                return departure, pack_id
            departure = found
        return None

    def _near(
        self, vehicle: FleetVehicle, taken: Occupancy, departure_s: float, seen: set[object]
    ) -> list[tuple[object, _Placed]]:
        """What is under way at the same time as a trip that departs then, and shares anything with it."""
        slack = self._apart.late_s + GUARD_S + self._apart.drift * taken.end_s
        begin_s, end_s = departure_s + taken.begin_s - slack, departure_s + taken.end_s + slack
        flies = len(taken.seconds) > 0
        return [
            (key, placed)
            for key, placed in self._placed.items()
            if placed.begin_s < end_s
            and placed.end_s > begin_s
            and key not in seen
            # Trips of one vehicle are apart by its turnaround.
            and placed.vehicle_id != vehicle.vehicle_id
            and ((flies and placed.flies) or not placed.taken.names.isdisjoint(taken.names))
        ]

    def _pair(self, a: Occupancy, b: Occupancy, kinds: Kind = EVERYTHING) -> Array:
        key = (id(a), id(b), kinds)
        if key not in self._pairs:
            self._pairs[key] = forbidden(a, b, self._apart, kinds)
        return self._pairs[key]

    def _fixed(self, footprint: Footprint) -> list[Array]:
        """What forbids departures whatever the other trips' paths: intents, and what there is a number of."""
        ranges = [ranges for _, ranges in self._intents.forbidden(footprint.taken)]
        ranges += [self._capacity[use.resource].forbidden(*self._late(use)) for use in footprint.uses]
        return [each for each in ranges if len(each)]

    def _causes(
        self, vehicle: FleetVehicle, footprint: Footprint, soonest: float, latest: float
    ) -> Iterator[tuple[str, Array]]:
        """Names of what shares something with a trip, and the departures that each of them forbids."""
        taken = footprint.taken
        near = dict(self._near(vehicle, taken, soonest, set()))
        for departure in np.arange(soonest, latest, max(60.0, taken.end_s)):
            near |= dict(self._near(vehicle, taken, float(departure), set()))
        for kind, name in ((Kind.AIR, "the air"), (Kind.DROP, "drop points"), (Kind.PAD, "pads")):
            ranges = [placed.departure_s + self._pair(placed.taken, taken, kind) for placed in near.values()]
            names = sorted(hold.name for hold in taken.holds if hold.kind is kind and hold.name)
            yield " ".join([name, *dict.fromkeys(names)]), np.concatenate([NOTHING, *ranges])
        yield from self._intents.forbidden(taken)
        for use in footprint.uses:
            yield use.resource, self._capacity[use.resource].forbidden(*self._late(use))

    def _pack(self, packs: Packs, shape: TripShape, departure_s: float) -> tuple[float, str] | None:
        take_s, back_s = self._pack_span(0.0, shape)
        return packs.first(departure_s, shape.latest_s, before_s=-take_s, after_s=back_s, energy_wh=shape.energy_wh)

    def _packs_free(self, vehicle: FleetVehicle, shape: TripShape, soonest: float) -> bool:
        packs = self._packs.get(_station(vehicle))
        return packs is None or self._pack(packs, shape, soonest) is not None

    def _pack_span(self, departure_s: float, shape: TripShape) -> tuple[float, float]:
        """From when until when a pack is with its vehicle, lateness included."""
        times, late_s = self._book.problem.pad_times, self._apart.slack_s(shape.seconds, 0.0)
        return departure_s - times.ready_s, departure_s + shape.seconds + late_s + times.clear_s

    def _late(self, use: Use) -> tuple[float, float]:
        """A use as long as lateness and drift may make it."""
        apart = self._apart
        return use.begin_s * (1.0 - apart.drift), use.end_s * (1.0 + apart.drift) + apart.late_s


def _station(vehicle: FleetVehicle) -> tuple[str, str]:
    return vehicle.home_site, vehicle.type.type_id
