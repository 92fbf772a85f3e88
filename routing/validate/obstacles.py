"""Rules about obstacles: flights keep their margin horizontally, or pass well over their tops."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import shapely

from routing.airspace import OBSTACLE_OVER_M
from routing.plan import Leg
from routing.region.model import Region
from routing.validate.flown import sampled
from routing.validate.violation import Violation

SAMPLE_M = 4.0
_TOLERANCE_M = 0.1


class Obstacles:
    """The obstacles of a region as lines in its frame, with the heights of their tops."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._tops: list[npt.NDArray[np.float64]] = []
        lines = []
        for obstacle in region.obstacles:
            points = np.array([(*region.frame.to_local(top), top.alt_amsl_m) for top in obstacle.line])
            lines.append(shapely.LineString(points[:, :2]) if len(points) > 1 else shapely.Point(points[0, :2]))
            self._tops.append(points)
        self._lines = np.array(lines, dtype=object)
        self._margins = np.array([obstacle.margin_m for obstacle in region.obstacles])

    def check(self, subject: str, leg: Leg) -> Iterator[Violation]:
        """Yield the obstacles that a drone's leg comes too near to."""
        points = np.array([(*self._region.frame.to_local(point), point.alt_amsl_m) for point in leg.path])
        track = shapely.LineString(points[:, :2]) if len(points) > 1 else shapely.Point(points[0, :2])
        if not len(self._lines):
            return
        near = np.flatnonzero(shapely.distance(self._lines, track) < self._margins)
        if not len(near):
            return
        along = sampled(points, SAMPLE_M)
        for i in near:
            short_m, worst = self._short(int(i), along)
            for place in (points[0], points[-1]):
                # There it goes down to the ground, or nearly.
                if shapely.distance(self._lines[i], shapely.Point(place[:2])) < self._margins[i] - _TOLERANCE_M:
                    short_m, worst = math.inf, place
            if short_m > _TOLERANCE_M:
                obstacle = self._region.obstacles[int(i)]
                yield Violation(
                    "drone.obstacle",
                    subject,
                    f"passes within {obstacle.margin_m:.0f} m of {obstacle.kind} {obstacle.obstacle_id}, "
                    + (f"{short_m:.1f} m too low over its top" if math.isfinite(short_m) else "on its way down or up"),
                    place=self._region.frame.to_global(*worst.tolist()),
                    size=round(short_m, 1) if math.isfinite(short_m) else None,
                    unit="m" if math.isfinite(short_m) else "",
                )

    def _short(self, index: int, along: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        """By how much a path is too low over an obstacle where it is within its margin, and where it is so most."""
        line, tops = self._lines[index], self._tops[index]
        places = np.asarray(shapely.points(along[:, :2]))
        inside = shapely.distance(places, line) < self._margins[index] - _TOLERANCE_M
        if not inside.any():
            return 0.0, along[0]
        lengths = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(tops[:, :2], axis=0).T))))
        at = shapely.line_locate_point(line, places[inside]) if len(tops) > 1 else np.zeros(int(inside.sum()))
        top = np.interp(at, lengths, tops[:, 2])
        short = top + OBSTACLE_OVER_M - along[inside, 2]
        return float(short.max()), along[inside][int(np.argmax(short))]
