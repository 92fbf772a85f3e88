"""OR-Tools on a plan that exists: each possible trip of a vehicle is a vehicle of the routing model.

The model is a relaxation of the exact one in ``trips``: each leg's energy counts only the parcels dropped at
its end. What it proposes is checked and repaired by the caller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ortools.constraint_solver import pywrapcp, routing_enums_pb2

from routing.energy import movement_wh, service_wh, usable_wh
from routing.errors import NoWay
from routing.problem import FleetVehicle
from routing.travel import Stop
from routing.trips import DELAY_WEIGHT, HORIZON_S, Tour, TripBook, drop_penalty_s
from routing.vehicle_type import VehicleType

SMALL = 30
"""Up to so many orders a search ends after ``SOLUTIONS`` or ``FAILURES``, beyond in proportion.

By counts and not by time, so that a plan does not depend on how busy the machine is. On random problems of 8 to
30 orders the cost was then within 2 % of that after ten seconds of search."""

SOLUTIONS = 60
FAILURES = 4_000

# OR-Tools counts in integers: costs in tenths of a second, loads in grams and millilitres, energy in mWh.
_COST = round(1 / DELAY_WEIGHT)
_MILLI = 1000

_Matrix = list[list[int]]


def improve(
    book: TripBook,
    tours: tuple[Tour, ...],
    allowed: dict[str, list[int]],
    *,
    seconds: float,
    seed: int,
) -> tuple[Tour, ...]:
    """Return tours at no more cost than those given, in the relaxed model.

    ``allowed`` holds for each order that takes part the indices of the vehicles that may serve it. The search
    ends after a count of solutions or failed moves that grows with the number of orders, or after ``seconds``.
    """
    model = _Model(book, allowed)
    model.restrict(allowed)
    model.solver.ReSeed(seed % 2**31)
    return model.search(tours, seconds=seconds)


@dataclass(frozen=True, slots=True)
class _Slot:
    """One possible trip of a vehicle."""

    vehicle: int
    ordinal: int


class _Model:
    """Nodes are the home sites and then the orders; vehicles of the model are slots."""

    def __init__(self, book: TripBook, allowed: dict[str, list[int]]) -> None:
        order_ids = list(allowed)
        self._book = book
        self._order_ids = order_ids
        self._allowed = {order_id: frozenset(vehicles) for order_id, vehicles in allowed.items()}
        self._vehicles = book.problem.vehicles
        self._homes = sorted({vehicle.home_site for vehicle in self._vehicles})
        trips = min(book.problem.max_trips_per_vehicle, len(order_ids))
        self._slots = [_Slot(v, n) for v in range(len(self._vehicles)) for n in range(trips)]
        starts = [self._homes.index(self._of(slot).home_site) for slot in self._slots]
        nodes = len(self._homes) + len(order_ids)
        self._index = pywrapcp.RoutingIndexManager(nodes, len(self._slots), starts, starts)
        self._routing = pywrapcp.RoutingModel(self._index)
        self.solver: Any = self._routing.solver()
        self._turnarounds = [math.ceil(self._of(slot).type.turnaround_s) for slot in self._slots]
        # Room for a late last trip and for the turnarounds after it.
        self._horizon = HORIZON_S + 7 * 86_400 + sum(self._turnarounds)
        self._add_loads()
        self._add_energy()
        self._add_time()
        for order_id in order_ids:
            penalty = drop_penalty_s(book.orders[order_id]) * _COST
            self._routing.AddDisjunction([self._order_index(order_id)], penalty)

    def restrict(self, allowed: dict[str, list[int]]) -> None:
        """Let each order ride on the slots of its vehicles only."""
        for order_id, vehicles in allowed.items():
            slots = [i for i, slot in enumerate(self._slots) if slot.vehicle in vehicles]
            # -1 is "unserved". (SetAllowedVehiclesForIndex takes no Python list in OR-Tools 9.15.)
            self._routing.VehicleVar(self._order_index(order_id)).SetValues([-1, *slots])

    def search(self, tours: tuple[Tour, ...], *, seconds: float) -> tuple[Tour, ...]:
        parameters = pywrapcp.DefaultRoutingSearchParameters()
        count = len(self._order_ids)
        metaheuristics = routing_enums_pb2.LocalSearchMetaheuristic
        # A few orders have no local optimum worth escaping from; descent ends by itself.
        parameters.local_search_metaheuristic = (
            metaheuristics.GREEDY_DESCENT if count <= 3 else metaheuristics.GUIDED_LOCAL_SEARCH
        )
        work = max(1.0, count / SMALL)
        parameters.solution_limit = round(SOLUTIONS * work)
        parameters.time_limit.FromMilliseconds(max(1, round(seconds * 1000)))
        self._routing.AddSearchMonitor(self.solver.FailuresLimit(round(FAILURES * work)))
        self._routing.CloseModelWithParameters(parameters)
        routes = [self._as_indices(tours, slot) for slot in self._slots]
        start = self._routing.ReadAssignmentFromRoutes(routes, True)
        if start is None:
            return tours
        found = self._routing.SolveFromAssignmentWithParameters(start, parameters)
        return tours if found is None else self._as_tours(found)

    def _of(self, slot: _Slot) -> FleetVehicle:
        return self._vehicles[slot.vehicle]

    def _order_index(self, order_id: str) -> int:
        return int(self._index.NodeToIndex(len(self._homes) + self._order_ids.index(order_id)))

    def _as_indices(self, tours: tuple[Tour, ...], slot: _Slot) -> list[int]:
        tour = tours[slot.vehicle]
        order_ids = tour[slot.ordinal] if slot.ordinal < len(tour) else ()
        return [self._order_index(order_id) for order_id in order_ids]

    def _as_tours(self, assignment: Any) -> tuple[Tour, ...]:
        tours: list[list[tuple[str, ...]]] = [[] for _ in self._vehicles]
        for i, slot in enumerate(self._slots):
            trip = []
            index = assignment.Value(self._routing.NextVar(self._routing.Start(i)))
            while not self._routing.IsEnd(index):
                trip.append(self._order_ids[self._index.IndexToNode(index) - len(self._homes)])
                index = assignment.Value(self._routing.NextVar(index))
            if trip:
                tours[slot.vehicle].append(tuple(trip))
        return tuple(tuple(tour) for tour in tours)

    def _order(self, node: int) -> str | None:
        """The order of a node, ``None`` for a home site."""
        return self._order_ids[node - len(self._homes)] if node >= len(self._homes) else None

    def _matrices(self, vehicle_type: VehicleType) -> tuple[_Matrix, _Matrix]:
        """Seconds from arrival at a node to arrival at another, and the least energy of it."""
        nodes = range(len(self._homes) + len(self._order_ids))
        pairs = [[self._transit(vehicle_type, a, b) for b in nodes] for a in nodes]
        return [[time for time, _ in row] for row in pairs], [[energy for _, energy in row] for row in pairs]

    def _transit(self, vehicle_type: VehicleType, a: int, b: int) -> tuple[int, int]:
        order_a, order_b = self._order(a), self._order(b)
        start, end = self._stop(vehicle_type, a, b), self._stop(vehicle_type, b, a)
        if start is None or end is None or not self._together(vehicle_type, order_a, order_b):
            return self._horizon + 1, 0
        if start == end:
            return 0, 0
        try:
            way = self._book.travel.way(vehicle_type, start, end)
        except NoWay:
            return self._horizon + 1, 0
        service = vehicle_type.service_s
        mass_kg = 0.0 if order_b is None else self._book.orders[order_b].mass_kg
        energy = movement_wh(vehicle_type, mass_kg, way.movement)
        energy += 0.0 if order_b is None else service_wh(vehicle_type, mass_kg, service)
        return way.seconds + (0 if order_a is None else math.ceil(service)), math.floor(energy * _MILLI)

    def _stop(self, vehicle_type: VehicleType, node: int, other: int) -> Stop | None:
        """Where a node is, for a vehicle of the type; ``None`` where none of them goes."""
        order_id, other_id = self._order(node), self._order(other)
        if order_id is not None:
            return self._book.drop(vehicle_type, self._book.orders[order_id].dropoff_site)
        # The pads of one site differ by some metres: any vehicle of the type stands for all.
        based = [v for v in self._vehicles if v.type == vehicle_type and v.home_site == self._homes[node]]
        if not based or (other_id is not None and self._book.orders[other_id].pickup_site != self._homes[node]):
            return None
        return self._book.home(based[0])

    def _together(self, vehicle_type: VehicleType, a: str | None, b: str | None) -> bool:
        """Whether one trip of a vehicle of the type may hold both orders."""
        vehicles = [i for i, v in enumerate(self._vehicles) if v.type == vehicle_type]
        for order_id in (a, b):
            if order_id is not None:
                vehicles = [i for i in vehicles if i in self._allowed[order_id]]
        both = {order_id for order_id in (a, b) if order_id is not None}
        return bool(vehicles) and self._book.fits(vehicle_type, both)

    def _add_loads(self) -> None:
        homes = [0] * len(self._homes)
        orders = [self._book.orders[order_id] for order_id in self._order_ids]
        loads = (
            ("mass", [o.mass_kg for o in orders], [self._of(s).type.payload_kg for s in self._slots]),
            ("volume", [o.volume_l for o in orders], [self._of(s).type.payload_l for s in self._slots]),
        )
        for name, sizes, limits in loads:
            demands = homes + [math.floor(size * _MILLI + 1e-6) for size in sizes]
            unary = self._routing.RegisterUnaryTransitVector(demands)
            room = [math.ceil(limit * _MILLI) for limit in limits]
            self._routing.AddDimensionWithVehicleCapacity(unary, 0, room, True, name)

    def _add_energy(self) -> None:
        per_type = {v.type: self._matrices(v.type) for v in self._vehicles}
        register = self._routing.RegisterTransitMatrix
        times = {kind: register(matrices[0]) for kind, matrices in per_type.items()}
        energies = {kind: register(matrices[1]) for kind, matrices in per_type.items()}
        costs = {
            kind: register([[cost * _COST for cost in row] for row in matrices[0]])
            for kind, matrices in per_type.items()
        }
        types = [self._of(slot).type for slot in self._slots]
        self._times = [times[kind] for kind in types]
        usable = [math.ceil(usable_wh(kind) * _MILLI) for kind in types]
        self._routing.AddDimensionWithVehicleTransitAndCapacity(
            [energies[kind] for kind in types], 0, usable, True, "energy"
        )
        for i, kind in enumerate(types):
            self._routing.SetArcCostEvaluatorOfVehicle(costs[kind], i)
            self._routing.SetFixedCostOfVehicle(math.ceil(kind.turnaround_s) * _COST, i)

    def _add_time(self) -> None:
        """Windows at the drops, no waiting on the way, and trips of a vehicle one after another."""
        book = self._book
        windows = {order_id: book.window_s(order_id) for order_id in self._order_ids}
        self._routing.AddDimensionWithVehicleTransits(self._times, 0, self._horizon, False, "time")
        time = self._routing.GetDimensionOrDie("time")
        for order_id, (earliest, latest) in windows.items():
            index = self._order_index(order_id)
            soonest = max(0, earliest)
            time.CumulVar(index).SetRange(soonest, latest)
            time.SetCumulVarSoftUpperBound(index, soonest, 1)
        for i, slot in enumerate(self._slots):
            start = time.CumulVar(self._routing.Start(i))
            start.SetMin(min(HORIZON_S, book.ready_s(self._of(slot))))
            self._routing.AddVariableMinimizedByFinalizer(start)
            if slot.ordinal:
                before = time.CumulVar(self._routing.End(i - 1))
                used = self._routing.ActiveVehicleVar(i - 1)
                self.solver.Add(start >= before + used * self._turnarounds[i - 1])
