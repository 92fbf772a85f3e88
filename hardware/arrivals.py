"""How many of a sender's numbered messages arrive."""

from __future__ import annotations

from collections import deque

_PARTS = 5
_LEAST = 10


class Arrivals:
    """The share of messages that arrived over the last ``window_s`` (wall time), by the numbers that they carry.

    Numbers count up and begin again at ``modulus``. A message that was overtaken counts as arrived when it comes, one
    that comes twice counts once, and more than half of ``modulus`` lost in a row looks like one overtaken: silence is
    not measured here.
    """

    def __init__(self, *, modulus: int, window_s: float) -> None:
        self._modulus, self._half = modulus, modulus // 2
        self._part_s = window_s / _PARTS
        self._last: int | None = None
        self._sent = self._came = 0
        self._part_at = 0.0
        self._parts: deque[tuple[int, int]] = deque(maxlen=_PARTS)
        self.permille: int | None = None

    def heard(self, number: int, now: float) -> None:
        """Take the number of a message at a monotonic time."""
        last = self._last
        if last is None:
            self._last, self._part_at = number, now
            return
        ahead = (number - last) % self._modulus
        if ahead == 0:
            return
        if ahead < self._half:
            self._sent += ahead
            self._last = number
        self._came += 1
        if now - self._part_at >= self._part_s:
            self._turn(now)

    def forget(self) -> None:
        """Begin anew: the sender has, or was away for an unknown number of messages."""
        self._last = self.permille = None
        self._sent = self._came = 0
        self._parts.clear()

    def _turn(self, now: float) -> None:
        self._parts.append((self._sent, self._came))
        self._sent = self._came = 0
        self._part_at = now
        sent = sum(part[0] for part in self._parts)
        came = sum(part[1] for part in self._parts)
        self.permille = min(1000, round(1000 * came / sent)) if sent >= _LEAST else None
