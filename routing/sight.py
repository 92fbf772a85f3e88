"""What is in sight of what between closed areas, and the shortest ways around them: kernels and their data."""

from __future__ import annotations

import heapq
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from routing.cells import Cells, Floats, Ints, Lattice, index_segments
from routing.compiled import compiled

Bools = npt.NDArray[np.bool_]

CORNER_OFF_M = 1.0
"""Corners lie so far outside the areas, so that a path along a side does not touch it."""

_FIRST, _WIDEN = 1.006, 4.0
"""How much longer than straight a way is looked for at first, and by how much that detour grows."""

_SLACK = 1e-6
_LEVEL_M = 1e-3


class Edges(NamedTuple):
    """The sides of closed areas, rows of (x, y, x, y), and where they are."""

    segments: Floats
    cells: Cells


class Nodes(NamedTuple):
    """Where ways may bend: corners of areas, with the corner before and after each."""

    places: Floats
    before: Floats
    after: Floats


class Links(NamedTuple):
    """The graph of what is in sight, if it is known: ``to[first[i]:first[i + 1]]`` are the nodes that node i sees."""

    first: Ints
    to: Ints


UNKNOWN = Links(np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.int64))


def edges_of(areas: shapely.Geometry) -> Edges:
    """All sides of polygons."""
    rings = np.asarray(shapely.get_rings(shapely.get_parts(areas)), dtype=object)
    places, owner = shapely.get_coordinates(rings, return_index=True)
    inner = owner[1:] == owner[:-1] if len(owner) else np.empty(0, dtype=bool)
    segments = np.concatenate((places[:-1][inner], places[1:][inner]), axis=1) if len(places) else np.empty((0, 4))
    return Edges(np.ascontiguousarray(segments), index_segments(segments))


def nodes_of(outer: shapely.Geometry, within: tuple[float, float, float, float]) -> Nodes:
    """Corners of areas at which a way around them may bend, but those outside a box (west, south, east, north)."""
    rings = np.asarray(shapely.get_rings(shapely.get_parts(shapely.orient_polygons(outer))), dtype=object)
    places, owner = shapely.get_coordinates(rings, return_index=True)
    if not len(places):
        return Nodes(np.empty((0, 2)), np.empty((0, 2)), np.empty((0, 2)))
    closing = np.flatnonzero(np.append(owner[1:] != owner[:-1], True))
    opening = np.append(0, closing[:-1] + 1)
    before, after = np.arange(-1, len(places) - 1), np.arange(1, len(places) + 1)
    before[opening] = closing - 1
    after[closing] = opening + 1
    into, out = places - places[before], places[after % len(places)] - places
    # Areas lie to the left of their rings: only where these turn left does a way bend around them.
    kept = into[:, 0] * out[:, 1] - into[:, 1] * out[:, 0] > _SLACK
    kept[closing] = False
    kept &= ((places >= within[:2]) & (places <= within[2:])).all(axis=1)
    parts = (places[kept], places[before[kept]], places[after[kept] % len(places)])
    return Nodes(*(np.ascontiguousarray(part) for part in parts))


@compiled
def _crosses(segments: Floats, i: int, ax: float, ay: float, bx: float, by: float) -> bool:
    """Whether two closed segments have a point in common."""
    cx, cy, dx, dy = segments[i, 0], segments[i, 1], segments[i, 2], segments[i, 3]
    if max(ax, bx) < min(cx, dx) or max(cx, dx) < min(ax, bx) or max(ay, by) < min(cy, dy) or max(cy, dy) < min(ay, by):
        return False
    if ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) * ((bx - ax) * (dy - ay) - (by - ay) * (dx - ax)) > 0.0:
        return False
    return bool(
        ((dx - cx) * (ay - cy) - (dy - cy) * (ax - cx)) * ((dx - cx) * (by - cy) - (dy - cy) * (bx - cx)) <= 0.0
    )


@compiled
def _clear(
    lattice: Lattice, first: Ints, items: Ints, segments: Floats, ax: float, ay: float, bx: float, by: float
) -> bool:
    """Whether a line meets no segment: row by row of the cells it passes."""
    step = lattice.step_m
    if lattice.rows == 0:
        return True
    low, top = min(ay, by), max(ay, by)
    row_low = max(0, math.floor((low - lattice.south_m) / step))
    row_top = min(lattice.rows - 1, math.floor((top - lattice.south_m) / step))
    for row in range(row_low, row_top + 1):
        begin, end = 0.0, 1.0
        if top - low > _LEVEL_M:
            one = (lattice.south_m + row * step - ay) / (by - ay)
            other = (lattice.south_m + (row + 1) * step - ay) / (by - ay)
            begin, end = max(0.0, min(one, other)), min(1.0, max(one, other))
        x, y = ax + begin * (bx - ax), ax + end * (bx - ax)
        column_low = max(0, math.floor((min(x, y) - _LEVEL_M - lattice.west_m) / step))
        column_top = min(lattice.columns - 1, math.floor((max(x, y) + _LEVEL_M - lattice.west_m) / step))
        for cell in range(row * lattice.columns + column_low, row * lattice.columns + column_top + 1):
            for k in range(first[cell], first[cell + 1]):
                if _crosses(segments, items[k], ax, ay, bx, by):
                    return False
    return True


@compiled
def clear(edges: Edges, lines: Floats) -> Bools:
    """Whether each line (x, y, x, y), whose start lies outside all areas, meets none."""
    found = np.empty(len(lines), dtype=np.bool_)
    # Arrays are taken out of tuples once: each read counts their references.
    lattice, first, items, segments = edges.cells.lattice, edges.cells.first, edges.cells.items, edges.segments
    for i in range(len(lines)):
        found[i] = _clear(lattice, first, items, segments, lines[i, 0], lines[i, 1], lines[i, 2], lines[i, 3])
    return found


@compiled
def _side(places: Floats, before: Floats, after: Floats, node: int, x: float, y: float) -> int:
    """On which side of the line from (x, y) through a corner its area lies: 1 left, -1 right, 0 touched; 2: through."""
    cx, cy = places[node, 0], places[node, 1]
    dx, dy = cx - x, cy - y
    slack = 1e-6 * (abs(dx) + abs(dy))
    one = dx * (before[node, 1] - cy) - dy * (before[node, 0] - cx)
    other = dx * (after[node, 1] - cy) - dy * (after[node, 0] - cx)
    if one >= -slack and other >= -slack:
        return 1 if one > slack or other > slack else 0
    if one <= slack and other <= slack:
        return -1
    return 2


@compiled
def _grown(values: Floats) -> Floats:
    larger = np.empty(2 * len(values), dtype=values.dtype)
    larger[: len(values)] = values
    return larger


@compiled
def _grown_ints(values: Ints) -> Ints:
    larger = np.empty(2 * len(values), dtype=values.dtype)
    larger[: len(values)] = values
    return larger


@compiled
def linked(edges: Edges, nodes: Nodes, begin: int, end: int) -> Ints:
    """Rows of nodes that see one another along which a shortest way may lead: the first from ``begin`` to ``end``, the
    second a later one."""
    places, before, after = nodes.places, nodes.before, nodes.after
    lattice, first, items, segments = edges.cells.lattice, edges.cells.first, edges.cells.items, edges.segments
    found, written = np.empty(512, dtype=np.int64), 0
    for i in range(begin, end):
        x, y = places[i, 0], places[i, 1]
        for j in range(i + 1, len(places)):
            ox, oy = places[j, 0], places[j, 1]
            if _side(places, before, after, i, ox, oy) == 2 or _side(places, before, after, j, x, y) == 2:
                continue
            if not _clear(lattice, first, items, segments, x, y, ox, oy):
                continue
            if written + 2 > len(found):
                found = _grown_ints(found)
            found[written], found[written + 1] = i, j
            written += 2
    return found[:written].reshape(-1, 2)


def links_of(pairs: Ints, count: int) -> Links:
    """The graph of so many nodes whose links are given in one direction each."""
    both = np.concatenate((pairs, pairs[:, ::-1]))
    both = both[np.lexsort((both[:, 1], both[:, 0]))]
    first = np.searchsorted(both[:, 0], np.arange(count + 1)).astype(np.int64)
    return Links(first, np.ascontiguousarray(both[:, 1]))


@compiled
def shortest(
    edges: Edges, nodes: Nodes, links: Links, starts: Floats, ends: Floats, loose_start: Bools, loose_end: Bools
) -> tuple[Ints, Ints, Floats]:
    """Nodes of the cheapest ways from starts to ends in one array, where each way begins in it, and what it costs.

    A* in the graph of what is in sight, of which nothing need be made beforehand: without ``links``, whether two
    nodes see one another is looked at when the line between them is the next best. Only lines that pass beside the
    areas of both their corners and bends around these can be part of a shortest way (Lozano-Perez and Wesley 1979,
    and the tangent graph of Liu and Arimoto 1992). Nodes outside the ellipse of the length looked for are left out;
    it grows until there is a way. ``loose``: an end nearer to an area than its corners, which may be reached past
    them. A way that is not there has no nodes and costs infinitely much.
    """
    places, before_, after = nodes.places, nodes.before, nodes.after
    lattice, items_first, items, segments = edges.cells.lattice, edges.cells.first, edges.cells.items, edges.segments
    links_first, links_to = links.first, links.to
    count = len(places)
    target = count
    found, first = np.empty(64, dtype=np.int64), np.zeros(len(starts) + 1, dtype=np.int64)
    costs = np.empty(len(starts), dtype=np.float64)
    written = 0
    closed = np.zeros(count + 1, dtype=np.bool_)
    near = np.empty(count, dtype=np.int64)
    linked = len(links_first) > 1
    cost, node_of, parent = np.empty(256, dtype=np.float64), np.empty(256, dtype=np.int64), np.empty(256, np.int64)
    for pair in range(len(starts)):
        sx, sy, ex, ey = starts[pair, 0], starts[pair, 1], ends[pair, 0], ends[pair, 1]
        direct = math.hypot(ex - sx, ey - sy)
        if _clear(lattice, items_first, items, segments, sx, sy, ex, ey):
            first[pair + 1], costs[pair] = written, direct
            continue
        longest = direct * _FIRST + 10.0
        last = -1
        while True:
            kept, left = 0, 0
            # Half the width of the ellipse: what lies farther from the straight line is left out at once.
            aside = math.sqrt(longest * longest - direct * direct) / 2.0 * direct
            for i in range(count):
                x, y = places[i, 0], places[i, 1]
                if (
                    abs((ex - sx) * (y - sy) - (ey - sy) * (x - sx)) <= aside
                    and (math.hypot(x - sx, y - sy) + math.hypot(ex - x, ey - y)) <= longest
                ):
                    near[kept] = i
                    kept += 1
                    closed[i] = False
                else:
                    left += 1
            closed[target] = False
            entries = 1
            cost[0], node_of[0], parent[0] = 0.0, -1, -1
            heap = [(direct, 0)]
            last = -1
            while len(heap) > 0:
                entry = heapq.heappop(heap)[1]
                node, before = node_of[entry], parent[entry]
                x, y, dx, dy, side = sx, sy, 0.0, 0.0, 0
                if node >= 0:
                    if closed[node]:
                        continue
                    px, py = sx, sy
                    if node_of[before] >= 0:
                        px, py = places[node_of[before], 0], places[node_of[before], 1]
                    x, y = ex, ey
                    if node != target:
                        x, y = places[node, 0], places[node, 1]
                    seen = linked and node != target and node_of[before] >= 0
                    if not seen and not _clear(lattice, items_first, items, segments, px, py, x, y):
                        continue
                    closed[node] = True
                    if node == target:
                        last = entry
                        break
                    side = _side(places, before_, after, node, px, py)
                    if side == 2:
                        side = 0
                    dx, dy = x - px, y - py
                while entries + count + 16 > len(cost):
                    cost = _grown(cost)
                    node_of, parent = _grown_ints(node_of), _grown_ints(parent)
                known = linked and node >= 0
                begin = links_first[node] if known else 0
                others = links_first[node + 1] - begin if known else kept
                for k in range(others + 1):
                    other = target if k == others else links_to[begin + k] if known else near[k]
                    if closed[other]:
                        continue
                    ox, oy = ex, ey
                    if other != target:
                        ox, oy = places[other, 0], places[other, 1]
                    step, onward = math.hypot(ox - x, oy - y), math.hypot(ex - ox, ey - oy)
                    total = cost[entry] + step
                    if total + onward > longest or (step == 0.0 and other != target):
                        continue
                    if side != 0 and side * (dx * (oy - y) - dy * (ox - x)) < -1e-6 * step:
                        continue
                    if not known or other == target:
                        if (
                            node >= 0
                            and not (other == target and loose_end[pair])
                            and _side(places, before_, after, node, ox, oy) == 2
                        ):
                            continue
                        if (
                            other != target
                            and not (node < 0 and loose_start[pair])
                            and _side(places, before_, after, other, x, y) == 2
                        ):
                            continue
                    cost[entries], node_of[entries], parent[entries] = total, other, entry
                    heapq.heappush(heap, (total + onward, entries))
                    entries += 1
            if last >= 0 or left == 0:
                break
            longest = direct + _WIDEN * (longest - direct)
        begin = written
        entry = parent[last] if last >= 0 else 0
        while entry > 0:
            if written >= len(found):
                found = _grown_ints(found)
            found[written] = node_of[entry]
            written += 1
            entry = parent[entry]
        found[begin:written] = found[begin:written][::-1].copy()
        first[pair + 1] = written
        costs[pair] = cost[last] if last >= 0 else math.inf
    return found[:written], first, costs
