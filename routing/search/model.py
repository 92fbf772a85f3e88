"""The numeric model that the search works on: requests, classes of vehicles and what their movements cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

AT_START = -1
"""A request's pickup place when its parcels are loaded where its trip starts, before the trip."""


@dataclass(frozen=True, slots=True, eq=False)
class SearchModel:
    """A routing problem in numbers. P movement profiles, N places, R requests, V classes of vehicles, D load units.

    Matrices, by profile: ``distance``, ``duration``, and energy ``energy_base + energy_per_load * load[0]`` of the
    load aboard, shape (P, N, N); infinite: no way. Energy is left out where a class's ``energy_limit`` is infinite.

    Requests: ``pickup`` (place or ``AT_START``) and ``dropoff`` place; ``load`` (R, D); hard windows ``pickup_from``,
    ``pickup_to``, ``drop_from``, ``drop_to`` for the beginning of service, which takes ``pickup_service`` and
    ``drop_service``; ``release``: a trip that loads it at its start cannot leave before; each unit of time after
    ``due`` costs ``late_cost``; leaving it out costs ``prize`` (infinite: it must be served); ``allowed`` (R, V).

    Classes: ``count`` vehicles each; ``profile``; ``start`` and ``end`` place (``end`` is -1 for open routes);
    ``capacity`` (V, D), compartments (``slots``, 0: any number of requests aboard); ``shift_from``, ``shift_to``;
    ``fixed_cost`` of a vehicle that is used, ``trip_cost`` of each trip, ``distance_cost``, ``duration_cost`` (from
    its first departure until its last return, waiting included); at most ``max_trips`` trips, ``reload_time`` before
    each trip (the first: ``first_load_time``), which may start and end at ``start`` only; ``max_distance`` and
    ``max_duration`` of a vehicle's whole route; ``energy_limit`` of a trip. ``may_wait``: vehicles may wait before a
    window begins; where not, the departure of the trip moves instead (drones cannot hover at a customer's).
    """

    distance: Floats
    duration: Floats
    energy_base: Floats
    energy_per_load: Floats
    pickup: Ints
    dropoff: Ints
    load: Floats
    pickup_from: Floats
    pickup_to: Floats
    pickup_service: Floats
    drop_from: Floats
    drop_to: Floats
    drop_service: Floats
    release: Floats
    due: Floats
    late_cost: Floats
    prize: Floats
    allowed: Bools
    count: Ints
    profile: Ints
    start: Ints
    end: Ints
    capacity: Floats
    slots: Ints
    shift_from: Floats
    shift_to: Floats
    fixed_cost: Floats
    trip_cost: Floats
    distance_cost: Floats
    duration_cost: Floats
    max_trips: Ints
    first_load_time: Floats
    reload_time: Floats
    max_distance: Floats
    max_duration: Floats
    energy_limit: Floats
    may_wait: Bools


Visit = int
"""``2 * request`` picks a request up (where it has a pickup place), ``2 * request + 1`` drops it."""

SearchTrip = tuple[Visit, ...]


@dataclass(frozen=True, slots=True)
class SearchRoute:
    """A vehicle of a class and its trips, in sequence."""

    vehicle_class: int
    trips: tuple[SearchTrip, ...]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The best routes found, the requests left out, and the cost of both.

    ``feasible``: every request with an infinite prize is served. ``progress`` holds (seconds, cost) of each better
    solution, ``iterations`` what was tried.
    """

    routes: tuple[SearchRoute, ...]
    left_out: tuple[int, ...]
    cost: float
    feasible: bool
    seconds: float
    iterations: int
    progress: tuple[tuple[float, float], ...]
