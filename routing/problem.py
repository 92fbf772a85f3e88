"""The planning problem: what is to be delivered, by what, and within which limits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from routing.region.model import Region
from routing.vehicle_type import VehicleType


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
    """A vehicle at its home site, free from ``available_from`` on, with ``battery_wh`` usable then."""

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
