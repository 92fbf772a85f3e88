"""Rules about energy: worked out again from the paths, with the reserve kept."""

from __future__ import annotations

from collections.abc import Iterator

from routing.energy import movement_wh, service_wh, usable_wh
from routing.plan import Plan, StopAction
from routing.problem import Problem, Station
from routing.validate.context import TripContext, trips_of
from routing.validate.motion import movements
from routing.validate.violation import Violation

_TOLERANCE = 0.01
"""Share by which a plan may understate a leg's energy (rounding of altitudes and lengths)."""

_ROUNDING_WH = 0.01
_ROUNDING_S = 1.0
"""Plans are made in whole seconds: so much of a leg may be left when its movement is over."""


def check_energy(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Yield trips that use their reserve, and legs that understate what they use."""
    for context in trips_of(problem, plan):
        needed = leg_energies(problem, context)
        for (subject, _, leg, _), leg_wh in zip(context.legs(), needed, strict=False):
            if leg.energy_wh < leg_wh * (1.0 - _TOLERANCE) - _ROUNDING_WH:
                yield Violation(
                    "energy.stated",
                    subject,
                    f"{leg.energy_wh:.1f} Wh is stated, {leg_wh:.1f} Wh is needed",
                    size=leg_wh - leg.energy_wh,
                    unit="Wh",
                )
        total, limit = sum(needed), usable_of(problem, context)
        if total > limit + _ROUNDING_WH:
            last, full = context.trip.legs[-1], context.vehicle.type.battery_wh
            yield Violation(
                "energy.reserve",
                context.trip.trip_id,
                f"needs {total:.1f} Wh; {limit:.1f} Wh may be used of {full:g} Wh "
                f"({_pack_health(problem, context):.0%} health, {problem.temperature_c:g} degrees)",
                at=last.arrive,
                place=last.path[-1],
                size=total - limit,
                unit="Wh",
            )


def leg_energies(problem: Problem, context: TripContext) -> list[float]:
    """What each leg takes in Wh, with the stop at its end; empty where the wind lets none be flown.

    A drone that arrives later than its movement takes, or leaves later than its service, hovers meanwhile, and a
    robot stands. The way home is reckoned with the wind at gust strength (``routing.energy``).
    """
    kind, wind = context.vehicle.type, problem.wind
    departures = [leg.depart for leg in context.trip.legs]
    needed = []
    moved = movements(problem, context) or []
    for number, ((_, _, leg, payload_kg), movement) in enumerate(zip(context.legs(), moved, strict=False), 1):
        home = leg.action is StopAction.HOME
        late_s = (leg.arrive - leg.depart).total_seconds() - movement.duration_s
        standing_s = late_s if late_s > _ROUNDING_S else 0.0
        if number < len(departures):
            standing_s += max(context.service_s(leg), (departures[number] - leg.arrive).total_seconds())
        needed.append(
            movement_wh(kind, payload_kg, movement, in_gusts=home) + service_wh(kind, payload_kg, standing_s, wind=wind)
        )
    return needed


def usable_of(problem: Problem, context: TripContext) -> float:
    """What a trip may have used at touchdown, in Wh: of its own pack, at the temperature of the problem, less the
    reserve. What is used up to a moment and the way out of a contingency from there must be no more either."""
    return usable_wh(
        context.vehicle.type,
        health=_pack_health(problem, context),
        temperature_c=problem.temperature_c,
        reserve_fraction=problem.policy.reserve_fraction,
    )


def _station(problem: Problem, context: TripContext) -> Station | None:
    home, type_id = context.vehicle.home_site, context.vehicle.type.type_id
    found = (station for station in problem.stations if (station.site_id, station.type_id) == (home, type_id))
    return next(found, None)


def _pack_health(problem: Problem, context: TripContext) -> float:
    """That of the trip's pack; where its home has no station, of the vehicle's packs."""
    station = _station(problem, context)
    packs = station.packs if station else ()
    named = (pack.health for pack in packs if pack.pack_id == context.trip.pack_id)
    return next(named, context.vehicle.battery_health)
