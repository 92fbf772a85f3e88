"""Which visits are near which: candidates for the places of insertions and for removals that go together."""

from __future__ import annotations

from typing import Any

import numpy as np

from routing.search.model import AT_START, SearchModel

_WAIT_WEIGHT, _LATE_WEIGHT = 0.2, 1.0


def neighbours(model: SearchModel, near: int, around: int) -> tuple[Any, Any]:
    """Visits (2R, K) near each visit in place and time, and (2R, A) around it by distance; -1 pads the rows.

    Nearness weighs the wait and the lateness that a direct leg would need, in either direction (Vidal et al. 2013,
    section 4.5), by the least distance of all profiles.
    """
    requests = len(model.dropoff)
    paired = np.flatnonzero(model.pickup != AT_START)
    visits = np.concatenate([2 * np.arange(requests) + 1, 2 * paired]).astype(np.int32)
    near, around = min(near, len(visits) - 1), min(around, len(visits) - 1)
    if near <= 0:
        empty = np.full((2 * requests, 1), -1, dtype=np.int32)
        return empty, empty.copy()
    place = np.concatenate([model.dropoff, model.pickup[paired]])
    early = np.concatenate([model.drop_from, model.pickup_from[paired]])
    late = np.concatenate([model.drop_to, model.pickup_to[paired]])
    service = np.concatenate([model.drop_service, model.pickup_service[paired]])
    distance = model.distance.min(axis=0)[np.ix_(place, place)]
    duration = model.duration.min(axis=0)[np.ix_(place, place)]
    arrive = duration + service[:, None]
    with np.errstate(invalid="ignore"):
        wait = np.maximum(early[None, :] - arrive - late[:, None], 0.0)
        lateness = np.maximum(early[:, None] + arrive - late[None, :], 0.0)
        score = distance + _WAIT_WEIGHT * wait + _LATE_WEIGHT * lateness
    score = np.minimum(np.nan_to_num(score, nan=np.inf), np.nan_to_num(score.T, nan=np.inf))
    distance = np.minimum(distance, distance.T)
    return _rows(score, visits, near, requests), _rows(distance, visits, around, requests)


def _rows(score: Any, visits: Any, wanted: int, requests: int) -> Any:
    score = score.copy()
    np.fill_diagonal(score, np.inf)
    rows = np.full((2 * requests, wanted), -1, dtype=np.int32)
    nearest = np.argpartition(score, wanted - 1, axis=1)[:, :wanted]
    order = np.argsort(np.take_along_axis(score, nearest, axis=1), axis=1, kind="stable")
    rows[visits] = visits[np.take_along_axis(nearest, order, axis=1)]
    return rows
