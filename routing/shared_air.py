"""Air that flights share with others by rule: other operators' volumes, and lane sections with a capacity."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import shapely

from routing.deconflict import GUARD_S, Array, Occupancy
from routing.intents import intent_outline
from routing.problem import Problem
from routing.vehicle_type import VehicleKind


class IntentAir:
    """Other operators' intents, from which flights stay away by what contains one aircraft."""

    def __init__(self, problem: Problem) -> None:
        self._apart = problem.separation
        self._names = [f"the airspace of intent {intent.intent_id}" for intent in problem.intents]
        self._bands = [(intent.floor_amsl_m, intent.ceiling_amsl_m) for intent in problem.intents]
        self._times = [
            tuple((moment - problem.start).total_seconds() for moment in (intent.begins, intent.ends))
            for intent in problem.intents
        ]
        self._outlines = np.array([intent_outline(each, problem.region.frame) for each in problem.intents], object)

    def forbidden(self, taken: Occupancy) -> Iterator[tuple[str, Array]]:
        """Yield intents that a flight would enter at some time, and the departures that let it."""
        if not len(self._outlines) or not len(taken.seconds):
            return
        level_m = self._apart.containment_m + taken.reaches[:, 0]
        vertical_m = self._apart.containment_vertical_m + taken.reaches[:, 1]
        track = shapely.linestrings(taken.places[:, :2]) if len(taken.places) > 1 else shapely.Point(taken.places[0])
        for i in np.flatnonzero(shapely.distance(self._outlines, track) < level_m.max()):
            inside = shapely.distance(shapely.points(taken.places[:, :2]), self._outlines[i]) < level_m
            floor, ceiling = self._bands[i]
            heights = taken.places[:, 2]
            inside &= (heights > floor - vertical_m) & (heights < ceiling + vertical_m)
            spans = inside_spans(taken.seconds, inside)
            if len(spans):
                begins, ends = self._times[i]
                late = spans * self._apart.drift + np.array([GUARD_S, GUARD_S + self._apart.late_s])
                least = begins - spans[:, 1] - late[:, 1]
                greatest = ends - spans[:, 0] + late[:, 0]
                yield self._names[i], np.stack((least, greatest), axis=1)


class LaneAir:
    """Lane sections that may become full: those of less capacity than there are drones."""

    def __init__(self, problem: Problem) -> None:
        drones = sum(vehicle.type.kind is VehicleKind.DRONE for vehicle in problem.vehicles) + len(problem.given)
        lanes = [lane for lane in problem.region.lanes if lane.capacity < drones]
        self.capacities = {f"lane {lane.section_id}": lane.capacity for lane in lanes}
        frame = problem.region.frame
        self._lines = [np.array([(*frame.to_local(p), p.alt_amsl_m) for p in lane.line]) for lane in lanes]
        self._tracks = np.array([shapely.LineString(line[:, :2]) for line in self._lines], object)
        self._halves = np.array([lane.width_m / 2.0 for lane in lanes])

    def spans(self, taken: Occupancy) -> Iterator[tuple[str, float, float]]:
        """Yield when a flight is in a section: (name, begin, end), seconds since departure."""
        if not len(self._lines) or not len(taken.seconds):
            return
        track = shapely.linestrings(taken.places[:, :2]) if len(taken.places) > 1 else shapely.Point(taken.places[0])
        names = list(self.capacities)
        for i in np.flatnonzero(shapely.distance(self._tracks, track) < self._halves):
            points = shapely.points(taken.places[:, :2])
            inside = shapely.distance(points, self._tracks[i]) < self._halves[i] + taken.reaches[:, 0]
            along = shapely.line_locate_point(self._tracks[i], points)
            heights = np.interp(along, *_profile(self._lines[i]))
            inside &= np.abs(taken.places[:, 2] - heights) < self._halves[i] + taken.reaches[:, 1]
            for begin, end in inside_spans(taken.seconds, inside):
                yield names[i], float(begin), float(end)


def inside_spans(seconds: Array, inside: npt.NDArray[np.bool_]) -> Array:
    """Rows of (first, last) moment of each run of moments that are inside."""
    edges = np.diff(np.concatenate(([False], inside, [False])).astype(np.int8))
    begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return np.stack((seconds[begins], seconds[ends]), axis=1)


def _profile(line: Array) -> tuple[Array, Array]:
    """Metres along a lane's line on the ground, and its heights there."""
    return np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(line[:, :2], axis=0).T)))), line[:, 2]
