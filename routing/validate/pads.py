"""Rules about pads and drop points: one drone at a time up or down near a place, one vehicle at a pad or drop point."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from routing.geo import Position
from routing.plan import Plan
from routing.problem import Problem, Separation
from routing.region.model import Site
from routing.trajectory import column_spans
from routing.validate.pairs import meeting
from routing.validate.traffic import Traffic, traffic
from routing.validate.violation import Violation
from routing.vehicle_type import VehicleKind

STEP_S = 1.0

ON_PAD_M, OVER_PAD_M = 6.0, 15.0
"""A flight that begins, ends or drops so near to a pad, and begins or ends so low over it, uses that pad."""


@dataclass(frozen=True, slots=True)
class _Span:
    """Seconds from the departure in which a trip has something to itself."""

    of: Traffic
    what: str
    begin_s: float
    end_s: float
    east_m: float
    north_m: float


def check_pads(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Yield overlaps of vertical flight near one another, and of vehicles at one pad or drop point."""
    apart, frame = problem.separation, problem.region.frame
    everyone = traffic(problem, plan)
    sites = {site.site_id: site for site in problem.region.sites}
    shared = {v.home_site for v in problem.vehicles if v.type.kind is VehicleKind.DRONE and v.pad is None}
    columns: list[_Span] = []
    stays: list[_Span] = []
    pads: list[_Span] = []
    for each in everyone:
        up_and_down = list(_columns(each))
        columns += up_and_down
        there = list(_stays(each, up_and_down, sites, problem))
        stays += there
        pads += _pads(each, up_and_down, sites, problem)
        for stay in there:
            if stay.what in shared and each.flight is not None:
                pads += _dropped_over(stay, up_and_down, sites[stay.what], problem)
    for a, b, over_s in _together(columns, apart):
        away_m = math.hypot(a.east_m - b.east_m, a.north_m - b.north_m)
        if away_m < apart.horizontal_m:
            text = f"go up or down at once, or may when one is late, on pads {away_m:.0f} m apart"
            yield _violation("pad.column", problem, a, b, over_s, text)
    for rule, spans, text in (
        ("drop.shared", stays, "are at drop point {} at once, or may be when one is late"),
        ("pad.shared", pads, "have pad {} at once, or may when one is late"),
    ):
        groups = defaultdict(list)
        for span in spans:
            groups[span.what].append(span)
        for what, group in groups.items():
            for a, b, over_s in _together(group, apart):
                yield _violation(rule, problem, a, b, over_s, text.format(what))
    own = {
        f"{v.home_site}#{v.pad}": v.vehicle_id
        for v in problem.vehicles
        if v.type.kind is VehicleKind.DRONE and v.pad is not None
    }
    for span in pads:
        if not span.of.given and own.get(span.what, span.of.vehicle_id) != span.of.vehicle_id:
            yield Violation(
                "pad.own",
                span.of.name,
                f"uses pad {span.what}, which is {own[span.what]}'s own",
                vehicle_id=span.of.vehicle_id,
                at=problem.start + timedelta(seconds=span.of.begin_s + span.begin_s),
                place=frame.to_global(span.east_m, span.north_m),
            )


def _violation(rule: str, problem: Problem, a: _Span, b: _Span, over_s: float, text: str) -> Violation:
    later = a if b.of.given else b
    moment = max(a.of.begin_s + a.begin_s, b.of.begin_s + b.begin_s)
    return Violation(
        rule,
        later.of.name,
        f"{a.of.name} and {b.of.name} {text}",
        vehicle_id=later.of.vehicle_id,
        at=problem.start + timedelta(seconds=moment),
        place=problem.region.frame.to_global(later.east_m, later.north_m),
        size=over_s,
        unit="s",
    )


def _columns(each: Traffic) -> Iterator[_Span]:
    if each.flight is None:
        return
    times = np.append(np.arange(0.0, each.flight.seconds[-1], STEP_S), each.flight.seconds[-1])
    for begin_s, end_s, east_m, north_m in column_spans(times, each.flight.at(times)):
        yield _Span(each, "", begin_s, end_s, east_m, north_m)


def _stays(each: Traffic, columns: list[_Span], sites: dict[str, Site], problem: Problem) -> Iterator[_Span]:
    """At a drop point from arrival until it leaves, a drone from the beginning of its way down until it is up."""
    for site_id, arrive_s, leave_s in each.stays:
        begin_s, end_s = arrive_s - each.begin_s, leave_s - each.begin_s
        there = [c for c in columns if c.begin_s <= end_s and c.end_s >= begin_s]
        place = problem.region.frame.to_local(sites[site_id].position) if site_id in sites else (0.0, 0.0)
        yield _Span(
            each,
            site_id,
            min([begin_s, *(c.begin_s for c in there)]),
            max([end_s, *(c.end_s for c in there)]),
            *place,
        )


def _pads(each: Traffic, columns: list[_Span], sites: dict[str, Site], problem: Problem) -> Iterator[_Span]:
    """A shared pad is taken from readiness until the drone is up, and from its way down until it is taken off."""
    if each.flight is None or not columns:
        return
    times = problem.pad_times
    last_s = max(float(each.flight.seconds[-1]), each.end_s - each.begin_s)
    leaves, lands = each.pads or (_pad_at(each, 0, sites, problem), _pad_at(each, -1, sites, problem))
    for name, begin_s, end_s, column in (
        (leaves, -times.ready_s, columns[0].end_s, columns[0]),
        (lands, columns[-1].begin_s, last_s + times.clear_s, columns[-1]),
    ):
        if name is not None:
            yield _Span(each, name, begin_s, end_s, column.east_m, column.north_m)


def _dropped_over(stay: _Span, columns: list[_Span], site: Site, problem: Problem) -> Iterator[_Span]:
    """The pads under a drop at a site where drones share them."""
    for column in columns:
        if column.begin_s < stay.end_s and column.end_s > stay.begin_s:
            for number, pad in enumerate(site.pads):
                if _away_m(problem, pad, column.east_m, column.north_m) <= ON_PAD_M:
                    yield replace(stay, what=f"{site.site_id}#{number}")


def _pad_at(each: Traffic, end: int, sites: dict[str, Site], problem: Problem) -> str | None:
    """The pad on which a given flight begins or ends."""
    assert each.flight is not None
    east_m, north_m, up_m = (float(x) for x in each.flight.places[end])
    for site in sites.values():
        for number, pad in enumerate(site.pads):
            if _away_m(problem, pad, east_m, north_m) <= ON_PAD_M and up_m - pad.alt_amsl_m <= OVER_PAD_M:
                return f"{site.site_id}#{number}"
    return None


def _away_m(problem: Problem, pad: Position, east_m: float, north_m: float) -> float:
    return math.dist(problem.region.frame.to_local(pad), (east_m, north_m))


def _together(spans: Sequence[_Span], apart: Separation) -> Iterator[tuple[_Span, _Span, float]]:
    """Yield pairs of different vehicles whose spans overlap, or may when one is late, and for how long."""
    if len(spans) < 2:
        return
    begins = np.array([span.of.begin_s + span.begin_s for span in spans])
    ends = np.array([span.of.begin_s + span.end_s for span in spans])
    # Of two slacks in quadrature neither is more than their sum: half of the lateness for each.
    half_s = np.array([apart.late_s / 2.0 + apart.drift * span.end_s for span in spans])
    places = np.array([span.east_m for span in spans])
    half_m = apart.horizontal_m / 2.0
    for i, j in zip(*meeting(begins - half_s, ends + half_s, places - half_m, places + half_m), strict=True):
        a, b = spans[int(i)], spans[int(j)]
        if a.of.vehicle_id == b.of.vehicle_id or (a.of.given and b.of.given):
            continue
        slack_s = apart.slack_s(a.end_s, b.end_s)
        over_s = float(min(ends[i], ends[j]) - max(begins[i], begins[j])) + slack_s
        if begins[i] < ends[j] + slack_s and begins[j] < ends[i] + slack_s:
            yield a, b, over_s
