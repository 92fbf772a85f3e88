"""The rule that flights stay apart, horizontally or vertically, also when some are late."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from routing.plan import Plan
from routing.problem import Problem, Separation
from routing.validate.traffic import Traffic, traffic
from routing.validate.violation import Violation

STEP_S = 1.0
"""Spacing of the moments compared, and of the delays of one flight against the other."""

_TOLERANCE_M = 0.5

Array = npt.NDArray[np.float64]


def check_separation(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Yield pairs of flights that come too near to one another."""
    flights = [each for each in traffic(problem, plan) if each.flight is not None]
    for a, b in itertools.combinations(flights, 2):
        if a.vehicle_id == b.vehicle_id or (a.given and b.given):
            continue
        found = _nearest(a, b, problem.separation)
        if found is not None:
            at_s, late_s, horizontal_m, vertical_m = found
            moment = problem.start + timedelta(seconds=at_s)
            late = f" if it is {abs(late_s):.0f} s {'later' if late_s < 0 else 'earlier'}" if late_s else ""
            yield Violation(
                "separation",
                a.name if b.given else b.name,
                f"{a.name} and {b.name} come within {horizontal_m:.0f} m horizontally and {vertical_m:.0f} m "
                f"vertically at {moment.isoformat(timespec='seconds')}{late}; {problem.separation.horizontal_m:g} m or "
                f"{problem.separation.vertical_m:g} m are kept",
            )


def _nearest(a: Traffic, b: Traffic, apart: Separation) -> tuple[float, float, float, float] | None:
    """Moment, delay and distances where two flights are nearest, or ``None`` if they keep the separation."""
    assert a.flight is not None
    assert b.flight is not None
    longest = apart.slack_s(float(a.flight.seconds[-1]), float(b.flight.seconds[-1]))
    end_a, end_b = a.begin_s + float(a.flight.seconds[-1]), b.begin_s + float(b.flight.seconds[-1])
    begin, end = max(a.begin_s, b.begin_s - longest), min(end_a, end_b + longest)
    if begin > end:
        return None
    times = np.arange(begin, end + STEP_S, STEP_S).clip(None, end)
    reach = math.ceil(longest / STEP_S)
    shifted = times[0] + STEP_S * np.arange(-reach, len(times) + reach)
    at_a, at_b = a.flight.at(times - a.begin_s), b.flight.at(shifted - b.begin_s)
    near = np.flatnonzero(_could_be_near(at_a, at_b, reach, apart))
    worst: tuple[float, float, float, float] | None = None
    least = math.inf
    for shift in range(-reach, reach + 1) if len(near) else ():
        other = near + reach + shift
        since_a, since_b = times[near] - a.begin_s, shifted[other] - b.begin_s
        slack = apart.late_s + apart.drift * np.hypot(since_a, since_b)
        flying = (since_b >= 0.0) & (shifted[other] <= end_b) & (abs(shift) * STEP_S <= slack)
        between = at_a[near] - at_b[other]
        horizontal, vertical = np.hypot(between[:, 0], between[:, 1]), np.abs(between[:, 2])
        share = np.maximum(
            horizontal / max(1e-9, apart.horizontal_m - _TOLERANCE_M),
            vertical / max(1e-9, apart.vertical_m - _TOLERANCE_M),
        )
        share[~flying] = math.inf
        i = int(np.argmin(share))
        if share[i] < min(1.0, least):
            least = float(share[i])
            worst = (float(times[near[i]]), shift * STEP_S, float(horizontal[i]), float(vertical[i]))
    return worst


def _could_be_near(at_a: Array, at_b: Array, reach: int, apart: Separation) -> npt.NDArray[np.bool_]:
    """Moments of ``a`` at which the box around all places of ``b`` within the longest delay is near."""
    limits = np.array([apart.horizontal_m, apart.horizontal_m, apart.vertical_m])
    window = 2 * reach + 1
    low = minimum_filter1d(at_b, window, axis=0)[reach : len(at_b) - reach]
    high = maximum_filter1d(at_b, window, axis=0)[reach : len(at_b) - reach]
    return np.asarray(((at_a > low - limits) & (at_a < high + limits)).all(axis=1))
