"""The shape of the ground: a main valley, side valleys, and mountains that drain into them.

The mountains are the steady state of a landscape where rivers cut as fast as the ground rises: slopes fall with the
catchment area (Flint 1974; Braun & Willett 2013 for the order of the work). So every place drains to a valley.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.sparse.csgraph import dijkstra

from routing.region.model import Terrain
from routing.region.sample.curve import STEP_M, Array, Curve

HALF_EAST_M, HALF_NORTH_M = 7_500.0, 5_000.0
TOWN_AMSL_M = 480.0
RELIEF_M = 620.0
"""What the highest ridges stand above the valley floor nearest to them, about."""

_GRID_M = 20.0
_COARSE = 5
"""Cells of the grid to one of the drainage model's."""
_ROUNDS = 12
_HILLSLOPE = 0.62
_CONCAVITY = 0.35
_CHANNEL_M2 = 30_000.0
"""Catchments smaller than this are hillslopes."""
_BLEND_M = 190.0


@dataclass(frozen=True, slots=True, eq=False)
class Valley:
    """A valley: its axis, upstream, and the height and half width of its floor at the axis' points."""

    axis: Curve
    floor_m: Array
    half_width_m: Array

    def floor_at(self, along_m: float) -> float:
        """Height of the floor."""
        return float(np.interp(along_m / STEP_M, np.arange(len(self.floor_m)), self.floor_m))


@dataclass(frozen=True, slots=True, eq=False)
class Land:
    """The valleys, where settlements are along them, and the terrain.

    ``town``, ``main_hamlets``: metres along the main valley. ``joins``: where each side valley meets it, on which
    side (1 north, -1 south). ``side_hamlets``: metres along each side valley.
    """

    main: Valley
    sides: tuple[Valley, ...]
    town: float
    main_hamlets: tuple[float, float]
    joins: tuple[tuple[float, int], ...]
    side_hamlets: tuple[float, ...]
    half_east_m: float
    half_north_m: float
    terrain: Terrain


# Shares of the main valley's length: the side valleys lie between the settlements.
_HAMLETS = (0.19, 0.81)
_TOWN = 0.5
# Share of the main valley, side, and the least angle to it in degrees: no hamlet is to lie between two hubs.
_JOINS = ((0.265, 1, 76), (0.565, 1, 74), (0.875, 1, 62), (0.125, -1, 72), (0.42, -1, 72), (0.725, -1, 72))


def make_land(rng: np.random.Generator, scale: float) -> Land:
    """Return a municipality's ground."""
    east, north = HALF_EAST_M * scale, HALF_NORTH_M * scale
    axis = _main_axis(rng, east, scale)
    length = axis.length_m
    town = _TOWN * length + float(rng.uniform(-150, 150))
    hamlets = tuple(share * length + float(rng.uniform(-200, 200)) for share in _HAMLETS)
    gradient = float(rng.uniform(0.009, 0.013))
    along = _stations(axis)
    width = 130.0 + 210.0 * _bump(along, town, 800.0)
    for at in hamlets:
        width += 130.0 * _bump(along, at, 650.0)
    main = Valley(axis, TOWN_AMSL_M + gradient * (along - town), width)
    joins = tuple((share * length + float(rng.uniform(-120, 120)), side) for share, side, _ in _JOINS)
    angles = [angle_deg for _, _, angle_deg in _JOINS]
    sides = tuple(
        _side_valley(rng, main, *join, angle_deg, east, north) for join, angle_deg in zip(joins, angles, strict=True)
    )
    side_hamlets = tuple(valley.axis.length_m - 420.0 for valley in sides)
    terrain = _terrain(rng, (main, *sides), east, north, scale)
    return Land(main, sides, town, (hamlets[0], hamlets[1]), joins, side_hamlets, east, north, terrain)


def _stations(axis: Curve) -> Array:
    """Metres along an axis of each of its points."""
    return np.arange(len(axis.points), dtype=np.float64) * STEP_M


def _bump(along: Array, at: float, reach_m: float) -> Array:
    """1 within half the reach of a place, falling to 0 at one and a half of it."""
    share = np.clip((np.abs(along - at) - 0.5 * reach_m) / reach_m, 0.0, 1.0)
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * share))


def _main_axis(rng: np.random.Generator, half_east_m: float, scale: float) -> Curve:
    east = np.arange(-half_east_m, half_east_m + 1.0, STEP_M)
    phases = rng.uniform(0, 2 * math.pi, 2)
    north = min(1.0, scale) * rng.uniform(280, 420) * np.sin(2 * math.pi * east / rng.uniform(6_500, 8_500) + phases[0])
    north += rng.uniform(60, 90) * np.sin(2 * math.pi * east / rng.uniform(2_300, 2_900) + phases[1])
    north -= np.interp(0.0, east, north)
    return Curve.through(np.stack((east, north), axis=1))


def _side_valley(
    rng: np.random.Generator,
    main: Valley,
    join_m: float,
    side: int,
    angle_deg: float,
    half_east_m: float,
    half_north_m: float,
) -> Valley:
    lean = math.radians(angle_deg + float(rng.uniform(0.0, 16.0)))
    heading = main.axis.heading_rad(join_m) + side * lean
    phase, wave_m, bend = rng.uniform(0, 2 * math.pi), rng.uniform(1_500, 2_200), rng.uniform(0.2, 0.4)
    longest_m = float(rng.uniform(2_800, 3_100)) * max(1.0, half_north_m / HALF_NORTH_M)
    along = np.arange(0.0, longest_m, STEP_M)
    # It leaves the main valley straight: bends grow with the distance.
    headings = heading + bend * np.sin(2 * math.pi * along / wave_m + phase) * np.clip(along / 800.0, 0.0, 1.0)
    start = main.axis.at(join_m)
    points = start + STEP_M * np.cumsum(np.stack((np.cos(headings), np.sin(headings)), axis=1), axis=0)
    border_m = 450.0 * min(1.0, half_north_m / HALF_NORTH_M)
    inside = (np.abs(points[:, 0]) < half_east_m - border_m) & (np.abs(points[:, 1]) < half_north_m - border_m)
    end = len(points) if inside.all() else int(np.argmin(inside))
    axis = Curve.through(np.concatenate((start[None, :], points[:end])))
    stations = _stations(axis)
    gradient = 0.03 + float(rng.uniform(0.030, 0.042)) * stations / 3_500.0
    floor = main.floor_at(join_m) + np.concatenate(([0.0], np.cumsum(gradient[1:] * STEP_M)))
    width = 65.0 + 65.0 * _bump(stations, axis.length_m - 420.0, 420.0)
    return Valley(axis, floor, width)


def _terrain(
    rng: np.random.Generator, valleys: tuple[Valley, ...], half_east_m: float, half_north_m: float, scale: float
) -> Terrain:
    step = _GRID_M * max(1.0, scale)
    columns = round(2 * half_east_m / step / _COARSE) * _COARSE + 1
    rows = round(2 * half_north_m / step / _COARSE) * _COARSE + 1
    west, south = -step * (columns - 1) / 2, -step * (rows - 1) / 2
    away, floor, width = _nearest_floor(valleys, west, south, step, rows, columns)
    coarse = (slice(None, None, _COARSE), slice(None, None, _COARSE))
    mountains = _drained(rng, floor[coarse], away[coarse] < width[coarse], step * _COARSE)
    high = ndimage.zoom(mountains, (rows / mountains.shape[0], columns / mountains.shape[1]), order=3, mode="nearest")
    share = np.clip((away - width) / _BLEND_M, 0.0, 1.0)
    share = share * share * (3.0 - 2.0 * share)
    high = ndimage.gaussian_filter(high, 1.6) + _roughness(rng, rows, columns, step) * share
    # Floors fall towards their stream, so that water finds it.
    low = floor + 0.012 * np.minimum(away, 400.0)
    heights = low + share * (np.maximum(high, low + 1.0) - low)
    # To 1/16 m: finer is an illusion, and packs badly.
    heights = (np.round(heights * 16.0) / 16.0).astype(np.float32)
    return Terrain(west, south, step, heights, "JGD2011 vertical (simulated)", 0.5)


def _nearest_floor(
    valleys: tuple[Valley, ...], west: float, south: float, step: float, rows: int, columns: int
) -> tuple[Array, Array, Array]:
    """Distance to the nearest axis for each cell, and height and half width of the floor there."""
    floor, width = np.zeros((rows, columns)), np.zeros((rows, columns))
    mask = np.ones((rows, columns), dtype=bool)
    # The main valley last: where they meet, its floor counts.
    for valley in reversed(valleys):
        column = np.rint((valley.axis.points[:, 0] - west) / step).astype(int)
        row = np.rint((valley.axis.points[:, 1] - south) / step).astype(int)
        seen = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        at = (row[seen], column[seen])
        floor[at], width[at], mask[at] = valley.floor_m[seen], valley.half_width_m[seen], False
    away, nearest = ndimage.distance_transform_edt(mask, return_indices=True)
    found = (nearest[0], nearest[1])
    smooth = [ndimage.gaussian_filter(values[found], 2.0) for values in (floor, width)]
    return away * step, smooth[0], smooth[1]


def _drained(rng: np.random.Generator, floor: Array, base: npt.NDArray[np.bool_], cell_m: float) -> Array:
    """Heights above the floors (``base``) such that every cell drains to one, steep where little water gathers."""
    rows, columns = floor.shape
    # A first network: shortest ways to the floors over ground of random hardness.
    hardness = np.exp(0.5 * _noise(rng, (rows, columns), 1.0))
    heights, receiver = _first_ways(hardness, base, cell_m)
    steep = _HILLSLOPE * np.exp(0.12 * _noise(rng, (rows, columns), 8.0))
    run_m = np.hypot(receiver // columns - np.arange(rows)[:, None], receiver % columns - np.arange(columns)) * cell_m
    for _ in range(_ROUNDS):
        heights = _steady(heights, receiver, run_m, floor, base, steep, cell_m)
        receiver, run_m = _steepest(heights, receiver, run_m, cell_m)
    relief = heights - floor
    # Far from any valley it would grow without end.
    top = float(np.quantile(relief, 0.98))
    relief = RELIEF_M * np.tanh(relief / max(top, 1.0)) / math.tanh(1.0)
    return np.asarray(np.where(base, floor, floor + np.maximum(relief, 0.0)))


def _first_ways(hardness: Array, base: npt.NDArray[np.bool_], cell_m: float) -> tuple[Array, npt.NDArray[np.int64]]:
    """Cost of the cheapest way to a floor for each cell, and the next cell on it (by number)."""
    rows, columns = hardness.shape
    number = np.arange(rows * columns).reshape(rows, columns)
    tail, head, cost = [], [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a = (slice(0, rows - down), slice(max(0, -right), columns - max(0, right)))
        b = (slice(down, rows), slice(max(0, right), columns + min(0, right)))
        tail.append(number[a].ravel())
        head.append(number[b].ravel())
        cost.append(math.hypot(down, right) * cell_m * (hardness[a] + hardness[b]).ravel())
    graph = sparse.csr_matrix(
        (np.concatenate(cost), (np.concatenate(tail), np.concatenate(head))), shape=(number.size, number.size)
    )
    costs, before, _ = dijkstra(
        graph, directed=False, indices=np.flatnonzero(base), min_only=True, return_predecessors=True
    )
    receiver = np.where(base, number, before.reshape(rows, columns))
    return costs.reshape(rows, columns), receiver.astype(np.int64)


def _steady(
    heights: Array,
    receiver: npt.NDArray[np.int64],
    run_m: Array,
    floor: Array,
    base: npt.NDArray[np.bool_],
    steep: Array,
    cell_m: float,
) -> Array:
    """Heights at which every cell has the slope that its catchment gives it. Receivers are lower than their cells."""
    order = np.argsort(np.where(base, -1.0, heights), axis=None, kind="stable").tolist()
    to, fixed = receiver.ravel().tolist(), base.ravel().tolist()
    cells = [1.0] * len(to)
    for i in reversed(order):
        if not fixed[i]:
            cells[to[i]] += cells[i]
    slope = steep.ravel() * np.maximum(np.array(cells) * cell_m**2 / _CHANNEL_M2, 1.0) ** -_CONCAVITY
    rise = (slope * run_m.ravel()).tolist()
    result = floor.ravel().tolist()
    for i in order:
        if not fixed[i]:
            result[i] = result[to[i]] + rise[i]
    return np.array(result).reshape(heights.shape)


def _steepest(
    heights: Array, receiver: npt.NDArray[np.int64], run_m: Array, cell_m: float
) -> tuple[npt.NDArray[np.int64], Array]:
    """The lowest neighbour of each cell by slope, and the distance to it; a cell that has none keeps its own."""
    rows, columns = heights.shape
    padded = np.pad(heights, 1, constant_values=np.inf)
    best = np.zeros_like(heights)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            if down == right == 0:
                continue
            length = math.hypot(down, right) * cell_m
            grade = (heights - padded[1 + down : 1 + down + rows, 1 + right : 1 + right + columns]) / length
            better = grade > best
            best = np.where(better, grade, best)
            numbers = np.arange(rows * columns).reshape(rows, columns) + down * columns + right
            receiver = np.where(better, numbers, receiver)
            run_m = np.where(better, length, run_m)
    return receiver, run_m


def _noise(rng: np.random.Generator, shape: tuple[int, int], reach: float) -> Array:
    """Smooth noise of variance 1, correlated over ``reach`` cells."""
    noise = ndimage.gaussian_filter(rng.normal(0.0, 1.0, shape), reach, mode="wrap")
    return np.asarray(noise / noise.std())


def _roughness(rng: np.random.Generator, rows: int, columns: int, step: float) -> Array:
    """Metres of noise at wavelengths from some 600 m down to 60 m."""
    total = np.zeros((rows, columns))
    for reach_m, height_m in ((150.0, 7.0), (70.0, 3.5), (30.0, 1.2)):
        total += height_m * _noise(rng, (rows, columns), max(0.7, reach_m / step))
    return total
