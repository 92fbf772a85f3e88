"""A ground station and one drone, a real PX4 or the light autopilot: how tests hold them to each other."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymavlink.dialects.v20 import common as m

from routing.geo import LocalFrame, Position
from simulators.missions import MISSION, Item
from tests.drone_pilot import HOME, Station, program
from tests.px4 import px4

SPEED = 5.0
LIGHT, PX4 = "light", "px4"
MULTIROTOR, VTOL = "multirotor_1kg", "vtol_5kg"
MODELS = {MULTIROTOR: "sihsim_quadx", VTOL: "sihsim_standard_vtol"}
ANSWER_S = 1.5
"""Vehicle time within which all answers to a command have come."""
MODES = {2: "takeoff", 3: "hold", 4: "mission", 5: "return", 6: "land"}

Place = tuple[float, float, float]


@dataclass(slots=True)
class Drone:
    """A drone that a station listens to: what it said last, and its changes with the vehicle's own time in seconds."""

    kind: str
    station: Station
    home: Position = HOME
    s: float = 0.0
    at: Place = (0.0, 0.0, 0.0)
    velocity: Place = (0.0, 0.0, 0.0)
    item: int = 0
    mode: str = ""
    armed: bool = False
    status: int = 0
    landed: int = 0
    vtol_state: int = 0
    fix: int = 0
    satellites: int = 0
    percent: int = 100
    heartbeats: int = 0
    modes: list[tuple[float, str]] = field(default_factory=list)
    items: list[tuple[float, int]] = field(default_factory=list)
    states: list[tuple[float, int]] = field(default_factory=list)
    reached: list[int] = field(default_factory=list)
    acks: list[tuple[int, int]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    track: list[tuple[float, Place]] = field(default_factory=list)

    def hear(self, message: Any) -> None:
        """Take a message."""
        match message.get_type():
            case "GLOBAL_POSITION_INT":
                east, north = LocalFrame(self.home).to_local(Position(message.lat / 1e7, message.lon / 1e7))
                height_m = message.alt / 1000 - self.home.alt_amsl_m
                self.s, self.at = message.time_boot_ms / 1000, (east, north, height_m)
                self.velocity = (message.vy / 100, message.vx / 100, -message.vz / 100)
                self.track.append((self.s, self.at))
            case "HEARTBEAT":
                self.heartbeats += 1
                auto = message.custom_mode >> 16 & 0xFF == 4
                mode = MODES.get(message.custom_mode >> 24, "?") if auto else f"main {message.custom_mode >> 16 & 0xFF}"
                if mode != self.mode:
                    self.modes.append((self.s, mode))
                self.mode, self.armed, self.status = mode, bool(message.base_mode & 128), message.system_status
            case "MISSION_CURRENT":
                if message.seq != self.item:
                    self.items.append((self.s, message.seq))
                self.item = message.seq
            case "MISSION_ITEM_REACHED":
                if message.seq not in self.reached[-1:]:
                    self.reached.append(message.seq)
            case "EXTENDED_SYS_STATE":
                if message.landed_state != self.landed:
                    self.states.append((self.s, message.landed_state))
                self.landed, self.vtol_state = message.landed_state, message.vtol_state
            case "GPS_RAW_INT":
                self.fix, self.satellites = message.fix_type, message.satellites_visible
            case "BATTERY_STATUS":
                self.percent = message.battery_remaining
            case "COMMAND_ACK":
                self.acks.append((message.command, message.result))
            case "STATUSTEXT":
                self.texts.append(message.text.rstrip("\t\0"))

    async def until(self, reached: Callable[[], bool], within_s: float = 60.0, what: str = "it") -> None:
        """Listen until something is so, for at most so much wall time."""
        try:
            async with asyncio.timeout(within_s):
                while not reached():
                    self.hear(await self.station.wait(_KINDS, within_s=30))
        except TimeoutError:
            raise AssertionError(f"{self.kind}: {what} did not happen within {within_s} s; {self.said()}") from None

    def said(self) -> str:
        """What it said last, in short."""
        place = ", ".join(f"{metres:.1f}" for metres in self.at)
        return f"{self.mode}, item {self.item}, armed {self.armed}, at ({place}), {self.texts[-5:]}"

    async def passing(self, seconds: float) -> None:
        """Listen for so much of the vehicle's time."""
        end_s = self.s + seconds
        await self.until(lambda: self.s >= end_s, 30 + seconds, f"{seconds} s")

    async def ready(self) -> None:
        """Listen until it would arm."""
        await self.until(lambda: self.status == m.MAV_STATE_STANDBY and self.s > 6, 90, "getting ready")

    async def answers(self, message: Any) -> list[int]:
        """Send a command; return the results that it acknowledges it with.

        A question that is always answered comes after it: a program that lags behind on a busy machine has got so far.
        """
        self.acks.clear()
        self.station.send(message)
        await self.passing(ANSWER_S)
        for _ in range(10):
            self.station.send(self.long(m.MAV_CMD_GET_MESSAGE_INTERVAL, 33))
            with contextlib.suppress(AssertionError):
                await self.until(lambda: any(command == m.MAV_CMD_GET_MESSAGE_INTERVAL for command, _ in self.acks), 3)
                break
        # The mode that it tells is at most a second old.
        told = self.heartbeats
        await self.until(lambda: self.heartbeats >= told + 2)
        return [result for command, result in self.acks if command == message.command]

    def long(self, number: int, *params: float) -> Any:
        """A COMMAND_LONG."""
        values = (*params, *[0.0] * (7 - len(params)))
        return m.MAVLink_command_long_message(self.station.system_id, 1, number, 0, *values)

    def at_place(self, number: int, params: Sequence[float], place: Position, frame: int = 0) -> Any:
        """A COMMAND_INT with a place."""
        where = (round(place.lat * 1e7), round(place.lon * 1e7), place.alt_amsl_m)
        return m.MAVLink_command_int_message(self.station.system_id, 1, frame, number, 0, 0, *params, *where)

    async def do(self, number: int, *params: float, done: Callable[[], bool], within_s: float = 60.0) -> None:
        """Send a command until its effect is seen: a busy machine loses a datagram now and then."""
        asked_s = -10.0

        def asked() -> bool:
            return done() or self.s > asked_s + ANSWER_S

        while not done():
            self.station.send(self.long(number, *params))
            asked_s = self.s
            await self.until(asked, within_s, f"command {number}")

    async def take_mode(self, sub_mode: int) -> None:
        """Change to an automatic mode."""
        await self.do(m.MAV_CMD_DO_SET_MODE, 1, 4, sub_mode, done=lambda: self.mode == MODES[sub_mode])

    async def upload(self, items: Iterable[Item], kind: int = MISSION) -> None:
        """Load a list of items, again if a datagram was lost."""
        for attempt in range(3):
            try:
                assert await self.station.upload(list(items), kind) == 0
            except AssertionError:
                if attempt == 2:
                    raise
                await self.passing(6.0)
            else:
                return

    async def fly(self, items: Iterable[Item]) -> None:
        """Upload a mission, arm, start it, and forget what was heard before."""
        await self.upload(items)
        await self.passing(1.0)
        for heard in (self.modes, self.items, self.states, self.reached, self.track):
            heard.clear()
        await self.do(m.MAV_CMD_MISSION_START, 0, 0, done=lambda: self.armed and self.mode == "mission")


_KINDS = (
    "GLOBAL_POSITION_INT",
    "HEARTBEAT",
    "MISSION_CURRENT",
    "MISSION_ITEM_REACHED",
    "EXTENDED_SYS_STATE",
    "GPS_RAW_INT",
    "BATTERY_STATUS",
    "COMMAND_ACK",
    "STATUSTEXT",
)

_TRANSFERS = (39, 40, 43, 44, 47, 51, 73, 22)
"""What mission and parameter transfers need."""
_NUMBERS = frozenset((33, 0, 42, 46, 245, 24, 147, 77, 253, *_TRANSFERS))


@asynccontextmanager
async def drone(
    kind: str,
    work: Path,
    *,
    type_id: str = MULTIROTOR,
    params: Mapping[str, float] | None = None,
    home: Position = HOME,
) -> AsyncIterator[Drone]:
    """Run a real PX4 (``PX4``) or the light autopilot (``LIGHT``) from scratch, ready to arm."""
    folder = work / kind
    folder.mkdir()
    run = _px4 if kind == PX4 else _light
    async with run(folder, type_id, params or {}, home) as station:
        try:
            station.only = _NUMBERS
            found = Drone(kind, station, home)
            await found.ready()
            yield found
        finally:
            station.close()


@asynccontextmanager
async def _px4(work: Path, type_id: str, params: Mapping[str, float], home: Position) -> AsyncIterator[Station]:
    async with px4(work, speed=SPEED, home=home, parameters=params, model=MODELS[type_id]) as vehicle:
        yield Station(port=vehicle.port)


@asynccontextmanager
async def _light(work: Path, type_id: str, params: Mapping[str, float], home: Position) -> AsyncIterator[Station]:
    station = Station()
    one = {
        "vehicle_id": "d1",
        "system_id": 1,
        "type_id": type_id,
        "home": {"lat": home.lat, "lon": home.lon, "alt_amsl_m": home.alt_amsl_m},
        "send_to": f"127.0.0.1:{station.port}",
        "params": dict(params),
    }
    config = work / "config.json"
    config.write_text(json.dumps({"speed": SPEED, "log_dir": str(work), "drones": [one]}))
    async with program("simulators.drone", str(config), log=work / "out.log"):
        yield station
