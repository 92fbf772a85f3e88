"""A running service with a day on it, for all browser tests of a module: it takes a while to get under way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.scenarios.day import Day, sign_in_link
from tests.integration.day import Watcher, day_on, eventually, service

SPEED = 4
USERS = {"pilot": "demo", "dispatcher": "dispatcher", "ground_crew": "crew", "administrator": "admin", "viewer": "viewer"}


@dataclass(frozen=True, slots=True)
class RunningDay:
    """A service with a drone and a robot on their missions."""

    url: str
    loop: asyncio.AbstractEventLoop
    day: Day

    def sign_in_link(self, role: str) -> str:
        """Return a one-time link of a user with this role."""
        made = asyncio.run_coroutine_threadsafe(sign_in_link(self.day.runtime, USERS[role]), self.loop)
        return made.result(timeout=10)


async def _live(home: Path, begun: Future[RunningDay], stop: asyncio.Event) -> None:
    async with service(home, speed=SPEED) as running, day_on(running) as day:
        watcher = Watcher(running, day)
        await eventually("both vehicles are under way", watcher.both_are_under_way, within_s=90)
        begun.set_result(RunningDay(day.runtime.api_url, asyncio.get_running_loop(), day))
        await stop.wait()


@pytest.fixture(scope="module")
def running_day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDay]:
    """Run a day in a thread of its own, since each test has an event loop of its own."""
    begun: Future[RunningDay] = Future()
    stop = asyncio.Event()

    def live() -> None:
        try:
            asyncio.run(_live(tmp_path_factory.mktemp("day") / "home", begun, stop))
        except BaseException as error:
            if begun.done():
                raise
            begun.set_exception(error)

    thread = threading.Thread(target=live, name="day")
    thread.start()
    try:
        day = begun.result(timeout=150)
        yield day
        day.loop.call_soon_threadsafe(stop.set)
    finally:
        thread.join(timeout=60)
