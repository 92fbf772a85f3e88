"""The link to one drone over MAVLink."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any, TypeVar

import structlog

from hardware.errors import HardwareError, LinkDown, MissionRejected, NoAnswer, NotSupported, Refused
from hardware.link import EventSink, LeaseGuard, SampleSink, VehicleLink, VehicleState, no_events
from hardware.mavlink import frames, preflight
from hardware.mavlink.address import MavlinkAddress, Source
from hardware.mavlink.autopilot import Autopilot
from hardware.mavlink.changes import Changes
from hardware.mavlink.commander import Commander
from hardware.mavlink.events import REJECTION
from hardware.mavlink.frames import Frame
from hardware.mavlink.loading import Loader
from hardware.mavlink.manoeuvres import Manoeuvres
from hardware.mavlink.messages import DECODED, AutopilotVersion, CommandAck, RadioStatus, decode
from hardware.mavlink.observer import Observer
from hardware.mavlink.preflight import Firmware, Preflight
from hardware.mavlink.progress import ProgressTracker
from hardware.mavlink.signing import Signing
from hardware.mavlink.streams import SET_MESSAGE_INTERVAL, Streams
from hardware.mavlink.translate import ItemPlan, difference, translate
from hardware.mavlink.transport import MavlinkPort, MavlinkRegistration
from hardware.mission import Mission
from routing.flight_fence import keeps_inside
from routing.geo import Position
from routing.vehicle_type import VehicleType
from telemetry.clock import Clock
from telemetry.event import VehicleEvent

log = structlog.get_logger(__name__)

_T = TypeVar("_T")

BEAT_VALID_S = 1.5
"""Wall time for which one ``beat()`` vouches for the working loop."""
FASTEST_HEARTBEAT_S = 0.05
"""A heartbeat each second of the vehicle's time, but no more than 20 a second."""
LOST_S = 3.0
LOST_AT_LEAST_WALL_S = 1.5
"""Silence of heartbeats after which the vehicle is not connected: vehicle time, and wall time at least."""
TICK_S = 0.2
CURRENT_ITEM_S = 5.0
FENCE_LIFT_S = 1.0
"""Vehicle time."""


class MavlinkLink(VehicleLink):
    """A drone with a PX4 autopilot.

    ``home`` is the surveyed start site at ground level and ``parameters`` the failsafe parameters of the
    profile: set on a simulated vehicle, only compared on a real one. ``on_sample`` is given one sample
    for each position heard, ``on_event`` what happens and what the vehicle says in words. A link to a real
    vehicle wants ``allow_real``, a clock that is not simulated and a pinned ``hardware_uid``; one to a
    simulated vehicle stays on loopback sockets. With ``signing`` all that is sent is signed, and what comes unsigned
    is not the vehicle's. ``firmware`` is the profile's table of that name. ``open`` raises ``NotSupported`` otherwise.
    """

    def __init__(
        self,
        *,
        vehicle_id: str,
        address: MavlinkAddress,
        vehicle_type: VehicleType,
        parameters: Mapping[str, int | float],
        lease: LeaseGuard,
        clock: Clock,
        on_sample: SampleSink,
        home: Position | None,
        simulated: bool,
        allow_real: bool = False,
        on_event: EventSink = no_events,
        signing: Signing | None = None,
        firmware: Mapping[str, Any] | None = None,
    ) -> None:
        self.vehicle_id = vehicle_id
        self._signing = signing
        self._address = address
        self._parameters = dict(parameters)
        self._lease = lease
        self._clock = clock
        self._on_sample = on_sample
        self._on_event = on_event
        self._home = home
        self._simulated = simulated
        self._allow_real = allow_real
        self._preflight = Preflight(vehicle_type, home, Firmware.of(firmware or {}), real=not simulated)
        along = self._parameters.get("RTL_TYPE") in preflight.ALONG_MISSION
        tracker = ProgressTracker(returns_along_mission=along)
        self._observer = Observer(vehicle_id, tracker, speed=clock.speed, tell=self._tell)
        self._streams = Streams(clock.speed)
        self._changes = Changes()
        self._expected: ItemPlan | None = None
        self._one_at_a_time = asyncio.Lock()
        self._registration: MavlinkRegistration | None = None
        self._autopilot: Autopilot | None = None
        self._commander: Commander | None = None
        self._manoeuvres: Manoeuvres | None = None
        self._loader: Loader | None = None
        self._loaded: Mission | None = None
        """Whose fence and rally points the vehicle carries, as we have seen."""
        self._diversions: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False
        self._beaten_at = -BEAT_VALID_S
        self._heartbeat_at = 0.0

    @property
    def listens_at(self) -> Source:
        """Host and port of the socket, for a bind address that left the port open."""
        return self._open_parts()[0].port.local

    @property
    def counts(self) -> Mapping[str, int]:
        """How many messages of the vehicle were not used, by reason: ``invalid`` (what it says cannot be),
        ``other_vehicle`` (see ``Observer``), ``component`` (not the autopilot's). See ``MavlinkPort`` for the rest."""
        return dict(self._observer.counts)

    async def open(self) -> None:
        """See ``VehicleLink``. Raises ``NotSupported`` for what must not be mixed, ``LinkDown`` for a port
        that cannot be had."""
        if self._registration is not None or self._closed:
            raise NotSupported(f"{self.vehicle_id}: a link is opened once")
        self._check_worlds()
        registration = MavlinkPort.register(self._address, self._lease, self, self._signing)
        try:
            self._autopilot = Autopilot(self.vehicle_id, registration.endpoint.send)
        except BaseException:
            registration.close()
            raise
        self._registration = registration
        self._commander = Commander(
            observer=self._observer,
            changes=self._changes,
            autopilot=self._autopilot,
            endpoint=registration.endpoint,
            clock=self._clock,
        )
        self._manoeuvres = Manoeuvres(commander=self._commander, observer=self._observer, changes=self._changes)
        self._loader = Loader(self.vehicle_id, self._autopilot, self._speak)
        for work in (self._send_heartbeats, self._watch_silence, self._ask_for_messages, self._open_gates):
            self._tasks.append(asyncio.create_task(self._guarded(work), name=f"{self.vehicle_id}-link"))

    async def close(self) -> None:
        """See ``VehicleLink``."""
        if self._closed:
            return
        self._closed = True
        if self._registration is not None:
            self._registration.close()
        working = [*self._tasks, *self._diversions]
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        if self._autopilot is not None:
            await self._autopilot.close()
        self._observer.connected = False
        self._changes.tell()

    def state(self) -> VehicleState:
        """See ``VehicleLink``."""
        return self._observer.state()

    async def changes(self) -> AsyncIterator[VehicleState]:
        """See ``VehicleLink``. Ends when the link closes, after the last state."""
        told: VehicleState | None = None
        while True:
            count, closed = self._changes.count, self._closed
            state = self.state()
            if state != told:
                told = state
                yield state
            if closed:
                return
            await self._changes.after(count)

    def beat(self) -> None:
        """See ``VehicleLink``. Vouches for ``BEAT_VALID_S`` of wall time."""
        self._beaten_at = time.monotonic()

    def expect(self, mission: Mission) -> None:
        """See ``VehicleLink``. Raises ``MissionRejected`` for a mission that no drone can fly."""
        self._expected = translate(mission)
        carried = self._observer.tracker.plan
        if carried is not None and carried.mission != mission:
            self._observer.tracker.drop()

    async def recognise(self) -> bool:
        """See ``VehicleLink``. Progress counts from what the vehicle says of its current item."""
        async with self._one_at_a_time:
            _, autopilot, commander = self._open_parts()
            commander.check_contact()
            found = await self._speak(autopilot.download())
            expected = self._expected
            if expected is None or difference(expected.items, found) is not None:
                self._observer.tracker.drop()
                return False
            self._loaded = None
            self._observer.tracker.carry(expected, fresh=False)
            await commander.until_current_item(CURRENT_ITEM_S)
            return True

    async def upload(self, mission: Mission) -> None:
        """See ``VehicleLink``. On the ground only; the mission then stands at its first item."""
        plan = translate(mission)
        async with self._one_at_a_time:
            _, autopilot, commander = self._open_parts()
            commander.check_contact()
            if self._observer.armed:
                raise Refused(f"{self.vehicle_id}: it is armed; a mission is loaded on the ground")
            self._expected = plan
            # What the vehicle says of its last mission must not be taken for progress in this one.
            self._observer.tracker.drop()
            said = self._observer.texts
            await self._speak(self._check_parameters(autopilot, mission))
            self._loaded = None
            await self._parts()[1].load(plan)
            self._loaded = mission
            self._observer.tracker.drop()
            await commander.go_to_item(0, lambda item: item == 0, "go to its mission's first item")
            # PX4 accepts the upload of a mission that it will not fly, and says so apart from it.
            if objections := [t for t in self._observer.faults_since(said) if _is_objection(t)]:
                raise MissionRejected(f"{self.vehicle_id}: {'; '.join(objections)}")
            self._observer.tracker.carry(plan, fresh=True)
            self._changes.tell()

    async def start(self) -> None:
        """See ``VehicleLink``. Fails with the vehicle disarmed, or raises ``LinkDown`` or ``NotOurs``."""
        async with self._one_at_a_time:
            _, autopilot, commander = self._open_parts()
            commander.check_contact()
            plan = self._observer.tracker.plan
            if plan is None:
                raise MissionRejected(f"{self.vehicle_id}: no mission of ours is on the vehicle; upload it")
            if self._observer.armed:
                raise Refused(f"{self.vehicle_id}: it is armed already")
            if self._observer.tracker.flown:
                raise Refused(f"{self.vehicle_id}: its mission has been flown; upload it again")
            await self._speak(self._check_parameters(autopilot, plan.mission))
            if self._loaded != plan.mission:
                await self._parts()[1].check_around(plan.mission)
                self._loaded = plan.mission
            self._tell_untested()
            await commander.start(lambda: self._preflight.problems(self._observer, plan))

    async def hold(self) -> None:
        """See ``VehicleLink``. Waits for nothing else that is going on."""
        await self._open_parts()[2].hold()

    async def resume(self) -> None:
        """See ``VehicleLink``. Raises ``Refused`` when the vehicle carries no mission that we know."""
        if self._observer.tracker.plan is None:
            raise Refused(f"{self.vehicle_id}: it carries no mission of ours to go on with")
        await self._open_parts()[2].resume()

    async def return_home(self) -> None:
        """See ``VehicleLink``. Raises ``Refused`` on the ground."""
        along = self._parameters.get("RTL_TYPE") in preflight.ALONG_MISSION
        await self._open_parts()[2].return_home(along_mission=along and self._observer.tracker.plan is not None)

    async def land(self) -> None:
        """See ``VehicleLink``. Raises ``Refused`` on the ground."""
        await self._open_parts()[2].land()

    async def divert(self, to: Position, *, alt_amsl_m: float) -> None:
        """See ``VehicleLink``. Where the straight way leaves the mission's fence, the fence is lifted first: PX4 would
        stop there. Where it cannot be lifted it goes all the same, as far as the fence.

        The landing is commanded by this link when it is over the place. A link that is closed before (another gateway
        takes over) leaves the vehicle to hover there, as a hold does; the diversion is then to be told again.
        """
        manoeuvres, loader = self._parts()
        commander = self._open_parts()[2]
        commander.in_flight("divert")
        commander.check_contact()
        plan, fix = self._observer.tracker.plan, self._observer.fix()
        fence = None if plan is None else plan.mission.fence
        if fence and fix and not keeps_inside(fence.inclusions, fence.exclusions, fix.position, to):
            before = commander.interruptions
            await self._lift_fence(loader, commander)
            # It takes seconds: what was told meanwhile was told later.
            commander.check_turn(before)
        turn = await manoeuvres.divert(to, alt_amsl_m)
        seeing = asyncio.create_task(manoeuvres.see_landing(turn, to, alt_amsl_m), name=f"{self.vehicle_id}-divert")
        self._diversions.add(seeing)
        seeing.add_done_callback(self._diversions.discard)

    async def _lift_fence(self, loader: Loader, commander: Commander) -> None:
        """Take the fence off; raises nothing: an emergency goes as far as the fence rather than nowhere."""
        try:
            async with self._one_at_a_time:
                self._loaded = None
                self._observer.change_around()
                try:
                    await loader.lift_fence()
                finally:
                    self._observer.change_around()
            self._tell(self._clock.now(), 5, "fence", "the fence was lifted for a diversion that leaves it")
            # PX4 forgets it a moment after it has said so.
            await commander.rest(FENCE_LIFT_S)
        except HardwareError as error:
            log.warning("mavlink_fence_not_lifted", vehicle=self.vehicle_id, error=str(error))
            words = f"the fence was not lifted for a diversion that leaves it; it may stop at the fence: {error}"
            self._tell(self._clock.now(), 4, "fence", words)

    async def set_speed(self, speed_mps: float) -> None:
        """See ``VehicleLink``."""
        await self._parts()[0].set_speed(speed_mps)

    async def set_altitude(self, alt_amsl_m: float) -> None:
        """See ``VehicleLink``. PX4 refuses one outside its fence."""
        await self._parts()[0].set_altitude(alt_amsl_m)

    async def release(self, step: int) -> None:
        """See ``VehicleLink``."""
        await self._parts()[0].release(step)

    async def descend(self, step: int) -> None:
        """See ``VehicleLink``."""
        await self._parts()[0].descend(step)

    async def skip(self, step: int) -> None:
        """See ``VehicleLink``."""
        await self._parts()[0].skip(step)

    def on_bound(self, system_id: int) -> None:
        """The port has found the vehicle (``endpoint.Listener``)."""
        log.info("mavlink_vehicle_found", vehicle=self.vehicle_id, system_id=system_id)
        self._observer.see_answers(True)
        self._streams.forget()

    def on_frame(self, frame: Frame) -> None:
        """A frame of the vehicle (``endpoint.Listener``)."""
        if self._autopilot is None or self._closed:
            return
        msg_id, observer = frame.msg_id, self._observer
        self._autopilot.feed(msg_id, frame.system_id, frame.raw)
        if frame.component_id != 1:
            self._take_beside(frame)
            return
        observer.arrivals.heard(frame.sequence, time.monotonic())
        self._streams.heard(msg_id)
        message = decode(frame)
        if message is None:
            if msg_id in DECODED:
                observer.counts["invalid"] += 1
            return
        if msg_id == frames.HEARTBEAT:
            self._on_heartbeat()
        elif isinstance(message, CommandAck):
            observer.see_ack(message, frame.system_id)
        boots = observer.boots
        sample = observer.take(message, self._clock.now())
        if observer.boots != boots:
            self._on_boot()
        if sample is not None:
            self._on_sample(sample)
        self._changes.tell()

    def _take_beside(self, frame: Frame) -> None:
        """Take a frame of another part of the vehicle than its autopilot."""
        message = decode(frame) if frame.msg_id == frames.RADIO_STATUS else None
        if isinstance(message, RadioStatus):
            self._observer.take_radio(message)
        else:
            self._observer.counts["component"] += 1

    def _on_boot(self) -> None:
        self._streams.forget()
        if self._registration is not None:
            self._registration.identify_again()

    def on_rival(self, source: Source) -> None:
        """Another source uses the vehicle's system id (``endpoint.Listener``)."""
        self._observer.see_rival(f"{source[0]}:{source[1]}")
        self._changes.tell()

    def on_unanswered(self, source: Source) -> None:
        """What can only be the vehicle does not answer (``endpoint.Listener``)."""
        self._observer.see_unanswered(f"{source[0]}:{source[1]}")
        self._changes.tell()

    def on_unsigned(self, reason: str) -> None:
        """A frame was dropped because of its signature (``endpoint.Listener``)."""
        self._observer.see_unsigned(reason)
        self._changes.tell()

    def on_station(self, system_id: int) -> None:
        """Another ground station is heard by the vehicle's way (``endpoint.Listener``)."""
        self._observer.see_station(system_id, "its heartbeat comes by the vehicle's link")
        self._changes.tell()

    def on_radio(self, status: RadioStatus) -> None:
        """A radio on the way to the vehicle (``endpoint.Listener``)."""
        self._observer.take_radio(status)

    def _tell(self, at: datetime, severity: int, kind: str, text: str) -> None:
        self._on_event(VehicleEvent(self.vehicle_id, at, severity, text, kind))

    def on_wrong_hardware(self, found: AutopilotVersion) -> None:
        """Other hardware answers in the vehicle's place (``endpoint.Listener``)."""
        self._observer.add_fault(
            f"the vehicle at {self._address.peer or self._address.bind} is hardware {found.uid}, "
            f"not {self._address.hardware_uid}; it is not commanded"
        )
        self._changes.tell()

    def _on_heartbeat(self) -> None:
        self._heartbeat_at = time.monotonic()
        if not self._observer.connected:
            self._observer.connected = True
            self._observer.arrivals.forget()
            self._streams.forget()
            endpoint = self._open_parts()[0].endpoint
            host, port = endpoint.source or self._address.place.source
            self._tell(self._clock.now(), 6, "connected", f"heard from {host}:{port} as system {endpoint.system_id}")

    async def _send_heartbeats(self) -> None:
        """Send our heartbeat while the working loop says that it is alive."""
        endpoint = self._open_parts()[0].endpoint
        period_s = max(FASTEST_HEARTBEAT_S, self._clock.wall_seconds(1.0))
        while True:
            if time.monotonic() - self._beaten_at <= BEAT_VALID_S:
                endpoint.send_heartbeat()
            await asyncio.sleep(period_s)

    async def _watch_silence(self) -> None:
        registration = self._open_parts()[0]
        limit_s = max(LOST_AT_LEAST_WALL_S, self._clock.wall_seconds(LOST_S))
        while True:
            slept_from = time.monotonic()
            await asyncio.sleep(TICK_S)
            endpoint = registration.endpoint
            endpoint.ask_if_quiet()
            self._observer.see_answers(endpoint.can_be_spoken_to and not endpoint.contact.one_way)
            now = time.monotonic()
            if now - slept_from > limit_s / 2:
                # It was this loop that was away; what came meanwhile still waits in the socket.
                continue
            if self._observer.connected and now - self._heartbeat_at > limit_s:
                log.warning("mavlink_vehicle_silent", vehicle=self.vehicle_id)
                self._observer.connected = False
                self._tell(self._clock.now(), 4, "lost", f"not heard for {now - self._heartbeat_at:.1f} s of wall time")
                registration.identify_again()
                self._changes.tell()

    async def _open_gates(self) -> None:
        """Let the vehicle through gates at which nobody is to decide (``translate.WING_GATE_S``)."""
        manoeuvres = self._parts()[0]
        while True:
            await asyncio.sleep(TICK_S)
            tracker = self._observer.tracker
            step = tracker.at_gate
            if step is not None and tracker.wait is None:
                try:
                    await manoeuvres.descend(step)
                except HardwareError as error:
                    log.warning("mavlink_gate_not_opened", vehicle=self.vehicle_id, error=str(error))

    async def _ask_for_messages(self) -> None:
        registration, autopilot, _ = self._open_parts()
        while True:
            await asyncio.sleep(TICK_S)
            while (
                self._observer.connected
                and self._observer.answers
                and autopilot.found
                and registration.endpoint.may_speak()
            ):
                request = self._streams.due()
                if request is None:
                    break
                try:
                    await autopilot.command(SET_MESSAGE_INTERVAL, float(request[0]), request[1])
                except (NoAnswer, LinkDown) as error:
                    log.debug("mavlink_stream_request_failed", vehicle=self.vehicle_id, error=str(error))

    async def _guarded(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run a background task; one that breaks ends the link for the vehicle, since it is half blind."""
        try:
            await work()
        except Exception:
            log.exception("mavlink_link_broken", vehicle=self.vehicle_id)
            self._open_parts()[0].endpoint.close()
            self._observer.connected = False
            self._observer.add_fault("the link to this vehicle is broken; the gateway must be restarted")
            self._changes.tell()

    async def _check_parameters(self, autopilot: Autopilot, mission: Mission) -> None:
        wanted = self._parameters | preflight.return_parameters(mission, self._home)
        await preflight.check_parameters(autopilot, wanted, may_set=self._simulated)

    async def _speak(self, work: Coroutine[None, None, _T]) -> _T:
        """Await an exchange with the vehicle; a lease or a contact lost meanwhile is the error to tell."""
        try:
            return await work
        except HardwareError:
            self._open_parts()[2].check_contact()
            raise

    def _tell_untested(self) -> None:
        """Say that a firmware has not been tried with the profile; it may fly."""
        version, tested = self._observer.version, self._preflight.firmware.tested
        if version is not None and version.firmware is not None and tested and version.firmware not in tested:
            words = f"firmware {preflight.version_text(version.firmware)} has not been tried with this profile"
            self._tell(self._clock.now(), 5, "firmware", words)

    def _parts(self) -> tuple[Manoeuvres, Loader]:
        self._open_parts()
        assert self._manoeuvres is not None
        assert self._loader is not None
        return self._manoeuvres, self._loader

    def _open_parts(self) -> tuple[MavlinkRegistration, Autopilot, Commander]:
        if self._registration is None or self._autopilot is None or self._commander is None or self._closed:
            raise LinkDown(f"{self.vehicle_id}: the link is not open")
        return self._registration, self._autopilot, self._commander

    def _check_worlds(self) -> None:
        """Keep simulated time and simulated vehicles away from real ones."""
        if self._simulated:
            if not self._address.is_loopback:
                raise NotSupported(f"{self.vehicle_id}: a simulated vehicle is only reached on loopback")
            return
        if self._clock.simulated:
            raise NotSupported(f"{self.vehicle_id}: simulated time never meets a real vehicle")
        if not self._allow_real:
            raise NotSupported(f"{self.vehicle_id}: this service is not set up to command real vehicles")
        if self._address.hardware_uid is None:
            raise NotSupported(f"{self.vehicle_id}: a real vehicle is pinned by its hardware_uid")


def _is_objection(text: str) -> bool:
    return text.startswith((REJECTION, "Geofence violation"))
