"""Segments of trips: the times at which a sequence of visits can be made."""

from __future__ import annotations

import numpy as np

from routing.compiled import compiled_together

INF = np.inf
EPS = 1e-7
"""What rounding may do to a time, load or energy; far below any unit that matters."""


@compiled_together
def join(
    d1: float, e1: float, l1: float, way: float, d2: float, e2: float, l2: float
) -> tuple[float, float, float, float]:
    """Segment 1, ``way`` and segment 2 as one: d, e, lt and the waiting between; d is infinite where it cannot be."""
    delta = d1 + way
    if e1 + delta > l2 + EPS:
        return INF, e1, l1, 0.0
    wait = max(0.0, e2 - delta - l1)
    return delta + d2 + wait, max(e2 - delta, e1) - wait, min(l2 - delta, l1), wait
