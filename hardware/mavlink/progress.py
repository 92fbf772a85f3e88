"""How far a vehicle is in its mission, from several signs, none of which says enough alone.

PX4's MISSION_ITEM_REACHED repeats and skips items, MISSION_CURRENT says where the vehicle is going, not
what it has done, and both may be left over from another mission. A return along the mission (RTL_TYPE 2 and 4)
moves both past releases that it leaves out, some tenths of a second before the heartbeat tells of the return.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from hardware.link import Activity, Progress, Release, Wait, WaitFor
from hardware.mavlink.messages import MissionCurrent
from hardware.mavlink.translate import GATE_ACCEPTANCE_M, Gate, ItemPlan
from routing.geo import Position, distance_m

NEAR_RELEASE_M = 25.0
NEAR_LANDING_M = 15.0
NEAR_GATE_M = GATE_ACCEPTANCE_M + 1.0
"""In plan and in height: it waits from when it is as near as the autopilot wants it, with a metre for the link."""
BLIND_GAP_MS = 3000
"""A vehicle unseen for longer (its own time) may have released a parcel meanwhile."""

EMPTY_TIMES = 3
"""After so many MISSION_CURRENT in a row without a mission there is none: a vehicle that boots has not read it yet."""

_ON_MISSION = (Activity.MISSION, Activity.TAKEOFF)


@dataclass(slots=True)
class _Drop:
    """What was seen of one release: the vehicle near the place, or a time in which it was not seen.

    ``sign`` is what says that it was passed, until a heartbeat tells in which mode; ``left_out``: on a return.
    ``begun``: it was seen on the way down or up behind the release's gate.
    """

    step: int
    item: int
    place: Position
    gate: Gate | None = None
    begun: bool = False
    near: bool = False
    blind: bool = True
    sign: str = ""
    left_out: bool = False
    release: Release | None = None


class ProgressTracker:
    """Follows one vehicle through the mission that it carries.

    A release counts as inferred when the vehicle's current item has gone past it on the mission and
    it was seen at the place, or was not seen for a while. An item that was passed by a vehicle seen
    all the while elsewhere was skipped, not executed. Nothing counts from a return or a landing that
    leaves the mission, since these may move the current item. Where the vehicle ``returns_along_mission``, what
    it passed out of sight counts only if it is found on its mission: on a return or after a landing nobody knows
    whether the release was before the return, and the ground crew looks. A release behind a gate counts only where
    the vehicle was seen to have been let through: else it hovered above and went on, or nobody knows.
    """

    def __init__(self, *, returns_along_mission: bool = False) -> None:
        self._returns_along_mission = returns_along_mission
        self._plan: ItemPlan | None = None
        self._drops: list[_Drop] = []
        self._current: int | None = None
        self._vehicle_mission_id: int | None = None
        self._told = False
        self._empty = 0
        self._flown = False
        self._finished = False
        self._last_ms: int | None = None
        self._at: Position | None = None
        self._activity = Activity.UNKNOWN
        self._waits: tuple[int, int, datetime] | None = None
        self._by_hand: int | None = None

    @property
    def plan(self) -> ItemPlan | None:
        """The mission on the vehicle, ``None`` when it is none that we know."""
        return self._plan

    @property
    def current(self) -> int | None:
        """The current item, as the vehicle last said since the mission was taken as carried."""
        return self._current

    @property
    def flown(self) -> bool:
        """Whether this mission has begun: the vehicle was in the air with it, or is past its first item."""
        return self._flown

    @property
    def wait(self) -> Wait | None:
        """The decision that it waits for above a drop point. Its wait counts from when this was first seen."""
        if self._waits is None or self._plan is None:
            return None
        step, _, since = self._waits
        gate_s = self._plan.mission.steps[step].gate_s
        return Wait(WaitFor.DROP_CLEAR, step, since, until=since + timedelta(seconds=gate_s)) if gate_s > 0 else None

    @property
    def at_gate(self) -> int | None:
        """The step whose gate it hovers at, whether anybody is to decide or not."""
        return None if self._waits is None else self._waits[0]

    @property
    def wait_left_s(self) -> float:
        """How much of that wait is left at least, by the vehicle's own clock; 0 where it waits for nothing."""
        if self._waits is None or self._plan is None or self._last_ms is None:
            return 0.0
        step, since_ms, _ = self._waits
        hover = self._plan.items[self._plan.gates[step].hover]
        return max(0.0, hover.params[0] - (self._last_ms - since_ms) / 1000)

    def carry(self, plan: ItemPlan, *, fresh: bool) -> None:
        """Take a mission as carried by the vehicle; ``fresh`` when it was loaded just now.

        What was known of the same mission stays known when it was only recognised again.
        """
        if not fresh and self._plan is not None and self._plan.mission == plan.mission:
            return
        self._plan = plan
        self._drops = [
            _Drop(step, item, plan.mission.steps[step].position, plan.gates.get(step), blind=not fresh)
            for step, item in sorted(plan.release_items.items())
        ]
        self._current = None
        self._vehicle_mission_id = None
        self._told = False
        self._empty = 0
        self._flown = False
        self._finished = False

    def drop(self) -> None:
        """The vehicle carries no mission that we know, and what it said of the last one is void."""
        self._plan = None
        self._current = None
        self._waits = None
        self._drops = []

    def on_current(self, message: MissionCurrent) -> bool:
        """Take MISSION_CURRENT; return false when it shows that the vehicle now carries another mission."""
        if self._plan is None:
            self._current = message.seq
            return True
        changed = message.total not in (None, len(self._plan.items)) or self._changed(message.vehicle_mission_id)
        if changed or self._emptied(message):
            self.drop()
            return False
        self._current = message.seq
        if self._waits is not None and message.seq != self._plan.gates[self._waits[0]].hover:
            self._waits = None
        self._flown = self._flown or message.seq > 0
        for drop in self._drops:
            if drop.gate is not None and message.seq <= drop.gate.hover:
                drop.begun = False
            elif drop.gate is not None and message.seq < drop.gate.after:
                drop.begun = True
            if message.seq < drop.item - 1:
                drop.blind = drop.left_out = False
                drop.sign = ""
            elif message.seq > drop.item:
                self._passed(drop, f"MISSION_CURRENT {message.seq}")
        return True

    def on_reached(self, seq: int) -> None:
        """Take MISSION_ITEM_REACHED. One beyond the current item is left over from another mission."""
        if self._plan is None or self._current is None or seq > self._current:
            return
        for drop in self._drops:
            if seq >= drop.item:
                self._passed(drop, f"MISSION_ITEM_REACHED {seq}")

    def on_release_acknowledged(self) -> None:
        """Take an acceptance of DO_GRIPPER: it belongs to the newest release that the vehicle has come to."""
        current = self._current
        if self._plan is None or current is None or not self._flown:
            return
        if self._by_hand is not None:
            return
        due = [drop for drop in self._drops if drop.item <= current + 1]
        if due and (due[-1].gate is None or due[-1].begun):
            drop = due[-1]
            drop.release = Release(drop.step, "sensor", "COMMAND_ACK of DO_GRIPPER")

    @contextmanager
    def by_hand(self, step: int) -> Iterator[None]:
        """Meanwhile acknowledgements belong to a release that is told by hand; ``on_told`` says that it was."""
        self._by_hand = step
        try:
            yield
        finally:
            self._by_hand = None

    def on_told(self, step: int, detail: str) -> None:
        """Take it that the vehicle has let the parcels of a step go when it was told to, as it acknowledged."""
        for drop in self._drops:
            if drop.step == step:
                drop.release = Release(step, "sensor", detail)

    def on_position(self, at: Position, vehicle_ms: int, now: datetime | None = None) -> None:
        """Take a position at a time of the vehicle's own clock, and of ours."""
        if self._last_ms is not None and not 0 <= vehicle_ms - self._last_ms <= BLIND_GAP_MS:
            for drop in self._drops:
                drop.blind = True
        self._last_ms, self._at = vehicle_ms, at
        for drop in self._drops:
            if not drop.near and distance_m(at, drop.place) <= NEAR_RELEASE_M:
                drop.near = True
        self._see_wait(at, vehicle_ms, now)

    def _see_wait(self, at: Position, vehicle_ms: int, now: datetime | None) -> None:
        """Note that it hovers at a gate, from the first moment on."""
        if self._plan is None or now is None:
            return
        step = next((drop.step for drop in self._drops if drop.gate and drop.gate.hover == self._current), None)
        if step is None or self._activity not in _ON_MISSION:
            self._waits = None
            return
        hover_amsl_m = self._plan.items[self._plan.gates[step].hover].z
        away_m = max(distance_m(at, self._plan.mission.steps[step].position), abs(at.alt_amsl_m - hover_amsl_m))
        if self._waits is not None and self._waits[0] == step:
            # The autopilot counts on when a gust moves it away for a moment.
            return
        self._waits = (step, vehicle_ms, now) if away_m <= NEAR_GATE_M else None

    def on_heartbeat(self) -> None:
        """Take it that the activity last told is that of now: it decides on what was passed since the last one."""
        for drop in self._drops:
            sign, drop.sign = drop.sign, ""
            if sign and self._activity in _ON_MISSION:
                self._release(drop, sign)
            elif sign:
                drop.left_out = True

    def on_state(self, *, activity: Activity, armed: bool, on_ground: bool) -> None:
        """Take what the vehicle is doing; ``on_ground`` only as the vehicle said it."""
        self._activity = activity
        if self._plan is None:
            return
        self._flown = self._flown or (armed and not on_ground)
        if self._flown and on_ground and not armed and self._at_end():
            self._finished = True

    def progress(self) -> Progress:
        """Return the progress as all signs together tell it."""
        if self._plan is None:
            return Progress()
        mission_id, step = self.place()
        releases = tuple(drop.release for drop in self._drops if drop.release is not None)
        return Progress(mission_id, step or 0, releases, self._finished)

    def place(self) -> tuple[str | None, int | None]:
        """Return the mission that the vehicle carries and the step under way, ``None`` without one that we know."""
        if self._plan is None:
            return None, None
        return self._plan.mission.mission_id, self._plan.step_of[min(self._current or 0, self._plan.last)]

    def _changed(self, vehicle_mission_id: int | None) -> bool:
        if vehicle_mission_id is None:
            return False
        if self._vehicle_mission_id is None:
            self._vehicle_mission_id = vehicle_mission_id
        return vehicle_mission_id != self._vehicle_mission_id

    def _emptied(self, message: MissionCurrent) -> bool:
        """Whether a vehicle that told of its mission says several times in a row that it has none."""
        if message.total is not None or message.vehicle_mission_id is not None:
            self._told, self._empty = True, 0
        elif self._told:
            self._empty += 1
        return self._empty >= EMPTY_TIMES

    def _passed(self, drop: _Drop, sign: str) -> None:
        if drop.release is not None or drop.left_out or (drop.gate is not None and not drop.begun):
            return
        if not self._returns_along_mission:
            if drop.blind or (drop.near and self._activity in _ON_MISSION):
                self._release(drop, sign)
        elif self._activity is Activity.RETURN:
            drop.left_out = True
        elif self._activity in _ON_MISSION and (drop.blind or drop.near):
            drop.sign = drop.sign or sign

    def _release(self, drop: _Drop, sign: str) -> None:
        seen = "seen at the place" if drop.near else "out of sight meanwhile"
        drop.release = Release(drop.step, "inferred", f"{sign} is past the release, {seen}")

    def _at_end(self) -> bool:
        assert self._plan is not None
        if self._current == self._plan.last:
            return True
        return self._at is not None and distance_m(self._at, self._plan.landing) <= NEAR_LANDING_M
