"""Carries the commands of one vehicle: each is sent once, by whoever holds the lease, and gets an outcome."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import structlog

from fleet import commands, leases, metrics
from fleet.db.database import DATABASE_ERRORS, Database
from fleet.leases import Lease
from hardware.errors import HardwareError
from hardware.link import VehicleLink
from telemetry.clock import Clock

_LOG = structlog.get_logger()

POLL_S = 0.5
"""Wall seconds after which a runner looks again although nothing has told it to."""
REMEMBERED = timedelta(days=1)
"""No mission lasts longer than this, and a command counts for its own mission only."""
MAX_HOLDS = 2
MAX_OTHERS = 3
"""Commands that wait for their vehicle at once. What goes on must never keep a hold waiting, so that holds have
places of their own; at the bound a command stays in the database until a place is free or its time is over."""


class CommandRunner:
    """Sends the commands of one vehicle for as long as the lease is ours."""

    def __init__(self, *, link: VehicleLink, lease: Lease, database: Database, clock: Clock) -> None:
        self._link = link
        self._lease = lease
        self._database = database
        self._clock = clock
        self._wake = asyncio.Event()
        self._running = {"hold": 0, "others": 0}
        self._last: dict[str, Any] | None = None
        self._log = _LOG.bind(vehicle=lease.vehicle_id)

    def asked(self, mission_id: str) -> tuple[str, datetime] | None:
        """Return the newest command that was sent for a mission, and when."""
        if self._last is None or self._last["mission_id"] != mission_id:
            return None
        return self._last["kind"], self._last["sent_at"]

    def wake(self) -> None:
        """Look at the database again now: something has changed there."""
        self._wake.set()

    async def run(self) -> None:
        """Run until cancelled. Raises ``LeaseLost`` when the lease has gone to another gateway."""
        await self._abandon()
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    command = await self._claim()
                except DATABASE_ERRORS as error:
                    self._log.warning("database is away; trying again", error=str(error).strip())
                    command = None
                if command is None:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(POLL_S):
                            await self._wake.wait()
                    self._wake.clear()
                else:
                    lane = "hold" if command["kind"] == "hold" else "others"
                    self._running[lane] += 1
                    group.create_task(self._execute(command, lane))

    async def _abandon(self) -> None:
        """What a runner before this one has sent and knows no outcome of has failed; it is never sent again."""
        while True:
            try:
                vehicle_id, now = self._lease.vehicle_id, self._clock.now()
                async with leases.fenced(self._database, self._lease) as conn:
                    self._last = await commands.latest(conn, vehicle_id=vehicle_id, since=now - REMEMBERED)
                    await commands.abandon(conn, vehicle_id=vehicle_id, at=now)
                return
            except DATABASE_ERRORS as error:
                self._log.warning("database is away; trying again", error=str(error).strip())
                await asyncio.sleep(POLL_S)

    async def _claim(self) -> dict[str, Any] | None:
        if self._running["hold"] >= MAX_HOLDS or not self._lease.held():
            return None
        async with leases.fenced(self._database, self._lease) as conn:
            return await commands.claim(
                conn,
                vehicle_id=self._lease.vehicle_id,
                epoch=self._lease.epoch,
                at=self._clock.now(),
                only_holds=self._running["others"] >= MAX_OTHERS,
            )

    async def _execute(self, command: dict[str, Any], lane: str) -> None:
        send = {
            "hold": self._link.hold,
            "resume": self._link.resume,
            "return": self._link.return_home,
            "land": self._link.land,
        }[command["kind"]]
        # Counts as asked for even if it fails: a vehicle may obey late.
        self._last = command
        try:
            await send()
            state, outcome = "done", f"the vehicle shows: {self._link.state().activity.value}"
        except HardwareError as error:
            state, outcome = "failed", str(error) or type(error).__name__
        except Exception as error:
            # One command that goes wrong must not silence the vehicle's link.
            self._log.exception("command failed", kind=command["kind"])
            state, outcome = "failed", f"internal error ({type(error).__name__}); read the vehicle's state"
        finally:
            self._running[lane] -= 1
            self._wake.set()
        self._log.info("command", kind=command["kind"], issuer=command["issuer"], state=state, outcome=outcome)
        metrics.COMMANDS.inc(command["kind"], state)
        await self._finish(command["command_id"], state, outcome)

    async def _finish(self, command_id: str, state: str, outcome: str) -> None:
        while True:
            try:
                async with self._database.transaction() as conn:
                    await commands.finish(conn, command_id, state=state, outcome=outcome, at=self._clock.now())
                return
            except DATABASE_ERRORS:
                await asyncio.sleep(POLL_S)
