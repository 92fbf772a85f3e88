"""The rule that no flight's ground risk class is above the operator's limit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from routing.ground_risk import classes, column, densities_km2, population_of
from routing.plan import Leg
from routing.problem import Problem
from routing.validate.context import TripContext
from routing.validate.flown import local_path, sampled
from routing.validate.violation import Violation

SAMPLE_M = 4.0


def check_ground_risk(problem: Problem, context: TripContext, subject: str, leg: Leg) -> Iterator[Violation]:
    """Yield where a drone's leg has its greatest ground risk class, if that is above ``Policy.ground_risk``.

    Raises ``BadInput`` where there is a limit, and no population to judge it by.
    """
    limit = problem.policy.ground_risk
    if limit is None:
        return
    along = sampled(local_path(problem, leg.path), SAMPLE_M)
    density = densities_km2(population_of(problem.region), along[:, 0], along[:, 1])
    found = classes(column(context.vehicle.type), density)
    worst = int(np.argmax(found))
    if found[worst] > limit:
        yield Violation(
            "drone.ground_risk",
            subject,
            f"ground risk class {found[worst]} over {density[worst]:.0f} persons/km2; at most {limit} is allowed",
            place=problem.region.frame.to_global(*along[worst].tolist()),
            size=float(found[worst] - limit),
            unit="classes",
        )
