"""Missions as MAVLink mission items, for PX4 multirotors and VTOLs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hardware.errors import MissionRejected
from hardware.mission import Mission, Step, StepKind
from routing.geo import Position, bearing_deg, distance_m
from routing.motion import RELEASE_HEIGHT_M, STALL_SHARE

NAV_WAYPOINT = 16
NAV_LAND = 21
NAV_TAKEOFF = 22
NAV_VTOL_TAKEOFF = 84
NAV_VTOL_LAND = 85
DO_JUMP = 177
DO_CHANGE_SPEED = 178
DO_GRIPPER = 211
DO_VTOL_TRANSITION = 3000
DO_WINCH = 42600

FRAME_GLOBAL = 0
FRAME_MISSION = 2

HOVER, WING = 3.0, 4.0
"""MAV_VTOL_STATE_MC and MAV_VTOL_STATE_FW, parameter 1 of DO_VTOL_TRANSITION."""
LENGTH_CONTROL = 1.0
"""WINCH_RELATIVE_LENGTH_CONTROL, parameter 2 of DO_WINCH: the length in parameter 3 at the rate in parameter 4."""
WINCH_LINE_M = RELEASE_HEIGHT_M + 1.5
"""Line for the height of a release and what it may be off by (``commander.RELEASE_OVER_M``)."""
WINCH_MPS = 0.5
JUMP_REPEATS = 1000.0
"""A mission jumps once at each gate; PX4 keeps the number in 16 bits and counts it down for good."""

RELEASE_ACCEPTANCE_M = 1.0
"""How near to the drop point a drone comes before it lets a parcel go."""
RELEASE_PAUSE_S = 2.0
"""Hover after a release, so that the parcel is clear before the drone climbs."""
WING_GATE_S = 20.0
"""A VTOL that returns along its mission stays on its wing and flies to all places of the items on its way (PX4 1.16.1,
measured): it would circle down to the height of a release. So its releases all have a gate, which a return jumps past;
where nothing is waited for, the link lets it through at once, and has so long to do so."""
GATE_ACCEPTANCE_M = 2.0
"""How near to the place above a drop point a drone comes before its wait begins: a waypoint's usual distance."""
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
class Gate:
    """A wait above a drop point, by its items: ``hover`` where it waits, ``down`` the first of the way down, ``after``
    the first after the whole release, to which a jump leads behind ``hover``."""

    hover: int
    down: int
    after: int


@dataclass(frozen=True, slots=True)
class ItemPlan:
    """A mission in items. ``step_of[i]`` is the step that item ``i`` belongs to.

    ``release_items`` maps the index of a release step to the item with which its parcels have gone (DO_GRIPPER, or the
    DO_WINCH that brings the empty line up), ``gates`` to its gate where it has one; ``landing`` is where the mission
    ends.
    """

    mission: Mission
    items: tuple[Item, ...]
    step_of: tuple[int, ...]
    landing: Position
    release_items: dict[int, int] = field(default_factory=dict)
    gates: dict[int, Gate] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """Index of the last item."""
        return len(self.items) - 1


def translate(mission: Mission) -> ItemPlan:
    """Return the items of a drone's mission, the same for the same mission every time.

    TAKEOFF becomes NAV_TAKEOFF and a DO_CHANGE_SPEED that also carries the mark of the mission's id
    (``mission_mark``), so that two missions over the same points are not taken for each other. A RELEASE
    is flown straight down from the height of the step before and straight up to that of the next, since
    a drone that crosses to or from a drop point low is near people and wires. With a gate it hovers above the drop
    point first and then jumps past all of that; only who is told to comes down (``VehicleLink.descend``). A VTOL is on
    its wing wherever it is fast enough for that, and does everything else on its rotors. Altitudes are AMSL in
    frame GLOBAL. Raises ``MissionRejected`` naming the step that cannot be flown.
    """
    _check(mission)
    writer = _Writer(mission)
    for index in range(len(mission.steps)):
        writer.step(index)
    items = writer.items
    if len(items) > MAX_ITEMS:
        raise MissionRejected(f"mission {mission.mission_id}: {len(items)} items, at most {MAX_ITEMS} are flown")
    landing = mission.steps[-1].position
    return ItemPlan(mission, tuple(items), tuple(writer.step_of), landing, writer.release_items, writer.gates)


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


class _Writer:
    """Writes a mission's items, step by step."""

    def __init__(self, mission: Mission) -> None:
        self.items: list[Item] = []
        self.step_of: list[int] = []
        self.release_items: dict[int, int] = {}
        self.gates: dict[int, Gate] = {}
        self._mission = mission
        self._index = 0
        self._height_m = 0.0
        """AMSL, at which the step before ends."""
        self._speed_mps = mission.speed_mps
        self._on_wing = False
        self._wing_next = False
        """The way up from a release is still to be written; its end is where the wing takes over."""

    def step(self, index: int) -> None:
        """Write the items of a step."""
        self._index = index
        step = self._mission.steps[index]
        if step.kind is StepKind.TAKEOFF:
            self._takeoff(step)
            return
        self._change_speed(step)
        following = self._mission.steps[min(index + 1, len(self._mission.steps) - 1)]
        if self._wing_next and distance_m(step.position, following.position) <= SAME_PLACE_M:
            self._wing_next = following.kind is StepKind.MOVE
        if self._wing_next and distance_m(step.position, following.position) > SAME_PLACE_M:
            self._add(_at(NAV_WAYPOINT, step.position, hold_s=step.dwell_s, yaw_deg=self._ahead_deg()))
            self._transition(WING)
        elif step.kind is StepKind.MOVE:
            self._add(_at(NAV_WAYPOINT, step.position, hold_s=step.dwell_s))
        elif step.kind is StepKind.LAND:
            self._add(_at(NAV_VTOL_LAND if self._mission.vtol else NAV_LAND, step.position))
        else:
            self._release(step)

    def _add(self, item: Item) -> None:
        if item.frame == FRAME_GLOBAL:
            self._height_m = item.z
        self.items.append(item)
        self.step_of.append(self._index)

    def _takeoff(self, step: Step) -> None:
        self._speed_mps = step.speed_mps or self._speed_mps
        self._on_wing = self._wants_wing(self._speed_mps)
        self._add(_at(NAV_VTOL_TAKEOFF if self._on_wing else NAV_TAKEOFF, step.position))
        self._add(self._speed(mission_mark(self._mission.mission_id)))

    def _change_speed(self, step: Step) -> None:
        if step.speed_mps is not None and step.speed_mps != self._speed_mps:
            self._speed_mps = step.speed_mps
            self._add(self._speed((0, 0)))

    def _speed(self, mark: tuple[int, int]) -> Item:
        # Speed type 0 is airspeed, by which a wing flies, 1 ground speed; throttle -1 leaves it unchanged.
        kind = 0.0 if self._on_wing else 1.0
        return Item(DO_CHANGE_SPEED, FRAME_MISSION, (kind, self._speed_mps, -1.0, 0.0), *mark)

    def _wants_wing(self, speed_mps: float) -> bool:
        return self._mission.vtol and speed_mps >= STALL_SHARE * self._mission.speed_mps

    def _ahead_deg(self) -> float:
        """The way on from this step's place: PX4 turns there before its wing takes over, or gives the mission up."""
        here, *ahead = (step.position for step in self._mission.steps[self._index :])
        after = next((place for place in ahead if distance_m(here, place) > SAME_PLACE_M), here)
        return float(round(bearing_deg(here, after)) % 360)

    def _transition(self, state: float) -> None:
        self._on_wing, self._wing_next = state == WING, False
        self._add(Item(DO_VTOL_TRANSITION, FRAME_MISSION, (state, 0.0, 0.0, 0.0)))

    def _release(self, step: Step) -> None:
        """The way down, the release and the way up."""
        steps, drop = self._mission.steps, step.position
        above = _raised(drop, max(self._height_m, drop.alt_amsl_m))
        arrived = distance_m(steps[self._index - 1].position, drop) <= SAME_PLACE_M
        if self._on_wing:
            if not arrived:
                self._add(_at(NAV_WAYPOINT, above))
            self._transition(HOVER)
        gate_s = step.gate_s or (WING_GATE_S if self._mission.vtol else 0.0)
        if gate_s > 0:
            self._gated(step, above, gate_s)
            return
        if not arrived:
            self._add(_at(NAV_WAYPOINT, above))
        self._let_go(step)
        self._climb()
        self._take_wing()

    def _gated(self, step: Step, above: Position, gate_s: float) -> None:
        hover = len(self.items)
        self._add(_at(NAV_WAYPOINT, above, hold_s=gate_s, acceptance_m=GATE_ACCEPTANCE_M))
        # Where it jumps to is known when the release is written.
        self._add(Item(DO_JUMP, FRAME_MISSION, (0.0, JUMP_REPEATS, 0.0, 0.0)))
        self._let_go(step)
        self._climb()
        after = len(self.items)
        self.items[hover + 1] = Item(DO_JUMP, FRAME_MISSION, (float(after), JUMP_REPEATS, 0.0, 0.0))
        self.gates[self._index] = Gate(hover, hover + 2, after)
        self._take_wing()

    def _let_go(self, step: Step) -> None:
        drop = step.position
        self._add(_at(NAV_WAYPOINT, drop, hold_s=step.dwell_s, acceptance_m=RELEASE_ACCEPTANCE_M))
        turning_s = 0.0
        if self._mission.winch:
            turning_s = math.ceil(WINCH_LINE_M / WINCH_MPS)
            self._add(_winch(WINCH_LINE_M))
            self._add(_at(NAV_WAYPOINT, drop, hold_s=turning_s, acceptance_m=RELEASE_ACCEPTANCE_M))
        self.release_items[self._index] = len(self.items)
        # The instance is 1 and the action 0, release (MAV_CMD_DO_GRIPPER, GRIPPER_ACTION_RELEASE).
        self._add(
            _winch(-WINCH_LINE_M) if self._mission.winch else Item(DO_GRIPPER, FRAME_MISSION, (1.0, 0.0, 0.0, 0.0))
        )
        self._add(_at(NAV_WAYPOINT, drop, hold_s=turning_s + RELEASE_PAUSE_S, acceptance_m=RELEASE_ACCEPTANCE_M))

    def _climb(self) -> None:
        """Write the way up, if the next step is none."""
        following, drop = self._mission.steps[self._index + 1], self._mission.steps[self._index].position
        if following.kind is StepKind.MOVE and distance_m(drop, following.position) <= SAME_PLACE_M:
            return
        top_m = max(_next_height(self._mission.steps, self._index), drop.alt_amsl_m)
        yaw_deg = self._ahead_deg() if self._leaves_on_wing() else math.nan
        self._add(_at(NAV_WAYPOINT, _raised(drop, top_m), yaw_deg=yaw_deg))

    def _take_wing(self) -> None:
        """Have the wing take over at the top of the way up, wherever that is written."""
        following, drop = self._mission.steps[self._index + 1], self._mission.steps[self._index].position
        if not self._leaves_on_wing():
            return
        if distance_m(drop, following.position) <= SAME_PLACE_M:
            self._wing_next = True
        else:
            self._transition(WING)

    def _leaves_on_wing(self) -> bool:
        following, drop = self._mission.steps[self._index + 1], self._mission.steps[self._index].position
        stays = following.kind is not StepKind.MOVE and distance_m(drop, following.position) <= SAME_PLACE_M
        return not stays and self._wants_wing(following.speed_mps or self._speed_mps)


def _winch(length_m: float) -> Item:
    return Item(DO_WINCH, FRAME_MISSION, (1.0, LENGTH_CONTROL, length_m, WINCH_MPS))


def _next_height(steps: Sequence[Step], index: int) -> float:
    """Return the height at which a drone leaves a release: of the next step, or of the last cruise."""
    following = steps[index + 1]
    if following.kind is StepKind.MOVE:
        return following.position.alt_amsl_m
    return max(step.position.alt_amsl_m for step in steps[: index + 1])


def _raised(position: Position, alt_amsl_m: float) -> Position:
    return Position(position.lat, position.lon, alt_amsl_m)


def _at(
    command: int, position: Position, *, hold_s: float = 0.0, acceptance_m: float = 0.0, yaw_deg: float = math.nan
) -> Item:
    # Parameter 4 is the yaw; NaN leaves it to the autopilot.
    return Item(
        command,
        FRAME_GLOBAL,
        (hold_s, acceptance_m, 0.0, yaw_deg),
        round(position.lat * 1e7),
        round(position.lon * 1e7),
        position.alt_amsl_m,
    )


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
        if not 0 <= step.gate_s <= 3600:
            raise reject(f"step {index}: gate of {step.gate_s} s is not between 0 and 3600")
        if step.speed_mps is not None and not 0 < step.speed_mps <= 50:
            raise reject(f"step {index}: speed of {step.speed_mps} m/s is not between 0 and 50")
    if not 0 < mission.speed_mps <= 50:
        raise reject(f"speed of {mission.speed_mps} m/s is not between 0 and 50")
