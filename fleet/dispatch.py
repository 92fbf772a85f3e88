"""Dispatch: carries the missions and commands of one vehicle, by reading what it does and writing it down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import psycopg
import psycopg_pool
import structlog

from fleet import commands, leases, missions
from fleet.db.database import Connection, Database
from fleet.errors import Conflict
from fleet.execution import mission_from_json
from fleet.leases import Lease
from hardware.errors import HardwareError, LinkDown, NotOurs
from hardware.link import Activity, VehicleLink, VehicleState
from hardware.mission import Mission, StepKind
from routing.geo import distance_m
from telemetry.clock import Clock

_LOG = structlog.get_logger()

DATABASE_ERRORS = (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout)
"""The database is away or restarting; what was to be written is tried again from the vehicle's state."""

POLL_S = 0.5
"""Wall seconds after which a runner looks again although nothing has told it to."""
LOST_MISSION_S = 15.0
"""Domain seconds for which a vehicle may be idle without the mission that it should carry."""
CAUSE_S = 30.0
"""Domain seconds in which a command is taken for the cause of what the vehicle does."""
MAX_COMMANDS_AT_ONCE = 4

_STATE_OF = {
    Activity.TAKEOFF: "underway",
    Activity.MISSION: "underway",
    Activity.HOLD: "held",
    Activity.RETURN: "returning",
    Activity.LAND: "returning",
}


class VehicleRunner:
    """Runs one vehicle for as long as the lease is ours.

    The vehicle is the truth about what it is doing and the database about what it should; nothing is kept
    only here, so that a runner may die at any moment and another one carries on.
    """

    def __init__(
        self, *, vehicle: dict[str, Any], link: VehicleLink, lease: Lease, database: Database, clock: Clock
    ) -> None:
        self.vehicle = vehicle
        self.link = link
        self.lease = lease
        self.mission: dict[str, Any] | None = None
        self._database = database
        self._clock = clock
        self._steps: Mission | None = None
        self._recognised = False
        self._recorded: set[int] = set()
        self._lost_since: datetime | None = None
        self._wake = asyncio.Event()
        self._command_wake = asyncio.Event()
        self._log = _LOG.bind(vehicle=vehicle["vehicle_id"])

    @property
    def vehicle_id(self) -> str:
        """The vehicle's id."""
        return str(self.vehicle["vehicle_id"])

    def wake(self) -> None:
        """Look at the database again now: something has changed there."""
        self._wake.set()
        self._command_wake.set()

    async def run(self) -> None:
        """Run until cancelled or until the lease has gone to another gateway."""
        await self.link.open()
        try:
            await self._forget_old_commands()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._run_missions())
                tasks.create_task(self._run_commands())
                tasks.create_task(self._watch_link())
        finally:
            await self.link.close()

    async def _watch_link(self) -> None:
        async for _ in self.link.changes():
            self._wake.set()

    async def _wait(self, event: asyncio.Event) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), POLL_S)
        event.clear()

    # -- missions ----------------------------------------------------------------------------------

    async def _run_missions(self) -> None:
        while True:
            try:
                await self._advance()
            except DATABASE_ERRORS as error:
                self._log.warning("database is away; trying again", error=str(error).strip())
            except (LinkDown, NotOurs) as error:
                self._log.info("waiting for the link", error=str(error))
            except Conflict as error:
                # Somebody else has moved the row, or the lease has gone: read everything anew.
                self._log.warning("reading the mission anew", error=str(error))
                self.mission = None
            await self._wait(self._wake)

    async def _advance(self) -> None:
        """Take the one next step that the database and the vehicle call for."""
        if self.mission is None:
            await self._adopt()
        row = self.mission
        if row is None or not self.lease.held():
            return
        state = self.link.state()
        if row["state"] == "accepted":
            if self._may_start(row, state):
                await self._start(row)
        elif not self._recognised:
            await self._reattach(row)
        else:
            await self._follow(row, state)

    async def _adopt(self) -> None:
        """Find the mission that this vehicle is on, or should begin."""
        async with self._database.transaction() as conn:
            row = await missions.active(conn, self.vehicle_id)
            row = row or await missions.next_accepted(conn, self.vehicle_id)
        if row is None:
            return
        self.mission = row
        self._steps = mission_from_json(row["trip"]["mission"])
        self._recognised = False
        self._recorded = set()
        self._lost_since = None
        self.link.expect(self._steps)

    def _may_start(self, row: dict[str, Any], state: VehicleState) -> bool:
        on_time = self._clock.now() >= row["planned_depart"]
        return on_time and state.connected and state.ready and state.on_ground

    async def _start(self, row: dict[str, Any]) -> None:
        """Upload and start; a refusal gives the mission back to the pilot with the vehicle's reason."""
        mission = self._steps
        if mission is None:
            return
        await self._refresh(row)
        if row["state"] != "accepted":
            self.mission = None
            return
        await self._move(row, "starting", cause="upload and start")
        try:
            await self.link.upload(mission)
            await self.link.start()
        except HardwareError as error:
            self._log.warning("start failed", mission=row["mission_id"], error=str(error))
            await self._settle_start(row, str(error) or type(error).__name__)
            return
        self._recognised = True
        await self._begin(row, "the vehicle has begun")

    async def _settle_start(self, row: dict[str, Any], why: str) -> None:
        """After a failed start: what counts is whether the vehicle has begun all the same."""
        state = self.link.state()
        if _has_begun(state, row["mission_id"]):
            self._recognised = True
            await self._begin(row, f"the vehicle has begun although: {why}")
            return
        async with self._database.transaction() as conn:
            attempts = await missions.start_attempts(conn, row["mission_id"])
        end = "failed" if attempts >= missions.MAX_START_ATTEMPTS else "loaded"
        await self._move(row, end, cause=f"start refused: {why}", reason=why)
        self.mission = None

    async def _reattach(self, row: dict[str, Any]) -> None:
        """After a restart or a takeover: read what the vehicle is doing and reconcile the row with it."""
        if not self.link.state().connected:
            return
        ours = await self.link.recognise()
        state = self.link.state()
        self._log.info(
            "re-attached",
            mission=row["mission_id"],
            row=row["state"],
            ours=ours,
            activity=state.activity.value,
            step=state.progress.step,
            finished=state.progress.finished,
        )
        self._recognised = True
        if row["state"] == "starting":
            if ours and _has_begun(state, row["mission_id"]):
                await self._begin(row, "found under way after a restart")
            elif not state.armed and state.on_ground:
                why = "the service restarted before the vehicle had begun"
                await self._move(row, "loaded", cause=why, reason=why)
                self.mission = None
            else:
                self._recognised = False

    async def _begin(self, row: dict[str, Any], cause: str) -> None:
        async with self._fenced() as conn:
            await missions.begin(conn, row["mission_id"], at=self._clock.now(), cause=cause)
        row["state"] = "underway"

    async def _follow(self, row: dict[str, Any], state: VehicleState) -> None:
        """Write down what the vehicle has done since the last look."""
        await self._record_releases(row, state)
        if not state.connected:
            return
        if state.progress.mission_id == row["mission_id"] and state.progress.step != row["step"]:
            async with self._database.transaction() as conn:
                await missions.set_step(conn, row["mission_id"], state.progress.step)
            row["step"] = state.progress.step
        if await self._ended(row, state):
            return
        shown = _STATE_OF.get(state.activity)
        if shown is not None and shown != row["state"]:
            await self._move(row, shown, cause=await self._cause(state))

    async def _record_releases(self, row: dict[str, Any], state: VehicleState) -> None:
        if self._steps is None or state.progress.mission_id != row["mission_id"]:
            return
        sites = {tuple(stop["order_ids"]): stop["to_site"] for stop in row["trip"]["stops"]}
        for release in state.progress.releases:
            if release.step in self._recorded:
                continue
            step = self._steps.steps[release.step]
            async with self._fenced() as conn:
                delivered = await missions.deliver(
                    conn,
                    row["mission_id"],
                    vehicle_id=self.vehicle_id,
                    step=release.step,
                    to_site=sites[step.order_ids],
                    at=self._clock.now(),
                    evidence=release.evidence,
                    detail=release.detail,
                    position=state.position if release.evidence == "sensor" else step.position,
                )
            self._recorded.add(release.step)
            self._log.info("delivered", mission=row["mission_id"], orders=delivered, by=release.evidence)

    async def _ended(self, row: dict[str, Any], state: VehicleState) -> bool:
        why_not = self._ending(row, state)
        if why_not is None:
            return False
        async with self._fenced() as conn:
            left = [o["order_id"] for o in await missions.carried(conn, row["mission_id"]) if o["open"]]
            if why_not:
                end, reason = "failed", why_not
            elif left:
                end, reason = "aborted", f"came back with {len(left)} undelivered"
            else:
                end, reason = "completed", None
            await missions.move(
                conn,
                row["mission_id"],
                end,
                at=self._clock.now(),
                cause=f"{state.activity.value}, {'on the ground' if state.on_ground else 'in the air'}",
                reason=reason,
            )
        self._log.info("mission ended", mission=row["mission_id"], state=end, reason=reason)
        self.mission = None
        return True

    def _ending(self, row: dict[str, Any], state: VehicleState) -> str | None:
        """Return None while the mission goes on, "" when the vehicle is home, else what is wrong."""
        if state.progress.mission_id == row["mission_id"] and state.progress.finished:
            return ""
        idle = state.on_ground and not state.armed and state.activity in {Activity.IDLE, Activity.HOLD}
        drone_down = idle and self.vehicle["kind"] == "drone"
        lost = state.activity is Activity.IDLE and state.progress.mission_id != row["mission_id"]
        if not (drone_down or lost):
            self._lost_since = None
            return None
        now = self._clock.now()
        self._lost_since = self._lost_since or now
        if now - self._lost_since < timedelta(seconds=LOST_MISSION_S):
            return None
        if drone_down and self._at_home(state):
            return ""
        place = f"{state.position.lat:.6f}, {state.position.lon:.6f}" if state.position else "unknown"
        return f"the vehicle stands idle at {place} and does not carry the mission on"

    def _at_home(self, state: VehicleState) -> bool:
        if self._steps is None or state.position is None:
            return False
        ends = [step for step in self._steps.steps if step.kind is StepKind.LAND] or self._steps.steps[-1:]
        return distance_m(state.position, ends[-1].position) < 15.0

    async def _cause(self, state: VehicleState) -> str:
        since = self._clock.now() - timedelta(seconds=CAUSE_S)
        async with self._database.transaction() as conn:
            command = await commands.latest(conn, vehicle_id=self.vehicle_id, since=since)
        if command is not None:
            return f"{command['kind']} by {command['issuer']}"
        faults = f": {state.faults[-1]}" if state.faults else ""
        return f"the vehicle itself ({state.mode or state.activity.value}){faults}"

    # -- commands ----------------------------------------------------------------------------------

    async def _forget_old_commands(self) -> None:
        while True:
            try:
                async with self._fenced() as conn:
                    await commands.abandon(conn, vehicle_id=self.vehicle_id, at=self._clock.now())
                return
            except DATABASE_ERRORS as error:
                self._log.warning("database is away; trying again", error=str(error).strip())
                await asyncio.sleep(POLL_S)

    async def _run_commands(self) -> None:
        slots = asyncio.Semaphore(MAX_COMMANDS_AT_ONCE)
        async with asyncio.TaskGroup() as running:
            while True:
                try:
                    command = await self._claim_command(slots)
                except DATABASE_ERRORS as error:
                    self._log.warning("database is away; trying again", error=str(error).strip())
                    command = None
                if command is None:
                    await self._wait(self._command_wake)
                else:
                    await slots.acquire()
                    running.create_task(self._execute(command, slots))

    async def _claim_command(self, slots: asyncio.Semaphore) -> dict[str, Any] | None:
        if slots.locked() or not self.lease.held():
            return None
        now = self._clock.now()
        async with self._fenced() as conn:
            return await commands.claim(conn, vehicle_id=self.vehicle_id, epoch=self.lease.epoch, at=now)

    async def _execute(self, command: dict[str, Any], slots: asyncio.Semaphore) -> None:
        send = {
            "hold": self.link.hold,
            "resume": self.link.resume,
            "return": self.link.return_home,
            "land": self.link.land,
        }[command["kind"]]
        try:
            await send()
            state, outcome = "done", f"the vehicle shows: {self.link.state().activity.value}"
        except HardwareError as error:
            state, outcome = "failed", str(error) or type(error).__name__
        finally:
            slots.release()
        self._log.info("command", kind=command["kind"], issuer=command["issuer"], state=state, outcome=outcome)
        while True:
            try:
                async with self._database.transaction() as conn:
                    await commands.finish(
                        conn, command["command_id"], state=state, outcome=outcome, at=self._clock.now()
                    )
                return
            except DATABASE_ERRORS:
                await asyncio.sleep(POLL_S)

    # -- database ----------------------------------------------------------------------------------

    @asynccontextmanager
    async def _fenced(self) -> AsyncIterator[Connection]:
        """Yield a transaction that fails when the lease has gone to another gateway."""
        async with self._database.transaction() as conn:
            await leases.fence(conn, self.lease)
            yield conn

    async def _refresh(self, row: dict[str, Any]) -> None:
        async with self._database.transaction() as conn:
            row["state"] = (await missions.get(conn, row["mission_id"]))["state"]

    async def _move(self, row: dict[str, Any], to_state: str, *, cause: str, reason: str | None = None) -> None:
        async with self._fenced() as conn:
            await missions.move(conn, row["mission_id"], to_state, at=self._clock.now(), cause=cause, reason=reason)
        row["state"] = to_state


def _has_begun(state: VehicleState, mission_id: str) -> bool:
    """Whether the vehicle's own state shows that it is on, or was on, this mission."""
    progress = state.progress
    if progress.mission_id != mission_id:
        return False
    moving = {Activity.MISSION, Activity.TAKEOFF, Activity.RETURN, Activity.LAND}
    return progress.finished or bool(progress.releases) or state.activity in moving or not state.on_ground
