"""Where the drones of a plan are, as the rules about airspace look at them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from routing.errors import TooWindy
from routing.geo import Position
from routing.problem import Problem
from routing.trajectory import leg_flights
from routing.validate.context import TripContext

SAMPLE_S = 0.4
"""Spacing of the moments looked at: 4 m at 10 m/s."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Flown:
    """A leg in time: rows of (east, north, altitude AMSL) at ``seconds`` after ``begin``, from the ground up and down
    to it again."""

    begin: datetime
    seconds: Floats
    places: Floats

    def at(self, index: int) -> datetime:
        """The moment of a place."""
        return self.begin + timedelta(seconds=float(self.seconds[index]))

    def runs(self, chosen: Bools) -> Iterator[slice]:
        """Yield stretches of places that are chosen one after another."""
        edges = np.flatnonzero(np.diff(np.concatenate(([0], chosen.astype(np.int8), [0]))))
        return itertools.starmap(slice, zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def flown_legs(problem: Problem, context: TripContext) -> list[Flown]:
    """The legs of a drone's trip in time; none where the wind lets it not be flown, which is a violation of its own."""
    found = []
    try:
        for begin_s, flight in leg_flights(context.trip, context.vehicle, problem.region, wind=problem.wind):
            length_s = flight.movement.duration_s
            seconds = np.append(np.arange(0.0, length_s, SAMPLE_S), length_s)
            found.append(Flown(context.trip.depart + timedelta(seconds=begin_s), seconds, flight.at(seconds)))
    except TooWindy:
        return []
    return found


def sampled(points: Floats, spacing_m: float) -> Floats:
    """Points of a path at most so far apart on the map, its own included."""
    parts = [points[:1]]
    for a, b in itertools.pairwise(points):
        count = max(1, math.ceil(float(np.hypot(*(b - a)[:2])) / spacing_m))
        parts.append(a + (b - a) * (np.arange(1, count + 1) / count)[:, None])
    return np.concatenate(parts)


def local_path(problem: Problem, path: Sequence[Position]) -> Floats:
    """Rows of (east, north, altitude AMSL) of a path."""
    frame = problem.region.frame
    return np.array([(*frame.to_local(point), point.alt_amsl_m) for point in path], dtype=np.float64)
