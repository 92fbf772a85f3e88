"""Fences and rally points as MAVLink mission items, for PX4."""

from __future__ import annotations

from hardware.errors import MissionRejected
from hardware.mavlink.translate import FRAME_GLOBAL, Item
from hardware.mission import Fence, Mission
from routing.flight_fence import MAX_POINTS, MAX_RALLY, contains
from routing.geo import Position

FENCE_INCLUSION = 5001
FENCE_EXCLUSION = 5002
RALLY_POINT = 5100
"""MAV_CMD_NAV_FENCE_POLYGON_VERTEX_INCLUSION and _EXCLUSION, MAV_CMD_NAV_RALLY_POINT."""


def fence_items(mission: Mission) -> tuple[Item, ...]:
    """Return a mission's fence, vertex by vertex, each with the number of its polygon's; none without a fence.

    Raises ``MissionRejected`` for a fence that PX4 does not keep or, where it would keep it, does not heed: it
    accepts one that does not contain home, says so once and flies without.
    """
    fence = mission.fence
    if fence is None:
        return ()

    def reject(reason: str) -> MissionRejected:
        return MissionRejected(f"mission {mission.mission_id}: {reason}")

    rings = [*fence.inclusions, *fence.exclusions]
    if any(len(ring) < 3 for ring in rings):
        raise reject("a polygon of the fence has fewer than 3 points")
    if (points := sum(len(ring) for ring in rings)) > MAX_POINTS:
        raise reject(f"the fence has {points} points, at most {MAX_POINTS} are kept")
    for index, step in enumerate(mission.steps):
        if not inside(fence, step.position):
            raise reject(f"step {index} lies outside its fence")
    return tuple(
        _at(command, place, float(len(ring)))
        for command, kind in ((FENCE_INCLUSION, fence.inclusions), (FENCE_EXCLUSION, fence.exclusions))
        for ring in kind
        for place in ring
    )


def rally_items(mission: Mission) -> tuple[Item, ...]:
    """Return a mission's rally points in frame GLOBAL: with GLOBAL_INT PX4 accepts them and refuses to fly.

    Raises ``MissionRejected`` for more than PX4 keeps and for one outside the fence.
    """
    if len(mission.rally) > MAX_RALLY:
        raise MissionRejected(
            f"mission {mission.mission_id}: {len(mission.rally)} rally points, at most {MAX_RALLY} are kept"
        )
    for number, place in enumerate(mission.rally, start=1):
        if mission.fence is not None and not inside(mission.fence, place):
            raise MissionRejected(f"mission {mission.mission_id}: rally point {number} lies outside the fence")
    return tuple(_at(RALLY_POINT, place, 0.0, place.alt_amsl_m) for place in mission.rally)


def inside(fence: Fence, place: Position) -> bool:
    """Whether a place is inside a fence, as PX4 takes it: in all inclusions."""
    return contains(fence.inclusions, fence.exclusions, place)


def _at(command: int, place: Position, param1: float, alt_amsl_m: float = 0.0) -> Item:
    params = (param1, 0.0, 0.0, 0.0)
    return Item(command, FRAME_GLOBAL, params, round(place.lat * 1e7), round(place.lon * 1e7), alt_amsl_m)
