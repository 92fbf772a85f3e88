"""A scripted day on the real service, for tests that break things in it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from fleet import missions, orders
from fleet.child import Child
from fleet.db.database import Database
from fleet.dispatch import DATABASE_ERRORS
from fleet.errors import StartFailed
from fleet.places import free_port
from fleet.runtime import Runtime, load_runtime
from fleet.scenarios import proof
from fleet.scenarios.day import Day, DayPlan, begin
from routing.region.sample import village_region

PARTS = ("gateway-1", "api", "planner", "broker", "database")


class Service:
    """``todoke serve`` in a process of its own, so that it can be killed whole and started again."""

    def __init__(self, home: Path, *, speed: float) -> None:
        self.home = home
        self._argv = [sys.executable, "-m", "fleet.cli", "serve", "--home", str(home)]
        # The same port after a restart: people's browsers and scripts look for it there.
        self._argv += ["--speed", str(speed), "--port", str(free_port())]
        self._child: Child | None = None

    @property
    def runtime(self) -> Runtime:
        """Where everything is now."""
        return load_runtime(self.home)

    async def start(self) -> None:
        """Start it and wait until it serves."""
        ready = asyncio.Event()
        environ = {k: v for k, v in os.environ.items() if not k.startswith("TODOKE_")}
        self._child = await Child.start(
            "serve", self._argv, env=environ, on_line=lambda line: ready.set() if b"Todoke is ready" in line else None
        )
        await asyncio.wait_for(ready.wait(), 60)

    async def stop(self) -> None:
        """Stop it as Ctrl-C does."""
        if self._child is not None:
            await self._child.stop((signal.SIGTERM, 40.0))

    async def kill_everything(self) -> None:
        """Kill -9 all its processes at once: supervisor, database, broker and roles."""
        assert self._child is not None
        supervisor = psutil.Process(self._child.pid)
        processes = [supervisor, *supervisor.children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        await self._child.kill()
        _, alive = psutil.wait_procs(processes, timeout=10)
        assert not alive

    async def kill(self, part: str) -> None:
        """Kill -9 one of its processes and wait for the next one."""
        old = self.runtime.pids[part]
        os.kill(old, signal.SIGKILL)

        async def is_back() -> bool:
            try:
                return self.runtime.pids.get(part, old) != old
            except StartFailed:
                return False

        await eventually(f"{part} runs again", is_back, within_s=30)


@asynccontextmanager
async def service(home: Path, *, speed: float) -> AsyncIterator[Service]:
    """Run the whole service in ``home``."""
    running = Service(home, speed=speed)
    try:
        await running.start()
        yield running
    finally:
        await running.stop()


@asynccontextmanager
async def day_on(running: Service, *, order_count: int = 2, seed: int = 1) -> AsyncIterator[Day]:
    """Set a day up on a running service, with its staff at work."""
    plan = DayPlan(orders=order_count, seed=seed)
    async with begin(plan, village_region(seed), running.runtime) as day, day.at_work():
        yield day


async def eventually(what: str, condition: Callable[[], Awaitable[bool]], *, within_s: float) -> None:
    """Wait until ``condition`` holds; a database that is away meanwhile is waited out."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if await condition():
                return
        except DATABASE_ERRORS:
            pass
        await asyncio.sleep(0.1)
    raise AssertionError(f"not within {within_s:.0f} s: {what}")


class Watcher:
    """Looks at the truth: the database of a day. Finds it again after a restart, wherever it is then."""

    def __init__(self, running: Service, day: Day) -> None:
        self._service = running
        self._day = day

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        dsn = self._service.runtime.dsn
        async with Database.open(dsn, max_size=1, timeout_s=3.0) as database, database.transaction() as conn:
            yield conn

    async def missions(self) -> dict[str, dict[str, Any]]:
        """Return the newest mission of each vehicle."""
        async with self._connection() as conn:
            rows = await missions.listing(conn, region_id=self._day.region.region_id)
        return {row["vehicle_id"]: row for row in reversed(rows)}

    async def orders(self) -> list[dict[str, Any]]:
        """Return all orders."""
        async with self._connection() as conn:
            return await orders.listing(conn, region_id=self._day.region.region_id)

    async def states(self) -> dict[str, str]:
        """Return the state of the newest mission of each vehicle."""
        return {vehicle: row["state"] for vehicle, row in (await self.missions()).items()}

    async def both_are_under_way(self) -> bool:
        """Whether drone and robot are on their missions."""
        return await self.states() == {"drone-1": "underway", "robot-1": "underway"}

    async def drone_is_under_way(self) -> bool:
        """Whether the drone is on its mission."""
        return (await self.states()).get("drone-1") == "underway"

    async def is_over(self) -> bool:
        """Whether the day is over."""
        assert self._day.simulation.failure() is None, self._day.simulation.failure()
        async with self._connection() as conn:
            return await self._day.is_over(conn)

    async def lease_epoch(self, vehicle_id: str) -> int:
        """Return the epoch of a vehicle's lease."""
        async with self._connection() as conn:
            row = await (await conn.execute("SELECT epoch FROM lease WHERE vehicle_id = %s", [vehicle_id])).fetchone()
        return int(row["epoch"])

    async def samples(self, vehicle_id: str) -> int:
        """Return how many samples of a vehicle are stored."""
        async with self._connection() as conn:
            cursor = await conn.execute("SELECT count(*) AS n FROM sample WHERE vehicle_id = %s", [vehicle_id])
            return int((await cursor.fetchone())["n"])

    async def unheard_s(self, vehicle_id: str) -> list[float]:
        """Return how long nobody listened to a vehicle, each time (domain seconds)."""
        statement = """SELECT extract(epoch FROM ended_at - began_at)::float8 AS seconds FROM telemetry_gap
            WHERE vehicle_id = %s AND cause = 'not_listening' ORDER BY began_at"""
        async with self._connection() as conn:
            return [row["seconds"] for row in await (await conn.execute(statement, [vehicle_id])).fetchall()]

    async def proof(self) -> dict[str, Any]:
        """Return how the database compares with the simulators' own logs."""
        async with self._connection() as conn:
            return await proof.hold_against_logs(conn, self._day.simulation.log_dir)
