"""Missions: who may take them where, and what becomes of the parcels."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from fleet import missions, orders, vehicles
from fleet.errors import BadRequest, Conflict, NotFound
from tests.fleet_kit import World

STATES = sorted(missions.TRANSITIONS)


async def _cancel(world: World, mission_id: str) -> None:
    async with world.database.transaction() as conn:
        await missions.cancel(conn, mission_id, at=world.at, actor="dispatcher")


async def _planned(world: World) -> tuple[str, str]:
    """Return an order and the mission of a drone that it is on."""
    await world.drone()
    order_id = await world.order("A1")
    (mission_id,) = await world.missions()
    return order_id, mission_id


async def _two_in_a_row(world: World) -> tuple[str, str]:
    """Return two missions of one drone, one after the other."""
    await world.drone()
    for n in range(2):
        await world.order(f"A{n}", mass_kg=0.8)
    first, second = await world.missions()
    return first, second


async def test_every_pair_of_states_is_a_transition_or_refused(world: World) -> None:
    _, mission_id = await _planned(world)
    for before in STATES:
        for after in STATES:
            await world.rows(
                "UPDATE mission SET state = %(state)s WHERE mission_id = %(id)s RETURNING 1",
                state=before,
                id=mission_id,
            )
            move = _move(world, mission_id, after)
            if after not in missions.TRANSITIONS[before]:
                async with world.refused(Conflict, f"is {before} and cannot become {after}"):
                    await move
                continue
            await move
            event = await world.one("SELECT * FROM mission_event ORDER BY event_id DESC LIMIT 1")
            assert (event["from_state"], event["to_state"], event["cause"]) == (before, after, "because")
            assert (await world.mission(mission_id))["state"] == after


async def _move(world: World, mission_id: str, to_state: str) -> None:
    async with world.database.transaction() as conn:
        await missions.move(conn, mission_id, to_state, at=world.at, cause="because")


async def test_a_delivery_leads_from_the_shelf_over_the_vehicle_to_the_door(world: World) -> None:
    order_id, mission_id = await _planned(world)
    (parcel,) = await world.carried(mission_id)

    await world.fly(mission_id)
    assert await world.order_state(order_id) == "underway"
    assert await world.deliver(mission_id, parcel["step"]) == [order_id]
    await world.move(mission_id, "completed")

    assert await world.order_state(order_id) == "delivered"
    assert await world.holders(order_id) == ["shelf:hub-1", "vehicle:drone-1", "recipient:drop"]
    causes = await world.causes(mission_id)
    assert [state for state, _ in causes] == ["planned", "loaded", "accepted", "starting", "underway", "completed"]
    assert causes[1:3] == [("loaded", "loaded by crew"), ("accepted", "launch accepted by pilot")]


async def test_a_release_told_again_delivers_nothing_more(world: World) -> None:
    order_id, mission_id = await _planned(world)
    (parcel,) = await world.carried(mission_id)
    await world.fly(mission_id)
    await world.deliver(mission_id, parcel["step"])
    before = await world.digest()

    told_again = await asyncio.gather(*(world.deliver(mission_id, parcel["step"]) for _ in range(4)))

    assert told_again == [[], [], [], []]
    assert await world.digest() == before
    assert await world.order_state(order_id) == "delivered"


async def test_of_many_that_tell_a_release_at_once_one_delivers(world: World) -> None:
    order_id, mission_id = await _planned(world)
    (parcel,) = await world.carried(mission_id)
    await world.fly(mission_id)

    told = await asyncio.gather(*(world.deliver(mission_id, parcel["step"]) for _ in range(5)))

    assert sorted(told) == [[], [], [], [], [order_id]]
    assert (await world.holders(order_id)).count("recipient:drop") == 1


async def test_a_release_at_another_step_delivers_nothing(world: World) -> None:
    order_id, mission_id = await _planned(world)
    (parcel,) = await world.carried(mission_id)
    await world.fly(mission_id)

    assert await world.deliver(mission_id, parcel["step"] + 1) == []

    assert await world.order_state(order_id) == "underway"


async def test_a_delivery_whose_start_nobody_saw_is_taken_from_loaded_through_underway(world: World) -> None:
    order_id, mission_id = await _planned(world)
    (parcel,) = await world.carried(mission_id)
    await world.load(mission_id)
    await world.accept(mission_id)
    await world.move(mission_id, "starting")

    await world.deliver(mission_id, parcel["step"])

    events = await world.rows("SELECT to_state FROM order_event WHERE order_id = %(id)s ORDER BY event_id", id=order_id)
    assert [row["to_state"] for row in events] == ["received", "planned", "loaded", "underway", "delivered"]


@pytest.mark.parametrize("end", ["aborted", "failed", "completed"])
async def test_what_an_ended_mission_left_comes_back_by_unloading_alone(world: World, end: str) -> None:
    order_id, mission_id = await _planned(world)
    (parcel,) = await world.carried(mission_id)
    await world.fly(mission_id)
    async with world.refused(Conflict, "on their way"):
        await world.unload(mission_id)
    await world.move(mission_id, end)

    assert await world.order_state(order_id) == "underway"
    async with world.refused(Conflict, f"is {end}"):
        await world.deliver(mission_id, parcel["step"])
    assert await world.unload(mission_id) == [order_id]
    async with world.refused(Conflict, "no parcels left"):
        await world.unload(mission_id)

    assert await world.order_state(order_id) == "received"
    assert await world.holders(order_id) == ["shelf:hub-1", "vehicle:drone-1", "shelf:hub-1"]


async def _missed(world: World) -> tuple[str, str]:
    """Have a vehicle come back without a parcel that nobody has seen handed over; return the order and the mission."""
    order_id, mission_id = await _planned(world)
    await world.fly(mission_id)
    await world.move(mission_id, "completed")
    assert await world.unload(mission_id, missing=[order_id, order_id]) == []
    return order_id, mission_id


async def _resolve(world: World, order_id: str, outcome: str) -> None:
    async with world.database.transaction() as conn:
        await orders.resolve(conn, order_id, outcome, note="called", at=world.at, actor="dispatcher")


async def test_a_parcel_that_is_gone_unseen_is_unconfirmed_and_never_sent_again_by_itself(world: World) -> None:
    order_id, mission_id = await _missed(world)

    assert await world.order_state(order_id) == "unconfirmed"
    assert await world.holders(order_id) == ["shelf:hub-1", "vehicle:drone-1"]
    assert await world.missions() == []
    async with world.refused(Conflict, "no parcels left"):
        await world.unload(mission_id)


@pytest.mark.parametrize(
    ("outcome", "state", "holder"),
    [
        ("delivered", "delivered", "recipient:drop-5"),
        ("found", "received", "shelf:hub-1"),
        ("lost", "failed", "vehicle:drone-1"),
    ],
)
async def test_a_person_resolves_what_nobody_saw(world: World, outcome: str, state: str, holder: str) -> None:
    order_id, _ = await _missed(world)

    await _resolve(world, order_id, outcome)

    assert await world.order_state(order_id) == state
    assert (await world.holders(order_id))[-1] == holder
    async with world.refused(Conflict, "only an unconfirmed one"):
        await _resolve(world, order_id, outcome)


async def test_what_was_never_missed_cannot_be_resolved_nor_missed(world: World) -> None:
    order_id, mission_id = await _planned(world)
    async with world.refused(Conflict, "only an unconfirmed one"):
        await _resolve(world, order_id, "delivered")
    await world.fly(mission_id)
    await world.move(mission_id, "completed")
    async with world.refused(BadRequest, "missing"):
        await world.unload(mission_id, missing=["o-none"])
    await world.unload(mission_id, missing=[order_id])
    async with world.refused(BadRequest, "outcome"):
        await _resolve(world, order_id, "eaten")


async def test_an_order_that_came_back_is_planned_again(world: World) -> None:
    order_id, mission_id = await _planned(world)
    await world.fly(mission_id)
    await world.move(mission_id, "aborted", reason="gust")
    await world.unload(mission_id)

    (waiting,) = await world.rows("SELECT reason FROM delivery_order")
    assert waiting["reason"] == "not delivered by drone-1, whose mission was aborted: gust"
    (again,) = await world.missions()
    (parcel,) = await world.carried(again)
    await world.fly(again)
    await world.deliver(again, parcel["step"])

    assert again != mission_id
    assert await world.order_state(order_id) == "delivered"
    assert await world.holders(order_id) == [
        "shelf:hub-1", "vehicle:drone-1", "shelf:hub-1", "vehicle:drone-1", "recipient:drop",
    ]  # fmt: skip


async def test_a_planned_mission_that_is_cancelled_lets_its_orders_go(world: World) -> None:
    order_id, mission_id = await _planned(world)

    await _cancel(world, mission_id)

    assert (await world.mission(mission_id))["state"] == "cancelled"
    assert await world.order_state(order_id) == "received"
    assert await world.holders(order_id) == ["shelf:hub-1"]


@pytest.mark.parametrize("accepted", [False, True])
async def test_a_loaded_mission_that_is_cancelled_keeps_its_parcels_until_they_are_unloaded(
    world: World, accepted: bool
) -> None:
    order_id, mission_id = await _planned(world)
    await world.load(mission_id)
    if accepted:
        await world.accept(mission_id)

    await _cancel(world, mission_id)

    assert await world.order_state(order_id) == "loaded"
    assert (await world.holders(order_id))[-1] == "vehicle:drone-1"
    assert await world.unload(mission_id) == [order_id]
    assert await world.order_state(order_id) == "received"


@pytest.mark.parametrize("state", ["starting", "underway"])
async def test_a_mission_that_has_started_is_not_cancelled(world: World, state: str) -> None:
    _, mission_id = await _planned(world)
    await world.load(mission_id)
    await world.accept(mission_id)
    await world.move(mission_id, "starting", *(["underway"] if state == "underway" else []))

    async with world.refused(Conflict, f"is {state} and cannot become cancelled"):
        await _cancel(world, mission_id)


async def test_a_cancellation_and_a_start_at_once_never_both_happen(world: World) -> None:
    _, mission_id = await _planned(world)
    await world.load(mission_id)
    await world.accept(mission_id)

    outcomes = await asyncio.gather(
        _cancel(world, mission_id), world.move(mission_id, "starting"), return_exceptions=True
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "NoneType"]


async def test_a_vehicle_is_loaded_for_its_missions_in_turn(world: World) -> None:
    first, second = await _two_in_a_row(world)

    async with world.refused(Conflict, f"is not free: mission {first} is planned"):
        await world.load(second)
    await world.fly(first)
    async with world.refused(Conflict, f"is not free: mission {first} is underway"):
        await world.load(second)
    for parcel in await world.carried(first):
        await world.deliver(first, parcel["step"])
    await world.move(first, "completed")

    await world.load(second)

    assert (await world.mission(second))["state"] == "loaded"


async def test_a_vehicle_is_not_loaded_while_an_ended_mission_has_parcels_in_it(world: World) -> None:
    first, second = await _two_in_a_row(world)
    await world.fly(first)
    await world.move(first, "aborted")

    async with world.refused(Conflict, f"not empty: 1 parcels of mission {first}"):
        await world.load(second)

    await world.unload(first)
    await world.load(second)
    assert (await world.mission(second))["state"] == "loaded"


async def test_a_retired_vehicle_is_not_loaded(world: World) -> None:
    _, mission_id = await _planned(world)
    async with world.database.transaction() as conn:
        await vehicles.retire(conn, "drone-1", at=world.at, actor="admin")

    async with world.refused(Conflict, "is retired"):
        await world.load(mission_id)


async def test_each_start_is_accepted_by_name_again(world: World) -> None:
    _, mission_id = await _planned(world)
    await world.load(mission_id)
    await world.accept(mission_id)
    assert (await world.mission(mission_id))["accepted_by"] == "pilot"
    async with world.refused(Conflict, "is accepted and cannot become accepted"):
        await world.accept(mission_id)

    await world.move(mission_id, "starting", "loaded")

    assert (await world.mission(mission_id))["accepted_by"] is None


async def test_of_two_that_load_a_mission_at_once_one_does(world: World) -> None:
    order_id, mission_id = await _planned(world)

    outcomes = await asyncio.gather(world.load(mission_id), world.load(mission_id), return_exceptions=True)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "NoneType"]
    assert await world.holders(order_id) == ["shelf:hub-1", "vehicle:drone-1"]


async def test_unknown_missions_are_not_found(world: World) -> None:
    deeds: list[Awaitable[Any]] = [
        world.load("m-none"), world.accept("m-none"), world.unload("m-none"), _cancel(world, "m-none"),
        world.mission("m-none"),
    ]  # fmt: skip
    for deed in deeds:
        async with world.refused(NotFound, "m-none"):
            await deed
