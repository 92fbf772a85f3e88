"""Rules about paths: from site to site, drones in the airspace that is theirs, robots on the network."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import shapely

from routing.airspace import CEILING_AGL_M, MIN_CLEARANCE_M, ZONE_MARGIN_M, zone_areas
from routing.plan import Leg, Plan
from routing.problem import Problem
from routing.region.model import Region
from routing.validate.context import TripContext, trips_of
from routing.validate.motion import level_m, movements
from routing.validate.obstacles import Obstacles
from routing.validate.violation import Violation
from routing.vehicle_type import VehicleKind

AT_SITE_M = 1.0
"""A path begins and ends within this horizontal distance of its site or node."""

SAMPLE_M = 7.0
"""Spacing at which height over the terrain is looked at; not the planner's, so that samples differ."""

_HEIGHT_TOLERANCE_M = 0.1
_LONGEST_PATH_M = 1_000_000.0


def check_paths(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Yield what is wrong with the paths of a plan."""
    region = problem.region
    zones = zone_areas(region, ZONE_MARGIN_M)
    obstacles = Obstacles(region)
    network = _Network(region)
    taken = {(v.home_site, v.pad) for v in problem.vehicles if v.type.kind is VehicleKind.DRONE}
    for context in trips_of(problem, plan):
        yield from _distances(problem, context)
        drone = context.vehicle.type.kind is VehicleKind.DRONE
        yield from _pads(region, context, taken) if drone else _nodes(region, context)
        for subject, start, leg, _ in context.legs():
            if drone:
                found = list(_flight(region, zones, subject, leg))
                yield from found
                if not any(violation.rule == "drone.path" for violation in found):
                    yield from obstacles.check(subject, leg)
            else:
                yield from network.check(context, subject, start, leg)


def _nodes(region: Region, context: TripContext) -> Iterator[Violation]:
    for subject, start, leg, _ in context.legs():
        for what, point, site_id in (("starts", leg.path[0], start), ("ends", leg.path[-1], leg.to_site)):
            off_m = level_m(region.frame, point, context.sites[site_id].position)
            if off_m > AT_SITE_M:
                yield Violation("path.ends", subject, f"the path {what} {off_m:.1f} m away from {site_id}")


def _pads(region: Region, context: TripContext, taken: set[tuple[str, int]]) -> Iterator[Violation]:
    """A drone starts from and comes back to its own pad, drops over one where nobody stands, and goes on from there."""
    vehicle = context.vehicle
    own = context.sites[vehicle.home_site].pads[vehicle.pad]
    at = own
    for subject, start, leg, _ in context.legs():
        if (off_m := level_m(region.frame, leg.path[0], at)) > AT_SITE_M:
            yield Violation("path.ends", subject, f"the path starts {off_m:.1f} m away from the vehicle, at {start}")
        home = leg is context.trip.legs[-1]
        pads = [own] if home else list(context.sites[leg.to_site].pads)
        away = [level_m(region.frame, leg.path[-1], pad) for pad in pads]
        nearest = int(np.argmin(away)) if away else 0
        if not away or away[nearest] > AT_SITE_M:
            off = f"{away[nearest]:.1f} m away from" if away else "at a site without"
            yield Violation("path.ends", subject, f"the path ends {off} the pad of {leg.to_site}")
        elif not home and (leg.to_site, nearest) in taken:
            yield Violation("pad.taken", subject, f"drops over pad {nearest} of {leg.to_site}, where a drone stands")
        at = leg.path[-1]


def _distances(problem: Problem, context: TripContext) -> Iterator[Violation]:
    moved = movements(problem, context)
    if moved is None:
        yield Violation("drone.wind", context.trip.trip_id, "a leg cannot be flown in this wind")
        return
    for (subject, _, leg, _), movement in zip(context.legs(), moved, strict=False):
        way_m = movement.distance_m
        if abs(way_m - leg.distance_m) > max(1.0, 0.02 * way_m):
            yield Violation(
                "path.distance", subject, f"the distance given is {leg.distance_m:.0f} m, the path's {way_m:.0f} m"
            )


def _flight(region: Region, zones: npt.NDArray[np.object_], subject: str, leg: Leg) -> Iterator[Violation]:
    points = np.array([(*region.frame.to_local(point), point.alt_amsl_m) for point in leg.path])
    line = shapely.LineString(points[:, :2]) if len(points) > 1 else shapely.Point(points[0, :2])
    for i in np.flatnonzero(shapely.intersects(zones, line)):
        zone = region.zones[int(i)]
        yield Violation(
            "drone.zone", subject, f"the path enters zone {zone.zone_id} or comes within {ZONE_MARGIN_M:.0f} m"
        )
    if np.hypot(*np.diff(points[:, :2], axis=0).T).sum() > _LONGEST_PATH_M:
        yield Violation("drone.path", subject, "the path is longer than any region")
        return
    along = _sampled(points)
    ground = region.terrain.height_m(along[:, 0], along[:, 1])
    above = along[:, 2] - ground
    if above.min() < MIN_CLEARANCE_M - _HEIGHT_TOLERANCE_M:
        yield Violation(
            "drone.clearance",
            subject,
            f"{above.min():.1f} m above ground at its lowest; at least {MIN_CLEARANCE_M:.0f} m is needed",
        )
    if above.max() > CEILING_AGL_M + _HEIGHT_TOLERANCE_M:
        yield Violation(
            "drone.ceiling",
            subject,
            f"{above.max():.1f} m above ground at its highest; at most {CEILING_AGL_M:.0f} m is allowed",
        )


def _sampled(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Points of the path at most ``SAMPLE_M`` apart, its own included."""
    parts = [points[:1]]
    for a, b in itertools.pairwise(points):
        count = max(1, math.ceil(float(np.hypot(*(b - a)[:2])) / SAMPLE_M))
        parts.append(a + (b - a) * (np.arange(1, count + 1) / count)[:, None])
    return np.concatenate(parts)


class _Network:
    """Nodes and edges as a robot may use them."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._nodes = {node.node_id: node.position for node in region.nodes}
        self._edges = {frozenset((edge.a, edge.b)) for edge in region.edges if edge.robot}

    def check(self, context: TripContext, subject: str, start: str, leg: Leg) -> Iterator[Violation]:
        if len(leg.nodes) != len(leg.path):
            yield Violation("robot.network", subject, f"{len(leg.nodes)} nodes for a path of {len(leg.path)} points")
            return
        ends = (("starts", leg.nodes[0], start), ("ends", leg.nodes[-1], leg.to_site))
        for what, node, site_id in ends:
            if context.sites[site_id].node != node:
                yield Violation("robot.network", subject, f"{what} at node {node}, which is not {site_id}'s")
        for node, point in zip(leg.nodes, leg.path, strict=True):
            if node not in self._nodes:
                yield Violation("robot.network", subject, f"node {node} is not in the network")
            elif level_m(self._region.frame, self._nodes[node], point) > AT_SITE_M:
                yield Violation("robot.network", subject, f"the path is not at node {node} where it says so")
        for a, b in zip(leg.nodes, leg.nodes[1:], strict=False):
            if frozenset((a, b)) not in self._edges:
                yield Violation("robot.network", subject, f"there is no edge for robots from {a} to {b}")
