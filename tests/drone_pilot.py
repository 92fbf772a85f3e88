"""What tests of the simulated drone share: an autopilot in vehicle time, and a ground station of pymavlink's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import random
import socket
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from pymavlink.dialects.v20 import common as m

from hardware.profiles import load_profile
from routing.geo import LocalFrame, Position
from simulators.autopilot import Autopilot
from simulators.config import FaultConfig
from simulators.flight import Airframe
from simulators.missions import MISSION, Item, MissionStore
from simulators.params import Parameters
from simulators.world import Wind, World

HOME = Position(35.0, 135.0, 100.0)
FRAME = LocalFrame(HOME)
STEP_S = 0.02
NAN = math.nan


def at(east_m: float, north_m: float, up_m: float) -> Position:
    """Return a position relative to home."""
    return FRAME.to_global(east_m, north_m, HOME.alt_amsl_m + up_m)


def placed(command: int, place: Position, *params: float, frame: int = 5) -> Item:
    """Return an item with a position."""
    p = (*params, 0.0, 0.0, 0.0, 0.0)
    x, y = round(place.lat * 1e7), round(place.lon * 1e7)
    return Item(frame, command, (p[0], p[1], p[2], p[3]), x, y, place.alt_amsl_m, True)


def action(command: int, *params: float) -> Item:
    """Return an item without a position."""
    p = (*params, 0.0, 0.0, 0.0, 0.0)
    return Item(2, command, (p[0], p[1], p[2], p[3]), 0, 0, 0.0, True)


def delivery(distance_m: float = 120.0, height_m: float = 30.0) -> tuple[Item, ...]:
    """Return a mission: take off, fly north, descend, release, come back, land."""
    there, back = at(0, distance_m, height_m), at(0, 0, height_m)
    return (
        placed(22, back),
        action(178, 1, 8, -1),
        placed(16, there),
        placed(16, at(0, distance_m, 8)),
        action(211, 1, 0),
        action(93, 3, -1, -1, -1),
        placed(16, there),
        placed(16, back),
        placed(21, HOME),
    )


class Pilot:
    """An autopilot that runs as fast as it can, and what it said. Answers as an ``Outbox``."""

    def __init__(
        self,
        params: dict[str, float] | None = None,
        *,
        payload_kg: float = 0.8,
        wind_mps: float = 0,
        type_id: str = "multirotor_1kg",
        faults: Sequence[FaultConfig] = (),
    ) -> None:
        self.events: list[dict[str, Any]] = []
        self.texts: list[str] = []
        self.acks: list[int] = []
        self.gcs = True
        self.store = MissionStore()
        self.params = Parameters({"NAV_DLL_ACT": 2, "MPC_XY_CRUISE": 10.0, **(params or {})})
        kind = load_profile(type_id)
        self.body = Airframe(kind, HOME, World(None, Wind(wind_mps)), random.Random(1))
        self.pilot = Autopilot(self.body, self.params, self.store, self, payload_kg=payload_kg, faults=faults)

    def text(self, severity: int, text: str) -> None:
        self.texts.append(text)

    def log(self, event: str, **fields: object) -> None:
        self.events.append({"event": event, **fields})

    def gripper_ack(self, result: int, partner: tuple[int, int] | None) -> None:
        self.acks.append(result)

    def home_changed(self) -> None:
        """Nothing to keep here."""

    def keep(self) -> None:
        """Nothing to keep here."""

    def run(self, seconds: float) -> Self:
        """Let vehicle time pass; the ground station beats once a second while ``gcs``."""
        for i in range(round(seconds / STEP_S)):
            if self.gcs and i % 50 == 0:
                self.pilot.failsafes.heard_gcs()
            self.pilot.step(STEP_S)
        return self

    def until(self, condition: Callable[[], bool], within_s: float) -> float:
        """Let vehicle time pass until a condition; returns how long that took, fails when it does not come."""
        begun_s = self.pilot.now_s
        while not condition():
            self.run(0.1)
            assert self.pilot.now_s - begun_s < within_s, f"not within {within_s} s; {self.events[-5:]}"
        return self.pilot.now_s - begun_s

    def upload(self, items: Sequence[Item], kind: int = MISSION) -> None:
        """Store a list as the protocol does."""
        changed = self.store.replace(kind, tuple(items))
        self.pilot.stored(kind, changed, 0)

    def named(self, event: str) -> list[dict[str, Any]]:
        """Return the events of one name."""
        return [each for each in self.events if each["event"] == event]

    @property
    def height_m(self) -> float:
        return self.body.alt_m - HOME.alt_amsl_m

    @property
    def north_m(self) -> float:
        return self.body.north_m


def _frames(data: bytes, wanted: frozenset[int]) -> Iterator[bytes]:
    """The MAVLink 2 frames of a datagram with wanted messages."""
    at = 0
    while at + 12 <= len(data) and data[at] == 0xFD:
        end = at + 12 + data[at + 1] + (13 if data[at + 2] & 1 else 0)
        if int.from_bytes(data[at + 7 : at + 10], "little") in wanted:
            yield data[at:end]
        at = end


def _numbered(seq: int) -> Callable[[Any], bool]:
    return lambda message: bool(message.seq == seq)


class Station:
    """A ground station on a UDP port of its own; it speaks only when told, and beats when ``beat``."""

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        self._socket.setblocking(False)
        self.mav = m.MAVLink(None, srcSystem=245, srcComponent=190)
        self.mav.robust_parsing = True
        self.port: int = self._socket.getsockname()[1]
        self.peer: tuple[str, int] | None = None
        self.system_id = 0
        self.beat = True
        self.heard: list[Any] = []
        self.only: frozenset[int] | None = None
        """Messages to decode; all others are dropped unread, since a PX4 sends hundreds a second."""
        self._inbox: deque[Any] = deque()
        self._beat_at = 0.0

    def close(self) -> None:
        self._socket.close()

    def send(self, message: Any) -> None:
        """Send one message to the vehicle heard last."""
        assert self.peer is not None
        self._socket.sendto(message.pack(self.mav), self.peer)
        self.mav.seq = (self.mav.seq + 1) % 256

    def send_bytes(self, data: bytes) -> None:
        assert self.peer is not None
        self._socket.sendto(data, self.peer)

    async def wait(
        self,
        kind: str | tuple[str, ...],
        condition: Callable[[Any], bool] = lambda _: True,
        within_s: float = 15.0,
    ) -> Any:
        """Return the next message of a kind (or one of several) for which ``condition`` holds."""
        kinds = (kind,) if isinstance(kind, str) else kind
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            while self._inbox:
                message = self._inbox.popleft()
                self.heard.append(message)
                if message.get_type() in kinds and condition(message):
                    return message
            await self._read()
        raise AssertionError(f"no such {kind} within {within_s} s")

    async def _read(self) -> None:
        """Wait for a datagram, at most 0.1 s; beats the ground station's heart meanwhile."""
        if self.beat and self.peer and time.monotonic() > self._beat_at:
            self.send(m.MAVLink_heartbeat_message(6, 8, 0, 0, 4, 3))
            self._beat_at = time.monotonic() + 0.1
        loop = asyncio.get_running_loop()
        try:
            data, sender = await asyncio.wait_for(loop.sock_recvfrom(self._socket, 4096), 0.1)
        except (TimeoutError, ConnectionError):
            return
        self._take(data, sender)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._take(*self._socket.recvfrom(4096))

    def _take(self, data: bytes, sender: tuple[str, int]) -> None:
        self.peer = (sender[0], sender[1])
        wanted = data if self.only is None else b"".join(_frames(data, self.only))
        for message in self.mav.parse_buffer(wanted) or []:
            if message.get_type() != "BAD_DATA":
                self.system_id = message.get_srcSystem()
                self._inbox.append(message)

    async def command(self, number: int, *params: float) -> int:
        """Send a COMMAND_LONG; returns the last result acknowledged (DO_SET_MODE has two)."""
        values = (*params, *[0.0] * (7 - len(params)))
        self.send(m.MAVLink_command_long_message(self.system_id, 1, number, 0, *values))
        ack = await self.wait("COMMAND_ACK", lambda a: a.command == number)
        if number == m.MAV_CMD_DO_SET_MODE:
            ack = await self.wait("COMMAND_ACK", lambda a: a.command == number)
        return int(ack.result)

    async def upload(self, items: Sequence[Item], kind: int = MISSION) -> int:
        """Upload a list; returns the MAV_MISSION_RESULT."""
        self.send(m.MAVLink_mission_count_message(self.system_id, 1, len(items), kind))
        for seq, item in enumerate(items):
            await self.wait(("MISSION_REQUEST_INT", "MISSION_REQUEST"), _numbered(seq))
            self.send_item(seq, item, kind)
        return int((await self.wait("MISSION_ACK")).type)

    def send_item(self, seq: int, item: Item, kind: int = MISSION) -> None:
        head = (self.system_id, 1, seq, item.frame, item.command, int(seq == 0 and kind == MISSION), 1)
        self.send(m.MAVLink_mission_item_int_message(*head, *item.params, item.x, item.y, item.z, kind))

    async def download(self, kind: int = MISSION) -> list[Any]:
        """Download a list."""
        self.send(m.MAVLink_mission_request_list_message(self.system_id, 1, kind))
        count = (await self.wait("MISSION_COUNT")).count
        items = []
        for seq in range(count):
            self.send(m.MAVLink_mission_request_int_message(self.system_id, 1, seq, kind))
            items.append(await self.wait("MISSION_ITEM_INT", _numbered(seq)))
        self.send(m.MAVLink_mission_ack_message(self.system_id, 1, 0, kind))
        return items

    async def parameter(self, name: str) -> Any:
        """Read a parameter."""
        self.send(m.MAVLink_param_request_read_message(self.system_id, 1, name.encode(), -1))
        return await self.wait("PARAM_VALUE", lambda p: p.param_id == name)


@asynccontextmanager
async def program(module: str, *arguments: str, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a module as a process of its own, killed at the end when it still runs; its words go to ``log``."""
    with log.open("ab") as words:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *arguments, stdout=words, stderr=words, stdin=asyncio.subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def read_events(path: Path) -> list[dict[str, Any]]:
    """Return the events of a vehicle's log."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
