"""Compile everything once, so that no search pays for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from routing.search.engine import search
from routing.search.model import AT_START, SearchModel
from routing.search.single import insert


def _smallest_model() -> SearchModel:
    """Two requests and one vehicle; all models run the same code."""
    ways = np.array([[[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.0]]])
    some, none = np.zeros(2), np.full(2, np.inf)
    values: dict[str, Any] = {
        **dict.fromkeys(("distance", "duration", "energy_base", "energy_per_load"), ways),
        **dict.fromkeys(("pickup_from", "pickup_service", "drop_from", "drop_service", "release", "late_cost"), some),
        **dict.fromkeys(("pickup_to", "drop_to", "due", "prize"), none),
        **dict.fromkeys(("count", "max_trips"), np.full(1, 2)),
        **dict.fromkeys(("profile", "start", "end", "slots"), np.zeros(1, dtype=np.int64)),
        **dict.fromkeys(("shift_from", "fixed_cost", "trip_cost", "duration_cost"), np.zeros(1)),
        **dict.fromkeys(("first_load_time", "reload_time"), np.zeros(1)),
        **dict.fromkeys(("shift_to", "max_distance", "max_duration", "energy_limit"), np.full(1, np.inf)),
    }
    return SearchModel(
        **values,
        pickup=np.full(2, AT_START),
        dropoff=np.array([1, 2]),
        load=np.ones((2, 1)),
        allowed=np.ones((2, 1), dtype=np.bool_),
        capacity=np.ones((1, 1)),
        distance_cost=np.ones(1),
        may_wait=np.ones(1, dtype=np.bool_),
    )


def warm_up() -> None:
    """Compile the search and keep the machine code on disk: half a minute once, then a few seconds at most."""
    model = _smallest_model()
    found = search(model, iterations=3, workers=1)
    search(replace(model, fixed_cost=np.full(1, 99.0)), iterations=3, workers=1)
    search(model, iterations=1, workers=1, start=found.routes)
    insert(model, (), 0)
