"""What is in the air and at the drop points at the same time, as the rules about traffic look at it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from routing.errors import TooWindy
from routing.plan import Plan
from routing.problem import Problem
from routing.trajectory import Trajectory, trajectory
from routing.validate.context import trips_of
from routing.vehicle_type import VehicleKind


@dataclass(frozen=True, slots=True)
class Traffic:
    """One trip: its flight (``None`` for a robot) and its stays at drop points.

    Times are seconds from the problem's start; ``begin_s`` is when it departs, and the flight begins. ``given``
    trips are not judged against one another.
    """

    name: str
    vehicle_id: str
    given: bool
    begin_s: float
    flight: Trajectory | None
    stays: tuple[tuple[str, float, float], ...]


def traffic(problem: Problem, plan: Plan) -> list[Traffic]:
    """Return all trips of a plan, and those given."""
    return [*_planned(problem, plan), *_given(problem)]


def _planned(problem: Problem, plan: Plan) -> Iterator[Traffic]:
    for context in trips_of(problem, plan):
        trip, vehicle = context.trip, context.vehicle
        flight = None
        if vehicle.type.kind is VehicleKind.DRONE:
            try:
                flight = trajectory(trip, vehicle, problem.region, wind=problem.wind)
            except TooWindy:
                continue
        stays = tuple(
            (leg.to_site, _seconds(problem, leg.arrive), _seconds(problem, leg.leave))
            for leg in trip.legs
            if leg.order_ids
        )
        yield Traffic(trip.trip_id, vehicle.vehicle_id, False, _seconds(problem, trip.depart), flight, stays)


def _given(problem: Problem) -> Iterator[Traffic]:
    for trip in problem.given:
        flight = Trajectory.of_points(trip.track, problem.region.frame) if trip.track else None
        stays = tuple(
            (stay.site_id, _seconds(problem, stay.arrive), _seconds(problem, stay.leave)) for stay in trip.stays
        )
        if flight is not None or stays:
            begin_s = _seconds(problem, flight.start) if flight else min(arrive for _, arrive, _ in stays)
            yield Traffic(trip.trip_id, trip.vehicle_id, True, begin_s, flight, stays)


def _seconds(problem: Problem, moment: datetime) -> float:
    return (moment - problem.start).total_seconds()
