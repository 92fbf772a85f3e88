"""Rules about numbers in the air: what remote pilots may supervise at once, and what a lane section takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import shapely

from routing.plan import Plan
from routing.problem import Problem, Separation
from routing.region.model import LaneSection
from routing.validate.pairs import crowded
from routing.validate.traffic import Traffic, traffic
from routing.validate.violation import Violation

STEP_S = 1.0
_TOLERANCE_S = 0.5

Array = npt.NDArray[np.float64]


def check_airborne(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Yield times at which more drones of a category are in the air than pilots may supervise.

    A drone counts from its departure until it is back, as late as it may be. Given flights count.
    """
    flights = [each for each in traffic(problem, plan) if each.flight is not None]
    for limit in problem.airborne:
        spans = [
            (each, *_late(problem.separation, each, 0.0, each.end_s - each.begin_s))
            for each in flights
            if limit.category in each.categories
        ]
        rule = f"drones of {limit.category.value} are in the air"
        yield from _too_many("airborne.limit", problem, spans, limit.most, rule)


def check_lanes(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Yield times at which more drones are in a lane section than it takes."""
    flights = [each for each in traffic(problem, plan) if each.flight is not None]
    for lane in problem.region.lanes:
        if lane.capacity >= len(flights):
            continue
        spans = [
            (each, *_late(problem.separation, each, *span)) for each in flights for span in _inside(problem, lane, each)
        ]
        yield from _too_many("lane.capacity", problem, spans, lane.capacity, f"drones are in lane {lane.section_id}")


def _too_many(
    rule: str, problem: Problem, spans: Sequence[tuple[Traffic, float, float]], most: int, text: str
) -> Iterator[Violation]:
    if not spans:
        return
    begins, ends = (np.array(times) for times in zip(*((begin, end) for _, begin, end in spans), strict=True))
    for begin_s, end_s, count in crowded(begins, ends, most):
        there = [each for each, begin, end in spans if begin < end_s and end > begin_s]
        planned = [each for each in there if not each.given]
        if not planned or end_s - begin_s <= _TOLERANCE_S:
            continue
        last = max(planned, key=lambda each: each.begin_s)
        moment = problem.start + timedelta(seconds=begin_s)
        assert last.flight is not None
        place = last.flight.at(np.array([begin_s - last.begin_s]))[0]
        yield Violation(
            rule,
            last.name,
            f"{count} {text} from {moment.isoformat(timespec='seconds')} for {end_s - begin_s:.0f} s, also counting "
            f"those that may be late; at most {most} are allowed",
            vehicle_id=last.vehicle_id,
            at=moment,
            place=problem.region.frame.to_global(*(float(x) for x in place)),
            size=float(count - most),
            unit="drones",
        )


def _late(apart: Separation, each: Traffic, begin_s: float, end_s: float) -> tuple[float, float]:
    """A span since departure, as long as lateness and drift may make it, since the problem's start."""
    return (
        each.begin_s + begin_s * (1.0 - apart.drift),
        each.begin_s + end_s * (1.0 + apart.drift) + apart.late_s,
    )


def _inside(problem: Problem, lane: LaneSection, each: Traffic) -> Iterator[tuple[float, float]]:
    """When a flight is within half of a lane's width of its line, sideways and in height: since departure."""
    assert each.flight is not None
    line = np.array([(*problem.region.frame.to_local(p), p.alt_amsl_m) for p in lane.line])
    ground = shapely.LineString(line[:, :2])
    places = each.flight.places
    if (
        ground.distance(shapely.LineString(places[:, :2]) if len(places) > 1 else shapely.Point(places[0]))
        > lane.width_m
    ):
        return
    times = np.append(np.arange(0.0, each.flight.seconds[-1], STEP_S), each.flight.seconds[-1])
    at = each.flight.at(times)
    points = shapely.points(at[:, :2])
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(line[:, :2], axis=0).T))))
    heights = np.interp(shapely.line_locate_point(ground, points), along, line[:, 2])
    inside = (shapely.distance(points, ground) <= lane.width_m / 2.0) & (
        np.abs(at[:, 2] - heights) <= lane.width_m / 2.0
    )
    edges = np.diff(np.concatenate(([False], inside, [False])).astype(np.int8))
    for first, last in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1, strict=True):
        yield float(times[first]), float(times[last])
