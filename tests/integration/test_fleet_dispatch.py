"""One vehicle's runner against a real database: what the vehicle does is written once."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from typing import Any

import pytest

from fleet import dispatch, grounding, leases, missions
from fleet.dispatch import VehicleRunner
from fleet.execution import mission_from_json
from hardware.errors import LinkDown, MissionRejected, NoAnswer, Refused
from hardware.link import Activity
from telemetry.clock import Clock
from tests.dispatch_kit import FAR_AWAY, SPEED, Scene, accepted_scene, hurry
from tests.fleet_kit import World, until
from tests.scripted_vehicle import ScriptedVehicle


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
async def scene(world: World) -> Scene:
    """A drone on its pad, with a mission of two stops that a pilot has accepted."""
    return await accepted_scene(world)


async def test_a_mission_is_carried_from_acceptance_to_its_end(scene: Scene) -> None:
    async with scene.running():
        await scene.reaches("underway")
        assert await scene.order_states() == ["underway", "underway"]
        await scene.vehicle.release(scene.first)
        await scene.delivered(1)
        await scene.vehicle.release(scene.second)
        await scene.delivered(2)
        await scene.vehicle.come_home()
        row = await scene.reaches("completed")

    assert await scene.order_states() == ["delivered", "delivered"]
    assert [d["evidence"] for d in await scene.deliveries()] == ["sensor", "sensor"]
    assert scene.vehicle.calls == ["upload", "start"]
    assert row["reason"] is None
    causes = await scene.world.causes(scene.mission_id)
    assert causes[3:] == [
        ("starting", "upload and start"),
        ("underway", "the vehicle has begun"),
        ("completed", "idle, on the ground"),
    ]


async def test_a_release_that_is_told_for_the_rest_of_the_day_is_recorded_once(scene: Scene) -> None:
    async with scene.running():
        await scene.reaches("underway")
        await scene.vehicle.release(scene.first)
        await scene.delivered(1)
        for speed in range(30):
            await scene.vehicle.show(speed_mps=float(speed))
        await scene.command("hold", key="k")
        await scene.reaches("held")
    async with scene.running():
        await scene.vehicle.show(activity=Activity.MISSION)
        await scene.reaches("underway")

    assert len(await scene.deliveries()) == 1


async def test_a_delivery_is_recorded_where_and_when_it_was_made_not_where_the_vehicle_is_when_it_is_written(
    scene: Scene,
) -> None:
    place = scene.steps.steps[scene.first].position
    async with scene.running():
        await scene.reaches("underway")
        async with scene.world.database.transaction() as conn:
            # The database takes no writing of the runner's for a while.
            await conn.execute("SELECT 1 FROM lease FOR UPDATE")
            await scene.vehicle.release(scene.first, at=place)
            await until(scene.world.somebody_waits)
            released_at = scene.clock.now()
            await scene.vehicle.show(position=FAR_AWAY)
            await asyncio.sleep(0.2)  # the vehicle flies on: there is nothing to wait for
        await scene.delivered(1)

    (delivery,) = await scene.deliveries()
    assert (delivery["lat"], delivery["lon"]) == (place.lat, place.lon)
    assert delivery["at"] <= released_at


async def test_a_start_that_the_vehicle_refuses_goes_back_to_the_pilot_with_the_reason(scene: Scene) -> None:
    scene.vehicle.fails["start"] = [Refused("preflight fail: compass")]
    async with scene.running():
        row = await scene.reaches("loaded")
        assert (row["reason"], row["accepted_by"]) == ("preflight fail: compass", None)
        assert await scene.order_states() == ["loaded", "loaded"]

        await scene.accept_again()
        await scene.reaches("underway")

    assert ("loaded", "not started: preflight fail: compass") in await scene.world.causes(scene.mission_id)
    assert scene.vehicle.calls == ["upload", "start", "upload", "start"]


async def test_a_mission_that_the_vehicle_does_not_take_is_not_started(scene: Scene) -> None:
    scene.vehicle.fails["upload"] = [MissionRejected("item 3 differs")]
    async with scene.running():
        row = await scene.reaches("loaded")

    assert row["reason"] == "item 3 differs"
    assert scene.vehicle.calls == ["upload"]


async def test_a_mission_that_cannot_be_started_fails_after_some_attempts(scene: Scene) -> None:
    scene.vehicle.fails["start"] = [Refused("no GPS")] * 99
    async with scene.running():
        for _ in range(missions.MAX_START_ATTEMPTS - 1):
            await scene.reaches("loaded")
            await scene.accept_again()
        row = await scene.reaches("failed")

    assert row["reason"] == "no GPS"
    assert scene.vehicle.calls.count("start") == missions.MAX_START_ATTEMPTS
    assert len(await scene.world.unload(scene.mission_id)) == 2


async def test_a_vehicle_that_is_lost_while_it_starts_is_neither_given_back_nor_forgotten(scene: Scene) -> None:
    async def cut_off() -> bool:
        return "start" in scene.vehicle.calls

    gate = scene.vehicle.hangs["start"] = asyncio.Event()
    async with scene.running():
        await until(cut_off)
        await scene.vehicle.fly(scene.steps)
        await scene.vehicle.show(connected=False)
        scene.vehicle.fails["start"] = [LinkDown("not heard any more")]
        gate.set()
        await asyncio.sleep(0.6)  # longer than a vehicle that is heard is waited for
        assert (await scene.row())["state"] == "starting"

        await scene.vehicle.show(connected=True)
        await scene.reaches("underway")

    assert await scene.order_states() == ["underway", "underway"]
    assert "after: not heard any more" in (await scene.world.causes(scene.mission_id))[-1][1]


async def test_a_vehicle_that_begins_although_it_did_not_answer_is_followed(scene: Scene) -> None:
    scene.vehicle.fails["start"] = [NoAnswer("no acknowledgement")]
    async with scene.running():
        await scene.reaches("starting")
        await scene.vehicle.fly(scene.steps)
        await scene.reaches("underway")
        await scene.vehicle.release(scene.first)
        await scene.delivered(1)


async def test_a_vehicle_that_neither_answers_nor_begins_is_given_back(scene: Scene) -> None:
    scene.vehicle.fails["start"] = [NoAnswer("no acknowledgement")]
    async with scene.running():
        row = await scene.reaches("loaded")

    assert row["reason"] == "no acknowledgement"


async def test_a_vehicle_that_is_armed_is_not_given_back(scene: Scene) -> None:
    scene.vehicle.fails["start"] = [Refused("take-off denied")]
    await scene.vehicle.show(armed=True)
    async with scene.running():
        await scene.reaches("starting")
        await asyncio.sleep(0.5)  # nothing may happen
        assert (await scene.row())["state"] == "starting"

        await scene.vehicle.show(armed=False)
        await scene.reaches("loaded")


async def test_a_vehicle_that_is_not_ready_is_waited_for(scene: Scene) -> None:
    await scene.vehicle.show(ready=False)
    async with scene.running():
        await asyncio.sleep(0.3)  # nothing may happen
        assert (await scene.row())["state"] == "accepted"
        await scene.vehicle.show(ready=True)
        await scene.reaches("underway")


async def test_a_mission_does_not_start_before_its_time(scene: Scene) -> None:
    depart = (await scene.row())["planned_depart"]
    scene.clock = Clock(Clock.real().now(), depart - timedelta(seconds=10), SPEED)
    async with scene.running():
        await scene.reaches("underway")

    assert (await scene.row())["started_at"] >= depart


async def test_a_mission_that_is_cancelled_before_its_time_does_not_start(scene: Scene) -> None:
    depart = (await scene.row())["planned_depart"]
    scene.clock = Clock(Clock.real().now(), depart - timedelta(seconds=10), SPEED)
    async with scene.running() as runner:

        async def adopted() -> bool:
            return runner.mission is not None

        async def dropped() -> bool:
            return runner.mission is None

        await until(adopted)
        async with scene.world.database.transaction() as conn:
            await missions.cancel(conn, scene.mission_id, at=scene.world.at, actor="dispatcher")
        await until(dropped)

    assert scene.vehicle.calls == []


async def test_a_vehicle_that_comes_back_with_a_parcel_has_aborted_its_mission(scene: Scene) -> None:
    async with scene.running():
        await scene.reaches("underway")
        await scene.vehicle.release(scene.first)
        await scene.delivered(1)
        await scene.vehicle.show(activity=Activity.RETURN, mode="RTL", faults=("battery low",))
        await scene.reaches("returning")
        await scene.vehicle.come_home()
        row = await scene.reaches("aborted")

    assert row["reason"] == "came back with 1 undelivered"
    assert ("returning", "the vehicle itself (RTL): battery low") in await scene.world.causes(scene.mission_id)
    assert await scene.order_states() == ["delivered", "underway"]
    assert len(await scene.world.unload(scene.mission_id)) == 1


async def test_a_drone_that_lands_elsewhere_has_failed_and_says_where(scene: Scene) -> None:
    async with scene.running():
        await scene.reaches("underway")
        await scene.vehicle.show(activity=Activity.IDLE, armed=False, on_ground=True, position=FAR_AWAY)
        row = await scene.reaches("failed")

    assert row["reason"] == "the vehicle stands idle at 35.600000, 138.600000 and does not carry the mission on"
    assert await scene.order_states() == ["underway", "underway"]


async def test_a_drone_that_comes_home_without_saying_that_it_has_finished_ends_its_mission(scene: Scene) -> None:
    async with scene.running():
        await scene.reaches("underway")
        await scene.vehicle.come_home(finished=False)
        row = await scene.reaches("aborted")

    assert row["reason"] == "came back with 2 undelivered"


async def test_a_short_stop_on_the_ground_ends_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "LOST_MISSION_WALL_S", 60.0)
    async with scene.running():
        await scene.reaches("underway")
        await scene.vehicle.show(activity=Activity.IDLE, armed=False, on_ground=True, position=FAR_AWAY)
        await asyncio.sleep(15.0 / SPEED + 0.3)  # long enough for the domain clock, not for the wall clock
        assert (await scene.row())["state"] == "underway"


async def test_a_robot_that_gives_its_order_up_ends_its_mission(world: World) -> None:
    await world.robot("robot-1")
    await world.order("A1", "drop-1", mass_kg=3.0)
    (mission_id,) = await world.missions()
    await world.fly(mission_id)
    await world.write("UPDATE vehicle SET vehicle_id = vehicle_id")
    steps = mission_from_json((await world.mission(mission_id))["trip"]["mission"])
    robot = ScriptedVehicle("robot-1")
    await robot.fly(steps)
    await robot.show(armed=False, on_ground=True, position=FAR_AWAY)
    async with world.database.transaction() as conn:
        (lease,) = await leases.acquire(conn, ["robot-1"], holder="gateway-1/1")
    lease.deadline_s = math.inf
    row = await world.one("SELECT * FROM vehicle")
    clock = Clock(Clock.real().now(), world.later(120), SPEED)
    runner = VehicleRunner(vehicle=row, link=robot, lease=lease, database=world.database, clock=clock)
    running = asyncio.create_task(runner.run())
    try:
        await robot.show(activity=Activity.IDLE)

        async def failed() -> bool:
            return (await world.mission(mission_id))["state"] == "failed"

        await until(failed)
    finally:
        running.cancel()
        await asyncio.wait([running], timeout=10)

    assert "does not carry the mission on" in (await world.mission(mission_id))["reason"]


async def test_an_accepted_launch_waits_for_what_stands_in_its_way_and_says_so(scene: Scene) -> None:
    values: dict[str, Any] = {"region_id": scene.world.region.region_id, "at": scene.world.at, "actor": "pilot"}
    async with scene.world.database.transaction() as conn:
        grounded = await grounding.ground(conn, scope=("vehicle", "drone-1"), reason="a crack", **values)

    async def waits() -> bool:
        return "a crack" in ((await scene.row())["reason"] or "")

    async with scene.running():
        await until(waits)
        assert (await scene.row())["state"] == "accepted"
        assert "upload" not in scene.vehicle.calls
        async with scene.world.database.transaction() as conn:
            await grounding.lift(conn, grounded["grounding_id"], reason="replaced", **values)

        begun = await scene.reaches("underway")

    assert begun["reason"] is None
