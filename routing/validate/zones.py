"""Rules about zones: by where a drone is, how high and when; and about the permits, lanes, radio links and people that
decide where it may be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import shapely

from routing.airspace import (
    all_zones,
    applies,
    areas_of,
    closed_always,
    margins_m,
    over_limit_m,
    widened,
    zone_limits_amsl,
)
from routing.lanes import check_lanes, on_lane
from routing.plan import Leg, Plan
from routing.problem import Problem
from routing.region.model import Restriction, Zone
from routing.validate.context import TripContext, trips_of
from routing.validate.flown import Bools, Flown, flown_legs, local_path
from routing.validate.ground_risk import check_ground_risk
from routing.validate.permits import Permits
from routing.validate.radio import check_radio
from routing.validate.violation import Violation
from routing.vehicle_type import VehicleKind

_TOLERANCE_M = 0.1


def check_zones(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Yield where drones are in airspace that is not theirs."""
    zones, permits = _Zones(problem), Permits(problem)
    for context in trips_of(problem, plan):
        if context.vehicle.type.kind is not VehicleKind.DRONE:
            continue
        flown: list[Flown] | None = None
        for number, (subject, _, leg, _) in enumerate(context.legs()):
            yield from check_radio(problem, context, subject, leg)
            yield from check_ground_risk(problem, context, subject, leg)
            met = zones.met(leg)
            yield from zones.entered(subject, leg, met)
            limited = [i for i in met if not zones.plain[i]]
            if not limited and not problem.policy.permit_required:
                continue
            if flown is None:
                flown = flown_legs(problem, context)
            if number < len(flown):
                yield from zones.flown(subject, context, flown[number], limited, permits)
                yield from permits.outside(subject, context, flown[number])


class _Zones:
    """The zones of a problem with their margins; ``plain`` are those that are closed at all times and heights."""

    def __init__(self, problem: Problem) -> None:
        check_lanes(problem.region.lanes)
        self._problem, self._region = problem, problem.region
        self._zones = all_zones(problem.region, problem.zones)
        self._areas = widened(areas_of(self._zones, self._region.frame), margins_m(self._zones))
        shapely.prepare(self._areas)
        self._tree = shapely.STRtree(self._areas)
        self.plain = [
            closed_always(zone) and not zone.schedule and zone.floor_m is None and zone.ceiling_m is None
            for zone in self._zones
        ]

    def met(self, leg: Leg) -> list[int]:
        """Zones that a leg's path meets on the map."""
        points = local_path(self._problem, leg.path)[:, :2]
        line = shapely.LineString(points) if len(points) > 1 else shapely.Point(points[0])
        found = self._tree.query(line, predicate="intersects").tolist()
        return sorted(i for i in found if self._zones[i].restriction is not Restriction.NONE)

    def entered(self, subject: str, leg: Leg, met: list[int]) -> Iterator[Violation]:
        """Judge the zones that are closed whatever the height and time."""
        points = local_path(self._problem, leg.path)[:, :2]
        line = shapely.LineString(points) if len(points) > 1 else shapely.Point(points[0])
        for i in (i for i in met if self.plain[i]):
            inside = shapely.intersection(line, self._areas[i])
            places = shapely.get_coordinates(shapely.segmentize(inside, 5.0))
            depths = shapely.distance(shapely.points(places), shapely.boundary(self._areas[i]))
            deepest = int(np.argmax(depths))
            yield self._violation("drone.zone", subject, i, places[deepest], float(depths[deepest]))

    def _violation(
        self, rule: str, subject: str, index: int, place: npt.NDArray[np.float64], depth_m: float, words: str = ""
    ) -> Violation:
        zone = self._zones[index]
        margin_m = float(margins_m([zone])[0])
        altitude = float(place[2]) if len(place) > 2 else 0.0
        return Violation(
            rule,
            subject,
            words or f"the path enters zone {zone.zone_id} or comes within {margin_m:.0f} m",
            place=self._region.frame.to_global(float(place[0]), float(place[1]), round(altitude, 1)),
            size=round(depth_m, 1),
            unit="m",
        )

    def flown(
        self, subject: str, context: TripContext, flown: Flown, zones: list[int], permits: Permits
    ) -> Iterator[Violation]:
        """Judge the zones for which height, time, a permit or a lane counts."""
        points = np.asarray(shapely.points(flown.places[:, :2]), dtype=object)
        for i in zones:
            zone = self._zones[i]
            inside = shapely.intersects(self._areas[i], points) & self._at_height(zone, flown)
            for run in flown.runs(inside):
                span = (flown.at(run.start), flown.at(run.stop - 1))
                if not applies(zone, *span):
                    continue
                if zone.restriction is Restriction.AUTHORISATION:
                    yield from permits.in_zone(subject, context, flown, run, zone)
                    continue
                rule, bad = "drone.zone", np.ones(run.stop - run.start, dtype=bool)
                if not closed_always(zone):
                    rule, bad = "drone.lane", self._off_lane(flown, run)
                if bad.any():
                    at = run.start + np.flatnonzero(bad)
                    depths = shapely.distance(points[at], shapely.boundary(self._areas[i]))
                    worst = int(at[np.argmax(depths)])
                    yield self._timed(rule, subject, i, flown, worst, float(depths.max()))

    def _timed(self, rule: str, subject: str, index: int, flown: Flown, worst: int, depth_m: float) -> Violation:
        zone, moment = self._zones[index], flown.at(worst)
        how = "off every lane in" if rule == "drone.lane" else "in"
        words = (
            f"at {moment.isoformat(timespec='seconds')} it is {how} zone {zone.zone_id}, or nearer than its margin, "
            f"{flown.places[worst, 2]:.0f} m above sea level"
        )
        found = self._violation(rule, subject, index, flown.places[worst], depth_m, words)
        return Violation(
            found.rule, found.subject, found.message, at=moment, place=found.place, size=found.size, unit=found.unit
        )

    def _at_height(self, zone: Zone, flown: Flown) -> Bools:
        east, north, altitude = flown.places.T
        floor, ceiling = zone_limits_amsl(zone, self._region, east, north)
        low = floor - over_limit_m(zone.floor_reference, self._region) + _TOLERANCE_M
        high = ceiling + over_limit_m(zone.ceiling_reference, self._region) - _TOLERANCE_M
        return np.asarray((altitude > low) & (altitude < high))

    def _off_lane(self, flown: Flown, run: slice) -> Bools:
        """Where a drone is in no lane, or flies against the only ones that it is in."""
        return ~on_lane(self._region.lanes, self._region.frame, flown.places[run, :2], _TOLERANCE_M)
