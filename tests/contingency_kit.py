"""Drones under way on a real database, watched and kept to the rules as a gateway does it, for tests of rules."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from fleet import leases
from fleet.contingency_runner import ContingencyRunner
from fleet.dispatch import VehicleRunner
from fleet.execution import mission_from_json
from fleet.leases import Lease
from fleet.watching import Watching
from hardware.link import Activity, VehicleLink
from hardware.mission import Mission
from hardware.profiles import load_profile
from routing.formats.json import given_from_json
from routing.geo import Position
from routing.problem import GivenTrip
from telemetry.clock import Clock
from telemetry.monitors.finding import Finding
from telemetry.sample import Sample
from tests.fleet_kit import World, until
from tests.scripted_vehicle import ScriptedVehicle

SPEED = 5.0
TICK_S = 0.1
STORE_S = 0.3
"""Wall seconds between two samples in the database."""


class Flyer(ScriptedVehicle, VehicleLink):
    """A scripted drone that can be diverted, and sent to another altitude. It moves nowhere by itself."""

    def __init__(self, vehicle_id: str = "drone-1") -> None:
        super().__init__(vehicle_id)
        self.diverted_to: Position | None = None
        self.altitude_m: float | None = None
        self.skipped: list[int] = []
        self.silent = False

    async def divert(self, to: Position, *, alt_amsl_m: float) -> None:
        await self._asked("divert")
        self.diverted_to, self.altitude_m = to, alt_amsl_m
        await self.show(activity=Activity.RETURN)

    async def set_altitude(self, alt_amsl_m: float) -> None:
        await self._asked("altitude")
        here = self.state().position
        assert here is not None
        self.altitude_m = alt_amsl_m
        await self.show(activity=Activity.HOLD, position=replace(here, alt_amsl_m=alt_amsl_m))

    async def skip(self, step: int) -> None:
        await self._asked("skip")
        self.skipped.append(step)
        await self.show(activity=Activity.MISSION, waits=None)

    def asked_for(self) -> list[str]:
        """Return what it was asked to do in the air."""
        return [call for call in self.calls if call not in {"beat", "recognise", "upload", "start"}]


class Drone:
    """One drone on its mission: its vehicle, its runner, and its plan."""

    def __init__(
        self, mission_id: str, vehicle: Flyer, runner: VehicleRunner, planned: GivenTrip, steps: Mission
    ) -> None:
        self.mission_id, self.vehicle, self.runner = mission_id, vehicle, runner
        self.planned, self.steps = planned, steps
        self.found: list[Finding] = []
        self.seq = 0
        self.stored_s = -math.inf

    def codes(self) -> set[str]:
        """Return what is found of it now."""
        return {finding.code for finding in self.found if finding.holds}

    def place(self, number: int) -> Position:
        """Return a place of its plan, by the number of the point."""
        return self.planned.track[number].position


class Patrol:
    """Drones in the air, and what a gateway does about them beside its links: watching, and the rules."""

    def __init__(self, world: World, clock: Clock) -> None:
        self.world, self.clock = world, clock
        self.watching = Watching(world.database, clock)
        self.rules = ContingencyRunner(world.database, clock, self.watching)
        self.drones: dict[str, Drone] = {}

    async def tick(self) -> None:
        """Look at every drone once, as a gateway's loop does; store where it is."""
        now = self.clock.now()
        for vehicle_id, drone in self.drones.items():
            if not drone.vehicle.silent:
                await drone.vehicle.show(t=now, connected=True)
            state = drone.vehicle.state()
            if state.connected and state.position is not None:
                drone.seq += 1
                sample = sample_of(drone, vehicle_id, now)
                self.watching.take(sample)
                if time.monotonic() - drone.stored_s > STORE_S:
                    drone.stored_s = time.monotonic()
                    await self.world.store([sample])
            found = self.watching.look(vehicle_id, state, drone.runner.concern, drone.runner.asked, now)
            told = self.rules.see(drone.runner, state, found, now)
            drone.found = [*found, *told]

    async def journal(self, rule: str | None = None) -> list[dict[str, Any]]:
        """Return what is written down, oldest first."""
        return await self.world.rows(
            "SELECT * FROM contingency WHERE %(rule)s::text IS NULL OR rule = %(rule)s ORDER BY number", rule=rule
        )

    async def reaches(self, rule: str, *states: str, within_s: float = 30.0) -> dict[str, Any]:
        """Wait until an occurrence of a rule is in one of these states; return it."""
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            found[:] = [row for row in await self.journal(rule) if row["state"] in states]
            return bool(found)

        try:
            await until(there, within_s=within_s)
        except TimeoutError:
            rows = [(r["rule"], r["state"], r["outcome"]) for r in await self.journal()]
            seen = {vehicle_id: drone.codes() for vehicle_id, drone in self.drones.items()}
            raise AssertionError(f"{rule} is not {states}: {rows}; found {seen}") from None
        return found[0]

    async def commands(self) -> list[tuple[str, str, str]]:
        """Return kind, issuer and state of all commands, oldest first."""
        rows = await self.world.rows("SELECT kind, issuer, state FROM command ORDER BY issued_at, command_id")
        return [(row["kind"], row["issuer"], row["state"]) for row in rows]


def sample_of(drone: Drone, vehicle_id: str, now: Any) -> Sample:
    """Return what a drone says of where it is."""
    state = drone.vehicle.state()
    here = state.position
    assert here is not None
    charge = state.battery_pct
    return Sample(
        vehicle_id,
        now,
        seq=drone.seq,
        vehicle_ms=drone.seq * 100,
        lat_e7=round(here.lat * 1e7),
        lon_e7=round(here.lon * 1e7),
        alt_amsl_cm=round(here.alt_amsl_m * 100),
        battery_pct_x10=None if charge is None else round(charge * 10),
        on_ground=state.on_ground,
    )


@asynccontextmanager
async def patrol(
    world: World, *drops: Sequence[str], at_point: Sequence[int] = (), speed: float = SPEED
) -> AsyncIterator[Patrol]:
    """Drones on missions to ``drops`` (one each), in the air at a point of their plans, kept to the rules inside."""
    for number, _ in enumerate(drops):
        await world.drone(f"drone-{number + 1}", port=14600 + number, pad=number)
    for number, stops in enumerate(drops):
        for stop in stops:
            await world.order(f"A{number}-{stop}", stop, mass_kg=0.9)
    mission_ids = await world.missions()
    rows = [await world.mission(mission_id) for mission_id in mission_ids]
    first = {row["vehicle_id"]: row for row in sorted(rows, key=lambda row: row["planned_depart"], reverse=True)}
    world.at = max(row["planned_depart"] for row in first.values())
    clock = Clock(Clock.real().now(), world.at, speed)
    running = Patrol(world, clock)
    tasks = []
    for number, (vehicle_id, row) in enumerate(sorted(first.items())):
        await world.load(row["mission_id"])
        await world.accept(row["mission_id"])
        await world.move(row["mission_id"], "starting", "underway")
        track = await world.one("SELECT given FROM mission_track WHERE mission_id = %(id)s", id=row["mission_id"])
        planned, steps = given_from_json(track["given"]), mission_from_json(row["trip"]["mission"])
        async with world.database.transaction() as conn:
            (lease,) = await leases.acquire(conn, [vehicle_id], holder="gateway-1/1")
        lease.deadline_s = math.inf
        vehicle = Flyer(vehicle_id)
        vehicle.lease = lease
        await vehicle.fly(steps)
        await vehicle.show(position=planned.track[at_point[number] if at_point else 20].position, battery_pct=90.0)
        runner = await _runner(world, clock, vehicle, lease)
        await running.watching.watch(vehicle_id, load_profile("multirotor_1kg"), world.region, home_site="hub-1")
        running.drones[vehicle_id] = Drone(row["mission_id"], vehicle, runner, planned, steps)
        tasks.append(asyncio.create_task(runner.run()))
    tasks += [
        asyncio.create_task(running.watching.look_ahead()),
        asyncio.create_task(running.rules.run()),
        asyncio.create_task(_ticking(running)),
    ]
    try:
        await until(lambda: _followed(running), within_s=20)
        yield running
    finally:
        for task in tasks:
            task.cancel()
        done, _ = await asyncio.wait(tasks, timeout=10)
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error


async def _followed(running: Patrol) -> bool:
    return all(drone.runner.mission is not None for drone in running.drones.values())


async def _ticking(running: Patrol) -> None:
    while True:
        await running.tick()
        await asyncio.sleep(TICK_S)


async def _runner(world: World, clock: Clock, vehicle: Flyer, lease: Lease) -> VehicleRunner:
    row = await world.one("SELECT * FROM vehicle WHERE vehicle_id = %(id)s", id=vehicle.vehicle_id)
    return VehicleRunner(vehicle=row, link=vehicle, lease=lease, database=world.database, clock=clock)
