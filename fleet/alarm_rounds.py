"""What housekeeping does for alarms: shelves whose time is over, gateways that have stopped, vehicles retired,
processes that there are no more."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import datetime

from fleet import alarm_store
from fleet.alarm_keeper import AlarmKeeper
from fleet.alarms import AlarmBook
from fleet.db.database import Connection, Database
from telemetry.clock import Clock
from telemetry.monitors.finding import Finding

ACTOR = "housekeeping"
OVER_S = 1.0
"""Wall seconds for which a lease has run out before its gateway is taken to have stopped."""
PATIENCE_S = 30.0
"""Wall seconds after our own start in which what had run out before may be taken up again: a service that starts
after a night finds the leases of the evening."""
GONE_S = 180.0
"""Wall seconds for which a process is missed before its alarms are taken to be over: one that restarts clears its
own."""


class AlarmRounds:
    """Rounds of one process; any number of them may make theirs at once, since an open alarm is one row.

    ``running`` says which processes the service has now.
    """

    def __init__(self, database: Database, clock: Clock, *, running: Callable[[], Collection[str]]) -> None:
        self._database, self._clock, self._running = database, clock, running
        self._missed_s: dict[str, float] = {}
        self._book = AlarmBook()
        self._keeper = AlarmKeeper(self._book, database, actor=ACTOR)
        self._begun_s = time.monotonic()

    async def once(self) -> None:
        """Make one round. Raises one of ``DATABASE_ERRORS``."""
        at = self._clock.now()
        async with self._database.transaction() as conn:
            await alarm_store.unshelve_due(conn, at=at, actor=ACTOR)
            await alarm_store.clear_retired(conn, at=at, actor=ACTOR)
            looking_s = time.monotonic() - self._begun_s
            silent = await alarm_store.silent_gateways(conn, over_s=OVER_S, looking_s=looking_s, patience_s=PATIENCE_S)
            known = await alarm_store.open_of_code(conn, "gateway_silent")
            await self._clear_gone(conn, at)
        # What another housekeeper raised is ours to clear as well.
        mine = {alarm.source for alarm in self._book.open()}
        self._book.adopt(alarm for alarm in known if alarm.source not in mine)
        found = {gateway for gateway, _ in silent}
        for gateway in found | {source_id for _, source_id in self._book.sources()}:
            finding = Finding("gateway_silent", gateway in found, values={"gateway": gateway})
            self._book.take("process", gateway, [finding], at=at, speed=self._clock.speed)
        await self._keeper.once()

    async def _clear_gone(self, conn: Connection, at: datetime) -> None:
        """Clear the alarms of processes that neither run nor hold vehicles, for long enough to be gone."""
        idle = await alarm_store.idle_processes(conn)
        missed = idle - set(self._running()) if idle else idle
        now_s = time.monotonic()
        self._missed_s = {name: self._missed_s.get(name, now_s) for name in missed}
        gone = [name for name, since_s in self._missed_s.items() if now_s - since_s > GONE_S]
        await alarm_store.clear_gone(conn, gone, at=at, actor=ACTOR)
