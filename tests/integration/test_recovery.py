"""Nothing is lost and nothing is delivered twice, whatever is killed in the middle of a day."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.scenarios.proof import read_log
from tests.integration.day import PARTS, Watcher, day_on, eventually, service

# At this speed the drone's lost-link time of 10 s is over before a gateway is back: it comes home and flies again.
FAST = 10.0


async def _assert_the_day_ended_whole(watcher: Watcher, *, robot_mission: str) -> None:
    proof = await watcher.proof()
    orders = await watcher.orders()
    robot = (await watcher.missions())["robot-1"]
    assert [order["state"] for order in orders] == ["delivered", "delivered"]
    assert proof["differences"] == []
    assert (proof["released"], proof["delivered"]) == (2, 2)
    # A robot goes on without us: it must have been found again, not sent again.
    assert (robot["mission_id"], robot["state"]) == (robot_mission, "completed")


@pytest.mark.timeout(300)
async def test_everything_is_killed_at_once_and_then_each_part_while_the_vehicles_are_under_way(tmp_path: Path) -> None:
    async with service(tmp_path / "home", speed=FAST) as running, day_on(running) as day:
        watcher = Watcher(running, day)
        await eventually("both vehicles are under way", watcher.both_are_under_way, within_s=60)
        robot_mission = (await watcher.missions())["robot-1"]["mission_id"]

        await running.kill_everything()
        await running.start()

        async def are_heard_again() -> bool:
            return all([await watcher.unheard_s(vehicle_id) for vehicle_id in ("drone-1", "robot-1")])

        await eventually("both vehicles are heard again", are_heard_again, within_s=60)
        for part in PARTS:
            await running.kill(part)

        await eventually("the day is over", watcher.is_over, within_s=220)
        await _assert_the_day_ended_whole(watcher, robot_mission=robot_mission)
        for vehicle_id in ("drone-1", "robot-1"):
            # Some seconds of wall time until all runs again, ten times as long for the vehicles.
            unheard_s = await watcher.unheard_s(vehicle_id)
            assert unheard_s
            assert all(5 < each_s < 600 for each_s in unheard_s)


@pytest.mark.timeout(180)
async def test_a_gateway_killed_in_flight_finds_its_drone_again_and_lets_it_fly_on(tmp_path: Path) -> None:
    """At true speed there are 10 s until the drone gives its link up: the service is back long before."""
    async with service(tmp_path / "home", speed=1) as running, day_on(running, order_count=1) as day:
        watcher = Watcher(running, day)
        await eventually("the drone is under way", watcher.drone_is_under_way, within_s=90)
        before = (await watcher.missions())["drone-1"]
        epoch = await watcher.lease_epoch("drone-1")
        own_log = day.simulation.log_dir / "drone-1.jsonl"
        uploads = [record for record in read_log(own_log) if record["event"] == "stored"]

        await running.kill("gateway-1")
        stored = await watcher.samples("drone-1")

        async def is_heard_again() -> bool:
            return await watcher.samples("drone-1") > stored + 50

        await eventually("the drone's samples arrive again", is_heard_again, within_s=40)
        after = (await watcher.missions())["drone-1"]
        epoch_after = await watcher.lease_epoch("drone-1")
        records = list(read_log(own_log))
    assert (after["mission_id"], after["state"]) == (before["mission_id"], "underway")
    assert epoch_after > epoch
    uploaded = [record for record in records if record["event"] == "stored"]
    assert uploads
    assert uploaded == uploads, "a flying vehicle is not uploaded to again"
    assert "failsafe" not in {record["event"] for record in records}
