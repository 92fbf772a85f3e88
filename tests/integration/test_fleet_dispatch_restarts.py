"""A runner that is restarted, superseded or cut off from its database goes on where the vehicle is."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from fleet import missions
from fleet.db.database import DATABASE_ERRORS
from fleet.errors import Conflict
from tests.dispatch_kit import FAR_AWAY, Scene, accepted_scene, hurry
from tests.fleet_kit import World, until


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
async def scene(world: World) -> Scene:
    """A drone on its pad, with a mission of two stops that a pilot has accepted."""
    return await accepted_scene(world)


async def test_a_restart_leaves_a_vehicle_in_the_air_alone_and_follows_it(scene: Scene) -> None:
    async with scene.running():
        await scene.reaches("underway")
    scene.vehicle.calls.clear()

    async with scene.running():
        await scene.vehicle.release(scene.first)
        await scene.delivered(1)
        await scene.vehicle.release(scene.second)
        await scene.vehicle.come_home()
        await scene.reaches("completed")

    assert scene.vehicle.calls == ["recognise"]


async def test_a_restart_before_the_vehicle_has_begun_gives_the_mission_back(scene: Scene) -> None:
    await scene.world.move(scene.mission_id, "starting")

    async with scene.running():
        row = await scene.reaches("loaded")

    assert row["reason"] == "the service restarted before the vehicle had begun"
    assert "start" not in scene.vehicle.calls


async def test_a_restart_after_the_vehicle_has_begun_finds_it_under_way(scene: Scene) -> None:
    await scene.world.move(scene.mission_id, "starting")
    await scene.vehicle.fly(scene.steps)

    async with scene.running():
        await scene.reaches("underway")

    assert await scene.order_states() == ["underway", "underway"]
    assert (await scene.world.causes(scene.mission_id))[-1] == ("underway", "found under way after a restart")


@pytest.mark.parametrize("before", ["starting", "underway"])
async def test_a_mission_that_ended_unseen_is_completed_with_what_its_end_implies(scene: Scene, before: str) -> None:
    states = ["starting"] if before == "starting" else ["starting", "underway"]
    await scene.world.move(scene.mission_id, *states)
    await scene.vehicle.fly(scene.steps)
    for step in (scene.first, scene.second):
        await scene.vehicle.release(step, evidence="inferred", at=FAR_AWAY)
    await scene.vehicle.come_home()

    async with scene.running():
        await scene.reaches("completed")

    deliveries = await scene.deliveries()
    assert [d["evidence"] for d in deliveries] == ["inferred", "inferred"]
    places = [scene.steps.steps[step].position for step in (scene.first, scene.second)]
    assert [(d["lat"], d["lon"]) for d in deliveries] == [(p.lat, p.lon) for p in places]
    assert await scene.order_states() == ["delivered", "delivered"]


async def test_a_release_that_nobody_saw_is_not_placed_where_the_vehicle_is_found(scene: Scene) -> None:
    await scene.world.move(scene.mission_id, "starting", "underway")
    await scene.vehicle.fly(scene.steps)
    await scene.vehicle.release(scene.first, evidence="sensor", at=FAR_AWAY)

    async with scene.running():
        await scene.delivered(1)

    (delivery,) = await scene.deliveries()
    place = scene.steps.steps[scene.first].position
    assert (delivery["lat"], delivery["lon"]) == (place.lat, place.lon)


async def test_a_vehicle_that_lost_its_mission_is_not_given_it_again(scene: Scene) -> None:
    await scene.world.move(scene.mission_id, "starting", "underway")
    await scene.vehicle.show(position=FAR_AWAY)

    async with scene.running():
        await scene.reaches("failed")

    assert set(scene.vehicle.calls) == {"recognise"}


async def test_a_gateway_whose_lease_another_has_taken_writes_nothing_and_lets_go(scene: Scene) -> None:
    async with scene.running("gateway-1"):
        await scene.reaches("underway")
        await scene.world.write("UPDATE lease SET holder = 'gateway-2/9', epoch = epoch + 1")
        before = await scene.world.digest()
        await scene.vehicle.release(scene.first)

        async def let_go() -> bool:
            return not scene.vehicle.is_open

        await until(let_go)

    assert await scene.world.digest() == before


async def test_a_gateway_that_was_superseded_starts_nothing(scene: Scene) -> None:
    await scene.vehicle.show(ready=False)
    async with scene.running("gateway-1") as runner:

        async def adopted() -> bool:
            return runner.mission is not None

        await until(adopted)
        await scene.world.write("UPDATE lease SET holder = 'gateway-2/9', epoch = epoch + 1")
        await scene.vehicle.show(ready=True)

        async def let_go() -> bool:
            return not scene.vehicle.is_open

        await until(let_go)

    assert scene.vehicle.calls == []
    assert (await scene.row())["state"] == "accepted"


async def test_nothing_is_started_after_the_deadline_of_the_lease(scene: Scene) -> None:
    await scene.vehicle.show(ready=False)
    async with scene.running() as runner:
        runner.lease.drop()
        await scene.vehicle.show(ready=True)
        await asyncio.sleep(0.4)  # nothing may happen
        assert scene.vehicle.calls == []

        runner.lease.deadline_s = math.inf
        await scene.reaches("underway")


@asynccontextmanager
async def _breaking_connections(dsn: str) -> AsyncIterator[None]:
    """Break all connections to the database twice a second inside."""

    async def work() -> None:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
            while True:
                await conn.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                await asyncio.sleep(0.5)

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=10)


async def test_connections_that_break_all_the_time_lose_nothing(scene: Scene) -> None:
    async def begun() -> bool:
        try:
            state = (await scene.row())["state"]
            # A start whose record broke off is given back: the pilot accepts it again.
            if state == "loaded":
                await scene.accept_again()
        except (*DATABASE_ERRORS, Conflict):
            return False
        return bool(state == "underway")

    async with scene.running():
        async with _breaking_connections(scene.world.database.dsn):
            await until(begun, within_s=30)
            await scene.vehicle.release(scene.first)
            await asyncio.sleep(1.0)  # the connections break meanwhile: there is nothing to wait for
        await scene.delivered(1)
        await scene.vehicle.release(scene.second)
        await scene.vehicle.come_home()
        await scene.reaches("completed")

    assert await scene.order_states() == ["delivered", "delivered"]
    assert len(await scene.deliveries()) == 2


async def test_a_start_that_could_not_be_written_down_still_takes_the_orders_along(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, failures = missions.begin, [psycopg.OperationalError("gone"), psycopg.OperationalError("gone")]

    async def fail_first(*args: Any, **values: Any) -> None:
        if failures:
            raise failures.pop()
        await begin(*args, **values)

    monkeypatch.setattr(missions, "begin", fail_first)

    async with scene.running():
        await scene.reaches("underway")

    assert failures == []
    assert await scene.order_states() == ["underway", "underway"]
    assert scene.vehicle.calls.count("start") == 1
