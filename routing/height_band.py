"""The heights at which a track may be flown, and the line through them: kernels and their data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import shapely

from routing.cells import Cells, Floats, Ints, Lattice, index_boxes, index_segments
from routing.compiled import compiled
from routing.region.model import Layer, Terrain

SAMPLE_M = 5.0
"""Spacing at which the terrain is read along a path; less than a grid step of any terrain model in use."""

STEP_UP_M = 10.0
"""Greatest difference in height between waypoints of a sloping line. Autopilots differ in where between
two waypoints they climb; with short steps it hardly matters."""

SECTIONS = (6, 1)
"""Samples on both sides for which a least and a greatest altitude hold: the first is quicker and gives lines with
fewer bends, the second passes steeper slopes."""

SIMPLER_M = 12.0
"""A line may be so much higher than the one with the least climbing, to have fewer bends: each is a waypoint."""

LAYER_ROOM_M = 5.0
"""A layer keeps this far below the top of the band."""

_SAME_M = 1e-5
"""Waypoints nearer to one another than this are one."""

FLOWN, TOO_TALL, TOO_STEEP, ZONE_LIMITS, TREES, NO_RADIO = range(6)
"""What comes of a track."""


class Grid(NamedTuple):
    """A raster of the local frame; without values where there is none."""

    west_m: float
    south_m: float
    step_m: float
    values: Floats


class Limits(NamedTuple):
    """Areas over or under which a flight passes: straight pieces with a radius, then polygons.

    Altitudes are AMSL, of polygons above ground where ``agl`` is set. ``under``: the flight stays below, else above.
    ``edges[edge_first[i]:edge_first[i + 1]]`` are the sides of polygon i.
    """

    pieces: Floats
    radius_m: Floats
    floor_m: Floats
    piece_cells: Cells
    edges: Floats
    edge_first: Ints
    agl: Ints
    under: Ints
    limit_m: Floats
    polygon_cells: Cells


class Band(NamedTuple):
    """From ``clearance_m`` over the ground, or ``over_trees_m`` over the trees, to ``ceiling_m`` over the ground.

    Both are heights over the terrain model with ``error_m`` for what it may be too low by.
    """

    terrain: Grid
    canopy: Grid
    error_m: float
    clearance_m: float
    over_trees_m: float
    ceiling_m: float
    limits: Limits


class Link(NamedTuple):
    """The least height above ground with a radio link, and the longest way without; no values: nobody asks."""

    radio: Grid
    gap_m: float
    spare_m: float


def grid_of(layer: Layer | Terrain | None) -> Grid:
    """A raster as kernels read it."""
    if layer is None:
        return Grid(0.0, 0.0, 1.0, np.empty((0, 0)))
    values = layer.heights if isinstance(layer, Terrain) else layer.values
    return Grid(float(layer.west_m), float(layer.south_m), float(layer.step_m), values.astype(np.float64))


def limits_of(
    pieces: Floats, radius_m: Floats, floor_m: Floats, polygons: Sequence[tuple[shapely.Geometry, bool, bool, float]]
) -> Limits:
    """Limits from straight pieces to pass over, and polygons with (above ground, under, altitude)."""
    areas = np.array([polygon[0] for polygon in polygons], dtype=object)
    parts, owner = shapely.get_parts(areas, return_index=True)
    rings, of = shapely.get_rings(parts, return_index=True)
    places, ring = shapely.get_coordinates(rings, return_index=True)
    inner = ring[1:] == ring[:-1] if len(ring) else np.empty(0, dtype=bool)
    sides = np.concatenate((places[:-1][inner], places[1:][inner]), axis=1) if len(places) else np.empty((0, 4))
    side_owner = owner[of][ring][1:][inner] if len(places) else np.empty(0, dtype=np.int64)
    reach = float(radius_m.max()) if len(radius_m) else 0.0
    return Limits(
        np.ascontiguousarray(pieces, dtype=np.float64).reshape(-1, 4),
        radius_m,
        floor_m,
        index_segments(pieces, reach),
        np.ascontiguousarray(sides),
        np.searchsorted(side_owner, np.arange(len(polygons) + 1)).astype(np.int64),
        np.array([agl for _, agl, _, _ in polygons], dtype=np.int64),
        np.array([under for _, _, under, _ in polygons], dtype=np.int64),
        np.array([limit for _, _, _, limit in polygons], dtype=np.float64),
        index_boxes(shapely.bounds(areas) if len(areas) else np.empty((0, 4))),
    )


@compiled
def _bilinear(values: Floats, west_m: float, south_m: float, step_m: float, x: float, y: float) -> float:
    rows, columns = values.shape
    x = min(max((x - west_m) / step_m, 0.0), columns - 1.0)
    y = min(max((y - south_m) / step_m, 0.0), rows - 1.0)
    column, row = min(int(x), columns - 2), min(int(y), rows - 2)
    fx, fy = x - column, y - row
    south = values[row, column] * (1.0 - fx) + values[row, column + 1] * fx
    north = values[row + 1, column] * (1.0 - fx) + values[row + 1, column + 1] * fx
    return float(south * (1.0 - fy) + north * fy)


@compiled
def _worst(grid: Grid, x: float, y: float) -> float:
    """The greatest of the four values around a place; 0 without values."""
    rows, columns = grid.values.shape
    if rows == 0:
        return 0.0
    column = min(max(math.floor((x - grid.west_m) / grid.step_m), 0), columns - 2)
    row = min(max(math.floor((y - grid.south_m) / grid.step_m), 0), rows - 2)
    values = grid.values
    south, north = (
        max(values[row, column], values[row, column + 1]),
        max(values[row + 1, column], values[row + 1, column + 1]),
    )
    return float(max(south, north))


@compiled
def _cell(lattice: Lattice, x: float, y: float) -> int:
    """The number of the cell that a place lies in, or -1."""
    if lattice.rows == 0:
        return -1
    column = math.floor((x - lattice.west_m) / lattice.step_m)
    row = math.floor((y - lattice.south_m) / lattice.step_m)
    if column < 0 or row < 0 or column >= lattice.columns or row >= lattice.rows:
        return -1
    return row * lattice.columns + column


@compiled
def _near(piece: Floats, x: float, y: float) -> float:
    """Distance of a place from a straight piece."""
    dx, dy = piece[2] - piece[0], piece[3] - piece[1]
    square = dx * dx + dy * dy
    share = 0.0 if square == 0.0 else ((x - piece[0]) * dx + (y - piece[1]) * dy) / square
    share = min(max(share, 0.0), 1.0)
    return math.hypot(x - piece[0] - share * dx, y - piece[1] - share * dy)


@compiled
def _inside(edges: Floats, begin: int, end: int, x: float, y: float) -> bool:
    """Whether a place lies in a polygon: a ray to the east crosses its sides an odd number of times."""
    odd = False
    for i in range(begin, end):
        if (edges[i, 1] > y) != (edges[i, 3] > y):
            share = (y - edges[i, 1]) / (edges[i, 3] - edges[i, 1])
            if x < edges[i, 0] + share * (edges[i, 2] - edges[i, 0]):
                odd = not odd
    return odd


@compiled
def _limited(
    limits: Limits, piece_cell: int, cell: int, ground: float, x: float, y: float, low: float, high: float
) -> tuple[float, float, int]:
    """A band at a place, narrowed by what lies under and over it, and what did so."""
    why = FLOWN
    if piece_cell >= 0:
        for k in range(limits.piece_cells.first[piece_cell], limits.piece_cells.first[piece_cell + 1]):
            i = limits.piece_cells.items[k]
            if limits.floor_m[i] > low and _near(limits.pieces[i], x, y) <= limits.radius_m[i]:
                low, why = limits.floor_m[i], TOO_TALL
    if cell >= 0:
        for k in range(limits.polygon_cells.first[cell], limits.polygon_cells.first[cell + 1]):
            i = limits.polygon_cells.items[k]
            limit = limits.limit_m[i] + ground * limits.agl[i]
            closer = limit < high if limits.under[i] else limit > low
            if closer and _inside(limits.edges, limits.edge_first[i], limits.edge_first[i + 1], x, y):
                why = ZONE_LIMITS
                if limits.under[i]:
                    high = limit
                else:
                    low = limit
    return low, high, why


@compiled
def _bands(band: Band, track: Floats, ends_m: Floats, total: float, count: int) -> tuple[Floats, Ints]:
    """Rows of (station, low, high, ground, x, y) along a track, and what narrowed the band there."""
    rows, why = np.empty((count, 6)), np.zeros(count, dtype=np.int64)
    # Taken out of the loop: each read of an array from a tuple counts its references.
    heights, west_m, south_m, step_m = (
        band.terrain.values,
        band.terrain.west_m,
        band.terrain.south_m,
        band.terrain.step_m,
    )
    piece_first, polygon_first = band.limits.piece_cells.first, band.limits.polygon_cells.first
    pieces, polygons = band.limits.piece_cells.lattice, band.limits.polygon_cells.lattice
    clearance, ceiling, over_trees = band.error_m + band.clearance_m, band.ceiling_m, band.error_m + band.over_trees_m
    trees = band.canopy.values.shape[0] > 0
    leg, done = 0, 0.0
    length = math.hypot(track[1, 0] - track[0, 0], track[1, 1] - track[0, 1])
    for i in range(count):
        station = total * i / (count - 1)
        while station > done + length and leg < len(track) - 2:
            done += length
            leg += 1
            length = math.hypot(track[leg + 1, 0] - track[leg, 0], track[leg + 1, 1] - track[leg, 1])
        share = min(max((station - done) / length, 0.0), 1.0) if length > 0.0 else 0.0
        x = track[leg, 0] + share * (track[leg + 1, 0] - track[leg, 0])
        y = track[leg, 1] + share * (track[leg + 1, 1] - track[leg, 1])
        ground = _bilinear(heights, west_m, south_m, step_m, x, y)
        # The ends are the sites' own: a pad may stand above the terrain model.
        if i == 0:
            ground = max(ground, ends_m[0])
        if i == count - 1:
            ground = max(ground, ends_m[1])
        low, high = ground + clearance, ground + ceiling
        if trees:
            low = max(low, ground + over_trees + _worst(band.canopy, x, y))
        rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5] = station, low, high, ground, x, y
        piece, polygon = _cell(pieces, x, y), _cell(polygons, x, y)
        piece = piece if piece >= 0 and piece_first[piece] < piece_first[piece + 1] else -1
        polygon = polygon if polygon >= 0 and polygon_first[polygon] < polygon_first[polygon + 1] else -1
        if low > high:
            why[i] = TREES
        elif piece >= 0 or polygon >= 0:
            rows[i, 1], rows[i, 2], why[i] = _limited(band.limits, piece, polygon, ground, x, y, low, high)
    return rows, why


@compiled
def bands(band: Band, places: Floats) -> tuple[Floats, Floats]:
    """The least and greatest altitude AMSL at places, rows of (x, y)."""
    low, high, track = np.empty(len(places)), np.empty(len(places)), np.empty((2, 2))
    for i in range(len(places)):
        track[0], track[1] = places[i], places[i]
        rows, _ = _bands(band, track, np.full(2, -math.inf), 0.0, 2)
        low[i], high[i] = rows[0, 1], rows[0, 2]
    return low, high


@compiled
def _spread(values: Floats, reach: int, greatest: bool) -> Floats:
    """The greatest (or least) of the values within ``reach`` places of each: that of two blocks (van Herk 1992)."""
    count, width, sign = len(values), 2 * reach + 1, 1.0 if greatest else -1.0
    ahead, back, found = np.empty(count), np.empty(count), np.empty(count)
    for i in range(count):
        ahead[i] = sign * values[i] if i % width == 0 else max(ahead[i - 1], sign * values[i])
    for i in range(count - 1, -1, -1):
        ends = i == count - 1 or (i + 1) % width == 0
        back[i] = sign * values[i] if ends else max(back[i + 1], sign * values[i])
    for i in range(count):
        first, last = max(i - reach, 0), min(i + reach, count - 1)
        # From the first on to the end of its block, and from the beginning of the last's block to it.
        best = ahead[last] if first // width == last // width and first % width == 0 else max(back[first], ahead[last])
        if first // width == last // width and first % width != 0:
            best = back[first]
        found[i] = sign * best
    return found


@compiled
def _taut(stations: Floats, low: Floats, high: Floats) -> Floats:
    """Altitudes of the string pulled taut within the band, from its lowest start to its lowest end.

    The shortest line in a corridor is also the one with the least climbing. From each bend it goes straight
    until a lower bound would lie above an upper one, and bends at the one that came first (Lee and Preparata 1984,
    for a corridor that is monotone).
    """
    last = len(stations) - 1
    found = np.empty(last + 1)
    at, altitude = 0, low[0]
    found[0] = altitude
    while at < last:
        least, most, lowest, highest = -math.inf, math.inf, at, at
        bend, to = last, low[last]
        for k in range(at + 1, last + 1):
            ahead = stations[k] - stations[at]
            bottom, top = (low[k] - altitude) / ahead, ((low[k] if k == last else high[k]) - altitude) / ahead
            if max(bottom, least) > min(top, most):
                if bottom > most:
                    bend, to = highest, (low if highest == last else high)[highest]
                else:
                    bend, to = lowest, low[lowest]
                break
            if bottom > least:
                least, lowest = bottom, k
            if top < most:
                most, highest = top, k
        for k in range(at + 1, bend + 1):
            found[k] = altitude + (to - altitude) * (stations[k] - stations[at]) / (stations[bend] - stations[at])
        at, altitude = bend, to
    return found


@compiled
def _simpler(stations: Floats, low: Floats, high: Floats) -> Floats:
    """A line with few bends, rows of (station, altitude), at most ``SIMPLER_M`` above that with the least climbing.

    Greedy: from each bend the farthest station is taken that one straight line reaches, which is the least number
    of bends for the start chosen (a link path in a monotone corridor).
    """
    lowest = _taut(stations, low, high)
    last = len(stations) - 1
    bends, count = np.empty((last + 1, 2)), 1
    at, altitude = 0, lowest[0]
    bends[0, 0], bends[0, 1] = stations[0], altitude
    while at < last:
        least, most, reach, bottom, top = -math.inf, math.inf, at, 0.0, 0.0
        for k in range(at + 1, last + 1):
            ahead = stations[k] - stations[at]
            # Rounding must not put a bend of the taut line outside.
            floor, ceiling = min(low[k], lowest[k]), max(lowest[k], min(high[k], lowest[k] + SIMPLER_M))
            least, most = max(least, (floor - altitude) / ahead), min(most, (ceiling - altitude) / ahead)
            if least > most and k > at + 1:
                break
            reach, bottom, top = k, altitude + least * ahead, altitude + most * ahead
        at = reach
        # At the end as low as can be, for the descent is slow; between, the middle leaves room both ways.
        altitude = bottom if at == last else (bottom + top) / 2.0
        bends[count, 0], bends[count, 1] = stations[at], altitude
        count += 1
    return bends[:count]


@compiled
def _line(rows: Floats, low: Floats, section: int, layer_m: float) -> Floats:
    """Bends of a line in the band, none where the band is too narrow for sections of so many samples."""
    lows, highs = _spread(low, section, True), _spread(rows[:, 2], section, False)
    for i in range(len(rows)):
        if lows[i] > highs[i]:
            return np.empty((0, 2))
        lows[i] = max(lows[i], min(lows[i] + layer_m, highs[i] - LAYER_ROOM_M))
    # Between samples so far apart the band of either holds.
    count = (len(rows) - 1 + section - 1) // section + 1
    stations, some_low, some_high = np.empty(count), np.empty(count), np.empty(count)
    for k in range(count):
        i = min(k * section, len(rows) - 1)
        stations[k], some_low[k], some_high[k] = rows[i, 0], lows[i], highs[i]
    return _simpler(stations, some_low, some_high)


@compiled
def _drawn(rows: Floats, low: Floats, layer_m: float) -> Floats:
    for section in SECTIONS:
        line = _line(rows, low, section, layer_m)
        if len(line):
            return line
    return np.empty((0, 2))


@compiled
def _between(at: float, x: Floats, y: Floats, i: int) -> float:
    """The value at ``at`` of the line from point i to the next."""
    wide = x[i + 1] - x[i]
    return float(y[i + 1] if wide <= 0.0 else y[i] + (y[i + 1] - y[i]) * min(max((at - x[i]) / wide, 0.0), 1.0))


@compiled
def _along(at: Floats, x: Floats, y: Floats) -> Floats:
    """Values at ascending places of a line through points with ascending x (NumPy's takes seconds to compile)."""
    found, i = np.empty(len(at)), 0
    for k in range(len(at)):
        while i < len(x) - 2 and at[k] > x[i + 1]:
            i += 1
        found[k] = _between(at[k], x, y, i) if len(x) > 1 else y[0]
    return found


@compiled
def _longest_gap(link: Link, rows: Floats, line: Floats) -> float:
    """Length of the longest part of a line below the height from which on there is a radio link."""
    longest, gap = 0.0, 0.0
    altitudes = _along(rows[:, 0], line[:, 0], line[:, 1])
    for i in range(len(rows)):
        if altitudes[i] - rows[i, 3] < _worst(link.radio, rows[i, 4], rows[i, 5]):
            # From the middle between two samples to the middle between the next two, and a sample to be safe.
            gap += (rows[-1, 0] - rows[0, 0]) / (len(rows) - 1)
            longest = max(longest, gap)
        else:
            gap = 0.0
    return longest


@compiled
def _in_touch(link: Link, rows: Floats, line: Floats, layer_m: float) -> Floats:
    """The line where its radio link holds well enough, else a higher one that does, else none."""
    if _longest_gap(link, rows, line) <= link.gap_m:
        return line
    low = rows[:, 1].copy()
    for i in range(len(rows)):
        needed = rows[i, 3] + _worst(link.radio, rows[i, 4], rows[i, 5]) + link.spare_m
        if needed <= rows[i, 2]:
            low[i] = max(low[i], needed)
    line = _drawn(rows, low, layer_m)
    return line if len(line) and _longest_gap(link, rows, line) <= link.gap_m else np.empty((0, 2))


@compiled
def _stations(turns: Floats, line: Floats) -> Floats:
    """Where a track turns or its line bends, and between them where it climbs or descends, each once, ascending."""
    count = len(turns) + 1
    for i in range(1, len(line)):
        count += max(1, math.ceil(abs(line[i, 1] - line[i - 1, 1]) / STEP_UP_M))
    found, written, turn = np.empty(count), 0, 0
    for i in range(len(line)):
        steps = 1 if i == 0 else max(1, math.ceil(abs(line[i, 1] - line[i - 1, 1]) / STEP_UP_M))
        for k in range(1, steps + 1):
            at = line[i, 0] if i == 0 else line[i - 1, 0] + (line[i, 0] - line[i - 1, 0]) * k / steps
            while turn < len(turns) and turns[turn] < at - _SAME_M:
                if written == 0 or turns[turn] > found[written - 1] + _SAME_M:
                    found[written] = turns[turn]
                    written += 1
                turn += 1
            if written == 0 or at > found[written - 1] + _SAME_M:
                found[written] = at
                written += 1
    return found[:written]


@compiled
def _waypoints(track: Floats, line: Floats) -> Floats:
    """Rows of (x, y, altitude) where a track turns, the line bends, and in small steps where it climbs or descends."""
    turns = np.zeros(len(track))
    for i in range(1, len(track)):
        turns[i] = turns[i - 1] + math.hypot(track[i, 0] - track[i - 1, 0], track[i, 1] - track[i - 1, 1])
    at = _stations(turns, line)
    x, y, altitude = _along(at, turns, track[:, 0]), _along(at, turns, track[:, 1]), _along(at, line[:, 0], line[:, 1])
    # From a place to itself: still a start and an end.
    count = max(2, len(at))
    found = np.empty((count, 3))
    for i in range(count):
        k = min(i, len(at) - 1)
        found[i, 0], found[i, 1], found[i, 2] = x[k], y[k], math.floor(altitude[k] * 100.0 + 0.5) / 100.0
    return found


@compiled
def fly_tracks(
    band: Band, link: Link, tracks: Floats, first: Ints, ends_m: Floats, layers_m: Floats
) -> tuple[Ints, Floats, Ints]:
    """What came of flights along tracks, their waypoints (x, y, altitude AMSL), and where those of each begin.

    Track i has the points ``tracks[first[i]:first[i + 1]]``; ``ends_m`` are the heights of the ground at its ends,
    ``layers_m`` how much higher than need be it is flown where there is room.
    """
    came = np.zeros(len(first) - 1, dtype=np.int64)
    found, begins, written = np.empty((1024, 3)), np.zeros(len(first), dtype=np.int64), 0
    for i in range(len(first) - 1):
        begins[i + 1] = written
        track = tracks[first[i] : first[i + 1]]
        total = 0.0
        for k in range(1, len(track)):
            total += math.hypot(track[k, 0] - track[k - 1, 0], track[k, 1] - track[k - 1, 1])
        rows, why = _bands(band, track, ends_m[i], total, max(2, math.ceil(total / SAMPLE_M) + 1))
        line = np.empty((0, 2))
        if total > 0.0:
            line = _drawn(rows, rows[:, 1], layers_m[i])
        elif rows[0, 1] <= rows[0, 2]:
            line = np.array([[0.0, max(rows[0, 1], rows[1, 1]) + layers_m[i]]])
        if not len(line):
            came[i] = TOO_STEEP
            for k in range(len(rows)):
                if rows[k, 1] > rows[k, 2]:
                    came[i] = why[k]
                    break
            continue
        if link.radio.values.shape[0] > 0:
            line = _in_touch(link, rows, line, layers_m[i])
            if not len(line):
                came[i] = NO_RADIO
                continue
        points = _waypoints(track, line)
        while written + len(points) > len(found):
            larger = np.empty((2 * len(found), 3))
            larger[:written] = found[:written]
            found = larger
        found[written : written + len(points)] = points
        written += len(points)
        begins[i + 1] = written
    return came, found[:written], begins
