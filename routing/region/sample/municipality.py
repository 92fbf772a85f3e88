"""A fictional mountain municipality of some 15 x 10 km, for demonstrations and tests."""

from __future__ import annotations

import math

import numpy as np

from routing.errors import BadInput
from routing.geo import LocalFrame, Position
from routing.region.model import Feature, Obstacle, Region, Site, SiteKind
from routing.region.sample.airspace import (
    HUB_MAST_M,
    RELAY_M,
    make_canopy,
    make_lanes,
    make_more_zones,
    make_radio,
)
from routing.region.sample.curve import STEP_M, Array
from routing.region.sample.land import TOWN_AMSL_M, Valley, make_land
from routing.region.sample.names import make_names
from routing.region.sample.people import make_buildings, make_population
from routing.region.sample.places import Ground, make_sites, make_zones
from routing.region.sample.power_line import MAST_M, make_obstacles
from routing.region.sample.streets import build, lay_out

ORIGIN = Position(35.52, 138.47, TOWN_AMSL_M)
SCALES = (0.7, 2.0)
"""Smaller, the settlements would lie in one another; larger, a flat map of it would be wrong at its borders."""

_RIVER_POINTS = 5
"""Points of an axis to one of the river drawn."""


def sample_region(seed: int = 1, *, scale: float = 1.0) -> Region:
    """Return a municipality that does not exist: equal seeds and scales give equal regions.

    A river valley with a town and two hamlets, each with a hub, and six side valleys with a hamlet at the end of
    each, between mountains some 600 m higher. Robots reach drop points 0.5 to 1.5 km from the hubs over footways and
    lanes; the hamlets of the side valleys, 2 to 6 km away, are for drones. ``scale`` multiplies the extent. Raises
    ``BadInput`` for a scale outside ``SCALES`` or a negative seed.
    """
    if not SCALES[0] <= scale <= SCALES[1]:
        raise BadInput(f"scale: must be from {SCALES[0]:g} to {SCALES[1]:g}, not {scale}")
    if seed < 0:
        raise BadInput(f"seed: must be 0 or more, not {seed}")
    # A stream of its own for each part: more buildings must not move the mountains.
    streams = [np.random.default_rng([seed, i]) for i in range(7)]
    land = make_land(streams[0], scale)
    ground = Ground(land, LocalFrame(ORIGIN))
    names = make_names(streams[1])
    streets, crosses = lay_out(streams[2], land)
    network = build(streets, ground.frame)
    sites = make_sites(streams[3], ground, names, network, crosses)
    zones = (*make_zones(ground, names), *make_more_zones(ground))
    keep_clear = np.array([ground.local(at) for site in sites for at in (site.position, *site.pads)])
    obstacles = make_obstacles(streams[4], ground, keep_clear, _flights(ground, sites))
    homes, outlines = make_buildings(streams[5], ground, network, keep_clear)
    rivers = [_river(ground, valley, name) for valley, name in zip((land.main, *land.sides), names.rivers, strict=True)]
    buildings = [Feature("building", "", _coords(ground, outline), closed=True) for outline in outlines]
    return Region(
        region_id=f"{names.town_id}-{seed}" + ("" if scale == 1.0 else f"-x{round(scale * 100)}"),
        name_ja=f"{names.town[0]}町",
        name_en=f"{names.town[1]} Town",
        origin=ORIGIN,
        terrain=land.terrain,
        sites=sites,
        nodes=network.nodes,
        edges=network.edges,
        zones=zones,
        obstacles=obstacles,
        features=(*rivers, *buildings),
        population=make_population(streams[5], ground, homes),
        lanes=make_lanes(ground, obstacles[0]),
        canopy=make_canopy(streams[6], ground),
        radio=make_radio(ground, _antennas(ground, sites, obstacles[1])),
    )


def _coords(ground: Ground, places: Array) -> tuple[tuple[float, float], ...]:
    points = (ground.frame.to_global(float(east), float(north)) for east, north in places)
    return tuple((round(point.lat, 6), round(point.lon, 6)) for point in points)


def _flights(ground: Ground, sites: tuple[Site, ...]) -> list[tuple[Array, Array]]:
    """From the hub nearest to each drone port to it."""
    hubs = [ground.local(site.landing) for site in sites if site.kind is SiteKind.HUB]
    ports = [ground.local(site.landing) for site in sites if site.kind is SiteKind.DRONE_PORT]
    return [(hubs[int(np.argmin([math.dist(hub, port) for hub in hubs]))], port) for port in ports]


def _antennas(ground: Ground, sites: tuple[Site, ...], mast: Obstacle) -> list[tuple[Array, float]]:
    """Places of antennas and their heights above ground."""
    heights = {SiteKind.HUB: HUB_MAST_M, SiteKind.DRONE_PORT: RELAY_M, SiteKind.EMERGENCY: RELAY_M}
    found = [(ground.local(site.position), heights[site.kind]) for site in sites if site.kind in heights]
    # Where a side valley begins, so that flights into it are heard from both of its ends.
    found += [(ground.main(along, 0.0), RELAY_M) for along, _ in ground.land.joins]
    return [*found, (ground.local(mast.line[0]), MAST_M)]


def _river(ground: Ground, valley: Valley, name: str) -> Feature:
    """A river that swings a little around the axis of its valley; side streams begin in the main one."""
    along = np.arange(0, len(valley.axis.points), _RIVER_POINTS) * STEP_M
    swing = np.clip(along / 200.0, 0.0, 1.0) * (7.0 * np.sin(along / 110.0) + 4.0 * np.sin(along / 47.0))
    return Feature("river", name, _coords(ground, valley.axis.at(along, swing)), closed=False)
