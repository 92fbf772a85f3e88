"""Commands to one vehicle, each waiting until the vehicle's state shows the effect.

An acknowledgement says little (PX4 accepts a take-off while disarmed), so it only ends a command early
when it is a refusal. Time-outs of effects are counted on the vehicle's own clock, which in a simulation
may run faster or slower than ours.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager

import structlog

from hardware.errors import HardwareError, LinkDown, NoAnswer, NotOurs, Refused
from hardware.link import Activity
from hardware.mavlink import modes
from hardware.mavlink.autopilot import Autopilot, CommandResult
from hardware.mavlink.changes import Changes
from hardware.mavlink.endpoint import Endpoint
from hardware.mavlink.modes import Mode
from hardware.mavlink.observer import Observer
from routing.geo import Position
from telemetry.clock import Clock

log = structlog.get_logger(__name__)

ARM_DISARM = 400
MISSION_START = 300
DO_SET_MODE = 176
RUN_PREARM_CHECKS = 401
DO_REPOSITION = 192
REPOSITION_NOW = 1.0
"""MAV_DO_REPOSITION_FLAGS_CHANGE_MODE: leave the mission for it."""
STILL_MPS = 0.5
"""A vehicle that moves faster does not hover."""

READY_S = 10.0
MODE_S = 5.0
ARM_S = 5.0
TAKEOFF_S = 40.0
ITEM_S = 2.0
TEXT_S = 1.0
"""Seconds of the vehicle's time."""
ITEM_ATTEMPTS = 3
"""A message without an acknowledgement is sent again when nothing comes of it."""
SLOWEST = 5.0
WALL_MARGIN_S = 5.0
"""A vehicle whose clock stands still is given up after ``SLOWEST`` times the wall time that its own time
should take, plus the margin."""


class Commander:
    """Gives commands to a vehicle through its autopilot and watches what becomes of them."""

    def __init__(
        self, *, observer: Observer, changes: Changes, autopilot: Autopilot, endpoint: Endpoint, clock: Clock
    ) -> None:
        self._observer = observer
        self._changes = changes
        self._autopilot = autopilot
        self._endpoint = endpoint
        self._clock = clock
        self._interruptions = 0
        self._undecided = 0

    def check_contact(self) -> None:
        """Raise ``NotOurs`` without the lease and ``LinkDown`` while the vehicle is not heard, or not surely it."""
        if not self._endpoint.may_speak():
            raise NotOurs(f"{self._observer.vehicle_id}: the lease is not held; nothing was sent")
        if not self._observer.connected or self._endpoint.source is None:
            raise LinkDown(f"{self._observer.vehicle_id}: the vehicle is not heard")
        if not self._endpoint.can_be_spoken_to:
            raise LinkDown(f"{self._observer.vehicle_id}: it is heard but does not answer; nothing was sent")

    @property
    def interruptions(self) -> int:
        """How many commands there were that end what was going on."""
        return self._interruptions

    def interrupt(self) -> int:
        """Count one more such command; return the new count."""
        self._interruptions += 1
        return self._interruptions

    @property
    def is_undecided(self) -> bool:
        """Whether such a command is sent that the vehicle has not taken yet: what it may end does not go on now."""
        return self._undecided > 0

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Meanwhile the vehicle decides on such a command; one that it refuses ends nothing."""
        self._undecided += 1
        try:
            yield
        finally:
            self._undecided -= 1
            self._changes.tell()

    def check_turn(self, turn: int) -> None:
        """Raise ``Refused`` when another such command was given since ``interruptions`` was ``turn``."""
        if self._interruptions != turn or self.is_undecided:
            raise self._refused("interrupted by another command")

    async def start(self, check: Callable[[], tuple[str, ...]]) -> None:
        """Arm, start the mission and return when the vehicle is in the air with it.

        ``check`` names what speaks against arming, asked at the last moment. Whatever fails, a vehicle
        still on the ground is disarmed again. Raises ``Refused`` with the vehicle's own words.
        """
        self.check_contact()
        said = self._observer.texts
        interruptions = self._interruptions
        if self._observer.mode != modes.HOLD:
            # A mode left over from the last flight may not allow arming.
            await self.set_mode(modes.HOLD, said)
        await self._ready(said)
        if reasons := check():
            raise self._refused("pre-flight check: " + "; ".join(reasons))
        await self.order(said, "arming", ARM_DISARM, 1.0)
        try:
            await self.until(lambda: self._observer.armed, ARM_S, "arm", interruptions)
            await self.order(said, "starting the mission", MISSION_START, 0.0, 0.0)
            await self.until(self._on_mission, MODE_S, "enter its mission", interruptions)
            await self.until(lambda: not self._observer.on_ground, TAKEOFF_S, "take off", interruptions)
        except NoAnswer as error:
            await self._stand_down()
            if words := "; ".join(self._observer.faults_since(said)):
                raise Refused(f"{error}; it says: {words}") from error
            raise
        except HardwareError:
            await self._stand_down()
            raise

    async def hold(self) -> None:
        """Hover here."""
        was_holding = self._observer.mode == modes.HOLD
        self.check_contact()
        # At once: whatever becomes of it, nothing else is sent on top of it.
        self.interrupt()
        with self.deciding():
            await self.set_mode(modes.HOLD, self._observer.texts)
        fix = self._observer.fix()
        if was_holding and fix is not None and fix.speed_mps > STILL_MPS and not self._observer.on_ground:
            # Its hold has a place elsewhere, to which it flies on in the same mode (PX4 1.16.1).
            await self.order_at(self._observer.texts, "hold", DO_REPOSITION, fix.position, -1.0, REPOSITION_NOW)

    async def return_home(self, *, along_mission: bool = False) -> None:
        """Fly home.

        ``along_mission``: its return follows the mission that it carries. From a hold PX4 would first go back to the
        mission item nearest in space, whichever way that leads, so that it takes the mission up for a moment.
        """
        self.in_flight("return")
        if along_mission and self._observer.mode == modes.HOLD:
            self.check_contact()
            turn = self._interruptions
            try:
                with self.deciding():
                    await self.set_mode(modes.MISSION, self._observer.texts)
            except (Refused, NoAnswer) as error:
                log.warning("mavlink_return_from_hold", vehicle=self._observer.vehicle_id, error=str(error))
            self.check_turn(turn)
        await self._override(modes.RETURN)

    async def land(self) -> None:
        """Land here."""
        self.in_flight("land")
        await self._override(modes.LAND)

    async def resume(self) -> None:
        """Go on with the mission; one that was held on its way down to a release waits above it for another word."""
        self.in_flight("resume")
        self.check_contact()
        turn, hover = self._interruptions, self._gate_behind()
        if hover is not None and self._observer.mode != modes.MISSION:
            await self.go_to_item(
                hover, lambda item: item == hover, "go back to its wait", still=lambda: self.check_turn(turn)
            )
            self.check_turn(turn)
        await self._override(modes.MISSION)

    def _gate_behind(self) -> int | None:
        """The item of the wait that it has come down from, while its parcels are not released."""
        plan, current = self._observer.tracker.plan, self._observer.tracker.current
        if plan is None or current is None:
            return None
        ways_down = ((gate, plan.release_items[step]) for step, gate in plan.gates.items())
        return next((gate.hover for gate, release in ways_down if gate.down <= current <= release), None)

    async def until_current_item(self, vehicle_s: float) -> None:
        """Wait for the first word about the current item since the tracker was set; raises ``NoAnswer``."""
        await self.until(lambda: self._observer.tracker.current is not None, vehicle_s, "tell its item")

    async def go_to_item(
        self, index: int, reached: Callable[[int], bool], what: str, *, still: Callable[[], None] | None = None
    ) -> None:
        """Make an item the current one, until the vehicle says an item that will do; raises ``NoAnswer``.

        ``still`` is called before the message is sent, each time, and raises where it must not be any more.
        """

        def shown() -> bool:
            current = self._observer.tracker.current
            return current is not None and reached(current)

        for attempt in range(1, ITEM_ATTEMPTS + 1):
            self.check_contact()
            if still is not None:
                still()
            await self._autopilot.set_current(index)
            try:
                await self.until(shown, ITEM_S, what)
            except NoAnswer:
                if attempt == ITEM_ATTEMPTS:
                    raise
            else:
                return

    async def _override(self, mode: Mode) -> None:
        """Command a flight mode that ends what was going on, once the vehicle has taken it."""
        self.check_contact()
        with self.deciding():
            await self._order_mode(mode, self._observer.texts)
            self.interrupt()
            await self._see_mode(mode)

    async def set_mode(self, mode: Mode, said: int) -> None:
        """Command a flight mode, whatever else is going on."""
        await self._order_mode(mode, said)
        await self._see_mode(mode)

    async def _order_mode(self, mode: Mode, said: int) -> None:
        await self.order(said, mode.name, DO_SET_MODE, 1.0, float(mode.main), float(mode.sub))

    async def _see_mode(self, mode: Mode) -> None:
        await self.until(lambda: self._observer.mode == mode, MODE_S, f"go to {mode.name}")

    async def _ready(self, said: int) -> None:
        try:
            await self.until(lambda: self._observer.ready, READY_S, "become ready to arm")
        except NoAnswer:
            # It reports a failed check once; asked to run them again, it says them again.
            asked = self._observer.texts
            await self.order(asked, "pre-arm checks", RUN_PREARM_CHECKS)
            words = await self._words(asked)
            raise self._refused(f"it is not ready to arm; it says: {words or 'nothing'}") from None

    async def order(self, said: int, what: str, command: int, *parameters: float) -> None:
        """Send a command; raise ``Refused`` with the vehicle's words when it says no."""
        await self._ordered(said, what, self._autopilot.command(command, *parameters))

    async def order_at(self, said: int, what: str, command: int, place: Position, *parameters: float) -> None:
        """Send a command with a place (AMSL), as exactly as a mission item has it; else as ``order``."""
        await self._ordered(said, what, self._autopilot.command_at(command, place, *parameters))

    async def _ordered(self, said: int, what: str, sending: Coroutine[None, None, CommandResult]) -> None:
        try:
            self.check_contact()
        except HardwareError:
            sending.close()
            raise
        try:
            result = await sending
        except HardwareError:
            self.check_contact()
            raise
        if result in (CommandResult.ACCEPTED, CommandResult.IN_PROGRESS):
            return
        reason = f"{what}: {result.name.lower().replace('_', ' ')}"
        if words := await self._words(said):
            reason = f"{reason}; it says: {words}"
        raise self._refused(reason)

    async def rest(self, vehicle_s: float) -> None:
        """Wait for so much of the vehicle's time."""
        ends_ms = self._observer.vehicle_ms + vehicle_s * 1000
        await self.until(lambda: self._observer.vehicle_ms >= ends_ms, vehicle_s + TEXT_S, "go on with its clock")

    async def _words(self, said: int) -> str:
        """Return the texts since ``said``, waiting a little for the first: they may come after the answer."""
        try:
            await self.until(lambda: self._observer.texts > said, TEXT_S, "say why")
        except HardwareError:
            return ""
        return "; ".join(self._observer.faults_since(said))

    async def _stand_down(self) -> None:
        """Disarm a vehicle that stands; one that flies, or that is not ours to command, is left alone."""
        if not self._observer.on_ground or not self._observer.armed:
            return
        try:
            await self.order(self._observer.texts, "disarming", ARM_DISARM, 0.0)
            await self.until(lambda: not self._observer.armed, ARM_S, "disarm")
        except HardwareError as error:
            log.warning("mavlink_stand_down_failed", vehicle=self._observer.vehicle_id, error=str(error))

    async def until(
        self,
        reached: Callable[[], bool],
        vehicle_s: float,
        what: str,
        interruptions: int | None = None,
    ) -> None:
        """Wait for something in the vehicle's state, at most ``vehicle_s`` of its own time."""
        start_ms, boots = self._observer.vehicle_ms, self._observer.boots
        ends = time.monotonic() + self._clock.wall_seconds(vehicle_s) * SLOWEST + WALL_MARGIN_S
        while True:
            seen = self._changes.count
            if reached():
                return
            self.check_contact()
            if self._observer.boots != boots:
                raise LinkDown(f"{self._observer.vehicle_id}: the autopilot started again")
            if interruptions is not None and self._interruptions != interruptions:
                raise self._refused("interrupted by another command")
            # A vehicle just found has not told its time yet.
            start_ms = start_ms or self._observer.vehicle_ms
            elapsed_s = (self._observer.vehicle_ms - start_ms) / 1000
            left_s = ends - time.monotonic()
            if elapsed_s > vehicle_s or left_s <= 0:
                raise NoAnswer(f"{self._observer.vehicle_id}: did not {what} within {vehicle_s:g} s")
            try:
                async with asyncio.timeout(min(left_s, 0.5)):
                    await self._changes.after(seen)
            except TimeoutError:
                continue

    def _on_mission(self) -> bool:
        return self._observer.state().activity in (Activity.MISSION, Activity.TAKEOFF)

    def in_flight(self, what: str) -> None:
        """Raise ``Refused`` for a vehicle that is known not to fly."""
        if not self._observer.armed and self._observer.connected:
            raise self._refused(f"{what}: it is not flying")

    def _refused(self, reason: str) -> Refused:
        return Refused(f"{self._observer.vehicle_id}: {reason}")
