"""One more order into a running plan of a town: how long until it has a place that is exactly checked."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import numpy as np

from routing.problem import OrderRequest
from routing.running import Placed, RunningPlan, remaining
from routing.solve import solve
from routing.validate import validate
from tests.benchmarks.figures import Figure
from tests.problems import START
from tests.shared_data import ANDORRA_DEM, ANDORRA_OSM
from tests.town import town

ORDERS, MORE = 1_000, 100
SOLVE_S = 25.0
NOW = START + timedelta(hours=2)


def measure() -> list[Figure]:
    """Plan the town's day without some orders; two hours into it, insert them one by one."""
    if not (ANDORRA_OSM.is_file() and ANDORRA_DEM.is_file()):
        print("insertion: the map of Andorra is not beside the working tree")
        return []
    everything = town(ORDERS + 3 * MORE)
    made = replace(everything, orders=everything.orders[:ORDERS])
    plan = solve(made, seconds=SOLVE_S)
    begun = time.perf_counter()
    running = RunningPlan(remaining(made, plan, NOW), plan)
    running.prepare()
    ready_s = time.perf_counter() - begun
    took_ms, placed = [], 0
    for order in _still_possible(everything.orders[ORDERS:])[:MORE]:
        begun = time.perf_counter()
        placed += isinstance(running.insert(order), Placed)
        took_ms.append(1_000.0 * (time.perf_counter() - begun))
    violations = validate(running.problem, running.plan())
    if violations:
        raise AssertionError(f"the plan with {placed} more orders breaks {len(violations)} rules: {violations[0]}")
    return [
        Figure("insert one order, 95th percentile", float(np.percentile(took_ms, 95)), "ms", aim="<= 200"),
        Figure("insert one order, median", float(np.median(took_ms)), "ms"),
        Figure("insert one order, share placed", placed / len(took_ms), "of 1"),
        Figure("make a running plan ready for insertions", ready_s, "s"),
    ]


def _still_possible(orders: tuple[OrderRequest, ...]) -> list[OrderRequest]:
    """Those whose window leaves an hour."""
    return [order for order in orders if order.latest > NOW + timedelta(hours=1)]
