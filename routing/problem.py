"""The planning problem: what is to be delivered, by what, and within which limits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime

from routing.errors import BadInput
from routing.region.model import Region
from routing.vehicle_type import VehicleKind, VehicleType


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
    """A vehicle at its home site, free from ``available_from`` on; each trip begins on a full battery."""

    vehicle_id: str
    type: VehicleType
    home_site: str
    available_from: datetime


@dataclass(frozen=True, slots=True)
class Problem:
    """Everything that a plan depends on. Equal problems have equal plans for one seed."""

    region: Region
    orders: tuple[OrderRequest, ...]
    vehicles: tuple[FleetVehicle, ...]
    start: datetime
    seed: int = 0
    max_trips_per_vehicle: int = 4


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


_MOST = 1e9
"""Larger figures are slips of units, and would not fit the solver's integers."""

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
