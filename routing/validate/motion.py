"""The movements that the legs of a trip mean, read from their paths alone."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from routing.driving import ROLLING, UNKNOWN_SURFACE, drive, stretches
from routing.errors import TooWindy
from routing.geo import LocalFrame, Position
from routing.ground_rules import speed_limit_mps
from routing.movement import Flight, Movement
from routing.plan import Leg
from routing.problem import Problem
from routing.region.model import GroundEdge, Region
from routing.trajectory import leg_flights
from routing.validate.context import TripContext
from routing.validate.memo import Memo
from routing.vehicle_type import Airframe, VehicleKind, VehicleType


@dataclass(frozen=True, slots=True)
class _Ways:
    """The ground network as one kind of robot drives it: edges by their ends, and the ends of parts of crossings."""

    edges: dict[tuple[str, str], GroundEdge]
    crossings: frozenset[frozenset[str]]

    @classmethod
    def of(cls, region: Region, *, on_road: bool) -> _Ways:
        """Of several edges between two nodes the one that costs least: a leg does not say which of them it takes."""

        def worse(edge: GroundEdge) -> tuple[bool, float, float]:
            speed = math.inf if edge.max_speed_mps is None else edge.max_speed_mps
            return (not (edge.road if on_road else edge.robot), ROLLING.get(edge.surface, UNKNOWN_SURFACE), -speed)

        best: dict[frozenset[str], GroundEdge] = {}
        for edge in region.edges:
            ends = frozenset((edge.a, edge.b))
            if ends not in best or worse(edge) < worse(best[ends]):
                best[ends] = edge
        crossings = frozenset(frozenset((edge.a, edge.b)) for edge in region.edges if edge.crossing)
        return cls({(edge.a, edge.b): edge for edge in best.values()}, crossings)

    def crossed(self, leg: Leg) -> int:
        """How many roads a leg crosses: edges of a crossing one after another are one."""
        on = [frozenset(pair) in self.crossings for pair in itertools.pairwise(leg.nodes)]
        return sum(1 for before, now in zip([False, *on], on, strict=False) if now and not before)


_FLIGHTS = Memo()
_DRIVES = Memo()
_WAYS = Memo()


def flights(problem: Problem, context: TripContext) -> list[tuple[float, Flight]] | None:
    """The flight of each leg of a drone, and when it begins since the departure (``trajectory.leg_flights``);
    ``None`` where the wind lets one of them not be flown."""

    def flown() -> list[tuple[float, Flight]] | None:
        try:
            return list(leg_flights(context.trip, context.vehicle, problem.region, wind=problem.wind))
        except TooWindy:
            return None

    return _FLIGHTS.get(problem, context.trip, flown, context.vehicle.vehicle_id)


def movements(problem: Problem, context: TripContext) -> list[Movement] | None:
    """Way, least time and climb of each leg; ``None`` where the wind lets one of them not be flown.

    A VTOL flies on its wing what its path lets it (``routing.motion.fly``), a robot drives the edges between the nodes
    of its legs.
    """
    if context.vehicle.type.kind is VehicleKind.DRONE:
        flown = flights(problem, context)
        return None if flown is None else [flight.movement for _, flight in flown]
    return _DRIVES.get(problem, context.trip, lambda: _drives(problem, context), context.vehicle.vehicle_id)


def _drives(problem: Problem, context: TripContext) -> list[Movement]:
    kind, region = context.vehicle.type, problem.region
    on_road = kind.built_as is Airframe.ROAD_ROBOT
    ways = _WAYS.get(region, region, lambda: _Ways.of(region, on_road=on_road), on_road)
    return [
        drive(
            kind,
            region.frame,
            leg.path,
            crossings=ways.crossed(leg),
            stretches=stretches(leg.nodes, ways.edges) if len(leg.nodes) == len(leg.path) else (),
        )
        for leg in context.trip.legs
    ]


def greatest_mps(problem: Problem, vehicle_type: VehicleType) -> float:
    """The speed over ground that a vehicle never exceeds: a VTOL on its wing has the wind's on top of its own."""
    if vehicle_type.kind is VehicleKind.ROBOT:
        return min(vehicle_type.cruise_speed_mps, speed_limit_mps(vehicle_type))
    tailwind = problem.wind.speed_mps if vehicle_type.built_as is Airframe.VTOL else 0.0
    return vehicle_type.cruise_speed_mps + tailwind


def level_m(frame: LocalFrame, a: Position, b: Position) -> float:
    """Horizontal distance in the region's frame."""
    (east_a, north_a), (east_b, north_b) = frame.to_local(a), frame.to_local(b)
    return math.hypot(east_b - east_a, north_b - north_a)
