"""A town's day: from a thousand orders to a plan that has been validated, with every flight deconflicted."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np

from routing.plan import Plan, StopAction
from routing.problem import Problem
from routing.solve import solve
from routing.validate import validate
from routing.vehicle_type import VehicleKind
from tests.benchmarks.figures import Figure
from tests.shared_data import ANDORRA_DEM, ANDORRA_OSM
from tests.town import town

TOTAL_S = 30.0
"""From orders to a validated plan."""

VALIDATE_S = 6.0
"""What of it is kept for the validator."""

DELAY_S = 300.0


def measure() -> list[Figure]:
    """Solve and validate the day, and see by how much trips wait for others."""
    if not (ANDORRA_OSM.is_file() and ANDORRA_DEM.is_file()):
        print("town: the map of Andorra is not beside the working tree")
        return []
    problem = town()
    began = time.monotonic()
    plan = solve(problem, seconds=TOTAL_S - VALIDATE_S)
    solved = time.monotonic()
    broken = validate(problem, plan)
    ended = time.monotonic()
    delays = np.array([0.0, *added_delays_s(problem, plan)])
    return [
        Figure("town: orders to validated plan", ended - began, "s", aim=f"<= {TOTAL_S:g}"),
        Figure("town: of it validation", ended - solved, "s"),
        Figure("town: rules broken", float(len(broken)), "violations", aim="<= 0"),
        Figure("town: orders not served", float(len(plan.unserved)), "orders"),
        Figure("town: drone trips", float(len(delays) - 1), "trips"),
        Figure("town: worst delay by deconfliction", float(delays.max()), "s", aim=f"<= {DELAY_S:g}"),
        Figure("town: delay by deconfliction, mean", float(delays.mean()), "s"),
        Figure("town: delay by deconfliction, 95 %", float(np.percentile(delays, 95)), "s"),
    ]


def added_delays_s(problem: Problem, plan: Plan) -> Iterator[float]:
    """Yield by how much each flight leaves later than its vehicle would if it were alone with the same trips.

    Alone, it leaves as soon as it is ready after the trip before and all windows have opened.
    """
    orders = {order.order_id: order for order in problem.orders}
    vehicles = {vehicle.vehicle_id: vehicle for vehicle in problem.vehicles}
    for route in plan.routes:
        vehicle = vehicles[route.vehicle_id]
        if vehicle.type.kind is not VehicleKind.DRONE:
            continue
        free_s = max(0.0, (vehicle.available_from - problem.start).total_seconds())
        for trip in route.trips:
            opens = [
                (orders[order_id].earliest - problem.start - (leg.arrive - trip.depart)).total_seconds()
                for leg in trip.legs
                if leg.action is StopAction.DROP
                for order_id in leg.order_ids
            ]
            alone_s = max([free_s, *opens])
            yield max(0.0, (trip.depart - problem.start).total_seconds() - alone_s)
            free_s = alone_s + (trip.arrive - trip.depart).total_seconds() + math.ceil(vehicle.type.turnaround_s)
