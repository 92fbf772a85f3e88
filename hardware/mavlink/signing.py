"""MAVLink 2 message signing of one vehicle's conversation, with a key that only the vehicle and its gateways have.

After the MAVLink guide, "Message Signing (Authentication)": a signed frame carries a link id, a 48-bit timestamp
(10 microseconds since 2015-01-01) and the first 48 bits of the SHA-256 of key, frame, link id and timestamp.
Timestamps of a stream (system, component, link id) only grow, so that nothing recorded can be played back.

MAVSDK does not sign, so frames are signed and checked between it and the vehicle. SETUP_SIGNING, which carries the
key, is never sent by us: a crew loads the key into the vehicle over a cable.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable
from functools import cache
from hashlib import sha256

from fastcrc import crc16

from hardware.mavlink.frames import MAGIC_V2, RADIO_STATUS, SIGNATURE_BYTES, SIGNED, Frame

KEY_BYTES = 32
LINK_ID = 1
"""Of what a gateway sends. One for all gateways: a vehicle has one of them at a time."""
EPOCH_S = 1_420_070_400
"""2015-01-01 00:00 UTC since 1970."""
UNITS_PER_S = 100_000
NEW_STREAM_MAX_AGE = 60 * UNITS_PER_S
"""How far the first timestamp of a stream may be behind ours."""
MAX_STREAMS = 64
"""Components times links of one vehicle that are told apart; frames of a further one count as ``stale``."""
REASONS = ("unsigned", "forged", "replayed", "stale")
"""Why a frame of a vehicle with a key is dropped: it has no signature, another's, the timestamp of a frame that came
before, or one of more than a minute ago."""

_FLAGS = 2
_CHECKSUM = 2
_HEADER = 10


class Signing:
    """Signs what goes to one vehicle and checks what comes from it.

    Timestamps come from wall time and never go back: neither below the last one sent, nor below the newest that the
    vehicle sent. The vehicle keeps up with the newest that it has been sent; so another gateway, or this one after a
    restart, is ahead of its predecessor once it has heard one frame, even if its clock is behind. ``sign`` is for any
    thread; frames must go out in the order of their timestamps, so the caller holds one lock over signing and sending.
    """

    def __init__(self, key: bytes, *, link_id: int = LINK_ID, wall_s: Callable[[], float] = time.time) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a signing key has {KEY_BYTES} bytes, not {len(key)}")
        self._key = key
        self._link_id = bytes((link_id,))
        self._wall_s = wall_s
        self._newest = 0
        self._lock = threading.Lock()
        self._streams: dict[tuple[int, int, int], int] = {}

    def sign(self, raw: bytes) -> bytes | None:
        """Return an unsigned MAVLink 2 frame signed; ``None`` for bytes that are not one, which cannot be."""
        if len(raw) < _HEADER + _CHECKSUM or raw[0] != MAGIC_V2 or raw[_FLAGS] & SIGNED:
            return None
        if len(raw) != _HEADER + raw[1] + _CHECKSUM:
            return None
        with self._lock:
            stamp = self._newest = max(self._newest + 1, self._now())
        body = _with_flag_turned(raw) + self._link_id + stamp.to_bytes(6, "little")
        return body + self._digest(body)

    def refusal(self, frame: Frame) -> str | None:
        """Return why a frame is not the vehicle's, one of ``REASONS``, or ``None`` when it is. Remembers nothing.

        RADIO_STATUS is made by radios on the way, which have no key: it passes unsigned.
        """
        raw = frame.raw
        if not is_signed(raw):
            return None if frame.msg_id == RADIO_STATUS else "unsigned"
        if not hmac.compare_digest(self._digest(raw[:-6]), raw[-6:]):
            return "forged"
        stamp = int.from_bytes(raw[-12:-6], "little")
        last = self._streams.get((frame.system_id, frame.component_id, raw[-13]))
        if last is not None:
            return "replayed" if stamp <= last else None
        too_old = stamp + NEW_STREAM_MAX_AGE < max(self._newest, self._now())
        return "stale" if too_old or len(self._streams) >= MAX_STREAMS else None

    def accept(self, frame: Frame) -> Frame:
        """Take a frame that is not refused as heard, so that it is refused from now on; return it without signature."""
        raw = frame.raw
        if not is_signed(raw):
            return frame
        self.keep_up(frame)
        self._streams[frame.system_id, frame.component_id, raw[-13]] = int.from_bytes(raw[-12:-6], "little")
        return frame._replace(raw=_with_flag_turned(raw[:-SIGNATURE_BYTES]))

    def keep_up(self, frame: Frame) -> None:
        """Let what is sent from now on be newer than a frame that is not refused."""
        if is_signed(frame.raw):
            with self._lock:
                self._newest = max(self._newest, int.from_bytes(frame.raw[-12:-6], "little"))

    def _now(self) -> int:
        return int((self._wall_s() - EPOCH_S) * UNITS_PER_S)

    def _digest(self, body: bytes) -> bytes:
        return sha256(self._key + body).digest()[:6]


def is_signed(raw: bytes) -> bool:
    """Return whether a whole frame carries a signature."""
    return raw[0] == MAGIC_V2 and bool(raw[_FLAGS] & SIGNED)


def _with_flag_turned(raw: bytes) -> bytes:
    """Return a MAVLink 2 frame without signature block, its flag for one turned and its checksum right again."""
    checksum = int.from_bytes(raw[-_CHECKSUM:], "little") ^ _flag_in_checksum(raw[1])
    return raw[:_FLAGS] + bytes((raw[_FLAGS] ^ SIGNED,)) + raw[3:-_CHECKSUM] + checksum.to_bytes(_CHECKSUM, "little")


@cache
def _flag_in_checksum(payload_bytes: int) -> int:
    """Return what the flag changes of the checksum.

    A CRC is linear: the difference of two depends on where the bytes differ, not on the others, nor on the message's
    seed, so that frames of messages that we do not know can be signed too.
    """
    after = bytes(_HEADER - 3 + payload_bytes + 1)
    return int(crc16.mcrf4xx(bytes((0, SIGNED)) + after) ^ crc16.mcrf4xx(bytes(2) + after))
