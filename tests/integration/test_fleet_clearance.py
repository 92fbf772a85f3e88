"""Clearance to launch: what flies already is stayed clear of, as late as it really is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from fleet import clearance
from tests.fleet_kit import World


async def two_flights(world: World) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the missions of two drones to one drop point, the sooner one first."""
    await world.drone("drone-1", port=14601, pad=0)
    await world.drone("drone-2", port=14602, pad=1)
    await world.order("A1", "drop-8", mass_kg=0.9)
    await world.order("A2", "drop-8", mass_kg=0.9)
    both = [await world.mission(mission_id) for mission_id in await world.missions()]
    assert {mission["vehicle_id"] for mission in both} == {"drone-1", "drone-2"}
    first, second = sorted(both, key=lambda mission: mission["planned_depart"])
    return first, second


async def in_the_way(world: World, mission: dict[str, Any], at: datetime) -> list[str]:
    """Return what keeps ``mission`` from leaving at ``at``."""
    async with world.database.transaction() as conn:
        return await clearance.in_the_way(conn, mission, world.region, at=at)


async def depart(world: World, mission: dict[str, Any], at: datetime) -> None:
    """Let a mission begin at ``at``."""
    world.at = at
    await world.fly(mission["mission_id"])


async def test_where_nothing_flies_a_launch_is_clear(world: World) -> None:
    first, _ = await two_flights(world)
    assert await in_the_way(world, first, first["planned_depart"]) == []


async def test_flights_that_leave_as_planned_are_clear_of_one_another(world: World) -> None:
    first, second = await two_flights(world)
    await depart(world, first, first["planned_depart"])
    assert await in_the_way(world, second, second["planned_depart"]) == []


async def test_a_flight_that_would_leave_right_after_another_waits_for_it(world: World) -> None:
    first, second = await two_flights(world)
    await depart(world, first, first["planned_depart"])
    assert await in_the_way(world, second, first["planned_depart"] + timedelta(seconds=5)) == [first["mission_id"]]


async def test_a_late_flight_shifts_what_follows_it(world: World) -> None:
    first, second = await two_flights(world)
    late = second["planned_depart"] - timedelta(seconds=5)
    await depart(world, first, late)
    assert await in_the_way(world, second, second["planned_depart"]) == [first["mission_id"]]
    delay = late - first["planned_depart"]
    assert await in_the_way(world, second, second["planned_depart"] + delay) == []


async def test_while_a_flight_has_left_its_plan_nothing_crosses_its_path(world: World) -> None:
    first, second = await two_flights(world)
    await depart(world, first, first["planned_depart"])
    await world.move(first["mission_id"], "held")
    assert await in_the_way(world, second, second["planned_depart"]) == [first["mission_id"]]


async def test_new_plans_are_given_what_flies_with_its_delay_and_without_its_past(world: World) -> None:
    first, second = await two_flights(world)
    began = first["planned_depart"] + timedelta(seconds=30)
    await depart(world, first, began)
    now = began + timedelta(seconds=60)
    async with world.database.transaction() as conn:
        given = {trip.trip_id: trip for trip in await clearance.given(conn, region_id=world.region.region_id, at=now)}
    assert set(given) == {first["mission_id"], second["mission_id"]}
    flying = given[first["mission_id"]]
    assert now <= flying.track[0].at <= now + timedelta(seconds=3)
    landing = first["planned_arrive"] + timedelta(seconds=30)
    assert abs((flying.track[-1].at - landing).total_seconds()) < 60
