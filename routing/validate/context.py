"""The parts of a plan with what they refer to, as the rules look at them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from routing.plan import Leg, Plan, Route, StopAction, Trip
from routing.problem import FleetVehicle, OrderRequest, Problem
from routing.region.model import Site


@dataclass(frozen=True, slots=True)
class TripContext:
    """A trip of a known vehicle whose sites and orders all exist."""

    vehicle: FleetVehicle
    trip: Trip
    orders: dict[str, OrderRequest]
    sites: dict[str, Site]

    def legs(self) -> Iterator[tuple[str, str, Leg, float]]:
        """Yield each leg with its name, the site where it starts and the payload in kg that it carries."""
        start = self.vehicle.home_site
        for number, (leg, aboard) in enumerate(zip(self.trip.legs, self.aboard(), strict=True), start=1):
            yield f"{self.trip.trip_id}/{number}", start, leg, sum(order.mass_kg for order in aboard)
            start = leg.to_site

    def aboard(self) -> Iterator[list[OrderRequest]]:
        """Yield for each leg the orders that are carried on it."""
        carried = {order_id: self.orders[order_id] for order_id in self.trip.order_ids if order_id not in self.fetched}
        for leg in self.trip.legs:
            yield list(carried.values())
            for order_id in leg.order_ids:
                if leg.action is StopAction.PICKUP:
                    carried[order_id] = self.orders[order_id]
                else:
                    carried.pop(order_id, None)

    @property
    def fetched(self) -> set[str]:
        """Orders that the trip picks up on its way; the others are loaded before it leaves home."""
        return {order_id for leg in self.trip.legs if leg.action is StopAction.PICKUP for order_id in leg.order_ids}

    def service_s(self, leg: Leg) -> float:
        """How long the stop at the end of a leg takes at least: parcels of one site are handed over together."""
        times = [0.0]
        for order in (self.orders[order_id] for order_id in leg.order_ids):
            own = self.vehicle.type.service_s if order.service_s is None else order.service_s
            times.append(order.pickup_s if leg.action is StopAction.PICKUP else own)
        return max(times)


def trips_of(problem: Problem, plan: Plan) -> Iterator[TripContext]:
    """Yield the trips that the rules about movement can judge; the rest has a violation of its own."""
    orders = {order.order_id: order for order in problem.orders}
    sites = {site.site_id: site for site in problem.region.sites}
    for vehicle, route in routes_of(problem, plan):
        for trip in route.trips:
            known = all(leg.to_site in sites for leg in trip.legs) and vehicle.home_site in sites
            if trip.legs and known and all(order_id in orders for leg in trip.legs for order_id in leg.order_ids):
                yield TripContext(vehicle, trip, orders, sites)


def routes_of(problem: Problem, plan: Plan) -> Iterator[tuple[FleetVehicle, Route]]:
    """Yield the routes of known vehicles."""
    vehicles = {vehicle.vehicle_id: vehicle for vehicle in problem.vehicles}
    for route in plan.routes:
        if route.vehicle_id in vehicles:
            yield vehicles[route.vehicle_id], route
