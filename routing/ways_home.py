"""Ways of a drone in time, from each of many moments of a trip until it has landed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routing.geo import Position

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """A way home from each of K moments of a trip, as rows of breakpoints with straight lines between them.

    ``seconds`` (K, B) counts from each moment and does not fall along a row; ``places`` (K, B, 3) are east, north
    and AMSL.
    """

    seconds: Array
    places: Array

    def only(self, rows: npt.NDArray[np.int64]) -> Course:
        """The ways of some of the moments."""
        return Course(self.seconds[rows], self.places[rows])

    def at(self, since: Array) -> Array:
        """Places so many seconds after each moment, shape (K, len(since), 3); at the end after the landing."""
        rows = len(self.seconds)
        found = np.empty((rows, len(since), 3))
        for row in range(rows):
            for axis in range(3):
                found[row, :, axis] = np.interp(since, self.seconds[row], self.places[row, :, axis])
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One line in time that all ways follow, each from its own point on: ``begins`` (K) in the curve's seconds."""

    seconds: Array
    places: Array
    begins: Array

    def only(self, rows: npt.NDArray[np.int64]) -> Curve:
        """The ways of some of the moments."""
        return Curve(self.seconds, self.places, self.begins[rows])

    def at(self, since: Array) -> Array:
        """Places so many seconds after each moment, shape (K, len(since), 3); at the end after the landing."""
        times = self.begins[:, None] + since
        return np.stack([np.interp(times, self.seconds, self.places[:, axis]) for axis in range(3)], axis=-1)


@dataclass(frozen=True, slots=True, eq=False)
class WaysHome:
    """The own ways home of a drone from K moments of its trip, ``moments`` in seconds since departure.

    ``start`` (K, 3) is where it is then, ``left_s`` how long it flies on, ``energy_wh`` what that takes with what is
    aboard, ``used_wh`` what it has used by then; ``forwards``: it lands on ``landing_pad``, else on ``start_pad``.
    Where it is not ``airborne`` it has not left yet, or has landed, and stays.
    """

    moments: Array
    start: Array
    left_s: Array
    used_wh: Array
    energy_wh: Array
    forwards: Bools
    airborne: Bools
    start_pad: Position
    landing_pad: Position
    courses: Sequence[tuple[npt.NDArray[np.int64], Curve | Course]]

    def places(self, since: Array) -> Array:
        """Where it is so many seconds after each moment: east, north, AMSL, shape (K, len(since), 3)."""
        found = np.repeat(self.start[:, None], len(since), axis=1)
        for rows, course in self.courses:
            found[rows] = course.at(since)
        return found

    def pad(self, row: int) -> Position:
        """Where it lands from one of the moments."""
        return self.landing_pad if self.forwards[row] else self.start_pad
