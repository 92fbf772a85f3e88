"""Which vehicle makes a trip: other classes for vehicles, other vehicles for trips."""

from __future__ import annotations

from routing.compiled import compiled_together
from routing.search.change import open_vehicle, touch
from routing.search.dice import below
from routing.search.insertion import NEW_VEHICLE
from routing.search.links import change_class, close_trip, close_vehicle, link_trip
from routing.search.refresh import refresh_trip, refresh_vehicle
from routing.search.world import World, active, capacity_of, kind, log_vehicle_id, node, peak, trip, vehicle


@compiled_together
def refit(w: World, stamp: int) -> None:
    """Give each touched vehicle the class of its family that serves its one trip at least cost."""
    for x in range(w.logged_vehicles):
        v = log_vehicle_id(w, x).x
        if vehicle(w, v).active and vehicle(w, v).trips == 1:
            k = _cheapest_class(w, v)
            if k != vehicle(w, v).cls:
                change_class(w, v, k)
                refresh_trip(w, vehicle(w, v).first)
                refresh_vehicle(w, v)


@compiled_together
def _cheapest_class(w: World, v: int) -> int:
    """The free class of the family with the least cost for the vehicle as it is."""
    old = vehicle(w, v).cls
    t = vehicle(w, v).first
    chosen, best = old, class_cost(w, v, old)
    for k in range(w.classes):
        if k == old or kind(w, k).family != kind(w, old).family or kind(w, k).used >= kind(w, k).count:
            continue
        if fits_class(w, t, k):
            cost = class_cost(w, v, k)
            if cost < best - 1e-9:
                chosen, best = k, cost
    return int(chosen)


@compiled_together
def fits_class(w: World, t: int, k: int) -> bool:
    """Whether class ``k`` can carry what trip ``t`` does."""
    fits = True
    for dim in range(w.dims):
        fits = fits and peak(w, t, dim).x <= capacity_of(w, k, dim)
    return fits


@compiled_together
def class_cost(w: World, v: int, k: int) -> float:
    """What the vehicle's one trip costs a class of its family, lateness apart."""
    c = kind(w, k)
    return float(
        c.fixed_cost
        + c.trip_cost
        + c.distance_cost * vehicle(w, v).distance
        + c.duration_cost * trip(w, vehicle(w, v).first).d
    )


@compiled_together
def move_trip(w: World, stamp: int) -> None:
    """Move a random trip to a random place among the trips of its class where it can be flown at the same cost.

    It leaves time to others elsewhere; what it costs is the same but for fixed costs and durations.
    """
    r = below(w, w.requests)
    t = node(w, 2 * r + 1).trip
    if t < 0:
        return
    v = trip(w, t).veh
    k = vehicle(w, v).cls
    c = kind(w, k)
    if c.max_trips < 2:
        return
    e, d, lt = max(trip(w, t).e, trip(w, t).release), trip(w, t).d, trip(w, t).l
    to, after, n = -1, -1, 0
    if c.used < c.count and w.actives < w.fleet and vehicle(w, v).trips > 1:
        to, after, n = NEW_VEHICLE, -1, 1
    for x in range(w.actives):
        u = active(w, x).x
        if u == v or vehicle(w, u).cls != k or vehicle(w, u).trips >= c.max_trips:
            continue
        before, follow = -1, vehicle(w, u).first
        while True:
            ready = c.shift_from + c.first_load if before < 0 else trip(w, before).back + c.reload
            latest = c.shift_to
            if follow >= 0:
                latest = min(trip(w, follow).l, trip(w, follow).latest - trip(w, follow).d) - c.reload
            if ready <= lt and max(ready, e) + d <= latest:
                n += 1
                if below(w, n) == 0:
                    to, after = u, before
            if follow < 0:
                break
            before, follow = follow, trip(w, follow).next
    if n > 0:
        _carry(w, t, to, after, stamp)


@compiled_together
def _carry(w: World, t: int, to: int, after: int, stamp: int) -> None:
    """Take trip ``t`` to vehicle ``to`` if both vehicles hold their limits then."""
    v, back = trip(w, t).veh, trip(w, t).prev
    touch(w, v, stamp)
    if to < 0:
        to = open_vehicle(w, vehicle(w, v).cls, stamp)
    touch(w, to, stamp)
    close_trip(w, t)
    link_trip(w, t, to, after)
    good = refresh_trip(w, t) and refresh_vehicle(w, to)
    if vehicle(w, v).trips > 0:
        good = refresh_vehicle(w, v) and good
    if not good:
        close_trip(w, t)
        link_trip(w, t, v, back)
        refresh_trip(w, t)
        refresh_vehicle(w, v)
        if vehicle(w, to).trips > 0:
            refresh_vehicle(w, to)
    if vehicle(w, v).trips == 0:
        close_vehicle(w, v)
    if vehicle(w, to).trips == 0:
        close_vehicle(w, to)
