"""Rules about what happens when links or batteries fail: the own way home of each drone, and of all at once.

They hold where ``Policy.contingency`` asks for them. The way that a drone takes by itself is a fact of the vehicle
(``routing.own_way``); whether it is a good one is judged here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from routing.airspace import CEILING_AGL_M, clearance_m
from routing.errors import TooWindy
from routing.geo import Position
from routing.own_way import STRAIGHT, OwnWay
from routing.plan import Plan
from routing.problem import GivenTrip, Problem
from routing.straight_air import in_closed_zones, obstacle_floors
from routing.trajectory import Trajectory
from routing.validate.context import TripContext, trips_of
from routing.validate.energy import usable_of
from routing.validate.violation import Violation
from routing.vehicle_type import VehicleKind
from routing.ways_home import Curve, WaysHome

MOMENT_S = 10.0
"""Spacing of the moments at which something fails."""

STEP_S = 2.0
CHUNK = 16
FINE_S = 0.5
"""Ways home are compared in boxes of so many steps first, and then where boxes come near in fine steps."""

SAMPLE_M = 7.0

ONE_PAD_M = 1.0
"""Landings nearer to one another are on one pad."""
_TOLERANCE_M = 0.5
_ROUNDING_WH = 0.01
_LEAST_WAY_M = 2.0
"""A way that is horizontally shorter goes straight down where the drone is."""

Array = npt.NDArray[np.float64]


def check_contingency(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Yield ways home that are not clear, take too much energy, end at one pad, or come too near to one another."""
    if not problem.policy.contingency:
        return
    flown: list[_Flown] = []
    for context in trips_of(problem, plan):
        if context.vehicle.type.kind is not VehicleKind.DRONE:
            continue
        try:
            own = OwnWay(
                context.trip,
                context.vehicle,
                problem.region,
                wind=problem.wind,
                payloads_kg=[payload_kg for _, _, _, payload_kg in context.legs()],
            )
        except TooWindy:
            continue  # ``drone.wind`` says so
        yield from _energy(problem, context, own)
        begin_s = (context.trip.depart - problem.start).total_seconds()
        ways = own.ways(_moments(begin_s, own.duration_s) - begin_s)
        yield from _clear(problem, context, ways)
        flown.append(_Flown.of(context.trip.trip_id, context.vehicle.vehicle_id, begin_s, ways))
    flown += [each for trip in problem.given if (each := _given(problem, trip)) is not None]
    yield from _together(problem, flown)


def _moments(begin_s: float, duration_s: float) -> Array:
    """Moments in the air, the same ones for all trips: multiples of ``MOMENT_S`` since the problem's start."""
    first, last = math.ceil(begin_s / MOMENT_S), math.floor((begin_s + duration_s) / MOMENT_S)
    return np.arange(first, last + 1, dtype=np.float64) * MOMENT_S


def _energy(problem: Problem, context: TripContext, own: OwnWay) -> Iterator[Violation]:
    needed, limit = own.costliest_wh(), usable_of(problem, context)
    if needed > limit + _ROUNDING_WH:
        yield Violation(
            "contingency.energy",
            context.trip.trip_id,
            f"needs {needed:.1f} Wh if it has to come home by itself at the worst moment, of {limit:.1f} Wh that may "
            "be used",
            size=needed - limit,
            unit="Wh",
        )


def _clear(problem: Problem, context: TripContext, ways: WaysHome) -> Iterator[Violation]:
    """Straight ways must keep the rules of flight paths; ways along the mission are the trip's, which does."""
    rtl_type = context.vehicle.type.rtl_type
    if rtl_type in STRAIGHT:
        yield from _straight(problem, context, ways)
    elif rtl_type not in (2, 4):
        yield Violation(
            "contingency.path",
            context.trip.trip_id,
            f"its failsafe setting (RTL_TYPE {rtl_type}) brings it to rally points, which missions do not carry",
        )


def _straight(problem: Problem, context: TripContext, ways: WaysHome) -> Iterator[Violation]:
    region, name = problem.region, context.trip.trip_id
    starts = ways.start
    ends = np.array([region.frame.to_local(ways.pad(row)) for row in range(len(starts))]).reshape(-1, 2)
    level_m = np.array([course.places[:, 1, 2] for _, course in ways.courses if not isinstance(course, Curve)])
    away = np.hypot(*(ends - starts[:, :2]).T)
    flies = np.flatnonzero((away > _LEAST_WAY_M) & ways.airborne)
    if not len(flies):
        return
    counts = np.ceil(away[flies] / SAMPLE_M).astype(int) + 1
    owner = np.repeat(flies, counts)
    share = np.concatenate([np.linspace(0.0, 1.0, count) for count in counts])
    places = starts[owner, :2] + (ends[owner] - starts[owner, :2]) * share[:, None]
    height = level_m.reshape(-1)[owner] - region.terrain.height_m(places[:, 0], places[:, 1])
    least = clearance_m(region, places[:, 0], places[:, 1])
    found = [
        ("is {:.0f} m too near to the ground", least - height),
        (f"is {{:.0f}} m higher than {CEILING_AGL_M:.0f} m above ground", height - CEILING_AGL_M),
        ("is {:.0f} m too low over an obstacle", obstacle_floors(region, places) - level_m.reshape(-1)[owner]),
        ("is in a zone or too near to one", np.where(in_closed_zones(problem, places), np.inf, -np.inf)),
    ]
    for what, short in found:
        worst = int(np.argmax(short))
        if short[worst] > _TOLERANCE_M:
            east, north = (float(x) for x in places[worst])
            at_s = float(ways.moments[owner[worst]])
            yield Violation(
                "contingency.path",
                name,
                f"its own way home from where it is after {at_s:.0f} s {what.format(short[worst])}",
                at=context.trip.depart + timedelta(seconds=at_s),
                place=region.frame.to_global(east, north, float(level_m.reshape(-1)[owner[worst]])),
                size=float(short[worst]) if np.isfinite(short[worst]) else None,
                unit="m" if np.isfinite(short[worst]) else "",
            )


@dataclass(frozen=True, slots=True, eq=False)
class _Flown:
    """A trip's ways home from the moments that all trips share, and the boxes of ``CHUNK`` steps of each way.

    ``first`` is the number of the first moment; ``boxes`` (K, C, 6) hold least and greatest east, north and altitude.
    """

    name: str
    vehicle_id: str
    given: bool
    first: int
    ways: WaysHome
    boxes: Array
    low: Array
    high: Array

    @classmethod
    def of(cls, name: str, vehicle_id: str, begin_s: float, ways: WaysHome, *, given: bool = False) -> _Flown:
        longest = float(ways.left_s.max()) if len(ways.left_s) else 0.0
        chunks = max(1, math.ceil((longest / STEP_S + 1) / CHUNK))
        since = np.arange(chunks * CHUNK + 1, dtype=np.float64) * STEP_S
        places = ways.places(since)
        low_m, high_m = places[:, CHUNK::CHUNK].copy(), places[:, CHUNK::CHUNK].copy()
        for step in range(CHUNK):
            np.minimum(low_m, places[:, step:-1:CHUNK], out=low_m)
            np.maximum(high_m, places[:, step:-1:CHUNK], out=high_m)
        boxes = np.concatenate((low_m, high_m), axis=2)
        # A landed drone is in nobody's way.
        landed = (since[:-1:CHUNK] > ways.left_s[:, None]) | ~ways.airborne[:, None]
        boxes[landed, :3], boxes[landed, 3:] = math.inf, -math.inf
        first = round((begin_s + ways.moments[0]) / MOMENT_S) if len(ways.moments) else 0
        low = boxes[..., :3].min(axis=(0, 1)) if boxes.size else np.full(3, math.inf)
        high = boxes[..., 3:].max(axis=(0, 1)) if boxes.size else np.full(3, -math.inf)
        return cls(name, vehicle_id, given, first, ways, boxes, low, high)

    @property
    def last(self) -> int:
        """The number of the last moment."""
        return self.first + len(self.ways.moments) - 1


def _given(problem: Problem, trip: GivenTrip) -> _Flown | None:
    """A given trip, of which nothing but its track is known: taken to go on along it."""
    if not trip.track:
        return None
    path = Trajectory.of_points(trip.track, problem.region.frame)
    begin_s = (path.start - problem.start).total_seconds()
    moments = _moments(begin_s, float(path.seconds[-1])) - begin_s
    pad = trip.track[-1].position
    course = Curve(path.seconds, path.places, moments)
    left = float(path.seconds[-1]) - moments
    nothing = np.zeros(len(moments))
    ahead = np.ones(len(moments), dtype=np.bool_)
    rows = np.arange(len(moments))
    start = np.asarray(course.at(np.zeros(1))[:, 0], dtype=np.float64)
    ways = WaysHome(moments, start, left, nothing, nothing, ahead, left > 0.0, pad, pad, [(rows, course)])
    return _Flown.of(trip.trip_id, trip.vehicle_id, begin_s, ways, given=True)


def _together(problem: Problem, flown: list[_Flown]) -> Iterator[Violation]:
    """All that fly come home at once, from every moment: each on a pad of its own, and apart on the way."""
    apart = np.array([problem.separation.horizontal_m] * 2 + [problem.separation.vertical_m])
    flown = sorted((each for each in flown if len(each.ways.moments)), key=lambda each: each.first)
    lasts = np.array([each.last for each in flown])
    firsts = np.array([each.first for each in flown])
    lows, highs = (np.array([getattr(each, side) for each in flown]).reshape(-1, 3) for side in ("low", "high"))
    for i, a in enumerate(flown):
        until = int(np.searchsorted(firsts, a.last, side="right"))
        meets = (lasts[i + 1 : until] >= a.first) & (
            (lows[i + 1 : until] < a.high + apart) & (highs[i + 1 : until] > a.low - apart)
        ).all(axis=1)
        for j in np.flatnonzero(meets) + i + 1:
            b = flown[int(j)]
            if a.vehicle_id == b.vehicle_id or (a.given and b.given):
                continue
            yield from _pads(problem, a, b)
            yield from _apart(problem, a, b, apart)


def _common(a: _Flown, b: _Flown) -> tuple[slice, slice, int]:
    """The moments that two trips share, as slices of each, and the number of the first."""
    first, last = max(a.first, b.first), min(a.last, b.last)
    return slice(first - a.first, last - a.first + 1), slice(first - b.first, last - b.first + 1), first


def _pads(problem: Problem, a: _Flown, b: _Flown) -> Iterator[Violation]:
    of_a, of_b, first = _common(a, b)
    frame = problem.region.frame
    pads = []
    for each, rows in ((a, of_a), (b, of_b)):
        ends = frame.to_local(each.ways.landing_pad), frame.to_local(each.ways.start_pad)
        pads.append(np.where(each.ways.forwards[rows, None], *np.array(ends)))
    airborne = a.ways.airborne[of_a] & b.ways.airborne[of_b]
    same = np.flatnonzero((np.hypot(*(pads[0] - pads[1]).T) < ONE_PAD_M) & airborne)
    if len(same):
        moment = problem.start + timedelta(seconds=(first + int(same[0])) * MOMENT_S)
        place = Position(a.ways.landing_pad.lat, a.ways.landing_pad.lon, a.ways.landing_pad.alt_amsl_m)
        yield Violation(
            "contingency.landing",
            a.name if b.given else b.name,
            f"{a.name} and {b.name} land on one pad if they have to come home by themselves at "
            f"{moment.isoformat(timespec='seconds')}",
            at=moment,
            place=place,
        )


def _apart(problem: Problem, a: _Flown, b: _Flown, apart: Array) -> Iterator[Violation]:
    of_a, of_b, first = _common(a, b)
    boxes_a, boxes_b = a.boxes[of_a], b.boxes[of_b]
    chunks = min(boxes_a.shape[1], boxes_b.shape[1])
    boxes_a, boxes_b = boxes_a[:, :chunks], boxes_b[:, :chunks]
    below = (boxes_a[..., :3] < boxes_b[..., 3:] + apart) & (boxes_b[..., :3] < boxes_a[..., 3:] + apart)
    near = np.asarray(below.all(axis=2), dtype=np.bool_)
    worst: tuple[float, int, float, float, float, Array] | None = None
    for chunk in np.flatnonzero(near.any(axis=0)):
        rows = np.flatnonzero(near[:, chunk])
        since = (chunk * CHUNK + np.arange(0.0, CHUNK + FINE_S / STEP_S, FINE_S / STEP_S)) * STEP_S
        at_a = _rows(a.ways, rows + of_a.start, since)
        at_b = _rows(b.ways, rows + of_b.start, since)
        between = at_a - at_b
        level, height = np.hypot(between[..., 0], between[..., 1]), np.abs(between[..., 2])
        share = np.maximum(level / max(1e-9, apart[0] - _TOLERANCE_M), height / max(1e-9, apart[2] - _TOLERANCE_M))
        share = np.where(np.isnan(share), math.inf, share)
        row, step = np.unravel_index(int(np.argmin(share)), share.shape)
        if share[row, step] < min(1.0, worst[0] if worst else 1.0):
            worst = (
                float(share[row, step]),
                first + int(rows[row]),
                float(since[step]),
                float(level[row, step]),
                float(height[row, step]),
                at_a[row, step],
            )
    if worst is None:
        return
    _, number, since_s, level_m, height_m, place = worst
    failed = problem.start + timedelta(seconds=number * MOMENT_S)
    yield Violation(
        "contingency.separation",
        a.name if b.given else b.name,
        f"{a.name} and {b.name} come within {level_m:.0f} m horizontally and {height_m:.0f} m vertically "
        f"{since_s:.0f} s after all have to come home by themselves at {failed.isoformat(timespec='seconds')}",
        at=failed + timedelta(seconds=since_s),
        place=problem.region.frame.to_global(*(float(x) for x in place)),
        size=level_m,
        unit="m",
    )


def _rows(ways: WaysHome, rows: npt.NDArray[np.int64], since: Array) -> Array:
    """Places of some of the ways; not a number from the landing on."""
    found = np.full((len(rows), len(since), 3), np.nan)
    for of_course, course in ways.courses:
        at, which = np.nonzero(rows[:, None] == of_course)
        if len(at):
            found[at] = course.only(which).at(since)
    found[since[None, :] > ways.left_s[rows, None]] = np.nan
    return found
