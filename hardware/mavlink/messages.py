"""The messages that telemetry needs, decoded as the scaled integers in which they are sent.

Field order on the wire is by size (MAVLink serialisation guide); units after the MAVLink common and
standard message sets. What a message marks as "not known" is ``None`` here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import takewhile
from math import degrees
from typing import NamedTuple

from hardware.mavlink import frames
from hardware.mavlink.frames import Frame


class Heartbeat(NamedTuple):
    """HEARTBEAT. ``custom_mode`` is PX4's main and sub mode; ``armed`` from the base mode's safety bit."""

    custom_mode: int
    vehicle_type: int
    autopilot: int
    armed: bool
    system_status: int


class SysStatus(NamedTuple):
    """SYS_STATUS: bit masks of MAV_SYS_STATUS_SENSOR, battery in mV and percent."""

    present: int
    enabled: int
    health: int
    voltage_mv: int | None
    battery_pct: int | None
    current_ca: int | None = None


class SystemTime(NamedTuple):
    """SYSTEM_TIME: microseconds of Unix time, ``None`` before the vehicle has it of GPS."""

    unix_us: int | None


class GpsRaw(NamedTuple):
    """GPS_RAW_INT: kind of fix, satellites seen, and how good the receiver takes its position to be (mm)."""

    fix_type: int
    satellites: int | None
    accuracy_mm: int | None = None
    alt_accuracy_mm: int | None = None


class Attitude(NamedTuple):
    """ATTITUDE in 0.01 degrees: roll to the right and pitch up, -180 to 180 degrees."""

    time_boot_ms: int
    roll_cdeg: int
    pitch_cdeg: int


class Wind(NamedTuple):
    """WIND_COV as the vehicle estimates it, cm/s: where the air moves to."""

    north_cms: int
    east_cms: int


class RadioStatus(NamedTuple):
    """RADIO_STATUS of a telemetry radio: signal strengths here and there, noise, errors (device's own units)."""

    rssi: int | None
    remote_rssi: int | None
    noise: int | None
    remote_noise: int | None
    rx_errors: int


class GlobalPosition(NamedTuple):
    """GLOBAL_POSITION_INT: 1e-7 degrees, mm, cm/s, 0.01 degrees, ms since boot."""

    time_boot_ms: int
    lat_e7: int
    lon_e7: int
    alt_amsl_mm: int
    alt_home_mm: int
    vel_n_cms: int
    vel_e_cms: int
    vel_d_cms: int
    heading_cdeg: int | None


class MissionCurrent(NamedTuple):
    """MISSION_CURRENT. ``total`` and ``vehicle_mission_id`` are ``None`` when the vehicle does not say, or has no
    mission. ``fence_id`` and ``rally_id`` stand for what it carries of these, 0 for nothing or not said."""

    seq: int
    total: int | None
    vehicle_mission_id: int | None
    fence_id: int = 0
    rally_id: int = 0


class MissionAck(NamedTuple):
    """MISSION_ACK: the end of a transfer with ``target_system``, its MAV_MISSION_RESULT, and MAV_MISSION_TYPE."""

    target_system: int
    result: int
    mission_type: int


class MissionItemReached(NamedTuple):
    """MISSION_ITEM_REACHED."""

    seq: int


class CommandAck(NamedTuple):
    """COMMAND_ACK: the command and its MAV_RESULT; ``target_system`` gave the command, 0 when it is not said."""

    command: int
    result: int
    target_system: int = 0


class BatteryStatus(NamedTuple):
    """BATTERY_STATUS of one battery."""

    battery_id: int
    voltage_mv: int | None
    battery_pct: int | None
    current_ca: int | None = None


class AutopilotVersion(NamedTuple):
    """AUTOPILOT_VERSION: the hardware's ids in hexadecimal, 16 digits (``uid``) and 36 (``uid2``), and the firmware's
    number (``None``: not told)."""

    uid: str
    uid2: str
    firmware: tuple[int, int, int] | None = None

    def is_hardware(self, hardware_uid: str) -> bool:
        """Return whether either id is the one given (hexadecimal, any case)."""
        wanted = hardware_uid.lower()
        return wanted in (self.uid, self.uid2)


class HomePosition(NamedTuple):
    """HOME_POSITION: 1e-7 degrees and mm AMSL."""

    lat_e7: int
    lon_e7: int
    alt_amsl_mm: int


class ExtendedSysState(NamedTuple):
    """EXTENDED_SYS_STATE: MAV_LANDED_STATE (1 on ground, 2 in air, 3 taking off, 4 landing) and MAV_VTOL_STATE (1 and 2
    in transition, 3 on its rotors, 4 on its wing; 0 no VTOL)."""

    landed_state: int
    vtol_state: int = 0


class StatusText(NamedTuple):
    """STATUSTEXT, or one chunk of one: ``text_id`` is 0 for a text of one piece."""

    severity: int
    text: str
    text_id: int
    chunk: int
    ends: bool


class Event(NamedTuple):
    """EVENT: a number that stands for a text (``events``)."""

    event_id: int


Message = (
    Heartbeat
    | SysStatus
    | SystemTime
    | GpsRaw
    | GlobalPosition
    | MissionCurrent
    | MissionItemReached
    | MissionAck
    | CommandAck
    | BatteryStatus
    | AutopilotVersion
    | HomePosition
    | ExtendedSysState
    | StatusText
    | Event
    | Attitude
    | Wind
    | RadioStatus
)

_U16 = 0xFFFF
_NORTH_E7, _EAST_E7 = 900_000_000, 1_800_000_000
_YEAR_2020_US = 1_577_836_800_000_000
_FASTEST_MPS = 150.0
"""No wind is faster."""


def _known(value: int, unknown: int) -> int | None:
    return None if value == unknown else value


def _percent(value: int) -> int | None:
    return value if 0 <= value <= 100 else None


def _heartbeat(custom: int, kind: int, pilot: int, base: int, status: int, _version: int) -> Heartbeat:
    return Heartbeat(custom, kind, pilot, bool(base & 0x80), status)


def _sys_status(present: int, enabled: int, health: int, _load: int, mv: int, *rest: int) -> SysStatus:
    return SysStatus(present, enabled, health, _known(mv, _U16) or None, _percent(rest[-1]), _current(rest[0]))


def _gps(*fields: int) -> GpsRaw:
    return GpsRaw(fields[8], _known(fields[9], 255), _accuracy(fields[11]), _accuracy(fields[12]))


def _accuracy(mm: int) -> int | None:
    # 0 where the extension is not sent. What says "kilometres" says that there is no position.
    return mm if 0 < mm < 10_000_000 else None


def _attitude(ms: int, roll: float, pitch: float, *_rest: float) -> Attitude | None:
    # No vehicle turns further than once around; NaN fails the comparison.
    if not (abs(roll) <= 6.3 and abs(pitch) <= 6.3):
        return None
    return Attitude(ms, round(degrees(roll) * 100), round(degrees(pitch) * 100))


def _wind(_us: int, north: float, east: float, *_rest: float) -> Wind | None:
    if not (abs(north) <= _FASTEST_MPS and abs(east) <= _FASTEST_MPS):
        return None
    return Wind(round(north * 100), round(east * 100))


def _radio(rx_errors: int, _fixed: int, rssi: int, remote: int, _buffer: int, noise: int, far: int) -> RadioStatus:
    return RadioStatus(_known(rssi, 255), _known(remote, 255), _known(noise, 255), _known(far, 255), rx_errors)


def _global_position(
    ms: int, lat: int, lon: int, alt: int, above_home: int, north: int, east: int, down: int, heading: int
) -> GlobalPosition | None:
    if not (-_NORTH_E7 <= lat <= _NORTH_E7 and -_EAST_E7 <= lon <= _EAST_E7):
        return None
    return GlobalPosition(ms, lat, lon, alt, above_home, north, east, down, _known(heading, _U16))


def _mission_current(
    seq: int, total: int, _state: int, _mode: int, mission_id: int, fence: int, rally: int
) -> MissionCurrent:
    return MissionCurrent(seq, None if total in (0, _U16) else total, mission_id or None, fence, rally)


def _mission_ack(target: int, _component: int, result: int, kind: int) -> MissionAck:
    return MissionAck(target, result, kind)


def _command_ack(command: int, result: int, _progress: int, _detail: int, target: int, _component: int) -> CommandAck:
    return CommandAck(command, result, target)


def _battery(*fields: int) -> BatteryStatus:
    # Cells in use come first; a pack of more than 65.5 V is sent as full cells that add up to it.
    used = takewhile(lambda mv: mv not in (0, _U16), fields[3:13])
    return BatteryStatus(fields[14], sum(used) or None, _percent(fields[17]), _current(fields[13]))


def _current(value: int) -> int | None:
    return value if value >= 0 else None


def _autopilot_version(*fields: object) -> AutopilotVersion:
    uid, uid2, version = fields[1], fields[11], fields[2]
    assert isinstance(uid, int)
    assert isinstance(uid2, bytes)
    assert isinstance(version, int)
    # A byte each for major, minor and patch, then one for the kind of release.
    numbers = (version >> 24, version >> 16 & 0xFF, version >> 8 & 0xFF)
    return AutopilotVersion(f"{uid:016x}", uid2.hex(), numbers if any(numbers) else None)


def _home(lat: int, lon: int, alt: int, *_rest: float) -> HomePosition | None:
    if not (-_NORTH_E7 <= lat <= _NORTH_E7 and -_EAST_E7 <= lon <= _EAST_E7):
        return None
    return HomePosition(lat, lon, alt)


def _extended(vtol: int, landed: int) -> ExtendedSysState:
    return ExtendedSysState(landed, vtol)


def _system_time(unix_us: int, _ms: int) -> SystemTime:
    # Without GPS an autopilot counts from 1970, or from nothing.
    return SystemTime(unix_us if unix_us >= _YEAR_2020_US else None)


def _status_text(severity: int, text: bytes, text_id: int, chunk: int) -> StatusText:
    piece, end, _ = text.partition(b"\0")
    return StatusText(severity, piece.decode("utf-8", "replace"), text_id, chunk, bool(end) or text_id == 0)


def _event(event_id: int, *_rest: int) -> Event:
    return Event(event_id)


_LAYOUTS: dict[int, tuple[struct.Struct, Callable[..., Message | None]]] = {
    frames.HEARTBEAT: (struct.Struct("<IBBBBB"), _heartbeat),
    frames.SYS_STATUS: (struct.Struct("<IIIHHhHHHHHHb"), _sys_status),
    frames.SYSTEM_TIME: (struct.Struct("<QI"), _system_time),
    frames.GPS_RAW_INT: (struct.Struct("<QiiiHHHHBBiII"), _gps),
    frames.ATTITUDE: (struct.Struct("<Ifff"), _attitude),
    frames.GLOBAL_POSITION_INT: (struct.Struct("<IiiiihhhH"), _global_position),
    frames.MISSION_CURRENT: (struct.Struct("<HHBBIII"), _mission_current),
    frames.MISSION_ITEM_REACHED: (struct.Struct("<H"), MissionItemReached),
    frames.MISSION_ACK: (struct.Struct("<BBBB"), _mission_ack),
    frames.COMMAND_ACK: (struct.Struct("<HBBiBB"), _command_ack),
    frames.RADIO_STATUS: (struct.Struct("<HHBBBBB"), _radio),
    frames.WIND_COV: (struct.Struct("<Qff"), _wind),
    frames.BATTERY_STATUS: (struct.Struct("<iih10HhBBBb"), _battery),
    frames.AUTOPILOT_VERSION: (struct.Struct("<QQIIIIHH8s8s8s18s"), _autopilot_version),
    frames.HOME_POSITION: (struct.Struct("<iii10f"), _home),
    frames.EXTENDED_SYS_STATE: (struct.Struct("<BB"), _extended),
    frames.STATUSTEXT: (struct.Struct("<B50sHB"), _status_text),
    frames.EVENT: (struct.Struct("<IIHBBB"), _event),
}


DECODED = frozenset(_LAYOUTS)
"""The messages that ``decode`` knows."""


def decode(frame: Frame) -> Message | None:
    """Return the message in a frame, ``None`` when it is one that we do not need or makes no sense (see ``DECODED``).

    Trailing zeros that MAVLink 2 cut are put back, and extensions that we do not know are ignored.
    """
    layout = _LAYOUTS.get(frame.msg_id)
    if layout is None:
        return None
    fields, make = layout
    payload = frame.payload
    if len(payload) != fields.size:
        payload = payload[: fields.size].ljust(fields.size, b"\0")
    return make(*fields.unpack(payload))
