"""The gateway process: owns vehicles by lease, speaks to them, publishes what they do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict
from typing import Any

import structlog

from fleet import commands, leases, live, metrics, observing, regions, signing_keys, vehicles
from fleet.alarm_keeper import AlarmKeeper
from fleet.alarms import AlarmBook
from fleet.bus import connect
from fleet.changes import listen
from fleet.contingency_runner import ContingencyRunner
from fleet.db.database import Database
from fleet.dispatch import DATABASE_ERRORS, VehicleRunner
from fleet.errors import FleetError
from fleet.ids import new_id
from fleet.leases import Lease, Listened
from fleet.process_conditions import WriterWatch
from fleet.publisher import TICK_S, Publisher
from fleet.runtime import Runtime
from fleet.watching import Watching
from hardware.errors import HardwareError
from hardware.link import VehicleLink, VehicleState
from hardware.mavlink.address import MavlinkAddress
from hardware.mavlink.link import MavlinkLink
from hardware.mavlink.signing import Signing
from hardware.mqtt import MqttClient
from hardware.profiles import load_profile, profile_data
from hardware.vda5050.link import Vda5050Link
from routing.errors import RoutingError
from telemetry.clock import Clock
from telemetry.intake import Intake
from telemetry.listening import Listening
from telemetry.writer import SampleWriter

_LOG = structlog.get_logger()

MAX_VEHICLES = 30
"""MAVSDK objects that one process bears (``hardware.mavlink``)."""
LEASE_INTERVAL_S = 1.0
ENDING_S = 10.0
"""Wall seconds that a runner has to end, once its vehicle is given up."""
PUBLISH_S = 1.0
"""Wall seconds that the bus has to take a snapshot."""
SWEEP_S = 0.5
POLL_S = 5.0
"""Wall seconds after which a vehicle's runner asks the database without word of news. The database tells of all that
changes, and ``_sweep`` looks for commands: thirty vehicles that each ask twice a second cost more than hearing them."""
EXECUTOR_THREADS = 4 * MAX_VEHICLES
"""MAVSDK's blocking calls hold a thread each until their own time-out."""


async def run(runtime: Runtime, clock: Clock, stop: asyncio.Event) -> None:
    """Run the gateway until ``stop``; its leases are given back at the end."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(EXECUTOR_THREADS, thread_name_prefix="links"))
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(runtime.dsn, max_size=8))
        writer = await stack.enter_async_context(
            SampleWriter(runtime.dsn, spool_dir=runtime.home / "spool", name=runtime.name, clock=clock)
        )
        bus = await stack.enter_async_context(connect(runtime))
        gateway = Gateway(runtime, clock, database=database, writer=writer, bus=bus)
        await gateway.serve(stop)


class Gateway:
    """All vehicles of this process, each with its lease, link and runner."""

    def __init__(
        self, runtime: Runtime, clock: Clock, *, database: Database, writer: SampleWriter, bus: MqttClient
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._database = database
        self._writer = writer
        self._bus = bus
        # The name says which process, the suffix which life of it: our own next life takes over at once.
        self._holder = f"{runtime.name}/{new_id('life')}"
        self._leases: dict[str, Lease] = {}
        self._runners: dict[str, VehicleRunner] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._book = AlarmBook()
        self._alarms = AlarmKeeper(self._book, database, actor=runtime.name, own=[("process", runtime.name)])
        self._writer_watch = WriterWatch()
        self._watching = Watching(database, clock, intake=lambda: self._intake.counts())
        self._contingencies = ContingencyRunner(database, clock, self._watching)
        self._listening = Listening(clock)
        self._intake = Intake(writer, clock, listeners=[self._watching.take, self._listening.take])
        self._publisher = Publisher(runtime.name, clock, send=self._publish, look=self._view, process=self._process)

    async def serve(self, stop: asyncio.Event) -> None:
        """Serve until ``stop``."""
        async with asyncio.TaskGroup() as group:
            work = [
                group.create_task(self._keep_leases(group)),
                group.create_task(self._tick()),
                group.create_task(self._alarms.run()),
                group.create_task(listen(self._runtime.dsn, self._changed, self._vehicle_changed)),
                group.create_task(self._sweep()),
                group.create_task(self._follow_others()),
                group.create_task(self._watching.look_ahead()),
                group.create_task(self._contingencies.run()),
                *(group.create_task(observing.every_second(copy)) for copy in self._metrics()),
            ]
            await stop.wait()
            listened = self._listened()
            for task in [*work, *self._tasks.values(), *self._ending.values()]:
                task.cancel()
        for lease in self._leases.values():
            lease.drop()
        await self._alarms.finish()
        with suppress(*DATABASE_ERRORS):
            async with self._database.transaction() as conn:
                await leases.release_all(conn, holder=self._holder, listened=listened)

    async def _follow_others(self) -> None:
        """Tell the monitors of the vehicles of other gateways."""
        # At the bound, a second of many gateways, the oldest go: what they said is said again within a second.
        async for message in self._bus.subscribe(f"{live.TOPIC_PREFIX}+", limit=1000):
            if message.topic != live.TOPIC_PREFIX + self._runtime.name:
                self._watching.hear(message.payload)

    def _metrics(self) -> list[Callable[[], None]]:
        return [
            observing.follow_bus(self._bus),
            observing.follow_writer(self._writer),
            observing.follow_intake(self._intake),
            observing.follow_alarms(self._book),
            observing.follow_vehicles(self._leases, self._runners),
        ]

    def _changed(self, table: str) -> None:
        if table in {"mission", "command", "drop_confirmation", "ground_check", "*"}:
            for runner in self._runners.values():
                runner.wake()
        if table in {"command", "contingency", "*"}:
            self._contingencies.wake()
        if table in {"emergency_airspace", "manned_aircraft", "mission", "*"}:
            self._watching.news.set()
        if table in {"alarm", "*"}:
            self._alarms.wake()

    def _vehicle_changed(self, table: str, vehicle_id: str) -> None:
        """Look at one vehicle anew, if it is ours: others' changes would have every gateway ask for nothing."""
        runner = self._runners.get(vehicle_id)
        if runner is None:
            return
        runner.wake()
        if table == "command":
            self._contingencies.wake()
        if table == "mission":
            self._watching.news.set()

    async def _sweep(self) -> None:
        """Look for commands of which no word came, in one question for all vehicles: a stop must never wait long."""
        while True:
            await asyncio.sleep(SWEEP_S)
            if not self._runners:
                continue
            try:
                async with self._database.transaction() as conn:
                    found = await commands.waiting(conn, list(self._runners))
            except DATABASE_ERRORS as error:
                _LOG.warning("commands not looked for: the database is away", error=str(error).strip())
                continue
            for runner in (self._runners.get(vehicle_id) for vehicle_id in found):
                if runner is not None:
                    runner.wake()

    async def _keep_leases(self, group: asyncio.TaskGroup) -> None:
        ready = False
        while True:
            try:
                await self._lease_round(group)
                if not ready:
                    self._runtime.ready()
                    ready = True
            except DATABASE_ERRORS as error:
                _LOG.warning("leases not renewed: the database is away", error=str(error).strip())
            await asyncio.sleep(LEASE_INTERVAL_S)

    async def _lease_round(self, group: asyncio.TaskGroup) -> None:
        lost = await leases.renew(self._database, self._leases, holder=self._holder, listened=self._listened())
        for vehicle_id in lost | {v for v, task in self._tasks.items() if task.done()}:
            self._give_up(vehicle_id, group)
        ending = len(self._ending)
        room = max(0, MAX_VEHICLES - len(self._leases) - ending)
        async with self._database.transaction() as conn:
            found = await leases.free_vehicles(conn, holder=self._holder, limit=room + ending) if room else []
            free = [vehicle_id for vehicle_id in found if vehicle_id not in self._ending][:room]
            taken = await leases.acquire(conn, free, holder=self._holder) if free else []
        for lease in taken:
            await self._take(lease, group)
        await self._record_gaps()

    def _listened(self) -> Listened:
        running = (vehicle_id for vehicle_id, task in self._tasks.items() if not task.done())
        return Listened(self._clock.now(), tuple(running))

    async def _record_gaps(self) -> None:
        """Write down when nobody listened, once what an earlier life of this process heard is stored."""
        waiting = self._listening.waiting
        if waiting and not self._writer.health.spool_batches:
            async with self._database.transaction() as conn:
                gaps = await self._listening.record(conn)
            self._listening.recorded(waiting)
            for gap in gaps:
                _LOG.warning("nobody listened", vehicle=gap.vehicle_id, since=str(gap.listened_until))

    def _give_up(self, vehicle_id: str, group: asyncio.TaskGroup) -> None:
        self._leases.pop(vehicle_id).drop()
        self._runners.pop(vehicle_id, None)
        self._book.forget("vehicle", vehicle_id)
        self._watching.forget(vehicle_id)
        self._contingencies.forget(vehicle_id)
        self._intake.forget(vehicle_id)
        self._listening.end(vehicle_id)
        task = self._tasks.pop(vehicle_id, None)
        if task is not None:
            task.cancel()
            # Not here: the leases of all others would run out meanwhile.
            self._ending[vehicle_id] = group.create_task(self._see_end(vehicle_id, task))
        _LOG.warning("vehicle given up", vehicle=vehicle_id)

    async def _see_end(self, vehicle_id: str, task: asyncio.Task[None]) -> None:
        """Wait until a vehicle's runner has let go of its link: before, the vehicle cannot be taken again."""
        try:
            _, pending = await asyncio.wait([task], timeout=ENDING_S)
            if pending:
                _LOG.error("vehicle's runner does not end", vehicle=vehicle_id, seconds=ENDING_S)
        finally:
            del self._ending[vehicle_id]

    async def _take(self, lease: Lease, group: asyncio.TaskGroup) -> None:
        self._leases[lease.vehicle_id] = lease
        try:
            async with self._database.transaction() as conn:
                row = await vehicles.get(conn, lease.vehicle_id)
                region = await regions.load(conn, row["region_id"])
                await self._alarms.adopt(conn, "vehicle", lease.vehicle_id)
            profile = load_profile(row["type_id"])
            await self._watching.watch(lease.vehicle_id, profile, region, home_site=row["home_site"])
            link = self._make_link(row, lease, region)
        except (FleetError, HardwareError, RoutingError) as error:
            # Kept without a runner: another gateway would fail at it too, and the log says why.
            _LOG.error("vehicle cannot be linked", vehicle=lease.vehicle_id, error=str(error))
            self._book.forget("vehicle", lease.vehicle_id)
            return
        except BaseException:
            # It runs out, and whoever reaches the database first takes it anew.
            self._leases.pop(lease.vehicle_id).drop()
            self._book.forget("vehicle", lease.vehicle_id)
            self._watching.forget(lease.vehicle_id)
            raise
        runner = VehicleRunner(
            vehicle=row, link=link, lease=lease, database=self._database, clock=self._clock, poll_s=POLL_S
        )
        self._runners[lease.vehicle_id] = runner
        self._listening.begin(lease.vehicle_id, lease.listened_until)
        self._tasks[lease.vehicle_id] = group.create_task(self._guard(runner))
        _LOG.info("vehicle taken", vehicle=lease.vehicle_id, epoch=lease.epoch)

    async def _guard(self, runner: VehicleRunner) -> None:
        """Run one vehicle; its failure is its own and is tried again with the next lease round."""
        try:
            await runner.run()
        except* Exception as errors:
            for error in errors.exceptions:
                _LOG.error("vehicle's runner failed", vehicle=runner.vehicle_id, error=repr(error), exc_info=error)

    def _make_link(self, row: dict[str, Any], lease: Lease, region: Any) -> VehicleLink:
        profile = load_profile(row["type_id"])
        data = profile_data(row["type_id"])
        address = dict(row["link"])
        if address.pop("protocol") == "mavlink":
            key = address.pop("key", None)
            return MavlinkLink(
                vehicle_id=row["vehicle_id"],
                address=MavlinkAddress(hardware_uid=row["hardware_uid"], **address),
                vehicle_type=profile,
                parameters=data.get("parameters", {}),
                firmware=data.get("firmware"),
                lease=lease,
                clock=self._clock,
                on_sample=self._intake.put,
                on_event=self._intake.put_event,
                home=region.site(row["home_site"]).pads[row["pad"]],
                simulated=row["simulated"],
                allow_real=self._runtime.allow_real,
                signing=None if key is None else Signing(signing_keys.read(self._runtime.home, key)),
            )
        return Vda5050Link(
            vehicle_id=row["vehicle_id"],
            manufacturer=address["manufacturer"],
            serial=address["serial"],
            vehicle_type=profile,
            profile=data["vda5050"],
            origin=region.origin,
            client=self._bus,
            lease=lease,
            clock=self._clock,
            on_sample=self._intake.put,
            on_event=self._intake.put_event,
            simulated=row["simulated"],
            allow_real=self._runtime.allow_real,
            listened_until=lease.listened_until,
        )

    async def _tick(self) -> None:
        """The working loop: what it does not reach, no vehicle hears a heartbeat from."""
        while True:
            with observing.timed(metrics.TICK_DURATION):
                for vehicle_id, runner in self._runners.items():
                    if not self._tasks[vehicle_id].done():
                        runner.link.beat()
                states = ((vehicle_id, runner.link.state()) for vehicle_id, runner in self._runners.items())
                await self._publisher.round(states, time.monotonic())
            await asyncio.sleep(TICK_S)

    async def _publish(self, message: bytes) -> None:
        # A broker that takes nothing must not keep this loop waiting; the connection is then made anew.
        await self._bus.publish(live.TOPIC_PREFIX + self._runtime.name, message, timeout_s=PUBLISH_S)

    def _view(self, vehicle_id: str, state: VehicleState) -> dict[str, Any]:
        runner, now = self._runners[vehicle_id], self._clock.now()
        found = self._watching.look(vehicle_id, state, runner.concern, runner.asked, now)
        found += self._contingencies.see(runner, state, found, now)
        alarms = self._book.take("vehicle", vehicle_id, found, at=now, speed=self._clock.speed)
        # One that was diverted flies in the mode in which it holds, and is not to be called home from there.
        runner.hold_left_s = None if runner.diverted else self._watching.hold_s(vehicle_id, state)
        return live.vehicle_snapshot(
            vehicle_id,
            state,
            runner.mission,
            gateway=self._runtime.name,
            alarms=alarms,
            hold_left_s=runner.hold_left_s,
            predicted=None if state.connected else self._watching.predicted(vehicle_id, now),
        )

    def _process(self) -> dict[str, Any]:
        """How this process is, for those who look."""
        found = self._writer_watch.look(self._writer.health, time.monotonic())
        name, now = self._runtime.name, self._clock.now()
        alarms = self._book.take("process", name, found, at=now, speed=self._clock.speed)
        return {"name": name, "alarms": [asdict(alarm) for alarm in alarms], "writer": asdict(self._writer.health)}
