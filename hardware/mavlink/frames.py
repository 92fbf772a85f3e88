"""MAVLink 1 and 2 frames: finding them in bytes, checking them, and building the few that we send.

Layout and checksum after the MAVLink serialisation guide (mavlink.io, "Packet Serialization"): X.25
CRC-16 (CRC-16/MCRF4XX) over everything after the magic byte, then over the ``CRC_EXTRA`` of the message.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from typing import NamedTuple

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
SYSTEM_TIME = 2
GPS_RAW_INT = 24
ATTITUDE = 30
GLOBAL_POSITION_INT = 33
MISSION_CURRENT = 42
MISSION_ITEM_REACHED = 46
MISSION_ACK = 47
COMMAND_LONG = 76
COMMAND_ACK = 77
RADIO_STATUS = 109
BATTERY_STATUS = 147
AUTOPILOT_VERSION = 148
WIND_COV = 231
HOME_POSITION = 242
EXTENDED_SYS_STATE = 245
STATUSTEXT = 253
EVENT = 410

CRC_EXTRA = {
    HEARTBEAT: 50,
    SYS_STATUS: 124,
    SYSTEM_TIME: 137,
    GPS_RAW_INT: 24,
    ATTITUDE: 39,
    GLOBAL_POSITION_INT: 104,
    MISSION_CURRENT: 28,
    MISSION_ITEM_REACHED: 11,
    MISSION_ACK: 153,
    COMMAND_LONG: 152,
    COMMAND_ACK: 143,
    RADIO_STATUS: 185,
    BATTERY_STATUS: 154,
    AUTOPILOT_VERSION: 178,
    WIND_COV: 105,
    HOME_POSITION: 104,
    EXTENDED_SYS_STATE: 130,
    STATUSTEXT: 83,
    EVENT: 160,
}
"""Checksum seeds of the messages that we decode or build; others pass unchecked."""

MAX_DATAGRAM_BYTES = 8192
"""What a router may pack together; a longer datagram is dropped unread."""
MAX_DAMAGED = 64
"""Places of one datagram at which a frame seemed to begin and was none; after so many the rest is dropped."""
REASONS = ("garbage", "checksum", "truncated", "incompatible", "oversized")
"""Why bytes of a datagram were no frame: no frame begins there, its checksum is wrong, it is cut short (or followed by
what is no frame), it demands what we do not know, the datagram is too long."""

SIGNED = 0x01
"""The incompatibility flag of a frame that is followed by its signature (``signing``)."""
SIGNATURE_BYTES = 13
_HEADER_V1 = 6
_HEADER_V2 = 10
_HEADER = struct.Struct("<BBBBBBBHB")
_CHECKSUM = 2
_CUT_SHORT = "cut short"
"""What begins here may be a frame, of which the rest has not come."""
_EXTRA_BYTE = {msg_id: bytes((extra,)) for msg_id, extra in CRC_EXTRA.items()}
_next_magic = re.compile(b"[\xfd\xfe]").search
_mcrf4xx = crc16.mcrf4xx


class Frame(NamedTuple):
    """One frame. ``payload`` is as sent (MAVLink 2 cuts trailing zeros); ``raw`` is the whole frame."""

    msg_id: int
    system_id: int
    component_id: int
    payload: bytes
    raw: bytes
    sequence: int = 0


def split_frames(data: bytes, dropped: Counter[str] | None = None) -> list[Frame]:
    """Return the frames found in a datagram, skipping whatever is none and counting it by reason in ``dropped``.

    A damaged frame of a message in ``CRC_EXTRA`` is dropped, and the search goes on one byte after its
    magic, at most ``MAX_DAMAGED`` times. A frame of another message cannot be checked: it counts right upon another
    frame or the beginning, when the bytes end with it or another frame follows. Bytes of a frame cut short at the end
    are dropped, since a datagram carries whole frames. Never raises.
    """
    frames: list[Frame] = []
    reasons: list[str] = []
    at, size, in_step = 0, len(data), True
    if size > MAX_DATAGRAM_BYTES:
        at, reasons = size, ["oversized"]
    while at < size:
        found = _frame_at(data, at, size)
        if isinstance(found, Frame) and (in_step or found.msg_id in CRC_EXTRA):
            frames.append(found)
            at += len(found.raw)
            in_step = True
            continue
        in_step = False
        reasons.append(found if isinstance(found, str) and found != _CUT_SHORT else "truncated")
        begins = None if len(reasons) > MAX_DAMAGED else _next_magic(data, at + 1)
        at = size if begins is None else begins.start()
    if reasons and dropped is not None:
        dropped.update(reasons)
    return frames


class FrameStream:
    """Frames out of a stream of bytes, which comes in pieces of any length.

    What is kept between two pieces is the beginning of one frame at most. Bytes that are no frame are skipped as in a
    datagram and counted by reason in ``dropped``; runs of them count once. A frame that cannot be checked (its message
    is not in ``CRC_EXTRA``) counts only where it follows right upon another frame or the stream's beginning.
    """

    def __init__(self, dropped: Counter[str]) -> None:
        self._dropped = dropped
        self._kept = b""
        self._in_step = True

    def feed(self, piece: bytes) -> list[Frame]:
        """Return the frames that a piece completes, in their order. Never raises."""
        data = self._kept + piece if self._kept else piece
        frames: list[Frame] = []
        at, size = 0, len(data)
        while at < size:
            found = _frame_at(data, at, size)
            if isinstance(found, Frame) and (self._in_step or found.msg_id in CRC_EXTRA):
                frames.append(found)
                at += len(found.raw)
                self._in_step = True
                continue
            if found == _CUT_SHORT:
                break
            if self._in_step:
                self._dropped[found if isinstance(found, str) else "truncated"] += 1
            self._in_step = False
            begins = _next_magic(data, at + 1)
            at = size if begins is None else begins.start()
        self._kept = data[at:]
        return frames


def _frame_at(data: bytes, at: int, size: int) -> Frame | str:
    """Return the frame that begins here, or why there is none."""
    magic = data[at]
    if magic == MAGIC_V2:
        if at + _HEADER_V2 > size:
            return _CUT_SHORT
        _, length, incompatible, _, sequence, system_id, component_id, low, high = _HEADER.unpack_from(data, at)
        if incompatible & ~SIGNED:
            return "incompatible"
        body = at + _HEADER_V2
        end = body + length + (_CHECKSUM + SIGNATURE_BYTES if incompatible else _CHECKSUM)
        msg_id = low | high << 16
    elif magic == MAGIC_V1:
        if at + _HEADER_V1 > size:
            return _CUT_SHORT
        _, length, sequence, system_id, component_id, msg_id = data[at : at + _HEADER_V1]
        body = at + _HEADER_V1
        end = body + length + _CHECKSUM
    else:
        return "garbage"
    if end > size:
        return _CUT_SHORT
    body_end = body + length
    extra = _EXTRA_BYTE.get(msg_id)
    if extra is None:
        if end < size and data[end] != MAGIC_V2 and data[end] != MAGIC_V1:
            return "truncated"
    elif _mcrf4xx(data[at + 1 : body_end] + extra) != data[body_end] | data[body_end + 1] << 8:
        return "checksum"
    raw = data if end - at == size else data[at:end]
    return Frame(msg_id, system_id, component_id, data[body:body_end], raw, sequence)


def checksum(covered: bytes, crc_extra: int) -> int:
    """Return the MAVLink checksum of the bytes between the magic byte and the checksum."""
    return int(_mcrf4xx(covered + bytes((crc_extra,))))


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
