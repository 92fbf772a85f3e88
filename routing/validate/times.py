"""Rules about time: nothing too early, everything in sequence, turnarounds kept, no leg faster than it can be."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta

from routing.plan import Plan, Route
from routing.problem import FleetVehicle, Problem
from routing.validate.context import TripContext, routes_of, trips_of
from routing.validate.motion import greatest_mps, movements
from routing.validate.violation import Violation

_ROUNDING = timedelta(milliseconds=1)


def check_times(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Yield what is wrong with the times of a plan."""
    for vehicle, route in routes_of(problem, plan):
        yield from _shift(problem, vehicle, route)
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
                    size=vehicle.type.turnaround_s - gap_s,
                    unit="s",
                )
    for context in trips_of(problem, plan):
        yield from _sequence(context)
        yield from _speed(problem, context)


def _shift(problem: Problem, vehicle: FleetVehicle, route: Route) -> Iterator[Violation]:
    free, end = max(problem.start, vehicle.available_from), vehicle.shift_end
    for trip in (trip for trip in route.trips if trip.legs):
        if trip.depart < free - _ROUNDING:
            text = f"departs {trip.depart.isoformat()}, before {free.isoformat()} when it may"
            early_s = (free - trip.depart).total_seconds()
            yield Violation("time.start", trip.trip_id, text, size=early_s, unit="s")
        if end is not None and trip.arrive > end + _ROUNDING:
            text = f"is back {trip.arrive.isoformat()}; the shift ends {end.isoformat()}"
            late_s = (trip.arrive - end).total_seconds()
            yield Violation("time.shift", trip.trip_id, text, at=trip.arrive, size=late_s, unit="s")


def _sequence(context: TripContext) -> Iterator[Violation]:
    left = context.trip.legs[0].depart
    for subject, _, leg, _ in context.legs():
        if leg.depart < left - _ROUNDING:
            early_s = (left - leg.depart).total_seconds()
            text = "departs before the vehicle has left the stop before"
            yield Violation("time.order", subject, text, size=early_s, unit="s")
        if leg.arrive < leg.depart or leg.leave < leg.arrive:
            yield Violation("time.order", subject, "departure, arrival and leaving are not in this sequence")
        elif leg.leave < leg.arrive + timedelta(seconds=(needed := context.service_s(leg))) - _ROUNDING:
            stays_s = (leg.leave - leg.arrive).total_seconds()
            text = f"leaves {stays_s:.0f} s after arrival; the stop takes {needed:.0f} s"
            yield Violation("time.service", subject, text, at=leg.leave, size=needed - stays_s, unit="s")
        left = leg.leave


def _speed(problem: Problem, context: TripContext) -> Iterator[Violation]:
    limit = greatest_mps(problem, context.vehicle.type)
    for (subject, _, leg, _), movement in zip(context.legs(), movements(problem, context) or [], strict=False):
        seconds = (leg.arrive - leg.depart).total_seconds()
        if movement.distance_m > limit * max(0.0, seconds) + 0.01:
            yield Violation(
                "speed.limit",
                subject,
                f"{movement.distance_m:.0f} m in {seconds:.0f} s is faster than {limit:.2f} m/s",
                size=movement.distance_m / max(seconds, 0.1) - limit,
                unit="m/s",
            )
        elif seconds < movement.duration_s - 0.5:
            yield Violation(
                "speed.time",
                subject,
                f"takes {seconds:.0f} s, and cannot in under {movement.duration_s:.0f} s",
                size=movement.duration_s - seconds,
                unit="s",
            )
