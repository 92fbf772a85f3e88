"""What MAVLink tests share: a lease to take away, a scripted autopilot of pymavlink's, missions, waiting."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pymavlink.dialects.v20 import common as m

from hardware.errors import MissionRejected, NoAnswer
from hardware.link import LeaseGuard, SampleSink
from hardware.mavlink.address import MavlinkAddress
from hardware.mavlink.link import MavlinkLink
from hardware.mavlink.signing import Signing
from hardware.mission import Fence, Mission, Step, StepKind
from hardware.profiles import load_profile, profile_data
from routing.flight_fence import flight_fence
from routing.geo import LocalFrame, Position
from telemetry.clock import Clock
from telemetry.event import VehicleEvent
from telemetry.sample import Sample

HOME = Position(35.0, 135.0, 100.0)
AUTO = 4


class Lease:
    """A lease that the test can take away."""

    def __init__(self, held: bool = True) -> None:
        self.is_held = held

    def held(self) -> bool:
        return self.is_held


def clock_at(speed: float) -> Clock:
    """Return a clock that starts now, at the real date for speed 1."""
    now = datetime.now(UTC)
    return Clock(now, now if speed == 1 else now + timedelta(days=1), speed)


def link_to(
    address: MavlinkAddress,
    *,
    vehicle_id: str = "d1",
    lease: LeaseGuard | None = None,
    speed: float = 1.0,
    samples: list[Sample] | None = None,
    parameters: Mapping[str, int | float] | None = None,
    home: Position | None = None,
    events: list[VehicleEvent] | None = None,
    sink: SampleSink | None = None,
    key: bytes | None = None,
) -> MavlinkLink:
    """Return a link to a simulated vehicle of the 1 kg class; not opened."""
    kind = "multirotor_1kg"
    return MavlinkLink(
        vehicle_id=vehicle_id,
        address=address,
        vehicle_type=load_profile(kind),
        parameters=profile_data(kind)["parameters"] if parameters is None else parameters,
        lease=lease or Lease(),
        clock=clock_at(speed),
        on_sample=sink or (samples if samples is not None else []).append,
        home=home,
        simulated=True,
        on_event=(events if events is not None else []).append,
        signing=None if key is None else Signing(key),
    )


@asynccontextmanager
async def opened(link: MavlinkLink, *, beating: bool = True) -> AsyncIterator[MavlinkLink]:
    """Open a link, call its ``beat`` as a working loop would, and close it at the end."""

    async def beat() -> None:
        while True:
            link.beat()
            await asyncio.sleep(0.2)

    await link.open()
    working = asyncio.create_task(beat()) if beating else None
    try:
        yield link
    finally:
        if working is not None:
            working.cancel()
        await link.close()


async def until(reached: Callable[[], bool], within_s: float = 10.0, what: str = "it") -> None:
    """Wait for a condition in wall time; fail with what it waited for."""
    deadline = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s} s"
        await asyncio.sleep(0.02)


async def loaded(link: MavlinkLink, mission: Mission) -> None:
    """Load a mission, again where an autopilot starved of time broke the transfer off."""
    for _ in range(2):
        with contextlib.suppress(MissionRejected, NoAnswer):
            await link.upload(mission)
            return
    await link.upload(mission)


def delivery(mission_id: str = "m-1", home: Position = HOME, east_m: float = 60.0) -> Mission:
    """Return a flight to a drop point ``east_m`` away and back, 25 m high, release at 6 m."""
    ground = home.alt_amsl_m
    drop = LocalFrame(home).to_global(east_m, 20.0)

    def over(place: Position, height_m: float) -> Position:
        return Position(place.lat, place.lon, ground + height_m)

    return Mission(
        mission_id,
        (
            Step(StepKind.TAKEOFF, over(home, 25)),
            Step(StepKind.MOVE, over(drop, 25)),
            Step(StepKind.RELEASE, over(drop, 6), order_ids=("o-1",), dwell_s=2.0),
            Step(StepKind.MOVE, over(drop, 25)),
            Step(StepKind.MOVE, over(home, 25)),
            Step(StepKind.LAND, over(home, 0)),
        ),
        10.0,
        "region",
    )


def gated(mission: Mission, gate_s: float) -> Mission:
    """Return a mission that waits above each of its drop points."""
    steps = (replace(step, gate_s=gate_s) if step.kind is StepKind.RELEASE else step for step in mission.steps)
    return replace(mission, steps=tuple(steps))


def fenced(mission: Mission, *, rally_m: tuple[float, float] = (30.0, 60.0)) -> Mission:
    """Return a mission with the fence of its way and one rally point beside it, 3 m above home."""
    path = [step.position for step in mission.steps]
    home = path[-1]
    frame = LocalFrame(home)
    rally = frame.to_global(*rally_m, home.alt_amsl_m + 3.0)
    found = flight_fence(path, frame=frame, home=[path[0], home], sites=[("rally", rally)])
    assert found.rally == ("rally",)
    return replace(mission, fence=Fence((found.inclusion,), found.exclusions), rally=(rally,))


class Peer:
    """A vehicle by pymavlink that answers just enough for a link to know it: a voice, no flight.

    It stands ready on the ground, arms and changes its mode when told to, if it ``obeys``; commands in
    ``denied`` it denies. ``heard`` counts the messages that reached it, ``arrivals`` has each message
    with its wall time.
    """

    def __init__(
        self, send_to: tuple[str, int], *, system_id: int = 1, uid: int = 0xA1, armed: bool = False, hz: float = 5.0
    ) -> None:
        self.system_id, self.uid, self.armed, self.hz = system_id, uid, armed, hz
        self.lat, self.lon, self.alt_amsl_m = HOME.lat, HOME.lon, HOME.alt_amsl_m
        self.mode = 3
        self.obeys = True
        self.denied: dict[int, str] = {}
        self.send_to = send_to
        self.heard: Counter[str] = Counter()
        self.arrivals: list[tuple[float, Any]] = []
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self._sock.setblocking(False)
        self._mav = m.MAVLink(None, srcSystem=system_id, srcComponent=1)
        self._parser = m.MAVLink(None)
        self._parser.robust_parsing = True
        self._born = time.monotonic() - 100.0
        self._task: asyncio.Task[None] | None = None

    @property
    def at(self) -> str:
        """Where it sends from, "host:port"."""
        host, port = self._sock.getsockname()
        return f"{host}:{port}"

    async def __aenter__(self) -> Peer:
        self._task = asyncio.create_task(self._live())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._sock.close()

    def say(self, message: Any) -> None:
        """Send one message, numbered as the ones before it."""
        self._mav.seq = (self._mav.seq + 1) % 256
        self._sock.sendto(message.pack(self._mav), self.send_to)

    def lose(self, messages: int) -> None:
        """Count messages as sent that never arrive."""
        self._mav.seq = (self._mav.seq + messages) % 256

    def pass_on(self, message: Any, *, system_id: int, component_id: int = 190) -> None:
        """Send a message of somebody else by the vehicle's way, as a router or an autopilot forwards it."""
        self._sock.sendto(message.pack(m.MAVLink(None, srcSystem=system_id, srcComponent=component_id)), self.send_to)

    def sign(self, key: bytes) -> None:
        """Sign what is sent from now on, and take only what is signed with the key."""
        self._mav.signing.secret_key = key
        self._mav.signing.sign_outgoing = True
        self._mav.signing.timestamp = int((time.time() - 1_420_070_400) * 100_000)
        self._parser.signing = self._mav.signing

    def speak_from(self, other: Peer) -> None:
        """Send from another one's socket: two vehicles behind one router."""
        self._sock.close()
        self._sock = other._sock

    def fall_silent(self) -> None:
        """Say nothing more; go on listening."""
        self.hz = 0.0

    def reboot(self) -> None:
        """Start the vehicle's clock again."""
        self._born = time.monotonic()

    def commands(self) -> list[int]:
        """Return the commands that have reached it."""
        return [message.command for _, message in self.arrivals if message.get_type() == "COMMAND_LONG"]

    async def _live(self) -> None:
        next_at = 0.0
        while True:
            self._listen()
            if self.hz and time.monotonic() >= next_at:
                next_at = time.monotonic() + 1 / self.hz
                self._report()
            await asyncio.sleep(0.01)

    def _report(self) -> None:
        base = m.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED | (m.MAV_MODE_FLAG_SAFETY_ARMED if self.armed else 0)
        self.say(m.MAVLink_heartbeat_message(2, 12, base, AUTO << 16 | self.mode << 24, 4, 3))
        self.say(m.MAVLink_extended_sys_state_message(0, m.MAV_LANDED_STATE_ON_GROUND))
        self.say(m.MAVLink_sys_status_message(0, 0, m.MAV_SYS_STATUS_PREARM_CHECK, 0, 22_000, -1, 90, *[0] * 6))
        ms = int((time.monotonic() - self._born) * 1000)
        place = (round(self.lat * 1e7), round(self.lon * 1e7), round(self.alt_amsl_m * 1000), 0)
        self.say(m.MAVLink_global_position_int_message(ms, *place, 0, 0, 0, 9000))

    def _listen(self) -> None:
        while True:
            try:
                data = self._sock.recv(65535)
            except BlockingIOError:
                return
            for message in self._parser.parse_buffer(data) or []:
                if message.get_type() == "BAD_DATA":
                    self.heard["BAD_DATA"] += 1
                    continue
                self.heard[message.get_type()] += 1
                self.arrivals.append((time.monotonic(), message))
                if message.get_type() == "COMMAND_LONG":
                    self._answer(message)
                elif message.get_type() == "MISSION_REQUEST_LIST":
                    # It carries neither mission nor fence nor rally points.
                    self.say(m.MAVLink_mission_count_message(245, 190, 0, message.mission_type))

    def _answer(self, message: Any) -> None:
        if message.command in self.denied:
            self.say(m.MAVLink_command_ack_message(message.command, m.MAV_RESULT_DENIED))
            self.say(m.MAVLink_statustext_message(m.MAV_SEVERITY_CRITICAL, self.denied[message.command].encode()))
            return
        self.say(m.MAVLink_command_ack_message(message.command, 0))
        if self.obeys and message.command == m.MAV_CMD_COMPONENT_ARM_DISARM:
            self.armed = bool(message.param1)
        if self.obeys and message.command == m.MAV_CMD_DO_SET_MODE:
            self.mode = int(message.param3)
        if message.command == m.MAV_CMD_REQUEST_MESSAGE and message.param1 == m.MAVLINK_MSG_ID_AUTOPILOT_VERSION:
            capable = m.MAV_PROTOCOL_CAPABILITY_MISSION_INT | m.MAV_PROTOCOL_CAPABILITY_MAVLINK2
            empty: Sequence[int] = [0] * 8
            self.say(
                m.MAVLink_autopilot_version_message(capable, 0, 0, 0, 0, empty, empty, empty, 0, 0, self.uid, [0] * 18)
            )
