"""A ``SearchModel`` laid out for compiled code: one record per visit, trip, vehicle, request and class.

Visits are numbered as in the contract; ``first + 2 * trip`` and ``first + 2 * trip + 1`` are where a trip starts and
ends. A segment of a trip is known by (d, e, lt): its least duration, and the earliest and latest start with it
(Vidal et al. 2013, "A hybrid genetic algorithm with adaptive diversity management", section 4.2), here without
time warp: only feasible segments exist. ``pre_*`` runs from the trip's start through the visit, ``suf_*`` from the
visit to the trip's end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from routing.search.memory import int_table, records, table
from routing.search.model import AT_START, SearchModel
from routing.search.near import neighbours

Array = Any  # compiled code reads records by attribute, which numpy's types do not know

NODE = np.dtype(
    [("next", "i4"), ("prev", "i4"), ("trip", "i4"), ("place", "i4")]
    + [(name, "f8") for name in ("early", "late", "service", "leg")]
    + [(name, "f8") for name in ("pre_d", "pre_e", "pre_l", "suf_d", "suf_e", "suf_l", "aboard")],
    align=True,
)
REQUEST = np.dtype(
    [("pickup", "i4"), ("dropoff", "i4"), ("required", "i4"), ("misses", "i4")]
    + [(name, "f8") for name in ("release", "due", "late_cost", "prize", "size", "far")],
    align=True,
)
CLASS = np.dtype(
    [(name, "i4") for name in ("profile", "start", "end", "max_trips", "no_wait", "family", "spanned", "energetic")]
    + [("count", "i8"), ("used", "i8")]
    + [(name, "f8") for name in ("shift_from", "shift_to", "fixed_cost", "trip_cost", "distance_cost")]
    + [(name, "f8") for name in ("duration_cost", "first_load", "reload", "max_distance", "max_duration")]
    + [("energy_limit", "f8")],
    align=True,
)
TRIP = np.dtype(
    [("veh", "i4"), ("prev", "i4"), ("next", "i4"), ("visits", "i4"), ("version", "i8")]
    + [(name, "f8") for name in ("distance", "release", "d", "e", "l", "ready", "back", "latest")]
    + [(name, "f8") for name in ("pre_d", "pre_e", "pre_l", "suf_d", "suf_e", "suf_l")],
    align=True,
)
VEHICLE = np.dtype(
    [(name, "i4") for name in ("cls", "first", "last", "trips", "visits", "active", "index")]
    + [("stamp", "i8"), ("distance", "f8"), ("cost", "f8"), ("late", "f8")],
    align=True,
)
FOUND = np.dtype(
    [(name, "i4") for name in ("vehicle", "trip", "after", "then", "cls")] + [("cost", "f8")],
    align=True,
)
INT = np.dtype([("x", "i4")])
FLOAT = np.dtype([("x", "f8")])
LONG = np.dtype([("x", "i8")])

_SIZES = ("requests", "first", "places", "classes", "dims", "trips", "vehicles", "nears", "arounds", "fleet")
_FLAGS = ("timed", "paired", "slow", "late", "families", "many_trips", "upgrades")
_COUNTS = ("actives", "absents", "removals", "logged_nodes", "logged_trips", "logged_vehicles", "logged_absents")
_COUNTERS = ("stamp", "version", "vehicle_cursor", "trip_cursor")
_MODEL = (
    *("distance", "distance_into", "duration", "duration_into", "base_energy", "load_energy", "load", "capacity"),
    *("allowed", "near", "around"),
)
_SOLUTION = (
    *("kind", "request", "node", "trip", "vehicle", "trip_load", "aboard", "peak", "active", "absent"),
    *("found", "buffer", "removed", "keys", "log_node", "log_node_id", "log_trip", "log_trip_id", "log_load"),
    *("log_vehicle", "log_vehicle_id", "log_used", "log_absent", "seen"),
)

WORLD = np.dtype(
    [(name, "i8") for name in (*_SIZES, *_FLAGS, *_COUNTS, *_COUNTERS)]
    + [("rng", "u8"), ("unserved_cost", "f8")]
    + [(name, "i8") for name in (*_MODEL, *_SOLUTION)],
    align=True,
)
"""Sizes and counts, and the addresses of the arrays."""

kind = records(WORLD, "kind", CLASS)
request = records(WORLD, "request", REQUEST)
node = records(WORLD, "node", NODE)
trip = records(WORLD, "trip", TRIP)
vehicle = records(WORLD, "vehicle", VEHICLE)
found = records(WORLD, "found", FOUND)
log_node = records(WORLD, "log_node", NODE)
log_trip = records(WORLD, "log_trip", TRIP)
log_vehicle = records(WORLD, "log_vehicle", VEHICLE)
trip_load = records(WORLD, "trip_load", FLOAT, "dims")
"""(T, D): aboard at a trip's start."""
peak = records(WORLD, "peak", FLOAT, "dims")
aboard = records(WORLD, "aboard", FLOAT, "dims")
"""(nodes, D): aboard after a visit; kept where requests are picked up under way or energy matters."""
log_load = records(WORLD, "log_load", FLOAT, "dims")
active = records(WORLD, "active", INT)
absent = records(WORLD, "absent", INT)
buffer = records(WORLD, "buffer", INT)
"""Visits of a trip under trial."""
removed = records(WORLD, "removed", INT)
keys = records(WORLD, "keys", FLOAT)
log_node_id = records(WORLD, "log_node_id", INT)
log_trip_id = records(WORLD, "log_trip_id", INT)
log_vehicle_id = records(WORLD, "log_vehicle_id", INT)
log_used = records(WORLD, "log_used", LONG)
log_absent = records(WORLD, "log_absent", INT)
seen = records(WORLD, "seen", LONG)
"""(nodes,): stamps of the gaps tried."""
distance_of = table(WORLD, "distance", "places", "places")
distance_into = table(WORLD, "distance_into", "places", "places")
"""The transposed matrix: row by destination."""
duration_of = table(WORLD, "duration", "places", "places")
duration_into = table(WORLD, "duration_into", "places", "places")
base_energy = table(WORLD, "base_energy", "places", "places")
load_energy = table(WORLD, "load_energy", "places", "places")
load_of = table(WORLD, "load", "dims")
capacity_of = table(WORLD, "capacity", "dims")
allows = int_table(WORLD, "allowed", "classes")
near_visit = int_table(WORLD, "near", "nears")
"""(2R, K): for insertion."""
around_visit = int_table(WORLD, "around", "arounds")
"""(2R, A): by distance, for removal."""

World = Any
"""A record of ``WORLD``, as compiled functions take it."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """The arrays of one search, the model's shared by all searches, and the record with their addresses."""

    arrays: dict[str, Array]
    record: Array

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    @property
    def world(self) -> World:
        """The record itself."""
        return self.record[0]

    def copy(self) -> Arrays:
        """The same model with a solution of its own."""
        return _addressed(
            {name: a.copy() if name in _SOLUTION else a for name, a in self.arrays.items()}, self.record.copy()
        )


def _addressed(arrays: dict[str, Array], record: Array) -> Arrays:
    for name, array in arrays.items():
        if not array.flags.c_contiguous:
            raise ValueError(f"{name} is not contiguous")
        record[name] = array.ctypes.data
    return Arrays(arrays, record)


def _matrix(values: Any, places: int) -> Array:
    """``values`` with one more place, the virtual end of open routes, which costs nothing to reach."""
    profiles = values.shape[0]
    if values.shape[1] == places:
        return np.ascontiguousarray(values, dtype=np.float64)
    wide = np.zeros((profiles, places, places))
    wide[:, : places - 1, : places - 1] = values
    return wide


def _transposed(matrix: Array) -> Array:
    turned = matrix.transpose(0, 2, 1)
    return matrix if np.array_equal(matrix, turned) else np.ascontiguousarray(turned)


def _families(model: SearchModel) -> Array:
    """Classes that differ only in what they carry and cost share a family."""
    keys: dict[tuple[Any, ...], int] = {}
    family = np.zeros(len(model.count), dtype=np.int32)
    for k in range(len(model.count)):
        key = (
            *(int(a[k]) for a in (model.profile, model.start, model.end, model.max_trips, model.may_wait)),
            *(float(a[k]) for a in (model.shift_from, model.shift_to, model.first_load_time, model.reload_time)),
            *(float(a[k]) for a in (model.max_distance, model.max_duration, model.energy_limit)),
            model.allowed[:, k].tobytes(),
        )
        family[k] = keys.setdefault(key, len(keys))
    return family


def _classes(model: SearchModel, places: int) -> Array:
    classes = np.zeros(len(model.count), dtype=CLASS)
    classes["profile"], classes["start"] = model.profile, model.start
    classes["end"] = np.where(model.end < 0, places - 1, model.end)
    classes["max_trips"], classes["count"] = np.minimum(model.max_trips, 2**30), model.count
    classes["no_wait"] = ~model.may_wait
    classes["family"] = _families(model)
    classes["spanned"] = np.isfinite(model.max_duration) | (model.duration_cost > 0)
    classes["energetic"] = np.isfinite(model.energy_limit)
    classes["first_load"], classes["reload"] = model.first_load_time, model.reload_time
    for name in ("shift_from", "shift_to", "fixed_cost", "trip_cost", "distance_cost", "duration_cost"):
        classes[name] = getattr(model, name)
    for name in ("max_distance", "max_duration", "energy_limit"):
        classes[name] = getattr(model, name)
    return classes


def _timed(model: SearchModel) -> bool:
    """Whether any time can matter at all."""
    return bool(
        np.isfinite(model.shift_to).any()
        or np.isfinite(model.drop_to).any()
        or np.isfinite(model.pickup_to).any()
        or np.isfinite(model.max_duration).any()
        or (model.duration_cost > 0).any()
        or (model.late_cost > 0).any()
        or not model.may_wait.all()
    )


def _far(model: SearchModel) -> Array:
    """How far each request is from the nearest start."""
    starts = np.unique(model.start)
    nearest = model.distance[:, starts][:, :, model.dropoff].min(axis=(0, 1))
    return np.where(np.isfinite(nearest), nearest, 0.0)


def _requests(model: SearchModel, load: Array, capacity: Array, unserved_cost: float) -> Array:
    request = np.zeros(len(model.dropoff), dtype=REQUEST)
    request["pickup"], request["dropoff"] = model.pickup, model.dropoff
    request["required"] = np.isinf(model.prize)
    for name in ("release", "due", "late_cost"):
        request[name] = getattr(model, name)
    request["prize"] = np.where(np.isinf(model.prize), unserved_cost, model.prize)
    most = np.where(np.isfinite(capacity), capacity, 0.0).max(axis=0)
    request["size"] = (load / np.where(most > 0, most, 1.0)).sum(axis=1)
    request["far"] = _far(model)
    return request


def _loads(model: SearchModel) -> tuple[Array, Array]:
    """Loads and capacities, compartments being one dimension more."""
    load, capacity = model.load, model.capacity
    if (model.slots > 0).any() or not load.shape[1]:
        slots = np.where(model.slots > 0, model.slots, np.inf).astype(np.float64)
        load = np.column_stack([load, np.ones(len(load))])
        capacity = np.column_stack([capacity, slots])
    return np.ascontiguousarray(load, dtype=np.float64), np.ascontiguousarray(capacity, dtype=np.float64)


def _unserved_cost(model: SearchModel) -> float:
    """A cost above that of any detour that would serve one request more."""
    finite = np.where(np.isfinite(model.distance), model.distance, 0.0)
    reach = float(finite.max(initial=0.0))
    dearest = float(model.distance_cost.max(initial=0.0)) * reach * 2
    dearest += float(model.duration_cost.max(initial=0.0)) * reach * 2
    fixed = float(model.fixed_cost.max(initial=0.0)) + float(model.trip_cost.max(initial=0.0))
    prizes = model.prize[np.isfinite(model.prize)]
    return 2 * (dearest + fixed) + float(prizes.max(initial=0.0)) + 1.0


def _nodes(model: SearchModel, trips: int) -> Array:
    requests = len(model.dropoff)
    node = np.zeros(2 * requests + 2 * trips, dtype=NODE)
    node["trip"] = -1
    for first, place, early, late, service in (
        (0, model.pickup, model.pickup_from, model.pickup_to, model.pickup_service),
        (1, model.dropoff, model.drop_from, model.drop_to, model.drop_service),
    ):
        visits = node[first : 2 * requests : 2]
        visits["place"], visits["early"], visits["late"], visits["service"] = place, early, late, service
    ends = node[2 * requests :]
    ends["early"], ends["late"] = -np.inf, np.inf
    return node


def build(model: SearchModel, *, near: int = 0, around: int = 0) -> Arrays:
    """The arrays of a checked model with an empty solution; ``near`` and ``around``: how many neighbours to know."""
    requests, classes = len(model.dropoff), len(model.count)
    places = model.distance.shape[1] + int((model.end < 0).any())
    distance = _matrix(model.distance, places)
    same = model.duration is model.distance or np.array_equal(model.duration, model.distance)
    duration = distance if same else _matrix(model.duration, places)
    if np.isinf(duration).any():
        distance = np.where(np.isinf(duration), np.inf, distance)
    distance_to = _transposed(distance)
    duration_to = distance_to if duration is distance else _transposed(duration)
    load, capacity = _loads(model)
    unserved_cost = _unserved_cost(model)
    vehicles = int(min(model.count.clip(0).sum(), requests)) + 2
    trips = 2 * requests + vehicles + 4
    paired = bool((model.pickup != AT_START).any())
    energetic = bool(np.isfinite(model.energy_limit).any())
    near_visits, around_visits = neighbours(model, near, around)
    record = np.zeros(1, dtype=WORLD)
    for name, value in {
        "requests": requests,
        "absents": requests,
        "first": 2 * requests,
        "places": places,
        "classes": classes,
        "dims": load.shape[1],
        "trips": trips,
        "vehicles": vehicles,
        "nears": near_visits.shape[1],
        "arounds": around_visits.shape[1],
        "fleet": vehicles,
        "timed": _timed(model),
        "paired": paired,
        "late": (model.late_cost > 0).any(),
        "slow": (model.late_cost > 0).any() or energetic,
        "families": len(set(_families(model).tolist())) < classes,
        "upgrades": len(set(_families(model).tolist())) < classes,
        "many_trips": (model.max_trips > 1).any(),
        "unserved_cost": unserved_cost,
    }.items():
        record[name] = value
    no_energy = np.zeros((1, 1, 1))
    arrays = {
        "distance": distance,
        "distance_into": distance_to,
        "duration": duration,
        "duration_into": duration_to,
        "base_energy": _matrix(model.energy_base, places) if energetic else no_energy,
        "load_energy": _matrix(model.energy_per_load, places) if energetic else no_energy,
        "load": load,
        "capacity": capacity,
        "allowed": np.ascontiguousarray(model.allowed, dtype=np.int32),
        "near": near_visits,
        "around": around_visits,
        **_solution(model, load, capacity, unserved_cost, vehicles, trips, places),
    }
    return _addressed(arrays, record)


def _solution(
    model: SearchModel, load: Array, capacity: Array, unserved_cost: float, vehicles: int, trips: int, places: int
) -> dict[str, Array]:
    """The arrays that change, for a solution that serves nothing yet."""
    requests, dims = load.shape
    nodes = 2 * requests + 2 * trips
    trip = np.zeros(trips, dtype=TRIP)
    trip["veh"] = -1
    classes = _classes(model, places)
    return {
        "kind": classes,
        "request": _requests(model, load, capacity, unserved_cost),
        "node": _nodes(model, trips),
        "trip": trip,
        "vehicle": np.zeros(vehicles, dtype=VEHICLE),
        "trip_load": np.zeros((trips, dims)),
        "aboard": np.zeros((nodes, dims)),
        "peak": np.zeros((trips, dims)),
        "active": np.zeros(vehicles, dtype=np.int32),
        "absent": np.arange(max(requests, 1), dtype=np.int32),
        "found": np.zeros(1, dtype=FOUND),
        "buffer": np.zeros(2 * requests + 4, dtype=np.int32),
        "removed": np.zeros(requests + 1, dtype=np.int32),
        "keys": np.zeros(requests + 1),
        "log_node": np.zeros(2 * nodes, dtype=NODE),
        "log_node_id": np.zeros(2 * nodes, dtype=np.int32),
        "log_trip": np.zeros(2 * trips, dtype=TRIP),
        "log_trip_id": np.zeros(2 * trips, dtype=np.int32),
        "log_load": np.zeros((2 * trips, dims)),
        "log_vehicle": np.zeros(2 * vehicles, dtype=VEHICLE),
        "log_vehicle_id": np.zeros(2 * vehicles, dtype=np.int32),
        "log_used": np.zeros(len(classes), dtype=np.int64),
        "log_absent": np.zeros(requests + 1, dtype=np.int32),
        "seen": np.zeros(nodes, dtype=np.int64),
    }
