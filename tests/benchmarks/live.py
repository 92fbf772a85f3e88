"""How long it takes from a vehicle's sample to twenty browsers, while samples are stored.

A real service (database, broker, one api process), the gateways' own publishers and writers in a process of their
own, and clients in another. A sample's latency ends when a client has parsed the first message that shows that
sample or a newer one, so that waiting for the next of five a second counts.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import psutil
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed

from fleet import live, users
from fleet.bus import connect
from fleet.config import load
from fleet.db.database import Database
from fleet.publisher import TICK_S, Publisher
from fleet.runtime import load_runtime
from fleet.supervisor import Supervisor, default_roles
from hardware.link import Activity, VehicleState
from hardware.mqtt import MqttClient
from routing.geo import Position
from telemetry.clock import Clock
from telemetry.sample import Sample
from telemetry.writer import SampleWriter
from tests.benchmarks.figures import Figure
from tests.homes import environment, service_home

VEHICLES, GATEWAYS = 500, 17
CLIENTS = 20
SAMPLE_S, JITTER_S = 0.2, 0.03
"""Each vehicle says where it is five times a second, at its own moments and not to the millisecond: 2,500 samples a
second."""
WARM_UP_S, MEASURE_S = 6.0, 15.0
STEP_DEG = 1e-6
"""Sample n of a vehicle is n such steps east of the first, by which a client tells what it has been shown."""

_Array = npt.NDArray[np.float64]
_Log = Callable[[bool, int, int, float], None]


class _Gateway:
    """A gateway's publisher and writer, with vehicles of which only the samples are made up."""

    def __init__(self, name: str, clock: Clock, vehicles: range, log: _Log) -> None:
        self.name, self._clock, self._vehicles, self._log = name, clock, vehicles, log
        self._states = dict.fromkeys(vehicles, _state(0, clock.now()))
        self._count = dict.fromkeys(vehicles, 0)

    async def run(self, home: Path) -> None:
        runtime = load_runtime(home, self.name)
        async with AsyncExitStack() as stack:
            writer = await stack.enter_async_context(
                SampleWriter(runtime.dsn, spool_dir=home / "spool", name=self.name, clock=self._clock)
            )
            bus = await stack.enter_async_context(connect(runtime))
            await bus.wait_connected()
            publisher = Publisher(
                self.name,
                self._clock,
                send=partial(self._send, bus),
                look=self._look,
                process=lambda: {"name": self.name, "alarms": [], "writer": {"waiting_samples": writer.in_memory}},
            )
            async with asyncio.TaskGroup() as group:
                for vehicle in self._vehicles:
                    group.create_task(self._speak(vehicle, writer))
                while True:
                    states = ((f"drone-{vehicle}", state) for vehicle, state in self._states.items())
                    await publisher.round(states, time.monotonic())
                    await asyncio.sleep(TICK_S)

    async def _send(self, bus: MqttClient, message: bytes) -> None:
        now_s = time.monotonic()
        await bus.publish(live.TOPIC_PREFIX + self.name, message)
        for vehicle in orjson.loads(message)["vehicles"]:
            self._log(True, *_shown(vehicle), now_s)

    async def _speak(self, vehicle: int, writer: SampleWriter) -> None:
        due_s = time.monotonic() + random.uniform(0, SAMPLE_S)
        while True:
            await asyncio.sleep(max(0.0, due_s + random.uniform(0, JITTER_S) - time.monotonic()))
            due_s += SAMPLE_S
            self._count[vehicle] = n = self._count[vehicle] + 1
            now = self._clock.now()
            self._states[vehicle] = _state(n, now)
            self._log(False, vehicle, n, time.monotonic())
            writer.put(_sample(vehicle, n, now))

    def _look(self, vehicle_id: str, state: VehicleState) -> dict[str, Any]:
        return live.vehicle_snapshot(vehicle_id, state, None, gateway=self.name)


def _state(n: int, now: datetime) -> VehicleState:
    return VehicleState(
        t=now,
        connected=True,
        activity=Activity.MISSION,
        mode="AUTO.MISSION",
        armed=True,
        on_ground=False,
        ready=True,
        position=Position(35.7, 138.9 + n * STEP_DEG, 650.0 + n % 100),
        heading_deg=float(n % 360),
        speed_mps=12.3,
        battery_pct=90.0 - n % 50,
    )


def _shown(view: Mapping[str, Any]) -> tuple[int, int]:
    """Which sample of which vehicle a view shows."""
    return int(view["vehicle_id"].removeprefix("drone-")), round((view["lon"] - 138.9) / STEP_DEG)


def _sample(vehicle: int, n: int, now: datetime) -> Sample:
    return Sample(
        vehicle_id=f"drone-{vehicle}",
        t=now,
        seq=n,
        vehicle_ms=int(n * SAMPLE_S * 1000),
        lat_e7=357_000_000,
        lon_e7=1_389_000_000 + 10 * n,
        alt_amsl_cm=65_000 + n % 100,
        vel_n_cms=n % 997,
        vel_e_cms=n % 991,
        heading_cdeg=n % 36_000,
        battery_pct_x10=900,
        mode="AUTO.MISSION",
        armed=True,
        on_ground=False,
    )


async def _vehicles(home: Path, out: Path, until_s: float) -> None:
    """Be all gateways; keep of each sample ``published, vehicle, n, monotonic seconds``."""
    clock = load_runtime(home).clock
    spoken: list[tuple[float, float, float, float]] = []
    shares = np.array_split(np.arange(VEHICLES), GATEWAYS)

    def log(published: bool, vehicle: int, n: int, at_s: float) -> None:
        spoken.append((published, vehicle, n, at_s))

    gateways = [
        _Gateway(f"gateway-{number}", clock, range(int(share[0]), int(share[-1]) + 1), log)
        for number, share in enumerate(shares, start=1)
    ]
    try:
        async with asyncio.timeout(until_s - time.monotonic()):
            await asyncio.gather(*(gateway.run(home) for gateway in gateways))
    except TimeoutError:
        np.save(out, np.array(spoken))


async def _browsers(url: str, token: str, out: Path, until_s: float) -> None:
    """Be all clients; keep what each was shown when as ``client, vehicle, n, monotonic seconds``, and bytes."""
    seen: list[tuple[float, float, float, float]] = []
    taken = [0]
    signed = {"Authorization": f"Bearer {token}"}

    async def look(client: int) -> None:
        try:
            async with connect_websocket(url, proxy=None, max_size=None, additional_headers=signed) as socket:
                async for text in socket:
                    taken[0] += len(text)
                    message = orjson.loads(text)
                    now_s = time.monotonic()
                    seen.extend((client, *_shown(vehicle), now_s) for vehicle in message.get("vehicles", ()))
        except ConnectionClosed as error:
            raise SystemExit(f"a client was sent away: {error}") from error

    try:
        async with asyncio.timeout(until_s - time.monotonic()):
            await asyncio.gather(*(look(client) for client in range(CLIENTS)))
    except TimeoutError:
        np.save(out, np.array(seen))
        out.with_suffix(".json").write_text(json.dumps(taken[0]))


def _latencies(spoken: _Array, seen: _Array, start_s: float, end_s: float) -> _Array:
    """Seconds from each of ``spoken`` within the span to each client's first sight of it or of a newer one.

    ``inf`` for what a client never saw.
    """
    found = []
    for vehicle in range(VEHICLES):
        said = spoken[spoken[:, 1] == vehicle]
        said = said[(said[:, 3] >= start_s) & (said[:, 3] < end_s)]
        shown = seen[seen[:, 1] == vehicle]
        for client in range(CLIENTS):
            mine = shown[shown[:, 0] == client]
            place = np.searchsorted(np.maximum.accumulate(mine[:, 2]), said[:, 2])
            found.append(np.append(mine[:, 3], np.inf)[place] - said[:, 3])
    return np.concatenate(found)


async def _token(dsn: str, at: datetime) -> str:
    async with Database.open(dsn, max_size=1) as database, database.transaction() as conn:
        await users.put(conn, user_id="looker", display_name="Looker", role="viewer", at=at, actor="bench")
        return (await users.sign_in_by_link(conn, await users.new_link(conn, "looker"))).token


def _part(home: Path, name: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.benchmarks.live", name, *arguments]
    return subprocess.Popen(command, env=dict(environment(home)))


async def _run(home: Path) -> list[Figure]:
    settings = load({"home": home, "api_port": 0}, environ={})
    roles = {"api": default_roles(settings)["api"]}
    async with Supervisor(settings, roles=roles, for_tests=True) as service:
        runtime = service.runtime
        url = f"{runtime.api_url.replace('http', 'ws')}/api/live"
        token = await _token(runtime.dsn, runtime.clock.now())
        start_s = time.monotonic() + WARM_UP_S
        end_s = start_s + MEASURE_S
        until_s = str(end_s + 2.0)
        spoken, seen = home / "spoken.npy", home / "seen.npy"
        parts = [
            _part(home, "vehicles", str(home), str(spoken), until_s),
            _part(home, "browsers", url, token, str(seen), until_s),
        ]
        try:
            await asyncio.sleep(start_s - time.monotonic())
            processes = [psutil.Process(service.pid_of("api")), *(psutil.Process(part.pid) for part in parts)]
            before = [sum(process.cpu_times()[:2]) for process in processes]
            await asyncio.sleep(end_s - time.monotonic())
            cpu = [100 * (sum(p.cpu_times()[:2]) - then) / MEASURE_S for p, then in zip(processes, before, strict=True)]
            for part in parts:
                if await asyncio.to_thread(part.wait, 60) != 0:
                    raise RuntimeError("a part of the benchmark failed")
        finally:
            for part in parts:
                part.kill()
        stored = await _stored(runtime.dsn)
    said, shown = np.load(spoken), np.load(seen)
    latency_ms = 1000 * _latencies(said[said[:, 0] == 0], shown, start_s, end_s)
    behind_ms = 1000 * _latencies(said[said[:, 0] == 1], shown, start_s, end_s)
    per_client = json.loads(seen.with_suffix(".json").read_text()) / CLIENTS / (WARM_UP_S + MEASURE_S)
    return [
        Figure("live latency, median", float(np.percentile(latency_ms, 50)), "ms"),
        Figure("live latency, 99th percentile", float(np.percentile(latency_ms, 99)), "ms", aim="<= 250"),
        Figure("live latency behind the gateway, median", float(np.percentile(behind_ms, 50)), "ms"),
        Figure("live latency behind the gateway, 99th percentile", float(np.percentile(behind_ms, 99)), "ms"),
        Figure("live latency, worst", float(latency_ms.max()), "ms"),
        Figure("live api process", cpu[0], "% of a CPU"),
        Figure("live gateways together", cpu[1], "% of a CPU"),
        Figure("live clients together", cpu[2], "% of a CPU"),
        Figure("live samples stored meanwhile", stored / (WARM_UP_S + MEASURE_S), "samples/s"),
        Figure("live text to a client, before compression", per_client / 1000, "kB/s"),
    ]


async def _stored(dsn: str) -> int:
    async with Database.open(dsn, max_size=1) as database, database.transaction() as conn:
        row = await (await conn.execute("SELECT count(*) AS n FROM sample")).fetchone()
    return int(row["n"]) if row else 0


def measure() -> list[Figure]:
    """Measure once, for ``MEASURE_S``."""
    with service_home() as home:
        return asyncio.run(_run(home))


if __name__ == "__main__":
    part, *rest = sys.argv[1:]
    if part == "vehicles":
        asyncio.run(_vehicles(Path(rest[0]), Path(rest[1]), float(rest[2])))
    else:
        asyncio.run(_browsers(rest[0], rest[1], Path(rest[2]), float(rest[3])))
