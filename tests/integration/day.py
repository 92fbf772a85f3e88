"""A scripted day on the real service, for tests that break things in it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fleet import missions, orders
from fleet.config import load
from fleet.db.database import Database
from fleet.dispatch import DATABASE_ERRORS
from fleet.errors import NotFound
from fleet.scenarios import proof
from fleet.scenarios.day import Day, DayPlan, begin
from fleet.supervisor import Supervisor
from routing.region.sample import sample_region


@asynccontextmanager
async def service(home: Path, *, speed: float) -> AsyncIterator[Supervisor]:
    """Run the whole service in ``home`` on free ports."""
    settings = load({"home": home, "speed": speed, "api_port": 0, "log_level": "warning"}, environ={})
    async with Supervisor(settings) as running:
        yield running


@asynccontextmanager
async def day_on(running: Supervisor, *, order_count: int = 2, seed: int = 1) -> AsyncIterator[Day]:
    """Set a day up on a running service, with its staff at work."""
    assert running.broker is not None
    plan = DayPlan(orders=order_count, seed=seed)
    region = sample_region(seed)
    async with begin(plan, region, running.runtime, add_robot_user=running.broker.add_user) as day, day.at_work():
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
    """Looks at the truth: the database of a day."""

    def __init__(self, day: Day, database: Database) -> None:
        self._day = day
        self._database = database

    async def missions(self) -> dict[str, dict[str, Any]]:
        """Return the newest mission of each vehicle."""
        async with self._database.transaction() as conn:
            rows = await missions.listing(conn, region_id=self._day.region.region_id)
        return {row["vehicle_id"]: row for row in reversed(rows)}

    async def orders(self) -> list[dict[str, Any]]:
        """Return all orders."""
        async with self._database.transaction() as conn:
            return await orders.listing(conn, region_id=self._day.region.region_id)

    async def both_are_under_way(self) -> bool:
        """Whether drone and robot are on their missions."""
        newest = await self.missions()
        return {row["state"] for row in newest.values()} == {"underway"} and len(newest) == 2

    async def is_over(self) -> bool:
        """Whether the day is over."""
        assert self._day.simulation.failure() is None, self._day.simulation.failure()
        async with self._database.transaction() as conn:
            return await self._day.is_over(conn)

    async def proof(self) -> dict[str, Any]:
        """Return how the database compares with the simulators' own logs."""
        async with self._database.transaction() as conn:
            return await proof.hold_against_logs(conn, self._day.simulation.log_dir)


@asynccontextmanager
async def watching(day: Day) -> AsyncIterator[Watcher]:
    """Yield a watcher with a connection pool of its own."""
    async with Database.open(day.runtime.dsn, max_size=2, timeout_s=5.0) as database:
        yield Watcher(day, database)


async def kill(running: Supervisor, name: str, *, within_s: float = 30.0) -> float:
    """Kill -9 a process of the service and wait for the next one; return how long that took."""
    old = running.pid_of(name)
    began = time.monotonic()
    os.kill(old, signal.SIGKILL)

    async def is_back() -> bool:
        try:
            return running.pid_of(name) != old
        except NotFound:
            return False

    await eventually(f"{name} runs again", is_back, within_s=within_s)
    return time.monotonic() - began
