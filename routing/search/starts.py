"""Routes from outside: whether they can be read at all, and as numbers for compiled code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from routing.errors import BadInput
from routing.search.change import TRIP_END, VEHICLE_END
from routing.search.model import AT_START, SearchModel, SearchRoute


def check_routes(model: SearchModel, routes: Sequence[SearchRoute]) -> None:
    """Raise ``BadInput`` for routes with unknown classes or visits, visits made twice, or half requests."""
    seen: set[int] = set()
    for number, route in enumerate(routes):
        where = f"routes[{number}]"
        if not 0 <= route.vehicle_class < len(model.count):
            raise BadInput(f"{where}: there is no class {route.vehicle_class}")
        for trip in route.trips:
            aboard: set[int] = set()
            for visit in trip:
                request = visit >> 1
                if not 0 <= request < len(model.dropoff):
                    raise BadInput(f"{where}: there is no visit {visit}")
                if visit in seen:
                    raise BadInput(f"{where}: visit {visit} is made twice")
                seen.add(visit)
                loaded = model.pickup[request] == AT_START
                if visit & 1 == 0:
                    if loaded:
                        raise BadInput(f"{where}: request {request} has no pickup place, but visit {visit} is there")
                    aboard.add(request)
                elif not loaded:
                    if request not in aboard:
                        raise BadInput(f"{where}: request {request} is dropped before it is picked up in its trip")
                    aboard.discard(request)
            if aboard:
                raise BadInput(f"{where}: request {min(aboard)} is picked up and not dropped in the same trip")


def encoded(routes: Sequence[SearchRoute]) -> Any:
    """Checked routes as ``anneal.save`` writes them."""
    numbers = [0]
    for route in routes:
        numbers.append(route.vehicle_class)
        for trip in route.trips:
            if trip:
                numbers += [*trip, TRIP_END]
        numbers.append(VEHICLE_END)
    numbers[0] = len(numbers) - 1
    return np.array(numbers, dtype=np.int32)


def decoded(numbers: Any) -> tuple[SearchRoute, ...]:
    """The routes that ``anneal.save`` wrote."""
    routes: list[SearchRoute] = []
    trips: list[tuple[int, ...]] = []
    trip: list[int] = []
    vehicle_class = None
    for number in numbers[1 : 1 + numbers[0]].tolist():
        if vehicle_class is None:
            vehicle_class = number
        elif number == TRIP_END:
            trips.append(tuple(trip))
            trip = []
        elif number == VEHICLE_END:
            routes.append(SearchRoute(vehicle_class, tuple(trips)))
            trips, vehicle_class = [], None
        else:
            trip.append(number)
    return tuple(routes)
