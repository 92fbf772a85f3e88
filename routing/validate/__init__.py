"""The independent validator: nothing is dispatched that it has not passed.

It knows the problem, the plan and the rules, and nothing of how plans are made.
"""

from __future__ import annotations

from routing.plan import Plan
from routing.problem import Problem, check_problem
from routing.validate.energy import check_energy
from routing.validate.form import check_form
from routing.validate.orders import check_orders
from routing.validate.pads import check_pads
from routing.validate.paths import check_paths
from routing.validate.separation import check_separation
from routing.validate.times import check_times
from routing.validate.violation import Violation

__all__ = ["Violation", "validate"]


def validate(problem: Problem, plan: Plan) -> tuple[Violation, ...]:
    """Return every rule that the plan breaks; empty when it may be dispatched.

    A plan whose form is broken (unknown vehicle or site, a number that is none) is judged by its form alone.
    Raises ``BadInput`` when the problem contradicts itself or its zones are malformed.
    """
    check_problem(problem)
    found = tuple(check_form(problem, plan))
    if found:
        return found
    paths = tuple(check_paths(problem, plan))
    if any(violation.rule == "drone.path" for violation in paths):
        # Nobody flies that far: where it would be at each moment is not worth knowing.
        return paths
    return (
        *check_orders(problem, plan),
        *check_times(problem, plan),
        *paths,
        *check_energy(problem, plan),
        *check_pads(problem, plan),
        *check_separation(problem, plan),
    )
