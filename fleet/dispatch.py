"""Dispatch: carries the missions and commands of one vehicle, by reading what it does and writing it down."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from fleet import clearance, commands, deliveries, delivery_evidence, diverted, launch, leases, missions, regions
from fleet.command_runner import CommandRunner
from fleet.db.database import DATABASE_ERRORS as DATABASE_ERRORS
from fleet.db.database import Database
from fleet.deliveries import Told
from fleet.drop_gate import DropGate
from fleet.errors import Conflict
from fleet.execution import mission_from_json
from fleet.leases import Lease, LeaseLost
from hardware.errors import HardwareError, MissionRejected, NotSupported, Refused
from hardware.link import Activity, Release, VehicleLink, VehicleState
from hardware.mission import Mission, Step, StepKind
from routing.geo import Position, distance_m
from telemetry.clock import Clock

_LOG = structlog.get_logger()

POLL_S = 0.5
"""Wall seconds after which a runner looks again although nothing has told it to."""
TROUBLED_S = 5.0
"""Wall seconds between two looks at how the last mission ended: parcels are unloaded without word of it here."""
SETTLE_S = 3.0
"""Wall seconds within which a vehicle that was told to start shows it, when nobody knows whether it heard."""
LOST_MISSION_S = 15.0
LOST_MISSION_WALL_S = 2.0
"""Domain and wall seconds for which a vehicle may stand idle in the middle of a mission: both must pass, since a
fast clock leaves no time to hear from it."""
HOLD_ENDS_IN = "return"
"""What a hold ends in when no energy is left for it, and said so to whoever holds."""
END_HOLD_EVERY_S = 30.0
"""Domain seconds after which it is told again, if it has not gone."""
RULE = "rule: energy for holding"
"""Who gives a command that no person gave."""
DIVERT_WALL_S = 5.0
"""Wall seconds that a drone has at least to obey when it is diverted again."""
CAUSE_S = 30.0
"""Domain seconds in which a command is taken for the cause of what the vehicle does."""

_STATE_OF = {
    Activity.TAKEOFF: "underway",
    Activity.MISSION: "underway",
    Activity.HOLD: "held",
    Activity.RETURN: "returning",
    Activity.LAND: "returning",
}


@dataclass(frozen=True, slots=True)
class _Seen:
    """When a release was first heard of, and where and how fast the vehicle was; None when it had happened unseen."""

    at: datetime
    position: Position | None
    speed_mps: float | None = None


class VehicleRunner:
    """Runs one vehicle for as long as the lease is ours.

    The vehicle is the truth about what it is doing and the database about what it should; nothing is kept
    only here, so that a runner may die at any moment and another one carries on.
    """

    def __init__(
        self,
        *,
        vehicle: dict[str, Any],
        link: VehicleLink,
        lease: Lease,
        database: Database,
        clock: Clock,
        poll_s: float = POLL_S,
    ) -> None:
        """``poll_s``: wall seconds after which the database is asked without word of news."""
        self.vehicle = vehicle
        self.link = link
        self.lease = lease
        self.mission: dict[str, Any] | None = None
        self._database = database
        self._clock = clock
        self._poll_s = poll_s
        self._commands = CommandRunner(link=link, lease=lease, database=database, clock=clock, poll_s=poll_s)
        self._gate = DropGate(link=link, lease=lease, database=database, clock=clock)
        self._steps: Mission | None = None
        self._recognised = False
        self._not_begun = ""
        self._settled_at_s = 0.0
        self._seen: dict[int, _Seen] = {}
        self._recorded: set[int] = set()
        self._idle_since: tuple[datetime, float] | None = None
        self._diverts_at: datetime | None = None
        self._blocking: list[str] = []
        self._told = True
        self._look_at_s = 0.0
        self.hold_left_s: float | None = None
        """Seconds of energy for a hold, as the gateway reckons them; ``None`` while it holds not, or nobody knows."""
        self._troubled: dict[str, Any] | None = None
        self._troubled_at_s = 0.0
        self._wake = asyncio.Event()
        self._log = _LOG.bind(vehicle=vehicle["vehicle_id"])

    @property
    def vehicle_id(self) -> str:
        """The vehicle's id."""
        return str(self.vehicle["vehicle_id"])

    @property
    def concern(self) -> dict[str, Any] | None:
        """The mission that the vehicle is on; without one, how its last one ended (``missions.troubled``)."""
        return self.mission if self.mission is not None else self._troubled

    @property
    def asked(self) -> tuple[str, datetime] | None:
        """The newest command that a person gave for the mission, and when it was sent."""
        return None if self.mission is None else self._commands.asked(self.mission["mission_id"])

    @property
    def diverted(self) -> bool:
        """Whether the vehicle is on its way to another landing than its mission's."""
        return self.mission is not None and self._commands.diverted(self.mission["mission_id"])

    def wake(self) -> None:
        """Look at the database again now: something has changed there."""
        self._told = True
        self._wake.set()
        self._commands.wake()
        self._gate.wake()

    async def run(self) -> None:
        """Run until cancelled or until the lease has gone to another gateway."""
        await self.link.open()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._run_missions())
                tasks.create_task(self._commands.run())
                tasks.create_task(self._watch_link())
        except* LeaseLost:
            self._log.warning("vehicle left to another gateway", epoch=self.lease.epoch)
        finally:
            await self.link.close()

    async def _watch_link(self) -> None:
        async for state in self.link.changes():
            self._note_releases(state)
            self._wake.set()

    def _note_releases(self, state: VehicleState, *, seen_happen: bool = True) -> None:
        """Keep when and where a release was heard of: by the time it is written the vehicle may be elsewhere."""
        if self.mission is None or not self._recognised or state.progress.mission_id != self.mission["mission_id"]:
            return
        for release in state.progress.releases:
            seen = seen_happen and release.evidence == "sensor"
            place = (state.position, state.speed_mps) if seen else (None, None)
            self._seen.setdefault(release.step, _Seen(self._clock.now(), *place))

    async def _run_missions(self) -> None:
        while True:
            try:
                await self._advance()
            except DATABASE_ERRORS as error:
                self._log.warning("database is away; trying again", error=str(error).strip())
            except HardwareError as error:
                self._log.info("waiting for the vehicle", error=str(error))
            except LeaseLost:
                raise
            except Conflict as error:
                # Somebody else has moved the row: read everything anew.
                self._log.warning("reading the mission anew", error=str(error))
                self._forget()
            # Not wait_for, which in Python 3.11 swallows a cancellation that meets the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            self._wake.clear()

    async def _advance(self) -> None:
        """Take the one next step that the database and the vehicle call for."""
        if self.mission is None or self.mission["state"] == "accepted":
            await self._look()
        row = self.mission
        if row is None or not self.lease.held():
            return
        state = self.link.state()
        if row["state"] == "accepted":
            if self._may_start(row, state):
                await self._start(row)
        elif not self._recognised:
            await self._reattach(row)
        elif row["state"] == "starting":
            await self._settle(row)
        else:
            await self._follow(row, state)

    async def _look(self) -> None:
        """Find the mission that this vehicle is on, or should begin, when there is news or none for long.

        A vehicle says something many times a second; the database is not asked as often.
        """
        if not self._told and time.monotonic() < self._look_at_s:
            return
        told, self._told = self._told, False
        async with self._database.transaction() as conn:
            row = await missions.active(conn, self.vehicle_id)
            row = row or await missions.next_accepted(conn, self.vehicle_id)
            if row is None and (told or time.monotonic() >= self._troubled_at_s):
                self._troubled = await missions.troubled(conn, self.vehicle_id)
                self._troubled_at_s = time.monotonic() + TROUBLED_S
        self._look_at_s = time.monotonic() + self._poll_s
        if row is None:
            self.mission = None
        elif self.mission is None or any(row[key] != self.mission[key] for key in ("mission_id", "state")):
            self._adopt(row)

    def _adopt(self, row: dict[str, Any]) -> None:
        self.mission = row
        self._steps = mission_from_json(row["trip"]["mission"])
        self._recognised = False
        self._not_begun = "the service restarted before the vehicle had begun"
        self._settled_at_s = time.monotonic() + SETTLE_S
        self._seen = {}
        self._recorded = set()
        self._idle_since = None
        self._blocking = []
        self.link.expect(self._steps)

    def _forget(self) -> None:
        self.mission = None
        self._told = True

    def _may_start(self, row: dict[str, Any], state: VehicleState) -> bool:
        on_time = self._clock.now() >= row["planned_depart"]
        return on_time and state.connected and state.ready and state.on_ground

    async def _start(self, row: dict[str, Any]) -> None:
        """Upload and start; a refusal gives the mission back to the pilot with the vehicle's reason."""
        mission = self._steps
        if mission is None:
            return
        if not await self._cleared(row):
            return
        try:
            await self.link.upload(mission)
            await self.link.start()
        except HardwareError as error:
            self._not_begun = str(error) or type(error).__name__
            self._log.warning("start failed", mission=row["mission_id"], error=self._not_begun)
            self._recognised = True
            said_no = isinstance(error, Refused | MissionRejected | NotSupported)
            self._settled_at_s = time.monotonic() + (0.0 if said_no else SETTLE_S)
            await self._settle(row)
            return
        self._recognised = True
        await self._begin(row, "the vehicle has begun")

    async def _cleared(self, row: dict[str, Any]) -> bool:
        """Take the mission to ``starting`` if nothing is in its way; launches are decided one by one."""
        async with leases.fenced(self._database, self.lease) as conn:
            await clearance.one_launch_at_a_time(conn, row["region_id"])
            at = self._clock.now()
            region = await regions.load(conn, row["region_id"])
            blocking = []
            if self.vehicle["kind"] == "drone":
                in_the_way = await clearance.in_the_way(conn, row, region, at=at, speed=self._clock.speed)
                blocking = [f"mission {mission_id} is in its way" for mission_id in in_the_way]
            blocking += [item.words for item in await launch.obstacles(conn, row, region, at=at)]
            if not blocking:
                await missions.move(conn, row["mission_id"], "starting", at=at, cause="upload and start")
            elif blocking != self._blocking:
                await missions.wait_for(conn, row["mission_id"], "waits: " + "; ".join(blocking))
        if blocking != self._blocking:
            self._blocking = blocking
            self._log.info("launch waits", mission=row["mission_id"], why=blocking)
        if not blocking:
            row["state"] = "starting"
        return not blocking

    async def _settle(self, row: dict[str, Any]) -> None:
        """Say whether the vehicle has begun, by nothing but what it does: an error on the way proves neither.

        While it is not heard, or is armed and stands, or may just have been told, the mission is still starting.
        """
        state = self.link.state()
        if not state.connected:
            return
        if self._has_begun(row, state):
            await self._begin(row, f"the vehicle has begun, after: {self._not_begun}")
        elif not state.armed and state.on_ground and time.monotonic() >= self._settled_at_s:
            await self._give_back(row)

    async def _give_back(self, row: dict[str, Any]) -> None:
        """A mission that has not begun goes back to the pilot, or fails when that has not helped."""
        why = self._not_begun
        async with leases.fenced(self._database, self.lease) as conn:
            attempts = await missions.start_attempts(conn, row["mission_id"])
            end = "failed" if attempts >= missions.MAX_START_ATTEMPTS else "loaded"
            cause, at = f"not started: {why}", self._clock.now()
            await missions.move(conn, row["mission_id"], end, at=at, cause=cause, reason=why)
        self._forget()

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
        self._note_releases(state, seen_happen=False)
        if row["state"] == "starting" and self._has_begun(row, state):
            await self._begin(row, "found under way after a restart")

    async def _begin(self, row: dict[str, Any], cause: str) -> None:
        async with leases.fenced(self._database, self.lease) as conn:
            await missions.begin(conn, row["mission_id"], at=self._clock.now(), cause=cause)
        row["state"] = "underway"

    async def _follow(self, row: dict[str, Any], state: VehicleState) -> None:
        """Write down what the vehicle has done since the last look."""
        await self._record_releases(row, state)
        if not state.connected:
            return
        await self._gate.look(row, state)
        if state.progress.mission_id == row["mission_id"] and state.progress.step != row["step"]:
            async with leases.fenced(self._database, self.lease) as conn:
                await missions.set_step(conn, row["mission_id"], state.progress.step)
                await self._gate.note_step(conn, row, state.progress.step)
            row["step"] = state.progress.step
        if await self._ended(row, state):
            return
        if state.activity is Activity.HOLD and self._commands.ready:
            before = self._commands.unattended(row["mission_id"])
            if before is not None and not state.on_ground:
                await self._divert_again(before)
            elif self.hold_left_s == 0.0 and not self.diverted:
                await self._end_hold(row)
        shown = _STATE_OF.get(state.activity)
        if shown is not None and shown != row["state"]:
            await self._move(row, shown, cause=await self._cause(state))

    async def _divert_again(self, before: dict[str, Any]) -> None:
        """See a diversion through that another runner has begun: it would hover over its landing until it is empty.

        Where it cannot go there any more, it goes to the nearest site in reach.
        """
        at, speed = self._clock.now(), self._clock.speed
        if self._diverts_at is not None and at < self._diverts_at:
            return
        elsewhere = self._diverts_at is not None
        self._diverts_at = at + timedelta(seconds=max(END_HOLD_EVERY_S, DIVERT_WALL_S * speed))
        key = f"diversion/{self.lease.epoch}/{at.timestamp():.3f}"
        async with leases.fenced(self._database, self.lease) as conn:
            told = await diverted.tell_again(conn, before, key=key, elsewhere=elsewhere, at=at, speed=speed)
        if not told:
            self._commands.leave()
        self._log.warning("diversion goes on", mission=before["mission_id"], to=before["sent_to"], told=told)

    async def _end_hold(self, row: dict[str, Any]) -> None:
        """Have a drone that has no energy left to hold come home, and again while it goes on holding.

        It goes even if others are in its way, since it cannot stay; who they are is told after it has been sent. While
        the database is away the lease runs out, and the vehicle comes home by its own lost-link action.
        """
        async with leases.fenced(self._database, self.lease) as conn:
            at, speed = self._clock.now(), self._clock.speed
            key = f"end-hold/{row['mission_id']}/{at.timestamp() // END_HOLD_EVERY_S:.0f}"
            given = await commands.issue(
                conn, vehicle_id=self.vehicle_id, kind=HOLD_ENDS_IN, key=key, issuer=RULE, at=at, speed=speed
            )
            if given["state"] != "proposed":
                return
            await commands.confirm(conn, given["command_id"], actor=RULE, at=at, speed=speed)
        self._log.warning("no energy left to hold", mission=row["mission_id"], action=HOLD_ENDS_IN)
        # This waits for a launch that is being decided on.
        async with self._database.transaction() as conn:
            region = await regions.load(conn, row["region_id"])
            near = await clearance.in_the_way(conn, row, region, at=at)
        if near:
            self._log.warning("others are near its way home", mission=row["mission_id"], near=near)

    async def _record_releases(self, row: dict[str, Any], state: VehicleState) -> None:
        if self._steps is None or state.progress.mission_id != row["mission_id"]:
            return
        self._note_releases(state)
        for release in state.progress.releases:
            if release.step not in self._recorded:
                await self._record_release(row, release, self._steps.steps[release.step])
                self._recorded.add(release.step)

    async def _record_release(self, row: dict[str, Any], release: Release, step: Step) -> None:
        sites = {tuple(stop["order_ids"]): stop["to_site"] for stop in row["trip"]["stops"]}
        seen = self._seen[release.step]
        async with leases.fenced(self._database, self.lease) as conn:
            delivered = await deliveries.deliver(
                conn,
                row["mission_id"],
                vehicle_id=self.vehicle_id,
                step=release.step,
                to_site=sites[step.order_ids],
                at=seen.at,
                told=Told(release.evidence, release.detail),
                position=seen.position or step.position,
                elsewhere=delivery_evidence.elsewhere(step, seen.position, seen.speed_mps),
            )
        self._log.info("delivered", mission=row["mission_id"], orders=delivered, by=release.evidence)

    async def _ended(self, row: dict[str, Any], state: VehicleState) -> bool:
        why_not = self._ending(row, state)
        if why_not is None:
            return False
        async with leases.fenced(self._database, self.lease) as conn:
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
        self._forget()
        return True

    def _ending(self, row: dict[str, Any], state: VehicleState) -> str | None:
        """Return None while the mission goes on, "" when the vehicle is home, else what is wrong."""
        if state.progress.mission_id == row["mission_id"] and state.progress.finished:
            return ""
        if not self._stands_idle(state):
            self._idle_since = None
            return None
        now, now_s = self._clock.now(), time.monotonic()
        self._idle_since = self._idle_since or (now, now_s)
        since, since_s = self._idle_since
        if now - since < timedelta(seconds=LOST_MISSION_S) or now_s - since_s < LOST_MISSION_WALL_S:
            return None
        if self._at_home(state):
            return ""
        place = f"{state.position.lat:.6f}, {state.position.lon:.6f}" if state.position else "unknown"
        return f"the vehicle stands idle at {place} and does not carry the mission on"

    def _stands_idle(self, state: VehicleState) -> bool:
        """Whether the vehicle does nothing at all: it will not go on with its mission by itself."""
        if self.vehicle["kind"] == "drone":
            return state.on_ground and not state.armed and state.activity in {Activity.IDLE, Activity.HOLD}
        return state.activity is Activity.IDLE

    def _has_begun(self, row: dict[str, Any], state: VehicleState) -> bool:
        """Whether the vehicle's own state shows that it is on, or was on, this mission."""
        progress = state.progress
        if progress.mission_id != row["mission_id"]:
            return False
        if progress.finished or progress.releases:
            return True
        if self.vehicle["kind"] == "drone":
            moving = {Activity.MISSION, Activity.TAKEOFF, Activity.RETURN, Activity.LAND}
            return state.activity in moving or not state.on_ground
        # A robot has its mission's order only once it has been started.
        return state.activity not in {Activity.IDLE, Activity.UNKNOWN}

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

    async def _move(self, row: dict[str, Any], to_state: str, *, cause: str, reason: str | None = None) -> None:
        async with leases.fenced(self._database, self.lease) as conn:
            await missions.move(conn, row["mission_id"], to_state, at=self._clock.now(), cause=cause, reason=reason)
        row["state"] = to_state
