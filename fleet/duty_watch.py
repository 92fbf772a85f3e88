"""Looks for pilots who have gone silent while what they control moves, and calls the others."""

from __future__ import annotations

from fleet import alarm_store, duty
from fleet.alarm_keeper import AlarmKeeper
from fleet.alarms import AlarmBook
from fleet.db.database import Database
from telemetry.clock import Clock
from telemetry.monitors.finding import Finding

ACTOR = "housekeeping"
CODE = "pilot_silent"
SOURCE = ("process", "pilots")
"""Of all pilots together: each alarm has its pilot as its key."""
OFF_DUTY_S = 0.0


class DutyWatch:
    """Rounds of one process; any number of them may make theirs at once, since an open alarm is one row."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._book = AlarmBook()
        self._keeper = AlarmKeeper(self._book, database, actor=ACTOR)

    async def once(self) -> None:
        """Make one round. Raises one of ``DATABASE_ERRORS``."""
        at = self._clock.now()
        async with self._database.transaction() as conn:
            found = await duty.silent(conn)
            known = await alarm_store.open_of_code(conn, CODE)
        # What another housekeeper raised is ours to clear as well.
        mine = {alarm.key for alarm in self._book.open()}
        self._book.adopt(alarm for alarm in known if alarm.key not in mine)
        findings = [
            Finding(
                CODE,
                True,
                key=row["pilot"],
                values={
                    "pilot": row["display_name"],
                    "quiet_s": round(row["quiet_s"] or OFF_DUTY_S),
                    "vehicles": ", ".join(row["vehicles"]),
                },
            )
            for row in found
        ]
        self._book.take(*SOURCE, findings, at=at, speed=self._clock.speed)
        await self._keeper.once()
