"""A plan that is being carried out: what has begun, and the rest as trips that can still be changed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from routing.board import Board
from routing.cause import Cause
from routing.deconflict import given_trip
from routing.eligibility import Unservable, eligible_nearby
from routing.plan import Plan, Route, StopAction, Trip, Unserved
from routing.problem import FleetVehicle, GivenTrip, OrderRequest, Problem
from routing.roster import Roster
from routing.travel import Travel
from routing.trip_book import TripBook
from routing.trips import Slot, Visit, Visits, drop_penalty_s, order_ids

NO_ROOM = "no vehicle has room and time for it beside what is planned"


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an order went: the trip, and when it is there."""

    order_id: str
    vehicle_id: str
    trip_id: str
    departs: datetime
    arrives: datetime


def visits_of(trip: Trip) -> Visits:
    """What a trip does, as the solver knows it."""
    return tuple(
        Visit(order_id, pickup=leg.action is StopAction.PICKUP) for leg in trip.legs for order_id in leg.order_ids
    )


def slot_of(book: TripBook, vehicle: FleetVehicle, trip: Trip) -> Slot | None:
    """The slot that a trip was planned in, or ``None`` where it would not be flown or driven like that now."""
    departure_s = book.seconds(trip.depart)
    visits = visits_of(trip)
    if not departure_s.is_integer() or any(visit.order_id not in book.orders for visit in visits):
        return None
    for layers in book.layer_choices(vehicle.type):
        shape = book.shape(vehicle, visits, layers, pad=trip.pad, landing_pad=trip.landing_pad)
        if shape is None or not shape.soonest_s <= departure_s <= shape.latest_s:
            continue
        if len(trip.legs) == len(shape.legs) and all(
            book.seconds(leg.arrive) == departure_s + shaped.arrive_s and leg.path == shaped.way.path
            for leg, shaped in zip(trip.legs, shape.legs, strict=True)
        ):
            return Slot(int(departure_s), layers, trip.pad, trip.landing_pad, trip.pack_id)
    return None


def begun(plan: Plan, now: datetime) -> list[tuple[Route, Trip]]:
    """The trips of a plan that have left by now, with their routes."""
    return [(route, trip) for route in plan.routes for trip in route.trips if trip.depart <= now]


def remaining(
    problem: Problem,
    plan: Plan,
    now: datetime,
    *,
    without_orders: Iterable[str] = (),
    without_vehicles: Iterable[str] = (),
) -> Problem:
    """Return the problem of what a plan has not begun by now: begun trips are given, their vehicles free after them.

    Orders on begun trips are no longer part of it, nor are those and the vehicles that are named.
    """
    lost = set(without_vehicles)
    left = begun(plan, now)
    gone = {order_id for _, trip in left for order_id in trip.order_ids} | set(without_orders)
    fleet = {vehicle.vehicle_id: vehicle for vehicle in problem.vehicles}
    given: list[GivenTrip] = list(problem.given)
    free: dict[str, datetime] = {}
    for route, trip in left:
        vehicle = fleet[route.vehicle_id]
        until = trip.arrive + timedelta(seconds=math.ceil(vehicle.type.turnaround_s))
        free[route.vehicle_id] = max(until, free.get(route.vehicle_id, until))
        if trip.arrive > now and route.vehicle_id not in lost:
            given.append(given_trip(trip, vehicle, problem.region, wind=problem.wind, since=now))
    # So many whole seconds later that trips keep their places in time.
    start = problem.start + timedelta(seconds=max(0, math.ceil((now - problem.start).total_seconds())))
    return replace(
        problem,
        start=start,
        orders=tuple(order for order in problem.orders if order.order_id not in gone),
        vehicles=tuple(
            replace(v, available_from=max(v.available_from, free.get(v.vehicle_id, v.available_from)))
            for v in problem.vehicles
            if v.vehicle_id not in lost
        ),
        given=tuple(given),
    )


class RunningPlan:
    """The part of a plan that has not begun, ready to take orders in and out one by one.

    To make one takes as long as to look at every trip; to insert an order into it a fraction of a second.
    """

    def __init__(self, problem: Problem, plan: Plan, *, travel: Travel | None = None) -> None:
        """``problem`` is that of what remains (``remaining``); trips of ``plan`` that left before it are passed over.

        What does not fit the problem any more is taken off: ``released`` are the orders, to be inserted anew, with
        the trips that they were on.
        """
        self.problem = problem
        self.book = TripBook(problem, travel or Travel.of(problem))
        self.roster = Roster(self.book, Board(self.book))
        self.released: dict[str, Trip] = {}
        self.unserved = {entry.order_id: entry for entry in plan.unserved if entry.order_id in self.book.orders}
        self._index = {vehicle.vehicle_id: i for i, vehicle in enumerate(problem.vehicles)}
        # Trips are known again by their orders.
        self._names: dict[tuple[str, str], str] = {}
        trips = [(route.vehicle_id, trip) for route in plan.routes for trip in route.trips]
        self._used = {trip.trip_id for _, trip in trips}
        left = [(vehicle_id, trip) for vehicle_id, trip in trips if trip.depart >= problem.start]
        changed = [each for each in left if not self._adopt(*each)]
        for vehicle_id, trip in sorted(changed, key=lambda each: each[1].depart):
            self._refit(vehicle_id, trip)

    def prepare(self) -> None:
        """Work out the ways to drop points that are in use, in all layers: orders for them go in the more quickly."""
        self.book.prepare_homes()

    def _adopt(self, vehicle_id: str, trip: Trip) -> bool:
        """Put a planned trip where it was; return whether it can be so still."""
        i = self._index.get(vehicle_id)
        slot = None if i is None else slot_of(self.book, self.problem.vehicles[i], trip)
        if i is None or slot is None:
            return False
        visits = visits_of(trip)
        self.roster.put(i, self.roster.board.at(self.problem.vehicles[i], visits, slot))
        self._remember(vehicle_id, visits, trip.trip_id)
        return True

    def _refit(self, vehicle_id: str, trip: Trip) -> None:
        """Put what is left of a trip as near to its time as can be, or release its orders."""
        visits = tuple(visit for visit in visits_of(trip) if visit.order_id in self.book.orders)
        i = self._index.get(vehicle_id)
        if i is not None and visits and self.roster.fit(i, visits, math.ceil(self.book.seconds(trip.depart))):
            self._remember(vehicle_id, visits, trip.trip_id)
        else:
            self.released |= dict.fromkeys(order_ids(visits), trip)

    def _remember(self, vehicle_id: str, visits: Visits, trip_id: str) -> None:
        for order_id in order_ids(visits):
            self._names[vehicle_id, order_id] = trip_id

    def insert(self, order: OrderRequest) -> Placed | Unserved:
        """Put one more order into the plan where it costs least; all other trips keep their times.

        Raises ``BadInput`` for an order that contradicts itself.
        """
        if order.order_id not in self.book.orders:
            self.book.add(order)
            self.problem = self.book.problem
        try:
            able = eligible_nearby(self.book, order)
        except Unservable as reason:
            return self._left_out(Unserved(order.order_id, str(reason), reason.final, reason.cause))
        cost = self.roster.insert(order.order_id, [self._index[vehicle.vehicle_id] for vehicle in able])
        if cost is None:
            return self._left_out(Unserved(order.order_id, NO_ROOM, cause=Cause.CAPACITY))
        self.unserved.pop(order.order_id, None)
        return self.placed(order.order_id)

    def placed(self, order_id: str) -> Placed:
        """Where a served order is."""
        for i, offer in self.roster.trips():
            for leg in offer.shape.legs:
                if order_id in leg.order_ids and leg.action is StopAction.DROP:
                    vehicle_id = self.problem.vehicles[i].vehicle_id
                    departs = self.problem.start + timedelta(seconds=offer.slot.departure_s)
                    return Placed(
                        order_id,
                        vehicle_id,
                        self._name(vehicle_id, offer.visits, set()),
                        departs,
                        departs + timedelta(seconds=leg.arrive_s),
                    )
        raise KeyError(order_id)

    def plan(self) -> Plan:
        """The plan as it is now, of what has not begun."""
        routes = []
        for i, vehicle in enumerate(self.problem.vehicles):
            trips: list[Trip] = []
            for offer in self.roster.of_vehicle(i):
                name = self._name(vehicle.vehicle_id, offer.visits, {trip.trip_id for trip in trips})
                trips.append(self.book.trip(name, vehicle, offer.visits, offer.slot))
            if trips:
                routes.append(Route(vehicle.vehicle_id, vehicle.home_site, tuple(trips)))
        served = self.roster.served()
        left = tuple(
            self.unserved.get(order_id, Unserved(order_id, NO_ROOM, cause=Cause.CAPACITY))
            for order_id in self.book.orders
            if order_id not in served
        )
        return Plan(tuple(routes), left, round(self.cost(), 1))

    def cost(self) -> float:
        """Cost of the plan, with that of the orders that it leaves out."""
        served = self.roster.served()
        left = sum(drop_penalty_s(order) for order in self.book.orders.values() if order.order_id not in served)
        return self.roster.cost() + left

    def _left_out(self, entry: Unserved) -> Unserved:
        self.unserved[entry.order_id] = entry
        return entry

    def _name(self, vehicle_id: str, visits: Visits, taken: set[str]) -> str:
        """The name of a trip: one that it had while some of its orders were on it, else a new one."""
        for order_id in order_ids(visits):
            known = self._names.get((vehicle_id, order_id))
            if known is not None and known not in taken:
                return known
        number = next(n for n in itertools.count(1) if f"{vehicle_id}-t{n}" not in self._used)
        name = f"{vehicle_id}-t{number}"
        self._used.add(name)
        self._remember(vehicle_id, visits, name)
        return name
