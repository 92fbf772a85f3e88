"""Time in which nobody listened to a vehicle: a gap in the record that must not look like silence.

A gateway writes down until when it listened. The next one that takes the vehicle records the time from then, or from
the last sample stored after that, to the first sample that it hears itself. A vehicle that was silent while somebody
listened leaves no such gap; one that is heard only later has one that ends where listening began again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from psycopg import AsyncConnection

from telemetry.clock import Clock
from telemetry.sample import Sample
from telemetry.sqlfile import statements

log = structlog.get_logger(__name__)

LEAST_GAP = timedelta(seconds=3)
"""Shorter ones (domain time) are the rhythm in which samples and renewals come."""
FIRST_HEARD_WALL_S = 10.0
"""A vehicle that is there is heard within so much wall time; one that comes later was silent meanwhile."""
MOST_WAITING = 200
"""Gaps that wait for the database; beyond it the oldest is lost, and the log says so."""

_SQL = statements("telemetry.sql", "listening.sql")


@dataclass(frozen=True, slots=True)
class Unheard:
    """A vehicle to which nobody listened from one domain time to another (unless its samples show otherwise)."""

    vehicle_id: str
    listened_until: datetime
    ended_at: datetime


class Listening:
    """Follows since when this process listens to which vehicle, and records the gap before it, once."""

    def __init__(self, clock: Clock) -> None:
        self._grace = timedelta(seconds=FIRST_HEARD_WALL_S * clock.speed)
        self._clock = clock
        self._begun: dict[str, tuple[datetime, datetime]] = {}
        self._waiting: deque[Unheard] = deque()

    @property
    def waiting(self) -> int:
        """Gaps that are not in the database yet."""
        return len(self._waiting)

    def begin(self, vehicle_id: str, listened_until: datetime | None) -> None:
        """Note that listening to a vehicle begins now; ``listened_until`` is when the last listener ended, if any."""
        if listened_until is not None:
            self._begun[vehicle_id] = (listened_until, self._clock.now())

    def end(self, vehicle_id: str) -> None:
        """Note that listening ends, heard or not."""
        begun = self._begun.pop(vehicle_id, None)
        if begun is not None:
            self._wait(Unheard(vehicle_id, *begun))

    def take(self, sample: Sample) -> None:
        """Take a sample that was heard; the first one of a vehicle closes its gap."""
        if not self._begun:
            return
        begun = self._begun.pop(sample.vehicle_id, None)
        if begun is not None:
            listened_until, since = begun
            prompt = since < sample.t <= since + self._grace
            self._wait(Unheard(sample.vehicle_id, listened_until, sample.t if prompt else since))

    def _wait(self, gap: Unheard) -> None:
        if gap.ended_at - gap.listened_until < LEAST_GAP:
            return
        self._waiting.append(gap)
        while len(self._waiting) > MOST_WAITING:
            lost = self._waiting.popleft()
            log.error("gap_not_recorded", vehicle=lost.vehicle_id, began_at=lost.listened_until.isoformat())

    async def record(self, connection: AsyncConnection[Any]) -> list[Unheard]:
        """Write the gaps that wait; return those that were none before. To be called in a transaction.

        Call it when all samples of former listeners are stored as far as is known. Raises ``psycopg.Error``; call
        ``recorded`` with the count when the transaction is committed, until then nothing is forgotten.
        """
        new = []
        for gap in self._waiting:
            values = {
                "vehicle_id": gap.vehicle_id,
                "listened_until": gap.listened_until,
                "ended_at": gap.ended_at,
                "least": LEAST_GAP,
            }
            if await (await connection.execute(_SQL["note_unheard"], values)).fetchone() is not None:
                new.append(gap)
        return new

    def recorded(self, count: int) -> None:
        """Forget the oldest ``count`` of the gaps that wait: they are in the database."""
        for _ in range(count):
            self._waiting.popleft()
