"""Wind, and what it leaves of a drone's speed over ground."""

from __future__ import annotations

import math
from dataclasses import dataclass

from routing.errors import TooWindy
from routing.vehicle_type import Airframe, VehicleType

LEAST_GROUND_SPEED_MPS = 1.0
"""A leg on which a gust would leave less than this is not flown: the drone could not count on getting there."""

_STILL_MPS = 1e-6


@dataclass(frozen=True, slots=True)
class Wind:
    """The air's velocity over ground, towards east and north, the same everywhere in the region.

    ``gust_mps`` is the greatest speed in gusts, from the same direction; below the mean speed it counts as
    the mean. Times are those of the mean wind. What can be flown at all is decided by the gusts, and the energy of
    a way home is what it takes with the wind at gust strength all the way (``routing.energy``).
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

    @property
    def has_direction(self) -> bool:
        """Whether it comes from somewhere; the gusts of air that stands still come from ahead."""
        return self.speed_mps > _STILL_MPS


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


def ground_speed_mps(
    vehicle_type: VehicleType, wind: Wind, east: float, north: float, *, in_gusts: bool = False
) -> float:
    """Speed over ground in the direction of a vector, in the mean wind or with the wind at gust strength.

    Autopilots of multirotors hold a ground speed, the cruise speed, and tilt as far as it takes, so that a tailwind
    does not make them faster and a headwind slows them only when ``max_airspeed_mps`` is used up. A VTOL on its
    wing holds its airspeed, the cruise speed, and the wind makes it faster and slower. Raises ``TooWindy`` where the
    crosswind of a gust exceeds that airspeed, or its headwind leaves less than ``LEAST_GROUND_SPEED_MPS``.
    """
    cruise = vehicle_type.cruise_speed_mps
    if wind.greatest_mps == 0.0:
        return cruise
    on_wing = vehicle_type.built_as is Airframe.VTOL
    limit = cruise if on_wing else vehicle_type.max_airspeed_mps
    angle = math.atan2(wind.north_mps, wind.east_mps) - math.atan2(north, east) if wind.has_direction else math.pi
    gusty = along_track_mps(limit, wind.greatest_mps, angle)
    if gusty is None or gusty < LEAST_GROUND_SPEED_MPS:
        raise TooWindy(
            f"wind of {wind.speed_mps:.1f} m/s, gusts {wind.greatest_mps:.1f} m/s, is too strong for a leg of "
            f"{vehicle_type.name}, whose airspeed is {limit:g} m/s at most"
        )
    held = gusty if in_gusts else along_track_mps(limit, wind.speed_mps, angle)
    assert held is not None  # less wind than in the gust
    return max(LEAST_GROUND_SPEED_MPS, held if on_wing else min(cruise, held))
