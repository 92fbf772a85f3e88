"""A line with fewer points that looks the same."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

WIDTHS_S: tuple[float, ...] = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)),
    *(86_400 * days for days in (1, 2, 7, 14, 28, 56, 112)),
)
"""How long a stretch of time can be: whole multiples of a second or a minute can be had from rollups, too."""
_EPOCH = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


def aligned(start: datetime, end: datetime, width_s: float) -> tuple[datetime, datetime]:
    """Return the first multiple of a width from ``start`` on and the last up to ``end``, counted from 2000-01-01 UTC.

    They are in the wrong order when there is none between.
    """
    width = timedelta(seconds=width_s)
    return start + (_EPOCH - start) % width, end - (end - _EPOCH) % width


def largest_triangles(points: npt.NDArray[np.float64], most: int) -> npt.NDArray[np.intp]:
    """Return the indices of at most ``most`` points that keep the shape of a line, first and last among them.

    ``points`` is (n, d): n points in time order in d dimensions of one unit. The points between the ends are cut into
    ``most - 2`` equal groups, and of each group stays the one that spans the largest triangle with the one that stayed
    before and the mean of the next group (Steinarsson, Downsampling Time Series for Visual Representation, 2013,
    section 4.2, "Largest-Triangle-Three-Buckets"; here with the area of a triangle in d dimensions). Raises
    ``ValueError`` for ``most`` below 2.
    """
    if most < 2:
        raise ValueError(f"most: a line has at least 2 points, not {most}")
    count = len(points)
    if count <= most:
        return np.arange(count)
    if most == 2:
        return np.array([0, count - 1])
    edges = np.linspace(1, count - 1, most - 1).astype(np.intp)
    means = np.add.reduceat(points[: count - 1], edges[:-1]) / np.diff(edges)[:, None]
    ahead = np.vstack((means[1:], points[-1:]))
    chosen = np.empty(most, dtype=np.intp)
    chosen[0], chosen[-1] = 0, count - 1
    for group in range(most - 2):
        low, high = edges[group], edges[group + 1]
        before = points[chosen[group]]
        sides, base = points[low:high] - before, ahead[group] - before
        # Four times the squared area, by Lagrange's identity.
        along = sides @ base
        chosen[group + 1] = low + np.argmax(np.einsum("ij,ij->i", sides, sides) * (base @ base) - along * along)
    return chosen
