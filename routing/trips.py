"""Trips with their exact times and energy: what the solver's proposals are measured by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from routing.energy import movement_wh, service_wh, usable_wh
from routing.errors import NoWay
from routing.plan import Leg, Route, StopAction, Trip
from routing.problem import FleetVehicle, OrderRequest, Problem
from routing.travel import Stop, Travel, Way
from routing.vehicle_type import VehicleKind, VehicleType
from routing.wind import CALM

OrderIds = tuple[str, ...]
Tour = tuple[OrderIds, ...]
"""The trips of one vehicle, each the orders in the sequence in which they are dropped."""

DELAY_WEIGHT = 0.1
"""What a second of waiting of an order's recipient costs, in seconds of travel."""

DROP_PENALTY_S = 36_000
"""What an unserved order of priority 0 costs, in seconds of travel: more than any trip."""

MAX_PRIORITY = 100

LAYERS = ((0, 1), (2, 1), (0, 3), (2, 3))
"""In which layers a drone may fly: on its way out, and on its way home. The first is the usual one; the way home
lies above the way out, so that those who come and those who go on one line are apart."""

LAYER_EXTRA_M = 5.0
"""Layers are the vertical separation and this much apart: samples of climbing flights lie up to 3 m from the line."""

HORIZON_S = 30 * 86_400
"""Plans reach this far ahead of the problem's start; a window's end beyond it is taken as here."""


def drop_penalty_s(order: OrderRequest) -> int:
    """Cost of not serving an order; each step of priority adds the same again (from 0 up to 100)."""
    return DROP_PENALTY_S * (1 + min(MAX_PRIORITY, max(0, order.priority)))


@dataclass(frozen=True, slots=True)
class LegShape:
    """One leg; seconds count from the trip's departure."""

    to_site: str
    order_ids: OrderIds
    way: Way
    depart_s: int
    arrive_s: int
    energy_wh: float


@dataclass(frozen=True, slots=True, eq=False)
class TripShape:
    """A trip before it has a time.

    Departure must lie in ``[soonest_s, latest_s]`` (seconds from the problem's start) for all windows to be met.
    """

    legs: tuple[LegShape, ...]
    energy_wh: float
    soonest_s: int
    latest_s: int

    @property
    def seconds(self) -> int:
        """From departure until it is back."""
        return self.legs[-1].arrive_s


@dataclass(frozen=True, slots=True)
class Slot:
    """When a trip departs, in seconds from the problem's start, and its layers, an index into ``LAYERS``."""

    departure_s: int
    layers: int = 0


class TripBook:
    """Works trips out for one problem, each sequence of orders once for each type, home and pad."""

    def __init__(self, problem: Problem, travel: Travel) -> None:
        self.problem = problem
        self.travel = travel
        self.orders = {order.order_id: order for order in problem.orders}
        self._windows = {
            order.order_id: (
                math.ceil((order.earliest - problem.start).total_seconds()),
                min(HORIZON_S, math.floor((order.latest - problem.start).total_seconds())),
            )
            for order in problem.orders
        }
        self._layer_m = problem.separation.vertical_m + LAYER_EXTRA_M
        self._drop_pads = _free_pads(problem)
        self._calm: TripBook | None = None
        self._shapes: dict[tuple[VehicleType, Stop, OrderIds, int], TripShape | None] = {}

    def in_calm(self) -> TripBook:
        """The same trips without wind."""
        if self._calm is None:
            still = self.problem.wind.speed_mps == 0.0
            self._calm = self if still else TripBook(replace(self.problem, wind=CALM), self.travel.in_calm())
        return self._calm

    def window_s(self, order_id: str) -> tuple[int, int]:
        """Earliest and latest drop of an order in whole seconds from the problem's start."""
        return self._windows[order_id]

    def ready_s(self, vehicle: FleetVehicle) -> int:
        """When a vehicle may first depart, in whole seconds from the problem's start."""
        return max(0, math.ceil((vehicle.available_from - self.problem.start).total_seconds()))

    def home(self, vehicle: FleetVehicle) -> Stop:
        """Where a vehicle stands."""
        return Stop(vehicle.home_site, vehicle.pad if vehicle.type.kind is VehicleKind.DRONE else 0, home=True)

    def drop(self, vehicle_type: VehicleType, site_id: str) -> Stop | None:
        """Where a vehicle of a type drops at a site: ``None`` for a drone where all pads are other drones' homes."""
        if vehicle_type.kind is VehicleKind.ROBOT:
            return Stop(site_id)
        pad = self._drop_pads.get(site_id)
        return None if pad is None else Stop(site_id, pad)

    def layer_choices(self, vehicle_type: VehicleType) -> range:
        """Indices into ``LAYERS`` that make a difference."""
        return range(len(LAYERS) if vehicle_type.kind is VehicleKind.DRONE else 1)

    def shape(self, vehicle: FleetVehicle, order_ids: OrderIds, layers: int = 0) -> TripShape | None:
        """Return the trip of these orders, or ``None`` when load, energy or windows forbid it.

        All ways must exist (``Travel.way`` raises ``NoWay`` else).
        """
        key = (vehicle.type, self.home(vehicle), order_ids, layers)
        if key not in self._shapes:
            self._shapes[key] = self._work_out(*key)
        return self._shapes[key]

    def _work_out(self, vehicle_type: VehicleType, home: Stop, order_ids: OrderIds, layers: int) -> TripShape | None:
        if not self.fits(vehicle_type, order_ids):
            return None
        legs = tuple(self._legs(vehicle_type, home, order_ids, layers))
        energy = sum(leg.energy_wh for leg in legs)
        if energy > usable_wh(vehicle_type):
            return None
        lows = [self._windows[o][0] - leg.arrive_s for leg in legs for o in leg.order_ids]
        highs = [self._windows[o][1] - leg.arrive_s for leg in legs for o in leg.order_ids]
        if max(lows) > min(highs):
            return None
        return TripShape(legs, energy, max(lows), min(highs))

    def fits(self, vehicle_type: VehicleType, order_ids: Iterable[str]) -> bool:
        """Whether the vehicle holds all these orders at once, by mass and volume."""
        orders = [self.orders[order_id] for order_id in order_ids]
        # A thousandth of a gram of tolerance: sums of decimals are not exact in binary.
        return (
            sum(order.mass_kg for order in orders) <= vehicle_type.payload_kg + 1e-6
            and sum(order.volume_l for order in orders) <= vehicle_type.payload_l + 1e-6
        )

    def single_trip_wh(self, vehicle: FleetVehicle, order_id: str) -> float:
        """Energy of a trip with one order, whatever the battery holds."""
        return sum(leg.energy_wh for leg in self._legs(vehicle.type, self.home(vehicle), (order_id,), 0))

    def _legs(self, vehicle_type: VehicleType, home: Stop, order_ids: OrderIds, layers: int) -> Iterable[LegShape]:
        payload = sum(self.orders[order_id].mass_kg for order_id in order_ids)
        out_m, home_m = (layer * self._layer_m for layer in LAYERS[layers])
        here, now = home, 0
        for site, orders in self._stops(order_ids):
            stop = self.drop(vehicle_type, site)
            if stop is None:
                raise NoWay(f"every pad of {site} is the home of a drone")
            way = self.travel.way(vehicle_type, here, stop, layer_m=out_m)
            energy = movement_wh(vehicle_type, payload, way.movement)
            energy += service_wh(vehicle_type, payload, vehicle_type.service_s)
            arrive = now + way.seconds
            yield LegShape(site, orders, way, now, arrive, energy)
            payload = max(0.0, payload - sum(self.orders[order_id].mass_kg for order_id in orders))
            here, now = stop, arrive + math.ceil(vehicle_type.service_s)
        way = self.travel.way(vehicle_type, here, home, layer_m=home_m)
        energy = movement_wh(vehicle_type, 0.0, way.movement)
        yield LegShape(home.site_id, (), way, now, now + way.seconds, energy)

    def _stops(self, order_ids: OrderIds) -> list[tuple[str, OrderIds]]:
        """Neighbouring orders of one site are one stop."""
        stops: list[tuple[str, OrderIds]] = []
        for order_id in order_ids:
            site = self.orders[order_id].dropoff_site
            if stops and stops[-1][0] == site:
                stops[-1] = (site, (*stops[-1][1], order_id))
            else:
                stops.append((site, (order_id,)))
        return stops

    def departures(self, vehicle: FleetVehicle, tour: Tour) -> list[int] | None:
        """Soonest departures of a vehicle's trips in seconds from the start, as if it were alone.

        ``None`` if they cannot be.
        """
        if len(tour) > self.problem.max_trips_per_vehicle:
            return None
        free = self.ready_s(vehicle)
        departures = []
        for order_ids in tour:
            shape = self.shape(vehicle, order_ids)
            if shape is None or (departure := max(free, shape.soonest_s)) > shape.latest_s:
                return None
            departures.append(departure)
            free = departure + shape.seconds + math.ceil(vehicle.type.turnaround_s)
        return departures

    def cost(self, vehicle: FleetVehicle, tour: Tour, slots: Sequence[Slot] | None = None) -> float:
        """Seconds of travel and turnaround, and recipients' waiting; infinite if the tour cannot be.

        Without ``slots`` the vehicle is taken to be alone.
        """
        if slots is None:
            departures = self.departures(vehicle, tour)
            if departures is None:
                return math.inf
            slots = [Slot(departure) for departure in departures]
        total = 0.0
        for order_ids, slot in zip(tour, slots, strict=True):
            shape = self.shape(vehicle, order_ids, slot.layers)
            assert shape is not None
            total += shape.seconds + vehicle.type.turnaround_s
            for leg in shape.legs:
                for order_id in leg.order_ids:
                    promised = max(0, self._windows[order_id][0])
                    total += DELAY_WEIGHT * max(0, slot.departure_s + leg.arrive_s - promised)
        return total

    def route(self, vehicle: FleetVehicle, tour: Tour, slots: Sequence[Slot]) -> Route:
        """Return the route of a tour that can be; trips are named ``{vehicle_id}-t{n}`` from 1 on."""
        return Route(
            vehicle.vehicle_id,
            vehicle.home_site,
            tuple(
                Trip(f"{vehicle.vehicle_id}-t{n}", self._timed(vehicle, order_ids, slot))
                for n, (order_ids, slot) in enumerate(zip(tour, slots, strict=True), start=1)
            ),
        )

    def _timed(self, vehicle: FleetVehicle, order_ids: OrderIds, slot: Slot) -> tuple[Leg, ...]:
        def at(seconds: int) -> datetime:
            return self.problem.start + timedelta(seconds=slot.departure_s + seconds)

        shape = self.shape(vehicle, order_ids, slot.layers)
        assert shape is not None
        service = math.ceil(vehicle.type.service_s)
        return tuple(
            Leg(
                to_site=leg.to_site,
                action=StopAction.DROP if leg.order_ids else StopAction.HOME,
                order_ids=leg.order_ids,
                path=leg.way.path,
                nodes=leg.way.nodes,
                depart=at(leg.depart_s),
                arrive=at(leg.arrive_s),
                leave=at(leg.arrive_s + (service if leg.order_ids else 0)),
                distance_m=leg.way.movement.distance_m,
                energy_wh=leg.energy_wh,
            )
            for leg in shape.legs
        )


def _free_pads(problem: Problem) -> dict[str, int]:
    """For each site the first pad on which no drone stands."""
    taken = {(v.home_site, v.pad) for v in problem.vehicles if v.type.kind is VehicleKind.DRONE}
    free = {}
    for site in problem.region.sites:
        left = [pad for pad in range(len(site.pads)) if (site.site_id, pad) not in taken]
        if left:
            free[site.site_id] = left[0]
    return free


def without(tour: Tour, order_id: str) -> Tour:
    """Return the tour without an order, and without the trip that it leaves empty."""
    shorter = (tuple(o for o in order_ids if o != order_id) for order_ids in tour)
    return tuple(order_ids for order_ids in shorter if order_ids)


def with_order(tour: Tour, order_id: str, *, max_trips: int) -> Iterable[Tour]:
    """Yield every tour that one more order makes: at any place of any trip, or on a trip of its own."""
    for i, order_ids in enumerate(tour):
        for j in range(len(order_ids) + 1):
            yield (*tour[:i], (*order_ids[:j], order_id, *order_ids[j:]), *tour[i + 1 :])
    if len(tour) < max_trips:
        for i in range(len(tour) + 1):
            yield (*tour[:i], (order_id,), *tour[i:])


def served(tours: Sequence[Tour]) -> set[str]:
    """Orders on any of the tours."""
    return {order_id for tour in tours for order_ids in tour for order_id in order_ids}
