"""What makes the sky over the fictional municipality one that is used: lanes, radio coverage, trees and more zones."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import shapely

from routing.geo import Position
from routing.region.model import AltitudeReference, LaneSection, Layer, Obstacle, Period, Restriction, Zone
from routing.region.sample.curve import Array
from routing.region.sample.places import Ground

LANE_AGL_M = 100.0
LANE_STEP_M = 100.0
BESIDE_LINE_M = 95.0
"""The lane along the power line runs so far east of it: its corridor ends outside the line's margin."""

RADIO_STEP_M = 250.0
HUB_MAST_M, RELAY_M = 30.0, 20.0
"""Heights of antennas at hubs and at drone ports."""
BENDS_M = 12.0
"""A link holds so far below the line of sight: waves bend around ridges."""
_RAYS = 48

CANOPY_STEP_M = 100.0
TREES_M = (12.0, 26.0)
TREE_LINE_M = 18.0
"""Trees stand where the ground is so much higher than the valley floor nearest to it."""


def make_lanes(ground: Ground, line: Obstacle) -> tuple[LaneSection, ...]:
    """Sections along the river, with junctions at each side valley, and along the power line, which meet."""
    main = ground.land.main.axis
    river = shapely.LineString(main.points[:: round(LANE_STEP_M / 10.0)])
    pylons = shapely.LineString([ground.local(top) for top in line.line])
    beside = max(
        (shapely.offset_curve(pylons, side * BESIDE_LINE_M, join_style="mitre") for side in (1, -1)),
        key=lambda one: float(one.centroid.x),
    )
    beside = shapely.LineString(shapely.get_coordinates(shapely.simplify(beside, 10.0)))
    crossing = shapely.get_parts(shapely.intersection(river, beside))[:1]
    cuts = {f"river-{i}": along for i, (along, _) in enumerate(sorted(ground.land.joins), start=1)}
    names = {"river-west": 0.0, "river-east": river.length} | cuts
    if len(crossing):
        names["river-line"] = float(shapely.line_locate_point(river, crossing[0]))
    lanes = _sections(ground, "river", river, names)
    if len(crossing):
        at = float(shapely.line_locate_point(beside, crossing[0]))
        lanes += _sections(ground, "line", beside, {"line-north": 0.0, "river-line": at, "line-south": beside.length})
    return tuple(lanes)


def _sections(ground: Ground, name: str, line: shapely.LineString, junctions: dict[str, float]) -> list[LaneSection]:
    """Sections of a line between junctions, each so many metres along it."""
    ordered = sorted(junctions.items(), key=lambda each: each[1])
    found: list[LaneSection] = []
    for (a, begin), (b, end) in itertools.pairwise(ordered):
        if end - begin < 1.0:
            continue
        count = max(1, math.ceil((end - begin) / LANE_STEP_M))
        places = shapely.get_coordinates(shapely.line_interpolate_point(line, np.linspace(begin, end, count + 1)))
        found.append(LaneSection(f"{name}-{len(found) + 1}", a, b, tuple(_raised(ground, p) for p in places)))
    return found


def _raised(ground: Ground, place: Array) -> Position:
    foot = ground.position(place)
    return Position(foot.lat, foot.lon, round(foot.alt_amsl_m + LANE_AGL_M, 1))


def make_radio(ground: Ground, antennas: Sequence[tuple[Array, float]]) -> Layer:
    """The least height above ground with a line of sight to any antenna: a place, and a height above ground."""
    terrain = ground.land.terrain
    east = np.arange(terrain.west_m, terrain.east_m + 1.0, RADIO_STEP_M)
    north = np.arange(terrain.south_m, terrain.north_m + 1.0, RADIO_STEP_M)
    x, y = np.meshgrid(east, north)
    here = terrain.height_m(x, y)
    least = np.full(x.shape, np.inf)
    share = np.linspace(0.02, 1.0, _RAYS, endpoint=False)[:, None, None]
    for place, height_m in antennas:
        top = float(terrain.height_m(*place)) + height_m
        between = terrain.height_m(place[0] + share * (x - place[0]), place[1] + share * (y - place[1]))
        # The line from the antenna over each point between, where it comes to the place.
        needed = (top + (between - BENDS_M - top) / share).max(axis=0) - here
        least = np.minimum(least, np.maximum(needed, 0.0))
    least[least > 1_000.0] = np.inf
    return Layer(
        terrain.west_m, terrain.south_m, RADIO_STEP_M, np.round(least).astype(np.float32), "line of sight (simulated)"
    )


def make_canopy(rng: np.random.Generator, ground: Ground) -> Layer:
    """Trees on the slopes, none in the valleys."""
    terrain = ground.land.terrain
    east = np.arange(terrain.west_m, terrain.east_m + 1.0, CANOPY_STEP_M)
    north = np.arange(terrain.south_m, terrain.north_m + 1.0, CANOPY_STEP_M)
    x, y = np.meshgrid(east, north)
    axes = [valley.axis.points for valley in (ground.land.main, *ground.land.sides)]
    floors = np.concatenate([valley.floor_m for valley in (ground.land.main, *ground.land.sides)])
    along = np.asarray(shapely.points(np.concatenate(axes)), dtype=object)
    nearest = shapely.STRtree(along).nearest(shapely.points(x.ravel(), y.ravel()))
    above = terrain.height_m(x, y) - floors[nearest].reshape(x.shape)
    trees = rng.uniform(*TREES_M, x.shape)
    return Layer(
        terrain.west_m,
        terrain.south_m,
        CANOPY_STEP_M,
        np.where(above > TREE_LINE_M, np.round(trees), 0.0).astype(np.float32),
        "simulated",
    )


def make_more_zones(ground: Ground) -> tuple[Zone, ...]:
    """Paragliders over a ridge at weekends, which flights pass under, and a dam that needs an authorisation."""
    land = ground.land
    reach = min(1.0, land.half_east_m / 7_500.0)
    ridge = ground.main(land.town - 1_300.0 * reach, 1_700.0 * reach)
    turns = np.linspace(0.0, 2.0 * math.pi, 12, endpoint=False)
    dam = ground.main(land.main.axis.length_m - 260.0, 0.0)
    corners = np.array(((-110.0, -170.0), (110.0, -170.0), (110.0, 170.0), (-110.0, 170.0)))
    weekend = Period(weekdays=(5, 6), from_minute=60, to_minute=480)
    return (
        Zone(
            "paragliding", "sport", "パラグライダー空域", "Paragliding area",
            _ring(ground, ridge + 450.0 * np.stack((np.cos(turns), np.sin(turns)), axis=1)),
            floor_m=110.0, floor_reference=AltitudeReference.AGL, schedule=(weekend,),
        ),
        Zone(
            "dam", "infrastructure", "砂防ダム", "Dam", _ring(ground, dam + corners),
            restriction=Restriction.AUTHORISATION,
        ),
    )  # fmt: skip


def _ring(ground: Ground, corners: Array) -> tuple[tuple[float, float], ...]:
    places = [ground.frame.to_global(float(east), float(north)) for east, north in corners]
    ring = tuple((round(place.lat, 7), round(place.lon, 7)) for place in places)
    return (*ring, ring[0])
