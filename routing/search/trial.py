"""What a request costs at one place of a trip: constant time where only windows and loads matter."""

from __future__ import annotations

from routing.compiled import compiled_together
from routing.search.lateness import buffer_energy, fill, lateness_cost
from routing.search.segments import EPS, INF, join
from routing.search.world import (
    World,
    aboard,
    allows,
    capacity_of,
    distance_into,
    distance_of,
    duration_into,
    duration_of,
    kind,
    load_of,
    node,
    request,
    trip,
    trip_load,
    vehicle,
)


@compiled_together
def _load_fits(w: World, r: int, t: int, k: int) -> bool:
    fits = True
    for dim in range(w.dims):
        fits = fits and trip_load(w, t, dim).x + load_of(w, r, dim) <= capacity_of(w, k, dim) + EPS
    return fits


@compiled_together
def _aboard_fits(w: World, r: int, t: int, i: int, k: int) -> bool:
    """Whether ``r``, loaded at the start and dropped after node ``i``, fits with what is picked up on the way."""
    x = w.first + 2 * t
    while True:
        for dim in range(w.dims):
            if aboard(w, x, dim).x + load_of(w, r, dim) > capacity_of(w, k, dim) + EPS:
                return False
        if x == i:
            return True
        x = node(w, x).next


@compiled_together
def span_with(w: World, t: int, d: float, e: float, lt: float) -> float:
    """Duration of the vehicle's whole route with segment (d, e, lt) as its trip ``t``; infinite where it cannot be."""
    own = trip(w, t)
    reload = kind(w, vehicle(w, own.veh).cls).reload
    if own.prev >= 0:
        d, e, lt, _ = join(own.pre_d, own.pre_e, own.pre_l, reload, d, e, lt)
    if own.next >= 0 and d < INF:
        d, e, lt, _ = join(d, e, lt, reload, own.suf_d, own.suf_e, own.suf_l)
    return d


@compiled_together
def _dearer(w: World, t: int, k: int, added: float, d: float, e: float, lt: float, limit: float) -> float:
    """What trip ``t`` as segment (d, e, lt), ``added`` longer, adds to its vehicle's cost as one of class ``k``."""
    v = trip(w, t).veh
    car = vehicle(w, v)
    c = kind(w, k)
    if car.distance + added > c.max_distance + EPS:
        return INF
    if car.cls == k:
        cost = c.distance_cost * added
        if not c.spanned:
            return float(cost)
        span = span_with(w, t, d, e, lt)
        if span > c.max_duration + EPS:
            return INF
        if c.duration_cost > 0.0:
            cost += c.duration_cost * (
                span - span_with(w, t, trip(w, t).d, max(trip(w, t).e, trip(w, t).release), trip(w, t).l)
            )
        return float(cost)
    cost = c.fixed_cost + c.trip_cost * car.trips + c.distance_cost * (car.distance + added) - car.cost
    if c.spanned:
        cost += c.duration_cost * span_with(w, t, d, e, lt)
    return float(cost)


@compiled_together
def _slow_cost(w: World, r: int, t: int, after: int, then: int, k: int) -> float:
    """What lateness adds; infinite where the trip has not the energy."""
    if kind(w, k).energetic:
        n = fill(w, t, r, after, then)
        if buffer_energy(w, k, n) > kind(w, k).energy_limit + EPS:
            return INF
    if not w.late:
        return 0.0
    v = trip(w, t).veh
    return lateness_cost(w, v, t, r, after, then) - lateness_cost(w, v, -1, -1, -1, -1)


@compiled_together
def _bigger_class(w: World, r: int, t: int, added: float, d: float, e: float, lt: float) -> tuple[float, int]:
    """The cheapest class of the same family that can carry ``r`` too."""
    v = trip(w, t).veh
    k = vehicle(w, v).cls
    best, chosen = INF, k
    for other in range(w.classes):
        c = kind(w, other)
        if other == k or c.family != kind(w, k).family or c.used >= c.count or not _load_fits(w, r, t, other):
            continue
        cost = _dearer(w, t, other, added, d, e, lt, INF)
        if cost < best:
            best, chosen = cost, other
    return best, chosen


@compiled_together
def try_gap(w: World, r: int, i: int, limit: float) -> tuple[float, int]:
    """Cost of dropping ``r`` (loaded at the start) after node ``i``, and the vehicle's class then; infinite: no way."""
    t = node(w, i).trip
    v = trip(w, t).veh
    k = vehicle(w, v).cls
    p = kind(w, k).profile
    j = node(w, i).next
    x, a, b = request(w, r).dropoff, node(w, i).place, node(w, j).place
    added = distance_into(w, p, x, a) + distance_of(w, p, x, b) - node(w, i).leg
    if not (kind(w, k).distance_cost * added < limit and allows(w, r, k)):
        return INF, k
    fits = _load_fits(w, r, t, k)
    if not fits and not (w.upgrades and vehicle(w, v).trips == 1):
        return INF, k
    if w.paired and not (fits and _aboard_fits(w, r, t, i, k)):
        return INF, k
    d, e, lt = 0.0, -INF, INF
    if w.timed:
        visit = 2 * r + 1
        no_wait = kind(w, k).no_wait == 1
        d, e, lt, wait = join(
            node(w, i).pre_d, node(w, i).pre_e, node(w, i).pre_l,
            duration_into(w, p, x, a), node(w, visit).service, node(w, visit).early, node(w, visit).late,
        )  # fmt: skip
        if d == INF or (no_wait and wait > EPS):
            return INF, k
        d, e, lt, wait = join(d, e, lt, duration_of(w, p, x, b), node(w, j).suf_d, node(w, j).suf_e, node(w, j).suf_l)
        if d == INF or (no_wait and wait > EPS):
            return INF, k
        release = max(trip(w, t).release, request(w, r).release)
        leave = max(trip(w, t).ready, release)
        if leave > lt + EPS or max(leave, e) + d > trip(w, t).latest + EPS:
            return INF, k
        e = max(e, release)
    if fits:
        cost = _dearer(w, t, k, added, d, e, lt, limit)
    else:
        cost, k = _bigger_class(w, r, t, added, d, e, lt)
    if cost < limit and w.slow:
        cost += _slow_cost(w, r, t, i, -1, k)
    return cost, k


@compiled_together
def try_pair(w: World, r: int, t: int, limit: float) -> tuple[float, int, int]:
    """The cheapest places in trip ``t`` for the pickup and the drop-off of ``r``: cost and the nodes they follow."""
    k = vehicle(w, trip(w, t).veh).cls
    c = kind(w, k)
    p = c.profile
    best, best_after, best_then = limit, -1, -1
    if not allows(w, r, k):
        return INF, -1, -1
    no_wait = c.no_wait == 1
    up, down = node(w, 2 * r), node(w, 2 * r + 1)
    leave = max(trip(w, t).ready, trip(w, t).release)
    start = w.first + 2 * t
    i = start
    while i != start + 1:
        j = node(w, i).next
        detour = (
            distance_of(w, p, node(w, i).place, up.place)
            + distance_of(w, p, up.place, node(w, j).place)
            - node(w, i).leg
        )
        d, e, lt, wait = join(
            node(w, i).pre_d, node(w, i).pre_e, node(w, i).pre_l,
            duration_of(w, p, node(w, i).place, up.place), up.service, up.early, up.late,
        )  # fmt: skip
        if d == INF or leave > lt + EPS:
            break
        if (no_wait and wait > EPS) or not _room(w, r, i, k) or detour * c.distance_cost >= best:
            i = j
            continue
        way = distance_of(w, p, node(w, i).place, up.place) - node(w, i).leg
        a, b, a_place = -1, j, up.place
        while True:
            added = way + distance_of(w, p, a_place, down.place) + distance_of(w, p, down.place, node(w, b).place)
            if added * c.distance_cost < best:
                d2, e2, l2, wait2 = join(
                    d, e, lt, duration_of(w, p, a_place, down.place), down.service, down.early, down.late
                )
                if d2 == INF:
                    break
                if not (no_wait and wait2 > EPS):
                    d2, e2, l2, wait2 = join(
                        d2,
                        e2,
                        l2,
                        duration_of(w, p, down.place, node(w, b).place),
                        node(w, b).suf_d,
                        node(w, b).suf_e,
                        node(w, b).suf_l,
                    )
                    if (
                        d2 < INF
                        and not (no_wait and wait2 > EPS)
                        and leave <= l2 + EPS
                        and max(leave, e2) + d2 <= trip(w, t).latest + EPS
                    ):
                        cost = _dearer(w, t, k, added, d2, max(e2, trip(w, t).release), l2, best)
                        if cost < best and w.slow:
                            cost += _slow_cost(w, r, t, i, a, k)
                        if cost < best:
                            best, best_after, best_then = cost, i, a
            if b == start + 1 or not _room(w, r, b, k):
                break
            d, e, lt, wait = join(
                d,
                e,
                lt,
                duration_of(w, p, a_place, node(w, b).place),
                node(w, b).service,
                node(w, b).early,
                node(w, b).late,
            )
            if d == INF or leave > lt + EPS or (no_wait and wait > EPS):
                break
            way += distance_of(w, p, a_place, node(w, b).place)
            a, a_place = b, node(w, b).place
            b = node(w, b).next
            way -= node(w, a).leg
        i = j
    if best_after < 0:
        return INF, -1, -1
    return best, best_after, best_then


@compiled_together
def _room(w: World, r: int, i: int, k: int) -> bool:
    fits = True
    for dim in range(w.dims):
        fits = fits and aboard(w, i, dim).x + load_of(w, r, dim) <= capacity_of(w, k, dim) + EPS
    return fits
