"""What time alone changes: commands that nobody sent, orders and proposals whose time is over, old sessions."""

from __future__ import annotations

import asyncio

import structlog

from fleet import commands, orders, planning, regions, users
from fleet.db.database import DATABASE_ERRORS, Database
from telemetry.clock import Clock

_LOG = structlog.get_logger()

INTERVAL_S = 2.0
"""Wall seconds between two rounds."""


async def run(database: Database, clock: Clock) -> None:
    """Keep house until cancelled. Any number of processes may: a round that finds nothing does nothing."""
    while True:
        try:
            await round_once(database, clock)
        except DATABASE_ERRORS as error:
            _LOG.warning("housekeeping waits: the database is away", error=str(error).strip())
        await asyncio.sleep(INTERVAL_S)


async def round_once(database: Database, clock: Clock) -> None:
    """Write down what has run out. Each matter is a transaction of its own: one does not hold up the others."""
    now = clock.now()
    async with database.transaction() as conn:
        await commands.expire(conn, at=now)
    async with database.transaction() as conn:
        for region in await regions.listing(conn):
            await orders.fail_overdue(conn, region_id=region["region_id"], at=now)
    async with database.transaction() as conn:
        for run_id in await planning.withdraw_stale(conn, at=now):
            _LOG.warning("proposal withdrawn: it is out of date", run=run_id)
    async with database.transaction() as conn:
        await users.forget_expired(conn)
