"""Counts the books for the metrics of the whole service: orders, missions, planning runs, leases."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import Gauge

from fleet import metrics
from fleet.db.database import DATABASE_ERRORS, Database
from fleet.errors import StartFailed
from fleet.metrics_share import folder_of
from fleet.places import hold
from telemetry.clock import Clock
from telemetry.sqlfile import statements

_LOG = structlog.get_logger()
_SQL = statements("fleet.db.sql", "books.sql")

INTERVAL_S = 15.0
"""Wall seconds between two counts."""
OVER = timedelta(days=1)
"""Orders and missions that are over are counted for so much domain time."""
COUNT_TIMEOUT_S = 5.0
_BY_STATE = {"orders": metrics.ORDERS, "missions": metrics.MISSIONS, "alarms": metrics.ALARMS_OPEN}


async def run(database: Database, home: Path, clock: Clock) -> None:
    """Count until cancelled, in one process of ``home``: the others wait until that one has ended."""
    lock = folder_of(home) / "books.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with suppress(StartFailed), hold(lock, "the counting of the books"):
            await _count_on(database, clock)
        await asyncio.sleep(INTERVAL_S)


async def _count_on(database: Database, clock: Clock) -> None:
    books = Books()
    while True:
        try:
            async with asyncio.timeout(COUNT_TIMEOUT_S):
                await books.count(database, at=clock.now())
        except (*DATABASE_ERRORS, TimeoutError) as error:
            _LOG.warning("the books are not counted: the database is away", error=str(error).strip())
            books.unknown()
        await asyncio.sleep(INTERVAL_S)


class Books:
    """The newest counts, as gauges. A state that no row is in any more is 0; what cannot be read is NaN."""

    def __init__(self) -> None:
        self._shown: set[tuple[Gauge, str]] = set()

    async def count(self, database: Database, *, at: datetime) -> None:
        """Read the counts at a moment of domain time. Raises one of ``DATABASE_ERRORS``."""
        async with database.transaction() as conn:
            states = await (await conn.execute(_SQL["states"], {"since": at - OVER})).fetchall()
            totals = await (await conn.execute(_SQL["totals"])).fetchone()
        self._show({(_BY_STATE[row["what"]], row["state"]): row["n"] for row in states}, totals or {})
        metrics.BOOKS_READ.set(time.time())

    def unknown(self) -> None:
        """Say that nothing is known."""
        unknown = float("nan")
        totals = dict.fromkeys(("queued", "vehicles", "leased"), unknown)
        self._show(dict.fromkeys(self._shown, unknown), totals)

    def _show(self, counts: dict[tuple[Gauge, str], float], totals: dict[str, Any]) -> None:
        for gauge, state in self._shown - set(counts):
            gauge.labels(state).set(0)
        for (gauge, state), count in counts.items():
            gauge.labels(state).set(count)
        self._shown |= set(counts)
        metrics.PLANNING_QUEUE.set(totals["queued"])
        metrics.VEHICLES_REGISTERED.set(totals["vehicles"])
        metrics.LEASES_HELD.set(totals["leased"])
