"""What a pilot tells a flying vehicle beside its modes: to go elsewhere, to be faster or higher, to let a parcel go.

Each returns when the vehicle's state shows the effect. A diversion outlives its call (``Manoeuvres.see_landing``):
PX4 has one command to fly to a place and another to land where it is, and what flies is given no other mission.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import structlog

from hardware.errors import HardwareError, Refused
from hardware.mavlink import modes
from hardware.mavlink.changes import Changes
from hardware.mavlink.commander import DO_REPOSITION, REPOSITION_NOW, Commander
from hardware.mavlink.observer import Fix, Observer
from hardware.mavlink.translate import (
    DO_CHANGE_SPEED,
    DO_GRIPPER,
    DO_VTOL_TRANSITION,
    DO_WINCH,
    HOVER,
    LENGTH_CONTROL,
    RELEASE_PAUSE_S,
    WINCH_LINE_M,
    WINCH_MPS,
    Gate,
    ItemPlan,
)
from routing.geo import Position, distance_m

log = structlog.get_logger(__name__)

RELEASE_NEAR_M = 2.0
"""A drop point is a square of a few metres; a satellite receiver is good to 1.5 m (``problem.Separation``)."""
RELEASE_OVER_M = 1.5
"""Above the height of a planned release: what its height may be off by in the air (flight technical error)."""
RELEASE_STILL_MPS = 0.5
"""Slower than a vehicle that holds its place in gusts; from 5 m a parcel then falls within half a metre of it."""

ARRIVED_M = 1.5
ARRIVED_HEIGHT_M = 3.0
ARRIVED_MPS = 0.5
"""Over the place to land at, and still: the command to land brakes and lands where that ends."""
WING_ARRIVED_M = 200.0
"""A wing circles about a place with 80 m (NAV_LOITER_RAD); it slows down to a hover from here."""
LEVEL_M = 2.0
SAME_SPEED_MPS = 1.0
GATE_LEFT_S = 3.0
"""A wait that ends sooner is over: told to come down a moment later, the vehicle would do so on its way on."""

UNDERWAY_S = 10.0
ITEM_S = 5.0
SPEED_S = 20.0
TRANSITION_S = 40.0
CLIMB_MPS = 0.7
"""Half of the slowest planned rate: time-outs of heights are reckoned with it."""
AGAIN_S = 1.0


class Manoeuvres:
    """Gives one vehicle such commands. ``commander`` gives its modes, and knows when another command comes between."""

    def __init__(self, *, commander: Commander, observer: Observer, changes: Changes) -> None:
        self._commander = commander
        self._observer = observer
        self._changes = changes

    async def divert(self, to: Position, alt_amsl_m: float) -> int:
        """Set out for above ``to``; return what ``see_landing`` is given. Raises ``Refused`` in the vehicle's words."""
        self._commander.in_flight("divert")
        turn = self._commander.interrupt()
        await self._reposition(to, alt_amsl_m)
        await self._commander.until(lambda: self._is_underway(to), UNDERWAY_S, "set out", turn)
        return turn

    async def see_landing(self, turn: int, to: Position, alt_amsl_m: float) -> None:
        """See a diversion through to the command to land, until another command or somebody else takes over."""
        observer, commander = self._observer, self._commander
        while commander.interruptions == turn:
            seen = self._changes.count
            if commander.is_undecided:
                await self._changes.after_or(seen, 0.5)
                continue
            try:
                if observer.connected and observer.mode != modes.HOLD:
                    log.warning("mavlink_diversion_ended", vehicle=observer.vehicle_id, mode=observer.mode.name)
                    return
                fix = observer.fix()
                if fix is not None and observer.on_wing and distance_m(fix.position, to) <= WING_ARRIVED_M:
                    await self._hover(turn)
                    commander.check_turn(turn)
                    await self._reposition(to, alt_amsl_m)
                elif fix is not None and _is_over(fix, to, alt_amsl_m):
                    await commander.set_mode(modes.LAND, observer.texts)
                    return
            except HardwareError as error:
                log.warning("mavlink_diversion_retried", vehicle=observer.vehicle_id, error=str(error))
                await asyncio.sleep(AGAIN_S)
                continue
            await self._changes.after_or(seen, 0.5)

    async def set_speed(self, speed_mps: float) -> None:
        """Fly at another speed; where it is on its way the state shows it, a hovering one only acknowledges."""
        self._commander.in_flight("speed")
        if not (math.isfinite(speed_mps) and 0 < speed_mps <= 50):
            raise self._refused(f"speed of {speed_mps:g} m/s is not between 0 and 50")
        fix = self._observer.fix()
        before_mps = None if fix is None else fix.speed_mps
        kind = 0.0 if self._observer.on_wing else 1.0
        await self._commander.order(self._observer.texts, "speed", DO_CHANGE_SPEED, kind, speed_mps, -1.0)
        if self._observer.mode != modes.MISSION or before_mps is None or before_mps < ARRIVED_MPS:
            return
        faster = speed_mps > before_mps
        await self._commander.until(lambda: self._keeps(speed_mps, faster), SPEED_S, f"fly at {speed_mps:g} m/s")

    async def set_altitude(self, alt_amsl_m: float) -> None:
        """Hold here at another altitude; returns when it is there."""
        self._commander.in_flight("altitude")
        fix = self._observer.fix()
        if fix is None or not math.isfinite(alt_amsl_m):
            raise self._refused("altitude: it is not known where it is")
        turn = self._commander.interrupt()
        await self._reposition(fix.position, alt_amsl_m)
        within_s = UNDERWAY_S + abs(alt_amsl_m - fix.position.alt_amsl_m) / CLIMB_MPS
        await self._commander.until(lambda: self._is_at(alt_amsl_m), within_s, "come to that altitude", turn)

    async def release(self, step: int) -> None:
        """Let parcels go now; raises ``Refused`` naming all that the interlock finds."""
        plan = self._plan()
        if step not in plan.release_items:
            raise self._refused(f"step {step} of its mission releases nothing")
        if reasons := _interlock(self._observer, plan.mission.steps[step].position):
            raise self._refused("release: " + "; ".join(reasons))
        tracker, said = self._observer.tracker, self._observer.texts
        with tracker.by_hand(step):
            if plan.mission.winch:
                await self._lower(said)
                tracker.on_told(step, "COMMAND_ACK of DO_WINCH, told by hand")
            else:
                await self._commander.order(said, "release", DO_GRIPPER, 1.0, 0.0)
                tracker.on_told(step, "COMMAND_ACK of DO_GRIPPER, told by hand")
        self._changes.tell()

    async def descend(self, step: int) -> None:
        """Let it through the gate of a release; raises ``Refused`` unless it waits there with some time left."""
        gate = self._gate(step)
        await self._leave_gate(step, gate.down, lambda item: gate.down <= item < gate.after, "come down")

    async def skip(self, step: int) -> None:
        """Let it go on from the gate of a release; raises ``Refused`` unless it waits there."""
        gate = self._gate(step)
        await self._leave_gate(step, gate.after, lambda item: item >= gate.after, "go on")

    async def _leave_gate(self, step: int, index: int, reached: Callable[[int], bool], what: str) -> None:
        """Send it on from a gate, again only while it still waits there and no other command has come between."""
        turn = self._commander.interruptions

        def still() -> None:
            self._commander.check_turn(turn)
            self._gate(step)

        await self._commander.go_to_item(index, reached, what, still=still)

    def _plan(self) -> ItemPlan:
        self._commander.check_contact()
        plan = self._observer.tracker.plan
        if plan is None:
            raise self._refused("it carries no mission of ours")
        return plan

    def _gate(self, step: int) -> Gate:
        gate = self._plan().gates.get(step)
        if gate is None:
            raise self._refused(f"there is no wait at step {step} of its mission")
        if self._observer.tracker.at_gate != step:
            raise self._refused(f"it does not wait above the drop point of step {step}")
        if self._observer.tracker.wait_left_s < GATE_LEFT_S:
            raise self._refused(f"its wait above the drop point of step {step} is over")
        return gate

    async def _reposition(self, to: Position, alt_amsl_m: float) -> None:
        """Command it to a place; raises ``Refused`` when it does not go, which PX4 says after its acknowledgement."""
        said = self._observer.texts
        target = Position(to.lat, to.lon, alt_amsl_m)
        await self._commander.order_at(said, "going there", DO_REPOSITION, target, -1.0, REPOSITION_NOW)

        def decided() -> bool:
            return self._observer.mode == modes.HOLD or bool(self._objections(said))

        await self._commander.until(decided, ITEM_S, "go there")
        if words := self._objections(said):
            raise self._refused(f"going there; it says: {words}")

    def _objections(self, said: int) -> str:
        return "; ".join(text for text in self._observer.faults_since(said) if "eposition" in text)

    def _is_underway(self, to: Position) -> bool:
        fix = self._observer.fix()
        moving = fix is not None and (fix.speed_mps > ARRIVED_MPS or distance_m(fix.position, to) <= ARRIVED_M)
        return self._observer.mode == modes.HOLD and moving

    def _is_at(self, alt_amsl_m: float) -> bool:
        fix = self._observer.fix()
        return fix is not None and abs(fix.position.alt_amsl_m - alt_amsl_m) <= LEVEL_M

    def _keeps(self, speed_mps: float, faster: bool) -> bool:
        fix = self._observer.fix()
        if fix is None:
            return False
        return fix.speed_mps >= speed_mps - SAME_SPEED_MPS if faster else fix.speed_mps <= speed_mps + SAME_SPEED_MPS

    async def _hover(self, turn: int) -> None:
        """Take a VTOL from its wing to its rotors."""
        await self._commander.order(self._observer.texts, "hovering", DO_VTOL_TRANSITION, HOVER)
        await self._commander.until(lambda: not self._observer.on_wing, TRANSITION_S, "hover", turn)

    async def _lower(self, said: int) -> None:
        """Line out, a pause, line in; raises ``NoAnswer`` where no winch answers."""
        turning_s = WINCH_LINE_M / WINCH_MPS
        await self._commander.order(said, "winch down", DO_WINCH, 1.0, LENGTH_CONTROL, WINCH_LINE_M, WINCH_MPS)
        await self._commander.rest(turning_s + RELEASE_PAUSE_S)
        await self._commander.order(said, "winch up", DO_WINCH, 1.0, LENGTH_CONTROL, -WINCH_LINE_M, WINCH_MPS)

    def _refused(self, reason: str) -> Refused:
        return Refused(f"{self._observer.vehicle_id}: {reason}")


def _interlock(observer: Observer, drop: Position) -> list[str]:
    """Why a parcel must not be let go here."""
    fix = observer.fix()
    if fix is None:
        return ["it is not known where it is"]
    found = []
    if (away_m := distance_m(fix.position, drop)) > RELEASE_NEAR_M:
        found.append(f"it is {away_m:.1f} m from the drop point, at most {RELEASE_NEAR_M:g}")
    if (over_m := fix.position.alt_amsl_m - drop.alt_amsl_m) > RELEASE_OVER_M:
        found.append(f"it is {over_m:.1f} m above the height of the release, at most {RELEASE_OVER_M:g}")
    if fix.speed_mps > RELEASE_STILL_MPS:
        found.append(f"it moves at {fix.speed_mps:.1f} m/s, at most {RELEASE_STILL_MPS:g}")
    return found


def _is_over(fix: Fix, to: Position, alt_amsl_m: float) -> bool:
    near = distance_m(fix.position, to) <= ARRIVED_M
    level = abs(fix.position.alt_amsl_m - alt_amsl_m) <= ARRIVED_HEIGHT_M
    return near and level and fix.speed_mps <= ARRIVED_MPS
