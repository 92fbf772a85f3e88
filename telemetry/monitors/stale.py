"""Data that does not move on, although the vehicle is heard."""

from __future__ import annotations

import math
from datetime import datetime

from telemetry.monitors.finding import Finding
from telemetry.sample import Sample

LIMIT_S = 3.0
"""Age of a position that a moving vehicle must not have; PX4 sends it at least once a second."""
MOVES_MPS = 2.0
"""At this speed a position changes with each sample."""


class StaleData:
    """Whether what a vehicle says of itself is old: ``stale``, with what and for how long.

    ``position``: no position has come for ``limit_s``, or it stays the same while the vehicle says that it moves.
    ``clock``: the vehicle's own time stands still while it goes on sending.
    """

    def __init__(self, *, limit_s: float = LIMIT_S) -> None:
        """``limit_s``: domain seconds; more where positions come less often or the clock is fast."""
        self._limit_s = limit_s
        self._began: datetime | None = None
        self._placed: tuple[datetime, int | None, int | None] | None = None
        self._ticked: tuple[datetime, int] | None = None
        self._last: datetime | None = None

    def begin(self, now: datetime) -> None:
        """Watch from now on: what was old before does not count."""
        if self._began is None:
            self._began = now

    def end(self) -> None:
        """Do not watch until the next beginning."""
        self._began = self._placed = self._ticked = self._last = None

    def take(self, sample: Sample) -> None:
        """See one more sample."""
        self._last = sample.t
        if self._ticked is None or self._ticked[1] != sample.vehicle_ms:
            self._ticked = sample.t, sample.vehicle_ms
        if sample.lat_e7 is None or sample.lon_e7 is None:
            return
        known = self._placed
        moved = known is None or known[1:] != (sample.lat_e7, sample.lon_e7)
        if moved or math.hypot(sample.vel_n_cms or 0, sample.vel_e_cms or 0) < MOVES_MPS * 100.0:
            self._placed = sample.t, sample.lat_e7, sample.lon_e7

    def findings(self, now: datetime) -> list[Finding]:
        """Return ``stale`` for what is too old."""
        if self._began is None:
            return []
        aged = {"position": (now - (self._placed[0] if self._placed else self._began)).total_seconds()}
        if self._ticked is not None and self._last is not None:
            aged["clock"] = (self._last - self._ticked[0]).total_seconds()
        return [
            Finding("stale", True, key=what, values={"what": what, "age_s": round(age_s, 1), f"{what}_s": round(age_s)})
            for what, age_s in aged.items()
            if age_s > self._limit_s
        ]
