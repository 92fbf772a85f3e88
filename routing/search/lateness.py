"""Trips under trial, visit by visit: their energy and what their lateness costs."""

from __future__ import annotations

from routing.compiled import compiled_together
from routing.search.segments import INF, join
from routing.search.world import (
    World,
    base_energy,
    buffer,
    duration_of,
    kind,
    load_energy,
    load_of,
    node,
    request,
    trip,
    vehicle,
)


@compiled_together
def fill(w: World, t: int, r: int, after: int, then: int) -> int:
    """Write trip ``t`` to the buffer, with request ``r`` (-1: none) put in; the number of visits.

    ``after`` is the node that the pickup follows, and ``then`` the one that the drop-off follows (-1: the pickup
    itself); where it is loaded at the start, ``after`` is what the drop-off follows.
    """
    start = w.first + 2 * t
    n = 0
    i = start
    while i != start + 1:
        if i != start:
            buffer(w, n).x = i
            n += 1
        if r >= 0 and i == after:
            if request(w, r).pickup >= 0:
                buffer(w, n).x = 2 * r
                n += 1
            if request(w, r).pickup < 0 or then < 0:
                buffer(w, n).x = 2 * r + 1
                n += 1
        if r >= 0 and i == then:
            buffer(w, n).x = 2 * r + 1
            n += 1
        i = node(w, i).next
    return n


@compiled_together
def buffer_energy(w: World, k: int, n: int) -> float:
    """Energy of the trip in the buffer, flown by class ``k``."""
    p, place = kind(w, k).profile, kind(w, k).start
    load = 0.0
    for x in range(n):
        if buffer(w, x).x & 1 and request(w, buffer(w, x).x >> 1).pickup < 0:
            load += load_of(w, buffer(w, x).x >> 1, 0)
    energy = 0.0
    for x in range(n):
        visit = buffer(w, x).x
        to = node(w, visit).place
        energy += base_energy(w, p, place, to) + load_energy(w, p, place, to) * load
        load += -load_of(w, visit >> 1, 0) if visit & 1 else load_of(w, visit >> 1, 0)
        place = to
    to = kind(w, k).end
    return float(energy + base_energy(w, p, place, to) + load_energy(w, p, place, to) * load)


@compiled_together
def _buffer_leave(w: World, k: int, n: int, at: float) -> float:
    """When the trip in the buffer leaves, at the earliest ``at``: later where its releases or windows ask for it."""
    p, place = kind(w, k).profile, kind(w, k).start
    d, e, lt = 0.0, -INF, INF
    for x in range(n):
        visit = buffer(w, x).x
        r = visit >> 1
        if request(w, r).pickup < 0:
            at = max(at, request(w, r).release)
        j = node(w, visit)
        d, e, lt, _ = join(d, e, lt, duration_of(w, p, place, j.place), j.service, j.early, j.late)
        place = j.place
    return max(at, e) if kind(w, k).no_wait else at


@compiled_together
def _run_buffer(w: World, k: int, n: int, leave: float) -> tuple[float, float]:
    """Return time and lateness cost of the trip in the buffer when it leaves at ``leave``."""
    p, place = kind(w, k).profile, kind(w, k).start
    now = leave
    late = 0.0
    for x in range(n):
        visit = buffer(w, x).x
        to = node(w, visit).place
        now = max(now + duration_of(w, p, place, to), node(w, visit).early)
        if visit & 1:
            late += request(w, visit >> 1).late_cost * max(0.0, now - request(w, visit >> 1).due)
        now += node(w, visit).service
        place = to
    return now + duration_of(w, p, place, kind(w, k).end), late


@compiled_together
def _run_vehicle(
    w: World, v: int, t: int, r: int, after: int, then: int, not_before: float
) -> tuple[float, float, float]:
    """First departure, last return and lateness cost of a vehicle, every trip leaving as early as it can."""
    c = kind(w, vehicle(w, v).cls)
    ready = max(c.shift_from + c.first_load, not_before)
    late = 0.0
    first = INF
    now = ready
    u = vehicle(w, v).first
    while u >= 0:
        n = fill(w, u, r if u == t else -1, after, then)
        leave = _buffer_leave(w, vehicle(w, v).cls, n, ready)
        first = min(first, leave)
        now, more = _run_buffer(w, vehicle(w, v).cls, n, leave)
        late += more
        ready = now + c.reload
        u = trip(w, u).next
    return first, now, late


@compiled_together
def lateness_cost(w: World, v: int, t: int, r: int, after: int, then: int) -> float:
    """Cost of lateness, with ``r`` put into trip ``t``.

    Vehicles leave as early as they can. Where duration costs, the latest first departure with the same last
    return is tried too, and the cheaper of the two counts; what it costs beyond the least duration is added here.
    """
    c = kind(w, vehicle(w, v).cls)
    first, back, late = _run_vehicle(w, v, t, r, after, then, -INF)
    if c.duration_cost <= 0.0:
        return late
    tight = _tight_departure(w, v, t, r, after, then)
    first_tight, back_tight, late_tight = _run_vehicle(w, v, t, r, after, then, max(tight, first))
    least = back_tight - first_tight
    return float(min(late + c.duration_cost * (back - first - least), late_tight))


@compiled_together
def _tight_departure(w: World, v: int, t: int, r: int, after: int, then: int) -> float:
    """The latest first departure that does not delay the last return, if that is forced by waiting."""
    k = vehicle(w, v).cls
    c = kind(w, k)
    d, e, lt = 0.0, -INF, INF
    way = 0.0
    u = vehicle(w, v).first
    while u >= 0:
        n = fill(w, u, r if u == t else -1, after, then)
        place = c.start
        release = -INF
        td, te, tl = 0.0, -INF, INF
        for x in range(n):
            j = node(w, buffer(w, x).x)
            if request(w, buffer(w, x).x >> 1).pickup < 0:
                release = max(release, request(w, buffer(w, x).x >> 1).release)
            td, te, tl, _ = join(td, te, tl, duration_of(w, c.profile, place, j.place), j.service, j.early, j.late)
            place = j.place
        td += duration_of(w, c.profile, place, c.end)
        d, e, lt, _ = join(d, e, lt, way, td, max(te, release), tl)
        way = c.reload
        u = trip(w, u).next
    return e
