"""Where the drone of a planned trip is at every moment."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from routing.geo import LocalFrame, Position
from routing.motion import RELEASE_HEIGHT_M, fly
from routing.movement import Flight
from routing.plan import StopAction, Trip
from routing.problem import FleetVehicle, TimedPosition
from routing.region.model import Region
from routing.wind import CALM, Wind

SAMPLE_S = 0.5
"""Spacing of the moments of a trajectory; between them it is a straight line."""

STILL_MPS = 0.5
"""A drone that is slower than this over ground goes up or down, or hovers."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """Places (east, north of the region's frame, AMSL) at ``seconds`` after ``start``; straight lines between."""

    start: datetime
    seconds: Array
    places: Array

    def at(self, seconds: npt.ArrayLike) -> Array:
        """Places at moments since ``start``, shape ``(n, 3)``; at the ends outside of them."""
        times = np.asarray(seconds, dtype=np.float64)
        return np.stack([np.interp(times, self.seconds, self.places[:, axis]) for axis in range(3)], axis=-1)

    @classmethod
    def of_points(cls, points: Sequence[TimedPosition], frame: LocalFrame) -> Trajectory:
        """Read a track of positions with their times."""
        start = points[0].at
        places = [(*frame.to_local(point.position), point.position.alt_amsl_m) for point in points]
        return cls(start, np.array([(point.at - start).total_seconds() for point in points]), np.array(places))


def trajectory(trip: Trip, vehicle: FleetVehicle, region: Region, *, wind: Wind = CALM) -> Trajectory:
    """Return where a drone is from take-off to touchdown when it keeps the plan's times.

    A leg is flown at its natural pace from ``Leg.depart`` on; what is left of the time until the next one departs
    is hovered. Raises ``TooWindy`` for a leg that cannot be flown in the wind.
    """
    return along(trip, leg_flights(trip, vehicle, region, wind=wind))


def along(trip: Trip, flights: Iterable[tuple[float, Flight]]) -> Trajectory:
    """The trajectory that the flights of a trip's legs make, each with its beginning since the departure."""
    seconds, places = [], []
    for begin_s, flight in flights:
        times = np.append(np.arange(0.0, flight.movement.duration_s, SAMPLE_S), flight.movement.duration_s)
        seconds.append(begin_s + times)
        places.append(flight.at(times))
    return Trajectory(trip.depart, np.concatenate(seconds), np.concatenate(places))


def leg_flights(
    trip: Trip, vehicle: FleetVehicle, region: Region, *, wind: Wind = CALM
) -> Iterator[tuple[float, Flight]]:
    """Yield the flight of each leg, and when it begins in seconds from the trip's departure."""
    start, end = home_pads(trip, vehicle, region)
    from_m = start.alt_amsl_m
    for number, leg in enumerate(trip.legs):
        lands = leg.action is StopAction.HOME
        to_m = end.alt_amsl_m if lands else pad_amsl_m(region, leg.to_site, leg.path[-1]) + RELEASE_HEIGHT_M
        flight = fly(
            vehicle.type,
            region.frame,
            leg.path,
            from_alt_amsl_m=from_m,
            to_alt_amsl_m=to_m,
            takes_off=number == 0,
            lands=lands,
            wind=wind,
        )
        yield (leg.depart - trip.depart).total_seconds(), flight
        from_m = to_m


def home_pads(trip: Trip, vehicle: FleetVehicle, region: Region) -> tuple[Position, Position]:
    """The pads of its home that a drone leaves from and lands on: the trip's, else its own, else the first."""
    pads = region.site(vehicle.home_site).pads
    own = vehicle.pad or 0
    start, end = (own if pad is None else pad for pad in (trip.pad, trip.landing_pad))
    return pads[start], pads[end]


def pad_amsl_m(region: Region, site_id: str, above: Position) -> float:
    """Altitude of the pad of a site that is nearest to under a position, or of the terrain where it has none."""
    pads = region.site(site_id).pads
    if not pads:
        return region.ground_amsl_m(above)
    here = region.frame.to_local(above)
    return min(pads, key=lambda pad: math.dist(here, region.frame.to_local(pad))).alt_amsl_m


def column_spans(seconds: Array, places: Array) -> list[tuple[float, float, float, float]]:
    """Spans of time in which a drone goes straight up or down or hovers: (begin s, end s, east, north)."""
    if len(seconds) < 2:
        return []
    speeds = np.hypot(*np.diff(places[:, :2], axis=0).T) / np.maximum(np.diff(seconds), 1e-9)
    still = np.concatenate(([False], speeds < STILL_MPS, [False])).astype(np.int8)
    begins, ends = np.flatnonzero(np.diff(still) == 1), np.flatnonzero(np.diff(still) == -1)
    return [
        (float(seconds[a]), float(seconds[b]), float(places[a, 0]), float(places[a, 1]))
        for a, b in zip(begins, ends, strict=True)
    ]
