"""The planning problem: what is to be delivered, by what, and within which limits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from routing.errors import BadInput
from routing.geo import Position
from routing.region.model import Region
from routing.vehicle_type import VehicleKind, VehicleType
from routing.wind import CALM, Wind


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """One customer's request as planning sees it. Times are timezone-aware."""

    order_id: str
    pickup_site: str
    dropoff_site: str
    mass_kg: float
    volume_l: float
    earliest: datetime
    latest: datetime
    priority: int = 0


@dataclass(frozen=True, slots=True)
class FleetVehicle:
    """A vehicle at its home site, free from ``available_from`` on; each trip begins on a full battery.

    ``pad`` is a drone's own pad there, an index into ``Site.pads``; it means nothing for a robot.
    """

    vehicle_id: str
    type: VehicleType
    home_site: str
    available_from: datetime
    pad: int = 0


@dataclass(frozen=True, slots=True)
class Separation:
    """How far flights stay apart: ``horizontal_m`` *or* ``vertical_m``, at all times.

    The figures are made of the errors of one aircraft, 95 %, summed in quadrature as for the total system error
    of performance-based navigation (ICAO Doc 9613, Part A, 2.2): horizontally 4 m navigation (GNSS receiver of
    1.5 m CEP under open sky, with a bias of 1 m), 5 m flight technical error (PX4 in gusts, corners rounded
    within ``NAV_ACC_RAD`` 2 m), 1 m path definition (survey, 1e-7 degrees), 10 m tracking (a sample is up to 1 s old
    at 10 m/s): 11.9 m; for two aircraft times sqrt(2): 16.9 m. Then 50 m, less 1.5 m of airframe, are 5.6 standard
    deviations. Vertically 4 m (barometer and GNSS height), 1.5 m flight technical error, 1 m overshoot in levelling
    off: 4.4 m, for two 6.2 m; 20 m are 6.3 standard deviations.

    Errors in time along the path are no part of the distances: they are kept as times. A plan keeps the
    separation, and the rules about pads and drop points, although any trip leaves anything from 0 to ``late_s``
    seconds late, and is besides up to ``drift`` times the time since its departure ahead of or behind its plan
    (0.02: the scatter between vehicles of one kind, whose common error does not bring them nearer to one
    another). A trip that leaves later than that needs a new plan, with the others as ``Problem.given``. Delivery
    windows are kept for departures on time.
    """

    horizontal_m: float = 50.0
    vertical_m: float = 20.0
    late_s: float = 20.0
    drift: float = 0.02

    def slack_s(self, since_a_s: float, since_b_s: float) -> float:
        """How far two trips may be off against one another so long after their departures: drifts in quadrature."""
        return self.late_s + self.drift * math.hypot(since_a_s, since_b_s)


@dataclass(frozen=True, slots=True)
class TimedPosition:
    """Where something is at a moment."""

    at: datetime
    position: Position


@dataclass(frozen=True, slots=True)
class Stay:
    """A vehicle holds a drop point from ``arrive`` to ``leave``."""

    site_id: str
    arrive: datetime
    leave: datetime


@dataclass(frozen=True, slots=True)
class GivenTrip:
    """A trip that is approved or under way: nothing about it can be changed, and plans stay clear of it.

    ``track`` has the positions of a drone from take-off (or now) to touchdown, straight lines between them, in
    sequence; it is empty for a robot. ``routing.deconflict.given_trip`` makes one from a planned trip.
    """

    trip_id: str
    vehicle_id: str
    track: tuple[TimedPosition, ...] = ()
    stays: tuple[Stay, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """Everything that a plan depends on. Equal problems have equal plans for one seed.

    ``given`` are the trips that fly and drive already, or are approved: the plan is made around them.
    """

    region: Region
    orders: tuple[OrderRequest, ...]
    vehicles: tuple[FleetVehicle, ...]
    start: datetime
    seed: int = 0
    max_trips_per_vehicle: int = 4
    wind: Wind = CALM
    separation: Separation = Separation()
    given: tuple[GivenTrip, ...] = ()


def check_problem(problem: Problem) -> None:
    """Raise ``BadInput`` naming the first order or vehicle that no plan could be made sense of.

    What merely cannot be served is no error: ``solve`` returns it with its reason.
    """
    _distinct("order", (order.order_id for order in problem.orders))
    _distinct("vehicle", (vehicle.vehicle_id for vehicle in problem.vehicles))
    _aware("problem", "start", problem.start)
    if not 1970 <= problem.start.year <= 9000:
        raise BadInput(f"problem: start is in the year {problem.start.year}")
    if problem.max_trips_per_vehicle < 1:
        raise BadInput("problem: max_trips_per_vehicle must be at least 1")
    for order in problem.orders:
        where = f"order {order.order_id}"
        _aware(where, "earliest", order.earliest)
        _aware(where, "latest", order.latest)
        if order.latest <= order.earliest:
            raise BadInput(f"{where}: latest must be after earliest")
        _positive(where, "mass_kg", order.mass_kg)
        _positive(where, "volume_l", order.volume_l)
    for vehicle in problem.vehicles:
        where = f"vehicle {vehicle.vehicle_id}"
        _aware(where, "available_from", vehicle.available_from)
        problem.region.site(vehicle.home_site)
        _check_type(f"{where}, type {vehicle.type.type_id}", vehicle.type)
    _check_pads(problem)
    _check_traffic(problem)


def _check_pads(problem: Problem) -> None:
    taken: dict[tuple[str, int], str] = {}
    for vehicle in problem.vehicles:
        if vehicle.type.kind is not VehicleKind.DRONE:
            continue
        pads = len(problem.region.site(vehicle.home_site).pads)
        if not 0 <= vehicle.pad < pads:
            raise BadInput(
                f"vehicle {vehicle.vehicle_id}: pad {vehicle.pad} is not there; "
                f"{vehicle.home_site} has {pads} pads, numbered from 0"
            )
        other = taken.setdefault((vehicle.home_site, vehicle.pad), vehicle.vehicle_id)
        if other != vehicle.vehicle_id:
            raise BadInput(
                f"vehicle {vehicle.vehicle_id}: pad {vehicle.pad} of {vehicle.home_site} is {other}'s; "
                "give each drone a pad of its own"
            )


def _check_traffic(problem: Problem) -> None:
    wind, apart = problem.wind, problem.separation
    if not all(abs(part) <= _MOST for part in (wind.east_mps, wind.north_mps, wind.gust_mps)) or wind.gust_mps < 0:
        raise BadInput("problem: wind must be finite numbers, and gust_mps at least 0")
    for name in ("horizontal_m", "vertical_m", "late_s", "drift"):
        if not 0 <= getattr(apart, name) <= _MOST:
            raise BadInput(f"problem: separation.{name} must be a number from 0 on, not {getattr(apart, name)}")
    _distinct("given trip", (trip.trip_id for trip in problem.given))
    for trip in problem.given:
        where = f"given trip {trip.trip_id}"
        for point in trip.track:
            _aware(where, "a time of its track", point.at)
            place = point.position
            if not (abs(place.lat) < 90 and abs(place.lon) <= 180 and abs(place.alt_amsl_m) < _MOST):
                raise BadInput(f"{where}: a position of its track is not on the earth")
        if any(b.at < a.at for a, b in itertools.pairwise(trip.track)):
            raise BadInput(f"{where}: the times of its track must not go back")
        if trip.track and trip.track[-1].at - trip.track[0].at > _LONGEST_TRACK:
            raise BadInput(f"{where}: its track is longer than a day")
        for stay in trip.stays:
            _aware(where, "a stay", stay.arrive)
            _aware(where, "a stay", stay.leave)
            if stay.leave < stay.arrive:
                raise BadInput(f"{where}: it leaves {stay.site_id} before it arrives")


_MOST = 1e9
"""Larger figures are slips of units, and would not fit the solver's integers."""

_LONGEST_TRACK = timedelta(days=1)
"""No battery lasts so long; traffic is looked at second by second."""

_MAY_BE_ZERO = {"idle_power_w", "lost_link_s", "turnaround_s", "service_s", "reserve_fraction"}


def _check_type(where: str, vehicle_type: VehicleType) -> None:
    drone = vehicle_type.kind is VehicleKind.DRONE
    for name in (field.name for field in fields(vehicle_type)):
        value = getattr(vehicle_type, name)
        if not isinstance(value, float | int):
            continue
        may_be_zero = name in _MAY_BE_ZERO or (not drone and name in ("climb_speed_mps", "descent_speed_mps"))
        if not 0 <= value <= _MOST or (value == 0 and not may_be_zero):
            raise BadInput(f"{where}: {name} must be {'at least' if may_be_zero else 'more than'} 0, not {value}")
    if vehicle_type.reserve_fraction >= 1:
        raise BadInput(f"{where}: reserve_fraction must be less than 1, not {vehicle_type.reserve_fraction}")


def _distinct(what: str, ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for one in ids:
        if one in seen:
            raise BadInput(f"problem: {what} id {one!r} is used twice")
        seen.add(one)


def _aware(where: str, name: str, moment: datetime) -> None:
    if moment.utcoffset() is None:
        raise BadInput(f"{where}: {name} needs a time zone")


def _positive(where: str, name: str, value: float) -> None:
    if not 0 < value <= _MOST:
        raise BadInput(f"{where}: {name} must be a number above 0, not {value}")
