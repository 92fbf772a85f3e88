"""Rules about permits: where a zone needs an authorisation, and where the operator lets nobody fly without one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import shapely

from routing.permits import holds, is_for, permit_areas
from routing.problem import Problem
from routing.region.model import Zone
from routing.validate.context import TripContext
from routing.validate.flown import Bools, Flown
from routing.validate.violation import Violation

_TOLERANCE_M = 0.5
"""Of a permit's border and ceiling: paths are rounded to centimetres, and bends to what a drone flies."""


class Permits:
    """The permits of a problem as areas."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        areas = permit_areas(problem.permits, problem.region.frame)
        self._areas = shapely.buffer(areas, _TOLERANCE_M)
        shapely.prepare(self._areas)

    def in_zone(self, subject: str, context: TripContext, flown: Flown, run: slice, zone: Zone) -> Iterator[Violation]:
        """Judge a stretch in a zone that needs an authorisation."""
        naming = [i for i, permit in enumerate(self._problem.permits) if zone.zone_id in permit.zones]
        yield from self._judged(
            subject, context, flown, run, naming, f"zone {zone.zone_id} needs an authorisation, and no permit for it"
        )

    def outside(self, subject: str, context: TripContext, flown: Flown) -> Iterator[Violation]:
        """Judge a leg where every flight needs a permit."""
        if self._problem.policy.permit_required:
            every = range(len(self._problem.permits))
            whole = slice(0, len(flown.seconds))
            yield from self._judged(subject, context, flown, whole, every, "every flight needs a permit, and none")

    def _judged(
        self, subject: str, context: TripContext, flown: Flown, run: slice, permits: Sequence[int], words: str
    ) -> Iterator[Violation]:
        covered = np.zeros(run.stop - run.start, dtype=bool)
        for i in permits:
            covered |= self._covers(i, context, flown, run)
        for part in flown.runs(~covered):
            first, last = run.start + part.start, run.start + part.stop - 1
            steps = np.hypot(*np.diff(flown.places[first : last + 1, :2], axis=0).T)
            moment, (east, north, altitude) = flown.at(first), flown.places[first].tolist()
            yield Violation(
                "drone.permit",
                subject,
                f"{words} holds for {context.vehicle.vehicle_id} from {moment.isoformat(timespec='seconds')} on, "
                f"at {altitude:.0f} m above sea level",
                at=moment,
                place=self._problem.region.frame.to_global(east, north, round(altitude, 1)),
                size=round(float(steps.sum()), 1),
                unit="m",
            )

    def _covers(self, index: int, context: TripContext, flown: Flown, run: slice) -> Bools:
        """For which places of a stretch a permit holds: for the vehicle, there, so high, and then."""
        permit = self._problem.permits[index]
        places = flown.places[run]
        if not is_for(permit, context.vehicle):
            return np.zeros(len(places), dtype=bool)
        ground = self._problem.region.terrain.height_m(places[:, 0], places[:, 1])
        inside = shapely.intersects(self._areas[index], shapely.points(places[:, :2]))
        inside &= places[:, 2] - ground <= permit.ceiling_agl_m + _TOLERANCE_M
        found = np.zeros(len(places), dtype=bool)
        for part in flown.runs(np.asarray(inside)):
            found[part] = self._holding(index, flown, run.start + part.start, run.start + part.stop)
        return found

    def _holding(self, index: int, flown: Flown, begin: int, end: int) -> Bools:
        """For which places of a stretch a permit holds at the time: halves, until each is all or none."""
        permit = self._problem.permits[index]
        if holds(permit, (flown.at(begin), flown.at(end - 1))):
            return np.ones(end - begin, dtype=bool)
        if end - begin == 1:
            return np.zeros(1, dtype=bool)
        middle = (begin + end) // 2
        return np.concatenate((self._holding(index, flown, begin, middle), self._holding(index, flown, middle, end)))
