"""Trips kept apart: by how much the departures of two must differ.

Whether two trips come too near to one another depends on the difference of their departures alone. So each pair is
looked at once, in space: every moment of the one with every moment of the other. Where two moments are too near, the
difference that would bring them together is forbidden, and so are those that lateness may turn into it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Flag, auto

import numpy as np
import numpy.typing as npt

from routing.geo import LocalFrame
from routing.intents import PIECE_S
from routing.meeting import CHUNK, hold_ranges, meeting_ranges
from routing.plan import Trip
from routing.problem import FleetVehicle, GivenTrip, Separation, Stay, TimedPosition
from routing.region.model import Region
from routing.trajectory import Trajectory, column_spans, trajectory
from routing.vehicle_type import VehicleKind
from routing.wind import CALM, Wind

STEP_S = 1.0
"""Spacing in time of the moments looked at. The distances kept are longer by what is flown in it."""

GUARD_S = STEP_S + 2.0 * PIECE_S
"""Added to lateness: moments stand for what is flown around them, and the volumes of operational intents for pieces
of both flights, so that volumes do not meet either."""

GIVEN_STEP_S = 2.0
"""Spacing of the positions of a trip that is handed on as given."""

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NOTHING: Array = np.empty((0, 2))


class Kind(Flag):
    """What two trips may not have at once: air, drop points, pads."""

    AIR = auto()
    DROP = auto()
    PAD = auto()


EVERYTHING = Kind.AIR | Kind.DROP | Kind.PAD


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that one vehicle has to itself, from ``begin_s`` to ``end_s`` since departure.

    A drop point or pad (``name``), or the column of air in which a drone goes up and down (``east_m``, ``north_m``).
    """

    begin_s: float
    end_s: float
    kind: Kind = Kind.AIR
    name: str = ""
    east_m: float = math.inf
    north_m: float = math.inf


@dataclass(frozen=True, slots=True, eq=False)
class Occupancy:
    """What a trip takes up: where it is at ``seconds`` since its departure (nothing for a robot), and its holds.

    A moment stands for what is flown around it, ``reaches`` metres of it horizontally and vertically; ``boxes`` bound
    ``CHUNK`` moments with that. ``spans`` and ``keys`` are the holds in numbers, ``names`` the drop points and pads
    among them; all of it lies from ``begin_s`` to ``end_s`` since departure.
    """

    seconds: Array
    places: Array
    holds: tuple[Hold, ...]
    reaches: Array
    boxes: Array
    spans: Array
    keys: Ints
    names: frozenset[str]
    begin_s: float
    end_s: float


def occupancy(
    seconds: Array, places: Array, stays: Iterable[tuple[str, float, float]], pads: Iterable[Hold] = ()
) -> Occupancy:
    """Return what a trip takes up, from its moments at most ``STEP_S`` apart and its stays at drop points."""
    columns = [Hold(begin, end, Kind.AIR, "", east, north) for begin, end, east, north in column_spans(seconds, places)]
    stops = []
    for site_id, arrive_s, leave_s in stays:
        # A drone has the drop point for as long as it is in the column over it.
        there = [c for c in columns if c.begin_s <= leave_s and c.end_s >= arrive_s]
        begin_s, end_s = min([arrive_s, *(c.begin_s for c in there)]), max([leave_s, *(c.end_s for c in there)])
        stops.append(Hold(begin_s, end_s, Kind.DROP, site_id))
    holds = (*columns, *stops, *pads)
    reaches = _reaches(places)
    return Occupancy(
        seconds,
        places,
        holds,
        reaches,
        _boxes(places, reaches),
        np.array([(hold.begin_s, hold.end_s, hold.east_m, hold.north_m) for hold in holds]).reshape(-1, 4),
        np.array([_key(hold) for hold in holds], dtype=np.int64),
        frozenset(hold.name for hold in holds if hold.name),
        min([0.0, *(hold.begin_s for hold in holds)]),
        max([0.0, *seconds[-1:], *(hold.end_s for hold in holds)]),
    )


def forbidden(a: Occupancy, b: Occupancy, apart: Separation, kinds: Kind = EVERYTHING) -> Array:
    """Differences of departures, ``b``'s less ``a``'s in seconds, at which the two would have something at once.

    Rows of (least, greatest), disjoint and in sequence; both bounds are allowed.
    """
    ranges = [NOTHING]
    if Kind.AIR in kinds and len(a.seconds) and len(b.seconds):
        ranges.append(
            meeting_ranges(
                *(a.seconds, a.places, a.reaches, a.boxes, b.seconds, b.places, b.reaches, b.boxes),
                *(apart.horizontal_m, apart.vertical_m, apart.late_s, apart.drift, GUARD_S),
            )
        )
    if len(a.spans) and len(b.spans):
        spans_a, keys_a, spans_b, keys_b = a.spans, a.keys, b.spans, b.keys
        if kinds != EVERYTHING:
            of_a, of_b = ([hold.kind in kinds for hold in each.holds] for each in (a, b))
            spans_a, keys_a, spans_b, keys_b = spans_a[of_a], keys_a[of_a], spans_b[of_b], keys_b[of_b]
        limits = (apart.horizontal_m, apart.late_s, apart.drift, GUARD_S)
        ranges.append(hold_ranges(spans_a, keys_a, spans_b, keys_b, *limits))
    return union(np.concatenate(ranges))


def first_free(soonest: float, taken: Sequence[Array]) -> float:
    """The first moment from ``soonest`` on that no range excludes."""
    found = soonest
    for least, greatest in union(np.concatenate([*taken, NOTHING])):
        if least < found < greatest:
            found = float(greatest)
    return found


def given_trip(
    trip: Trip,
    vehicle: FleetVehicle,
    region: Region,
    *,
    wind: Wind = CALM,
    delay: timedelta = timedelta(),
    since: datetime | None = None,
) -> GivenTrip:
    """Return a planned trip as one that is given to other plans, ``delay`` later than planned.

    ``since``: only what lies after that moment. ``vehicle`` must be the one of the plan's problem.
    """
    track: tuple[TimedPosition, ...] = ()
    if vehicle.type.kind is VehicleKind.DRONE:
        path = trajectory(trip, vehicle, region, wind=wind)
        seconds = np.append(np.arange(0.0, path.seconds[-1], GIVEN_STEP_S), path.seconds[-1])
        moments = [path.start + delay + timedelta(seconds=float(second)) for second in seconds]
        places = (region.frame.to_global(*(float(x) for x in place)) for place in path.at(seconds))
        timed = (TimedPosition(*each) for each in zip(moments, places, strict=True))
        track = tuple(point for point in timed if since is None or point.at >= since)
    stays = tuple(Stay(leg.to_site, leg.arrive + delay, leg.leave + delay) for leg in trip.legs if leg.order_ids)
    kept = tuple(stay for stay in stays if since is None or stay.leave >= since)
    return GivenTrip(trip.trip_id, vehicle.vehicle_id, track, kept)


def too_near(trip: GivenTrip, others: Iterable[GivenTrip], frame: LocalFrame, apart: Separation) -> list[str]:
    """Return which of ``others`` a trip does not keep clear of, as a dispatcher asks before a late launch.

    Trips of the same vehicle are left out.
    """
    start, taken = given_occupancy(trip, frame)
    found = []
    for other in others:
        begun, theirs = given_occupancy(other, frame)
        if start is None or begun is None or other.vehicle_id == trip.vehicle_id:
            continue
        offset = (start - begun).total_seconds()
        if first_free(offset, [forbidden(theirs, taken, apart)]) != offset:
            found.append(other.trip_id)
    return found


def given_occupancy(given: GivenTrip, frame: LocalFrame) -> tuple[datetime | None, Occupancy]:
    """Return when a given trip begins, and what it takes up from then on; ``None`` if it takes up nothing."""
    if not given.track and not given.stays:
        return None, occupancy(np.empty(0), np.empty((0, 3)), ())
    start = given.track[0].at if given.track else min(stay.arrive for stay in given.stays)
    seconds, places = np.empty(0), np.empty((0, 3))
    if given.track:
        path = Trajectory.of_points(given.track, frame)
        seconds = np.append(np.arange(0.0, path.seconds[-1], STEP_S), path.seconds[-1])
        places = path.at(seconds)
    stays = [(s.site_id, (s.arrive - start).total_seconds(), (s.leave - start).total_seconds()) for s in given.stays]
    return start, occupancy(seconds, places, stays)


def _key(hold: Hold) -> int:
    """A number for what is held: 0 for air. That two names have the same one would cost a little time."""
    return 0 if hold.kind is Kind.AIR else hash((hold.kind.value, hold.name)) or 1


def _reaches(places: Array) -> Array:
    """Half of the longer of the steps to the neighbouring moments, horizontally and vertically."""
    steps = np.abs(np.diff(places, axis=0, prepend=places[:1], append=places[-1:]))
    half = np.stack((np.hypot(steps[:, 0], steps[:, 1]), steps[:, 2]), axis=1) / 2.0
    return np.maximum(half[:-1], half[1:])


def _boxes(places: Array, reaches: Array) -> Array:
    """The bounding box of each ``CHUNK`` moments: least east, north and altitude, then the greatest."""
    if not len(places):
        return np.empty((0, 6))
    rows = math.ceil(len(places) / CHUNK)
    index = np.minimum(np.arange(rows * CHUNK), len(places) - 1)
    around = reaches[:, [0, 0, 1]]
    low, high = ((places + sign * around)[index].reshape(rows, CHUNK, 3) for sign in (-1.0, 1.0))
    return np.concatenate((low.min(axis=1), high.max(axis=1)), axis=1)


def union(ranges: Array) -> Array:
    """Return ranges (rows of least, greatest) in sequence, those that overlap made one."""
    if len(ranges) < 2:
        return ranges
    ordered = ranges[np.argsort(ranges[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ordered[:, 1])
    first = np.append(True, ordered[1:, 0] > reach[:-1])
    return np.stack((ordered[first, 0], reach[np.append(np.flatnonzero(first)[1:] - 1, len(reach) - 1)]), axis=1)
