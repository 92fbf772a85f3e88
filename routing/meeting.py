"""Where two flights come near to one another, and the departures that bring them there at once: kernels."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from routing.compiled import compiled

CHUNK = 16
"""Moments whose bounding box is looked at first."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@compiled
def meeting_ranges(
    seconds_a: Floats,
    places_a: Floats,
    reaches_a: Floats,
    boxes_a: Floats,
    seconds_b: Floats,
    places_b: Floats,
    reaches_b: Floats,
    boxes_b: Floats,
    horizontal_m: float,
    vertical_m: float,
    late_s: float,
    drift: float,
    guard_s: float,
) -> Floats:
    """Return ranges of (moment of a - moment of b) at which both are nearer than horizontally and vertically allowed.

    A moment stands for what is flown around it: ``reaches`` are how far that is, horizontally and vertically. ``boxes``
    has a row (east, north, up: least; east, north, up: greatest) for each ``CHUNK`` moments with their reaches. Each
    range is widened by lateness, drift in quadrature, and ``guard_s``; the rows of one pair of chunks are one.
    """
    found = np.empty((len(boxes_a) * len(boxes_b), 2))
    count = 0
    square = horizontal_m * horizontal_m
    for i in range(len(boxes_a)):
        for j in range(len(boxes_b)):
            up = max(boxes_a[i, 2] - boxes_b[j, 5], boxes_b[j, 2] - boxes_a[i, 5])
            if up >= vertical_m:
                continue
            east = max(0.0, max(boxes_a[i, 0] - boxes_b[j, 3], boxes_b[j, 0] - boxes_a[i, 3]))
            north = max(0.0, max(boxes_a[i, 1] - boxes_b[j, 4], boxes_b[j, 1] - boxes_a[i, 4]))
            if east * east + north * north >= square:
                continue
            least, greatest = math.inf, -math.inf
            for k in range(i * CHUNK, min(len(seconds_a), (i + 1) * CHUNK)):
                for m in range(j * CHUNK, min(len(seconds_b), (j + 1) * CHUNK)):
                    if abs(places_a[k, 2] - places_b[m, 2]) >= vertical_m + reaches_a[k, 1] + reaches_b[m, 1]:
                        continue
                    x, y = places_a[k, 0] - places_b[m, 0], places_a[k, 1] - places_b[m, 1]
                    away = horizontal_m + reaches_a[k, 0] + reaches_b[m, 0]
                    if x * x + y * y < away * away:
                        slack = late_s + drift * math.hypot(seconds_a[k], seconds_b[m]) + guard_s
                        least = min(least, seconds_a[k] - seconds_b[m] - slack)
                        greatest = max(greatest, seconds_a[k] - seconds_b[m] + slack)
            if least < greatest:
                found[count, 0], found[count, 1] = least, greatest
                count += 1
    return found[:count]


@compiled
def hold_ranges(
    spans_a: Floats,
    keys_a: Ints,
    spans_b: Floats,
    keys_b: Ints,
    horizontal_m: float,
    late_s: float,
    drift: float,
    guard_s: float,
) -> Floats:
    """Return ranges of (departure of b - departure of a) at which both would have one thing at once.

    Rows of ``spans`` are (begin, end, east, north). One thing: the same key, or for key 0 columns of air nearer than
    ``horizontal_m``.
    """
    found = np.empty((len(spans_a) * len(spans_b), 2))
    count = 0
    for i in range(len(spans_a)):
        for j in range(len(spans_b)):
            if keys_a[i] != keys_b[j]:
                continue
            if keys_a[i] == 0:
                away = math.hypot(spans_a[i, 2] - spans_b[j, 2], spans_a[i, 3] - spans_b[j, 3])
                if away >= horizontal_m:
                    continue
            slack = late_s + drift * math.hypot(spans_a[i, 1], spans_b[j, 1]) + guard_s
            found[count, 0] = spans_a[i, 0] - spans_b[j, 1] - slack
            found[count, 1] = spans_a[i, 1] - spans_b[j, 0] + slack
            count += 1
    return found[:count]
