"""Small search models, and a slow evaluator of their routes that shares nothing with the engine."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from routing.search import AT_START, SearchModel, SearchRoute

TINY = 1e-6


def plain_model(ways: Any, **changes: Any) -> SearchModel:
    """One vehicle class at place 0, which may use as many vehicles as it likes; a request at each other place.

    ``changes`` replaces fields; scalars and rows are spread over requests, classes or matrices.
    """
    ways = np.atleast_3d(np.asarray(ways, dtype=np.float64))
    ways = ways[None, :, :, 0] if ways.shape[2] == 1 else ways
    requests = len(changes.get("dropoff", range(ways.shape[1] - 1)))
    classes = len(np.atleast_1d(changes.get("count", requests)))
    shape: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(("energy_base", "energy_per_load"), ways.shape),
        **dict.fromkeys(_BY_REQUEST, (requests,)),
        "load": (requests, 1),
        "allowed": (requests, classes),
        **dict.fromkeys(_BY_CLASS, (classes,)),
        "capacity": (classes, 1),
    }
    values: dict[str, Any] = {**_DEFAULTS, "dropoff": np.arange(1, requests + 1), "count": requests, **changes}
    arrays: dict[str, Any] = {"distance": ways, "duration": changes.get("duration", ways)}
    for name, wanted in shape.items():
        value = np.asarray(values[name])
        if name in ("load", "capacity") and value.ndim == 2:
            wanted = value.shape
        elif name in ("load", "capacity") and value.ndim == 1:
            value = value[:, None]
        kind = np.bool_ if name in ("allowed", "may_wait") else np.int64 if name in _WHOLE else np.float64
        arrays[name] = np.broadcast_to(value, wanted).astype(kind)
    return SearchModel(**arrays)


_BY_REQUEST = (
    *("pickup", "dropoff", "pickup_from", "pickup_to", "pickup_service", "drop_from", "drop_to", "drop_service"),
    *("release", "due", "late_cost", "prize"),
)
_BY_CLASS = (
    *("count", "profile", "start", "end", "slots", "shift_from", "shift_to", "fixed_cost", "trip_cost"),
    *("distance_cost", "duration_cost", "max_trips", "first_load_time", "reload_time", "max_distance"),
    *("max_duration", "energy_limit", "may_wait"),
)
_WHOLE = ("pickup", "dropoff", "count", "profile", "start", "end", "slots", "max_trips")
_DEFAULTS: dict[str, Any] = {
    **dict.fromkeys((*_BY_REQUEST, *_BY_CLASS, "energy_base", "energy_per_load"), 0),
    **dict.fromkeys(("pickup_to", "drop_to", "due", "prize", "shift_to", "max_distance", "max_duration"), math.inf),
    **dict.fromkeys(("energy_limit", "capacity"), math.inf),
    "pickup": AT_START,
    "load": 1,
    "allowed": True,
    "distance_cost": 1,
    "max_trips": 1,
    "may_wait": True,
}


def plane(places: int, seed: int, size: int = 100) -> Any:
    """Whole distances between random points of a square."""
    points = np.random.default_rng(seed).integers(0, size, (places, 2))
    return np.round(np.hypot(*(points[:, None, :] - points[None, :, :]).transpose(2, 0, 1)))


FEATURES = (
    "windows",
    "loads",
    "trips",
    "fleet",
    "pairs",
    "prizes",
    "late",
    "energy",
    "no wait",
    "span",
    "open",
    "slots",
)


def random_model(seed: int, requests: int, features: Sequence[str] | None = None) -> SearchModel:
    """A model with the features named, or with random ones."""
    dice = random.Random(seed)
    features = [name for name in FEATURES if dice.random() < 0.3] if features is None else features
    depots, pairs = (2 if "fleet" in features else 1), (requests if "pairs" in features else 0)
    places = depots + requests + pairs
    classes = 2 if "fleet" in features else 1

    def some(low: float, high: float, n: int) -> Any:
        return np.array([float(dice.randint(int(low), int(high))) for _ in range(n)])

    ways = np.array([plane(places, seed + 1)] * classes)
    if classes == 2:
        ways[1] = np.round(ways[1] * 1.3)
    changes: dict[str, Any] = {
        "dropoff": np.arange(depots, depots + requests),
        "count": some(1, 2, classes).astype(int) if dice.random() < 0.5 else np.full(classes, requests),
        "profile": np.arange(classes),
        "start": np.arange(classes) % depots,
        "end": np.arange(classes) % depots,
    }
    if "windows" in features:
        begin = some(0, 300, requests)
        changes |= {"drop_from": begin, "drop_to": begin + some(20, 200, requests), "shift_to": 700.0}
        changes |= {"drop_service": some(0, 15, requests)}
    if "loads" in features:
        changes |= {"load": np.stack([some(1, 4, requests), some(0, 3, requests)], axis=1)}
        changes |= {"capacity": np.stack([some(5, 9, classes), some(4, 8, classes)], axis=1)}
    if "trips" in features:
        changes |= {"max_trips": 3, "reload_time": 10.0, "first_load_time": 5.0, "release": some(0, 150, requests)}
        changes |= {"trip_cost": 7.0}
        changes |= {} if "loads" in features else {"load": 1.0, "capacity": 2.0}
    if "fleet" in features:
        changes |= {"fixed_cost": some(0, 80, classes), "distance_cost": some(1, 3, classes)}
        allowed = np.array([[dice.random() < 0.8 for _ in range(classes)] for _ in range(requests)])
        changes |= {"allowed": allowed, "shift_from": some(0, 60, classes)}
    if "pairs" in features:
        pickup = np.where([dice.random() < 0.7 for _ in range(requests)], depots + requests + np.arange(requests), -1)
        changes |= {"pickup": pickup, "pickup_service": some(0, 9, requests), "pickup_to": some(100, 500, requests)}
    if "prizes" in features:
        changes |= {"prize": some(10, 150, requests)}
    if "late" in features:
        changes |= {"due": some(30, 200, requests), "late_cost": some(0, 2, requests)}
    if "energy" in features:
        changes |= {"energy_base": ways, "energy_per_load": np.round(ways * 0.2, 1), "energy_limit": 330.0}
    if "no wait" in features:
        changes |= {"may_wait": np.array([dice.random() < 0.3 for _ in range(classes)])}
    if "span" in features:
        changes |= {"duration_cost": some(0, 2, classes), "max_duration": 400.0}
    if "open" in features and "trips" not in features:
        changes |= {"end": np.full(classes, -1)}
    if "slots" in features:
        changes |= {"slots": 2}
    return plain_model(ways, **changes)


def without_waiting(model: SearchModel) -> SearchModel:
    """The same model for vehicles that cannot wait."""
    return replace(model, may_wait=np.zeros(len(model.count), dtype=np.bool_))


def _way(matrix: Any, model: SearchModel, k: int, a: int, b: int) -> float:
    return 0.0 if b < 0 else float(matrix[model.profile[k], a, b])


def _stops(model: SearchModel, trip: Sequence[int]) -> list[tuple[int, float, float, float]]:
    return [
        (int(model.dropoff[r]), float(model.drop_from[r]), float(model.drop_to[r]), float(model.drop_service[r]))
        if visit & 1
        else (
            int(model.pickup[r]),
            float(model.pickup_from[r]),
            float(model.pickup_to[r]),
            float(model.pickup_service[r]),
        )
        for visit, r in ((visit, visit >> 1) for visit in trip)
    ]


def _fly(model: SearchModel, k: int, trip: Sequence[int], leave: float) -> tuple[float, float] | None:
    """Return time and lateness cost of a trip that leaves at ``leave``; ``None`` where a window is missed."""
    now, place, late = leave, int(model.start[k]), 0.0
    for visit, (to, early, latest, service) in zip(trip, _stops(model, trip), strict=True):
        now += _way(model.duration, model, k, place, to)
        if now > latest + TINY or (now < early - TINY and not model.may_wait[k]):
            return None
        now = max(now, early)
        if visit & 1:
            late += float(model.late_cost[visit >> 1]) * max(0.0, now - float(model.due[visit >> 1]))
        now += service
        place = to
    return now + _way(model.duration, model, k, place, int(model.end[k])), late


def _departure(model: SearchModel, k: int, trip: Sequence[int], ready: float) -> float:
    """The first time from ``ready`` on at which the trip can leave: loads are there, and nothing waits that may not."""
    for visit in trip:
        if model.pickup[visit >> 1] == AT_START:
            ready = max(ready, float(model.release[visit >> 1]))
    if not model.may_wait[k]:
        offset, place = 0.0, int(model.start[k])
        for to, early, _, service in _stops(model, trip):
            offset += _way(model.duration, model, k, place, to)
            ready = max(ready, early - offset)
            offset += service
            place = to
    return ready


def _run(model: SearchModel, route: SearchRoute, not_before: float) -> tuple[float, float, float] | None:
    k = route.vehicle_class
    ready = max(float(model.shift_from[k] + model.first_load_time[k]), not_before)
    first, late, back = math.inf, 0.0, ready
    for trip in route.trips:
        leave = _departure(model, k, trip, ready)
        first = min(first, leave)
        flown = _fly(model, k, trip, leave)
        if flown is None or flown[0] > model.shift_to[k] + TINY:
            return None
        back = flown[0]
        late += flown[1]
        ready = back + float(model.reload_time[k])
    return first, back, late


def _latest_start(model: SearchModel, route: SearchRoute, first: float, back: float) -> float:
    """The latest first departure with the same last return, by bisection."""
    low, high = first, back
    for _ in range(80):
        middle = (low + high) / 2
        run = _run(model, route, middle)
        if run is not None and run[1] <= back + TINY / 10:
            low = middle
        else:
            high = middle
    return low


def _loads_fit(model: SearchModel, k: int, trip: Sequence[int]) -> bool:
    aboard = np.zeros(model.load.shape[1] + 1)
    loads = np.column_stack([model.load, np.ones(len(model.load))])
    limit = np.append(model.capacity[k], model.slots[k] if model.slots[k] else np.inf)
    for r in {visit >> 1 for visit in trip if model.pickup[visit >> 1] == AT_START}:
        aboard += loads[r]
    energy, place = 0.0, int(model.start[k])
    for visit in [*trip, None]:
        if (aboard > limit + TINY).any():
            return False
        to = int(model.end[k]) if visit is None else _stops(model, [visit])[0][0]
        if math.isfinite(model.energy_limit[k]):
            energy += _way(model.energy_base, model, k, place, to)
            energy += _way(model.energy_per_load, model, k, place, to) * float(aboard[0])
        if visit is not None:
            aboard += -loads[visit >> 1] if visit & 1 else loads[visit >> 1]
            place = to
    return bool(energy <= model.energy_limit[k] + TINY)


def _distance(model: SearchModel, k: int, trip: Sequence[int]) -> float:
    places = [int(model.start[k]), *(stop[0] for stop in _stops(model, trip)), int(model.end[k])]
    return sum(_way(model.distance, model, k, a, b) for a, b in itertools.pairwise(places))


def route_cost(model: SearchModel, route: SearchRoute) -> float:
    """Cost of a route from first principles; infinite where it breaks any limit."""
    k = route.vehicle_class
    if not route.trips or len(route.trips) > model.max_trips[k] or not all(route.trips):
        return math.inf
    for trip in route.trips:
        for visit in trip:
            if not model.allowed[visit >> 1, k]:
                return math.inf
        if not _paired(model, trip) or not _loads_fit(model, k, trip):
            return math.inf
    distance = sum(_distance(model, k, trip) for trip in route.trips)
    run = _run(model, route, -math.inf)
    if run is None or not math.isfinite(distance) or distance > model.max_distance[k] + TINY:
        return math.inf
    first, back, late = run
    start = _latest_start(model, route, first, back)
    if back - start > model.max_duration[k] + 10 * TINY:
        return math.inf
    cost = float(model.fixed_cost[k] + model.trip_cost[k] * len(route.trips) + model.distance_cost[k] * distance)
    price = float(model.duration_cost[k])
    if price == 0.0:
        return cost + late
    tight = _run(model, route, start)
    assert tight is not None
    return cost + min(price * (back - first) + late, price * (back - start) + tight[2])


def _paired(model: SearchModel, trip: Sequence[int]) -> bool:
    seen: set[int] = set()
    for visit in trip:
        r = visit >> 1
        if visit in seen or (visit & 1 and model.pickup[r] != AT_START and visit - 1 not in seen):
            return False
        seen.add(visit)
    return all(visit & 1 or visit + 1 in seen for visit in trip)


def total_cost(model: SearchModel, routes: Sequence[SearchRoute], left_out: Sequence[int]) -> float:
    """Cost of a whole solution; infinite where it is not one."""
    served = [visit >> 1 for route in routes for trip in route.trips for visit in trip if visit & 1]
    if sorted([*served, *left_out]) != list(range(len(model.dropoff))):
        return math.inf
    for k in range(len(model.count)):
        if sum(route.vehicle_class == k for route in routes) > model.count[k]:
            return math.inf
    return sum(route_cost(model, route) for route in routes) + sum(float(model.prize[r]) for r in left_out)


def _orders(model: SearchModel, chosen: Sequence[int]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """All ways to serve the requests chosen in one or more trips."""
    visits = [2 * r + 1 for r in chosen] + [2 * r for r in chosen if model.pickup[r] != AT_START]
    for order in itertools.permutations(visits):
        for cuts in itertools.product((False, True), repeat=len(order) - 1):
            trips: list[tuple[int, ...]] = [order[:1]]
            for visit, cut in zip(order[1:], cuts, strict=True):
                trips = [*trips, (visit,)] if cut else [*trips[:-1], (*trips[-1], visit)]
            if all(_paired(model, trip) for trip in trips):
                yield tuple(trips)


def least_cost(model: SearchModel) -> float:
    """The least cost of any solution, by trying all of them; for four requests or fewer."""
    requests, classes = len(model.dropoff), len(model.count)
    alone = np.full((classes, 2**requests), np.inf)
    for chosen in range(1, 2**requests):
        members = [r for r in range(requests) if chosen >> r & 1]
        for trips in _orders(model, members):
            for k in range(classes):
                if len(trips) <= model.max_trips[k]:
                    alone[k, chosen] = min(alone[k, chosen], route_cost(model, SearchRoute(k, trips)))
    best = np.array(
        [sum(model.prize[r] for r in range(requests) if not served >> r & 1) for served in range(2**requests)]
    )
    best[np.isnan(best)] = np.inf
    left = best.copy()
    # cost of the vehicles alone by what they serve, class by class, one more vehicle at a time
    table = np.full(2**requests, np.inf)
    table[0] = 0.0
    for k in range(classes):
        for _ in range(min(int(model.count[k]), requests)):
            following = table.copy()
            for served in range(2**requests):
                part = served
                while part:
                    following[served] = min(following[served], table[served ^ part] + alone[k, part])
                    part = (part - 1) & served
            table = following
    return float((table + left).min())
