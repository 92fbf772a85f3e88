"""Every rule of the validator has a plan that only it stops.

A good plan made by hand, or its problem, is changed a little. The validator must say just the one rule; with that
rule taken out of its table it says nothing, so that the test of the rule fails when the rule is lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import routing.validate
from routing.plan import Plan
from routing.problem import (
    Problem,
)
from routing.validate import RULES, Violation, validate
from tests.mutations import MUTATIONS, good


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Take a rule out of the validator."""

    def nothing(problem: Problem, plan: Plan) -> Iterator[Violation]:
        return iter(())

    return lambda rule: monkeypatch.setitem(routing.validate.RULES, rule, nothing)


def test_the_good_plan_breaks_no_rule() -> None:
    assert validate(*good()) == ()


@pytest.mark.parametrize("rule", RULES)
def test_only_this_rule_stops_its_mutation(rule: str, without: Callable[[str], None]) -> None:
    assert rule in MUTATIONS, f"rule {rule} has no mutation here: nothing shows that it is kept"
    bad = MUTATIONS[rule](*good())
    assert {violation.rule for violation in validate(*bad)} == {rule}
    without(rule)
    assert validate(*bad) == ()


def test_every_rule_that_the_validator_names_is_in_its_table_and_no_other() -> None:
    folder = Path(routing.validate.__file__).parent
    files = [file for file in folder.glob("*.py") if file.name not in ("__init__.py", "routes.py")]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    dotted = set(re.findall(r'"([a-z]+\.[a-z_]+)"', text))
    plain = set(re.findall(r'Violation\(\s*"([a-z]+)"', text))
    assert dotted | plain == set(RULES)
    assert set(MUTATIONS) == set(RULES)


def test_a_violation_says_who_when_where_and_how_much() -> None:
    problem, plan = MUTATIONS["energy.stated"](*good())
    (found,) = validate(problem, plan)
    leg = plan.routes[0].trips[0].legs[0]
    assert (found.subject, found.vehicle_id, found.at, found.place) == (
        "drone-1-t1/1",
        "drone-1",
        leg.depart,
        leg.path[-1],
    )
    assert found.size == pytest.approx(0.1 * good()[1].routes[0].trips[0].legs[0].energy_wh)
    assert found.unit == "Wh"
