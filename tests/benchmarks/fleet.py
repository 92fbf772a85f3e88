"""What gateways cost a vehicle, and how long a command takes, from 10 drones and 10 robots to 300 and 300 on one host.

A real service: database, broker, and ``fleet.role`` gateways of at most 30 vehicles each, which own, hear, watch,
store and publish what simulated vehicles say at the full rate of their profiles (drones by the light autopilot, on
their pads; robots at their base). Gateways are added as vehicles are. Their CPU time is that of all their threads,
MAVSDK's too; simulators, database and broker are not counted. A command is ``hold``, issued as the API does it (a row
in the database) to a vehicle that stands: its time ends when the gateway has the vehicle's acknowledgement and has
written the outcome down, so it contains the way through the database both ways.

300 + 300 with their simulators want more than two cores; where the simulators fall behind, each says less than it
should: the samples that came a vehicle and second are told beside the figures.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from fleet import commands, regions, vehicles
from fleet.config import load
from fleet.db.database import Connection, Database
from fleet.gateway import MAX_VEHICLES
from fleet.runtime import Runtime
from fleet.simulation import describe_drones, describe_robots
from fleet.supervisor import Supervisor
from fleet.vehicles import NewVehicle
from routing.region.bundle import pack
from routing.region.model import PAD_SPACING_M, Region
from tests.benchmarks.figures import Figure
from tests.homes import environment, service_home
from tests.problems import village

RUNGS = (10, 30, 100, 300)
"""So many drones and as many robots."""
DRONES_A_SIMULATOR = 100
SETTLE_S, MEASURE_S = 6.0, 15.0
COMMANDS_HZ = 8.0
COMMANDS = {10: 40, 30: 80, 100: 160, 300: 240}
FIRST_PORT = 22_000
HEARD_S = 180.0
"""In which all vehicles of a rung must be heard."""
FLAT = 1.3
"""How many times the CPU a vehicle of the first rung may become at the last."""


@dataclass(frozen=True, slots=True)
class Rung:
    """What was measured with ``count`` drones and as many robots: shares of a CPU, milliseconds."""

    count: int
    cpu_pct: float
    samples_hz: float
    drone_ms: Sequence[float]
    robot_ms: Sequence[float]
    failed: int


def _region() -> tuple[Region, str]:
    """The sample village, with a pad for each drone at its hub."""
    region = village(1)
    hub = next(site for site in region.sites if site.pads and site.node)
    side = math.ceil(math.sqrt(RUNGS[-1]))
    spots = [(PAD_SPACING_M * (i % side), PAD_SPACING_M * (i // side)) for i in range(RUNGS[-1])]
    east, north = region.frame.to_local(hub.pads[0])
    pads = tuple(region.frame.to_global(east + x, north + y, hub.pads[0].alt_amsl_m) for x, y in spots)
    sites = tuple(replace(site, pads=pads) if site is hub else site for site in region.sites)
    return replace(region, sites=sites), hub.site_id


def _ports(count: int) -> list[int]:
    """UDP ports that are free, below those that the system gives to others."""
    found: list[int] = []
    for port in range(FIRST_PORT, 32_000):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError(f"there are no {count} free UDP ports")


class Bench:
    """A service that grows."""

    def __init__(self, home: Path, runtime: Runtime, database: Database, stack: AsyncExitStack) -> None:
        self._home, self._runtime, self._database, self._stack = home, runtime, database, stack
        self._region, hub = _region()
        self._packed = home / "region.packed"
        self._packed.write_bytes(pack(self._region))
        self._drones = describe_drones(self._region, [(hub, pad) for pad in range(RUNGS[-1])], type_id="multirotor_1kg")
        for number, (drone, port) in enumerate(zip(self._drones, _ports(RUNGS[-1]), strict=True)):
            drone |= {"system_id": number % 250 + 1, "send_to": f"127.0.0.1:{port}"}
        self._robots = describe_robots(self._region, [hub] * RUNGS[-1], type_id="sidewalk_robot")
        self._hub = hub
        self._count = 0
        self._gateways: list[psutil.Process] = []

    async def furnish(self) -> None:
        """Store the region."""
        async with self._database.transaction() as conn:
            await regions.store(conn, self._region, at=self._runtime.clock.now())

    async def grow(self, count: int) -> None:
        """Add vehicles and gateways up to ``count`` of each kind, and wait until all are heard."""
        new = slice(self._count, count)
        async with self._database.transaction() as conn:
            for pad, drone in list(enumerate(self._drones))[new]:
                link = {"protocol": "mavlink", "bind": drone["send_to"]}
                await self._register(conn, drone, link, pad=pad)
            for robot in self._robots[new]:
                link = {"protocol": "vda5050", "manufacturer": robot["manufacturer"], "serial": robot["serial"]}
                await self._register(conn, robot, link)
        for start in range(self._count, count, DRONES_A_SIMULATOR):
            part = self._drones[start : min(count, start + DRONES_A_SIMULATOR)]
            self._simulate("drone", start, {"region": str(self._packed), "drones": part})
        runtime = self._runtime
        account = {"username": runtime.broker_username, "password": runtime.broker_password}
        broker = {"host": runtime.broker_host, "port": runtime.broker_port}
        robots = [{**robot, **account} for robot in self._robots[new]]
        self._simulate("robot", self._count, {"broker": broker, "robots": robots})
        self._count = count
        while len(self._gateways) * MAX_VEHICLES < 2 * count:
            name = f"gateway-{len(self._gateways) + 1}"
            self._gateways.append(psutil.Process(self._start("fleet.role", "gateway", name, str(self._home))))
        await self._heard()

    async def measure(self) -> Rung:
        """Measure what the gateways cost, then how long commands take."""
        await asyncio.sleep(SETTLE_S)
        stored, cpu_s, began = await self._stored(), self._cpu_s(), time.monotonic()
        await asyncio.sleep(MEASURE_S)
        took_s = time.monotonic() - began
        cpu_pct = 100 * (self._cpu_s() - cpu_s) / took_s
        samples_hz = (await self._stored() - stored) / took_s / (2 * self._count)
        drone_ms, failed_drones = await self._hold([drone["vehicle_id"] for drone in self._drones[: self._count]])
        robot_ms, failed_robots = await self._hold([robot["vehicle_id"] for robot in self._robots[: self._count]])
        return Rung(self._count, cpu_pct, samples_hz, drone_ms, robot_ms, failed_drones + failed_robots)

    async def _register(self, conn: Connection, config: dict[str, Any], link: dict[str, Any], *, pad: int = 0) -> None:
        uid = config.get("hardware_uid")
        vehicle = NewVehicle(config["vehicle_id"], config["type_id"], self._hub, link, True, uid, pad)
        at = self._runtime.clock.now()
        await vehicles.register(conn, vehicle, region_id=self._region.region_id, at=at, actor="bench")

    def _simulate(self, kind: str, number: int, config: dict[str, Any]) -> None:
        clock = self._runtime.clock
        common = {
            "speed": clock.speed,
            "log_dir": str(self._home / "simulated"),
            "anchor_wall": clock.anchor_wall.isoformat(),
            "anchor_domain": clock.anchor_domain.isoformat(),
        }
        (self._home / "simulated").mkdir(exist_ok=True)
        path = self._home / f"{kind}-{number}.json"
        path.write_text(json.dumps(common | config), encoding="utf-8")
        self._start(f"simulators.{kind}", str(path))

    def _start(self, module: str, *arguments: str) -> int:
        log = self._stack.enter_context((self._home / f"{module}.log").open("ab"))
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], env=dict(environment(self._home)), stdout=log, stderr=log
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process.pid

    def _cpu_s(self) -> float:
        return sum(sum(gateway.cpu_times()[:2]) for gateway in self._gateways)

    async def _heard(self) -> None:
        deadline = time.monotonic() + HEARD_S
        while (heard := await self._number("SELECT count(DISTINCT vehicle_id) AS n FROM sample")) < 2 * self._count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{heard} of {2 * self._count} vehicles were heard within {HEARD_S:g} s")
            await asyncio.sleep(1.0)

    async def _stored(self) -> int:
        return await self._number("SELECT count(*) AS n FROM sample")

    async def _number(self, statement: str) -> int:
        async with self._database.transaction() as conn:
            row = await (await conn.execute(statement.encode())).fetchone()
        assert row is not None
        return int(row["n"])

    async def _hold(self, vehicle_ids: list[str]) -> tuple[list[float], int]:
        """Give ``hold`` to vehicles one after the other; return the times to the outcome, and how many failed."""
        chosen = [random.choice(vehicle_ids) for _ in range(COMMANDS[self._count])]
        issued: dict[str, datetime] = {}
        for vehicle_id in chosen:
            async with self._database.transaction() as conn:
                at = self._runtime.clock.now()
                row = await commands.issue(
                    conn, vehicle_id=vehicle_id, kind="hold", key=f"{vehicle_id}-{len(issued)}-{self._count}",
                    issuer="bench", at=at, speed=1.0,
                )  # fmt: skip
            issued[row["command_id"]] = at
            await asyncio.sleep(1 / COMMANDS_HZ)
        await asyncio.sleep(2.0)
        async with self._database.transaction() as conn:
            given = "SELECT command_id, state, outcome, finished_at FROM command WHERE command_id = ANY (%s)"
            rows = await (await conn.execute(given, [list(issued)])).fetchall()
        done = [row for row in rows if row["state"] == "done"]
        for row in [row for row in rows if row["state"] != "done"][:1]:
            print(f"  a command was not carried out ({row['state']}): {row['outcome']}", flush=True)
        times = [(row["finished_at"] - issued[row["command_id"]]) / timedelta(milliseconds=1) for row in done]
        return times, len(rows) - len(done)


async def _run(home: Path) -> list[Rung]:
    settings = load({"home": home, "api_port": 0, "log_level": "warning"}, environ={})
    rungs = []
    async with Supervisor(settings, roles={}, for_tests=True) as service, AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(service.runtime.dsn, max_size=2))
        bench = Bench(home, service.runtime, database, stack)
        await bench.furnish()
        for count in RUNGS:
            await bench.grow(count)
            rungs.append(await bench.measure())
            print(f"  {_line(rungs[-1])}", flush=True)
    return rungs


def _line(rung: Rung) -> str:
    return (
        f"{rung.count} + {rung.count}: {rung.cpu_pct / rung.count / 2:.2f} % of a CPU a vehicle, "
        f"{rung.samples_hz:.1f} samples/s, drones {_p99(rung.drone_ms):.0f} ms, robots {_p99(rung.robot_ms):.0f} ms, "
        f"{rung.failed} commands failed"
    )


def _p99(times_ms: Sequence[float]) -> float:
    return float(np.percentile(times_ms, 99)) if times_ms else math.inf


def measure() -> list[Figure]:
    """Measure each rung once."""
    with service_home() as home:
        rungs = asyncio.run(_run(home))
    first = rungs[0].cpu_pct / (2 * rungs[0].count)
    figures = []
    for rung in rungs:
        name = f"fleet of {rung.count} drones and {rung.count} robots"
        last = rung.count == RUNGS[-1]
        each = rung.cpu_pct / (2 * rung.count)
        peer = f"{RUNGS[0]} and {RUNGS[0]}"
        figures += [
            Figure(f"{name}, gateways a vehicle", each, "% of a CPU", peer, first, f"<= {FLAT}" if last else ""),
            Figure(f"{name}, samples stored a vehicle", rung.samples_hz, "samples/s"),
            Figure(f"{name}, hold a drone, median", float(np.median(rung.drone_ms)), "ms"),
            Figure(f"{name}, hold a drone, 99th percentile", _p99(rung.drone_ms), "ms", aim="<= 150"),
            Figure(f"{name}, hold a robot, median", float(np.median(rung.robot_ms)), "ms"),
            Figure(f"{name}, hold a robot, 99th percentile", _p99(rung.robot_ms), "ms", aim="<= 150"),
            Figure(f"{name}, commands that failed", float(rung.failed), "", aim="<= 0"),
        ]
    return figures
