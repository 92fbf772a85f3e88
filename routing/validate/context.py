"""The parts of a plan with what they refer to, as the rules look at them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from routing.plan import Leg, Plan, Route, Trip
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
        payload_kg = sum(self.orders[order_id].mass_kg for order_id in self.trip.order_ids)
        start = self.vehicle.home_site
        for number, leg in enumerate(self.trip.legs, start=1):
            yield f"{self.trip.trip_id}/{number}", start, leg, max(0.0, payload_kg)
            payload_kg -= sum(self.orders[order_id].mass_kg for order_id in leg.order_ids)
            start = leg.to_site


def trips_of(problem: Problem, plan: Plan) -> Iterator[TripContext]:
    """Yield the trips that the rules about movement can judge; the rest has a violation of its own."""
    orders = {order.order_id: order for order in problem.orders}
    sites = {site.site_id: site for site in problem.region.sites}
    for vehicle, route in routes_of(problem, plan):
        for trip in route.trips:
            known = all(leg.to_site in sites for leg in trip.legs) and vehicle.home_site in sites
            if trip.legs and known and all(order_id in orders for order_id in trip.order_ids):
                yield TripContext(vehicle, trip, orders, sites)


def routes_of(problem: Problem, plan: Plan) -> Iterator[tuple[FleetVehicle, Route]]:
    """Yield the routes of known vehicles."""
    vehicles = {vehicle.vehicle_id: vehicle for vehicle in problem.vehicles}
    for route in plan.routes:
        if route.vehicle_id in vehicles:
            yield vehicles[route.vehicle_id], route
