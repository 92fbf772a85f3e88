"""Who, when and where a violation is about, by the name of its subject."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from routing.geo import Position
from routing.plan import Plan, StopAction
from routing.validate.violation import Violation


@dataclass(frozen=True, slots=True)
class _Subject:
    vehicle_id: str
    at: datetime | None = None
    place: Position | None = None


def located(plan: Plan, violations: Iterable[Violation]) -> Iterator[Violation]:
    """Yield the violations with vehicle, time and place of their subject, where the rule has not said them."""
    found = list(violations)
    subjects = _subjects(plan) if found else {}
    for violation in found:
        subject = subjects.get(violation.subject)
        if subject is None:
            yield violation
            continue
        yield replace(
            violation,
            vehicle_id=violation.vehicle_id or subject.vehicle_id,
            at=violation.at or subject.at,
            place=violation.place or subject.place,
        )


def _subjects(plan: Plan) -> dict[str, _Subject]:
    """Whatever a name means; where an order is called like a trip or a leg, it means these."""
    vehicles, orders, trips = {}, {}, {}
    for route in plan.routes:
        vehicles[route.vehicle_id] = _Subject(route.vehicle_id)
        for trip in (trip for trip in route.trips if trip.legs):
            first = trip.legs[0]
            trips[trip.trip_id] = _Subject(route.vehicle_id, first.depart, first.path[0] if first.path else None)
            for number, leg in enumerate(trip.legs, start=1):
                end = leg.path[-1] if leg.path else None
                trips[f"{trip.trip_id}/{number}"] = _Subject(route.vehicle_id, leg.depart, end)
                for order_id in leg.order_ids:
                    if leg.action is StopAction.DROP or order_id not in orders:
                        orders[order_id] = _Subject(route.vehicle_id, leg.arrive, end)
    return vehicles | orders | trips
