"""Drone lanes: where they run, which flights go along them, and which way."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from routing.errors import BadInput
from routing.geo import LocalFrame, Position
from routing.region.model import LaneSection, Region

LANE_COST = 0.9
"""What a metre along a lane costs, where one elsewhere costs 1: people below expect flights there, and its obstacles
are surveyed."""

LANE_SPACING_M = 200.0
"""Points of lanes at which flights may join or leave them are at most so far apart."""

LEAST_ALONG_M = 40.0
"""A shorter part in a section's corridor is a crossing of it, and none that goes along it."""

ALONG_DEG = 45.0
"""A flight goes along a section where their directions differ by less."""

_SAMPLE_M = 10.0

Floats = npt.NDArray[np.float64]


_MOVING_M = 0.4
"""Between two places looked at: a slower flight hovers or climbs, and has no direction."""


@dataclass(frozen=True, slots=True)
class LaneUse:
    """A part of a flight along a section: metres from the start of the flight's path, and which way it goes."""

    section_id: str
    begin_m: float
    end_m: float
    forward: bool


def check_lanes(lanes: Sequence[LaneSection]) -> None:
    """Raise ``BadInput`` naming the first section whose line, width or junctions cannot be."""
    seen: set[str] = set()
    junctions: dict[str, tuple[str, Position]] = {}
    for lane in lanes:
        where = f"lane section {lane.section_id}"
        if lane.section_id in seen:
            raise BadInput(f"{where}: its id is used twice")
        seen.add(lane.section_id)
        on_earth = all(abs(p.lat) < 90 and abs(p.lon) <= 180 and math.isfinite(p.alt_amsl_m) for p in lane.line)
        if len(set(lane.line)) < 2 or not on_earth:
            raise BadInput(f"{where}: its line needs at least 2 different points on the earth")
        if not 0.0 < lane.width_m < math.inf:
            raise BadInput(f"{where}: width_m must be a number above 0, not {lane.width_m}")
        if lane.capacity < 1:
            raise BadInput(f"{where}: capacity must be at least 1, not {lane.capacity}")
        for name, place in ((lane.a, lane.line[0]), (lane.b, lane.line[-1])):
            other, at = junctions.setdefault(name, (lane.section_id, place))
            off_m = math.dist(LocalFrame(at).to_local(at), LocalFrame(at).to_local(place))
            if off_m > lane.width_m / 2:
                raise BadInput(f"{where}: junction {name} is {off_m:.0f} m from where section {other} has it")


def lane_lines(lanes: Iterable[LaneSection], frame: LocalFrame) -> list[Floats]:
    """The lines of sections in a local frame, each an array of shape ``(n, 2)``."""
    return [np.array([frame.to_local(point) for point in lane.line], dtype=np.float64) for lane in lanes]


def with_points(line: Floats) -> Floats:
    """A line with points at most ``LANE_SPACING_M`` apart."""
    parts = [line[:1]]
    for a, b in itertools.pairwise(line):
        count = max(1, math.ceil(math.dist(a, b) / LANE_SPACING_M))
        parts.append(a + (b - a) * (np.arange(1, count + 1) / count)[:, None])
    return np.concatenate(parts)


def corridors(lanes: Sequence[LaneSection], frame: LocalFrame, inset_m: float = 0.0) -> npt.NDArray[np.object_]:
    """Areas of sections in a local frame, ``inset_m`` narrower on each side."""
    lines = [shapely.LineString(line) for line in lane_lines(lanes, frame)]
    half = [max(1.0, lane.width_m / 2.0 - inset_m) for lane in lanes]
    return np.asarray(shapely.buffer(np.array(lines, dtype=object), half, quad_segs=4), dtype=object)


def on_lane(lanes: Sequence[LaneSection], frame: LocalFrame, along: Floats, slack_m: float) -> npt.NDArray[np.bool_]:
    """Whether places one after another, rows of (x, y), lie in a lane that is flown in its direction.

    ``slack_m`` is added to half of each width.
    """
    places = np.asarray(shapely.points(along), dtype=object)
    steps = np.gradient(along, axis=0) if len(along) > 1 else np.zeros_like(along)
    still = np.hypot(*steps.T) < _MOVING_M
    found = np.zeros(len(along), dtype=bool)
    for lane, line in zip(lanes, lane_lines(lanes, frame), strict=True):
        track = shapely.LineString(line)
        near = shapely.distance(places, track) <= lane.width_m / 2.0 + slack_m
        if lane.one_way and near.any():
            near &= still | (_cosine(steps, track, places) >= 0.0)
        found |= near
    return found


def lane_uses(region: Region, path: Sequence[Position]) -> tuple[LaneUse, ...]:
    """The parts of a path that go along sections of the region's lanes, in sequence.

    A part goes along a section while it is within half of its width and within ``ALONG_DEG`` of its direction, for
    ``LEAST_ALONG_M`` or more; at a junction it may go along two at once.
    """
    points = np.array([region.frame.to_local(point) for point in path], dtype=np.float64)
    turns = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))))
    if not region.lanes or turns[-1] < LEAST_ALONG_M:
        return ()
    stations = np.linspace(0.0, turns[-1], math.ceil(turns[-1] / _SAMPLE_M) + 1)
    along = np.stack([np.interp(stations, turns, points[:, axis]) for axis in range(2)], axis=1)
    heading = np.gradient(along, axis=0)
    places = np.asarray(shapely.points(along), dtype=object)
    found: list[LaneUse] = []
    for lane, line in zip(region.lanes, lane_lines(region.lanes, region.frame), strict=True):
        track = shapely.LineString(line)
        near = shapely.distance(places, track) <= lane.width_m / 2.0
        if not near.any():
            continue
        cosine = _cosine(heading, track, places)
        for forward in (True, False):
            on = near & ((cosine if forward else -cosine) >= math.cos(math.radians(ALONG_DEG)))
            found += [LaneUse(lane.section_id, *span, forward) for span in _runs(stations, on)]
    return tuple(sorted(found, key=lambda use: (use.begin_m, use.section_id)))


def _cosine(heading: Floats, track: shapely.LineString, places: npt.NDArray[np.object_]) -> Floats:
    """Of the angle between the headings at places and the direction of a line beside them."""
    at = shapely.line_locate_point(track, places)
    a = shapely.get_coordinates(shapely.line_interpolate_point(track, np.maximum(at - 5.0, 0.0)))
    b = shapely.get_coordinates(shapely.line_interpolate_point(track, np.minimum(at + 5.0, track.length)))
    direction = b - a
    lengths = np.hypot(*heading.T) * np.hypot(*direction.T)
    return np.asarray((heading * direction).sum(axis=1) / np.maximum(lengths, 1e-9))


def _runs(stations: Floats, on: npt.NDArray[np.bool_]) -> list[tuple[float, float]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], on.astype(np.int8), [0]))))
    spans = [(float(stations[a]), float(stations[b - 1])) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return [span for span in spans if span[1] - span[0] >= LEAST_ALONG_M]
