"""What motion in time is made of: phases of constant acceleration, and what they add up to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

GRAVITY_MPS2 = 9.80665
"""Standard gravity (ISO 80000-3)."""

SAME_PLACE_M = 1e-6
LEVEL_M = 0.5
"""A step that is horizontally shorter goes straight up or down."""


@dataclass(frozen=True, slots=True)
class Spell:
    """A stretch of a flight at one airspeed and rate of climb (negative: descent), on the rotors or on the wing."""

    seconds: float
    airspeed_mps: float
    climb_mps: float
    on_wing: bool = False


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement from a site to another: way over ground, time, and height climbed in total.

    ``spells`` are a drone's, in the mean wind, and ``gust_spells`` with the wind at the strength of its gusts all
    the way (empty: there are none). ``rolling_m`` is a robot's way weighted with its rolling resistance: so many
    metres of asphalt cost the same (0: as its ``distance_m``).
    """

    distance_m: float
    duration_s: float
    climb_m: float
    spells: tuple[Spell, ...] = field(default=(), repr=False)
    gust_spells: tuple[Spell, ...] = field(default=(), repr=False)
    rolling_m: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """One leg of a drone in time, from take-off or a hover to touchdown or a hover.

    Phases have constant acceleration: phase ``i`` begins at ``seconds[i]``, ``metres[i]`` along the line in
    space, with ``speeds[i]``. ``points`` are the corners of that line (east, north, AMSL), at ``along``.
    """

    movement: Movement
    points: Array
    along: Array
    seconds: Array
    metres: Array
    speeds: Array
    accelerations: Array

    def at(self, seconds: npt.ArrayLike) -> Array:
        """East, north and altitude AMSL at times since the start, shape ``(n, 3)``; at the ends outside them."""
        times = np.clip(np.asarray(seconds, dtype=np.float64), 0.0, self.movement.duration_s)
        phase = np.maximum(np.searchsorted(self.seconds, times, side="right") - 1, 0)
        since = times - self.seconds[phase]
        metres = self.metres[phase] + self.speeds[phase] * since + self.accelerations[phase] * since * since / 2.0
        return np.stack([np.interp(metres, self.along, self.points[:, axis]) for axis in range(3)], axis=-1)


def turns(steps: Array) -> list[float]:
    """Horizontal angles between steps in radians, 0 where one of them goes straight up or down."""
    headings = np.arctan2(steps[:, 0], steps[:, 1])
    angles = np.abs(np.remainder(np.diff(headings) + math.pi, 2.0 * math.pi) - math.pi)
    level = np.hypot(steps[:, 0], steps[:, 1]) > LEVEL_M
    return [float(angle) for angle in np.minimum(angles * (level[1:] & level[:-1]), math.pi - 1e-6)]


def trapezoids(
    lengths: Sequence[float] | Array,
    limits: Sequence[float],
    corners: Sequence[float],
    acceleration: float,
    brake: float,
) -> list[tuple[float, float, float, float]]:
    """Phases (seconds, metres, speed at their start, acceleration) of steps from rest to rest.

    ``corners`` are the greatest speeds between the steps; they fall further to what can be reached and braked from.
    """
    passing = [0.0, *corners, 0.0]
    for i, length in enumerate(lengths):
        passing[i + 1] = min(passing[i + 1], math.sqrt(passing[i] ** 2 + 2.0 * acceleration * length))
    for i in range(len(lengths) - 1, -1, -1):
        passing[i] = min(passing[i], math.sqrt(passing[i + 1] ** 2 + 2.0 * brake * lengths[i]))
    phases = []
    for i, length in enumerate(lengths):
        if length <= SAME_PLACE_M:
            continue
        v_in, v_out = passing[i], passing[i + 1]
        # The speed at which accelerating and braking take the whole length.
        square = (length + v_in**2 / (2 * acceleration) + v_out**2 / (2 * brake)) / (0.5 / acceleration + 0.5 / brake)
        peak = max(v_in, v_out, min(math.sqrt(square), limits[i]))
        gain_m = (peak**2 - v_in**2) / (2.0 * acceleration)
        loss_m = (peak**2 - v_out**2) / (2.0 * brake)
        phases.append(((peak - v_in) / acceleration, gain_m, v_in, acceleration))
        phases.append((max(0.0, length - gain_m - loss_m) / peak, max(0.0, length - gain_m - loss_m), peak, 0.0))
        phases.append(((peak - v_out) / brake, loss_m, peak, -brake))
    return [(float(a), float(b), float(c), float(d)) for a, b, c, d in phases if a > 0.0]
