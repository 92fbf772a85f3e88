"""Flights as 4D volumes: operational intents as ASTM F3548 has them, for other operators to keep clear of."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import shapely

from routing.geo import LocalFrame, Position
from routing.plan import Trip
from routing.problem import FleetVehicle, Intent, Problem, Separation
from routing.region.model import AltitudeReference, Region, Zone
from routing.trajectory import Trajectory, trajectory
from routing.vehicle_type import VehicleKind
from routing.wind import CALM, Wind

PIECE_S = 2.0
"""Time flown in one volume. Two volumes of this length are apart wherever the flights in them are separated."""

LONG_S = 300.0
"""Others' airspace that is held for less than this is waited for; around what is held longer, ways are looked for."""

MOST_AROUND = 50
"""So many intents are flown around at most, those that last longest; the others are still waited for."""

AROUND_M = 10.0
"""What is kept from others' airspace beyond what contains the aircraft: half of the way flown in a second, twice."""

_SAMPLES = 4
"""Straight pieces of the path in a volume."""

_QUARTER = 4
"""Corners of a quarter of the circle around a position."""

_USUAL = Separation()

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Volume4D:
    """A volume of airspace for a time: a closed ring of ``(lat, lon)`` from floor to ceiling, AMSL."""

    ring: tuple[tuple[float, float], ...]
    floor_amsl_m: float
    ceiling_amsl_m: float
    begins: datetime
    ends: datetime

    def as_intent(self, intent_id: str) -> Intent:
        """The volume as one that a problem is given."""
        return Intent(intent_id, self.ring, self.floor_amsl_m, self.ceiling_amsl_m, self.begins, self.ends)


def operational_intent(
    trip: Trip,
    vehicle: FleetVehicle,
    region: Region,
    *,
    wind: Wind = CALM,
    separation: Separation = _USUAL,
) -> tuple[Volume4D, ...]:
    """Return the volumes that a planned flight needs, in sequence; none for a robot's trip.

    Each holds the aircraft with 95 % while it is there (ASTM F3548-21, 3.1: "operational intent", and its conformance
    share): the path of ``PIECE_S`` seconds and ``Separation.containment_m`` around it, up and down
    ``containment_vertical_m``. In time it begins and ends with the flight's presence, wider by the share of the drift
    that falls to one of two aircraft (1 / sqrt 2), and ends later by ``late_s``. Flights of one plan have volumes
    that do not intersect. Raises ``TooWindy`` for a leg that cannot be flown in the wind.
    """
    if vehicle.type.kind is not VehicleKind.DRONE:
        return ()
    path = trajectory(trip, vehicle, region, wind=wind)
    return tuple(_volumes(path, region.frame, separation))


def _volumes(path: Trajectory, frame: LocalFrame, apart: Separation) -> Iterable[Volume4D]:
    end_s = float(path.seconds[-1])
    count = max(1, math.ceil(end_s / PIECE_S))
    bounds = np.minimum(np.arange(count + 1) * PIECE_S, end_s)
    share = np.arange(_SAMPLES + 1) / _SAMPLES
    times = bounds[:-1, None] + np.diff(bounds)[:, None] * share
    places = path.at(times.ravel()).reshape(count, _SAMPLES + 1, 3)
    # The polygon around a circle, not in it: its corners are a little farther away.
    around_m = apart.containment_m / math.cos(math.pi / (4 * _QUARTER))
    tracks = shapely.convex_hull(shapely.linestrings(places[..., :2]))
    outlines = np.asarray(shapely.buffer(tracks, around_m, quad_segs=_QUARTER))
    floors = places[..., 2].min(axis=1) - apart.containment_vertical_m
    ceilings = places[..., 2].max(axis=1) + apart.containment_vertical_m
    for outline, floor, ceiling, begin, end in zip(outlines, floors, ceilings, bounds[:-1], bounds[1:], strict=True):
        drift = apart.drift / math.sqrt(2.0)
        yield Volume4D(
            _ring(outline, frame),
            float(floor),
            float(ceiling),
            path.start + timedelta(seconds=float(begin * (1.0 - drift))),
            path.start + timedelta(seconds=float(end * (1.0 + drift) + apart.late_s)),
        )


def _ring(outline: shapely.Geometry, frame: LocalFrame) -> tuple[tuple[float, float], ...]:
    corners = (frame.to_global(float(east), float(north)) for east, north in shapely.get_coordinates(outline))
    return tuple((corner.lat, corner.lon) for corner in corners)


def long_held(problem: Problem) -> tuple[Zone, ...]:
    """The intents that last so long that flights look for ways around them, as zones that are closed all the time."""
    apart = problem.separation
    lasting = [each for each in problem.intents if (each.ends - each.begins).total_seconds() >= LONG_S]
    return tuple(
        Zone(
            f"intent {intent.intent_id}",
            "intent",
            intent.intent_id,
            intent.intent_id,
            intent.ring,
            intent.floor_amsl_m - apart.containment_vertical_m,
            AltitudeReference.AMSL,
            intent.ceiling_amsl_m + apart.containment_vertical_m,
            AltitudeReference.AMSL,
            margin_m=apart.containment_m + AROUND_M,
        )
        for intent in sorted(lasting, key=lambda each: each.begins - each.ends)[:MOST_AROUND]
    )


def intent_outline(intent: Intent, frame: LocalFrame) -> shapely.Geometry:
    """The ground that an intent lies over, in the local frame."""
    corners = [frame.to_local(Position(lat, lon)) for lat, lon in intent.ring]
    return shapely.make_valid(shapely.Polygon(corners))
