"""Which visits follow which: trips of vehicles, visits of trips."""

from __future__ import annotations

from routing.compiled import compiled_together
from routing.search.world import World, active, kind, node, trip, vehicle


@compiled_together
def close_vehicle(w: World, v: int) -> None:
    """Give a vehicle without trips back."""
    w.actives -= 1
    other = active(w, w.actives).x
    active(w, vehicle(w, v).index).x = other
    vehicle(w, other).index = vehicle(w, v).index
    vehicle(w, v).active = 0
    vehicle(w, v).cost = 0.0
    kind(w, vehicle(w, v).cls).used -= 1


@compiled_together
def open_trip(w: World, v: int, before: int) -> int:
    """A new empty trip of vehicle ``v`` after trip ``before`` (-1: as its first)."""
    t = w.trip_cursor
    while trip(w, t).veh >= 0:
        t = (t + 1) % w.trips
    w.trip_cursor = t
    start = w.first + 2 * t
    node(w, start).next, node(w, start + 1).prev = start + 1, start
    node(w, start).prev, node(w, start + 1).next = -1, -1
    node(w, start).trip, node(w, start + 1).trip = t, t
    trip(w, t).visits = 0
    link_trip(w, t, v, before)
    return int(t)


@compiled_together
def link_trip(w: World, t: int, v: int, before: int) -> None:
    """Make ``t`` a trip of vehicle ``v`` after its trip ``before`` (-1: as its first)."""
    follow = vehicle(w, v).first if before < 0 else trip(w, before).next
    trip(w, t).veh, trip(w, t).prev, trip(w, t).next = v, before, follow
    if before < 0:
        vehicle(w, v).first = t
    else:
        trip(w, before).next = t
    if follow < 0:
        vehicle(w, v).last = t
    else:
        trip(w, follow).prev = t
    vehicle(w, v).trips += 1
    place_trip(w, t)


@compiled_together
def place_trip(w: World, t: int) -> None:
    """Let a trip start and end where its vehicle's class does."""
    start = w.first + 2 * t
    k = vehicle(w, trip(w, t).veh).cls
    node(w, start).place, node(w, start + 1).place = kind(w, k).start, kind(w, k).end


@compiled_together
def close_trip(w: World, t: int) -> None:
    """Take a trip out of its vehicle; its visits stay with it."""
    v = trip(w, t).veh
    before, follow = trip(w, t).prev, trip(w, t).next
    if before < 0:
        vehicle(w, v).first = follow
    else:
        trip(w, before).next = follow
    if follow < 0:
        vehicle(w, v).last = before
    else:
        trip(w, follow).prev = before
    trip(w, t).veh = -1
    vehicle(w, v).trips -= 1


@compiled_together
def link(w: World, i: int, visit: int) -> None:
    """Put ``visit`` after node ``i``."""
    j = node(w, i).next
    node(w, i).next, node(w, visit).prev = visit, i
    node(w, visit).next, node(w, j).prev = j, visit
    node(w, visit).trip = node(w, i).trip


@compiled_together
def unlink(w: World, visit: int) -> None:
    """Take ``visit`` out of its trip."""
    i, j = node(w, visit).prev, node(w, visit).next
    node(w, i).next, node(w, j).prev = j, i
    node(w, visit).trip = -1


@compiled_together
def change_class(w: World, v: int, k: int) -> None:
    """Make ``v`` a vehicle of class ``k``; its trips are stale where starts, ends or profiles differ."""
    kind(w, vehicle(w, v).cls).used -= 1
    vehicle(w, v).cls = k
    kind(w, k).used += 1
    t = vehicle(w, v).first
    while t >= 0:
        place_trip(w, t)
        t = trip(w, t).next
