"""Missions as MAVLink mission items, for PX4 multirotors."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hardware.errors import MissionRejected
from hardware.mission import Mission, Step, StepKind
from routing.geo import Position, distance_m

NAV_WAYPOINT = 16
NAV_LAND = 21
NAV_TAKEOFF = 22
DO_CHANGE_SPEED = 178
DO_GRIPPER = 211

FRAME_GLOBAL = 0
FRAME_MISSION = 2

RELEASE_ACCEPTANCE_M = 1.0
"""How near to the drop point a drone comes before it lets a parcel go."""
RELEASE_PAUSE_S = 2.0
"""Hover after a release, so that the parcel is clear before the drone climbs."""
SAME_PLACE_M = 1.0
"""Points nearer than this in plan count as above one another."""
MAX_ITEMS = 500
"""More items than this are refused: a trip has some tens, and PX4 takes seconds for hundreds."""


@dataclass(frozen=True, slots=True)
class Item:
    """One mission item as in MISSION_ITEM_INT: 1e-7 degrees, metres AMSL in frame GLOBAL."""

    command: int
    frame: int
    params: tuple[float, float, float, float]
    x: int = 0
    y: int = 0
    z: float = 0.0


@dataclass(frozen=True, slots=True)
class ItemPlan:
    """A mission in items. ``step_of[i]`` is the step that item ``i`` belongs to.

    ``release_items`` maps the index of a release step to its DO_GRIPPER item; ``landing`` is where the
    mission ends.
    """

    mission: Mission
    items: tuple[Item, ...]
    step_of: tuple[int, ...]
    landing: Position
    release_items: dict[int, int] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """Index of the last item."""
        return len(self.items) - 1


def translate(mission: Mission) -> ItemPlan:
    """Return the items of a drone's mission, the same for the same mission every time.

    TAKEOFF becomes NAV_TAKEOFF and a DO_CHANGE_SPEED that also carries the mark of the mission's id
    (``mission_mark``), so that two missions over the same points are not taken for each other. A RELEASE
    is flown straight down from the height of the step before and straight up to that of the next, since
    a drone that crosses to or from a drop point low is near people and wires. Altitudes are AMSL in
    frame GLOBAL. Raises ``MissionRejected`` naming the step that cannot be flown.
    """
    _check(mission)
    items: list[Item] = []
    step_of: list[int] = []
    release_items: dict[int, int] = {}
    height_m = 0.0
    for index in range(len(mission.steps)):
        for item in _step_items(mission, index, height_m):
            if item.command == DO_GRIPPER:
                release_items[index] = len(items)
            if item.frame == FRAME_GLOBAL:
                height_m = item.z
            items.append(item)
            step_of.append(index)
    if len(items) > MAX_ITEMS:
        raise MissionRejected(f"mission {mission.mission_id}: {len(items)} items, at most {MAX_ITEMS} are flown")
    return ItemPlan(mission, tuple(items), tuple(step_of), mission.steps[-1].position, release_items)


def mission_mark(mission_id: str) -> tuple[int, int]:
    """Return two numbers below 2**24 that mark a mission id.

    They travel in parameters 5 and 6 of DO_CHANGE_SPEED, which MAVLink reserves; 24 bits each, because
    PX4 keeps them as 32-bit floats.
    """
    digest = hashlib.blake2b(mission_id.encode(), digest_size=6).digest()
    return int.from_bytes(digest[:3], "big"), int.from_bytes(digest[3:], "big")


def difference(sent: Sequence[Item], found: Sequence[Item]) -> str | None:
    """Return where two missions differ, or ``None``.

    Tolerances are those of 32-bit floats and of degrees kept as doubles; frames GLOBAL and GLOBAL_INT are
    the same frame, and PX4 answers in the second.
    """
    if len(sent) != len(found):
        return f"{len(found)} items instead of {len(sent)}"
    for index, (ours, theirs) in enumerate(zip(sent, found, strict=True)):
        for name, a, b, tolerance in _compared(ours, theirs):
            if not (math.isnan(a) and math.isnan(b)) and not abs(a - b) <= tolerance:
                return f"item {index}: {name} is {b:g} instead of {a:g}"
    return None


_PLAIN_FRAME = {5: 0, 6: 3, 11: 10}


def _compared(a: Item, b: Item) -> Iterator[tuple[str, float, float, float]]:
    yield "command", a.command, b.command, 0
    yield "frame", _PLAIN_FRAME.get(a.frame, a.frame), _PLAIN_FRAME.get(b.frame, b.frame), 0
    yield "x", a.x, b.x, 1
    yield "y", a.y, b.y, 1
    yield "z", a.z, b.z, 0.01
    for number, (mine, its) in enumerate(zip(a.params, b.params, strict=True), start=1):
        yield f"param{number}", mine, its, 1e-3


def _step_items(mission: Mission, index: int, height_m: float) -> Iterator[Item]:
    """Yield the items of a step; ``height_m`` is the height (AMSL) at which the step before ends."""
    step = mission.steps[index]
    if step.kind is StepKind.TAKEOFF:
        yield _at(NAV_TAKEOFF, step.position)
        yield _speed(mission)
    elif step.kind is StepKind.MOVE:
        yield _at(NAV_WAYPOINT, step.position, hold_s=step.dwell_s)
    elif step.kind is StepKind.LAND:
        yield _at(NAV_LAND, step.position)
    else:
        yield from _release(mission.steps, index, height_m)


def _release(steps: Sequence[Step], index: int, height_m: float) -> Iterator[Item]:
    drop = steps[index].position
    if distance_m(steps[index - 1].position, drop) > SAME_PLACE_M:
        yield _at(NAV_WAYPOINT, _raised(drop, max(height_m, drop.alt_amsl_m)))
    yield _at(NAV_WAYPOINT, drop, hold_s=steps[index].dwell_s, acceptance_m=RELEASE_ACCEPTANCE_M)
    # The instance is 1 and the action 0, release (MAV_CMD_DO_GRIPPER, GRIPPER_ACTION_RELEASE).
    yield Item(DO_GRIPPER, FRAME_MISSION, (1.0, 0.0, 0.0, 0.0))
    yield _at(NAV_WAYPOINT, drop, hold_s=RELEASE_PAUSE_S, acceptance_m=RELEASE_ACCEPTANCE_M)
    following = steps[index + 1]
    if following.kind is not StepKind.MOVE or distance_m(drop, following.position) > SAME_PLACE_M:
        yield _at(NAV_WAYPOINT, _raised(drop, max(_next_height(steps, index), drop.alt_amsl_m)))


def _next_height(steps: Sequence[Step], index: int) -> float:
    """Return the height at which a drone leaves a release: of the next step, or of the last cruise."""
    following = steps[index + 1]
    if following.kind is StepKind.MOVE:
        return following.position.alt_amsl_m
    return max(step.position.alt_amsl_m for step in steps[: index + 1])


def _raised(position: Position, alt_amsl_m: float) -> Position:
    return Position(position.lat, position.lon, alt_amsl_m)


def _at(command: int, position: Position, *, hold_s: float = 0.0, acceptance_m: float = 0.0) -> Item:
    # Parameter 4 is the yaw; NaN leaves it to the autopilot.
    return Item(
        command,
        FRAME_GLOBAL,
        (hold_s, acceptance_m, 0.0, math.nan),
        round(position.lat * 1e7),
        round(position.lon * 1e7),
        position.alt_amsl_m,
    )


def _speed(mission: Mission) -> Item:
    # Speed type 1 is ground speed, throttle -1 leaves it unchanged.
    return Item(DO_CHANGE_SPEED, FRAME_MISSION, (1.0, mission.speed_mps, -1.0, 0.0), *mission_mark(mission.mission_id))


def _check(mission: Mission) -> None:
    def reject(reason: str) -> MissionRejected:
        return MissionRejected(f"mission {mission.mission_id}: {reason}")

    steps = mission.steps
    if len(steps) < 2 or steps[0].kind is not StepKind.TAKEOFF or steps[-1].kind is not StepKind.LAND:
        raise reject("a drone's mission begins with a take-off and ends with a landing")
    for index, step in enumerate(steps):
        if step.kind in (StepKind.TAKEOFF, StepKind.LAND) and 0 < index < len(steps) - 1:
            raise reject(f"step {index}: {step.kind} inside the mission")
        place = step.position
        if not (abs(place.lat) <= 90 and abs(place.lon) <= 180 and math.isfinite(place.alt_amsl_m)):
            raise reject(f"step {index}: there is no such position: {place}")
        if not 0 <= step.dwell_s <= 3600:
            raise reject(f"step {index}: dwell of {step.dwell_s} s is not between 0 and 3600")
    if not 0 < mission.speed_mps <= 50:
        raise reject(f"speed of {mission.speed_mps} m/s is not between 0 and 50")
