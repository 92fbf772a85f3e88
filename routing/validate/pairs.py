"""Pairs of things that are there at the same time, without a look at all pairs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def meeting(begins: Floats, ends: Floats, lows: Floats, highs: Floats) -> tuple[Ints, Ints]:
    """Return pairs (i < j) whose times overlap or touch, and whose extents from ``lows`` to ``highs`` do."""
    boxes = shapely.box(begins, lows, ends, highs)
    first, second = shapely.STRtree(boxes).query(boxes)
    once = first < second
    return first[once].astype(np.int64), second[once].astype(np.int64)


def crowded(begins: Floats, ends: Floats, most: int) -> list[tuple[float, float, int]]:
    """Return when more than ``most`` spans overlap: (begin, end, greatest number) of each such time.

    Spans that touch do not overlap.
    """
    times, steps = np.concatenate((begins, ends)), np.repeat((1, -1), len(begins))
    order = np.lexsort((steps, times))
    times, count = times[order], np.cumsum(steps[order])
    edges = np.diff(np.concatenate(([False], count > most, [False])).astype(np.int8))
    spans = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True)
    return [(float(times[a]), float(times[b]), int(count[a:b].max())) for a, b in spans]
