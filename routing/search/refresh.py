"""What is known of a trip and a vehicle after a change: segments, loads, times, energy and cost."""

from __future__ import annotations

from routing.compiled import compiled_together
from routing.search.lateness import lateness_cost
from routing.search.segments import EPS, INF, join
from routing.search.world import (
    World,
    aboard,
    absent,
    active,
    base_energy,
    capacity_of,
    distance_of,
    duration_of,
    kind,
    load_energy,
    load_of,
    node,
    peak,
    request,
    trip,
    trip_load,
    vehicle,
)


@compiled_together
def refresh_trip(w: World, t: int) -> bool:
    """Recompute the trip's own figures; ``False`` where it can be flown at no time or is overloaded."""
    k = vehicle(w, trip(w, t).veh).cls
    p = kind(w, k).profile
    start = w.first + 2 * t
    dims = w.dims
    no_wait = kind(w, k).no_wait == 1
    for dim in range(dims):
        trip_load(w, t, dim).x = 0.0
    d, e, lt = 0.0, -INF, INF
    node(w, start).pre_d, node(w, start).pre_e, node(w, start).pre_l = d, e, lt
    distance = 0.0
    release = -INF
    visits = 0
    i = start
    while True:
        j = node(w, i).next
        a, b = node(w, i).place, node(w, j).place
        leg = distance_of(w, p, a, b)
        node(w, i).leg = leg
        distance += leg
        d, e, lt, wait = join(d, e, lt, duration_of(w, p, a, b), node(w, j).service, node(w, j).early, node(w, j).late)
        if d == INF or (no_wait and wait > EPS):
            return False
        node(w, j).pre_d, node(w, j).pre_e, node(w, j).pre_l = d, e, lt
        if j == start + 1:
            break
        visits += 1
        r = j >> 1
        if request(w, r).pickup < 0:
            release = max(release, request(w, r).release)
            for dim in range(dims):
                trip_load(w, t, dim).x += load_of(w, r, dim)
        i = j
    if distance == INF or release > lt + EPS:
        return False
    trip(w, t).distance, trip(w, t).release, trip(w, t).visits = distance, release, visits
    trip(w, t).d, trip(w, t).e, trip(w, t).l = d, e, lt
    _refresh_suffixes(w, t, p)
    return refresh_loads(w, t, k)


@compiled_together
def _refresh_suffixes(w: World, t: int, p: int) -> None:
    start = w.first + 2 * t
    j = start + 1
    d, e, lt = 0.0, -INF, INF
    node(w, j).suf_d, node(w, j).suf_e, node(w, j).suf_l = d, e, lt
    while j != start:
        i = node(w, j).prev
        d, e, lt, _ = join(
            node(w, i).service,
            node(w, i).early,
            node(w, i).late,
            duration_of(w, p, node(w, i).place, node(w, j).place),
            d,
            e,
            lt,
        )
        node(w, i).suf_d, node(w, i).suf_e, node(w, i).suf_l = d, e, lt
        j = i


@compiled_together
def refresh_loads(w: World, t: int, k: int) -> bool:
    dims = w.dims
    for dim in range(dims):
        if trip_load(w, t, dim).x > capacity_of(w, k, dim) + EPS:
            return False
        peak(w, t, dim).x = trip_load(w, t, dim).x
    if not (w.paired or w.slow):
        return True
    p = kind(w, k).profile
    start = w.first + 2 * t
    energetic = kind(w, k).energetic == 1
    energy = 0.0
    for dim in range(dims):
        aboard(w, start, dim).x = trip_load(w, t, dim).x
    i = start
    while i != start + 1:
        j = node(w, i).next
        if energetic:
            a, b = node(w, i).place, node(w, j).place
            energy += base_energy(w, p, a, b) + load_energy(w, p, a, b) * aboard(w, i, 0).x
        if j == start + 1:
            break
        sign = 1.0 if j & 1 == 0 else -1.0
        for dim in range(dims):
            aboard(w, j, dim).x = aboard(w, i, dim).x + sign * load_of(w, j >> 1, dim)
            if aboard(w, j, dim).x > capacity_of(w, k, dim) + EPS:
                return False
        i = j
    return not energetic or energy <= kind(w, k).energy_limit + EPS


@compiled_together
def refresh_vehicle(w: World, v: int) -> bool:
    """Recompute times, trips' bounds and cost of a vehicle whose trips are fresh; ``False``: it breaks a limit."""
    c = kind(w, vehicle(w, v).cls)
    ready = c.shift_from + c.first_load
    distance = 0.0
    visits = 0
    t = vehicle(w, v).first
    while t >= 0:
        leave = max(ready, trip(w, t).release)
        if leave > trip(w, t).l + EPS:
            return False
        trip(w, t).ready = ready
        trip(w, t).back = max(leave, trip(w, t).e) + trip(w, t).d
        ready = trip(w, t).back + c.reload
        distance += trip(w, t).distance
        visits += trip(w, t).visits
        w.version += 1
        trip(w, t).version = w.version
        t = trip(w, t).next
    latest = c.shift_to
    t = vehicle(w, v).last
    while t >= 0:
        if trip(w, t).back > latest + EPS:
            return False
        trip(w, t).latest = latest
        latest = min(trip(w, t).l, latest - trip(w, t).d) - c.reload
        t = trip(w, t).prev
    if distance > c.max_distance + EPS or vehicle(w, v).trips > c.max_trips:
        return False
    vehicle(w, v).distance, vehicle(w, v).visits = distance, visits
    cost = c.fixed_cost + c.trip_cost * vehicle(w, v).trips + c.distance_cost * distance
    if c.spanned:
        span = _refresh_span(w, v)
        if span > c.max_duration + EPS:
            return False
        cost += c.duration_cost * span
    if w.late:
        cost += lateness_cost(w, v, -1, -1, -1, -1)
    vehicle(w, v).cost = cost
    return True


@compiled_together
def _refresh_span(w: World, v: int) -> float:
    """Least time from first departure to last return, and the segments of the trips before and after each trip."""
    reload = kind(w, vehicle(w, v).cls).reload
    d, e, lt = 0.0, -INF, INF
    way = 0.0
    t = vehicle(w, v).first
    while t >= 0:
        trip(w, t).pre_d, trip(w, t).pre_e, trip(w, t).pre_l = d, e, lt
        d, e, lt, _ = join(d, e, lt, way, trip(w, t).d, max(trip(w, t).e, trip(w, t).release), trip(w, t).l)
        way = reload
        t = trip(w, t).next
    span = d
    d, e, lt = 0.0, -INF, INF
    way = 0.0
    t = vehicle(w, v).last
    while t >= 0:
        trip(w, t).suf_d, trip(w, t).suf_e, trip(w, t).suf_l = d, e, lt
        d, e, lt, _ = join(trip(w, t).d, max(trip(w, t).e, trip(w, t).release), trip(w, t).l, way, d, e, lt)
        way = reload
        t = trip(w, t).prev
    return span


@compiled_together
def solution_cost(w: World) -> float:
    """Cost of all vehicles and of what is left out, summed anew."""
    cost = 0.0
    for x in range(w.actives):
        cost += vehicle(w, active(w, x).x).cost
    for x in range(w.absents):
        cost += request(w, absent(w, x).x).prize
    return cost
