"""The vehicles of a VRPLIB file: specifications for all, or a section with a row each (PyVRP's dialect)."""

from __future__ import annotations

import math

from routing.errors import BadInput
from routing.formats.vrp.data import MAX_PLACES, FileVehicle
from routing.formats.vrp.sections import Sections


def read_vehicles(sections: Sections, dimension: int, depots: int) -> tuple[FileVehicle, ...]:
    """Read every vehicle; where their number is not given there is one for each customer."""
    count = sections.whole("VEHICLES", least=1, most=4 * MAX_PLACES, default=max(1, dimension - depots))
    capacity = sections.by_vehicle("CAPACITY", count, math.inf)
    depot = _depots(sections, count, depots)
    fixed_cost = sections.by_vehicle("VEHICLES_FIXED_COST", count, 0.0)
    unit_cost = sections.by_vehicle("VEHICLES_UNIT_DISTANCE_COST", count, 1.0)
    max_distance = sections.by_vehicle("VEHICLES_MAX_DISTANCE", count, math.inf)
    max_duration = _max_duration(sections, count)
    trips = _max_trips(sections, count, dimension, depots)
    allowed = sections.lists("VEHICLES_ALLOWED_CLIENTS", count, dimension)
    return tuple(
        FileVehicle(
            capacity=float(capacity[index]),
            depot=depot[index],
            fixed_cost=float(fixed_cost[index]),
            unit_cost=float(unit_cost[index]),
            max_distance=float(max_distance[index]),
            max_duration=max_duration[index],
            max_trips=trips[index],
            allowed=None if allowed is None else frozenset(place - 1 for place in allowed[index]),
        )
        for index in range(count)
    )


def _depots(sections: Sections, count: int, depots: int) -> list[int]:
    given = sections.lists("VEHICLES_DEPOT", count, depots)
    if given is None:
        return [0] * count
    if any(len(row) != 1 for row in given):
        raise BadInput(f"{sections.where}: VEHICLES_DEPOT_SECTION: each vehicle has one depot")
    return [row[0] - 1 for row in given]


def _max_duration(sections: Sections, count: int) -> list[float]:
    """``DISTANCE`` is how CVRPLIB bounds a route, service included (Christofides, Mingozzi and Toth 1979)."""
    if "DISTANCE" in sections.specifications:
        return [sections.number("DISTANCE", math.inf, least=0.0)] * count
    return [float(value) for value in sections.by_vehicle("VEHICLES_MAX_DURATION", count, math.inf)]


def _max_trips(sections: Sections, count: int, dimension: int, depots: int) -> list[int]:
    """Trips are possible where a vehicle may reload, which is at its own depot in all published files."""
    reload_depots = sections.lists("VEHICLES_RELOAD_DEPOT", count, depots)
    if reload_depots is None:
        return [1] * count
    homes = _depots(sections, count, depots)
    if any(set(row) - {home + 1} for row, home in zip(reload_depots, homes, strict=True)):
        raise BadInput(
            f"{sections.where}: VEHICLES_RELOAD_DEPOT_SECTION: a vehicle that reloads elsewhere than at its own depot "
            "is not supported"
        )
    reloads = sections.by_vehicle("VEHICLES_MAX_RELOADS", count, dimension)
    return [int(reloads[index]) + 1 if row else 1 for index, row in enumerate(reload_depots)]
