"""What a plan costs, why it leaves orders out, and what small change would serve them."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

import shapely

from routing.airspace import ring_area
from routing.board import PACKS
from routing.cause import Cause
from routing.eligibility import Blocked, Unservable, blocked, check_sites
from routing.errors import BadInput
from routing.plan import Plan, StopAction
from routing.problem import Category, FleetVehicle, OrderRequest, Pack, Problem
from routing.problem_check import check_problem
from routing.running import RunningPlan
from routing.travel import Travel
from routing.trips import DELAY_WEIGHT, drop_penalty_s


class Change(StrEnum):
    """Kinds of changes that would serve an order. The values are stable: user interfaces translate them."""

    NONE = "none"
    WINDOW_LATER = "window_later"
    WINDOW_EARLIER = "window_earlier"
    LESS_MASS = "less_mass"
    LESS_VOLUME = "less_volume"
    LONGER_SHIFT = "longer_shift"
    MORE_TRIPS = "more_trips"
    MORE_PACKS = "more_packs"
    MORE_PILOTS = "more_pilots"
    ANOTHER_VEHICLE = "another_vehicle"
    STRONGER_BATTERY = "stronger_battery"
    ZONE_OPEN = "zone_open"
    CALM = "calm"


EFFORT = {
    Change.NONE: 0.0,
    Change.WINDOW_LATER: 1.0,
    Change.WINDOW_EARLIER: 1.0,
    Change.LONGER_SHIFT: 2.0,
    Change.MORE_TRIPS: 20.0,
    Change.LESS_MASS: 60.0,
    Change.LESS_VOLUME: 20.0,
    Change.MORE_PACKS: 60.0,
    Change.MORE_PILOTS: 120.0,
    Change.ZONE_OPEN: 180.0,
    Change.ANOTHER_VEHICLE: 240.0,
    Change.CALM: 480.0,
    Change.STRONGER_BATTERY: 4.0,
}
"""What a change takes, in minutes of a dispatcher's trouble: for each minute, kg, L or Wh of it, or as it is. A rough
order of what is asked for first: a customer's patience, a lighter parcel, packs, people, airspace, aircraft."""

LONGEST_WAIT = timedelta(hours=4)
"""So much later or earlier at most a window is tried."""

MOST_ZONES = 4
"""Zones that are tried to be open, the nearest to the straight way first."""

_ROUND_KG, _ROUND_L = 0.05, 0.1


@dataclass(frozen=True, slots=True)
class CostParts:
    """The cost of a plan by part, in seconds of travel (``routing.trips``)."""

    travel: float
    turnarounds: float
    waiting: float
    lateness: float
    unserved: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.travel + self.turnarounds + self.waiting + self.lateness + self.unserved


@dataclass(frozen=True, slots=True)
class VehicleBlock:
    """What keeps one vehicle from an order. ``short_by``: how much is missing, in ``Blocked``'s units."""

    vehicle_id: str
    cause: Cause
    message: str
    short_by: float = 0.0


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change with which the order is served beside all that is planned, as was tried out.

    ``amount`` is in minutes, kg, L, Wh or pieces, by the kind of change; ``subject`` the vehicle, site or zone.
    """

    change: Change
    amount: float
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class OrderExplained:
    """Why an order is not served: what blocks each vehicle, and changes that would serve it, the cheapest first.

    ``problem``: what is wrong with the order itself, whatever the vehicle.
    """

    order_id: str
    problem: tuple[Cause, str] | None
    blocks: tuple[VehicleBlock, ...]
    remedies: tuple[Remedy, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What ``explain`` finds. ``orders`` are those not served, in the problem's sequence."""

    cost: CostParts
    orders: tuple[OrderExplained, ...]


def explain(problem: Problem, plan: Plan, *, seconds: float = 10.0) -> Explanation:
    """Return the plan's cost by part and, for each order that it does not serve, why and what would help.

    Each remedy has been tried: with it, the order has a place in this very plan that keeps every rule. After
    ``seconds`` no more remedies are tried. Raises ``BadInput`` for a problem that contradicts itself.
    """
    check_problem(problem)
    deadline = time.monotonic() + seconds
    running = RunningPlan(problem, plan)
    left = {entry.order_id for entry in plan.unserved}
    return Explanation(
        cost_parts(problem, plan),
        tuple(_Explainer(running, order, deadline).explained() for order in problem.orders if order.order_id in left),
    )


def cost_parts(problem: Problem, plan: Plan) -> CostParts:
    """The cost of a plan by part; orders of the plan must be the problem's."""
    orders = {order.order_id: order for order in problem.orders}
    vehicles = {vehicle.vehicle_id: vehicle for vehicle in problem.vehicles}
    travel = turnarounds = waiting = lateness = 0.0
    for route in plan.routes:
        for trip in route.trips:
            travel += (trip.arrive - trip.depart).total_seconds()
            turnarounds += vehicles[route.vehicle_id].type.turnaround_s
            for leg in trip.legs:
                for order in (orders[order_id] for order_id in leg.order_ids if leg.action is StopAction.DROP):
                    promised = max(problem.start, order.earliest)
                    waiting += DELAY_WEIGHT * max(0.0, (leg.arrive - promised).total_seconds())
                    if order.due is not None:
                        lateness += order.late_cost * max(0.0, (leg.arrive - order.due).total_seconds())
    unserved = sum(drop_penalty_s(orders[entry.order_id]) for entry in plan.unserved)
    return CostParts(travel, turnarounds, waiting, lateness, unserved)


class _Explainer:
    """Explains one order in a plan."""

    def __init__(self, running: RunningPlan, order: OrderRequest, deadline: float) -> None:
        self._running, self._order, self._deadline = running, order, deadline
        self._book, self._roster, self._problem = running.book, running.roster, running.problem
        self._tried = itertools.count(1)

    def explained(self) -> OrderExplained:
        """What blocks it, and what would help."""
        try:
            check_sites(self._book, self._order)
        except Unservable as reason:
            return OrderExplained(self._order.order_id, (reason.cause, str(reason)), (), ())
        blocks = [self._block(i, vehicle) for i, vehicle in enumerate(self._problem.vehicles)]
        found: list[Remedy] = []
        for remedy in self._remedies(blocks):
            found.append(remedy)
            if time.monotonic() > self._deadline:
                break
        found.sort(key=_effort)
        shown = tuple(
            VehicleBlock(vehicle.vehicle_id, block.cause, block.message, block.short_by)
            for vehicle, block in zip(self._problem.vehicles, blocks, strict=True)
            if block is not None
        )
        return OrderExplained(self._order.order_id, None, shown, tuple(found))

    def _block(self, index: int, vehicle: FleetVehicle) -> Blocked | None:
        """What keeps a vehicle from the order, alone or beside what is planned; ``None`` where nothing does."""
        alone = blocked(self._book, self._order, vehicle)
        if alone is not None:
            return alone
        if self._roster.place(self._order.order_id, [index]) is not None:
            return None
        if not self._roster.candidates(self._order.order_id, [index]):
            trips = len(self._roster.of_vehicle(index))
            full = trips >= self._problem.max_trips_per_vehicle
            words = f"makes {trips} trips already" if full else "is busy with other orders in the time window"
            return Blocked(Cause.CAPACITY, words)
        visits = self._book.visits(vehicle, self._order.order_id)
        names = self._roster.board.blocked_by(vehicle, visits, self._book.ready_s(vehicle))
        return Blocked(_crowd(names), f"finds no free slot: {', '.join(names) or 'other trips'}")

    def _remedies(self, blocks: list[Blocked | None]) -> Iterator[Remedy]:
        """Changes that serve the order, each tried; those that cost least are tried first."""
        if any(block is None for block in blocks):
            yield Remedy(Change.NONE, 0.0, "", "nothing need change: there is a place for it now; plan again")
            return
        causes = {block.cause for block in blocks if block is not None}
        yield from self._later(causes)
        yield from self._lighter(blocks)
        yield from self._longer_shift(blocks)
        if Cause.CAPACITY in causes:
            yield from self._more_trips()
        if Cause.PACKS in causes:
            yield from self._more_packs()
        if Cause.PILOT_LIMIT in causes:
            yield from self._more_pilots()
        if causes & {Cause.CAPACITY, Cause.CROWDED, Cause.WINDOW, Cause.PILOT_LIMIT, Cause.PACKS, Cause.SHIFT}:
            yield from self._another_vehicle()
        if Cause.AIRSPACE in causes:
            yield from self._open_zone()
        if causes & {Cause.WIND, Cause.ENERGY} and self._problem.wind.speed_mps > 0.0:
            yield from self._calm()
        if Cause.ENERGY in causes:
            yield from self._stronger(blocks)

    def _serves(self, order: OrderRequest) -> float | None:
        """When a changed order would be dropped, beside all that is planned: seconds from the problem's start."""
        if time.monotonic() > self._deadline:
            return None
        trial = replace(order, order_id=f"{order.order_id} (trial {next(self._tried)})")
        self._book.add(trial)
        able = [i for i, v in enumerate(self._problem.vehicles) if blocked(self._book, trial, v) is None]
        place = self._roster.place(trial.order_id, able) if able else None
        self._book.forget(trial.order_id)
        if place is None:
            return None
        dropped = next(
            leg for leg in place.shape.legs if leg.action is StopAction.DROP and trial.order_id in leg.order_ids
        )
        return place.slot.departure_s + dropped.arrive_s

    def _later(self, causes: set[Cause]) -> Iterator[Remedy]:
        order, start = self._order, self._problem.start
        if not causes & {Cause.WINDOW, Cause.CAPACITY, Cause.CROWDED, Cause.PILOT_LIMIT, Cause.PACKS}:
            return
        # Lateness costs so much that the soonest place is the cheapest.
        longer = replace(order, latest=order.latest + LONGEST_WAIT, due=order.latest, late_cost=1_000.0)
        at_s = self._serves(longer)
        if at_s is not None:
            minutes = math.ceil((start + timedelta(seconds=at_s) - order.latest).total_seconds() / 60.0)
            exact = replace(order, latest=order.latest + timedelta(minutes=max(1, minutes)))
            if self._serves(exact) is not None:
                yield Remedy(Change.WINDOW_LATER, max(1, minutes), "", f"window {max(1, minutes)} min longer")
        for minutes in (15, 30, 60, 120):
            earlier = replace(order, earliest=order.earliest - timedelta(minutes=minutes))
            if self._serves(earlier) is not None:
                yield Remedy(Change.WINDOW_EARLIER, minutes, "", f"window from {minutes} min earlier on")
                return

    def _lighter(self, blocks: list[Blocked | None]) -> Iterator[Remedy]:
        order = self._order
        for cause, change, unit, step, have in (
            (Cause.MASS, Change.LESS_MASS, "kg", _ROUND_KG, order.mass_kg),
            (Cause.VOLUME, Change.LESS_VOLUME, "L", _ROUND_L, order.volume_l),
        ):
            amounts = sorted({block.short_by for block in blocks if block is not None and block.cause is cause})
            for short in amounts:
                less = round(math.ceil(short / step - 1e-9) * step, 6)
                if less >= have:
                    continue
                mass = cause is Cause.MASS
                lighter = replace(order, mass_kg=have - less) if mass else replace(order, volume_l=have - less)
                if self._serves(lighter) is not None:
                    yield Remedy(change, less, "", f"{less:g} {unit} less")
                    break

    def _longer_shift(self, blocks: list[Blocked | None]) -> Iterator[Remedy]:
        for vehicle, block in zip(self._problem.vehicles, blocks, strict=True):
            if block is None or block.cause is not Cause.SHIFT or vehicle.shift_end is None:
                continue
            minutes = math.ceil(block.short_by / 60.0)
            longer = replace(vehicle, shift_end=vehicle.shift_end + timedelta(minutes=minutes))
            others = (longer if v.vehicle_id == vehicle.vehicle_id else v for v in self._problem.vehicles)
            if self._helps(replace(self._problem, vehicles=tuple(others))):
                words = f"shift of {vehicle.vehicle_id} {minutes} min longer"
                yield Remedy(Change.LONGER_SHIFT, minutes, vehicle.vehicle_id, words)
                return

    def _more_trips(self) -> Iterator[Remedy]:
        most = self._problem.max_trips_per_vehicle + 1
        if self._helps(replace(self._problem, max_trips_per_vehicle=most)):
            yield Remedy(Change.MORE_TRIPS, 1, "", f"{most} trips for each vehicle")

    def _more_packs(self) -> Iterator[Remedy]:
        for number, station in enumerate(self._problem.stations):
            more = replace(station, packs=(*station.packs, Pack("one more")))
            stations = (*self._problem.stations[:number], more, *self._problem.stations[number + 1 :])
            if self._helps(replace(self._problem, stations=stations)):
                yield Remedy(Change.MORE_PACKS, 1, station.site_id, f"one more battery pack at {station.site_id}")
                return

    def _more_pilots(self) -> Iterator[Remedy]:
        for number, limit in enumerate(self._problem.airborne):
            more = replace(limit, most=limit.most + 1)
            airborne = (*self._problem.airborne[:number], more, *self._problem.airborne[number + 1 :])
            if self._helps(replace(self._problem, airborne=airborne)):
                words = f"{more.most} drones of category {limit.category} in the air at once"
                yield Remedy(Change.MORE_PILOTS, 1, limit.category.value, words)
                return

    def _another_vehicle(self) -> Iterator[Remedy]:
        tried = set()
        for vehicle in self._problem.vehicles:
            kind = (vehicle.type.type_id, vehicle.home_site)
            alone = blocked(self._book, self._order, vehicle)
            if kind in tried or (alone is not None and alone.cause not in (Cause.WINDOW, Cause.SHIFT)):
                continue
            tried.add(kind)
            another = replace(
                vehicle, vehicle_id="one more", pad=None, available_from=self._problem.start, shift_end=None
            )
            try:
                more = replace(self._problem, vehicles=(*self._problem.vehicles, another))
                check_problem(more)
            except BadInput:
                continue
            if self._helps(more):
                count = sum(1 for v in self._problem.vehicles if (v.type.type_id, v.home_site) == kind) + 1
                words = f"a vehicle more: {count} {vehicle.type.name} at {vehicle.home_site}"
                yield Remedy(Change.ANOTHER_VEHICLE, 1, vehicle.home_site, words)
                return

    def _open_zone(self) -> Iterator[Remedy]:
        region = self._problem.region
        places = [self._book.places[site] for site in (self._order.pickup_site, self._order.dropoff_site)]
        straight = shapely.LineString(places)
        near = []
        for zone in (*region.zones, *self._problem.zones):
            away_m = float(shapely.distance(ring_area(zone.ring, region.frame), straight))
            near.append((away_m, zone.zone_id))
        for _, zone_id in sorted(near)[:MOST_ZONES]:
            without = replace(region, zones=tuple(zone for zone in region.zones if zone.zone_id != zone_id))
            rest = tuple(zone for zone in self._problem.zones if zone.zone_id != zone_id)
            opened = replace(self._problem, region=without, zones=rest)
            if self._helps(opened, Travel.of(opened)):
                yield Remedy(Change.ZONE_OPEN, 1, zone_id, f"zone {zone_id} open")
                return

    def _calm(self) -> Iterator[Remedy]:
        calm = replace(self._problem, wind=type(self._problem.wind)())
        if self._helps(calm, self._book.travel.in_calm()):
            yield Remedy(Change.CALM, 1, "", "no wind: try again when it has dropped")

    def _stronger(self, blocks: list[Blocked | None]) -> Iterator[Remedy]:
        short = [
            (block.short_by, vehicle)
            for vehicle, block in zip(self._problem.vehicles, blocks, strict=True)
            if block is not None and block.cause is Cause.ENERGY
        ]
        least, vehicle = min(short, key=lambda each: each[0])
        usable = self._book.usable_wh(vehicle)
        more_wh = math.ceil(least / max(usable, 1e-9) * vehicle.type.battery_wh)
        stronger = replace(vehicle.type, battery_wh=vehicle.type.battery_wh + more_wh)
        vehicles = tuple(replace(v, type=stronger) if v.type == vehicle.type else v for v in self._problem.vehicles)
        if self._helps(replace(self._problem, vehicles=vehicles), None):
            words = f"{more_wh} Wh more battery in {vehicle.type.name}"
            yield Remedy(Change.STRONGER_BATTERY, more_wh, vehicle.type.type_id, words)

    def _helps(self, changed: Problem, travel: Travel | None = None) -> bool:
        """Whether the order has a place in the plan, carried over to a changed problem."""
        if time.monotonic() > self._deadline:
            return False
        running = RunningPlan(changed, self._running.plan(), travel=travel or self._book.travel)
        if running.released:
            return False
        order = running.book.orders[self._order.order_id]
        able = [i for i, v in enumerate(changed.vehicles) if blocked(running.book, order, v) is None]
        return running.roster.place(order.order_id, able) is not None


def _crowd(names: tuple[str, ...]) -> Cause:
    """What kind of thing it is that other trips have taken."""
    categories = {category.value for category in Category}
    if any(name in categories for name in names):
        return Cause.PILOT_LIMIT
    if any(name.startswith(PACKS) for name in names):
        return Cause.PACKS
    if any(name.startswith("pads") for name in names):
        return Cause.PADS
    return Cause.CROWDED


def _effort(remedy: Remedy) -> float:
    scaled = remedy.change in (
        Change.WINDOW_LATER,
        Change.WINDOW_EARLIER,
        Change.LESS_MASS,
        Change.LESS_VOLUME,
        Change.LONGER_SHIFT,
        Change.STRONGER_BATTERY,
    )
    return EFFORT[remedy.change] * (remedy.amount if scaled else 1.0)
