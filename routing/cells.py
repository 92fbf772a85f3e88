"""An index of boxes by the cells of a grid, which kernels look things up in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LEAST_STEP_M = 10.0
_MOST_CELLS = 250_000
_CELLS_PER_BOX = 4


class Lattice(NamedTuple):
    """Rows of square cells from the south-west on. Numbers only: kernels pass it on for nothing, arrays cost."""

    west_m: float
    south_m: float
    step_m: float
    columns: int
    rows: int


class Cells(NamedTuple):
    """``items[first[i]:first[i + 1]]`` are the boxes that meet cell i of the lattice."""

    lattice: Lattice
    first: Ints
    items: Ints


def index_boxes(boxes: Floats, owners: Ints | None = None) -> Cells:
    """Index boxes, rows of (west, south, east, north); ``owners`` are listed instead of the boxes' own numbers."""
    if not len(boxes):
        return Cells(Lattice(0.0, 0.0, 1.0, 0, 0), np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.int64))
    owners = np.arange(len(boxes), dtype=np.int64) if owners is None else owners
    west, south = boxes[:, 0].min(), boxes[:, 1].min()
    wide, high = boxes[:, 2].max() - west, boxes[:, 3].max() - south
    count = min(_MOST_CELLS, _CELLS_PER_BOX * len(boxes))
    step = max(_LEAST_STEP_M, float(np.sqrt(max(wide, 1.0) * max(high, 1.0) / count)), max(wide, high) / count)
    columns, rows = int(wide / step) + 1, int(high / step) + 1
    low = np.floor((boxes[:, :2] - (west, south)) / step).astype(np.int64)
    top = np.minimum(np.floor((boxes[:, 2:] - (west, south)) / step).astype(np.int64), (columns - 1, rows - 1))
    wide_cells, high_cells = (top - low + 1).T
    of = np.repeat(np.arange(len(boxes)), wide_cells * high_cells)
    nth = np.arange(len(of)) - np.repeat(np.cumsum(wide_cells * high_cells) - wide_cells * high_cells,
                                         wide_cells * high_cells)  # fmt: skip
    cell = (low[of, 1] + nth // wide_cells[of]) * columns + low[of, 0] + nth % wide_cells[of]
    pairs = np.unique(np.stack((cell, owners[of]), axis=1), axis=0)
    first = np.searchsorted(pairs[:, 0], np.arange(rows * columns + 1)).astype(np.int64)
    return Cells(Lattice(float(west), float(south), step, columns, rows), first, np.ascontiguousarray(pairs[:, 1]))


def index_segments(segments: Floats, reach_m: float = 0.0) -> Cells:
    """Index straight lines, rows of (x, y, x, y), each with all that lies within ``reach_m`` of it.

    Long ones go in by parts: the box of a long diagonal is nearly empty.
    """
    if not len(segments):
        return index_boxes(np.empty((0, 4)))
    lengths = np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1])
    part_m = max(float(np.median(lengths)), float(lengths.max()) / 500.0, _LEAST_STEP_M)
    parts = np.maximum(1, np.ceil(lengths / part_m)).astype(np.int64)
    of = np.repeat(np.arange(len(segments)), parts)
    nth = np.arange(len(of)) - np.repeat(np.cumsum(parts) - parts, parts)
    begin, step = segments[of, :2], (segments[of, 2:] - segments[of, :2]) / parts[of, None]
    a, b = begin + step * nth[:, None], begin + step * (nth[:, None] + 1)
    # A hair wider, so that rounding loses no cell.
    reach = reach_m + 1e-6
    return index_boxes(np.concatenate((np.minimum(a, b) - reach, np.maximum(a, b) + reach), axis=1), of)
