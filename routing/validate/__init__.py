"""The independent validator: nothing is dispatched that it has not passed.

It knows the problem, the plan and the rules, and nothing of how plans are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from routing.plan import Plan
from routing.problem import Problem
from routing.problem_check import check_problem
from routing.validate.airborne import check_airborne, check_lanes
from routing.validate.contingency import check_contingency
from routing.validate.energy import check_energy
from routing.validate.form import check_form
from routing.validate.ground import check_ground
from routing.validate.intents import check_intents
from routing.validate.locate import located
from routing.validate.orders import check_orders
from routing.validate.pads import check_pads
from routing.validate.paths import check_paths
from routing.validate.separation import check_separation
from routing.validate.stations import check_stations
from routing.validate.times import check_times
from routing.validate.violation import Violation
from routing.validate.zones import check_zones

__all__ = ["RULES", "Check", "Violation", "validate"]

Check = Callable[[Problem, Plan], Iterable[Violation]]

RULES: dict[str, Check] = {
    "form.route": check_form,
    "form.trip": check_form,
    "form.vehicle": check_form,
    "form.home": check_form,
    "form.trips": check_form,
    "form.legs": check_form,
    "form.drop": check_form,
    "form.site": check_form,
    "form.pad": check_form,
    "form.time": check_form,
    "form.path": check_form,
    "form.number": check_form,
    "order.known": check_orders,
    "order.lost": check_orders,
    "order.once": check_orders,
    "order.reason": check_orders,
    "order.pickup": check_orders,
    "order.away": check_orders,
    "order.pair": check_orders,
    "order.release": check_orders,
    "order.site": check_orders,
    "order.window": check_orders,
    "order.temperature": check_orders,
    "site.accepts": check_orders,
    "capacity.mass": check_orders,
    "capacity.volume": check_orders,
    "capacity.compartments": check_orders,
    "time.start": check_times,
    "time.shift": check_times,
    "time.turnaround": check_times,
    "time.order": check_times,
    "time.service": check_times,
    "speed.limit": check_times,
    "speed.time": check_times,
    "path.ends": check_paths,
    "path.distance": check_paths,
    "drone.path": check_paths,
    "drone.wind": check_paths,
    "drone.clearance": check_paths,
    "drone.ceiling": check_paths,
    "drone.obstacle": check_paths,
    "drone.zone": check_zones,
    "drone.permit": check_zones,
    "drone.lane": check_zones,
    "drone.radio": check_zones,
    "drone.ground_risk": check_zones,
    "robot.network": check_ground,
    "robot.way": check_ground,
    "robot.one_way": check_ground,
    "robot.width": check_ground,
    "robot.kerb": check_ground,
    "robot.slope": check_ground,
    "robot.area": check_ground,
    "energy.stated": check_energy,
    "energy.reserve": check_energy,
    "pad.taken": check_paths,
    "pad.column": check_pads,
    "pad.own": check_pads,
    "pad.shared": check_pads,
    "drop.shared": check_pads,
    "separation": check_separation,
    "intent": check_intents,
    "airborne.limit": check_airborne,
    "lane.capacity": check_lanes,
    "pack.known": check_stations,
    "pack.shared": check_stations,
    "pack.charged": check_stations,
    "contingency.path": check_contingency,
    "contingency.energy": check_contingency,
    "contingency.landing": check_contingency,
    "contingency.separation": check_contingency,
}
"""Every rule by its name, and the function that checks it. What a function says of a rule that is another's in this
table is passed over; tests take a rule away like that, to show that nothing else would notice."""

_FIRST = (check_form, check_paths)


def validate(problem: Problem, plan: Plan) -> tuple[Violation, ...]:
    """Return every rule that the plan breaks; empty when it may be dispatched.

    A plan whose form is broken (unknown vehicle or site, a number that is none) is judged by its form alone.
    Raises ``BadInput`` when the problem contradicts itself or its zones are malformed.
    """
    check_problem(problem)
    form = _broken(check_form, problem, plan)
    if form:
        return tuple(located(plan, form))
    found = _broken(check_paths, problem, plan)
    if any(violation.rule == "drone.path" for violation in found):
        # Nobody flies that far: where it would be at each moment is not worth knowing.
        return tuple(located(plan, found))
    for check in dict.fromkeys(RULES.values()):
        if check not in _FIRST:
            found += _broken(check, problem, plan)
    return tuple(located(plan, found))


def _broken(check: Check, problem: Problem, plan: Plan) -> list[Violation]:
    return [found for found in check(problem, plan) if RULES.get(found.rule, check) is check]
