"""Robots that stand in a road: on a crossing, between its kerbs."""

from __future__ import annotations

import math
from datetime import datetime

import numpy as np
import shapely

from routing.region.model import Region
from telemetry.monitors.finding import Finding
from telemetry.monitors.monitor import place_of
from telemetry.sample import Sample

KERB_M = 1.0
"""Nearer than this to either end of a crossing a robot stands at the kerb, which is where it is to wait."""
BESIDE_M = 3.0
"""So far beside the line of a crossing it is still on it: position error, and crossings have a width."""
STILL_M = 1.0
STILL_MPS = 0.1
"""A robot that has moved less, or says that it is slower, stands."""


class Crossings:
    """The parts of a region's ground network that cross a road: built once, asked by all its robots."""

    def __init__(self, region: Region) -> None:
        self.frame = region.frame
        crossings = [edge for edge in region.edges if edge.crossing]
        ends = {node for edge in crossings for node in (edge.a, edge.b)}
        at = {node.node_id: region.frame.to_local(node.position) for node in region.nodes if node.node_id in ends}
        lines = np.array([(at[edge.a], at[edge.b]) for edge in crossings], dtype=np.float64).reshape(-1, 2, 2)
        self._lines = np.asarray(shapely.linestrings(lines), dtype=object)
        self._tree = shapely.STRtree(list(self._lines))

    def between_kerbs(self, east_m: float, north_m: float) -> bool:
        """Whether a place is in a road."""
        point = shapely.Point(east_m, north_m)
        near = self._lines[self._tree.query(point, predicate="dwithin", distance=BESIDE_M)]
        if not len(near):
            return False
        along, lengths = shapely.line_locate_point(near, point), shapely.length(near)
        return bool(np.any((along > KERB_M) & (along < lengths - KERB_M)))


class InRoad:
    """Whether a robot stands in a road: ``in_road``, once it has for ``stands_s``."""

    def __init__(self, crossings: Crossings, *, stands_s: float) -> None:
        """``stands_s``: domain seconds."""
        self._crossings, self._stands_s = crossings, stands_s
        self._stood: tuple[float, float, datetime] | None = None

    def take(self, sample: Sample) -> None:
        """See one more sample."""
        place = place_of(sample, self._crossings.frame)
        if place is None:
            return
        east, north, _ = place
        drives = math.hypot(sample.vel_n_cms or 0, sample.vel_e_cms or 0) > STILL_MPS * 100.0
        if drives or not self._crossings.between_kerbs(east, north):
            self._stood = None
        elif self._stood is None or math.hypot(east - self._stood[0], north - self._stood[1]) > STILL_M:
            self._stood = east, north, sample.t

    def findings(self, now: datetime) -> list[Finding]:
        """Return ``in_road`` where it stands for too long."""
        if self._stood is None:
            return []
        since = self._stood[2]
        stood_s = (now - since).total_seconds()
        if stood_s <= self._stands_s:
            return []
        return [Finding("in_road", True, since=since, values={"stood_s": round(stood_s)})]
