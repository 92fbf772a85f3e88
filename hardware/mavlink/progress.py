"""How far a vehicle is in its mission, from several signs, none of which says enough alone.

PX4's MISSION_ITEM_REACHED repeats and skips items, MISSION_CURRENT says where the vehicle is going, not
what it has done, and both may be left over from another mission. A return along the mission (RTL_TYPE 2 and 4)
moves both past releases that it leaves out, some tenths of a second before the heartbeat tells of the return.
"""

from __future__ import annotations

from dataclasses import dataclass

from hardware.link import Activity, Progress, Release
from hardware.mavlink.messages import MissionCurrent
from hardware.mavlink.translate import ItemPlan
from routing.geo import Position, distance_m

NEAR_RELEASE_M = 25.0
NEAR_LANDING_M = 15.0
BLIND_GAP_MS = 3000
"""A vehicle unseen for longer (its own time) may have released a parcel meanwhile."""

_ON_MISSION = (Activity.MISSION, Activity.TAKEOFF)


@dataclass(slots=True)
class _Drop:
    """What was seen of one release: the vehicle near the place, or a time in which it was not seen.

    ``sign`` is what says that it was passed, until a heartbeat tells in which mode; ``left_out``: on a return.
    """

    step: int
    item: int
    place: Position
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
    whether the release was before the return, and the ground crew looks.
    """

    def __init__(self, *, returns_along_mission: bool = False) -> None:
        self._returns_along_mission = returns_along_mission
        self._plan: ItemPlan | None = None
        self._drops: list[_Drop] = []
        self._current: int | None = None
        self._vehicle_mission_id: int | None = None
        self._flown = False
        self._finished = False
        self._last_ms: int | None = None
        self._at: Position | None = None
        self._activity = Activity.UNKNOWN

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

    def carry(self, plan: ItemPlan, *, fresh: bool) -> None:
        """Take a mission as carried by the vehicle; ``fresh`` when it was loaded just now.

        What was known of the same mission stays known when it was only recognised again.
        """
        if not fresh and self._plan is not None and self._plan.mission == plan.mission:
            return
        self._plan = plan
        self._drops = [
            _Drop(step, item, plan.mission.steps[step].position, blind=not fresh)
            for step, item in sorted(plan.release_items.items())
        ]
        self._current = None
        self._vehicle_mission_id = None
        self._flown = False
        self._finished = False

    def drop(self) -> None:
        """The vehicle carries no mission that we know, and what it said of the last one is void."""
        self._plan = None
        self._current = None
        self._drops = []

    def on_current(self, message: MissionCurrent) -> bool:
        """Take MISSION_CURRENT; return false when it shows that the vehicle now carries another mission."""
        if self._plan is None:
            self._current = message.seq
            return True
        if message.total not in (None, len(self._plan.items)) or self._changed(message.vehicle_mission_id):
            self.drop()
            return False
        self._current = message.seq
        self._flown = self._flown or message.seq > 0
        for drop in self._drops:
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
        due = [drop for drop in self._drops if drop.item <= current + 1]
        if due:
            drop = due[-1]
            drop.release = Release(drop.step, "sensor", "COMMAND_ACK of DO_GRIPPER")

    def on_position(self, at: Position, vehicle_ms: int) -> None:
        """Take a position at a time of the vehicle's own clock."""
        if self._last_ms is not None and not 0 <= vehicle_ms - self._last_ms <= BLIND_GAP_MS:
            for drop in self._drops:
                drop.blind = True
        self._last_ms, self._at = vehicle_ms, at
        for drop in self._drops:
            if not drop.near and distance_m(at, drop.place) <= NEAR_RELEASE_M:
                drop.near = True

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

    def _passed(self, drop: _Drop, sign: str) -> None:
        if drop.release is not None or drop.left_out:
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
