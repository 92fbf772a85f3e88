"""The rule that no flight is without a radio link for longer than its vehicle waits for one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from routing.plan import Leg
from routing.problem import Problem
from routing.radio import longest_gap_m
from routing.validate.context import TripContext
from routing.validate.flown import local_path, sampled
from routing.validate.violation import Violation

SAMPLE_M = 3.0
_TOLERANCE_M = 0.5
"""Of the height from which on there is a link: the layer is a model of far larger error."""


def check_radio(problem: Problem, context: TripContext, subject: str, leg: Leg) -> Iterator[Violation]:
    """Yield the stretches of a drone's leg below the height of its link that are longer than it may fly so.

    At the ends, on its way up and down, it is with the people there.
    """
    layer, region = problem.region.radio, problem.region
    if layer is None or not problem.policy.radio:
        return
    along = sampled(local_path(problem, leg.path), SAMPLE_M)
    above = along[:, 2] - region.terrain.height_m(along[:, 0], along[:, 1])
    dark = above < layer.greatest(along[:, 0], along[:, 1]) - _TOLERANCE_M
    stations = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(along[:, :2], axis=0).T))))
    edges = np.flatnonzero(np.diff(np.concatenate(([0], dark.astype(np.int8), [0]))))
    limit_m = longest_gap_m(context.vehicle.type)
    for begin, end in zip(edges[::2], edges[1::2] - 1, strict=True):
        gap_m = float(stations[end] - stations[begin])
        if gap_m > limit_m:
            kind = context.vehicle.type
            yield Violation(
                "drone.radio",
                subject,
                f"{gap_m:.0f} m without a radio link; {kind.lost_link_s:g} s at {kind.cruise_speed_mps:g} m/s are "
                f"{limit_m:.0f} m",
                place=region.frame.to_global(*along[begin].tolist()),
                size=round(gap_m - limit_m, 1),
                unit="m",
            )
