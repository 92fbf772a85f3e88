"""Rules about battery packs: each trip takes a full one of its home's, and chargers charge one at a time."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from routing.energy import capacity_wh
from routing.plan import Plan, Trip
from routing.problem import FleetVehicle, Problem, Station
from routing.validate.context import trips_of
from routing.validate.violation import Violation

_ROUNDING_S = 0.5


@dataclass(frozen=True, slots=True)
class _Use:
    """A pack is with a vehicle from ``take_s`` to ``back_s``, and then charged for ``charge_s``."""

    trip: Trip
    vehicle: FleetVehicle
    pack_id: str
    take_s: float
    back_s: float
    charge_s: float


def check_stations(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Yield trips without a pack of their home's, with one that another has, and with one that is not full.

    A pack is with its vehicle from ``pad_times.ready_s`` before the departure until ``pad_times.clear_s`` after the
    return, as late as that may be. Packs go on the chargers in the sequence in which they come back.
    """
    stations = {(station.site_id, station.type_id): station for station in problem.stations}
    uses: dict[tuple[str, str], list[_Use]] = defaultdict(list)
    for context in trips_of(problem, plan):
        trip, vehicle = context.trip, context.vehicle
        key = (vehicle.home_site, vehicle.type.type_id)
        station = stations.get(key)
        if station is None:
            if trip.pack_id is not None:
                text = f"names pack {trip.pack_id}; {vehicle.home_site} has no packs for {vehicle.type.type_id}"
                yield _violation("pack.known", problem, trip, vehicle, text)
        elif trip.pack_id not in {pack.pack_id for pack in station.packs}:
            named = f"names pack {trip.pack_id}, which is not" if trip.pack_id else "names no pack"
            yield _violation("pack.known", problem, trip, vehicle, f"{named} among those of {vehicle.home_site}")
        else:
            uses[key].append(_use(problem, station, trip, vehicle, str(trip.pack_id)))
    for key, taken in uses.items():
        yield from _check(problem, stations[key], taken)


def _use(problem: Problem, station: Station, trip: Trip, vehicle: FleetVehicle, pack_id: str) -> _Use:
    apart, times = problem.separation, problem.pad_times
    health = next(pack.health for pack in station.packs if pack.pack_id == pack_id)
    full_wh = capacity_wh(vehicle.type, health=health, temperature_c=problem.temperature_c)
    used_wh = sum(leg.energy_wh for leg in trip.legs)
    depart_s, arrive_s = (_seconds(problem, moment) for moment in (trip.depart, trip.arrive))
    late_s = apart.late_s + apart.drift * (arrive_s - depart_s)
    charge_s = vehicle.type.charge_s * used_wh / full_wh if full_wh > 0 else math.inf
    return _Use(trip, vehicle, pack_id, depart_s - times.ready_s, arrive_s + late_s + times.clear_s, charge_s)


def _check(problem: Problem, station: Station, uses: list[_Use]) -> Iterator[Violation]:
    full_from = {pack.pack_id: -math.inf for pack in station.packs}
    full_from |= {p.pack_id: _seconds(problem, p.full_from) for p in station.packs if p.full_from is not None}
    before: dict[str, _Use] = {}
    full_again = _charged(station, uses, full_from)
    for use in sorted(uses, key=lambda use: (use.take_s, use.trip.trip_id)):
        last = before.get(use.pack_id)
        ready_s = full_from[use.pack_id] if last is None else full_again[last.trip.trip_id]
        before[use.pack_id] = use
        short_s = ready_s - use.take_s
        if last is not None and use.take_s < last.back_s - _ROUNDING_S:
            text = (
                f"takes pack {use.pack_id} {last.back_s - use.take_s:.0f} s before {last.trip.trip_id} is back with it"
            )
            yield _violation("pack.shared", problem, use.trip, use.vehicle, text, last.back_s - use.take_s)
        elif short_s > _ROUNDING_S:
            text = f"takes pack {use.pack_id} {short_s:.0f} s before it is full"
            yield _violation("pack.charged", problem, use.trip, use.vehicle, text, short_s)


def _charged(station: Station, uses: list[_Use], full_from: dict[str, float]) -> dict[str, float]:
    """When the pack of each trip is full again."""
    # A pack that is not full at first is on a charger until then.
    waiting = sorted((moment for moment in full_from.values() if moment > 0.0), reverse=True)[: station.chargers]
    chargers = waiting + [-math.inf] * (station.chargers - len(waiting))
    heapq.heapify(chargers)
    full = {}
    for use in sorted(uses, key=lambda use: (use.back_s, use.take_s)):
        full[use.trip.trip_id] = max(use.back_s, chargers[0]) + use.charge_s if chargers else math.inf
        if chargers:
            heapq.heapreplace(chargers, full[use.trip.trip_id])
    return full


def _violation(
    rule: str, problem: Problem, trip: Trip, vehicle: FleetVehicle, text: str, size: float | None = None
) -> Violation:
    return Violation(
        rule,
        trip.trip_id,
        text,
        vehicle_id=vehicle.vehicle_id,
        at=trip.depart,
        place=problem.region.site(vehicle.home_site).position,
        size=size,
        unit="" if size is None else "s",
    )


def _seconds(problem: Problem, moment: datetime) -> float:
    return (moment - problem.start) / timedelta(seconds=1)
