"""The rule that airspace that other operators hold stays theirs: no flight's own volume meets one of their intents."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import shapely

from routing.geo import Position
from routing.plan import Plan
from routing.problem import Intent, Problem
from routing.validate.traffic import Traffic, traffic
from routing.validate.violation import Violation

STEP_S = 1.0
_TOLERANCE_M = 0.5

Array = npt.NDArray[np.float64]


def check_intents(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Yield flights that may be in another operator's intent while it holds it.

    A flight may be anywhere within ``Separation``'s containment of its planned place, as late as ``late_s`` and the
    drift make it. Given flights are not judged.
    """
    flights = [each for each in traffic(problem, plan) if each.flight is not None and not each.given]
    for intent in problem.intents:
        frame = problem.region.frame
        outline = shapely.make_valid(shapely.Polygon([frame.to_local(Position(*corner)) for corner in intent.ring]))
        shapely.prepare(outline)
        for each in flights:
            found = _entered(problem, intent, outline, each)
            if found is not None:
                moment_s, inside_m, place = found
                moment = problem.start + timedelta(seconds=moment_s)
                yield Violation(
                    "intent",
                    each.name,
                    f"may be {inside_m:.0f} m inside the volume of intent {intent.intent_id} at "
                    f"{moment.isoformat(timespec='seconds')}",
                    vehicle_id=each.vehicle_id,
                    at=moment,
                    place=frame.to_global(*(float(x) for x in place)),
                    size=inside_m,
                    unit="m",
                )


def _entered(
    problem: Problem, intent: Intent, outline: shapely.Geometry, each: Traffic
) -> tuple[float, float, Array] | None:
    """Moment and depth where a flight is deepest in an intent, the containment counted in; and the place."""
    apart, flight = problem.separation, each.flight
    assert flight is not None
    begins, ends = ((moment - problem.start).total_seconds() for moment in (intent.begins, intent.ends))
    times = np.append(np.arange(0.0, flight.seconds[-1], STEP_S), flight.seconds[-1])
    there = (each.begin_s + times * (1.0 - apart.drift) <= ends) & (
        each.begin_s + times * (1.0 + apart.drift) + apart.late_s >= begins
    )
    places = flight.at(times[there])
    if not len(places):
        return None
    outside_m = np.maximum(intent.floor_amsl_m - places[:, 2], places[:, 2] - intent.ceiling_amsl_m)
    inside_m = apart.containment_m - np.asarray(shapely.distance(shapely.points(places[:, :2]), outline))
    inside_m[outside_m > apart.containment_vertical_m - _TOLERANCE_M] = 0.0
    deepest = int(inside_m.argmax())
    if inside_m[deepest] <= _TOLERANCE_M:
        return None
    return each.begin_s + float(times[there][deepest]), float(inside_m[deepest]), places[deepest]
