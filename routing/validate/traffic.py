"""What is in the air and at the drop points at the same time, as the rules about traffic look at it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from routing.plan import Plan
from routing.problem import Category, Problem
from routing.trajectory import Trajectory, along
from routing.validate.context import trips_of
from routing.validate.memo import Memo
from routing.validate.motion import flights
from routing.vehicle_type import VehicleKind


@dataclass(frozen=True, slots=True)
class Traffic:
    """One trip: its flight (``None`` for a robot) and its stays at drop points.

    Times are seconds from the problem's start; ``begin_s`` is when it departs, and the flight begins, ``end_s`` when
    it is back. ``given`` trips are not judged against one another. ``pads``: what it leaves from and lands on, by
    ``site#pad``, where the vehicle has none of its own (``None``: not known, or its own). ``categories``: those that
    it counts in.
    """

    name: str
    vehicle_id: str
    given: bool
    begin_s: float
    end_s: float
    flight: Trajectory | None
    stays: tuple[tuple[str, float, float], ...]
    pads: tuple[str, str] | None = None
    categories: tuple[Category, ...] = ()


_TRAFFIC = Memo()


def traffic(problem: Problem, plan: Plan) -> list[Traffic]:
    """Return all trips of a plan, and those given."""
    return _TRAFFIC.get(problem, plan, lambda: [*_planned(problem, plan), *_given(problem)])


def _planned(problem: Problem, plan: Plan) -> Iterator[Traffic]:
    for context in trips_of(problem, plan):
        trip, vehicle = context.trip, context.vehicle
        flight, pads = None, None
        if vehicle.type.kind is VehicleKind.DRONE:
            flown = flights(problem, context)
            if flown is None:
                continue
            flight = along(trip, flown)
            if vehicle.pad is None:
                pads = (f"{vehicle.home_site}#{trip.pad}", f"{vehicle.home_site}#{trip.landing_pad}")
        stays = tuple(
            (leg.to_site, _seconds(problem, leg.arrive), _seconds(problem, leg.leave))
            for leg in trip.legs
            if leg.order_ids
        )
        yield Traffic(
            trip.trip_id,
            vehicle.vehicle_id,
            False,
            _seconds(problem, trip.depart),
            _seconds(problem, trip.arrive),
            flight,
            stays,
            pads,
            (vehicle.category,),
        )


def _given(problem: Problem) -> Iterator[Traffic]:
    known = {vehicle.vehicle_id: vehicle.category for vehicle in problem.vehicles}
    for trip in problem.given:
        flight = Trajectory.of_points(trip.track, problem.region.frame) if trip.track else None
        stays = tuple(
            (stay.site_id, _seconds(problem, stay.arrive), _seconds(problem, stay.leave)) for stay in trip.stays
        )
        if flight is not None or stays:
            begin_s = _seconds(problem, flight.start) if flight else min(arrive for _, arrive, _ in stays)
            end_s = begin_s + float(flight.seconds[-1]) if flight else max(leave for _, _, leave in stays)
            # Nobody knows what an unknown vehicle counts as: it counts as each.
            categories = (known[trip.vehicle_id],) if trip.vehicle_id in known else tuple(Category)
            yield Traffic(trip.trip_id, trip.vehicle_id, True, begin_s, end_s, flight, stays, None, categories)


def _seconds(problem: Problem, moment: datetime) -> float:
    return (moment - problem.start).total_seconds()
