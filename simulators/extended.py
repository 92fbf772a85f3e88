"""Messages with extension fields that the MAVLink dialect of pymavlink does not know yet."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from pymavlink.dialects.v20 import common as m


@dataclass(frozen=True, slots=True)
class Extended:
    """A message with extension bytes behind its payload (MAVLink 2: outside the checksum's field list)."""

    message: Any
    extension: bytes

    def pack(self, mav: Any) -> bytes:
        """Encode it; has the signature of pymavlink's messages."""
        fields = (getattr(self.message, name) for name in self.message.ordered_fieldnames)
        payload = self.message.unpacker.pack(*fields) + self.extension
        return bytes(self.message._pack(mav, self.message.crc_extra, payload))


def mission_current(seq: int, total: int, ids: tuple[int, int, int]) -> Extended:
    """MISSION_CURRENT with the ids of mission, fence and rally points; its state is always 0, as PX4's."""
    return Extended(m.MAVLink_mission_current_message(seq, total, 0, 0), struct.pack("<3I", *ids))


def mission_count(partner: tuple[int, int], count: int, kind: int, opaque_id: int) -> Extended:
    """MISSION_COUNT with the id of the list."""
    return Extended(m.MAVLink_mission_count_message(*partner, count, kind), struct.pack("<I", opaque_id))


def mission_ack(partner: tuple[int, int], result: int, kind: int, opaque_id: int) -> Extended:
    """MISSION_ACK with the id of the list."""
    return Extended(m.MAVLink_mission_ack_message(*partner, result, kind), struct.pack("<I", opaque_id))
