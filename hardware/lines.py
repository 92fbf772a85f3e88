"""Telling one sender whose counter began again from two senders under one name."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum

_TURNS = 3


class Line(Enum):
    """What a value of a counter is: the next of its line, the first of a new one, or another sender's."""

    NEXT = "next"
    BEGAN = "began"
    OTHER = "other"


@dataclass(slots=True)
class _Known:
    value: float
    at: float
    began: float


class Lines:
    """Follows a counter (a clock since boot, message numbers) that only grows, unless its sender begins again.

    A value continues a line when it is at most ``back`` behind its last one and at most ``slack`` and ``per_s`` for
    each second since ahead of it. A value that does not continue the line begins another; when the first line then
    goes on, there are two senders. The older one is believed: values of the newer are ``OTHER``, until the older has
    been silent for ``silent_s``. All times are monotonic wall time.
    """

    def __init__(self, *, per_s: float, slack: float, back: float, silent_s: float, window_s: float) -> None:
        self._per_s, self._slack, self._back = per_s, slack, back
        self._silent_s, self._window_s = silent_s, window_s
        self._main: _Known | None = None
        self._second: _Known | None = None
        self._turns: deque[float] = deque(maxlen=_TURNS)

    def take(self, value: float, now: float) -> Line:
        """Say to which line a value belongs."""
        main, second = self._main, self._second
        if main is None:
            self._main = _Known(value, now, now)
            return Line.NEXT
        if self._continues(main, value, now):
            main.value, main.at = value, now
            return Line.NEXT
        if second is None or not self._continues(second, value, now):
            self._main, self._second = _Known(value, now, now), main
            return Line.BEGAN
        second.value, second.at = value, now
        if second.began < main.began:
            self._main, self._second = second, main
            if now - main.at <= self._silent_s:
                self._turns.append(now)
            return Line.NEXT
        if now - main.at > self._silent_s:
            self._main, self._second = second, None
            return Line.BEGAN
        self._turns.append(now)
        return Line.OTHER

    def rival(self, now: float) -> None:
        """Take another sign of a second sender."""
        self._turns.append(now)

    def two(self, now: float) -> bool:
        """Whether two senders were heard in turn several times within ``window_s``."""
        return len(self._turns) == _TURNS and now - self._turns[0] < self._window_s

    def _continues(self, line: _Known, value: float, now: float) -> bool:
        return -self._back <= value - line.value <= self._slack + self._per_s * (now - line.at)
