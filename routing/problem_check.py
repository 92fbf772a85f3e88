"""What a planning problem must hold to make sense: the rules that its data keep before anything is planned."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime, timedelta

from routing.errors import BadInput
from routing.problem import OrderRequest, Problem, Separation
from routing.vehicle_type import TEMPERATURE_CLASSES, Airframe, VehicleKind, VehicleType


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
        _check_order(where, order)
    for vehicle in problem.vehicles:
        where = f"vehicle {vehicle.vehicle_id}"
        _aware(where, "available_from", vehicle.available_from)
        problem.region.site(vehicle.home_site)
        _check_type(f"{where}, type {vehicle.type.type_id}", vehicle.type)
        if vehicle.shift_end is not None:
            _aware(where, "shift_end", vehicle.shift_end)
            if vehicle.shift_end <= vehicle.available_from:
                raise BadInput(f"{where}: shift_end must be after available_from")
        _share(where, "battery_health", vehicle.battery_health)
    _check_pads(problem)
    _check_resources(problem)
    _check_airspace(problem)
    _check_traffic(problem)


def _check_order(where: str, order: OrderRequest) -> None:
    _positive(where, "mass_kg", order.mass_kg)
    _positive(where, "volume_l", order.volume_l)
    _from_zero(where, "late_cost", order.late_cost)
    _from_zero(where, "pickup_s", order.pickup_s)
    for name in ("service_s", "unserved_cost"):
        if (value := getattr(order, name)) is not None:
            _from_zero(where, name, value)
    for name in ("release", "due"):
        if (moment := getattr(order, name)) is not None:
            _aware(where, name, moment)
    if order.release is not None and order.release > order.latest:
        raise BadInput(f"{where}: release must not be after latest")
    if order.temperature not in TEMPERATURE_CLASSES:
        raise BadInput(f"{where}: temperature must be one of {', '.join(TEMPERATURE_CLASSES)}")


def _check_airspace(problem: Problem) -> None:
    _distinct("zone", (zone.zone_id for zone in (*problem.region.zones, *problem.zones)))
    _distinct("permit", (permit.permit_id for permit in problem.permits))
    for permit in problem.permits:
        where = f"permit {permit.permit_id}"
        _check_ring(where, permit.ring)
        _from_zero(where, "ceiling_agl_m", permit.ceiling_agl_m)
        _check_period(where, permit.begins, permit.ends)
        for name in ("from_minute", "to_minute"):
            if not 0 <= getattr(permit, name) <= _DAY_MINUTES:
                raise BadInput(f"{where}: {name} must be a minute of the day, 0 to {_DAY_MINUTES}")
        if abs(permit.utc_offset_minutes) > _DAY_MINUTES:
            raise BadInput(f"{where}: utc_offset_minutes must be less than a day")
    policy = problem.policy
    if policy.reserve_fraction is not None and not 0 <= policy.reserve_fraction < 1:
        raise BadInput(f"problem: policy.reserve_fraction must be from 0 to less than 1, not {policy.reserve_fraction}")
    if not -_COLDEST <= problem.temperature_c <= _COLDEST:
        raise BadInput(f"problem: temperature_c must be in degrees Celsius, not {problem.temperature_c}")


def _check_ring(where: str, ring: tuple[tuple[float, float], ...]) -> None:
    if len(ring) < 3 or not all(abs(lat) <= 90 and abs(lon) <= 180 for lat, lon in ring):
        raise BadInput(f"{where}: the ring needs at least 3 points (lat, lon) on the earth")


def _check_period(where: str, begins: datetime | None, ends: datetime | None) -> None:
    for name, moment in (("begins", begins), ("ends", ends)):
        if moment is not None:
            _aware(where, name, moment)
    if begins is not None and ends is not None and ends <= begins:
        raise BadInput(f"{where}: ends must be after begins")


def _check_pads(problem: Problem) -> None:
    taken: dict[tuple[str, int], str] = {}
    for vehicle in problem.vehicles:
        if vehicle.type.kind is not VehicleKind.DRONE or vehicle.pad is None:
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
    for vehicle in problem.vehicles:
        if vehicle.type.kind is not VehicleKind.DRONE or vehicle.pad is not None:
            continue
        site = problem.region.site(vehicle.home_site)
        if all((site.site_id, pad) in taken for pad in range(len(site.pads))):
            raise BadInput(f"vehicle {vehicle.vehicle_id}: {site.site_id} has no pad that is not another drone's own")


def _check_resources(problem: Problem) -> None:
    """Battery packs, chargers, pilots' limits, pad times and other operators' intents."""
    for name in ("ready_s", "clear_s"):
        if not 0 <= getattr(problem.pad_times, name) <= _MOST:
            raise BadInput(f"problem: pad_times.{name} must be a number from 0 on")
    _distinct("station", (f"{station.site_id}, {station.type_id}" for station in problem.stations))
    _distinct("pack", (pack.pack_id for station in problem.stations for pack in station.packs))
    for station in problem.stations:
        where = f"station of {station.site_id} for {station.type_id}"
        problem.region.site(station.site_id)
        if station.chargers < 0:
            raise BadInput(f"{where}: chargers must be at least 0, not {station.chargers}")
        for pack in station.packs:
            if not 0 <= pack.health <= 1:
                raise BadInput(f"{where}: pack {pack.pack_id}: health must be from 0 to 1, not {pack.health}")
            if pack.full_from is not None:
                _aware(where, f"full_from of pack {pack.pack_id}", pack.full_from)
    for limit in problem.airborne:
        if limit.most < 0:
            raise BadInput(f"airborne limit of {limit.category}: most must be at least 0, not {limit.most}")
    _distinct("airborne limit of", (limit.category for limit in problem.airborne))
    _distinct("intent", (intent.intent_id for intent in problem.intents))
    for intent in problem.intents:
        where = f"intent {intent.intent_id}"
        _aware(where, "begins", intent.begins)
        _aware(where, "ends", intent.ends)
        if intent.ends < intent.begins or not intent.floor_amsl_m <= intent.ceiling_amsl_m:
            raise BadInput(f"{where}: its end lies before its beginning, or its ceiling under its floor")
        if len(intent.ring) < 3 or not all(abs(lat) < 90 and abs(lon) <= 180 for lat, lon in intent.ring):
            raise BadInput(f"{where}: its ring needs three positions on the earth")


def _check_traffic(problem: Problem) -> None:
    wind, apart = problem.wind, problem.separation
    if not all(abs(part) <= _MOST for part in (wind.east_mps, wind.north_mps, wind.gust_mps)) or wind.gust_mps < 0:
        raise BadInput("problem: wind must be finite numbers, and gust_mps at least 0")
    for name in (field.name for field in fields(Separation)):
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

_DAY_MINUTES = 1_440
_COLDEST = 100.0

_LONGEST_TRACK = timedelta(days=1)
"""No battery lasts so long; traffic is looked at second by second."""

_MAY_BE_ZERO = {
    "idle_power_w",
    "lost_link_s",
    "turnaround_s",
    "service_s",
    "reserve_fraction",
    "hover_power_w",
    "transition_s",
    "compartments",
    "charge_s",
    "rtl_type",
    "max_kerb_m",
}


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
    flies = vehicle_type.built_as in (Airframe.MULTIROTOR, Airframe.VTOL)
    if flies is not drone:
        raise BadInput(f"{where}: airframe {vehicle_type.built_as} is none of a {vehicle_type.kind}")
    if vehicle_type.built_as is Airframe.VTOL and not (vehicle_type.hover_power_w and vehicle_type.transition_s):
        raise BadInput(f"{where}: hover_power_w and transition_s of a VTOL must be more than 0")
    if not set(vehicle_type.temperature_classes) <= set(TEMPERATURE_CLASSES):
        raise BadInput(f"{where}: temperature_classes must be of {', '.join(TEMPERATURE_CLASSES)}")
    points = vehicle_type.capacity_at_c
    if not all(abs(degrees) <= _COLDEST and 0 <= share <= 1 for degrees, share in points) or any(
        b[0] <= a[0] for a, b in itertools.pairwise(points)
    ):
        raise BadInput(f"{where}: capacity_at_c must hold ascending degrees, and shares from 0 to 1")


def _distinct(what: str, ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for one in ids:
        if one in seen:
            raise BadInput(f"problem: {what} id {one!r} is used twice")
        seen.add(one)


def _aware(where: str, name: str, moment: datetime) -> None:
    if moment.utcoffset() is None:
        raise BadInput(f"{where}: {name} needs a time zone")


def _from_zero(where: str, name: str, value: float) -> None:
    if not 0 <= value <= _MOST:
        raise BadInput(f"{where}: {name} must be a number from 0 on, not {value}")


def _share(where: str, name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise BadInput(f"{where}: {name} must be more than 0 and at most 1, not {value}")


def _positive(where: str, name: str, value: float) -> None:
    if not 0 < value <= _MOST:
        raise BadInput(f"{where}: {name} must be a number above 0, not {value}")
