"""Rounding rules and objectives: what a published cost of a classic instance means.

The names of the rounding rules are those of PyVRP's ``read``; DIMACS is the 12th implementation challenge's.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Rounding(StrEnum):
    """How distances and times become the numbers that are summed.

    ``NONE``: as they are, in double precision. ``ROUND``: to the nearest integer (CVRP). ``TRUNC``: down to an
    integer. ``DIMACS``: down to one decimal, as tenths (VRPTW, MTVRPTWR). ``EXACT``: to the nearest thousandth, as
    thousandths (MDVRPTW, HFVRP).
    """

    NONE = "none"
    ROUND = "round"
    TRUNC = "trunc"
    DIMACS = "dimacs"
    EXACT = "exact"

    @property
    def scale(self) -> float:
        """How many units of a rounded number make one of the file."""
        return {Rounding.DIMACS: 10.0, Rounding.EXACT: 1_000.0}.get(self, 1.0)

    def apply(self, values: npt.ArrayLike) -> Floats:
        """Round numbers of a file; infinite ones stay so."""
        scaled = np.asarray(values, dtype=np.float64) * self.scale
        if self in (Rounding.ROUND, Rounding.EXACT):
            return np.round(scaled)
        if self in (Rounding.TRUNC, Rounding.DIMACS):
            return np.trunc(scaled)
        return scaled


class Objective(StrEnum):
    """What is minimised: the distance (with the file's own costs), or first the number of vehicles."""

    DISTANCE = "distance"
    VEHICLES = "vehicles"
