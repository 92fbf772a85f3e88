"""Rules of form: what must hold before the other rules can be asked at all."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from routing.plan import Leg, Plan, Route, StopAction, Trip
from routing.problem import FleetVehicle, Problem
from routing.validate.violation import Violation
from routing.vehicle_type import VehicleKind

_FARTHEST = timedelta(days=366)
_HIGHEST_M = 20_000.0


def check_form(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Known vehicles and sites, distinct names, legs that say what they do, finite numbers, aware times."""
    vehicles = {vehicle.vehicle_id: vehicle for vehicle in problem.vehicles}
    for vehicle_id, times in Counter(route.vehicle_id for route in plan.routes).items():
        if times > 1:
            yield Violation("form.route", vehicle_id, f"the vehicle has {times} routes")
    trip_ids = Counter(trip.trip_id for route in plan.routes for trip in route.trips)
    for trip_id, times in trip_ids.items():
        if times > 1:
            yield Violation("form.trip", trip_id, f"the name is used for {times} trips")
    for route in plan.routes:
        if route.vehicle_id not in vehicles:
            yield Violation("form.vehicle", route.vehicle_id, "the vehicle is not in the problem")
            continue
        yield from _route(problem, route, vehicles[route.vehicle_id])


def _route(problem: Problem, route: Route, vehicle: FleetVehicle) -> Iterator[Violation]:
    home = vehicle.home_site
    if route.home_site != home:
        yield Violation(
            "form.home", route.vehicle_id, f"the route starts from {route.home_site}, the vehicle is at {home}"
        )
    if len(route.trips) > problem.max_trips_per_vehicle:
        yield Violation(
            "form.trips",
            route.vehicle_id,
            f"{len(route.trips)} trips, at most {problem.max_trips_per_vehicle} are allowed",
        )
    sites = {site.site_id for site in problem.region.sites}
    for trip in route.trips:
        yield from _trip(problem, trip, home, sites)
        yield from _pads(problem, trip, vehicle)


def _pads(problem: Problem, trip: Trip, vehicle: FleetVehicle) -> Iterator[Violation]:
    """A drone with a pad of its own uses that, another one those that the trip names."""
    if vehicle.type.kind is not VehicleKind.DRONE:
        return
    there = len(problem.region.site(vehicle.home_site).pads)
    for what, pad in (("leaves from", trip.pad), ("lands on", trip.landing_pad)):
        if pad is None and vehicle.pad is None:
            yield Violation("form.pad", trip.trip_id, f"it {what} no pad, and {vehicle.vehicle_id} has none of its own")
        elif pad is not None and not 0 <= pad < there:
            yield Violation("form.pad", trip.trip_id, f"it {what} pad {pad}; {vehicle.home_site} has {there}")
        elif pad is not None and vehicle.pad not in (None, pad):
            yield Violation(
                "form.pad", trip.trip_id, f"it {what} pad {pad}; {vehicle.vehicle_id} has pad {vehicle.pad}"
            )


def _trip(problem: Problem, trip: Trip, home: str, sites: set[str]) -> Iterator[Violation]:
    if len(trip.legs) < 2:
        yield Violation("form.legs", trip.trip_id, "a trip needs at least one drop and the way home")
        return
    last = trip.legs[-1]
    if last.action is not StopAction.HOME or last.to_site != home or last.order_ids:
        yield Violation("form.home", trip.trip_id, f"the last leg must end at home, {home}, with no orders")
    for number, leg in enumerate(trip.legs, start=1):
        subject = f"{trip.trip_id}/{number}"
        if number < len(trip.legs) and (leg.action is StopAction.HOME or not leg.order_ids):
            yield Violation("form.drop", subject, "a leg before the last must end with a drop or a pickup of orders")
        if leg.to_site not in sites:
            yield Violation("form.site", subject, f"site {leg.to_site} is not in the region")
        yield from _leg(problem, subject, leg)


def _leg(problem: Problem, subject: str, leg: Leg) -> Iterator[Violation]:
    for name in ("depart", "arrive", "leave"):
        moment: datetime = getattr(leg, name)
        if moment.utcoffset() is None:
            yield Violation("form.time", subject, f"{name} has no time zone")
        elif abs(moment - problem.start) > _FARTHEST:
            yield Violation("form.time", subject, f"{name}, {moment.isoformat()}, is not near the problem's start")
    if len(leg.path) < 2 and leg.distance_m > 0:
        yield Violation("form.path", subject, "the path has fewer than 2 points")
    if not leg.path:
        yield Violation("form.path", subject, "the path is empty")
    numbers = [leg.distance_m, leg.energy_wh]
    for point in leg.path:
        numbers += [point.lat, point.lon, point.alt_amsl_m]
    if not all(math.isfinite(number) for number in numbers):
        yield Violation("form.number", subject, "a position, distance or energy is not a finite number")
    elif any(abs(p.lat) > 90 or abs(p.lon) > 180 or abs(p.alt_amsl_m) > _HIGHEST_M for p in leg.path):
        yield Violation("form.number", subject, "a position is not on the earth")
    elif leg.distance_m < 0 or leg.energy_wh < 0:
        yield Violation("form.number", subject, "a distance or energy is negative")
