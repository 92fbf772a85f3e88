"""Separation between vehicles in the air, with what is about to happen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routing.problem import Separation
from telemetry.monitors.finding import Finding
from telemetry.monitors.monitor import Place

AHEAD_S = 5.0
"""How far ahead it is looked: at 10 m/s towards one another, two flights come 100 m closer in this time."""
FRESH_S = 3.0
"""Age from which on a position says too little: it is compared no more, and silence is an alarm of its own."""

Velocity = tuple[float, float, float]
"""East, north and up in m/s."""

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Flying:
    """A vehicle in the air: where it is at ``at_s`` (seconds of domain time), and where it goes."""

    vehicle_id: str
    at_s: float
    place: Place
    velocity: Velocity


def too_close(
    own: Iterable[Flying], others: Iterable[Flying], *, now_s: float, apart: Separation, fresh_s: float = FRESH_S
) -> dict[str, list[Finding]]:
    """Return ``too_close`` for each own vehicle that is nearer to another than ``apart``, or will be in ``AHEAD_S``.

    Too near is horizontally and vertically at once; all go on straight at their speeds. ``others`` may hold the own
    ones as well. ``worse`` are those that are too near already. Positions older than ``fresh_s`` are left out, all
    others carried on to ``now_s``.
    """
    ours = [each for each in own if now_s - each.at_s <= fresh_s]
    known = {each.vehicle_id: each for each in others if now_s - each.at_s <= fresh_s}
    # What we know of our own vehicles is newer than what the bus says.
    known.update((each.vehicle_id, each) for each in ours)
    theirs = list(known.values())
    if not ours or len(theirs) < 2:
        return {}
    (place_a, speed_a), (place_b, speed_b) = _arrays(ours, now_s), _arrays(theirs, now_s)
    off, drift = place_b[None] - place_a[:, None], speed_b[None] - speed_a[:, None]
    horizontal_m, vertical_m = np.hypot(off[..., 0], off[..., 1]), np.abs(off[..., 2])
    near = (horizontal_m < apart.horizontal_m) & (vertical_m < apart.vertical_m)
    found = near | _meet(off, drift, apart)
    results: dict[str, list[Finding]] = {}
    for i, k in np.argwhere(found):
        if ours[i].vehicle_id != theirs[k].vehicle_id:
            values = {
                "other": theirs[k].vehicle_id,
                "horizontal_m": round(float(horizontal_m[i, k]), 1),
                "vertical_m": round(float(vertical_m[i, k]), 1),
            }
            finding = Finding("too_close", True, key=theirs[k].vehicle_id, values=values, worse=bool(near[i, k]))
            results.setdefault(ours[i].vehicle_id, []).append(finding)
    return results


def _arrays(vehicles: list[Flying], now_s: float) -> tuple[_Array, _Array]:
    rows = np.array([(*each.place, *each.velocity, now_s - each.at_s) for each in vehicles], dtype=np.float64)
    return rows[:, :3] + rows[:, 3:6] * rows[:, 6:], rows[:, 3:6]


def _meet(off: _Array, drift: _Array, apart: Separation) -> npt.NDArray[np.bool_]:
    """Whether two are within both distances at one moment from now to ``AHEAD_S``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        # |off + drift t| < horizontal_m between the roots of a quadratic; within vertical_m between two moments.
        a = drift[..., 0] ** 2 + drift[..., 1] ** 2
        b = off[..., 0] * drift[..., 0] + off[..., 1] * drift[..., 1]
        c = off[..., 0] ** 2 + off[..., 1] ** 2 - apart.horizontal_m**2
        root = np.sqrt(b * b - a * c)
        still = a < 1e-9
        begins = np.where(still, np.where(c < 0.0, -np.inf, np.inf), (-b - root) / a)
        ends = np.where(still, np.inf, (-b + root) / a)
        up, level = drift[..., 2], np.abs(drift[..., 2]) < 1e-6
        one, two = (-apart.vertical_m - off[..., 2]) / up, (apart.vertical_m - off[..., 2]) / up
        inside = np.abs(off[..., 2]) < apart.vertical_m
        low = np.where(level, np.where(inside, -np.inf, np.inf), np.minimum(one, two))
        high = np.where(level, np.inf, np.maximum(one, two))
    first, last = np.fmax(begins, low), np.minimum(ends, high)
    # A root of something negative is no number and compares as false: the two do not meet.
    return np.asarray((first < last) & (last > 0.0) & (first < AHEAD_S) & ~np.isnan(begins))
