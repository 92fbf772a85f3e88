"""The newest changes of alarms, read from the database once for all who look at this process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile

import orjson
import structlog

from fleet import alarm_store
from fleet.db.database import DATABASE_ERRORS, Database

_LOG = structlog.get_logger()

RECENT = 2000
"""Changes kept in memory. Who is further behind reads the list anew; nothing is lost by that."""
BATCH = 200
"""Changes read, and sent in one message, at once."""
POLL_S = 3.0
"""Wall seconds between two looks without any notification: one may be lost with the connection that brought it."""


@dataclass(frozen=True, slots=True)
class Missed:
    """Changes after a cursor, each already JSON, and the cursor behind them. ``reset``: too many, read the list."""

    cursor: int
    alarms: tuple[bytes, ...] = ()
    reset: bool = False


class AlarmFeed:
    """Follows the table of alarm changes by its growing ids, which are the cursor of whoever follows.

    All processes read the same table, so a cursor holds at any of them. While the database is away nothing is read
    and nothing is lost: the alarms that stand come with the snapshots, and the changes when it is back.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows: deque[tuple[int, bytes]] = deque()
        # All changes with a greater id up to the newest are in the rows.
        self._floor = 0
        self.newest: int | None = None
        self.rounds = 0
        self._wanted = asyncio.Event()

    def want(self) -> None:
        """Look soon: something has changed, or somebody knows of more than we do."""
        self._wanted.set()

    async def follow(self, on_news: Callable[[], None]) -> None:
        """Follow for ever; ``on_news`` is called when there is more to tell."""
        while True:
            self._wanted.clear()
            try:
                if await self.read():
                    on_news()
            except DATABASE_ERRORS as error:
                _LOG.warning("changes of alarms wait: the database is away", error=str(error).strip())
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    def after(self, cursor: int) -> Missed | None:
        """Return the changes after a cursor, at most ``BATCH``; ``None`` when there are none as far as is known."""
        if self.newest is None or cursor >= self.newest:
            return None
        if cursor < self._floor:
            return Missed(self.newest, reset=True)
        behind = list(takewhile(lambda row: row[0] > cursor, reversed(self._rows)))
        rows = behind[: -BATCH - 1 : -1]
        return Missed(rows[-1][0] if rows else self.newest, tuple(encoded for _, encoded in rows))

    async def read(self) -> bool:
        """Read what is new; return whether anything is. Raises one of ``DATABASE_ERRORS``."""
        before = -1 if self.newest is None else self.newest
        found: list[tuple[int, bytes]] = []
        async with self._database.transaction() as conn:
            newest = await alarm_store.cursor(conn)
            # Anew at first or far behind, and where the database was put back to an earlier day.
            anew = not newest - RECENT <= before <= newest
            first = last = max(0, newest - RECENT) if anew else before
            while rows := await alarm_store.since(conn, last, BATCH):
                found += ((int(row["event_id"]), orjson.dumps(row)) for row in rows)
                last = found[-1][0]
        # Only what was read as a whole is kept: what failed is read again.
        if anew:
            self._rows.clear()
            self._floor = first
        self._rows.extend(found)
        while len(self._rows) > RECENT:
            self._floor = self._rows.popleft()[0]
        self.newest = max(newest, last)
        self.rounds += 1
        return self.newest != before
