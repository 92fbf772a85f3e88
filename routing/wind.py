"""Wind, and what it leaves of a multirotor's speed over ground."""

from __future__ import annotations

import math
from dataclasses import dataclass

from routing.errors import TooWindy
from routing.vehicle_type import VehicleType

LEAST_GROUND_SPEED_MPS = 1.0
"""A leg on which a gust would leave less than this is not flown: the drone could not count on getting there."""


@dataclass(frozen=True, slots=True)
class Wind:
    """The air's velocity over ground, towards east and north, the same everywhere in the region.

    ``gust_mps`` is the greatest speed in gusts, from the same direction; below the mean speed it counts as
    the mean. Times and energy are those of the mean; what can be flown at all is decided by the gusts.
    """

    east_mps: float = 0.0
    north_mps: float = 0.0
    gust_mps: float = 0.0

    @property
    def speed_mps(self) -> float:
        """Mean speed."""
        return math.hypot(self.east_mps, self.north_mps)

    @property
    def greatest_mps(self) -> float:
        """Speed in the strongest gusts."""
        return max(self.speed_mps, self.gust_mps)


CALM = Wind()


def along_track_mps(airspeed_mps: float, wind_mps: float, angle_rad: float) -> float | None:
    """Ground speed along a track at an airspeed, by the wind triangle; ``None`` if the track cannot be held.

    ``angle_rad`` lies between the track and where the wind blows to. The crosswind is met by heading into
    it: ``v = w cos(a) + sqrt(V^2 - (w sin(a))^2)``. Negative where the headwind is the stronger.
    """
    cross = wind_mps * math.sin(angle_rad)
    if abs(cross) > airspeed_mps:
        return None
    return wind_mps * math.cos(angle_rad) + math.sqrt(airspeed_mps * airspeed_mps - cross * cross)


def ground_speed_mps(vehicle_type: VehicleType, wind: Wind, east: float, north: float) -> float:
    """Speed over ground in the direction of a vector: the cruise speed, or what the greatest airspeed leaves.

    Autopilots of multirotors hold a ground speed and tilt as far as it takes, so that a tailwind does not make
    them faster. Raises ``TooWindy`` where the crosswind of a gust exceeds the greatest airspeed, or its headwind
    leaves less than ``LEAST_GROUND_SPEED_MPS``.
    """
    if wind.greatest_mps == 0.0:
        return vehicle_type.cruise_speed_mps
    angle = math.atan2(wind.north_mps, wind.east_mps) - math.atan2(north, east) if wind.speed_mps > 0.0 else math.pi
    limit = vehicle_type.max_airspeed_mps
    in_gust = along_track_mps(limit, wind.greatest_mps, angle)
    if in_gust is None or in_gust < LEAST_GROUND_SPEED_MPS:
        raise TooWindy(
            f"wind of {wind.speed_mps:.1f} m/s, gusts {wind.greatest_mps:.1f} m/s, is too strong for a leg of "
            f"{vehicle_type.name}, whose airspeed is {limit:g} m/s at most"
        )
    mean = along_track_mps(limit, wind.speed_mps, angle)
    assert mean is not None  # less than in the gust
    return min(vehicle_type.cruise_speed_mps, max(LEAST_GROUND_SPEED_MPS, mean))


def airspeed_mps(wind: Wind, east_mps: float, north_mps: float) -> float:
    """Speed through the air of something that moves over ground at a velocity."""
    return math.hypot(east_mps - wind.east_mps, north_mps - wind.north_mps)
