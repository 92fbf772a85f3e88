"""A classic instance as the search sees it, and how its routes are named in ``.sol`` files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from routing.errors import BadInput
from routing.formats.vrp.data import FileVehicle, VrpData
from routing.formats.vrp.rules import Objective, Rounding
from routing.search.model import AT_START, Bools, Floats, Ints, SearchModel, SearchRoute, Visit


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """A file under a rounding rule and an objective.

    ``vehicle_class`` is the class of each vehicle of the file, ``place`` the place (from 0, depots first) that each
    visit of the search model goes to (-1: none), which is its name in ``.sol`` files. ``vehicle_weight`` is what was
    added to the cost of a used vehicle so that their number comes first (0: it does not). Costs are divided by
    ``unit`` where they are printed.
    """

    name: str
    kind: str
    model: SearchModel
    rounding: Rounding
    objective: Objective
    depots: int
    customers: int
    vehicle_class: tuple[int, ...]
    place: tuple[int, ...]
    vehicle_weight: float
    unit: float
    notes: tuple[str, ...] = ()

    def printed(self, cost: float, vehicles: int) -> float:
        """The cost of routes of the model with so many used vehicles, as it is published."""
        return (cost - self.vehicle_weight * vehicles) / self.unit

    def visits(self) -> dict[int, Visit]:
        """The visit of the search model by place."""
        return {place: visit for visit, place in enumerate(self.place) if place >= 0}

    def routes(self, named: Sequence[Sequence[int]]) -> tuple[SearchRoute, ...]:
        """Routes of the model from those of a ``.sol`` file, where the k-th is the k-th vehicle's.

        A depot between places is where a vehicle reloads. Raises ``BadInput`` for a place that is not there and for
        more routes than vehicles.
        """
        visits = self.visits()
        if len(named) > len(self.vehicle_class):
            raise BadInput(f"{len(named)} routes for {len(self.vehicle_class)} vehicles")
        routes = []
        for number, (places, vehicle_class) in enumerate(zip(named, self.vehicle_class, strict=False), 1):
            trips: list[list[Visit]] = [[]]
            for place in places:
                if 0 <= place < self.depots:
                    trips.append([])
                elif place in visits:
                    trips[-1].append(visits[place])
                else:
                    raise BadInput(f"route {number}: there is no place {place}")
            # Published solutions have reloads with nothing after them: no trip.
            if any(trips):
                routes.append(SearchRoute(vehicle_class, tuple(tuple(trip) for trip in trips if trip)))
        return tuple(routes)

    def named(self, routes: Sequence[SearchRoute]) -> list[list[int]]:
        """The opposite of ``routes``: a list for each vehicle, of which the last is used."""
        free = {
            which: [index for index, given in enumerate(self.vehicle_class) if given == which][::-1]
            for which in set(self.vehicle_class)
        }
        places: dict[int, list[int]] = {}
        for route in routes:
            depot = int(self.model.start[route.vehicle_class])
            row: list[int] = []
            for trip in route.trips:
                row += [depot] * bool(row) + [self.place[visit] for visit in trip]
            if row:
                if not free.get(route.vehicle_class):
                    raise BadInput(f"more routes of class {route.vehicle_class} than it has vehicles")
                places[free[route.vehicle_class].pop()] = row
        return [places.get(index, []) for index in range(max(places, default=-1) + 1)]


def build_instance(data: VrpData, rounding: Rounding | None = None, objective: Objective | None = None) -> Instance:
    """Bring what a file says into the search model, rounded."""
    rounding = rounding or data.rounding
    objective = objective or data.objective
    distance = rounding.apply(data.distance)
    classes, vehicle_class = _classes(data.vehicles)
    weight = _vehicle_weight(distance) if objective is Objective.VEHICLES else 0.0
    served = _served(data)
    pickups = [AT_START if pickup < 0 else pickup for pickup, _ in served]
    drops = [drop for _, drop in served]
    windows = rounding.apply(data.windows)
    model = SearchModel(
        **_movements(data, rounding, distance),
        **_requests(data, rounding, pickups, drops, windows, classes),
        **_fleet(data, rounding, classes, vehicle_class, windows, weight),
    )
    return Instance(
        name=data.name,
        kind=data.kind,
        model=model,
        rounding=rounding,
        objective=objective,
        depots=data.depots,
        customers=len(served),
        vehicle_class=vehicle_class,
        place=tuple(place for pair in served for place in pair),
        vehicle_weight=weight,
        unit=1.0 if data.prints_scaled else rounding.scale,
        notes=data.notes,
    )


def with_unit(instance: Instance, unit: float) -> Instance:
    """The same, printed in another unit."""
    return replace(instance, unit=unit)


def _served(data: VrpData) -> list[tuple[int, int]]:
    """Pickup (-1: at the depot) and drop-off places of each request."""
    if data.pairs:
        return list(data.pairs)
    return [(-1, place) for place in range(data.depots, len(data.demand))]


def _classes(vehicles: Sequence[FileVehicle]) -> tuple[list[FileVehicle], tuple[int, ...]]:
    found: dict[FileVehicle, int] = {}
    classes = tuple(found.setdefault(vehicle, len(found)) for vehicle in vehicles)
    return list(found), classes


def _vehicle_weight(distance: Floats) -> float:
    """More than the distance of any sensible routes: there and back for every place on its own."""
    return float(np.ceil(1.01 * (distance[0] + distance[:, 0]).sum()) + 1.0)


def _movements(data: VrpData, rounding: Rounding, distance: Floats) -> dict[str, npt.NDArray[Any]]:
    duration = distance if data.duration_factor == 1.0 else rounding.apply(data.distance * data.duration_factor)
    nothing = np.zeros((1, *distance.shape))
    return {
        "distance": distance[None],
        "duration": duration[None],
        "energy_base": nothing,
        "energy_per_load": nothing,
    }


def _requests(
    data: VrpData,
    rounding: Rounding,
    pickups: list[int],
    drops: list[int],
    windows: Floats,
    classes: list[FileVehicle],
) -> dict[str, npt.NDArray[Any]]:
    pickup, drop = np.array(pickups, dtype=np.int64), np.array(drops, dtype=np.int64)
    service, release = rounding.apply(data.service), rounding.apply(data.release)
    paired = pickup >= 0
    prize = rounding.apply(data.prize[drop])
    loaded = np.where(paired, data.demand[pickup], data.demand[drop])
    return {
        "pickup": pickup,
        "dropoff": drop,
        "load": loaded[:, None],
        "pickup_from": np.where(paired, windows[pickup, 0], 0.0),
        "pickup_to": np.where(paired, windows[pickup, 1], math.inf),
        "pickup_service": np.where(paired, service[pickup], 0.0),
        "drop_from": windows[drop, 0],
        "drop_to": windows[drop, 1],
        "drop_service": service[drop],
        "release": release[drop],
        "due": np.full(len(drop), math.inf),
        "late_cost": np.zeros(len(drop)),
        "prize": np.where(data.prize[drop] == 0.0, math.inf, prize),
        "allowed": _allowed(pickup, drop, classes),
    }


def _allowed(pickup: Ints, drop: Ints, classes: list[FileVehicle]) -> Bools:
    allowed = np.ones((len(drop), len(classes)), dtype=bool)
    for index, vehicle in enumerate(classes):
        if vehicle.allowed is not None:
            places = np.fromiter(vehicle.allowed, dtype=np.int64)
            allowed[:, index] = np.isin(drop, places) & (np.isin(pickup, places) | (pickup < 0))
    return allowed


def _fleet(
    data: VrpData,
    rounding: Rounding,
    classes: list[FileVehicle],
    vehicle_class: tuple[int, ...],
    windows: Floats,
    weight: float,
) -> dict[str, npt.NDArray[Any]]:
    depot = np.array([vehicle.depot for vehicle in classes], dtype=np.int64)
    zeros = np.zeros(len(classes))
    loading = rounding.apply(data.service)[depot]
    return {
        "count": np.bincount(vehicle_class, minlength=len(classes)).astype(np.int64),
        "profile": np.zeros(len(classes), dtype=np.int64),
        "start": depot,
        "end": depot.copy(),
        "capacity": np.array([[vehicle.capacity] for vehicle in classes]),
        "slots": np.zeros(len(classes), dtype=np.int64),
        "shift_from": windows[depot, 0],
        "shift_to": windows[depot, 1],
        "fixed_cost": rounding.apply([vehicle.fixed_cost for vehicle in classes]) + weight,
        "trip_cost": zeros,
        "distance_cost": np.array([vehicle.unit_cost for vehicle in classes]),
        "duration_cost": zeros,
        "max_trips": np.array([vehicle.max_trips for vehicle in classes], dtype=np.int64),
        "first_load_time": loading,
        "reload_time": loading,
        "max_distance": rounding.apply([vehicle.max_distance for vehicle in classes]),
        "max_duration": rounding.apply([vehicle.max_duration for vehicle in classes]),
        "energy_limit": np.full(len(classes), math.inf),
        "may_wait": np.ones(len(classes), dtype=bool),
    }
