"""Whether the autopilot can fly the mission that it carries: PX4 judges after it has accepted the upload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulators.fence import Fence
from simulators.missions import (
    CHANGE_SPEED,
    DELAY,
    GRIPPER,
    JUMP,
    LANDINGS,
    LOITER_TIME,
    LOITER_UNLIM,
    RALLY_FRAMES,
    RETURN,
    TAKEOFFS,
    TRANSITION,
    WAYPOINT,
    WINCH,
    Item,
)

_FLOWN = {WAYPOINT, LOITER_UNLIM, LOITER_TIME, RETURN, *LANDINGS, *TAKEOFFS, DELAY, CHANGE_SPEED, GRIPPER}
_FLOWN |= {JUMP, WINCH, TRANSITION}
_IGNORED = {31, 179, 183, 187, 189, 201, 530, 2000, 2001, 2500, 2501, 197, 203, 205, 206, 214, 4501}
_WITHOUT_PLACE = {DELAY, CHANGE_SPEED, JUMP, WINCH, TRANSITION, GRIPPER} | (_IGNORED - {31})


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reason`` is ``None`` for a mission that can be flown; ``texts`` are said to the ground station."""

    reason: str | None
    texts: tuple[str, ...] = ()


def judge_mission(
    items: Sequence[Item],
    *,
    home_alt_m: float | None,
    landed: bool,
    takeoff_land_required: int,
    fence: Fence | None,
    rally: Sequence[Item],
) -> Verdict:
    """Judge a mission by PX4 1.16's rules for multirotors (its FeasibilityChecker and fence check)."""
    if not items:
        return Verdict("no mission")
    if any(point.frame not in RALLY_FRAMES for point in rally):
        return Verdict("RTL: unsupported MAV_FRAME")
    reason = _judge_items(items, home_alt_m, landed) or _judge_ends(items, takeoff_land_required, landed)
    if reason:
        return Verdict(reason)
    for index, item in enumerate(items):
        if fence is not None and item.placed and not fence.allows(item.lat, item.lon):
            text = f"Geofence violation for waypoint {index + 1}"
            return Verdict(text, (text,))
    return Verdict(None)


def _judge_items(items: Sequence[Item], home_alt_m: float | None, landed: bool) -> str | None:
    placed_before = False
    for index, item in enumerate(items):
        if item.command not in _FLOWN and item.command not in _IGNORED:
            return f"item {index + 1}: unsupported cmd: {item.command}"
        if item.placed and item.relative and home_alt_m is None:
            return f"No home pos, WP {index + 1} uses rel alt"
        if index == 0 and item.command in LANDINGS and landed:
            return "starts with landing"
        if item.command in TAKEOFFS:
            height_m = item.z if item.relative else item.z - (home_alt_m or 0.0)
            if height_m <= 0.0:
                return "Takeoff altitude below home altitude!"
            if placed_before:
                return "takeoff not first waypoint item"
        placed_before = placed_before or item.command not in _WITHOUT_PLACE
    return None


def _judge_ends(items: Sequence[Item], required: int, landed: bool) -> str | None:
    """``MIS_TKO_LAND_REQ``: 0 nothing, 1 take-off, 2 landing, 3 both, 4 both or neither, 5 as 4 on ground."""
    takes_off = any(item.command in TAKEOFFS for item in items)
    lands = any(item.command in LANDINGS for item in items)
    missing = {
        1: not takes_off,
        2: not lands,
        3: not (takes_off and lands),
        4: takes_off != lands,
        5: (takes_off != lands) if landed else not lands,
    }
    return "Takeoff or Landing item missing" if missing.get(required, False) else None
