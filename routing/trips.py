"""Trips with their exact times and energy: what the solver's proposals are measured by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from routing.energy import movement_wh, service_wh, usable_wh
from routing.plan import Leg, Route, StopAction, Trip
from routing.problem import FleetVehicle, OrderRequest, Problem
from routing.travel import Travel, Way
from routing.vehicle_type import VehicleType

OrderIds = tuple[str, ...]
Tour = tuple[OrderIds, ...]
"""The trips of one vehicle, each the orders in the sequence in which they are dropped."""

DELAY_WEIGHT = 0.1
"""What a second of waiting of an order's recipient costs, in seconds of travel."""

DROP_PENALTY_S = 36_000
"""What an unserved order of priority 0 costs, in seconds of travel: more than any trip."""

MAX_PRIORITY = 100

HORIZON_S = 30 * 86_400
"""Plans reach this far ahead of the problem's start; a window's end beyond it is taken as here."""


def drop_penalty_s(order: OrderRequest) -> int:
    """Cost of not serving an order; each step of priority adds the same again (from 0 up to 100)."""
    return DROP_PENALTY_S * (1 + min(MAX_PRIORITY, max(0, order.priority)))


@dataclass(frozen=True, slots=True)
class TripShape:
    """A trip before it has a time. Seconds count from its departure.

    ``stops`` holds for each stop the site, its orders and the seconds at arrival; departure must lie in
    ``[soonest_s, latest_s]`` (seconds from the problem's start) for all windows to be met.
    """

    stops: tuple[tuple[str, OrderIds, int], ...]
    seconds: int
    energy_wh: float
    soonest_s: int
    latest_s: int


class TripBook:
    """Works trips out for one problem, each sequence of orders once for each type and home."""

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
        self._shapes: dict[tuple[VehicleType, str, OrderIds], TripShape | None] = {}

    def window_s(self, order_id: str) -> tuple[int, int]:
        """Earliest and latest drop of an order in whole seconds from the problem's start."""
        return self._windows[order_id]

    def ready_s(self, vehicle: FleetVehicle) -> int:
        """When a vehicle may first depart, in whole seconds from the problem's start."""
        return max(0, math.ceil((vehicle.available_from - self.problem.start).total_seconds()))

    def shape(self, vehicle: FleetVehicle, order_ids: OrderIds) -> TripShape | None:
        """Return the trip of these orders, or ``None`` when load, energy or windows forbid it.

        All ways must exist (``Travel.way`` raises ``NoWay`` else).
        """
        key = (vehicle.type, vehicle.home_site, order_ids)
        if key not in self._shapes:
            self._shapes[key] = self._work_out(vehicle.type, vehicle.home_site, order_ids)
        return self._shapes[key]

    def _work_out(self, vehicle_type: VehicleType, home: str, order_ids: OrderIds) -> TripShape | None:
        if not self.fits(vehicle_type, order_ids):
            return None
        legs = list(self._legs(vehicle_type, home, order_ids))
        energy = sum(leg.energy_wh for leg in legs)
        if energy > usable_wh(vehicle_type):
            return None
        stops = tuple((leg.to_site, leg.order_ids, leg.arrive_s) for leg in legs[:-1])
        lows = [self._windows[o][0] - arrive for _, orders, arrive in stops for o in orders]
        highs = [self._windows[o][1] - arrive for _, orders, arrive in stops for o in orders]
        if max(lows) > min(highs):
            return None
        return TripShape(stops, legs[-1].arrive_s, energy, max(lows), min(highs))

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
        return sum(leg.energy_wh for leg in self._legs(vehicle.type, vehicle.home_site, (order_id,)))

    def _legs(self, vehicle_type: VehicleType, home: str, order_ids: OrderIds) -> Iterable[_LegShape]:
        payload = sum(self.orders[order_id].mass_kg for order_id in order_ids)
        here, now = home, 0
        for site, orders in self._stops(order_ids):
            way = self.travel.way(vehicle_type, here, site)
            energy = movement_wh(vehicle_type, payload, way.movement)
            energy += service_wh(vehicle_type, payload, vehicle_type.service_s)
            arrive = now + way.seconds
            yield _LegShape(site, orders, way, now, arrive, energy)
            payload = max(0.0, payload - sum(self.orders[order_id].mass_kg for order_id in orders))
            here, now = site, arrive + math.ceil(vehicle_type.service_s)
        way = self.travel.way(vehicle_type, here, home)
        yield _LegShape(home, (), way, now, now + way.seconds, movement_wh(vehicle_type, 0.0, way.movement))

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
        """Soonest departures of a vehicle's trips in seconds from the start; ``None`` if they cannot be."""
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

    def cost(self, vehicle: FleetVehicle, tour: Tour) -> float:
        """Seconds of travel and turnaround, and recipients' waiting; infinite if the tour cannot be."""
        departures = self.departures(vehicle, tour)
        if departures is None:
            return math.inf
        total = 0.0
        for order_ids, departure in zip(tour, departures, strict=True):
            shape = self.shape(vehicle, order_ids)
            assert shape is not None
            total += shape.seconds + vehicle.type.turnaround_s
            for _, orders, arrive in shape.stops:
                for order_id in orders:
                    promised = max(0, self._windows[order_id][0])
                    total += DELAY_WEIGHT * max(0, departure + arrive - promised)
        return total

    def route(self, vehicle: FleetVehicle, tour: Tour) -> Route:
        """Return the route of a tour that can be; trips are named ``{vehicle_id}-t{n}`` from 1 on."""
        departures = self.departures(vehicle, tour)
        assert departures is not None
        return Route(
            vehicle.vehicle_id,
            vehicle.home_site,
            tuple(
                Trip(f"{vehicle.vehicle_id}-t{n}", self._timed(vehicle, order_ids, departure))
                for n, (order_ids, departure) in enumerate(zip(tour, departures, strict=True), start=1)
            ),
        )

    def _timed(self, vehicle: FleetVehicle, order_ids: OrderIds, departure_s: int) -> tuple[Leg, ...]:
        def at(seconds: int) -> datetime:
            return self.problem.start + timedelta(seconds=departure_s + seconds)

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
            for leg in self._legs(vehicle.type, vehicle.home_site, order_ids)
        )


@dataclass(frozen=True, slots=True)
class _LegShape:
    to_site: str
    order_ids: OrderIds
    way: Way
    depart_s: int
    arrive_s: int
    energy_wh: float


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
