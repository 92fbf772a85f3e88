"""Which messages a vehicle sends, and how often: asked for, and asked again when they do not come."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from hardware.mavlink import frames

SET_MESSAGE_INTERVAL = 511
"""MAV_CMD_SET_MESSAGE_INTERVAL: message id, interval in microseconds of the vehicle's time, -1 for off."""

WANTED_HZ = {
    frames.GLOBAL_POSITION_INT: 5.0,
    frames.ATTITUDE: 4.0,
    frames.EXTENDED_SYS_STATE: 2.0,
    frames.SYS_STATUS: 1.0,
    frames.BATTERY_STATUS: 1.0,
    frames.GPS_RAW_INT: 1.0,
    frames.WIND_COV: 0.5,
    frames.HOME_POSITION: 0.5,
    frames.SYSTEM_TIME: 0.2,
}
"""Rates in the vehicle's own time. PX4 sends MISSION_CURRENT by itself and takes no rate for it."""

_KEPT = frozenset((*frames.CRC_EXTRA, 22, 39, 40, 44, 47, 51, 73, 110, 111, 300, 380, 411, 412, 413, 436))
"""Never turned off: what we read, what protocols answer with, and what has no rate of its own."""
UNWANTED_AFTER = 10
"""A message heard this often that nobody reads is turned off, to save the radio and both ends' time."""
PATIENCE_INTERVALS = 5.0
PATIENCE_AT_LEAST_S = 3.0
"""Wall time after which a message counts as not coming: this many of its intervals, at least so long."""
ATTEMPTS = 5
"""A vehicle that cannot send a message is not asked for ever; it is asked again after it has rebooted."""


@dataclass(slots=True)
class Streams:
    """What has been asked of one vehicle and what came. ``speed`` is vehicle time over wall time."""

    speed: float
    _last: dict[int, float] = field(default_factory=dict)
    _asked: dict[int, int] = field(default_factory=dict)
    _asked_at: dict[int, float] = field(default_factory=dict)
    _unwanted: dict[int, int] = field(default_factory=dict)

    def heard(self, msg_id: int) -> None:
        """Note that a message came."""
        if msg_id in WANTED_HZ:
            self._last[msg_id] = time.monotonic()
        elif msg_id not in _KEPT:
            self._unwanted[msg_id] = self._unwanted.get(msg_id, 0) + 1

    def forget(self) -> None:
        """Ask for everything anew: the vehicle has started again or was away."""
        self._asked.clear()
        self._asked_at.clear()
        self._unwanted.clear()

    def due(self) -> tuple[int, float] | None:
        """Return the next request, message id and interval in microseconds, or ``None``."""
        now = time.monotonic()
        for msg_id, rate_hz in WANTED_HZ.items():
            if self._is_due(msg_id, rate_hz, now):
                self._asked[msg_id] = self._asked.get(msg_id, 0) + 1
                self._asked_at[msg_id] = now
                return msg_id, 1e6 / rate_hz
        for msg_id, count in self._unwanted.items():
            if count >= UNWANTED_AFTER and self._asked.get(msg_id, 0) < ATTEMPTS:
                self._unwanted[msg_id] = 0
                self._asked[msg_id] = self._asked.get(msg_id, 0) + 1
                return msg_id, -1.0
        return None

    def _is_due(self, msg_id: int, rate_hz: float, now: float) -> bool:
        asked = self._asked.get(msg_id, 0)
        if asked == 0:
            return True
        patience_s = max(PATIENCE_AT_LEAST_S, PATIENCE_INTERVALS / rate_hz / self.speed)
        if now - self._last.get(msg_id, 0.0) <= patience_s:
            self._asked[msg_id] = 1
            return False
        return asked < ATTEMPTS and now - self._asked_at[msg_id] > patience_s
