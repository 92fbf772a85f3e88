"""Carries the commands of one vehicle: each is sent once, by whoever holds the lease, and gets an outcome."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Any

import structlog

from fleet import commands, leases, metrics
from fleet.command_kinds import KINDS, MOVES, STOPS
from fleet.command_sending import Sending
from fleet.conditions import DIVERSIONS
from fleet.db.database import DATABASE_ERRORS, Database
from fleet.leases import Lease
from hardware.errors import HardwareError
from hardware.link import VehicleLink
from telemetry.clock import Clock

_LOG = structlog.get_logger()

POLL_S = 0.5
"""Wall seconds after which a runner looks again although nothing has told it to."""
MOST = {"emergency_stop": 2, "hold": 2, "others": 3}
"""Commands that wait for their vehicle at once. What goes on must never keep a hold waiting, and no hold an emergency
stop, so that each has places of its own; at the bound a command stays in the database until a place is free or its
time is over."""


class CommandRunner:
    """Sends the commands of one vehicle for as long as the lease is ours."""

    def __init__(
        self, *, link: VehicleLink, lease: Lease, database: Database, clock: Clock, poll_s: float = POLL_S
    ) -> None:
        """``poll_s``: wall seconds after which it looks again; more where ``wake`` surely tells it of each command."""
        self._poll_s = poll_s
        self._link = link
        self._lease = lease
        self._database = database
        self._clock = clock
        self._sending = Sending(lease.vehicle_id, link, database, clock)
        self._wake = asyncio.Event()
        self._running = dict.fromkeys(MOST, 0)
        self._last: dict[str, Any] | None = None
        # Of those that change where it goes: the newest that it has obeyed, and those after it that are being sent.
        self._moves: list[dict[str, Any]] = []
        self._inherited: dict[str, Any] | None = None
        self.ready = False
        """Whether it is known what runners before this one have sent."""
        # Stops that were claimed so far: what is still being prepared when one comes is not sent after it.
        self._stops = 0
        self._log = _LOG.bind(vehicle=lease.vehicle_id)

    def asked(self, mission_id: str) -> tuple[str, datetime] | None:
        """Return the newest command that was sent for a mission, and when."""
        if self._last is None or self._last["mission_id"] != mission_id:
            return None
        return self._last["kind"], self._last["sent_at"]

    def diverted(self, mission_id: str) -> bool:
        """Whether a mission's vehicle is on its way to another landing, or is being sent there."""
        return bool(self._moves) and _diverts(self._moves[-1], mission_id)

    def unattended(self, mission_id: str) -> dict[str, Any] | None:
        """Return the command that has diverted a mission's vehicle while another runner had it; ``None`` if none has.

        Whoever sends a diversion sees the vehicle land; the runner that did is gone.
        """
        before = self._moves[-1] if self._moves else None
        return before if before is not None and before is self._inherited and _diverts(before, mission_id) else None

    def leave(self) -> None:
        """Count a diversion that was taken over no longer: a person has said otherwise."""
        self._moves = [move for move in self._moves if move is not self._inherited]

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
                        async with asyncio.timeout(self._poll_s):
                            await self._wake.wait()
                    self._wake.clear()
                else:
                    lane = _lane(command["kind"])
                    self._running[lane] += 1
                    self._stops += command["kind"] in STOPS
                    group.create_task(self._execute(command, lane, self._stops))

    async def _abandon(self) -> None:
        """What a runner before this one has sent and knows no outcome of has failed; it is never sent again."""
        while True:
            try:
                vehicle_id, now = self._lease.vehicle_id, self._clock.now()
                async with leases.fenced(self._database, self._lease) as conn:
                    since = now - commands.REMEMBERED
                    self._last = await commands.latest(conn, vehicle_id=vehicle_id, since=since)
                    move = await commands.newest_move(conn, vehicle_id=vehicle_id, since=since)
                    await commands.abandon(conn, vehicle_id=vehicle_id, at=now)
                # Of one that has no outcome nobody knows whether it was obeyed.
                self._inherited = move if move is not None and move["state"] == "done" else None
                self._moves = [self._inherited] if self._inherited is not None else []
                self.ready = True
                return
            except DATABASE_ERRORS as error:
                self._log.warning("database is away; trying again", error=str(error).strip())
                await asyncio.sleep(POLL_S)

    async def _claim(self) -> dict[str, Any] | None:
        free = [lane for lane, most in MOST.items() if self._running[lane] < most]
        # What goes on is never sent before a stop that was given earlier and still waits for a place.
        kinds = list(KINDS) if len(free) == len(MOST) else [lane for lane in free if lane in STOPS]
        if not kinds or not self._lease.held():
            return None
        async with leases.fenced(self._database, self._lease) as conn:
            return await commands.claim(
                conn,
                vehicle_id=self._lease.vehicle_id,
                epoch=self._lease.epoch,
                at=self._clock.now(),
                kinds=kinds,
            )

    async def _execute(self, command: dict[str, Any], lane: str, stops: int) -> None:
        # Counts as asked for even if it fails: a vehicle may obey late.
        self._last = command
        if command["kind"] in MOVES:
            self._moves.append(command)
        try:
            told = await self._sending.send(command, overtaken=lambda: self._stops > stops)
            state, outcome = "done", f"{told}the vehicle shows: {self._link.state().activity.value}"
        except HardwareError as error:
            state, outcome = "failed", str(error) or type(error).__name__
        except DATABASE_ERRORS as error:
            self._log.warning("command not sent", kind=command["kind"], error=str(error).strip())
            state, outcome = "failed", "the database was away, so that nothing was sent; give it again"
        except Exception as error:
            # One command that goes wrong must not silence the vehicle's link.
            self._log.exception("command failed", kind=command["kind"])
            state, outcome = "failed", f"internal error ({type(error).__name__}); read the vehicle's state"
        finally:
            self._running[lane] -= 1
            self._wake.set()
        self._note_move(command, obeyed=state == "done")
        self._log.info("command", kind=command["kind"], issuer=command["issuer"], state=state, outcome=outcome)
        metrics.COMMANDS.inc(command["kind"], state)
        await self._finish(command["command_id"], state, outcome)

    def _note_move(self, command: dict[str, Any], *, obeyed: bool) -> None:
        if command in self._moves:
            place = self._moves.index(command)
            del self._moves[0 if obeyed else place : place if obeyed else place + 1]

    async def _finish(self, command_id: str, state: str, outcome: str) -> None:
        while True:
            try:
                async with self._database.transaction() as conn:
                    await commands.finish(conn, command_id, state=state, outcome=outcome, at=self._clock.now())
                return
            except DATABASE_ERRORS:
                await asyncio.sleep(POLL_S)


def _lane(kind: str) -> str:
    return kind if kind in STOPS else "others"


def _diverts(move: dict[str, Any], mission_id: str) -> bool:
    return move["kind"] in DIVERSIONS and move["mission_id"] == mission_id
