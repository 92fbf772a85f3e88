"""Rules about orders: each accounted for once, carried within limits, dropped at its site in its window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from routing.plan import Leg, Plan, StopAction
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
        yield from _temperature(context)
        yield from _fetched(problem, context)
        for subject, _, leg, _ in context.legs():
            yield from _site(context, subject, leg.to_site)
            if leg.action is StopAction.DROP:
                yield from _dropped(context, leg)


def _dropped(context: TripContext, leg: Leg) -> Iterator[Violation]:
    for order in (context.orders[order_id] for order_id in leg.order_ids):
        if order.dropoff_site != leg.to_site:
            yield Violation("order.site", order.order_id, f"dropped at {leg.to_site} instead of {order.dropoff_site}")
        if not order.earliest <= leg.arrive <= order.latest:
            yield Violation(
                "order.window",
                order.order_id,
                f"arrives {leg.arrive.isoformat()}, outside {order.earliest.isoformat()} to {order.latest.isoformat()}",
                size=max((order.earliest - leg.arrive).total_seconds(), (leg.arrive - order.latest).total_seconds()),
                unit="s",
            )


def _fetched(problem: Problem, context: TripContext) -> Iterator[Violation]:
    """Each parcel comes aboard once, where and when it is, before it is dropped on the same trip."""
    home, trip = context.vehicle.home_site, context.trip
    loaded = {order_id: (home, trip.depart) for order_id in trip.order_ids if order_id not in context.fetched}
    dropped: set[str] = set()
    for leg in trip.legs:
        for order_id in leg.order_ids:
            if leg.action is not StopAction.PICKUP:
                dropped.add(order_id)
                continue
            if not problem.policy.away_pickups:
                yield Violation("order.away", order_id, f"picked up at {leg.to_site}; only home sites are allowed")
            if order_id in loaded or order_id in dropped or order_id not in trip.order_ids:
                yield Violation("order.pair", order_id, "not picked up once and dropped after that on the same trip")
            loaded[order_id] = (leg.to_site, leg.arrive)
    for order_id, (site, at) in loaded.items():
        order = context.orders[order_id]
        if order.pickup_site != site:
            yield Violation("order.pickup", order_id, f"picked up at {site} instead of {order.pickup_site}")
        if order.release is not None and at < order.release:
            yield Violation(
                "order.release",
                order_id,
                f"taken at {at.isoformat()}; it is there from {order.release.isoformat()}",
                at=at,
                size=(order.release - at).total_seconds(),
                unit="s",
            )


def _temperature(context: TripContext) -> Iterator[Violation]:
    for order_id in context.trip.order_ids:
        needed = context.orders[order_id].temperature
        if needed not in context.vehicle.type.temperature_classes:
            yield Violation(
                "order.temperature", order_id, f"{needed} goods in {context.vehicle.vehicle_id}, which cannot hold them"
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
    limits, name = context.vehicle.type, context.trip.trip_id
    loads = list(context.aboard())
    mass = max(sum(order.mass_kg for order in aboard) for aboard in loads)
    volume = max(sum(order.volume_l for order in aboard) for aboard in loads)
    count = max(len(aboard) for aboard in loads)
    if mass > limits.payload_kg + _TOLERANCE:
        over = mass - limits.payload_kg
        text = f"carries {mass:.3f} kg of at most {limits.payload_kg:g} kg"
        yield Violation("capacity.mass", name, text, size=over, unit="kg")
    if volume > limits.payload_l + _TOLERANCE:
        over = volume - limits.payload_l
        text = f"holds {volume:.3f} L of at most {limits.payload_l:g} L"
        yield Violation("capacity.volume", name, text, size=over, unit="L")
    if limits.compartments and count > limits.compartments:
        over = float(count - limits.compartments)
        text = f"{count} orders aboard at once in {limits.compartments} compartments"
        yield Violation("capacity.compartments", name, text, size=over, unit="orders")


def _site(context: TripContext, subject: str, site_id: str) -> Iterator[Violation]:
    site = context.sites[site_id]
    drone = context.vehicle.type.kind is VehicleKind.DRONE
    if not (site.accepts_drone if drone else site.accepts_robot):
        yield Violation("site.accepts", subject, f"{site_id} accepts no {context.vehicle.type.kind}s")
