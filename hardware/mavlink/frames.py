"""MAVLink 1 and 2 frames: finding them in bytes, checking them, and building the few that we send.

Layout and checksum after the MAVLink serialisation guide (mavlink.io, "Packet Serialization"): X.25
CRC-16 (CRC-16/MCRF4XX) over everything after the magic byte, then over the ``CRC_EXTRA`` of the message.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from fastcrc import crc16

MAGIC_V1 = 0xFE
MAGIC_V2 = 0xFD
MAX_FRAME_BYTES = 280
"""Header 10, payload 255, checksum 2, signature 13."""

GROUND_SYSTEM_ID = 245
GROUND_COMPONENT_ID = 190
"""The identity under which MAVSDK speaks as a ground station; our own frames use the same."""

HEARTBEAT = 0
SYS_STATUS = 1
GPS_RAW_INT = 24
GLOBAL_POSITION_INT = 33
MISSION_CURRENT = 42
MISSION_ITEM_REACHED = 46
COMMAND_LONG = 76
COMMAND_ACK = 77
BATTERY_STATUS = 147
AUTOPILOT_VERSION = 148
HOME_POSITION = 242
EXTENDED_SYS_STATE = 245
STATUSTEXT = 253
EVENT = 410

CRC_EXTRA = {
    HEARTBEAT: 50,
    SYS_STATUS: 124,
    GPS_RAW_INT: 24,
    GLOBAL_POSITION_INT: 104,
    MISSION_CURRENT: 28,
    MISSION_ITEM_REACHED: 11,
    COMMAND_LONG: 152,
    COMMAND_ACK: 143,
    BATTERY_STATUS: 154,
    AUTOPILOT_VERSION: 178,
    HOME_POSITION: 104,
    EXTENDED_SYS_STATE: 130,
    STATUSTEXT: 83,
    EVENT: 160,
}
"""Checksum seeds of the messages that we decode or build; others pass unchecked."""

_SIGNED = 0x01
_HEADER_V1 = 6
_HEADER_V2 = 10
_CHECKSUM = 2
_SIGNATURE = 13


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. ``payload`` is as sent (MAVLink 2 cuts trailing zeros); ``raw`` is the whole frame."""

    msg_id: int
    system_id: int
    component_id: int
    payload: bytes
    raw: bytes


def split_frames(data: bytes) -> list[Frame]:
    """Return the frames found in ``data``, skipping whatever is none.

    A damaged frame of a message in ``CRC_EXTRA`` is dropped, and the search goes on one byte after its
    magic. A frame of another message cannot be checked: it counts when the bytes end with it or another
    frame follows. Bytes of a frame cut short at the end are dropped, since a datagram carries whole
    frames. Never raises.
    """
    frames: list[Frame] = []
    at = 0
    while at < len(data):
        frame = _frame_at(data, at)
        if frame is None:
            at += 1
        else:
            frames.append(frame)
            at += len(frame.raw)
    return frames


def _frame_at(data: bytes, at: int) -> Frame | None:
    magic = data[at]
    if magic == MAGIC_V2 and at + _HEADER_V2 <= len(data):
        incompatible = data[at + 2]
        if incompatible & ~_SIGNED:
            return None
        header, tail = _HEADER_V2, _CHECKSUM + (_SIGNATURE if incompatible & _SIGNED else 0)
        system_id, component_id = data[at + 5], data[at + 6]
        msg_id = int.from_bytes(data[at + 7 : at + 10], "little")
    elif magic == MAGIC_V1 and at + _HEADER_V1 <= len(data):
        header, tail = _HEADER_V1, _CHECKSUM
        system_id, component_id, msg_id = data[at + 3], data[at + 4], data[at + 5]
    else:
        return None
    body_end = at + header + data[at + 1]
    end = body_end + tail
    if end > len(data):
        return None
    extra = CRC_EXTRA.get(msg_id)
    if extra is None:
        if end < len(data) and data[end] not in (MAGIC_V1, MAGIC_V2):
            return None
    elif checksum(data[at + 1 : body_end], extra) != int.from_bytes(data[body_end : body_end + 2], "little"):
        return None
    return Frame(msg_id, system_id, component_id, data[at + header : body_end], data[at:end])


def checksum(covered: bytes, crc_extra: int) -> int:
    """Return the MAVLink checksum of the bytes between the magic byte and the checksum."""
    return int(crc16.mcrf4xx(covered + bytes((crc_extra,))))


def build_frame(msg_id: int, payload: bytes, sequence: int) -> bytes:
    """Return a MAVLink 2 frame from the ground station; raises ``KeyError`` for a message not known here."""
    body = payload.rstrip(b"\0") or b"\0"
    head = struct.pack(
        "<BBBBBB", len(body), 0, 0, sequence & 0xFF, GROUND_SYSTEM_ID, GROUND_COMPONENT_ID
    ) + msg_id.to_bytes(3, "little")
    return bytes((MAGIC_V2,)) + head + body + struct.pack("<H", checksum(head + body, CRC_EXTRA[msg_id]))


def ground_heartbeat(sequence: int) -> bytes:
    """Return a ground station's HEARTBEAT: MAV_TYPE_GCS, no autopilot, MAV_STATE_ACTIVE."""
    return build_frame(HEARTBEAT, struct.pack("<IBBBBB", 0, 6, 8, 0, 4, 3), sequence)


def version_request(system_id: int, sequence: int) -> bytes:
    """Return the question for AUTOPILOT_VERSION (MAV_CMD_REQUEST_MESSAGE) to an autopilot."""
    parameters = (float(AUTOPILOT_VERSION), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    return build_frame(COMMAND_LONG, struct.pack("<7fHBBB", *parameters, 512, system_id, 1, 0), sequence)


def message_id(raw: bytes) -> int | None:
    """Return the message id of a frame that MAVSDK gives us to send, ``None`` when it is no frame."""
    if len(raw) >= _HEADER_V2 and raw[0] == MAGIC_V2:
        return int.from_bytes(raw[7:10], "little")
    if len(raw) >= _HEADER_V1 and raw[0] == MAGIC_V1:
        return raw[5]
    return None
