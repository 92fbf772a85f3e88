"""What time alone changes: commands that nobody sent, orders and proposals whose time is over, old sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import asdict

import psycopg
import structlog
from psycopg import AsyncConnection

from fleet import commands, drop_weight, incidents, metrics, orders, planning, regions, users
from fleet.alarm_rounds import AlarmRounds
from fleet.db.database import DATABASE_ERRORS, Database
from fleet.duty_watch import DutyWatch
from fleet.late_orders import LateOrders
from telemetry.clock import Clock
from telemetry.keeping import Kept, Limits, keep_house

_LOG = structlog.get_logger()

INTERVAL_S = 2.0
"""Wall seconds between two rounds."""

KEEPING_INTERVAL_S = 60.0
"""Wall seconds between two rounds of keeping telemetry, which may take long themselves."""


async def run(
    database: Database, clock: Clock, limits: Limits | None = None, *, running: Callable[[], Collection[str]]
) -> None:
    """Keep house until cancelled. Any number of processes may: a round that finds nothing does nothing.

    ``running`` says which processes the service has now.
    """
    async with asyncio.TaskGroup() as group:
        watches = AlarmRounds(database, clock, running=running), DutyWatch(database, clock), LateOrders(database, clock)
        group.create_task(_run_rounds(database, clock, *watches))
        group.create_task(_run_keeping(database, clock, limits or Limits()))


async def _run_rounds(
    database: Database, clock: Clock, alarms: AlarmRounds, pilots: DutyWatch, late: LateOrders
) -> None:
    while True:
        try:
            await round_once(database, clock)
            await alarms.once()
            await pilots.once()
            await late.once()
        except DATABASE_ERRORS as error:
            _LOG.warning("housekeeping waits: the database is away", error=str(error).strip())
        await asyncio.sleep(INTERVAL_S)


async def round_once(database: Database, clock: Clock) -> None:
    """Write down what has run out. Each matter is a transaction of its own: one does not hold up the others."""
    now = clock.now()
    async with database.transaction() as conn:
        expired = await commands.expire(conn, at=now)
    for kind in expired:
        metrics.COMMANDS.inc(kind, "expired")
    async with database.transaction() as conn:
        for region in await regions.listing(conn):
            await orders.fail_overdue(conn, region_id=region["region_id"], at=now)
    async with database.transaction() as conn:
        for run_id in await planning.withdraw_stale(conn, at=now):
            _LOG.warning("proposal withdrawn: it is out of date", run=run_id)
    async with database.transaction() as conn:
        await drop_weight.weigh_releases(conn, at=now)
    async with database.transaction() as conn:
        await incidents.keep_up(conn)
    async with database.transaction() as conn:
        await users.forget_expired(conn)


async def _run_keeping(database: Database, clock: Clock, limits: Limits) -> None:
    while True:
        try:
            kept = await keep_telemetry(database, clock, limits)
        except psycopg.Error as error:
            # A day that writers hold, or a database that is away: what is past its time waits for the next round.
            _LOG.warning("telemetry is not kept in this round", error=str(error).strip())
        else:
            if done := {name: value for name, value in asdict(kept).items() if value}:
                _LOG.info("telemetry kept", **done)
        await asyncio.sleep(KEEPING_INTERVAL_S)


async def keep_telemetry(database: Database, clock: Clock, limits: Limits) -> Kept:
    """Bring rollups up to date and drop telemetry that is past its time, on a connection of its own.

    The pool's would not do: rollups cannot be computed in a transaction, and a day of them takes longer than any
    other statement may. The lock that drops a day is waited for briefly, since writers wait behind it.
    """
    connection = await AsyncConnection.connect(
        database.dsn,
        autocommit=True,
        connect_timeout=10,
        application_name="todoke keeping",
        options="-c timezone=UTC -c statement_timeout=3600000 -c lock_timeout=2000 -c jit=off",
    )
    async with connection:
        return await keep_house(connection, clock.now(), limits)
