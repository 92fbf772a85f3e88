"""The rule that flights stay apart, horizontally or vertically, also when some are late."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from routing.plan import Plan
from routing.problem import Problem, Separation
from routing.validate.pairs import meeting
from routing.validate.traffic import Traffic, traffic
from routing.validate.violation import Violation

STEP_S = 1.0
"""Spacing of the moments compared, and of the delays of one flight against the other."""

CHUNK = 16
"""Moments whose bounding box is looked at first."""

BATCH = 4_096
"""Pairs of chunks that are compared at once: it bounds the memory."""

_TOLERANCE_M = 0.5

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Moments:
    """All flights second by second: rows of ``CHUNK`` moments, none of which is of two flights.

    ``at_s`` counts from the problem's start, ``since_s`` from each departure; ``places`` has a third axis.
    """

    flight: Ints
    at_s: Array
    since_s: Array
    places: Array


@dataclass(frozen=True, slots=True)
class _Nearest:
    """Where two flights come nearest to one another, each at its moment, as a share of the separation."""

    share: float
    at_s: float
    late_s: float
    horizontal_m: float
    vertical_m: float
    place: Array


def check_separation(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Yield pairs of flights that come too near to one another."""
    flights = [each for each in traffic(problem, plan) if each.flight is not None]
    for (first, second), near in sorted(_nearest(flights, problem.separation).items()):
        a, b = flights[first], flights[second]
        moment = problem.start + timedelta(seconds=near.at_s)
        late = f" if it is {abs(near.late_s):.0f} s {'later' if near.late_s < 0 else 'earlier'}" if near.late_s else ""
        apart = problem.separation
        yield Violation(
            "separation",
            a.name if b.given else b.name,
            f"{a.name} and {b.name} come within {near.horizontal_m:.0f} m horizontally and {near.vertical_m:.0f} m "
            f"vertically at {moment.isoformat(timespec='seconds')}{late}; {apart.horizontal_m:g} m or "
            f"{apart.vertical_m:g} m are kept",
            vehicle_id=a.vehicle_id if b.given else b.vehicle_id,
            at=moment,
            place=problem.region.frame.to_global(*(float(x) for x in near.place)),
            size=apart.horizontal_m - near.horizontal_m,
            unit="m",
        )


def _nearest(flights: Sequence[Traffic], apart: Separation) -> dict[tuple[int, int], _Nearest]:
    """Pairs of flights that do not keep the separation, and where each is nearest."""
    if len(flights) < 2:
        return {}
    moments = _moments(flights)
    i, j = _near_chunks(flights, moments, apart)
    worst: dict[tuple[int, int], _Nearest] = {}
    for begin in range(0, len(i), BATCH):
        _compare(moments, i[begin : begin + BATCH], j[begin : begin + BATCH], apart, worst)
    return worst


def _moments(flights: Sequence[Traffic]) -> _Moments:
    """Flights at whole seconds since the problem's start, so that the moments of two of them are the same."""
    owners, at, since, places = [], [], [], []
    for number, each in enumerate(flights):
        assert each.flight is not None
        end_s = each.begin_s + float(each.flight.seconds[-1])
        times = np.arange(math.ceil(each.begin_s / STEP_S), math.floor(end_s / STEP_S) + 1) * STEP_S
        times = np.unique(np.concatenate(([each.begin_s], times, [end_s])))
        rows = math.ceil(len(times) / CHUNK)
        # The last moment is repeated until its row is full.
        times = times[np.minimum(np.arange(rows * CHUNK), len(times) - 1)]
        owners.append(np.full(rows, number))
        at.append(times)
        since.append(times - each.begin_s)
        places.append(each.flight.at(times - each.begin_s))
    return _Moments(
        np.concatenate(owners).astype(np.int64),
        np.concatenate(at).reshape(-1, CHUNK),
        np.concatenate(since).reshape(-1, CHUNK),
        np.concatenate(places).reshape(-1, CHUNK, 3),
    )


def _near_chunks(flights: Sequence[Traffic], moments: _Moments, apart: Separation) -> tuple[Ints, Ints]:
    """Pairs of rows whose boxes in space and time come too near to one another."""
    low, high = moments.places.min(axis=1), moments.places.max(axis=1)
    # Of two slacks in quadrature neither is more than their sum: half of the lateness for each.
    slack_s = apart.late_s / 2.0 + apart.drift * moments.since_s[:, -1]
    half_m = apart.horizontal_m / 2.0
    begins, ends = moments.at_s[:, 0] - slack_s, moments.at_s[:, -1] + slack_s
    i, j = meeting(begins, ends, low[:, 0] - half_m, high[:, 0] + half_m)
    gaps = np.maximum(low[i] - high[j], low[j] - high[i]).clip(0.0)
    near = (np.hypot(gaps[:, 0], gaps[:, 1]) < apart.horizontal_m) & (gaps[:, 2] < apart.vertical_m)
    _, vehicles = np.unique([each.vehicle_id for each in flights], return_inverse=True)
    given = np.array([each.given for each in flights])
    a, b = moments.flight[i], moments.flight[j]
    near &= (vehicles[a] != vehicles[b]) & ~(given[a] & given[b])
    return i[near], j[near]


def _compare(moments: _Moments, i: Ints, j: Ints, apart: Separation, worst: dict[tuple[int, int], _Nearest]) -> None:
    """Look at every moment of one row with every moment of the other; keep the worst of each pair of flights."""
    between = moments.places[i][:, :, None] - moments.places[j][:, None, :]
    horizontal, vertical = np.hypot(between[..., 0], between[..., 1]), np.abs(between[..., 2])
    late_s = moments.at_s[i][:, :, None] - moments.at_s[j][:, None, :]
    slack_s = apart.late_s + apart.drift * np.hypot(moments.since_s[i][:, :, None], moments.since_s[j][:, None, :])
    share = np.maximum(
        horizontal / max(1e-9, apart.horizontal_m - _TOLERANCE_M), vertical / max(1e-9, apart.vertical_m - _TOLERANCE_M)
    )
    share[np.abs(late_s) > slack_s] = math.inf
    # Of equally near moments those on time say most.
    ranked = (share + 1e-9 * np.abs(late_s)).reshape(len(i), -1)
    best = ranked.argmin(axis=1)
    for row in np.flatnonzero(ranked[np.arange(len(i)), best] < 1.0):
        k, m = divmod(int(best[row]), CHUNK)
        pair = (int(moments.flight[i[row]]), int(moments.flight[j[row]]))
        found = _Nearest(
            float(ranked[row, best[row]]),
            float(moments.at_s[i[row], k]),
            float(moments.at_s[j[row], m] - moments.at_s[i[row], k]),
            float(horizontal[row, k, m]),
            float(vertical[row, k, m]),
            moments.places[i[row], k],
        )
        if pair not in worst or found.share < worst[pair].share:
            worst[pair] = found
