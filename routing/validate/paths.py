"""Rules about paths: from site to site, drones in the airspace that is theirs, robots on the network."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from routing.airspace import CEILING_AGL_M, clearance_m
from routing.plan import Leg, Plan
from routing.problem import Problem
from routing.region.model import Region
from routing.trajectory import home_pads
from routing.validate.context import TripContext, trips_of
from routing.validate.flown import sampled
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
    obstacles = Obstacles(region)
    drones = (v for v in problem.vehicles if v.type.kind is VehicleKind.DRONE)
    taken = {(v.home_site, v.pad) for v in drones if v.pad is not None}
    for context in trips_of(problem, plan):
        yield from _distances(problem, context)
        drone = context.vehicle.type.kind is VehicleKind.DRONE
        yield from _pads(region, context, taken) if drone else _nodes(region, context)
        for subject, _, leg, _ in context.legs() if drone else ():
            found = list(_flight(region, subject, leg))
            yield from found
            if not any(violation.rule == "drone.path" for violation in found):
                yield from obstacles.check(subject, leg)


def _nodes(region: Region, context: TripContext) -> Iterator[Violation]:
    for subject, start, leg, _ in context.legs():
        for what, point, site_id in (("starts", leg.path[0], start), ("ends", leg.path[-1], leg.to_site)):
            off_m = level_m(region.frame, point, context.sites[site_id].position)
            if off_m > AT_SITE_M:
                yield Violation("path.ends", subject, f"the path {what} {off_m:.1f} m away from {site_id}")


def _pads(region: Region, context: TripContext, taken: set[tuple[str, int]]) -> Iterator[Violation]:
    """A drone leaves from and lands on the pads that it has, and drops over one where nobody stands."""
    vehicle = context.vehicle
    at, landing = home_pads(context.trip, vehicle, region)
    for subject, start, leg, _ in context.legs():
        if (off_m := level_m(region.frame, leg.path[0], at)) > AT_SITE_M:
            yield Violation("path.ends", subject, f"the path starts {off_m:.1f} m away from the vehicle, at {start}")
        home = leg is context.trip.legs[-1]
        pads = [landing] if home else list(context.sites[leg.to_site].pads)
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


def _flight(region: Region, subject: str, leg: Leg) -> Iterator[Violation]:
    points = np.array([(*region.frame.to_local(point), point.alt_amsl_m) for point in leg.path])
    if np.hypot(*np.diff(points[:, :2], axis=0).T).sum() > _LONGEST_PATH_M:
        yield Violation("drone.path", subject, "the path is longer than any region")
        return
    along = sampled(points, SAMPLE_M)
    terrain = region.terrain
    off_m = np.maximum.reduce(
        [
            terrain.west_m - along[:, 0],
            along[:, 0] - terrain.east_m,
            terrain.south_m - along[:, 1],
            along[:, 1] - terrain.north_m,
        ]
    )
    if off_m.max() > AT_SITE_M:
        place = region.frame.to_global(*along[int(np.argmax(off_m))].tolist())
        words = "it leaves the region's terrain: the height of the ground there is not known"
        yield Violation("drone.clearance", subject, words, place=place, size=round(float(off_m.max()), 1), unit="m")
        return
    above = along[:, 2] - region.terrain.height_m(along[:, 0], along[:, 1])
    least = clearance_m(region, along[:, 0], along[:, 1])
    lowest, highest = int(np.argmin(above - least)), int(np.argmax(above))
    if above[lowest] < least[lowest] - _HEIGHT_TOLERANCE_M:
        yield Violation(
            "drone.clearance",
            subject,
            f"{above[lowest]:.1f} m above ground at its lowest; at least {least[lowest]:.0f} m is needed",
            place=region.frame.to_global(*along[lowest].tolist()),
            size=round(float(least[lowest] - above[lowest]), 1),
            unit="m",
        )
    if above[highest] > CEILING_AGL_M + _HEIGHT_TOLERANCE_M:
        yield Violation(
            "drone.ceiling",
            subject,
            f"{above[highest]:.1f} m above ground at its highest; at most {CEILING_AGL_M:.0f} m is allowed",
            place=region.frame.to_global(*along[highest].tolist()),
            size=round(float(above[highest] - CEILING_AGL_M), 1),
            unit="m",
        )
