"""The mission, fence and rally protocol of the simulated autopilot (MAVLink mission microservice, as PX4)."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from pymavlink.dialects.v20 import common as mavlink

from simulators.extended import mission_ack, mission_count

MISSION, FENCE, RALLY, ALL = 0, 1, 2, 255
_CAPACITY = {MISSION: 2000, FENCE: 64, RALLY: 32}
_RETRY_S = 0.25
_TIMEOUT_S = 5.0
_GLOBAL = {0: 5, 5: 5, 3: 6, 6: 6}
"""Frames with a position, and the frame in which PX4 gives them back: 0 and 5 AMSL, 3 and 6 relative."""
_INT_FRAMES = (5, 6)
_FRAME_MISSION = 2
RALLY_FRAMES = (0, 3, 6)
"""Frames of rally points that PX4 1.16 can return to; it accepts others and then refuses missions."""

WAYPOINT, LOITER_UNLIM, LOITER_TIME, RETURN, LAND, TAKEOFF, DELAY = 16, 17, 19, 20, 21, 22, 93
CONDITION_DELAY, JUMP, CHANGE_SPEED, GRIPPER, WINCH = 112, 177, 178, 211, 42600
VTOL_TAKEOFF, VTOL_LAND, TRANSITION = 84, 85, 3000
TAKEOFFS, LANDINGS = (TAKEOFF, VTOL_TAKEOFF), (LAND, VTOL_LAND)
_PLACED = {WAYPOINT, LOITER_UNLIM, LOITER_TIME, *TAKEOFFS, *LANDINGS, 31, 4501, 5000, 5001, 5002, 5003, 5004, 5100}
_PLACELESS = {RETURN, DELAY, CONDITION_DELAY, 114, JUMP, CHANGE_SPEED, 179, 183, 187, 189, 201, GRIPPER}
_PLACELESS |= {WINCH, TRANSITION, 530, 2000, 2001, 2500, 2501, 197, 203, 205, 206, 214}
_KEPT_PARAMS = {WAYPOINT: (1, 2, 4), LOITER_UNLIM: (3, 4), LOITER_TIME: (1, 2, 3, 4), LAND: (2, 4), TAKEOFF: (4,)}
_KEPT_PARAMS |= {VTOL_TAKEOFF: (4,), VTOL_LAND: (4,), 31: (1, 2, 4), 5001: (1,), 5002: (1,), 5003: (1,), 5004: (1,)}


@dataclass(frozen=True, slots=True)
class Item:
    """One stored item. ``x`` and ``y`` are latitude and longitude in 1e-7 degrees where it has a place."""

    frame: int
    command: int
    params: tuple[float, float, float, float]
    x: int
    y: int
    z: float
    autocontinue: bool

    @property
    def placed(self) -> bool:
        """Whether the item has a position."""
        return self.frame != _FRAME_MISSION

    @property
    def relative(self) -> bool:
        """Whether ``z`` is above home (else AMSL)."""
        return self.frame in (3, 6)

    @property
    def lat(self) -> float:
        """Latitude in degrees."""
        return self.x * 1e-7

    @property
    def lon(self) -> float:
        """Longitude in degrees."""
        return self.y * 1e-7


def read_item(message: Any) -> Item | int:
    """Read a MISSION_ITEM_INT or the older MISSION_ITEM, whose positions are floats and not exact.

    Returns the MAV_MISSION_RESULT of the refusal when it is not supported.
    """
    command, frame = int(message.command), int(message.frame)
    exact = message.get_type() == "MISSION_ITEM_INT"
    if frame in _GLOBAL and (exact or frame not in _INT_FRAMES):
        if command not in _PLACED:
            return int(mavlink.MAV_MISSION_UNSUPPORTED)
    elif frame == _FRAME_MISSION:
        if command not in _PLACELESS:
            return int(mavlink.MAV_MISSION_UNSUPPORTED)
    else:
        return int(mavlink.MAV_MISSION_UNSUPPORTED_FRAME)
    params = (message.param1, message.param2, message.param3, message.param4)
    scale = 1.0 if exact or frame == _FRAME_MISSION else 1e7
    x, y = round(message.x * scale), round(message.y * scale)
    return Item(frame, command, params, x, y, message.z, bool(message.autocontinue))


def as_read_back(item: Item) -> Item:
    """The item as PX4 gives it back: int frames, yaw in [0, 360), and only the parameters it keeps."""
    if not item.placed:
        return item
    kept = _KEPT_PARAMS.get(item.command, ())
    params = [value if n in kept else 0.0 for n, value in enumerate(item.params, start=1)]
    if 4 in kept and math.isfinite(params[3]):
        params[3] %= 360.0
    frame = _GLOBAL[item.frame]
    return Item(
        frame,
        item.command,
        (params[0], params[1], params[2], params[3]),
        item.x,
        item.y,
        item.z,
        item.autocontinue,
    )


def _checksum(items: tuple[Item, ...]) -> int:
    value = 0
    for item in items:
        body = struct.pack("<BH", item.frame, item.command) + struct.pack("<4f", *item.params)
        value = zlib.crc32(body + struct.pack("<iif?", item.x, item.y, item.z, item.autocontinue), value)
    return value


class MissionStore:
    """What the autopilot carries: three lists of items with their ids (a checksum; 0 when empty)."""

    def __init__(self) -> None:
        self.items: dict[int, tuple[Item, ...]] = {MISSION: (), FENCE: (), RALLY: ()}
        self.ids: dict[int, int] = {MISSION: 0, FENCE: 0, RALLY: 0}

    def replace(self, kind: int, items: tuple[Item, ...]) -> bool:
        """Store a list; returns whether it differs from the one before (PX4 ignores an equal one)."""
        checksum = _checksum(items) if items else 0
        changed = checksum != self.ids[kind] or not items
        self.items[kind], self.ids[kind] = items, checksum
        return changed

    def clear(self) -> None:
        """Forget everything."""
        for kind in self.items:
            self.items[kind], self.ids[kind] = (), 0

    def to_json(self) -> dict[str, Any]:
        """Plain data to be kept over a restart."""
        return {str(kind): [asdict(item) for item in items] for kind, items in self.items.items()}

    def restore(self, data: dict[str, Any]) -> None:
        """Take back what ``to_json`` gave; raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        for kind in self.items:
            rows = data[str(kind)]
            self.replace(kind, tuple(Item(**{**row, "params": tuple(row["params"])}) for row in rows))


@dataclass(slots=True)
class _Transfer:
    kind: int
    partner: tuple[int, int]
    count: int
    uploading: bool
    heard_s: float
    sent_s: float
    items: list[Item]
    current: int = -1
    next_seq: int = 0


class MissionProtocol:
    """One transfer at a time, as PX4: a second partner is refused while it runs.

    A freshly started PX4 asks with the old MISSION_REQUEST, until a MISSION_ITEM_INT comes or the
    sender answers UNSUPPORTED. Time is the vehicle's: a request is repeated after 0.25 s and a transfer
    given up after 5 s of silence. ``stored(kind, changed, current)`` is called after an accepted upload or a clearing.
    """

    def __init__(
        self,
        store: MissionStore,
        *,
        send: Callable[[Any], None],
        text: Callable[[int, str], None],
        stored: Callable[[int, bool, int], None],
        current_seq: Callable[[], int],
    ) -> None:
        self._store = store
        self._send = send
        self._text = text
        self._stored = stored
        self._current_seq = current_seq
        self._transfer: _Transfer | None = None
        self._int = False
        self._done: tuple[tuple[int, int], int, int, int] | None = None

    def handle(self, message: Any, now_s: float) -> bool:
        """Take a message of the protocol; returns whether it was one."""
        handler = {
            "MISSION_COUNT": self._count,
            "MISSION_ITEM_INT": self._item,
            "MISSION_ITEM": self._item,
            "MISSION_REQUEST_LIST": self._request_list,
            "MISSION_REQUEST_INT": self._request,
            "MISSION_REQUEST": self._request,
            "MISSION_ACK": self._acknowledged,
            "MISSION_CLEAR_ALL": self._clear,
        }.get(message.get_type())
        if handler is None:
            return False
        handler(message, (message.get_srcSystem(), message.get_srcComponent()), now_s)
        return True

    def tick(self, now_s: float) -> None:
        """Repeat a request without answer and give up a silent transfer."""
        transfer = self._transfer
        if transfer is None:
            return
        if now_s - transfer.heard_s > _TIMEOUT_S:
            self._transfer = None
            self._text(mavlink.MAV_SEVERITY_CRITICAL, "Operation timeout")
        elif transfer.uploading and now_s - transfer.sent_s > _RETRY_S:
            self._ask(transfer, now_s)

    def _ack(self, partner: tuple[int, int], result: int, kind: int, opaque_id: int = 0) -> None:
        self._send(mission_ack(partner, result, kind, opaque_id))

    def _ask(self, transfer: _Transfer, now_s: float) -> None:
        transfer.sent_s = now_s
        request = mavlink.MAVLink_mission_request_int_message if self._int else mavlink.MAVLink_mission_request_message
        self._send(request(*transfer.partner, transfer.next_seq, transfer.kind))

    def _count(self, message: Any, partner: tuple[int, int], now_s: float) -> None:
        kind, running = int(message.mission_type), self._transfer
        if running is not None:
            repeated = running.uploading and running.partner == partner and running.next_seq == 0
            if repeated:
                running.heard_s = now_s
                self._ask(running, now_s)
                return
            self._text(mavlink.MAV_SEVERITY_CRITICAL, "WPM: IGN MISSION_COUNT: Busy")
            self._ack(partner, mavlink.MAV_MISSION_ERROR, kind)
            return
        if kind not in _CAPACITY:
            self._ack(partner, mavlink.MAV_MISSION_INVALID, kind)
        elif message.count > _CAPACITY[kind]:
            self._ack(partner, mavlink.MAV_MISSION_NO_SPACE, kind)
        elif message.count == 0:
            self._finish(kind, (), -1)
            self._ack(partner, mavlink.MAV_MISSION_ACCEPTED, kind)
        else:
            self._transfer = _Transfer(kind, partner, int(message.count), True, now_s, now_s, [])
            self._ask(self._transfer, now_s)

    def _item(self, message: Any, partner: tuple[int, int], now_s: float) -> None:
        transfer, kind = self._transfer, int(message.mission_type)
        self._int = message.get_type() == "MISSION_ITEM_INT"
        if transfer is None:
            self._late_item(message, partner, kind)
            return
        if transfer.partner != partner:
            self._text(mavlink.MAV_SEVERITY_CRITICAL, "REJ. MIS ITEM: partner id mismatch")
            return
        if not transfer.uploading or transfer.kind != kind:
            self._ack(partner, mavlink.MAV_MISSION_ERROR, kind)
            return
        transfer.heard_s = now_s
        if message.seq != transfer.next_seq:
            return
        item = read_item(message)
        refused = item if isinstance(item, int) else self._unfit(kind, item)
        if isinstance(item, int) or refused:
            self._transfer = None
            self._text(mavlink.MAV_SEVERITY_CRITICAL, "IGN MISSION_ITEM: Invalid item")
            self._ack(partner, refused, kind)
            return
        transfer.items.append(item)
        if message.current:
            transfer.current = transfer.next_seq
        transfer.next_seq += 1
        if transfer.next_seq < transfer.count:
            self._ask(transfer, now_s)
            return
        self._transfer = None
        self._finish(kind, tuple(transfer.items), transfer.current)
        opaque_id = self._store.ids[kind]
        self._done = (partner, transfer.count - 1, kind, opaque_id)
        self._ack(partner, mavlink.MAV_MISSION_ACCEPTED, kind, opaque_id)

    def _late_item(self, message: Any, partner: tuple[int, int], kind: int) -> None:
        if self._done is not None and self._done[:3] == (partner, int(message.seq), kind):
            self._ack(partner, mavlink.MAV_MISSION_ACCEPTED, kind, self._done[3])
            return
        self._text(mavlink.MAV_SEVERITY_CRITICAL, "IGN MISSION_ITEM: No transfer")
        self._ack(partner, mavlink.MAV_MISSION_ERROR, kind)

    @staticmethod
    def _unfit(kind: int, item: Item) -> int:
        fence_or_rally = 5000 <= item.command <= 5100
        wrong_list = (kind == MISSION) == fence_or_rally or (kind == RALLY) != (item.command == 5100)
        too_few = item.command in (5001, 5002) and item.params[0] < 3
        if wrong_list or too_few:
            return int(mavlink.MAV_MISSION_ERROR)
        return 0

    def _finish(self, kind: int, items: tuple[Item, ...], current: int) -> None:
        changed = self._store.replace(kind, items)
        self._stored(kind, changed, current)

    def _request_list(self, message: Any, partner: tuple[int, int], now_s: float) -> None:
        kind, running = int(message.mission_type), self._transfer
        if kind not in _CAPACITY:
            self._ack(partner, mavlink.MAV_MISSION_INVALID, kind)
            return
        complete = running is not None and not running.uploading and running.next_seq == running.count
        same = running is not None and not running.uploading and running.partner == partner
        if running is not None and not complete and not (same and running.kind == kind):
            self._text(mavlink.MAV_SEVERITY_INFO, "Mission download request ignored, already active")
            return
        count = len(self._store.items[kind])
        self._transfer = _Transfer(kind, partner, count, False, now_s, now_s, []) if count else None
        self._send(
            mission_count(partner, count, kind, self._store.ids[kind]),
        )

    def _request(self, message: Any, partner: tuple[int, int], now_s: float) -> None:
        transfer, kind, seq = self._transfer, int(message.mission_type), int(message.seq)
        if transfer is None or transfer.uploading or transfer.partner != partner or transfer.kind != kind:
            return
        items = self._store.items[kind]
        if seq not in (transfer.next_seq, transfer.next_seq - 1) or seq >= len(items):
            self._transfer = None
            self._text(mavlink.MAV_SEVERITY_CRITICAL, "WPM: REJ. CMD: Req. WP was unexpected")
            self._ack(partner, mavlink.MAV_MISSION_ERROR, kind)
            return
        transfer.heard_s = now_s
        transfer.next_seq = seq + 1
        item = as_read_back(items[seq])
        current = int(kind == MISSION and seq == self._current_seq())
        head = (*partner, seq, item.frame, item.command, current, int(item.autocontinue))
        if message.get_type() == "MISSION_REQUEST_INT":
            self._send(mavlink.MAVLink_mission_item_int_message(*head, *item.params, item.x, item.y, item.z, kind))
        else:
            scale = 1e-7 if item.placed else 1.0
            place = (item.x * scale, item.y * scale, item.z)
            frame = {5: 0, 6: 3}.get(item.frame, item.frame)
            head = (*partner, seq, frame, item.command, current, int(item.autocontinue))
            self._send(mavlink.MAVLink_mission_item_message(*head, *item.params, *place, kind))

    def _acknowledged(self, message: Any, partner: tuple[int, int], now_s: float) -> None:
        transfer = self._transfer
        if transfer is None or transfer.partner != partner:
            return
        if not transfer.uploading or message.type == mavlink.MAV_MISSION_OPERATION_CANCELLED:
            self._transfer = None
        elif message.type == mavlink.MAV_MISSION_UNSUPPORTED:
            self._int = not self._int
            self._ask(transfer, now_s)

    def _clear(self, message: Any, partner: tuple[int, int], now_s: float) -> None:
        kind = int(message.mission_type)
        if self._transfer is not None:
            self._text(mavlink.MAV_SEVERITY_CRITICAL, "WPM: IGN CLEAR CMD: Busy")
            return
        for each in (MISSION, FENCE, RALLY):
            if kind in (each, ALL):
                self._finish(each, (), -1)
        known = kind in _CAPACITY or kind == ALL
        self._ack(partner, mavlink.MAV_MISSION_ACCEPTED if known else mavlink.MAV_MISSION_INVALID, kind)
