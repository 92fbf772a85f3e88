"""Rules about energy: worked out again from the paths, with the reserve kept."""

from __future__ import annotations

from collections.abc import Iterator

from routing.energy import movement_wh, service_wh, usable_wh
from routing.plan import Plan
from routing.problem import Problem
from routing.validate.context import trips_of
from routing.validate.motion import movements
from routing.validate.violation import Violation

_TOLERANCE = 0.01
"""Share by which a plan may understate a leg's energy (rounding of altitudes and lengths)."""


def check_energy(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Yield trips that use their reserve, and legs that understate what they use."""
    for context in trips_of(problem, plan):
        kind = context.vehicle.type
        total = 0.0
        departures = [leg.depart for leg in context.trip.legs]
        moved = movements(problem, context) or []
        for number, ((subject, _, leg, payload_kg), movement) in enumerate(zip(context.legs(), moved, strict=False), 1):
            needed = movement_wh(kind, payload_kg, movement)
            if leg.order_ids:
                # Until the next leg departs: a drone that waits longer hovers longer.
                standing_s = max(kind.service_s, (departures[number] - leg.arrive).total_seconds())
                needed += service_wh(kind, payload_kg, standing_s)
            total += needed
            if leg.energy_wh < needed * (1.0 - _TOLERANCE) - 0.01:
                yield Violation(
                    "energy.stated", subject, f"{leg.energy_wh:.1f} Wh is stated, {needed:.1f} Wh is needed"
                )
        if total > usable_wh(kind) + 0.01:
            yield Violation(
                "energy.reserve",
                context.trip.trip_id,
                f"needs {total:.1f} Wh; {usable_wh(kind):.1f} Wh may be used of {kind.battery_wh:g} Wh",
            )
