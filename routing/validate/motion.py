"""The movement that a leg's path means, read from the path alone."""

from __future__ import annotations

import math

from routing.geo import LocalFrame, Position
from routing.motion import Movement, drive, fly
from routing.plan import Leg
from routing.region.model import Region, Site
from routing.vehicle_type import VehicleKind, VehicleType


def least_movement(region: Region, vehicle_type: VehicleType, sites: dict[str, Site], start: str, leg: Leg) -> Movement:
    """Way, least time and climb of a leg along its path from the site where it starts."""
    if vehicle_type.kind is VehicleKind.DRONE:
        return fly(
            vehicle_type,
            region.frame,
            leg.path,
            from_alt_amsl_m=sites[start].position.alt_amsl_m,
            to_alt_amsl_m=sites[leg.to_site].position.alt_amsl_m,
        )
    lengths = [level_m(region.frame, a, b) for a, b in zip(leg.path, leg.path[1:], strict=False)]
    return drive(vehicle_type, lengths, [point.alt_amsl_m for point in leg.path])


def level_m(frame: LocalFrame, a: Position, b: Position) -> float:
    """Horizontal distance in the region's frame."""
    (east_a, north_a), (east_b, north_b) = frame.to_local(a), frame.to_local(b)
    return math.hypot(east_b - east_a, north_b - north_a)
