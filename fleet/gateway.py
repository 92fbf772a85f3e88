"""The gateway process: owns vehicles by lease, speaks to them, publishes what they do."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from typing import Any

import structlog

from fleet import leases, live, regions, vehicles
from fleet.alarms import AlarmWatch
from fleet.bus import connect
from fleet.changes import listen
from fleet.db.database import Database
from fleet.dispatch import DATABASE_ERRORS, VehicleRunner
from fleet.errors import FleetError
from fleet.ids import new_id
from fleet.leases import Lease
from fleet.runtime import Runtime
from hardware.errors import HardwareError
from hardware.link import VehicleLink
from hardware.mavlink.address import MavlinkAddress
from hardware.mavlink.link import MavlinkLink
from hardware.mqtt import MqttClient
from hardware.profiles import load_profile, profile_data
from hardware.vda5050.link import Vda5050Link
from routing.errors import RoutingError
from telemetry.clock import Clock
from telemetry.writer import SampleWriter

_LOG = structlog.get_logger()

MAX_VEHICLES = 30
"""MAVSDK objects that one process bears (``hardware.mavlink``)."""
LEASE_INTERVAL_S = 1.0
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
        self._alarms: dict[str, AlarmWatch] = {}

    async def serve(self, stop: asyncio.Event) -> None:
        """Serve until ``stop``."""
        async with asyncio.TaskGroup() as group:
            work = [
                group.create_task(self._keep_leases(group)),
                group.create_task(self._tick()),
                group.create_task(listen(self._runtime.dsn, self._changed)),
            ]
            await stop.wait()
            for task in [*work, *self._tasks.values()]:
                task.cancel()
        for lease in self._leases.values():
            lease.drop()
        with suppress(*DATABASE_ERRORS):
            async with self._database.transaction() as conn:
                await leases.release_all(conn, holder=self._holder)

    def _changed(self, table: str) -> None:
        if table in {"mission", "command", "*"}:
            for runner in self._runners.values():
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
        lost = await leases.renew(self._database, self._leases, holder=self._holder)
        for vehicle_id in lost | {v for v, task in self._tasks.items() if task.done()}:
            await self._give_up(vehicle_id)
        room = MAX_VEHICLES - len(self._leases)
        async with self._database.transaction() as conn:
            free = await leases.free_vehicles(conn, holder=self._holder, limit=room) if room else []
            taken = await leases.acquire(conn, free, holder=self._holder) if free else []
        for lease in taken:
            await self._take(lease, group)

    async def _give_up(self, vehicle_id: str) -> None:
        self._leases.pop(vehicle_id).drop()
        self._runners.pop(vehicle_id, None)
        self._alarms.pop(vehicle_id, None)
        task = self._tasks.pop(vehicle_id, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task], timeout=10.0)
        _LOG.warning("vehicle given up", vehicle=vehicle_id)

    async def _take(self, lease: Lease, group: asyncio.TaskGroup) -> None:
        self._leases[lease.vehicle_id] = lease
        try:
            async with self._database.transaction() as conn:
                row = await vehicles.get(conn, lease.vehicle_id)
                region = await regions.load(conn, row["region_id"])
            link = self._make_link(row, lease, region)
        except (FleetError, HardwareError, RoutingError) as error:
            # Kept without a runner: another gateway would fail at it too, and the log says why.
            _LOG.error("vehicle cannot be linked", vehicle=lease.vehicle_id, error=str(error))
            return
        runner = VehicleRunner(vehicle=row, link=link, lease=lease, database=self._database, clock=self._clock)
        self._runners[lease.vehicle_id] = runner
        self._alarms[lease.vehicle_id] = AlarmWatch(
            load_profile(row["type_id"]), region.site(row["home_site"]).position
        )
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
            return MavlinkLink(
                vehicle_id=row["vehicle_id"],
                address=MavlinkAddress(hardware_uid=row["hardware_uid"], **address),
                vehicle_type=profile,
                parameters=data.get("parameters", {}),
                lease=lease,
                clock=self._clock,
                on_sample=self._writer.put,
                home=region.site(row["home_site"]).pads[row["pad"]],
                simulated=row["simulated"],
                allow_real=self._runtime.allow_real,
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
            on_sample=self._writer.put,
            simulated=row["simulated"],
            allow_real=self._runtime.allow_real,
        )

    async def _tick(self) -> None:
        """The working loop: what it does not reach, no vehicle hears a heartbeat from."""
        while True:
            for vehicle_id, runner in self._runners.items():
                if not self._tasks[vehicle_id].done():
                    runner.link.beat()
            with suppress(HardwareError):
                await self._bus.publish(live.TOPIC_PREFIX + self._runtime.name, self._snapshot())
            await asyncio.sleep(live.INTERVAL_S)

    def _snapshot(self) -> bytes:
        now = self._clock.now()
        views = [self._view(runner, now) for runner in self._runners.values()]
        return live.encode_snapshot(self._runtime.name, now, views)

    def _view(self, runner: VehicleRunner, now: datetime) -> dict[str, Any]:
        state = runner.link.state()
        alarms = self._alarms[runner.vehicle_id].see(
            state, runner.concern, at=now, speed=self._clock.speed, asked=runner.asked
        )
        return live.vehicle_snapshot(
            runner.vehicle_id, state, runner.mission, gateway=self._runtime.name, alarms=alarms
        )
