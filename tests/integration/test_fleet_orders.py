"""Orders and custody: what is taken in, once and whole, and the transitions that there are."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from fleet import orders
from fleet.errors import Conflict, NotFound
from tests.fleet_kit import World, new_order, until

STATES = sorted(orders.TRANSITIONS)


async def test_a_new_order_is_on_the_shelf_with_its_history_begun(world: World) -> None:
    order_id = await world.order("A1")

    assert await world.order_state(order_id) == "received"
    assert await world.holders(order_id) == ["shelf:hub-1"]
    event = await world.one("SELECT * FROM order_event WHERE order_id = %(id)s", id=order_id)
    assert (event["from_state"], event["to_state"], event["cause"]) == (None, "received", "received by shop")
    entry = await world.one("SELECT * FROM audit WHERE subject_id = %(id)s", id=order_id)
    assert (entry["actor"], entry["action"]) == ("shop", "order.receive")


async def test_an_order_sent_again_is_the_same_order(world: World) -> None:
    first = await world.order("A1")
    before = await world.digest()

    async with world.database.transaction() as conn:
        row, is_new = await world.receive(conn, new_order("A1"))

    assert (row["order_id"], is_new) == (first, False)
    assert await world.digest() == before


@pytest.mark.parametrize(
    "change",
    [{"mass_kg": 0.31}, {"dropoff_site": "drop-6"}, {"recipient": "Suzuki"}, {"priority": 1}, {"goods": ""}],
)
async def test_the_same_reference_with_other_content_is_refused(world: World, change: dict[str, object]) -> None:
    await world.order("A1")

    expected = "'A1' exists already with other content"
    async with world.refused(Conflict, expected), world.database.transaction() as conn:
        await world.receive(conn, new_order("A1", **change))


async def test_of_many_that_send_one_order_at_once_one_makes_it(world: World) -> None:
    async def send() -> bool:
        async with world.database.transaction() as conn:
            return (await world.receive(conn, new_order("A1")))[1]

    assert sorted(await asyncio.gather(*(send() for _ in range(5)))) == [False] * 4 + [True]
    assert len(await world.rows("SELECT * FROM custody")) == 1


async def test_many_orders_are_taken_together_and_known_ones_are_counted(world: World) -> None:
    await world.order("A1")
    batch = [new_order(f"A{n}", mass_kg=0.1 + 0.2 * n) for n in range(2, 5)]

    async with world.database.transaction() as conn:
        counts = await orders.receive_all(
            conn, [new_order("A1"), *batch], region_id=world.region.region_id, at=world.at, actor="shop"
        )

    assert counts == (3, 1)
    stored = await world.rows("SELECT external_ref, mass_kg FROM delivery_order ORDER BY external_ref")
    assert [(row["external_ref"], row["mass_kg"]) for row in stored[1:]] == [(o.external_ref, o.mass_kg) for o in batch]
    assert len(await world.rows("SELECT * FROM custody")) == 4
    assert len(await world.rows("SELECT * FROM order_event")) == 4


async def test_one_clash_leaves_all_of_many_orders_out(world: World) -> None:
    await world.order("A2")
    batch = [new_order("A1"), new_order("A2", mass_kg=0.9), new_order("A3")]

    async with world.refused(Conflict, "'A2'"), world.database.transaction() as conn:
        await orders.receive_all(conn, batch, region_id=world.region.region_id, at=world.at, actor="shop")


async def test_a_reference_twice_among_many_with_other_content_is_refused(world: World) -> None:
    async with world.refused(Conflict, "'A1'"), world.database.transaction() as conn:
        batch = [new_order("A1"), new_order("A1", mass_kg=0.9)]
        await orders.receive_all(conn, batch, region_id=world.region.region_id, at=world.at, actor="shop")


async def test_every_pair_of_states_is_a_transition_or_refused(world: World) -> None:
    order_id = await world.order("A1")
    for before in STATES:
        for after in STATES:
            await world.write("UPDATE delivery_order SET state = %(state)s", state=before)
            if after not in orders.TRANSITIONS[before]:
                async with world.refused(Conflict, f"is {before} and cannot become {after}"):
                    await _move(world, order_id, after)
                continue
            await _move(world, order_id, after)
            assert await world.order_state(order_id) == after
            event = await world.one("SELECT * FROM order_event ORDER BY event_id DESC LIMIT 1")
            assert (event["from_state"], event["to_state"], event["cause"]) == (before, after, "because")


async def _move(world: World, order_id: str, to_state: str) -> None:
    async with world.database.transaction() as conn:
        await orders.move(conn, order_id, to_state, at=world.at, cause="because")


async def _cancel(world: World, order_id: str) -> None:
    async with world.database.transaction() as conn:
        await orders.cancel(conn, order_id, at=world.at, actor="dispatcher")


async def test_a_waiting_order_is_cancelled_by_name(world: World) -> None:
    order_id = await world.order("A1")

    await _cancel(world, order_id)

    row = await world.one("SELECT * FROM delivery_order")
    assert (row["state"], row["reason"]) == ("cancelled", "cancelled")
    event = await world.one("SELECT cause FROM order_event ORDER BY event_id DESC LIMIT 1")
    assert event["cause"] == "cancelled by dispatcher"


async def test_an_order_on_a_mission_is_not_cancelled(world: World) -> None:
    await world.drone()
    order_id = await world.order("A1")
    await world.missions()

    async with world.refused(Conflict, "is planned; only a waiting order"):
        await _cancel(world, order_id)


async def test_an_order_planned_while_it_is_being_cancelled_stays_planned(world: World) -> None:
    await world.drone()
    order_id = await world.order("A1")
    run_id = await world.propose()
    async with world.database.transaction() as conn:
        await conn.execute("SELECT 1 FROM delivery_order FOR UPDATE")
        cancelling = asyncio.create_task(_cancel(world, order_id))
        await until(world.somebody_waits)
        await conn.execute("UPDATE delivery_order SET state = 'planned'")

    with pytest.raises(Conflict):
        await cancelling

    assert await world.order_state(order_id) == "planned"
    assert run_id


async def test_an_order_whose_window_has_closed_fails_with_the_reason_known(world: World) -> None:
    plain, explained = await world.order("A1"), await world.order("A2")
    later = await world.order("A3", latest=world.at + timedelta(hours=5))
    async with world.database.transaction() as conn:
        await orders.explain(conn, explained, "too heavy for today", at=world.at)

    world.later(2 * 3600)
    async with world.database.transaction() as conn:
        failed = await orders.fail_overdue(conn, region_id=world.region.region_id, at=world.at)

    rows = {row["order_id"]: row for row in await world.rows("SELECT * FROM delivery_order")}
    assert failed == 2
    assert rows[plain]["state"] == rows[explained]["state"] == "failed"
    assert rows[plain]["reason"] == "the time window closed before a vehicle was free"
    assert rows[explained]["reason"] == "the time window closed: too heavy for today"
    assert rows[later]["state"] == "received"


async def test_a_waiting_order_keeps_the_hard_cause_over_later_soft_ones(world: World) -> None:
    order_id = await world.order("A1")

    async def explained(reason: str, cause: str = "") -> tuple[str, str | None]:
        async with world.database.transaction() as conn:
            await orders.explain(conn, order_id, reason, cause=cause, at=world.at)
            row = await orders.get(conn, order_id)
        return row["reason"], row["reason_cause"]

    assert await explained("nobody has looked at it") == ("nobody has looked at it", None)
    assert await explained("all are busy", "capacity") == ("all are busy", "capacity")
    assert await explained("9 kg is too much", "mass") == ("9 kg is too much", "mass")
    for soft in ("window", "capacity", "crowded", "shift", ""):
        assert await explained("would be late", soft) == ("9 kg is too much", "mass")
    assert await explained("the battery is too small", "energy") == ("the battery is too small", "energy")

    world.later(2 * 3600)
    async with world.database.transaction() as conn:
        await orders.fail_overdue(conn, region_id=world.region.region_id, at=world.at)
        row = await orders.get(conn, order_id)
    assert (row["state"], row["reason_cause"]) == ("failed", "energy")
    assert row["reason"] == "the time window closed: the battery is too small"


async def test_an_order_that_is_planned_has_nothing_to_explain(world: World) -> None:
    await world.drone()
    order_id = await world.order("A1")
    async with world.database.transaction() as conn:
        await orders.explain(conn, order_id, "too windy", cause="wind", at=world.at)

    await world.missions()

    row = await world.one("SELECT state, reason, reason_cause FROM delivery_order")
    assert row == {"state": "planned", "reason": None, "reason_cause": None}


async def test_an_order_on_a_mission_does_not_fail_when_its_window_closes(world: World) -> None:
    await world.drone()
    order_id = await world.order("A1")
    await world.missions()

    world.later(3 * 3600)
    async with world.database.transaction() as conn:
        assert await orders.fail_overdue(conn, region_id=world.region.region_id, at=world.at) == 0

    assert await world.order_state(order_id) == "planned"


async def test_a_listing_says_what_carries_an_order_and_when_it_comes(world: World) -> None:
    await world.drone()
    order_id = await world.order("A1")
    (mission_id,) = await world.missions()

    async with world.database.transaction() as conn:
        (row,) = await orders.listing(conn, region_id=world.region.region_id)

    assert (row["order_id"], row["mission_id"], row["vehicle_id"]) == (order_id, mission_id, "drone-1")
    mission = await world.mission(mission_id)
    assert mission["planned_depart"] < row["eta"] < mission["planned_arrive"]


async def test_a_listing_that_does_not_fit_holds_the_newest_orders(world: World) -> None:
    for n in range(4):
        world.later(1)
        await world.order(f"A{n}")

    async with world.database.transaction() as conn:
        rows = await orders.listing(conn, region_id=world.region.region_id, limit=2)

    assert [row["external_ref"] for row in rows] == ["A2", "A3"]


async def test_unknown_orders_are_not_found(world: World) -> None:
    for deed in (_cancel(world, "o-none"), _move(world, "o-none", "planned"), world.order_state("o-none")):
        async with world.refused(NotFound, "o-none"):
            await deed
