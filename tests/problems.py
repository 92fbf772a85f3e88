"""Planning problems in the sample region, with what a test does not care about filled in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np

from hardware.profiles import load_profile
from routing.problem import FleetVehicle, OrderRequest, Problem
from routing.region.model import Region
from routing.region.sample import village_region
from routing.vehicle_type import VehicleType

START = datetime(2026, 4, 1, 0, 0, tzinfo=UTC)
DRONE = load_profile("multirotor_1kg")
ROBOT = load_profile("sidewalk_robot")
VTOL = load_profile("vtol_5kg")
ROAD_ROBOT = load_profile("road_robot")

village = cache(village_region)


def minutes(count: float) -> datetime:
    """The moment so many minutes after ``START``."""
    return START + timedelta(minutes=count)


def order(
    order_id: str = "a",
    dropoff: str = "drop-5",
    *,
    pickup: str = "hub-1",
    mass_kg: float = 0.5,
    volume_l: float = 2.0,
    earliest: datetime = START,
    latest: datetime | None = None,
    priority: int = 0,
) -> OrderRequest:
    """An order that a drone can serve within two hours, unless told otherwise."""
    return OrderRequest(order_id, pickup, dropoff, mass_kg, volume_l, earliest, latest or minutes(120), priority)


def drone(
    vehicle_id: str = "drone-1", *, free: datetime = START, kind: VehicleType = DRONE, pad: int = 0
) -> FleetVehicle:
    """A drone at the hub."""
    return FleetVehicle(vehicle_id, kind, "hub-1", free, pad)


def robot(vehicle_id: str = "robot-1", *, free: datetime = START, kind: VehicleType = ROBOT) -> FleetVehicle:
    """A robot at the hub."""
    return FleetVehicle(vehicle_id, kind, "hub-1", free)


def problem(
    orders: list[OrderRequest],
    vehicles: list[FleetVehicle] | None = None,
    *,
    region: Region | None = None,
    max_trips: int = 4,
    seed: int = 0,
) -> Problem:
    """A problem that begins at ``START``; with one drone and one robot unless told otherwise."""
    fleet = [drone(), robot()] if vehicles is None else vehicles
    return Problem(region or village(1), tuple(orders), tuple(fleet), START, seed, max_trips)


def random_problem(orders: int, *, seed: int, drones: int = 3, robots: int = 2) -> Problem:
    """Orders all over the village within two hours, each of which some vehicle can carry."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(orders):
        site = int(rng.integers(1, 9))
        light = site > 4 or rng.random() < 0.5
        mass_kg = round(float(rng.uniform(0.2, 0.9) if light else rng.uniform(1.0, 8.0)), 2)
        opens = int(rng.integers(0, 90))
        made.append(
            order(
                f"o{i}",
                f"drop-{site}",
                mass_kg=mass_kg,
                volume_l=round(mass_kg * 3, 1),
                earliest=minutes(opens),
                latest=minutes(opens + int(rng.integers(30, 90))),
                priority=int(rng.integers(0, 3)),
            )
        )
    fleet = [drone(f"drone-{i + 1}", pad=i) for i in range(drones)] + [robot(f"robot-{i + 1}") for i in range(robots)]
    return problem(made, fleet)
