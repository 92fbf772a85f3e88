"""Conditions of a process that writes samples, as findings: the database it writes to, the spool it falls back on."""

from __future__ import annotations

from telemetry.monitors.finding import Finding
from telemetry.writer_state import WriterHealth

FILLING_PCT = 50.0
"""Share of the spool from which somebody should look, and the band below it in which that is not over."""
BAND_PCT = 5.0


LOSING_S = 5.0
"""Wall seconds after a sample was lost in which more may be: between two batches nothing is."""


class WriterWatch:
    """Watches the health of one writer."""

    def __init__(self) -> None:
        self._dropped = 0
        self._lost_s = float("-inf")
        self._filling = False

    def look(self, health: WriterHealth, now_s: float) -> list[Finding]:
        """Return what a look at the writer shows at ``now_s`` (wall time, monotonic)."""
        if health.dropped > self._dropped:
            self._dropped, self._lost_s = health.dropped, now_s
        used_pct = 100.0 * health.spool_bytes / health.spool_max_bytes if health.spool_max_bytes else 0.0
        self._filling = used_pct >= FILLING_PCT - (BAND_PCT if self._filling else 0.0)
        away = {} if health.last_write_s is None else {"since_s": health.last_write_s}
        return [
            Finding("database_away", health.database_down, values=away),
            Finding("spool_filling", self._filling, values={"used_pct": used_pct}),
            Finding("spool_full", now_s - self._lost_s < LOSING_S, values={"dropped": health.dropped}),
        ]
