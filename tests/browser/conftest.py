"""A running service with a day on it, for all browser tests of a module: it takes a while to get under way."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from fleet.scenarios.day import Day, DayPlan, begin, sign_in_link
from routing.region.model import SiteKind
from routing.region.sample import village_region
from tests.integration.day import Watcher, eventually, service

SPEED = 4
USERS = {
    # Who has accepted the launches: another pilot would have to be given control first.
    "pilot": "pilot",
    "dispatcher": "dispatcher",
    "ground_crew": "crew",
    "administrator": "admin",
    "viewer": "viewer",
}


@dataclass(frozen=True, slots=True)
class RunningDay:
    """A service with a drone and a robot on their missions and a drone to spare; its scripted staff has gone home."""

    url: str
    loop: asyncio.AbstractEventLoop
    day: Day

    def sign_in_link(self, role: str) -> str:
        """Return a one-time link of a user with this role."""
        made = asyncio.run_coroutine_threadsafe(sign_in_link(self.day.runtime, USERS[role]), self.loop)
        return made.result(timeout=10)

    def orders_csv(self, *refs: str) -> str:
        """Return a file of orders, to a place that only drones and one that only robots serve by turns."""
        region, start = self.day.region, self.day.clock.now()
        end = start + timedelta(hours=2)
        hub = next(site.site_id for site in region.sites if site.kind is SiteKind.HUB)
        drops = [site for site in region.sites if site.kind is SiteKind.DROP_POINT]
        by_turns = [
            next(site.site_id for site in drops if site.accepts_drone and not site.accepts_robot),
            next(site.site_id for site in drops if site.accepts_robot and not site.accepts_drone),
        ]
        lines = ["ref,pickup,dropoff,recipient,goods,mass_kg,volume_l,earliest,latest,priority"]
        for i, ref in enumerate(refs):
            lines.append(f"{ref},{hub},{by_turns[i % 2]},宮本様,薬,0.3,1,{start.isoformat()},{end.isoformat()},0")
        return "\n".join(lines) + "\n"

    @contextmanager
    def gateway_hangs(self) -> Iterator[None]:
        """Have the gateway neither hear nor say anything inside."""
        pid = self.day.runtime.pids["gateway-1"]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            # Who hangs for long is replaced.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def _live(home: Path, begun: Future[RunningDay], stop: asyncio.Event) -> None:
    async with (
        service(home, speed=SPEED) as running,
        begin(DayPlan(drones=2), village_region(1), running.runtime) as day,
    ):
        watcher = Watcher(running, day)
        async with day.at_work():
            await eventually("both vehicles are under way", watcher.both_are_under_way, within_s=130)
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
        day = begun.result(timeout=190)
        yield day
        day.loop.call_soon_threadsafe(stop.set)
    finally:
        thread.join(timeout=60)
