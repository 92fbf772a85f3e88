"""Routes of many solutions put together anew: the cheapest choice that serves each request once, by CP-SAT.

Set partitioning over the routes that local search has met (Rochat & Taillard 1995; Subramanian et al. 2012): good
routes often stand in solutions whose other routes are bad.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from routing.search.model import SearchModel, SearchRoute

MOST_ROUTES = 6_000
"""Routes that are kept, those of the better solutions first; more make the choice slow rather than better."""

_UNITS = 1e9
"""Costs become whole numbers, the greatest about this large: CP-SAT's sums stay far from 64 bits."""

_Key = tuple[int, frozenset[int]]


@dataclass(slots=True)
class Pool:
    """Routes with their costs: of those that serve the same requests with the same class, the cheapest."""

    routes: dict[_Key, tuple[float, SearchRoute]] = field(default_factory=dict)

    def add(self, routes: Iterable[tuple[SearchRoute, float]]) -> None:
        """Keep the routes of a solution, each with its cost."""
        for route, cost in routes:
            key = (route.vehicle_class, frozenset(visit >> 1 for trip in route.trips for visit in trip))
            known = self.routes.get(key)
            if known is None or cost < known[0]:
                # Met again or made cheaper: it is young again, and the old go first.
                self.routes.pop(key, None)
                self.routes[key] = (cost, route)
        while len(self.routes) > MOST_ROUTES:
            del self.routes[next(iter(self.routes))]

    def best(
        self, model: SearchModel, below: float, *, seconds: float | None, seed: int, workers: int
    ) -> tuple[SearchRoute, ...] | None:
        """Return routes that together cost less than ``below``, or ``None`` where none are found.

        ``seconds``: no longer than this; ``None``: for a fixed amount of work, with the same result each time.
        """
        from ortools.sat.python import cp_model  # takes a while to load, which small problems need not

        keys, costs = list(self.routes), [cost for cost, _ in self.routes.values()]
        prizes = model.prize.tolist()
        scale = _UNITS / max(1.0, *costs, *(prize for prize in prizes if math.isfinite(prize)))
        chooser = cp_model.CpModel()
        chosen = [chooser.new_bool_var("") for _ in keys]
        serving: list[list[Any]] = [[] for _ in prizes]
        of_class: list[list[Any]] = [[] for _ in model.count]
        for literal, (vehicle_class, requests) in zip(chosen, keys, strict=True):
            of_class[vehicle_class].append(literal)
            for request in requests:
                serving[request].append(literal)
        total = [round(cost * scale) * literal for cost, literal in zip(costs, chosen, strict=True)]
        for literals, prize in zip(serving, prizes, strict=True):
            if math.isfinite(prize):
                left_out = chooser.new_bool_var("")
                literals.append(left_out)
                total.append(round(prize * scale) * left_out)
            chooser.add_exactly_one(literals)
        for literals, count in zip(of_class, model.count.tolist(), strict=True):
            if len(literals) > count:
                chooser.add(sum(literals) <= count)
        chooser.add(sum(total) <= math.floor(below * scale) - 1)
        chooser.minimize(sum(total))
        solver = cp_model.CpSolver()
        solver.parameters.random_seed = seed % 2**31
        solver.parameters.linearization_level = 2
        if seconds is None:
            solver.parameters.num_workers = 1
            solver.parameters.max_deterministic_time = 1.0
        else:
            solver.parameters.num_workers = workers
            solver.parameters.max_time_in_seconds = seconds
        if solver.solve(chooser) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return None
        routes = list(self.routes.values())
        return tuple(route for (_, route), literal in zip(routes, chosen, strict=True) if solver.boolean_value(literal))
