"""Rules about orders: each accounted for once, carried within limits, dropped at its site in its window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from routing.plan import Plan
from routing.problem import Problem
from routing.validate.context import TripContext, trips_of
from routing.validate.violation import Violation
from routing.vehicle_type import VehicleKind

_TOLERANCE = 1e-6


def check_orders(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Yield what is wrong with the orders of a plan."""
    yield from _accounted(problem, plan)
    for context in trips_of(problem, plan):
        yield from _capacity(context)
        for subject, _, leg, _ in context.legs():
            yield from _site(context, subject, leg.to_site)
            for order_id in leg.order_ids:
                order = context.orders[order_id]
                if order.dropoff_site != leg.to_site:
                    yield Violation("order.site", order_id, f"dropped at {leg.to_site} instead of {order.dropoff_site}")
                if order.pickup_site != context.vehicle.home_site:
                    yield Violation(
                        "order.pickup",
                        order_id,
                        f"picked up at {context.vehicle.home_site} instead of {order.pickup_site}",
                    )
                if not order.earliest <= leg.arrive <= order.latest:
                    yield Violation(
                        "order.window",
                        order_id,
                        f"arrives {leg.arrive.isoformat()}, outside {order.earliest.isoformat()} to "
                        f"{order.latest.isoformat()}",
                    )


def _accounted(problem: Problem, plan: Plan) -> Iterator[Violation]:
    known = {order.order_id for order in problem.orders}
    served = Counter(o for route in plan.routes for trip in route.trips for o in trip.order_ids)
    unserved = Counter(entry.order_id for entry in plan.unserved)
    for order_id in sorted((served.keys() | unserved.keys()) - known):
        yield Violation("order.known", order_id, "the order is not in the problem")
    for order_id in sorted(known):
        if served[order_id] > 1:
            yield Violation("order.once", order_id, f"the order is dropped {served[order_id]} times")
        if served[order_id] and unserved[order_id]:
            yield Violation("order.once", order_id, "the order is both served and unserved")
        if not served[order_id] and not unserved[order_id]:
            yield Violation("order.lost", order_id, "the order is neither served nor unserved")
        if unserved[order_id] > 1:
            yield Violation("order.once", order_id, f"the order is unserved {unserved[order_id]} times")
    for entry in plan.unserved:
        if not entry.reason.strip():
            yield Violation("order.reason", entry.order_id, "the order is unserved without a reason")


def _capacity(context: TripContext) -> Iterator[Violation]:
    orders = [context.orders[order_id] for order_id in context.trip.order_ids]
    limits = context.vehicle.type
    mass = sum(order.mass_kg for order in orders)
    volume = sum(order.volume_l for order in orders)
    if mass > limits.payload_kg + _TOLERANCE:
        yield Violation(
            "capacity.mass", context.trip.trip_id, f"carries {mass:.3f} kg of at most {limits.payload_kg:g} kg"
        )
    if volume > limits.payload_l + _TOLERANCE:
        yield Violation(
            "capacity.volume", context.trip.trip_id, f"holds {volume:.3f} L of at most {limits.payload_l:g} L"
        )


def _site(context: TripContext, subject: str, site_id: str) -> Iterator[Violation]:
    site = context.sites[site_id]
    drone = context.vehicle.type.kind is VehicleKind.DRONE
    if not (site.accepts_drone if drone else site.accepts_robot):
        yield Violation("site.accepts", subject, f"{site_id} accepts no {context.vehicle.type.kind}s")
