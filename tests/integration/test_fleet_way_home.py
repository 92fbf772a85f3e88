"""Where a drone stands before it is loaded, and where it will be when it comes home by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from fleet import clearance, way_home
from fleet.errors import Conflict
from hardware.profiles import load_profile
from routing.formats.json import given_from_json
from routing.geo import LocalFrame, Position, distance_m
from routing.problem import GivenTrip, TimedPosition
from telemetry.sample import Sample
from tests.api_kit import Api, assert_problem
from tests.fleet_kit import World

DRONE = load_profile("multirotor_1kg")


async def seen(world: World, vehicle_id: str, place: Position, at: datetime) -> None:
    """Store where a vehicle was."""
    sample = Sample(
        vehicle_id,
        at,
        seq=1,
        vehicle_ms=1,
        lat_e7=round(place.lat * 1e7),
        lon_e7=round(place.lon * 1e7),
        alt_amsl_cm=round(place.alt_amsl_m * 100),
    )
    await world.store([sample])


async def a_mission(world: World, vehicle_id: str = "drone-1", *, pad: int = 0) -> dict[str, Any]:
    await world.drone(vehicle_id, port=14600 + pad, pad=pad)
    await world.order("A1", "drop-8", mass_kg=0.9)
    (mission_id,) = await world.missions()
    return await world.mission(mission_id)


def pad_of(world: World, number: int = 0) -> Position:
    return world.region.site("hub-1").pads[number]


def beside(place: Position, metres: float) -> Position:
    return LocalFrame(place).to_global(metres, 0.0, place.alt_amsl_m)


async def planned_track(world: World, mission_id: str) -> GivenTrip:
    row = await world.one("SELECT given FROM mission_track WHERE mission_id = %(id)s", id=mission_id)
    return given_from_json(row["given"])


async def test_a_drone_on_its_pad_is_loaded(world: World) -> None:
    mission = await a_mission(world)
    await seen(world, "drone-1", beside(pad_of(world), 4.0), world.at)

    await world.load(mission["mission_id"])

    assert (await world.mission(mission["mission_id"]))["state"] == "loaded"


async def test_a_drone_that_stands_elsewhere_is_not_loaded_and_the_crew_hears_how_far_it_is(world: World) -> None:
    mission = await a_mission(world)
    await seen(world, "drone-1", beside(pad_of(world), 37.0), world.at)

    with pytest.raises(Conflict, match=r"drone-1 stands 37 m from the pad .* within 5 m are needed"):
        await world.load(mission["mission_id"])

    assert (await world.mission(mission["mission_id"]))["state"] == "planned"


async def test_where_a_silent_drone_stood_does_not_count(world: World) -> None:
    mission = await a_mission(world)
    await seen(world, "drone-1", beside(pad_of(world), 37.0), world.at - timedelta(minutes=10))

    await world.load(mission["mission_id"])


async def test_the_way_home_of_a_lost_drone_goes_on_along_its_mission_and_ends_on_its_pad(world: World) -> None:
    mission = await a_mission(world)
    planned = await planned_track(world, mission["mission_id"])
    late = timedelta(seconds=45)
    world.at = mission["planned_depart"] + late
    await world.fly(mission["mission_id"])
    last = planned.track[30]
    await seen(world, "drone-1", beside(last.position, 3.0), last.at + late)

    async with world.database.transaction() as conn:
        way = await way_home.of_mission(conn, mission["mission_id"], world.region)

    assert way is not None
    assert way.seen_at == last.at + late
    assert distance_m(way.lands_on, pad_of(world)) < 1.0
    stop_s = sum((stay.leave - stay.arrive).total_seconds() for stay in planned.stays)
    on_plan = planned.track[-1].at + late
    assert way.lands_at <= on_plan
    assert (on_plan - way.lands_at).total_seconds() == pytest.approx(stop_s, abs=4.0)
    assert max(min(distance_m(p.position, q.position) for q in planned.track) for p in way.track[1:]) < 0.1


async def test_a_mission_that_nobody_flies_has_no_way_home(world: World) -> None:
    mission = await a_mission(world)
    await seen(world, "drone-1", pad_of(world), world.at)

    async with world.database.transaction() as conn:
        assert await way_home.of_mission(conn, mission["mission_id"], world.region) is None


async def test_on_the_way_home_it_is_known_from_the_way_out_by_its_height_and_time(world: World) -> None:
    mission = await a_mission(world)
    planned = await planned_track(world, mission["mission_id"])
    here = planned.track[-60]

    track = way_home.predict(planned, DRONE, world.region, here=here)

    assert len(track) == pytest.approx(60, abs=2)
    assert (track[-1].at - here.at).total_seconds() == pytest.approx(
        (planned.track[-1].at - here.at).total_seconds(), abs=3.0
    )


async def test_a_drone_that_returns_straight_flies_at_its_return_altitude(world: World) -> None:
    mission = await a_mission(world)
    planned = await planned_track(world, mission["mission_id"])
    here = TimedPosition(planned.track[40].at, planned.track[40].position)
    high_m = here.position.alt_amsl_m + 50.0

    track = way_home.predict(planned, replace(DRONE, rtl_type=0), world.region, here=here, return_alt_amsl_m=high_m)

    assert max(point.position.alt_amsl_m for point in track) == pytest.approx(high_m, abs=0.5)
    assert distance_m(track[-1].position, pad_of(world)) < 1.0


async def two_missions(world: World, second_to: str = "drop-8") -> tuple[dict[str, Any], dict[str, Any]]:
    await world.drone("drone-1", port=14601, pad=0)
    await world.drone("drone-2", port=14602, pad=1)
    await world.order("A1", "drop-8", mass_kg=0.9)
    await world.order("A2", second_to, mass_kg=0.9)
    both = [await world.mission(mission_id) for mission_id in await world.missions()]
    first, second = sorted(both, key=lambda mission: mission["planned_depart"])
    return first, second


async def in_the_way(world: World, mission: dict[str, Any], at: datetime) -> list[str]:
    async with world.database.transaction() as conn:
        return await clearance.in_the_way(conn, mission, world.region, at=at)


async def test_a_drone_that_returns_as_predicted_holds_nobody_up_who_keeps_clear_of_it(world: World) -> None:
    first, second = await two_missions(world, "drop-6")
    world.at = first["planned_depart"]
    await world.fly(first["mission_id"])
    planned = await planned_track(world, first["mission_id"])
    await world.move(first["mission_id"], "returning")
    moments = planned.track[10:-10:10]
    for point in moments:
        assert await in_the_way(world, second, point.at) == [first["mission_id"]], "nobody knows where it is"

    held_up = []
    for point in moments:
        await seen(world, first["vehicle_id"], point.position, point.at)
        held_up.append(bool(await in_the_way(world, second, point.at)))

    assert held_up[-1], "it lands beside it"
    assert not all(held_up)


async def test_one_that_should_have_landed_and_was_not_seen_to_may_be_anywhere(world: World) -> None:
    first, second = await two_missions(world)
    world.at = first["planned_depart"]
    await world.fly(first["mission_id"])
    planned = await planned_track(world, first["mission_id"])
    await world.move(first["mission_id"], "returning")
    await seen(world, first["vehicle_id"], planned.track[40].position, planned.track[40].at)

    long_after = planned.track[-1].at + timedelta(minutes=5)

    assert await in_the_way(world, second, long_after) == [first["mission_id"]]


async def test_people_see_where_a_lost_drone_will_be_and_when_it_lands(api: Api) -> None:
    viewer, world = await api.as_("viewer"), api.world
    mission = await a_mission(world)
    assert_problem(await viewer.get("/api/vehicles/drone-1/way-home"), 404)
    await world.fly(mission["mission_id"])
    point = (await planned_track(world, mission["mission_id"])).track[20]
    await seen(world, "drone-1", point.position, point.at)

    way = (await viewer.get("/api/vehicles/drone-1/way-home")).json()

    assert way["mission_id"] == mission["mission_id"]
    assert datetime.fromisoformat(way["seen_at"]) == point.at
    assert datetime.fromisoformat(way["lands_at"]) > point.at + timedelta(minutes=3)
    assert distance_m(Position(way["lands_on"]["lat"], way["lands_on"]["lon"]), pad_of(world)) < 1.0
    assert len(way["path"]) > 100
