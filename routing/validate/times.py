"""Rules about time: nothing too early, everything in sequence, turnarounds kept, no leg faster than it can be."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta

from routing.plan import Plan
from routing.problem import FleetVehicle, Problem
from routing.validate.context import TripContext, routes_of, trips_of
from routing.validate.motion import movements
from routing.validate.violation import Violation
from routing.vehicle_type import ROBOT_SPEED_LIMIT_MPS, VehicleKind

_ROUNDING = timedelta(milliseconds=1)


def check_times(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Yield what is wrong with the times of a plan."""
    for vehicle, route in routes_of(problem, plan):
        yield from _begin(problem, vehicle, plan)
        turnaround = timedelta(seconds=vehicle.type.turnaround_s)
        trips = [trip for trip in route.trips if trip.legs]
        for before, after in itertools.pairwise(trips):
            if after.depart < before.arrive + turnaround - _ROUNDING:
                gap_s = (after.depart - before.arrive).total_seconds()
                yield Violation(
                    "time.turnaround",
                    after.trip_id,
                    f"departs {gap_s:.0f} s after {before.trip_id} is back; "
                    f"turnaround takes {vehicle.type.turnaround_s:.0f} s",
                )
    for context in trips_of(problem, plan):
        yield from _sequence(context)
        yield from _speed(problem, context)


def _begin(problem: Problem, vehicle: FleetVehicle, plan: Plan) -> Iterator[Violation]:
    free = max(problem.start, vehicle.available_from)
    for route in plan.routes:
        for trip in route.trips:
            if route.vehicle_id == vehicle.vehicle_id and trip.legs and trip.depart < free - _ROUNDING:
                yield Violation(
                    "time.start",
                    trip.trip_id,
                    f"departs {trip.depart.isoformat()}, before {free.isoformat()} when it may",
                )


def _sequence(context: TripContext) -> Iterator[Violation]:
    service = timedelta(seconds=context.vehicle.type.service_s)
    left = context.trip.legs[0].depart
    for subject, _, leg, _ in context.legs():
        if leg.depart < left - _ROUNDING:
            yield Violation("time.order", subject, "departs before the vehicle has left the stop before")
        if leg.arrive < leg.depart or leg.leave < leg.arrive:
            yield Violation("time.order", subject, "departure, arrival and leaving are not in this sequence")
        elif leg.order_ids and leg.leave < leg.arrive + service - _ROUNDING:
            yield Violation(
                "time.service",
                subject,
                f"leaves {(leg.leave - leg.arrive).total_seconds():.0f} s after arrival; the drop takes "
                f"{context.vehicle.type.service_s:.0f} s",
            )
        left = leg.leave


def _speed(problem: Problem, context: TripContext) -> Iterator[Violation]:
    kind = context.vehicle.type
    limit = kind.cruise_speed_mps
    if kind.kind is VehicleKind.ROBOT:
        limit = min(limit, ROBOT_SPEED_LIMIT_MPS)
    for (subject, _, leg, _), movement in zip(context.legs(), movements(problem, context) or [], strict=False):
        seconds = (leg.arrive - leg.depart).total_seconds()
        if movement.distance_m > limit * max(0.0, seconds) + 0.01:
            yield Violation(
                "speed.limit",
                subject,
                f"{movement.distance_m:.0f} m in {seconds:.0f} s is faster than {limit:.2f} m/s",
            )
        elif seconds < movement.duration_s - 0.5:
            yield Violation(
                "speed.time", subject, f"takes {seconds:.0f} s, and cannot in under {movement.duration_s:.0f} s"
            )
