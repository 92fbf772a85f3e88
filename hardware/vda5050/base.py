"""How much of its way a robot may drive: the base of an order.

A robot that loses its connection drives its base to the end, so that the base is never longer than the profile allows,
and it ends at the kerb of every road until somebody has released that one crossing. What is released is read from the
robot's state, so that a release is neither forgotten nor made up by a process that restarts.
"""

from __future__ import annotations

from bisect import bisect_right

from hardware.vda5050.route import Crossing, Route

EXTEND_AT = 0.5
"""Fraction of the base length left at which the base is continued; earlier would be chatter."""


def base_target(
    route: Route,
    *,
    released: int,
    along_m: float,
    base_length_m: float,
    asked: bool = False,
    most_nodes: int | None = None,
) -> int:
    """Return the index of the node up to which the base should reach; never before ``released``.

    As far as ``base_length_m`` ahead of ``along_m`` (metres from the route's first node) and no further than the next
    kerb. ``asked`` (the robot's ``newBaseRequest``) continues it early. ``most_nodes`` is how many nodes a message may
    hold: one of them is kept for the horizon, so that the robot knows that it goes on.
    A base that ends on a road, which no process of ours sends, is continued to the far kerb.
    """
    under_way = next((crossing for crossing in route.crossings if crossing.kerb < released < crossing.far), None)
    on_road = max(route.road_until, under_way.far if under_way else 0)
    left_m = route.chainage_m[released] - along_m
    if released >= on_road and released > 0 and left_m > EXTEND_AT * base_length_m and not asked:
        return released
    reach = _reach(route, max(released, on_road), along_m + base_length_m)
    return max(released, on_road, _fit(route, released, reach, most_nodes))


def crossing_target(
    route: Route, crossing: Crossing, *, along_m: float, base_length_m: float, most_nodes: int | None = None
) -> int:
    """Return up to where the base reaches once a crossing is released: the far kerb at least.

    Where a road is wider than the base may be long the far kerb wins: no decision point lies on a road.
    """
    reach = _reach(route, crossing.far, along_m + base_length_m)
    return max(crossing.far, _fit(route, crossing.kerb, reach, most_nodes))


def _reach(route: Route, least: int, to_m: float) -> int:
    """The last node that lies no further than a place and not beyond the next kerb."""
    kerb = next((crossing.kerb for crossing in route.crossings if crossing.kerb >= least), route.last)
    return min(bisect_right(route.chainage_m, to_m) - 1, kerb)


def _fit(route: Route, first: int, target: int, most_nodes: int | None) -> int:
    if most_nodes is None or route.last - first < most_nodes:
        return target
    return min(target, first + most_nodes - 2)
