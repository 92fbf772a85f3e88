"""A gateway with simulated drones and robots in the air and on the road, for tests that see what becomes of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from fleet import commands
from fleet.gateway import Gateway
from fleet.scenarios.proof import read_log
from fleet.simulation import SimulatedBroker, Simulation, describe_drones, describe_robots
from hardware.link import VehicleState
from hardware.mqtt import MqttClient
from hardware.profiles import load_profile
from routing.geo import Position
from simulators.faults import UdpProxy
from telemetry.clock import Clock
from telemetry.writer import SampleWriter
from tests.api_kit import _runtime
from tests.broker import Broker
from tests.fleet_kit import World, until

SPEED = 5.0
"""At this speed a drone's lost-link time of 10 s is 2 s of the machine's: less would be lost on a loaded one."""
BEFORE_S = 20.0
"""Domain seconds before its departure at which a drone is switched on."""


@dataclass(slots=True)
class Field:
    """What flies: the gateway, the world of its database, the simulators' logs."""

    world: World
    clock: Clock
    gateway: Gateway
    simulation: Simulation
    missions: dict[str, dict[str, Any]]
    proxies: dict[str, UdpProxy] = field(default_factory=dict)

    def state(self, vehicle_id: str) -> VehicleState:
        """Return what a vehicle says of itself; nothing while nobody holds it."""
        runner = self.gateway._runners.get(vehicle_id)
        return VehicleState() if runner is None else runner.link.state()

    def place(self, vehicle_id: str) -> Position:
        """Return where a vehicle is."""
        position = self.state(vehicle_id).position
        assert position is not None
        return position

    async def until(self, what: str, condition: Any, *, within_s: float = 60.0) -> None:
        """Wait for a condition of no arguments; fail with what it waited for and what was done by rules."""
        deadline = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > deadline:
                done = [(r["rule"], r["vehicle_id"], r["state"], r["outcome"]) for r in await self.journal()]
                states = {v: (self.state(v).activity, self.state(v).faults[-3:]) for v in self.missions}
                rows = await self.world.rows("SELECT vehicle_id, state, reason FROM mission")
                raise AssertionError(f"not within {within_s:.0f} s: {what}; by rules: {done}; {states}; {rows}")
            await asyncio.sleep(0.05)

    async def journal(self, rule: str | None = None) -> list[dict[str, Any]]:
        """Return what rules have done."""
        return await self.world.rows(
            "SELECT * FROM contingency WHERE %(rule)s::text IS NULL OR rule = %(rule)s ORDER BY number", rule=rule
        )

    async def reaches(
        self, rule: str, *states: str, within_s: float = 60.0, vehicle_id: str | None = None
    ) -> dict[str, Any]:
        """Wait until an occurrence of a rule is in one of these states; return it."""
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + within_s
        while not found:
            if time.monotonic() > deadline:
                await self.until(f"{rule} {states}", lambda: False, within_s=0.0)
            rows = [row for row in await self.journal(rule) if row["state"] in states]
            found = [row for row in rows if vehicle_id in {None, row["vehicle_id"]}]
            await asyncio.sleep(0.05)
        return found[0]

    async def command(self, vehicle_id: str, kind: str, *, key: str) -> None:
        """Give a pilot's command with its second step, and wait until it is done."""
        values: dict[str, Any] = {"at": self.clock.now(), "speed": self.clock.speed}
        async with self.world.database.transaction() as conn:
            row = await commands.issue(conn, vehicle_id=vehicle_id, kind=kind, key=key, issuer="pilot", **values)
            if row["state"] == "proposed":
                await commands.confirm(conn, row["command_id"], actor="pilot", **values)

        async def over() -> bool:
            now = await self.world.one("SELECT state FROM command WHERE command_id = %(id)s", id=row["command_id"])
            return now["state"] in {"done", "failed", "expired"}

        await until(over, within_s=30)

    def log(self, vehicle_id: str) -> list[dict[str, Any]]:
        """Return what a vehicle has written into its own log."""
        return list(read_log(self.simulation.log_dir / f"{vehicle_id}.jsonl"))


@asynccontextmanager
async def field_of(
    world: World,
    broker: Broker,
    home: Path,
    *,
    drones: Sequence[Sequence[str]] = (),
    robots: Sequence[Sequence[str]] = (),
    more: Mapping[str, Mapping[str, Any]] | None = None,
    behind_proxy: Sequence[str] = (),
    speed: float = SPEED,
) -> AsyncIterator[Field]:
    """Simulated vehicles with a mission to drops each, launched as soon as they are ready.

    ``more`` adds to a simulator's configuration of a vehicle; those ``behind_proxy`` are reached through a proxy.
    """
    more = more or {}
    air = describe_drones(world.region, [("hub-1", i) for i in range(len(drones))], type_id="multirotor_1kg")
    ground = describe_robots(world.region, ["hub-1"] * len(robots), type_id="sidewalk_robot")
    async with AsyncExitStack() as stack:
        proxies = {}
        for one in air:
            port = int(str(one["send_to"]).rsplit(":", 1)[1])
            await world.drone(one["vehicle_id"], port=port, pad=air.index(one))
            if one["vehicle_id"] in behind_proxy:
                proxy = await stack.enter_async_context(UdpProxy(("127.0.0.1", 0), ("127.0.0.1", port)))
                proxies[one["vehicle_id"]] = proxy
                one["send_to"] = "{}:{}".format(*proxy.address)
        for one in ground:
            await world.robot(one["vehicle_id"])
            one["manufacturer"] = "test"
        missions = await _planned(world, drones, robots)
        for one in (*air, *ground):
            one.update(more.get(one["vehicle_id"], {}))
        first = min(row["planned_depart"] for row in missions.values())
        clock = Clock(Clock.real().now(), first - timedelta(seconds=BEFORE_S), speed)
        (home / "run").mkdir(exist_ok=True)
        runtime = replace(_runtime(home, world.database.dsn, clock), name="gateway-1", broker_port=broker.port)
        simulated = SimulatedBroker(broker.host, broker.port, {one["serial"]: "" for one in ground})
        simulation = await stack.enter_async_context(
            Simulation(
                home / "sim", region=world.region, clock=clock, seed=1, drones=air, robots=ground, broker=simulated
            )
        )
        writer = await stack.enter_async_context(
            SampleWriter(runtime.dsn, spool_dir=home / "spool", name="gateway-1", clock=clock)
        )
        bus = await stack.enter_async_context(MqttClient(host=broker.host, port=broker.port, client_id="gateway-1"))
        gateway = Gateway(runtime, clock, database=world.database, writer=writer, bus=bus)
        stop = asyncio.Event()
        serving = asyncio.create_task(gateway.serve(stop))
        try:
            made = Field(world, clock, gateway, simulation, missions, proxies)
            await _accepted(made)
            yield made
        finally:
            stop.set()
            await asyncio.wait_for(serving, 30)


async def _planned(
    world: World, drones: Sequence[Sequence[str]], robots: Sequence[Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """Plan deliveries, and return the first mission of each vehicle."""
    # More than half of what each carries, so that it takes one.
    heavy = 0.6 * load_profile("sidewalk_robot").payload_kg
    for number, (stops, mass_kg) in enumerate([*((s, 0.6) for s in drones), *((s, heavy) for s in robots)]):
        for stop in stops:
            await world.order(f"O{number}-{stop}", stop, mass_kg=mass_kg)
    rows = [await world.mission(mission_id) for mission_id in await world.missions()]
    rows.sort(key=lambda row: row["planned_depart"], reverse=True)
    return {row["vehicle_id"]: row for row in rows}


async def _accepted(field: Field) -> None:
    world = field.world
    for row in field.missions.values():
        world.at = field.clock.now()
        await world.load(row["mission_id"])
        world.at = field.clock.now()
        await world.accept(row["mission_id"])
