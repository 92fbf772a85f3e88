"""MAVSDK, one instance a vehicle: commands, missions and parameters.

Bytes go in by ``feed`` and out through the ``send`` given, in MAVSDK's own threads. Commands and missions
use MAVSDK's callbacks and hold no thread; parameters and tear-down block, in one thread of the vehicle's
own, so that neither another vehicle nor a hold waits behind them. A callback that never comes ends in a
time-out here.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from typing import Any, ClassVar

import structlog
from mavsdk import ComponentType, Configuration, LogLevel, log_subscribe
from mavsdk.mavsdk import Mavsdk
from mavsdk.plugins.mavlink_direct import MavlinkDirect, MavlinkDirectError, MavlinkDirectResult, MavlinkMessage
from mavsdk.plugins.mission_raw import MissionItem, MissionRaw, MissionRawResult
from mavsdk.plugins.param import Param, ParamError, ParamResult

from hardware.errors import HardwareError, LinkDown, MissionRejected, NoAnswer, NotSupported
from hardware.mavlink.translate import FRAME_GLOBAL, Item
from routing.geo import Position

log = structlog.get_logger(__name__)

MAX_AUTOPILOTS = 30
"""A process has at most this many: MAVSDK's channels fail from about 32 on."""
COMMAND_S = 4.0
TRANSFER_S = 10.0
TRANSFER_PER_ITEM_S = 0.05
PARAMETER_S = 6.0
CLOSE_S = 10.0

_FORWARDED = frozenset((0, 22, 39, 40, 42, 44, 46, 47, 51, 73, 77, 111, 148, 300))
"""What MAVSDK needs of a vehicle: HEARTBEAT, PARAM_VALUE, the mission protocol, COMMAND_ACK, TIMESYNC,
AUTOPILOT_VERSION, PROTOCOL_VERSION. Telemetry is decoded here; passing it too would double its cost."""


class Load(IntEnum):
    """MAV_MISSION_TYPE: what of a vehicle's lists of items is carried over."""

    MISSION = 0
    FENCE = 1
    RALLY = 2


_UPLOADS = {
    Load.MISSION: "upload_mission_async",
    Load.FENCE: "upload_geofence_async",
    Load.RALLY: "upload_rally_points_async",
}
_DOWNLOADS = {
    Load.MISSION: "download_mission_async",
    Load.FENCE: "download_geofence_async",
    Load.RALLY: "download_rallypoints_async",
}


class CommandResult(IntEnum):
    """MAV_RESULT."""

    ACCEPTED = 0
    TEMPORARILY_REJECTED = 1
    DENIED = 2
    UNSUPPORTED = 3
    FAILED = 4
    IN_PROGRESS = 5
    CANCELLED = 6


class Autopilot:
    """The autopilot of one vehicle, as MAVSDK speaks to it. Time-outs are wall time."""

    _count: ClassVar[int] = 0

    def __init__(self, name: str, send: Callable[[bytes], object]) -> None:
        if Autopilot._count >= MAX_AUTOPILOTS:
            raise NotSupported(
                f"{name}: a process speaks to at most {MAX_AUTOPILOTS} MAVLink vehicles; start another gateway"
            )
        self._name = name
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"mavsdk-{name}")
        self._system_id = 0
        self._found = asyncio.Event()
        self._closed = False
        self._direct: MavlinkDirect | None = None
        self._missions: MissionRaw | None = None
        self._parameters: Param | None = None
        _quiet_logs()
        configuration = Configuration.create_with_component_type(ComponentType.GROUND_STATION)
        self._mavsdk = Mavsdk(configuration)
        self._mavsdk.subscribe_raw_bytes_to_be_sent(self._out)
        self._mavsdk.add_any_connection("raw://")
        self._search = self._mavsdk.first_autopilot_async(-1.0, self._on_system)
        Autopilot._count += 1

    @property
    def found(self) -> bool:
        """Whether MAVSDK knows the vehicle, so that it can be commanded."""
        return self._found.is_set()

    def feed(self, msg_id: int, system_id: int, raw: bytes) -> None:
        """Give MAVSDK a frame of the vehicle, if it needs it."""
        if msg_id in _FORWARDED and not self._closed:
            self._system_id = system_id
            self._mavsdk.pass_received_raw_bytes(raw)

    async def command(self, command: int, *parameters: float, timeout_s: float = COMMAND_S) -> CommandResult:
        """Send COMMAND_LONG and return the final acknowledgement; raises ``NoAnswer`` or ``LinkDown``."""
        fields = {f"param{i}": value for i, value in enumerate((*parameters, *[0.0] * 7)[:7], start=1)}
        return await self._command("COMMAND_LONG", command, fields, timeout_s)

    async def command_at(self, command: int, place: Position, *parameters: float) -> CommandResult:
        """Send COMMAND_INT with a place in AMSL, which COMMAND_LONG's 32-bit floats have to a metre only."""
        # null is NaN: the yaw is left to the autopilot.
        fields: dict[str, Any] = {f"param{i}": v for i, v in enumerate((*parameters, *[0.0] * 3)[:3], start=1)}
        fields |= {"param4": None, "frame": FRAME_GLOBAL, "current": 0, "autocontinue": 0}
        fields |= {"x": round(place.lat * 1e7), "y": round(place.lon * 1e7), "z": place.alt_amsl_m}
        return await self._command("COMMAND_INT", command, fields, COMMAND_S)

    async def _command(self, form: str, command: int, fields: dict[str, Any], timeout_s: float) -> CommandResult:
        direct = await self._plugin("_direct")
        target = {"target_system": self._system_id, "target_component": 1}
        message = MavlinkMessage(form, 0, 0, self._system_id, 1, json.dumps({**target, "command": command, **fields}))
        result, ack = await self._call(
            lambda done: direct.send_command_async(message, lambda *a: done(a[:2])),
            timeout_s,
            f"command {command}",
        )
        if result is MavlinkDirectResult.SUCCESS:
            return CommandResult(json.loads(ack.fields_json)["result"])
        if result is MavlinkDirectResult.TIMEOUT:
            raise NoAnswer(f"{self._name}: no acknowledgement of command {command}")
        raise LinkDown(f"{self._name}: command {command} could not be sent: {result.name}")

    async def upload(self, items: Sequence[Item], load: Load = Load.MISSION) -> None:
        """Upload a list of items; raises ``MissionRejected`` with the vehicle's reason, or ``NoAnswer``."""
        missions = await self._plugin("_missions")
        wire = [_to_wire(index, item, load) for index, item in enumerate(items)]
        what = f"{load.name.lower()} upload"
        try:
            result = await self._call(
                lambda done: getattr(missions, _UPLOADS[load])(wire, lambda r, _: done(r)),
                TRANSFER_S + TRANSFER_PER_ITEM_S * len(items),
                what,
            )
        except (NoAnswer, asyncio.CancelledError):
            # Otherwise MAVSDK goes on, and refuses the next transfer as busy. It ends others by itself.
            if load is Load.MISSION:
                self._abandon(missions.cancel_mission_upload)
            raise
        self._check_transfer(result, what)

    async def download(self, load: Load = Load.MISSION) -> list[Item]:
        """Read a list of items that the vehicle carries, an empty one when it has none."""
        missions = await self._plugin("_missions")
        what = f"{load.name.lower()} download"
        try:
            result, wire = await self._call(
                lambda done: getattr(missions, _DOWNLOADS[load])(lambda r, items, _: done((r, items))),
                TRANSFER_S + TRANSFER_PER_ITEM_S * 100,
                what,
            )
        except (NoAnswer, asyncio.CancelledError):
            if load is Load.MISSION:
                self._abandon(missions.cancel_mission_download)
            raise
        if result is MissionRawResult.NO_MISSION_AVAILABLE:
            return []
        self._check_transfer(result, what)
        return [_from_wire(item) for item in wire]

    async def clear(self, load: Load) -> None:
        """Ask the vehicle to forget a list; whether it has is seen by reading it. MAVSDK uploads no empty one."""
        await self._say("MISSION_CLEAR_ALL", mission_type=int(load))

    async def set_current(self, index: int) -> None:
        """Ask for an item of the mission to be the current one; MISSION_CURRENT shows it. MAVSDK's own call refuses
        items beyond the number of those loaded last, be they rally points."""
        await self._say("MISSION_SET_CURRENT", seq=index)

    async def _say(self, name: str, **fields: int) -> None:
        """Send one message that has no acknowledgement of its own."""
        direct = await self._plugin("_direct")
        target = {"target_system": self._system_id, "target_component": 1}
        message = MavlinkMessage(name, 0, 0, self._system_id, 1, json.dumps({**target, **fields}))
        try:
            async with asyncio.timeout(COMMAND_S):
                await self._loop.run_in_executor(self._threads, lambda: direct.send_message(message))
        except (MavlinkDirectError, TimeoutError) as error:
            raise LinkDown(f"{self._name}: {name} could not be sent") from error

    async def get_parameter(self, name: str, like: float) -> int | float:
        """Read a parameter of the type of ``like``; raises ``NoAnswer`` or ``NotSupported``."""
        parameters = await self._plugin("_parameters")
        read = parameters.get_param_int if isinstance(like, int) else parameters.get_param_float
        value = await self._blocking(lambda: read(name), name)
        return int(value) if isinstance(like, int) else float(value)

    async def set_parameter(self, name: str, value: float) -> None:
        """Set a parameter; raises ``NoAnswer`` or ``NotSupported``."""
        parameters = await self._plugin("_parameters")
        write = parameters.set_param_int if isinstance(value, int) else parameters.set_param_float
        await self._blocking(lambda: write(name, value), name)

    async def close(self) -> None:
        """End MAVSDK's threads. What waits here ends by its time-out."""
        if self._closed:
            return
        self._closed = True
        Autopilot._count -= 1
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._loop.run_in_executor(self._threads, self._destroy)
        except TimeoutError:
            log.error("mavsdk_close_timed_out", vehicle=self._name)
        finally:
            self._threads.shutdown(wait=False)

    def _destroy(self) -> None:
        self._mavsdk.cancel_first_autopilot(self._search)
        self._mavsdk.destroy()

    def _out(self, datagram: bytes) -> None:
        self._send(datagram)

    def _on_system(self, system: Any) -> None:
        if system is not None:
            self._post(lambda: self._take(system))

    def _take(self, system: Any) -> None:
        if self._closed:
            return
        self._direct = MavlinkDirect(system)
        self._missions = MissionRaw(system)
        self._parameters = Param(system)
        self._found.set()

    def _post(self, call: Callable[[], None]) -> None:
        """Run something on the loop from MAVSDK's threads; a loop already closed has no use for it."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    async def _plugin(self, name: str) -> Any:
        if not self._found.is_set():
            try:
                async with asyncio.timeout(COMMAND_S):
                    await self._found.wait()
            except TimeoutError:
                raise LinkDown(f"{self._name}: the autopilot has not been heard") from None
        if self._closed:
            raise LinkDown(f"{self._name}: the link is closed")
        return getattr(self, name)

    async def _call(self, begin: Callable[[Callable[[Any], None]], None], timeout_s: float, what: str) -> Any:
        """Start a call of MAVSDK and wait for what its callback is given."""
        answer: asyncio.Future[Any] = self._loop.create_future()

        def done(value: Any) -> None:
            self._post(lambda: None if answer.done() else answer.set_result(value))

        begin(done)
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise NoAnswer(f"{self._name}: no answer to {what} in {timeout_s:g} s") from None

    async def _blocking(self, call: Callable[[], Any], name: str) -> Any:
        try:
            async with asyncio.timeout(PARAMETER_S):
                return await self._loop.run_in_executor(self._threads, call)
        except ParamError as error:
            if error.result in (ParamResult.TIMEOUT, ParamResult.CONNECTION_ERROR, ParamResult.NO_SYSTEM):
                raise NoAnswer(f"{self._name}: no answer about parameter {name}") from error
            raise NotSupported(f"{self._name}: parameter {name}: {error.result.name}") from error
        except TimeoutError:
            raise NoAnswer(f"{self._name}: no answer about parameter {name}") from None

    def _abandon(self, cancel: Callable[[], object]) -> None:
        def run() -> None:
            try:
                cancel()
            except Exception as error:
                log.info("mavsdk_cancel_failed", vehicle=self._name, error=str(error))

        if not self._closed:
            self._threads.submit(run)

    def _check_transfer(self, result: MissionRawResult, what: str) -> None:
        if result in (MissionRawResult.SUCCESS, MissionRawResult.NEXT):
            return
        message = f"{self._name}: {what}: {result.name}"
        raise _TRANSFER_ERRORS.get(result, MissionRejected)(message)


_TRANSFER_ERRORS: dict[MissionRawResult, type[HardwareError]] = {
    MissionRawResult.TIMEOUT: NoAnswer,
    MissionRawResult.BUSY: NoAnswer,
    MissionRawResult.TRANSFER_CANCELLED: NoAnswer,
    MissionRawResult.NO_SYSTEM: LinkDown,
}


def _to_wire(index: int, item: Item, load: Load) -> MissionItem:
    return MissionItem(
        index,
        item.frame,
        item.command,
        int(index == 0),
        1,
        *item.params,
        item.x,
        item.y,
        item.z,
        int(load),
    )


def _from_wire(item: MissionItem) -> Item:
    # An item without a place may come back with NaN as its height.
    z = item.z if math.isfinite(item.z) else 0.0
    params = (item.param1, item.param2, item.param3, item.param4)
    return Item(item.command, item.frame, params, item.x, item.y, z)


_logs_taken = False


def _quiet_logs() -> None:
    """Take MAVSDK's own log lines off standard output and into ours."""
    global _logs_taken
    if _logs_taken:
        return
    _logs_taken = True

    def take(level: LogLevel, message: str, _file: str | None, _line: int) -> bool:
        # Its warnings are about what we raise as errors anyway.
        (log.info if level is LogLevel.ERROR else log.debug)("mavsdk", text=message)
        return True

    log_subscribe(take)
