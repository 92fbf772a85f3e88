"""The whole service against a real PX4, killed while its drone is in the air."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fleet.scenarios.day import Day, DayPlan, begin
from routing.region.sample import village_region
from tests.integration.day import Service, Watcher, eventually, service
from tests.px4 import px4_folder

KEPT_S = 10.0
"""The profile's lost-link time: away for longer, and the drone comes home by itself."""


@asynccontextmanager
async def day_with_px4(running: Service) -> AsyncIterator[Day]:
    """One drone with a real autopilot, and one order for it."""
    plan = DayPlan(robots=0, orders=1, px4_dir=px4_folder())
    async with begin(plan, village_region(1), running.runtime) as day, day.at_work():
        yield day


class Flight(Watcher):
    """Looks at what the store has of the drone."""

    async def modes(self, mission_id: str) -> list[dict[str, Any]]:
        """Return the samples of a mission in the air, oldest first."""
        statement = """SELECT t, mode, step FROM sample
            WHERE vehicle_id = 'drone-1' AND mission_id = %s AND NOT on_ground ORDER BY t"""
        async with self._connection() as conn:
            return list(await (await conn.execute(statement, [mission_id])).fetchall())

    async def is_flying(self) -> bool:
        """Whether the drone is under way, and has been in the air for a while."""
        if not await self.drone_is_under_way():
            return False
        return len(await self.modes((await self.missions())["drone-1"]["mission_id"])) > 50


@pytest.mark.timeout(300)
async def test_the_service_is_killed_and_finds_its_drone_again_without_an_upload(tmp_path: Path) -> None:
    """At true speed. An upload in flight would make PX4 begin its mission anew: it goes on where it was."""
    px4_folder()
    async with service(tmp_path / "home", speed=1) as running, day_with_px4(running) as day:
        watcher = Flight(running, day)
        await eventually("the drone is in the air", watcher.is_flying, within_s=120)
        before = (await watcher.missions())["drone-1"]
        epoch = await watcher.lease_epoch("drone-1")
        flown = await watcher.modes(before["mission_id"])

        await running.kill_everything()
        await running.start()

        async def is_heard_again() -> bool:
            return len(await watcher.modes(before["mission_id"])) > len(flown) + 50

        await eventually("the drone's samples arrive again", is_heard_again, within_s=60)
        after = (await watcher.missions())["drone-1"]
        epoch_after = await watcher.lease_epoch("drone-1")
        samples = await watcher.modes(before["mission_id"])

    steps = [sample["step"] for sample in samples if sample["step"] is not None]
    away_s = max((b["t"] - a["t"]).total_seconds() for a, b in pairwise(samples))
    assert after["mission_id"] == before["mission_id"]
    assert epoch_after > epoch
    assert steps == sorted(steps), "its progress goes on"
    assert away_s > 1.0
    if away_s < KEPT_S:
        assert after["state"] == "underway"
        assert {sample["mode"] for sample in samples[len(flown) :]} == {flown[-1]["mode"]}, (
            "and it flew on all the while"
        )
