"""Whether a ``SearchModel`` makes sense: shapes, ranges, numbers that are numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from routing.errors import BadInput
from routing.search.model import AT_START, SearchModel

_REQUEST_FIELDS = (
    *("pickup", "dropoff", "pickup_from", "pickup_to", "pickup_service", "drop_from", "drop_to", "drop_service"),
    *("release", "due", "late_cost", "prize"),
)
_CLASS_FIELDS = (
    *("count", "profile", "start", "end", "slots", "shift_from", "shift_to", "fixed_cost", "trip_cost"),
    *("distance_cost", "duration_cost", "max_trips", "first_load_time", "reload_time", "max_distance"),
    *("max_duration", "energy_limit", "may_wait"),
)
_NOT_NEGATIVE = (
    *("distance", "duration", "load", "pickup_service", "drop_service", "late_cost", "count", "slots"),
    *("fixed_cost", "trip_cost", "distance_cost", "duration_cost", "max_trips", "first_load_time", "reload_time"),
    *("max_distance", "max_duration", "capacity"),
)
_FINITE = (
    *("load", "pickup_service", "drop_service", "shift_from", "fixed_cost", "trip_cost", "distance_cost"),
    *("duration_cost", "first_load_time", "reload_time", "late_cost"),
)


def check_model(model: SearchModel) -> None:
    """Raise ``BadInput``, naming the field, for arrays that do not fit together or hold impossible numbers."""
    _check_shapes(model)
    for name in SearchModel.__dataclass_fields__:
        values = getattr(model, name)
        if np.isnan(values).any():
            raise _bad(name, "is not a number", np.isnan(values))
    for name in _FINITE:
        _forbid(name, "must be finite", ~np.isfinite(getattr(model, name)))
    for name in _NOT_NEGATIVE:
        _forbid(name, "must not be negative", getattr(model, name) < 0)
    places, profiles, classes = model.distance.shape[1], len(model.distance), len(model.count)
    _forbid("pickup", "is no place", (model.pickup < AT_START) | (model.pickup >= places))
    _forbid("dropoff", "is no place", (model.dropoff < 0) | (model.dropoff >= places))
    _forbid("start", "is no place", (model.start < 0) | (model.start >= places))
    _forbid("end", "is no place", (model.end < -1) | (model.end >= places))
    _forbid("profile", "is no profile", (model.profile < 0) | (model.profile >= profiles))
    _forbid("drop_from", "is after drop_to", model.drop_from > model.drop_to)
    _forbid("pickup_from", "is after pickup_to", (model.pickup != AT_START) & (model.pickup_from > model.pickup_to))
    _forbid("drop_from", "must not be infinitely late", np.isposinf(model.drop_from))
    _forbid("pickup_from", "must not be infinitely late", np.isposinf(model.pickup_from))
    _forbid("shift_from", "is after shift_to", model.shift_from > model.shift_to)
    _forbid("prize", "must not be negative", model.prize < 0)
    _forbid("max_trips", "end must be start where a vehicle makes several trips",
            (model.max_trips > 1) & (model.end != model.start))  # fmt: skip
    if not classes:
        raise BadInput("search model: there is no class of vehicles")


def _check_shapes(model: SearchModel) -> None:
    requests, classes = np.shape(model.dropoff), np.shape(model.count)
    if len(requests) != 1 or len(classes) != 1:
        raise BadInput("search model: dropoff and count must have one dimension")
    for name in _REQUEST_FIELDS:
        _want(name, getattr(model, name), requests)
    for name in _CLASS_FIELDS:
        _want(name, getattr(model, name), classes)
    _want("allowed", model.allowed, requests + classes)
    dims = np.shape(model.load)[1:]
    if len(dims) != 1:
        raise BadInput("search model: load must have shape (requests, units)")
    _want("load", model.load, requests + dims)
    _want("capacity", model.capacity, classes + dims)
    matrix = np.shape(model.distance)
    if len(matrix) != 3 or matrix[1] != matrix[2] or not matrix[0]:
        raise BadInput(f"search model: distance must have shape (profiles, places, places), not {matrix}")
    _want("duration", model.duration, matrix)
    if np.isfinite(model.energy_limit).any():
        _want("energy_base", model.energy_base, matrix)
        _want("energy_per_load", model.energy_per_load, matrix)


def _want(name: str, values: Any, shape: tuple[int, ...]) -> None:
    if np.shape(values) != shape:
        raise BadInput(f"search model: {name} must have shape {shape}, not {np.shape(values)}")


def _forbid(name: str, what: str, bad: Any) -> None:
    if np.any(bad):
        raise _bad(name, what, bad)


def _bad(name: str, what: str, bad: Any) -> BadInput:
    place = ", ".join(str(int(x)) for x in np.argwhere(bad)[0])
    return BadInput(f"search model: {name}[{place}] {what}")
