"""What is in the way of a drone that flies straight home by itself, and heeds neither hours nor heights of zones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from routing.airspace import OBSTACLE_OVER_M, areas_of, closed_always, margins_m, widened
from routing.problem import Problem
from routing.region.model import Region

Array = npt.NDArray[np.float64]


def obstacle_floors(region: Region, places: Array) -> Array:
    """The least altitude at points (east, north) near obstacles, as if each were as high as its top all along: a
    drone that returns straight finds no gap. Minus infinity where there is no obstacle within its margin."""
    floors = np.full(len(places), -np.inf)
    if region.obstacles:
        tops = [
            np.array([(*region.frame.to_local(top), top.alt_amsl_m) for top in one.line]) for one in region.obstacles
        ]
        lines = [shapely.LineString(top[:, :2]) if len(top) > 1 else shapely.Point(top[0, :2]) for top in tops]
        highest = np.array([top[:, 2].max() for top in tops]) + OBSTACLE_OVER_M
        margins = np.array([one.margin_m for one in region.obstacles])
        tree = shapely.STRtree(np.asarray(shapely.points(places)))
        which, near = tree.query(np.array(lines, dtype=object), predicate="dwithin", distance=margins)
        np.maximum.at(floors, near, highest[which])
    return floors


def in_closed_zones(problem: Problem, places: Array) -> npt.NDArray[np.bool_]:
    """Points (east, north) within the margin of a zone that no permit opens, whatever its heights and times."""
    zones = [zone for zone in (*problem.region.zones, *problem.zones) if closed_always(zone)]
    inside = np.zeros(len(places), dtype=np.bool_)
    if zones:
        areas = widened(areas_of(zones, problem.region.frame), margins_m(zones))
        inside[shapely.STRtree(areas).query(shapely.points(places), predicate="intersects")[0]] = True
    return inside
