"""What to remove: strings of neighbouring trips, and in which sequence to bring it back.

Slack induction by string removals: Christiaens & Vanden Berghe 2020, "Slack induction by string removals for vehicle
routing problems", sections 5.1 to 5.3.
"""

from __future__ import annotations

from routing.compiled import compiled_together
from routing.search.change import take_out
from routing.search.dice import below, uniform
from routing.search.world import (
    World,
    absent,
    active,
    around_visit,
    buffer,
    keys,
    node,
    removed,
    request,
    trip,
    vehicle,
)

LONGEST_STRING = 10
SPLIT_CHANCE = 0.5
STRETCH_CHANCE = 0.5
"""The paper keeps a string's inner part with chance 0.5 and stretches that part while a draw exceeds 0.01."""
MOST_RETRIED = 12


@compiled_together
def remove_strings(w: World, mean: float, stamp: int) -> None:
    """Remove strings of about ``mean`` requests in all from trips around a random visit."""
    requests = w.requests
    served = requests - w.absents
    if served == 0:
        return
    trips = 0
    for x in range(w.actives):
        trips += vehicle(w, active(w, x).x).trips
    longest = min(float(LONGEST_STRING), served / max(1, trips))
    strings = int(uniform(w) * (4.0 * mean / (1.0 + longest) - 1.0) + 1.0)
    seed = _seed(w)
    done = 0
    y = -1
    while done < strings and y < w.arounds:
        visit = seed if y < 0 else around_visit(w, seed, y)
        y += 1
        if visit < 0:
            break
        t = node(w, visit).trip
        if t < 0 or trip(w, t).visits < 0:
            continue
        length = int(uniform(w) * min(float(trip(w, t).visits), longest) + 1.0)
        _remove_string(w, t, visit, min(length, trip(w, t).visits), stamp)
        done += 1


@compiled_together
def remove_trips(w: World, most: float, stamp: int) -> None:
    """Remove whole trips around a random visit, about ``most`` requests in all."""
    if w.requests == w.absents:
        return
    seed = _seed(w)
    trips = 1 + below(w, 3)
    y = -1
    while trips > 0 and y < w.arounds and w.removals < most:
        visit = seed if y < 0 else around_visit(w, seed, y)
        y += 1
        if visit < 0:
            break
        t = node(w, visit).trip
        if t < 0 or trip(w, t).visits < 0 or (w.removals > 0 and w.removals + trip(w, t).visits > most):
            continue
        start = w.first + 2 * t
        while node(w, start).next != start + 1:
            take_out(w, node(w, start).next, stamp)
        trips -= 1


@compiled_together
def _seed(w: World) -> int:
    while True:
        r = below(w, w.requests)
        if node(w, 2 * r + 1).trip >= 0:
            return 2 * r if request(w, r).pickup >= 0 and uniform(w) < 0.5 else 2 * r + 1


@compiled_together
def _remove_string(w: World, t: int, visit: int, length: int, stamp: int) -> None:
    """Remove ``length`` visits of a string around ``visit``, or of a longer string whose inner part stays."""
    start = w.first + 2 * t
    kept = 0
    if length > 1 and length < trip(w, t).visits and uniform(w) < SPLIT_CHANCE:
        kept = 1
        while length + kept < trip(w, t).visits and uniform(w) > STRETCH_CHANCE:
            kept += 1
    whole = length + kept
    # the string may begin up to whole - 1 visits before, and must not leave the trip
    before = 0
    i = node(w, visit).prev
    while i != start and before < whole - 1:
        before += 1
        i = node(w, i).prev
    after = 0
    i = node(w, visit).next
    while i != start + 1 and after < whole - 1:
        after += 1
        i = node(w, i).next
    least = max(0, whole - 1 - after)
    back = least + below(w, before - least + 1)
    i = visit
    for _ in range(back):
        i = node(w, i).prev
    n = 0
    for _ in range(whole):
        buffer(w, n).x = i
        n += 1
        i = node(w, i).next
    keep_from = whole
    if kept:
        keep_from = below(w, length + 1)
    for x in range(n):
        if keep_from <= x < keep_from + kept:
            continue
        if node(w, buffer(w, x).x).trip >= 0:
            take_out(w, buffer(w, x).x, stamp)


@compiled_together
def retry_absent(w: World) -> None:
    """Move some of the absent requests to those that are to be inserted."""
    for _ in range(min(MOST_RETRIED, w.absents)):
        x = below(w, w.absents)
        removed(w, w.removals).x = absent(w, x).x
        w.removals += 1
        w.absents -= 1
        absent(w, x).x = absent(w, w.absents).x


@compiled_together
def arrange(w: World) -> None:
    """Sort the removed requests by a random one of the criteria."""
    n = w.removals
    timed = w.timed
    pick = below(w, 17 if timed else 11)
    for x in range(n):
        r = removed(w, x).x
        drop = node(w, 2 * r + 1)
        if pick < 4:
            key = uniform(w)
        elif pick < 8:
            key = -request(w, r).size
        elif pick < 10:
            key = -request(w, r).far
        elif pick < 11:
            key = request(w, r).far
        elif pick < 13:
            key = drop.late - drop.early
        elif pick < 15:
            key = max(drop.early, request(w, r).release)
        else:
            key = -drop.late
        keys(w, x).x = key
    sort_removed(w, n)


@compiled_together
def sort_removed(w: World, n: int) -> None:
    """Sort the first ``n`` removed by ``keys``, both in place (shell sort: few values, no allocation)."""
    gap = 1
    while gap < n // 3:
        gap = 3 * gap + 1
    while gap >= 1:
        for x in range(gap, n):
            key, value = keys(w, x).x, removed(w, x).x
            y = x
            while y >= gap and keys(w, y - gap).x > key:
                keys(w, y).x, removed(w, y).x = keys(w, y - gap).x, removed(w, y - gap).x
                y -= gap
            keys(w, y).x, removed(w, y).x = key, value
        gap //= 3
