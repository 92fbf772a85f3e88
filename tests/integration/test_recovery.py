"""Nothing is lost and nothing is delivered twice, whatever is killed in the middle of a day."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.day import day_on, eventually, kill, service, watching


@pytest.mark.timeout(300)
async def test_each_part_is_killed_while_both_vehicles_are_under_way(tmp_path: Path) -> None:
    """At this speed the drone's lost-link time is over before the gateway is back: it comes home and flies again."""
    async with service(tmp_path / "home", speed=8) as running, day_on(running) as day, watching(day) as watcher:
        await eventually("both vehicles are under way", watcher.both_are_under_way, within_s=90)
        began = {vehicle: row["mission_id"] for vehicle, row in (await watcher.missions()).items()}

        for part in ("gateway-1", "api", "planner", "broker", "database"):
            await kill(running, part)
        await eventually("the day is over", watcher.is_over, within_s=240)

        proof = await watcher.proof()
        orders = await watcher.orders()
        ended = await watcher.missions()
    assert [order["state"] for order in orders] == ["delivered", "delivered"]
    assert proof["differences"] == []
    assert (proof["released"], proof["delivered"]) == (2, 2)
    # A robot goes on without us: it must have been found again, not sent again.
    assert ended["robot-1"]["mission_id"] == began["robot-1"]
    assert ended["robot-1"]["state"] == "completed"


@pytest.mark.timeout(200)
async def test_a_gateway_killed_in_flight_finds_its_drone_again_and_lets_it_fly_on(tmp_path: Path) -> None:
    """At true speed there are 10 s until the drone gives its link up."""
    async with service(tmp_path / "home", speed=1) as running, day_on(running, order_count=1) as day:
        async with watching(day) as watcher:

            async def drone_is_under_way() -> bool:
                newest = await watcher.missions()
                return "drone-1" in newest and newest["drone-1"]["state"] == "underway"

            await eventually("the drone is under way", drone_is_under_way, within_s=90)
            before = (await watcher.missions())["drone-1"]

            await kill(running, "gateway-1")

            await eventually("the gateway has re-attached", reattached, within_s=30)
            moved_from = running_state()
