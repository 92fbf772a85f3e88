"""A power line over mountains and valleys, and a radio mast."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import shapely

from routing.geo import Position
from routing.region.model import Obstacle
from routing.region.sample.curve import Array
from routing.region.sample.places import Ground

MARGIN_M = 30.0
CLEAR_OF_SITES_M = 120.0
TOPS_M = (35.0, 42.0, 50.0, 60.0)
"""Heights of pylons over the ground."""
SPANS_M = tuple(range(300, 80, -20))
WIRE_AGL_M = (15.0, 105.0)
"""Wires hang so high over the ground where pylons can be set so; flights may then cross above, below their ceiling."""
MAST_M = 40.0

_SAMPLE_M = 20.0
_TRIES = 60


def make_obstacles(
    rng: np.random.Generator, ground: Ground, keep_clear: Array, flights: Sequence[tuple[Array, Array]]
) -> tuple[Obstacle, ...]:
    """A power line from the northern border to the southern and a mast, away from the places of ``keep_clear``.

    ``flights`` are straight lines that the power line crosses only if it must.
    """
    pylons = _pylons(ground, _route(rng, ground, keep_clear, flights))
    mast = _raised(ground, _mast(rng, ground, keep_clear), MAST_M)
    return (
        Obstacle("line-1", "power_line", "Transmission line", pylons, MARGIN_M),
        Obstacle("mast-1", "mast", "Disaster radio mast", (mast,), MARGIN_M),
    )


def _route(
    rng: np.random.Generator, ground: Ground, keep_clear: Array, flights: Sequence[tuple[Array, Array]]
) -> Array:
    """The corners of a line that crosses the main valley between the town and the hamlet west of it."""
    land = ground.land
    places, lines = shapely.points(keep_clear), shapely.linestrings(np.array(flights))
    found = []
    for i in range(_TRIES):
        east = np.interp(rng.uniform(0.30, 0.38), (0.0, 1.0), (-land.half_east_m, land.half_east_m))
        north = np.linspace(1.0, -1.0, 6) * (land.half_north_m - 50.0)
        corners = np.stack((east + rng.uniform(-0.1, 0.4) * north + rng.uniform(-200, 200, 6), north), axis=1)
        route = shapely.LineString(corners)
        gap_m = float(shapely.distance(route, places).min())
        crossed = int(shapely.intersects(lines, route).sum())
        found.append(((gap_m < CLEAR_OF_SITES_M, crossed, -gap_m, i), corners))
    return min(found, key=lambda pair: pair[0])[1]


def _pylons(ground: Ground, corners: Array) -> tuple[Position, ...]:
    found = [_raised(ground, corners[0], TOPS_M[-1])]
    for start, end in itertools.pairwise(corners):
        length = math.dist(start, end)
        at, top = 0.0, found[-1].alt_amsl_m
        while at < length - 1.0:
            span, pylon_m = _next_span(ground, start, (end - start) / length, at, top, length - at)
            at += span
            place = start + (end - start) * (at / length)
            found.append(_raised(ground, place, pylon_m))
            top = found[-1].alt_amsl_m
    return tuple(found)


def _next_span(
    ground: Ground, start: Array, direction: Array, at: float, top: float, left: float
) -> tuple[float, float]:
    """The longest span and lowest next pylon whose wire hangs as it should; a short one where none does."""
    for span in (min(float(span), left) for span in SPANS_M):
        if 0.0 < left - span < SPANS_M[-1]:
            continue  # what remains would be too short
        stations = np.linspace(0.0, span, max(3, round(span / _SAMPLE_M)))
        places = start + (at + stations)[:, None] * direction
        floor = ground.land.terrain.height_m(places[:, 0], places[:, 1])
        for pylon_m in TOPS_M:
            wire = top + (floor[-1] + pylon_m - top) * stations / span - floor
            if wire[1:-1].min() >= WIRE_AGL_M[0] and wire.max() <= WIRE_AGL_M[1]:
                return span, pylon_m
    return (min(140.0, left) if left >= 2 * SPANS_M[-1] else left), TOPS_M[-1]


def _mast(rng: np.random.Generator, ground: Ground, keep_clear: Array) -> Array:
    """The highest of some places above the town that nothing is near to."""
    places = [
        ground.main(ground.land.town + float(rng.uniform(-700, 700)), float(rng.uniform(430, 800)))
        for _ in range(_TRIES)
    ]
    clear = [place for place in places if np.hypot(*(keep_clear - place).T).min() >= CLEAR_OF_SITES_M]
    return max(clear or places, key=lambda place: float(ground.land.terrain.height_m(*place)))


def _raised(ground: Ground, place: Array, height_m: float) -> Position:
    foot = ground.position(place)
    return Position(foot.lat, foot.lon, round(foot.alt_amsl_m + height_m, 2))
