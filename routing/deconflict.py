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

import numpy as np
import numpy.typing as npt

from routing.geo import LocalFrame
from routing.plan import Trip
from routing.problem import FleetVehicle, GivenTrip, Separation, Stay, TimedPosition
from routing.region.model import Region
from routing.trajectory import Trajectory, column_spans, trajectory
from routing.vehicle_type import VehicleKind
from routing.wind import CALM, Wind

STEP_S = 1.0
"""Spacing in time of the moments looked at. The distances kept are longer by what is flown in it."""

CHUNK = 16
"""Moments whose bounding box is looked at first."""

GIVEN_STEP_S = 2.0
"""Spacing of the positions of a trip that is handed on as given."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that one vehicle has to itself, from ``begin_s`` to ``end_s`` since departure.

    A drop point (``site_id``), or the column of air in which a drone goes up and down (``east_m``, ``north_m``).
    """

    begin_s: float
    end_s: float
    site_id: str | None = None
    east_m: float = math.inf
    north_m: float = math.inf

    def excludes(self, other: Hold, horizontal_m: float) -> bool:
        """Whether both cannot be at once: one drop point, or columns too near to one another."""
        if self.site_id is not None and self.site_id == other.site_id:
            return True
        return bool(math.hypot(self.east_m - other.east_m, self.north_m - other.north_m) < horizontal_m)


@dataclass(frozen=True, slots=True, eq=False)
class Occupancy:
    """What a trip takes up: where it is at ``seconds`` since its departure (nothing for a robot), and its holds."""

    seconds: Array
    places: Array
    holds: tuple[Hold, ...]
    boxes: tuple[Array, Array]
    steps_m: tuple[float, float]
    end_s: float


def occupancy(seconds: Array, places: Array, stays: Iterable[tuple[str, float, float]]) -> Occupancy:
    """Return what a trip takes up, from its moments at most ``STEP_S`` apart and its stays at drop points."""
    spans = column_spans(seconds, places)
    columns = [Hold(begin, end, None, east, north) for begin, end, east, north in spans]
    stops = []
    for site_id, arrive_s, leave_s in stays:
        # A drone has the drop point for as long as it is in the column over it.
        there = [c for c in columns if c.begin_s <= leave_s and c.end_s >= arrive_s]
        begin_s, end_s = min([arrive_s, *(c.begin_s for c in there)]), max([leave_s, *(c.end_s for c in there)])
        stops.append(Hold(begin_s, end_s, site_id))
    chunks = _chunks(places)
    steps = np.diff(places, axis=0) if len(places) > 1 else np.zeros((1, 3))
    return Occupancy(
        seconds,
        places,
        (*columns, *stops),
        (chunks.min(axis=1), chunks.max(axis=1)),
        (float(np.hypot(steps[:, 0], steps[:, 1]).max()), float(np.abs(steps[:, 2]).max())),
        max([0.0, *seconds[-1:], *(hold.end_s for hold in stops)]),
    )


def forbidden(a: Occupancy, b: Occupancy, apart: Separation) -> Array:
    """Differences of departures, ``b``'s less ``a``'s in seconds, that bring the two too near to one another.

    Rows of (least, greatest), disjoint and in sequence; both bounds are allowed.
    """
    ranges = [_near(a, b, apart), *(_held(x, y, apart) for x in a.holds for y in b.holds)]
    return _union(np.concatenate([each for each in ranges if len(each)] or [np.empty((0, 2))]))


def first_free(soonest: float, taken: Sequence[Array]) -> float:
    """The first moment from ``soonest`` on that no range excludes."""
    found = soonest
    for least, greatest in _union(np.concatenate([*taken, np.empty((0, 2))])):
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


def _chunks(places: Array) -> Array:
    """Moments in rows of ``CHUNK``, the last one repeated."""
    if not len(places):
        return np.empty((0, CHUNK, 3))
    rows = math.ceil(len(places) / CHUNK)
    index = np.minimum(np.arange(rows * CHUNK), len(places) - 1)
    return np.asarray(places[index].reshape(rows, CHUNK, 3))


def _near(a: Occupancy, b: Occupancy, apart: Separation) -> Array:
    """Ranges of the differences at which two flights would be nearer than the separation."""
    horizontal = apart.horizontal_m + (a.steps_m[0] + b.steps_m[0]) / 2.0
    vertical = apart.vertical_m + (a.steps_m[1] + b.steps_m[1]) / 2.0
    (low_a, high_a), (low_b, high_b) = a.boxes, b.boxes
    gaps = np.maximum(low_a[:, None] - high_b[None], low_b[None] - high_a[:, None]).clip(0.0)
    rows_a, rows_b = np.nonzero((np.hypot(gaps[..., 0], gaps[..., 1]) < horizontal) & (gaps[..., 2] < vertical))
    if not len(rows_a):
        return np.empty((0, 2))
    inside = np.arange(CHUNK)
    i = np.minimum(rows_a[:, None] * CHUNK + inside, len(a.seconds) - 1)[:, :, None]
    j = np.minimum(rows_b[:, None] * CHUNK + inside, len(b.seconds) - 1)[:, None, :]
    between = a.places[i] - b.places[j]
    hit = (np.hypot(between[..., 0], between[..., 1]) < horizontal) & (np.abs(between[..., 2]) < vertical)
    at_a, at_b = np.broadcast_to(a.seconds[i], hit.shape)[hit], np.broadcast_to(b.seconds[j], hit.shape)[hit]
    slack = apart.late_s + apart.drift * np.hypot(at_a, at_b) + STEP_S
    return _union(np.stack((at_a - at_b - slack, at_a - at_b + slack), axis=1))


def _held(a: Hold, b: Hold, apart: Separation) -> Array:
    if not a.excludes(b, apart.horizontal_m):
        return np.empty((0, 2))
    slack = apart.slack_s(a.end_s, b.end_s) + STEP_S
    return np.array([[a.begin_s - b.end_s - slack, a.end_s - b.begin_s + slack]])


def _union(ranges: Array) -> Array:
    """Ranges that overlap made one, in sequence."""
    if len(ranges) < 2:
        return ranges
    ordered = ranges[np.argsort(ranges[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ordered[:, 1])
    first = np.append(True, ordered[1:, 0] > reach[:-1])
    return np.stack((ordered[first, 0], reach[np.append(np.flatnonzero(first)[1:] - 1, len(reach) - 1)]), axis=1)
