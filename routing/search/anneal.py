"""The search itself: ruin, recreate and accept, under a falling temperature."""

from __future__ import annotations

import math
from typing import Any

from routing.compiled import compiled_together
from routing.search.change import TRIP_END, VEHICLE_END, begin, changed_cost, empty_trip, insert_all, mend, undo
from routing.search.dice import uniform
from routing.search.refleet import move_trip, refit
from routing.search.refresh import solution_cost
from routing.search.ruin import arrange, remove_strings, remove_trips, retry_absent
from routing.search.world import World, absent, active, log_absent, node, removed, request, trip, vehicle

STOP, PROGRESS = 0, 1
"""Places in the control array, which another thread writes while the search runs."""

MEAN_REMOVED = 10.0
"""Requests removed by strings, as the paper has it."""
BLINK = 0.01
TRIPS_CHANCE = 0.05
MOST_IN_TRIPS = 50.0
"""Whole trips go now and then, so that other trips and vehicles take their place."""
MOVE_CHANCE = 0.3
UPGRADES_CHANCE = 0.3
"""Requests may ask for a bigger vehicle in some iterations only: always, small vehicles are never tried again."""

HOT, COLD, SINCE, UNTIL, BEST = range(5)
"""Numbers of a search's plan: highest and lowest temperature; progress when its iterations begin and end (where equal,
it is read from the control array); and the cost of the best solution."""


@compiled_together
def anneal(w: World, control: Any, plan: Any, best: Any, iterations: int, all_served: bool) -> int:
    """Ruin and recreate until stopped or ``iterations`` are done; returns how many were.

    ``plan`` holds the numbers named above; ``best`` receives the best solution (see ``save``). With ``all_served``
    the search ends as soon as every request that must be served is.
    """
    cost = solution_cost(w)
    temperature = plan[HOT]
    for step in range(iterations):
        if control[STOP] != 0.0 or (all_served and missing(w) == 0):
            return step
        if step % 64 == 0:
            progress = control[PROGRESS]
            if plan[UNTIL] > plan[SINCE]:
                progress = plan[SINCE] + (plan[UNTIL] - plan[SINCE]) * step / iterations
            temperature = plan[HOT] * math.pow(plan[COLD] / plan[HOT], progress)
        begin(w)
        stamp = w.stamp
        if uniform(w) < TRIPS_CHANCE:
            remove_trips(w, MOST_IN_TRIPS, stamp)
        else:
            remove_strings(w, MEAN_REMOVED, stamp)
        mend(w, stamp)
        if w.many_trips and uniform(w) < MOVE_CHANCE:
            move_trip(w, stamp)
        retry_absent(w)
        arrange(w)
        w.upgrades = w.families and uniform(w) < UPGRADES_CHANCE
        insert_all(w, BLINK, stamp)
        if w.families:
            refit(w, stamp)
        change = changed_cost(w)
        if fewer_missing(w) or change < -temperature * math.log(uniform(w) + 1e-300):
            cost += change
            if cost < plan[BEST] - 1e-7:
                cost = solution_cost(w)
                if cost < plan[BEST] - 1e-7:
                    plan[BEST] = cost
                    save(w, best)
        else:
            undo(w)
    return iterations


@compiled_together
def missing(w: World) -> int:
    """How many requests are absent that must be served."""
    n = 0
    for x in range(w.absents):
        n += request(w, absent(w, x).x).required
    return n


@compiled_together
def fewer_missing(w: World) -> bool:
    """Whether those that must be served and are absent are fewer, or easier to serve, than before the change.

    Easier: absent less often so far (Christiaens & Vanden Berghe 2020, section 5.5).
    """
    if w.absents == 0 and w.logged_absents == 0:
        return False
    now, before, hard_now, hard_before = 0, 0, 0, 0
    for x in range(w.logged_absents):
        r = log_absent(w, x).x
        before += request(w, r).required
        hard_before += request(w, r).required * request(w, r).misses
    for x in range(w.absents):
        r = absent(w, x).x
        now += request(w, r).required
        hard_now += request(w, r).required * request(w, r).misses
        request(w, r).misses += 1
    return now < before or (before > 0 and hard_now < hard_before)


@compiled_together
def drop_vehicle(w: World) -> None:
    """Take the vehicle whose requests were absent least often from the fleet; its requests become absent."""
    begin(w)
    stamp = w.stamp
    least, chosen = 0, -1
    for x in range(w.actives):
        v = active(w, x).x
        hard = 0
        t = vehicle(w, v).first
        while t >= 0:
            i = node(w, w.first + 2 * t).next
            while i != w.first + 2 * t + 1:
                hard += 1 + request(w, i >> 1).misses
                i = node(w, i).next
            t = trip(w, t).next
        if chosen < 0 or hard < least:
            least, chosen = hard, v
    t = vehicle(w, chosen).first
    while t >= 0:
        empty_trip(w, t, stamp)
        t = trip(w, t).next
    mend(w, stamp)
    for x in range(w.removals):
        absent(w, w.absents).x = removed(w, x).x
        w.absents += 1
    w.fleet = w.actives


@compiled_together
def construct(w: World, control: Any, plan: Any, best: Any) -> None:
    """Insert all absent requests, some hundred at a time so that a stop is heeded, and keep the solution."""
    begin(w)
    stamp = w.stamp
    while w.absents > 0:
        retry_absent(w)
    arrange(w)
    insert_all(w, 0.0, stamp)
    if w.families:
        refit(w, stamp)
    plan[BEST] = solution_cost(w)
    save(w, best)


@compiled_together
def save(w: World, best: Any) -> None:
    """Write the solution: for each vehicle its class, then its trips' visits, ``TRIP_END`` after each trip and
    ``VEHICLE_END`` after each vehicle; the first number is how many follow."""
    n = 1
    for x in range(w.actives):
        v = active(w, x).x
        best[n] = vehicle(w, v).cls
        n += 1
        t = vehicle(w, v).first
        while t >= 0:
            start = w.first + 2 * t
            i = node(w, start).next
            while i != start + 1:
                best[n] = i
                n += 1
                i = node(w, i).next
            best[n] = TRIP_END
            n += 1
            t = trip(w, t).next
        best[n] = VEHICLE_END
        n += 1
    best[0] = n - 1
