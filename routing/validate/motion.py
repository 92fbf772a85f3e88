"""The movements that the legs of a trip mean, read from their paths alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

from routing.errors import TooWindy
from routing.geo import LocalFrame, Position
from routing.motion import Movement, drive
from routing.plan import Leg
from routing.problem import Problem
from routing.region.model import Region
from routing.trajectory import leg_flights
from routing.validate.context import TripContext
from routing.vehicle_type import VehicleKind


def movements(problem: Problem, context: TripContext) -> list[Movement] | None:
    """Way, least time and climb of each leg; ``None`` where the wind lets none of them be flown."""
    vehicle, region = context.vehicle, problem.region
    if vehicle.type.kind is VehicleKind.DRONE:
        try:
            return [flight.movement for _, flight in leg_flights(context.trip, vehicle, region, wind=problem.wind)]
        except TooWindy:
            return None
    crossings = _crossings(region, context.trip.legs)
    return [
        drive(vehicle.type, region.frame, leg.path, crossings=count)
        for leg, count in zip(context.trip.legs, crossings, strict=True)
    ]


def _crossings(region: Region, legs: Iterable[Leg]) -> list[int]:
    """How many roads each leg crosses: edges of a crossing one after another are one."""
    crossing = {frozenset((edge.a, edge.b)) for edge in region.edges if edge.crossing}
    counts = []
    for leg in legs:
        on = [frozenset(pair) in crossing for pair in itertools.pairwise(leg.nodes)]
        counts.append(sum(1 for before, now in zip([False, *on], on, strict=False) if now and not before))
    return counts


def level_m(frame: LocalFrame, a: Position, b: Position) -> float:
    """Horizontal distance in the region's frame."""
    (east_a, north_a), (east_b, north_b) = frame.to_local(a), frame.to_local(b)
    return math.hypot(east_b - east_a, north_b - north_a)
