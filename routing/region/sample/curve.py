"""Lines in the plane by arc length: the axes of valleys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

STEP_M = 10.0

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A smooth line as points ``STEP_M`` apart, with its unit normals (to the left)."""

    points: Array
    normals: Array

    @classmethod
    def through(cls, points: Array) -> Self:
        """Return the line through points that are close together, spaced anew."""
        steps = np.hypot(*np.diff(points, axis=0).T)
        lengths = np.concatenate(([0.0], np.cumsum(steps)))
        at = np.arange(0.0, lengths[-1], STEP_M)
        even = np.stack((np.interp(at, lengths, points[:, 0]), np.interp(at, lengths, points[:, 1])), axis=1)
        tangents = np.gradient(even, axis=0)
        tangents /= np.hypot(*tangents.T)[:, None]
        return cls(even, np.stack((-tangents[:, 1], tangents[:, 0]), axis=1))

    @property
    def length_m(self) -> float:
        """Its length."""
        return float((len(self.points) - 1) * STEP_M)

    def at(self, along_m: npt.ArrayLike, aside_m: npt.ArrayLike = 0.0) -> Array:
        """Points ``(east, north)`` so far along the line and so far to the left of it; shape ``(..., 2)``."""
        along, aside = np.broadcast_arrays(np.asarray(along_m, dtype=np.float64), np.asarray(aside_m))
        index = along / STEP_M
        numbers = np.arange(len(self.points))
        parts = [
            np.interp(index, numbers, self.points[:, i]) + aside * np.interp(index, numbers, self.normals[:, i])
            for i in (0, 1)
        ]
        return np.stack(parts, axis=-1)

    def heading_rad(self, along_m: float) -> float:
        """Direction of travel there, counter-clockwise from east."""
        normal = self.normals[min(int(along_m / STEP_M), len(self.normals) - 1)]
        return float(np.arctan2(-normal[0], normal[1]))
