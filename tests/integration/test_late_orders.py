"""Medical orders that will be late: the dispatcher is told and a new plan is asked for, once."""

from __future__ import annotations

from datetime import timedelta

from fleet.late_orders import LateOrders
from telemetry.clock import Clock
from tests.fleet_kit import World


def round_of(world: World) -> LateOrders:
    return LateOrders(world.database, Clock(Clock.real().now(), world.at, 1.0))


async def journal(world: World) -> list[tuple[str, bool, str | None]]:
    rows = await world.rows("SELECT state, ended_at IS NULL AS open, response FROM contingency ORDER BY number")
    return [(row["state"], row["open"], row["response"]) for row in rows]


async def runs(world: World) -> list[str]:
    return [row["requested_by"] for row in await world.rows("SELECT requested_by FROM planning_run")]


async def test_a_medical_order_that_waits_until_it_is_too_late_asks_for_a_plan_once(world: World) -> None:
    await world.order("M1", goods="処方薬", latest=world.at + timedelta(minutes=15))
    await world.order("B1", goods="bread", latest=world.at + timedelta(minutes=15))
    rounds = round_of(world)

    for _ in range(3):
        await rounds.once()

    assert await journal(world) == [("done", True, "replan")]
    assert await runs(world) == ["rule: medical_late"]
    row = await world.one("SELECT seen_en, outcome FROM contingency")
    assert "M1" in row["seen_en"]
    assert "asked for" in row["outcome"]


async def test_one_that_has_time_is_left_alone(world: World) -> None:
    await world.order("M1", goods="insulin", latest=world.at + timedelta(hours=2))
    await round_of(world).once()
    assert await journal(world) == []
    assert await runs(world) == []


async def test_while_another_plan_is_open_it_says_so_and_asks_again_when_that_is_decided(world: World) -> None:
    await world.order("M1", priority=9, latest=world.at + timedelta(minutes=15))
    run_id = await world.request()
    await round_of(world).once()
    assert await journal(world) == [("failed", True, "replan")]
    assert run_id in (await world.one("SELECT outcome FROM contingency"))["outcome"]

    await world.write("UPDATE planning_run SET state = 'rejected'")
    world.later(90)
    await round_of(world).once()

    assert await journal(world) == [("done", True, "replan")]
    assert len(await runs(world)) == 2


async def test_one_on_a_mission_that_runs_late_is_told_of_and_over_when_it_is_delivered(world: World) -> None:
    await world.drone()
    order_id = await world.order("M1", "drop-5", goods="vaccine", latest=world.at + timedelta(minutes=40))
    (mission_id,) = await world.missions()
    world.later(3600)

    rounds = round_of(world)
    await rounds.once()

    assert await journal(world) == [("noted", True, None)]
    row = await world.one("SELECT outcome FROM contingency")
    assert mission_id in row["outcome"]
    alarm = rounds._book.alarms("process", "orders")
    assert alarm == () or "M1" in alarm[0].text_en
    await world.write("UPDATE delivery_order SET state = 'delivered' WHERE order_id = %(id)s", id=order_id)
    await round_of(world).once()
    assert await journal(world) == [("noted", False, None)]
