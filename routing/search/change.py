"""Changes to a solution that can be undone: the first touch of a vehicle keeps what it was."""

from __future__ import annotations

from typing import Any

from routing.compiled import compiled_together
from routing.search.insertion import NEW_VEHICLE, best_insertion
from routing.search.links import change_class, close_trip, close_vehicle, link, open_trip, unlink
from routing.search.memory import assign
from routing.search.refresh import refresh_loads, refresh_trip, refresh_vehicle
from routing.search.world import (
    World,
    absent,
    active,
    allows,
    found,
    kind,
    log_absent,
    log_load,
    log_node,
    log_node_id,
    log_trip,
    log_trip_id,
    log_used,
    log_vehicle,
    log_vehicle_id,
    node,
    removed,
    request,
    trip,
    trip_load,
    vehicle,
)

DIRTY = -1
TRIP_END, VEHICLE_END = -1, -2
"""Marks in written solutions, after each trip and after each vehicle."""


@compiled_together
def begin(w: World) -> None:
    """Start a change: from here, ``undo`` brings back the present solution."""
    w.logged_nodes = 0
    w.logged_trips = 0
    w.logged_vehicles = 0
    w.removals = 0
    w.stamp += 1
    for k in range(w.classes):
        log_used(w, k).x = kind(w, k).used
    for x in range(w.absents):
        log_absent(w, x).x = absent(w, x).x
    w.logged_absents = w.absents


@compiled_together
def _log_trip(w: World, t: int) -> None:
    n = w.logged_trips
    assign(log_trip(w, n), trip(w, t))
    log_trip_id(w, n).x = t
    for dim in range(w.dims):
        log_load(w, n, dim).x = trip_load(w, t, dim).x
    w.logged_trips = n + 1


@compiled_together
def touch(w: World, v: int, stamp: int) -> None:
    """Keep vehicle ``v`` as it is, unless this change (known by ``stamp``) did already."""
    if vehicle(w, v).stamp == stamp:
        return
    n = w.logged_vehicles
    assign(log_vehicle(w, n), vehicle(w, v))
    log_vehicle_id(w, n).x = v
    w.logged_vehicles = n + 1
    vehicle(w, v).stamp = stamp
    if not vehicle(w, v).active:
        return
    t = vehicle(w, v).first
    m = w.logged_nodes
    while t >= 0:
        _log_trip(w, t)
        i = w.first + 2 * t
        end = i + 1
        while True:
            assign(log_node(w, m), node(w, i))
            log_node_id(w, m).x = i
            m += 1
            if i == end:
                break
            i = node(w, i).next
        t = trip(w, t).next
    w.logged_nodes = m


@compiled_together
def open_vehicle(w: World, k: int, stamp: int) -> int:
    """An unused vehicle slot for class ``k``, now active and without trips."""
    v = w.vehicle_cursor
    while vehicle(w, v).active:
        v = (v + 1) % w.vehicles
    w.vehicle_cursor = v
    touch(w, v, stamp)
    car = vehicle(w, v)
    car.cls, car.first, car.last, car.trips, car.visits, car.active = k, -1, -1, 0, 0, 1
    car.cost, car.distance = 0.0, 0.0
    car.index = w.actives
    active(w, car.index).x = v
    w.actives += 1
    kind(w, k).used += 1
    return int(v)


@compiled_together
def undo(w: World) -> None:
    """Bring back the solution at ``begin``."""
    for x in range(w.removals):
        node(w, 2 * removed(w, x).x).trip = -1
        node(w, 2 * removed(w, x).x + 1).trip = -1
    w.absents = w.logged_absents
    for x in range(w.absents):
        absent(w, x).x = log_absent(w, x).x
        node(w, 2 * absent(w, x).x).trip = -1
        node(w, 2 * absent(w, x).x + 1).trip = -1
    for x in range(w.logged_vehicles - 1, -1, -1):
        v = log_vehicle_id(w, x).x
        if vehicle(w, v).active and not log_vehicle(w, x).active:
            while vehicle(w, v).first >= 0:
                close_trip(w, vehicle(w, v).first)
            close_vehicle(w, v)
        elif log_vehicle(w, x).active and not vehicle(w, v).active:
            vehicle(w, v).index = w.actives
            active(w, w.actives).x = v
            w.actives += 1
    for x in range(w.logged_vehicles - 1, -1, -1):
        v = log_vehicle_id(w, x).x
        index = vehicle(w, v).index
        t = vehicle(w, v).first if vehicle(w, v).active else -1
        while t >= 0:  # trips that this change opened
            follow = trip(w, t).next
            trip(w, t).veh = -1
            t = follow
        assign(vehicle(w, v), log_vehicle(w, x))
        vehicle(w, v).index = index
    for x in range(w.logged_trips - 1, -1, -1):
        t = log_trip_id(w, x).x
        assign(trip(w, t), log_trip(w, x))
        for dim in range(w.dims):
            trip_load(w, t, dim).x = log_load(w, x, dim).x
    for x in range(w.logged_nodes - 1, -1, -1):
        assign(node(w, log_node_id(w, x).x), log_node(w, x))
    for k in range(w.classes):
        kind(w, k).used = log_used(w, k).x
    if w.paired or w.slow:
        for x in range(w.logged_trips):
            t = log_trip_id(w, x).x
            refresh_loads(w, t, vehicle(w, trip(w, t).veh).cls)


@compiled_together
def take_out(w: World, visit: int, stamp: int) -> None:
    """Remove the request of ``visit``; its vehicle is stale until ``mend``."""
    r = visit >> 1
    t = node(w, 2 * r + 1).trip
    touch(w, trip(w, t).veh, stamp)
    unlink(w, 2 * r + 1)
    if request(w, r).pickup >= 0:
        unlink(w, 2 * r)
    trip(w, t).visits = DIRTY
    removed(w, w.removals).x = r
    w.removals += 1


@compiled_together
def empty_trip(w: World, t: int, stamp: int) -> None:
    """Remove all requests of trip ``t``."""
    start = w.first + 2 * t
    while node(w, start).next != start + 1:
        take_out(w, node(w, start).next, stamp)


@compiled_together
def mend(w: World, stamp: int) -> None:
    """Refresh the vehicles that lost requests; trips that cannot be flown so are emptied, empty ones given back."""
    for x in range(w.logged_vehicles):
        v = log_vehicle_id(w, x).x
        if not vehicle(w, v).active:
            continue
        t = vehicle(w, v).first
        while t >= 0:
            follow = trip(w, t).next
            if trip(w, t).visits == DIRTY:
                start = w.first + 2 * t
                if node(w, start).next != start + 1 and not refresh_trip(w, t):
                    empty_trip(w, t, stamp)
                if node(w, start).next == start + 1:
                    close_trip(w, t)
            t = follow
        if vehicle(w, v).trips > 0 and not refresh_vehicle(w, v):
            while vehicle(w, v).first >= 0:
                empty_trip(w, vehicle(w, v).first, stamp)
                close_trip(w, vehicle(w, v).first)
        if vehicle(w, v).trips == 0:
            close_vehicle(w, v)


@compiled_together
def put_in(w: World, r: int, stamp: int) -> bool:
    """Put ``r`` where ``found`` says; ``False`` (and nothing changed): it does not hold there after all."""
    place = found(w, 0)
    v, t, after, then, k = place.vehicle, place.trip, place.after, place.then, place.cls
    if v == NEW_VEHICLE:
        v = open_vehicle(w, k, stamp)
        t = open_trip(w, v, -1)
        after = w.first + 2 * t
        then = -1
    elif t < 0:
        touch(w, v, stamp)
        t = open_trip(w, v, after)
        after = w.first + 2 * t
        then = -1
    else:
        touch(w, v, stamp)
        if vehicle(w, v).cls != k:
            change_class(w, v, k)
    if request(w, r).pickup >= 0:
        link(w, after, 2 * r)
        link(w, 2 * r if then < 0 else then, 2 * r + 1)
    else:
        link(w, after, 2 * r + 1)
    if refresh_trip(w, t) and refresh_vehicle(w, v):
        return True
    _take_back(w, r, v, t)
    return False


@compiled_together
def _take_back(w: World, r: int, v: int, t: int) -> None:
    unlink(w, 2 * r + 1)
    if request(w, r).pickup >= 0:
        unlink(w, 2 * r)
    start = w.first + 2 * t
    if node(w, start).next == start + 1:
        close_trip(w, t)
    else:
        refresh_trip(w, t)
    if vehicle(w, v).trips == 0:
        close_vehicle(w, v)
    else:
        refresh_vehicle(w, v)


@compiled_together
def insert_all(w: World, blink: float, stamp: int) -> None:
    """Insert the removed requests in their sequence, each where it costs least; the rest becomes absent."""
    for x in range(w.removals):
        r = removed(w, x).x
        if best_insertion(w, r, request(w, r).prize, blink, False) < request(w, r).prize and put_in(w, r, stamp):
            continue
        absent(w, w.absents).x = r
        w.absents += 1


@compiled_together
def changed_cost(w: World) -> float:
    """How much dearer the solution is than at ``begin``."""
    cost = 0.0
    for x in range(w.logged_vehicles):
        cost += vehicle(w, log_vehicle_id(w, x).x).cost - log_vehicle(w, x).cost
    for x in range(w.absents):
        cost += request(w, absent(w, x).x).prize
    for x in range(w.logged_absents):
        cost -= request(w, log_absent(w, x).x).prize
    return cost


@compiled_together
def load_routes(w: World, numbers: Any) -> None:
    """Build the vehicles that ``save`` wrote into an empty solution; a vehicle that breaks a limit is left out."""
    stamp = w.stamp
    x = 1
    while x <= numbers[0]:
        k = numbers[x]
        x += 1
        if kind(w, k).used >= kind(w, k).count:
            while numbers[x] != VEHICLE_END:
                x += 1
            x += 1
            continue
        v = open_vehicle(w, k, stamp)
        t = -1
        good = True
        while numbers[x] != VEHICLE_END:
            t = open_trip(w, v, t)
            i = w.first + 2 * t
            while numbers[x] != TRIP_END:
                visit = numbers[x]
                good = good and allows(w, visit >> 1, k)
                link(w, i, visit)
                i = visit
                x += 1
            x += 1
            good = good and node(w, w.first + 2 * t).next != w.first + 2 * t + 1
            good = good and refresh_trip(w, t)
        x += 1
        if t < 0 or not good or not refresh_vehicle(w, v):
            while vehicle(w, v).first >= 0:
                t = vehicle(w, v).first
                start = w.first + 2 * t
                while node(w, start).next != start + 1:
                    unlink(w, node(w, start).next)
                close_trip(w, t)
            close_vehicle(w, v)
    w.absents = 0
    for r in range(w.requests):
        if node(w, 2 * r + 1).trip < 0:
            absent(w, w.absents).x = r
            w.absents += 1
