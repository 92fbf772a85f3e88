"""What people see of delays and of what went wrong: by the API, and by what alarms are raised from."""

from __future__ import annotations

from datetime import datetime, timedelta

from fleet import commands, delays, missions
from tests.api_kit import Api
from tests.fleet_kit import World
from tests.problems import START


async def _late_min(world: World, mission_id: str) -> float:
    async with world.database.transaction() as conn:
        late = await delays.of_region(conn, region_id=world.region.region_id, now=world.at)
    return late[mission_id].total_seconds() / 60


async def test_a_mission_is_as_late_as_it_started_and_then_as_its_next_delivery_is(world: World) -> None:
    await world.drone()
    await world.order("A1")
    (mission_id,) = await world.missions()
    planned = await world.mission(mission_id)
    assert await _late_min(world, mission_id) == 0

    world.at = planned["planned_depart"] + timedelta(minutes=6)
    assert await _late_min(world, mission_id) == 6
    await world.fly(mission_id)
    world.later(60)
    assert await _late_min(world, mission_id) == 6

    world.at = datetime.fromisoformat(planned["trip"]["stops"][0]["arrive"]) + timedelta(minutes=20)
    assert await _late_min(world, mission_id) == 20

    # On its way home it makes no more deliveries; it is late when it should be back.
    await world.move(mission_id, "returning")
    world.at = planned["planned_arrive"] + timedelta(minutes=9)
    assert await _late_min(world, mission_id) == 9


async def test_arrivals_follow_the_delay_and_an_order_that_comes_back_has_none(api: Api) -> None:
    viewer = await api.as_("viewer")
    await api.world.drone()
    order_id = await api.world.order("A1")
    (mission_id,) = await api.world.missions()
    planned = (await viewer.get("/api/orders")).json()["orders"][0]
    assert planned["delay_s"] == 0
    await api.world.write("UPDATE mission SET planned_depart = planned_depart - interval '20 minutes'")

    (order,) = (await viewer.get("/api/orders")).json()["orders"]
    (mission,) = (await viewer.get("/api/missions")).json()["missions"]
    one = (await viewer.get(f"/api/orders/{order_id}")).json()

    # The departure that was planned 30 s from now is overdue by now, and every arrival with it.
    assert 19 * 60 < order["delay_s"] < 21 * 60
    assert 19 * 60 < mission["delay_s"] < 21 * 60
    later = datetime.fromisoformat(order["eta"]) - datetime.fromisoformat(planned["eta"])
    assert abs(later.total_seconds() - order["delay_s"]) < 1
    assert one["delay_s"] >= order["delay_s"]

    await api.world.fly(mission_id)
    await api.world.move(mission_id, "returning")
    (order,) = (await viewer.get("/api/orders")).json()["orders"]
    assert (order["eta"], order["delay_s"]) == (None, None)


async def test_the_list_of_plans_is_short_and_each_plan_can_be_read(api: Api) -> None:
    dispatcher = await api.as_("dispatcher")
    await api.world.drone()
    await api.world.order("A1")
    run_id = await api.world.propose()
    (proposed,) = (await dispatcher.get("/api/plans")).json()["plans"]
    await api.world.approve(run_id)

    (approved,) = (await dispatcher.get("/api/plans")).json()["plans"]

    assert proposed["plan"]["routes"]
    assert (approved["state"], approved["plan"], approved["violations"]) == ("approved", None, None)
    assert (await dispatcher.get(f"/api/plans/{run_id}")).json()["plan"] == proposed["plan"]


async def test_what_has_become_of_the_last_mission_is_known_until_somebody_has_answered(world: World) -> None:
    await world.drone()
    await world.order("A1")
    (mission_id,) = await world.missions()

    async def trouble() -> tuple[str, int, bool] | None:
        async with world.database.transaction() as conn:
            row = await missions.troubled(conn, "drone-1")
        return None if row is None else (row["state"], row["attempts"], row["parcels_aboard"])

    assert await trouble() is None
    await world.load(mission_id)
    for _ in range(2):
        await world.accept(mission_id)
        await world.move(mission_id, "starting", "loaded")
    assert await trouble() == ("loaded", 2, True)
    await world.accept(mission_id)
    await world.move(mission_id, "starting", "underway", "failed")
    assert await trouble() == ("failed", 3, True)
    await world.unload(mission_id)
    assert await trouble() == ("failed", 3, False)


async def test_the_newest_command_is_known_with_its_mission(world: World) -> None:
    await world.drone()
    await world.order("A1")
    await world.user("pilot", "pilot")
    (mission_id,) = await world.missions()
    await world.fly(mission_id)
    async with world.database.transaction() as conn:
        await commands.issue(conn, vehicle_id="drone-1", kind="hold", key="k1", issuer="pilot", at=world.at, speed=1.0)
        await commands.claim(conn, vehicle_id="drone-1", epoch=1, at=world.at)
        newest = await commands.latest(conn, vehicle_id="drone-1", since=START)
    assert newest is not None
    assert (newest["kind"], newest["mission_id"], newest["sent_at"]) == ("hold", mission_id, world.at)
