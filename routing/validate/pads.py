"""Rules about pads and drop points: one drone at a time up or down near a place, one vehicle at a drop point."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from routing.plan import Plan
from routing.problem import Problem, Separation
from routing.trajectory import column_spans
from routing.validate.traffic import Traffic, traffic
from routing.validate.violation import Violation

STEP_S = 1.0


@dataclass(frozen=True, slots=True)
class _Span:
    """Seconds from the departure in which a trip has something to itself."""

    of: Traffic
    what: str
    begin_s: float
    end_s: float
    east_m: float = 0.0
    north_m: float = 0.0


def check_pads(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Yield overlaps of vertical flight near one another, and of vehicles at one drop point."""
    apart = problem.separation
    everyone = traffic(problem, plan)
    columns = [span for each in everyone for span in _columns(each)]
    for a, b in itertools.combinations(columns, 2):
        if math.hypot(a.east_m - b.east_m, a.north_m - b.north_m) < apart.horizontal_m and _overlap(a, b, apart):
            yield Violation(
                "pad.column",
                a.of.name if b.of.given else b.of.name,
                f"{a.of.name} and {b.of.name} go up or down at once, or may when one is late, on pads "
                f"{math.hypot(a.east_m - b.east_m, a.north_m - b.north_m):.0f} m apart",
            )
    stays = [span for each in everyone for span in _stays(each, [c for c in columns if c.of is each])]
    for a, b in itertools.combinations(stays, 2):
        if a.what == b.what and _overlap(a, b, apart):
            yield Violation(
                "drop.shared",
                a.of.name if b.of.given else b.of.name,
                f"{a.of.name} and {b.of.name} are at drop point {a.what} at once, or may be when one is late",
            )


def _columns(each: Traffic) -> Iterator[_Span]:
    if each.flight is None:
        return
    times = np.append(np.arange(0.0, each.flight.seconds[-1], STEP_S), each.flight.seconds[-1])
    for begin_s, end_s, east_m, north_m in column_spans(times, each.flight.at(times)):
        yield _Span(each, "", begin_s, end_s, east_m, north_m)


def _stays(each: Traffic, columns: list[_Span]) -> Iterator[_Span]:
    """At a drop point from arrival until it leaves, a drone from the beginning of its way down until it is up."""
    for site_id, arrive_s, leave_s in each.stays:
        begin_s, end_s = arrive_s - each.begin_s, leave_s - each.begin_s
        there = [c for c in columns if c.begin_s <= end_s and c.end_s >= begin_s]
        yield _Span(each, site_id, min([begin_s, *(c.begin_s for c in there)]), max([end_s, *(c.end_s for c in there)]))


def _overlap(a: _Span, b: _Span, apart: Separation) -> bool:
    if a.of.vehicle_id == b.of.vehicle_id or (a.of.given and b.of.given):
        return False
    slack_s = apart.slack_s(a.end_s, b.end_s)
    begin_a, begin_b = a.of.begin_s + a.begin_s, b.of.begin_s + b.begin_s
    end_a, end_b = a.of.begin_s + a.end_s, b.of.begin_s + b.end_s
    return begin_a < end_b + slack_s and begin_b < end_a + slack_s
