"""Where one more request costs least: evaluated in constant time for each place of each trip."""

from __future__ import annotations

import numpy as np

from routing.compiled import compiled_together
from routing.search.dice import uniform
from routing.search.lateness import buffer_energy
from routing.search.segments import EPS, INF, join
from routing.search.trial import span_with, try_gap, try_pair
from routing.search.world import (
    World,
    active,
    allows,
    buffer,
    capacity_of,
    distance_of,
    duration_of,
    found,
    kind,
    load_of,
    near_visit,
    node,
    request,
    seen,
    trip,
    vehicle,
)

NEW_VEHICLE = -1


@compiled_together
def alone(w: World, r: int, k: int) -> tuple[float, float, float, float]:
    """Distance and segment of a trip of class ``k`` that serves ``r`` only; infinite distance: it cannot."""
    c = kind(w, k)
    p, x = c.profile, c.start
    if not allows(w, r, k):
        return INF, 0.0, 0.0, 0.0
    for dim in range(w.dims):
        if load_of(w, r, dim) > capacity_of(w, k, dim) + EPS:
            return INF, 0.0, 0.0, 0.0
    d, e, lt = 0.0, -INF, INF
    distance = 0.0
    for visit in range(2 * r if request(w, r).pickup >= 0 else 2 * r + 1, 2 * r + 2):
        j = node(w, visit)
        distance += distance_of(w, p, x, j.place)
        d, e, lt, wait = join(d, e, lt, duration_of(w, p, x, j.place), j.service, j.early, j.late)
        if d == INF or (c.no_wait and wait > EPS):
            return INF, 0.0, 0.0, 0.0
        x = j.place
    distance += distance_of(w, p, x, c.end)
    d += duration_of(w, p, x, c.end)
    if request(w, r).pickup < 0:
        if request(w, r).release > lt + EPS:
            return INF, 0.0, 0.0, 0.0
        e = max(e, request(w, r).release)
    if c.energetic and not _energy_alone(w, r, k):
        return INF, 0.0, 0.0, 0.0
    return distance, d, e, lt


@compiled_together
def _energy_alone(w: World, r: int, k: int) -> bool:
    n = 0
    if request(w, r).pickup >= 0:
        buffer(w, n).x = 2 * r
        n += 1
    buffer(w, n).x = 2 * r + 1
    return bool(buffer_energy(w, k, n + 1) <= kind(w, k).energy_limit + EPS)


@compiled_together
def _own_lateness(w: World, r: int, k: int, back: float) -> float:
    """Lateness cost of a trip with ``r`` alone that returns at ``back``."""
    if not w.late:
        return 0.0
    drop = back - duration_of(w, kind(w, k).profile, request(w, r).dropoff, kind(w, k).end) - node(w, 2 * r + 1).service
    return float(request(w, r).late_cost * max(0.0, drop - request(w, r).due))


@compiled_together
def _try_new_trips(w: World, r: int, k: int, distance: float, d: float, e: float, lt: float, best: float) -> float:
    """A trip of its own for ``r`` with each vehicle of class ``k`` in use, before or after each of its trips.

    Many places cost the same: one with much time to spare is taken, so that trips do not crowd in few vehicles.
    """
    c = kind(w, k)
    spare_best = -INF
    if c.trip_cost + c.distance_cost * distance >= best:
        return best
    for x in range(w.actives):
        v = active(w, x).x
        car = vehicle(w, v)
        if car.cls != k or car.trips >= c.max_trips or car.distance + distance > c.max_distance + EPS:
            continue
        before, follow = -1, car.first
        while True:
            ready = c.shift_from + c.first_load if before < 0 else trip(w, before).back + c.reload
            latest = c.shift_to
            if follow >= 0:
                latest = min(trip(w, follow).l, trip(w, follow).latest - trip(w, follow).d) - c.reload
            if ready <= lt + EPS and max(ready, e) + d <= latest + EPS:
                cost = c.trip_cost + c.distance_cost * distance + _own_lateness(w, r, k, max(ready, e) + d)
                if c.spanned and cost < best:
                    cost += _span_cost(w, before, follow, k, d, e, lt)
                spare = (latest - max(ready, e) - d) * uniform(w)
                if cost < best - EPS or (cost < best + EPS and spare > spare_best > -INF):
                    best = min(best, cost)
                    spare_best = spare
                    _found(w, v, -1, before, -1, k, cost)
            if follow < 0:
                break
            before, follow = follow, trip(w, follow).next
    return best


@compiled_together
def _span_cost(w: World, before: int, follow: int, k: int, d: float, e: float, lt: float) -> float:
    """What a new trip (d, e, lt) between two trips adds to the duration's cost; infinite: it breaks the limit."""
    c = kind(w, k)
    old = 0.0
    if before >= 0:
        own = trip(w, before)
        old = span_with(w, before, own.d, max(own.e, own.release), own.l)
        pd, pe, pl = own.d, max(own.e, own.release), own.l
        if own.prev >= 0:
            pd, pe, pl, _ = join(own.pre_d, own.pre_e, own.pre_l, c.reload, pd, pe, pl)
        d, e, lt, _ = join(pd, pe, pl, c.reload, d, e, lt)
    if follow >= 0 and d < INF:
        own = trip(w, follow)
        old = span_with(w, follow, own.d, max(own.e, own.release), own.l)
        sd, se, sl = own.d, max(own.e, own.release), own.l
        if own.next >= 0:
            sd, se, sl, _ = join(sd, se, sl, c.reload, own.suf_d, own.suf_e, own.suf_l)
        d, e, lt, _ = join(d, e, lt, c.reload, sd, se, sl)
    if d > c.max_duration + EPS:
        return INF
    return float(c.duration_cost * (d - old))


@compiled_together
def _found(w: World, v: int, t: int, after: int, then: int, k: int, cost: float) -> None:
    place = found(w, 0)
    place.vehicle, place.trip, place.after, place.then, place.cls, place.cost = v, t, after, then, k, cost


@compiled_together
def _try_new(w: World, r: int, best: float, blink: float) -> float:
    """New trips and new vehicles."""
    for k in range(w.classes):
        c = kind(w, k)
        more = c.used < c.count and w.actives < w.fleet
        if not more and c.max_trips < 2:
            continue
        if blink > 0.0 and uniform(w) < blink:
            continue
        distance, d, e, lt = alone(w, r, k)
        if distance == INF:
            continue
        if more and distance <= c.max_distance + EPS and not (c.spanned and d > c.max_duration + EPS):
            ready = c.shift_from + c.first_load
            if ready <= lt + EPS and max(ready, e) + d <= c.shift_to + EPS:
                cost = c.fixed_cost + c.trip_cost + c.distance_cost * distance
                cost += c.duration_cost * d + _own_lateness(w, r, k, max(ready, e) + d)
                if cost < best:
                    best = cost
                    _found(w, NEW_VEHICLE, -1, -1, -1, k, cost)
        if c.max_trips > 1 and c.used > 0:
            best = _try_new_trips(w, r, k, distance, d, e, lt, best)
    return best


@compiled_together
def _try_near(w: World, r: int, best: float, blink: float) -> float:
    """Places beside the visits near ``r``."""
    w.stamp += 1
    stamp = w.stamp
    if request(w, r).pickup >= 0:
        for visit in range(2 * r, 2 * r + 2):
            for x in range(w.nears):
                t = node(w, near_visit(w, visit, x)).trip if near_visit(w, visit, x) >= 0 else -1
                if t < 0 or seen(w, w.first + 2 * t).x == stamp:
                    continue
                seen(w, w.first + 2 * t).x = stamp
                best = _try_trip(w, r, t, best, blink)
        return best
    for x in range(w.nears):
        y = near_visit(w, 2 * r + 1, x)
        if y < 0 or node(w, y).trip < 0:
            continue
        for i in (y, node(w, y).prev):
            if seen(w, i).x == stamp:
                continue
            seen(w, i).x = stamp
            if blink > 0.0 and uniform(w) < blink:
                continue
            cost, k = try_gap(w, r, i, best)
            if cost < best:
                best = cost
                _found(w, trip(w, node(w, i).trip).veh, node(w, i).trip, i, -1, k, cost)
    return best


@compiled_together
def _try_trip(w: World, r: int, t: int, best: float, blink: float) -> float:
    """All places in trip ``t``."""
    v = trip(w, t).veh
    if request(w, r).pickup >= 0:
        if blink > 0.0 and uniform(w) < blink:
            return best
        cost, after, then = try_pair(w, r, t, best)
        if cost < best:
            best = cost
            _found(w, v, t, after, then, vehicle(w, v).cls, cost)
        return best
    start = w.first + 2 * t
    i = start
    while i != start + 1:
        if not (blink > 0.0 and uniform(w) < blink):
            cost, k = try_gap(w, r, i, best)
            if cost < best:
                best = cost
                _found(w, v, t, i, -1, k, cost)
        i = node(w, i).next
    return best


@compiled_together
def best_insertion(w: World, r: int, limit: float, blink: float, everywhere: bool) -> float:
    """Find the cheapest place for ``r`` under ``limit``, into ``found``; each is passed over with chance ``blink``.

    Places beside near visits are tried, all others too where none of those will do or with ``everywhere``
    (blinks: Christiaens & Vanden Berghe 2020, section 5.4). Returns the cost; infinite: none.
    """
    best = limit
    if not everywhere:
        best = _try_near(w, r, best, blink)
    if not everywhere:
        best = _try_new(w, r, best, blink)
    if everywhere or (best >= limit and near_visit(w, 2 * r + 1, w.nears - 1) >= 0):
        for x in range(w.actives):
            t = vehicle(w, active(w, x).x).first
            while t >= 0:
                best = _try_trip(w, r, t, best, 0.0)
                t = trip(w, t).next
        best = _try_new(w, r, best, 0.0)
    return best if best < limit else np.inf
