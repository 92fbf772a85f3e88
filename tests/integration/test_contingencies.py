"""Every rule for contingencies with a drone that does what it is told, on a real database and by real commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fleet import clearance, commands, contingency_choice, emergency_airspace, manned_aircraft, weather
from fleet.contingency_runner import ContingencyRunner
from fleet.manned_aircraft import Aircraft
from hardware.errors import Refused
from hardware.link import Activity, Wait, WaitFor
from routing.geo import Position, distance_m
from tests.contingency_kit import Drone, Patrol, patrol
from tests.fleet_kit import World, until

ON_THE_WAY = 40


def around(place: Position, metres: float) -> list[tuple[float, float]]:
    """Return a square around a place."""
    d = metres / 111_000.0
    return [(place.lat + a * d, place.lon + b * d) for a, b in ((-1, -1), (-1, 1), (1, 1), (1, -1))]


async def close(flying: Patrol, place: Position, *, kind: str, metres: float = 150.0, name: str = "fire") -> str:
    """Close the airspace around a place."""
    now = flying.clock.now()
    async with flying.world.database.transaction() as conn:
        row = await emergency_airspace.declare(
            conn,
            region_id=flying.world.region.region_id,
            name=name,
            ring=around(place, metres),
            begins_at=now,
            ends_at=None,
            at=now,
            actor="dispatcher",
            kind=kind,
        )
    flying.watching.news.set()
    return str(row["airspace_id"])


async def sees(flying: Patrol, place: Position, *, alt_amsl_m: float | None, radius_m: float = 0.0) -> None:
    """Report a manned aircraft over a place."""
    now = flying.clock.now()
    one = Aircraft(
        "JA01HP", "Helicopter", place.lat, place.lon, now, now + timedelta(minutes=10), alt_amsl_m, radius_m=radius_m
    )
    async with flying.world.database.transaction() as conn:
        await manned_aircraft.report_by_hand(conn, one, region_id=flying.world.region.region_id, actor="pilot")
    flying.watching.news.set()


def drop_of(drone: Drone) -> Position:
    """Return where it delivers."""
    return next(step.position for step in drone.steps.steps if step.order_ids)


@pytest.fixture
async def flying(world: World) -> AsyncIterator[Patrol]:
    """One drone on its way out to a drop."""
    async with patrol(world, ["drop-8"], at_point=[ON_THE_WAY]) as running:
        yield running


@pytest.fixture
def drone(flying: Patrol) -> Drone:
    """That drone."""
    return flying.drones["drone-1"]


async def test_a_flight_as_planned_is_left_alone(flying: Patrol, drone: Drone) -> None:
    looked = flying.watching.ahead("drone-1")

    async def looked_ahead() -> bool:
        now = flying.watching.ahead("drone-1")
        return now is not None and (looked is None or now.at > looked.at)

    await until(looked_ahead)
    assert drone.codes() <= {"off_plan"}, "it stands still in the air"
    assert await flying.journal() == []
    assert drone.vehicle.asked_for() == []


async def test_emergency_airspace_ahead_diverts_to_a_site_outside_it_whatever_was_said_before(
    flying: Patrol, drone: Drone
) -> None:
    await close(flying, drop_of(drone), kind="emergency")

    row = await flying.reaches("emergency_airspace", "done")

    to = drone.vehicle.diverted_to
    assert drone.vehicle.asked_for() == ["divert"]
    assert to is not None
    assert distance_m(to, drop_of(drone)) > 250.0
    assert (row["response"], row["mission_id"]) == ("nearest_site", drone.mission_id)
    assert "fire" in row["seen_ja"]
    assert await flying.commands() == [("divert", "rule: emergency_airspace", "done")]
    assert "contingency" in drone.codes()
    told = await flying.world.rows("SELECT cause FROM order_event WHERE cause LIKE 'rule: emergency_airspace%%'")
    assert len(told) == 1


async def test_airspace_that_is_closed_where_the_flight_has_been_changes_nothing(flying: Patrol, drone: Drone) -> None:
    await close(flying, replace(drop_of(drone), lat=drop_of(drone).lat + 0.05), kind="emergency")
    before = flying.clock.now()

    async def looked() -> bool:
        ahead = flying.watching.ahead("drone-1")
        return ahead is not None and ahead.at > before + timedelta(seconds=5)

    await until(looked)
    assert await flying.journal() == []
    assert drone.vehicle.asked_for() == []


async def test_a_zone_closed_ahead_waits_for_the_pilot_and_then_diverts(flying: Patrol, drone: Drone) -> None:
    await close(flying, drop_of(drone), kind="closed", name="summer festival")

    asking = await flying.reaches("zone_closed", "asking", "acting", "done")
    assert asking["acts_at"] - asking["noticed_at"] == timedelta(seconds=15)
    assert drone.vehicle.asked_for() == []
    await flying.reaches("zone_closed", "done")

    assert drone.vehicle.asked_for() == ["divert"]


async def test_what_the_pilot_does_meanwhile_stands_over_the_rule(flying: Patrol, drone: Drone) -> None:
    await close(flying, drop_of(drone), kind="closed")
    await flying.reaches("zone_closed", "asking")
    async with flying.world.database.transaction() as conn:
        now = flying.clock.now()
        await commands.issue(
            conn, vehicle_id="drone-1", kind="hold", key="k", issuer="pilot", at=now, speed=flying.clock.speed
        )

    row = await flying.reaches("zone_closed", "left")

    assert row["outcome"] == "pilot has given hold"
    assert drone.vehicle.asked_for() == ["hold"]
    over = row["acts_at"] + timedelta(seconds=10)
    await until(lambda: _is_past(flying, over))
    assert drone.vehicle.asked_for() == ["hold"]


async def test_a_hold_that_is_given_while_a_rule_still_chooses_stands_over_it(
    flying: Patrol, drone: Drone, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = contingency_choice.choose

    async def slow(*args: Any) -> Any:
        chosen = await choose(*args)
        async with flying.world.database.transaction() as conn:
            now = flying.clock.now()
            await commands.issue(
                conn, vehicle_id="drone-1", kind="hold", key="k", issuer="pilot", at=now, speed=flying.clock.speed
            )
        return chosen

    monkeypatch.setattr(contingency_choice, "choose", slow)
    await close(flying, drop_of(drone), kind="closed")

    row = await flying.reaches("zone_closed", "left")

    assert row["outcome"] == "pilot has given hold"
    assert [issuer for _, issuer, _ in await flying.commands()] == ["pilot"]


async def _is_past(flying: Patrol, moment: Any) -> bool:
    return bool(flying.clock.now() > moment)


async def test_a_manned_aircraft_above_has_the_drone_wait_lower(flying: Patrol, drone: Drone) -> None:
    here = drone.place(ON_THE_WAY)
    await sees(flying, here, alt_amsl_m=here.alt_amsl_m + 130.0)

    row = await flying.reaches("manned_aircraft", "done")

    ground_m = flying.world.region.ground_amsl_m(here)
    assert row["response"] == "other_altitude"
    assert drone.vehicle.asked_for() == ["altitude"]
    assert drone.vehicle.altitude_m is not None
    assert drone.vehicle.altitude_m <= here.alt_amsl_m + 130.0 - 150.0
    assert drone.vehicle.altitude_m >= ground_m + 30.0


async def test_one_whose_height_nobody_knows_brings_the_drone_down_at_a_site(flying: Patrol, drone: Drone) -> None:
    await sees(flying, drone.place(ON_THE_WAY), alt_amsl_m=None, radius_m=500.0)

    row = await flying.reaches("manned_aircraft", "done")

    assert (row["response"], drone.vehicle.asked_for()) == ("nearest_site", ["divert"])
    assert "at an unknown height" in row["seen_en"]
    assert "is not known" in row["outcome"] or drone.vehicle.diverted_to is not None


async def test_a_manned_aircraft_that_is_far_or_high_changes_nothing(flying: Patrol, drone: Drone) -> None:
    here = drone.place(ON_THE_WAY)
    await sees(flying, here, alt_amsl_m=here.alt_amsl_m + 1_000.0)
    before = flying.clock.now()
    await until(lambda: _is_past(flying, before + timedelta(seconds=8)))
    assert await flying.journal() == []


async def test_too_little_energy_diverts_to_the_nearest_site_in_reach(flying: Patrol, drone: Drone) -> None:
    await drone.vehicle.show(battery_pct=20.0)

    row = await flying.reaches("low_energy", "done")

    hub = flying.world.region.site("hub-1")
    assert drone.vehicle.asked_for()[0] == "divert"
    assert drone.vehicle.diverted_to is not None
    sites = [site for site in flying.world.region.sites if site.accepts_drone]
    nearest = min(sites, key=lambda site: distance_m(site.position, drone.place(ON_THE_WAY)))
    assert distance_m(drone.vehicle.diverted_to, nearest.position) <= distance_m(hub.position, nearest.position) + 50.0
    assert row["seen"]["left_wh"] < row["seen"]["needed_wh"]


async def test_a_rule_that_has_acted_acts_no_more_after_a_restart(flying: Patrol, drone: Drone) -> None:
    await close(flying, drop_of(drone), kind="emergency")
    await flying.reaches("emergency_airspace", "done")

    flying.rules.forget("drone-1")
    flying.rules = again = ContingencyRunner(flying.world.database, flying.clock, flying.watching)
    running = asyncio.create_task(again.run())
    try:
        before = flying.clock.now()
        await until(lambda: _is_past(flying, before + timedelta(seconds=15)))
    finally:
        running.cancel()

    assert len(await flying.journal()) == 1
    assert drone.vehicle.asked_for() == ["divert"]
    assert "contingency" in drone.codes()


async def test_a_response_that_the_vehicle_refuses_is_tried_again(flying: Patrol, drone: Drone) -> None:
    drone.vehicle.fails["divert"] = [Refused("not now")]
    await close(flying, drop_of(drone), kind="emergency")

    row = await flying.reaches("emergency_airspace", "done")

    assert row["attempts"] == 2
    assert drone.vehicle.asked_for() in (["divert", "hold"], ["divert", "divert"])


async def test_weather_beyond_the_profile_brings_it_down_once_the_pilot_has_had_time(world: World) -> None:
    async with patrol(world, ["drop-8"], at_point=[ON_THE_WAY], speed=20.0) as flying:
        drone = flying.drones["drone-1"]
        now = flying.clock.now()
        async with world.database.transaction() as conn:
            storm = weather.Report(270.0, 12.0, 19.0, rain_mm_h=3.0, visibility_m=900.0)
            await weather.record(
                conn, storm, region_id=world.region.region_id, observed_at=now, at=now, actor="station"
            )

        asked = await flying.reaches("weather", "asking")
        assert "風速 12" in asked["seen_ja"]
        assert "900 m of visibility" in asked["seen_en"]
        await flying.reaches("weather", "done")

        assert drone.vehicle.asked_for() == ["divert"] or drone.vehicle.asked_for() == ["return"]


async def test_a_flight_on_an_old_report_is_told_of_and_flies_on(flying: Patrol, drone: Drone) -> None:
    await flying.world.write("UPDATE weather_report SET observed_at = observed_at - interval '40 minutes'")
    row = await flying.reaches("weather_old", "noted")
    assert row["seen"]["age_min"] >= 40
    assert drone.vehicle.asked_for() == []


async def test_a_drone_that_still_waits_at_its_drop_goes_on_with_its_parcel(flying: Patrol, drone: Drone) -> None:
    await flying.world.write("UPDATE drop_point SET class = 'recipient'")
    step = next(i for i, each in enumerate(drone.steps.steps) if each.order_ids)
    now = flying.clock.now()
    waits = Wait(WaitFor.DROP_CLEAR, step, since=now - timedelta(seconds=90), until=now)
    await drone.vehicle.show(waits=waits, activity=Activity.HOLD)

    row = await flying.reaches("recipient_absent", "done")

    assert drone.vehicle.skipped == [step]
    assert (row["key"], row["response"]) == (str(step), "skip")
    told = await flying.world.rows("SELECT cause FROM order_event WHERE cause LIKE 'rule: recipient_absent%%'")
    assert told


async def test_a_drop_passed_without_a_release_is_written_down_and_its_order_says_why(
    flying: Patrol, drone: Drone
) -> None:
    step = next(i for i, each in enumerate(drone.steps.steps) if each.order_ids)
    drone.vehicle._know(step=step + 1)
    await drone.vehicle.show(faults=("Gripper: could not open",))
    row = await flying.reaches("release_failed", "noted")
    assert row["seen"]["text"] == "Gripper: could not open"
    await drone.vehicle.come_home()

    async def ended() -> bool:
        return bool((await flying.world.mission(drone.mission_id))["state"] == "aborted")

    await until(ended)
    flying.world.at = flying.clock.now()
    (order_id,) = await flying.world.unload(drone.mission_id)

    order = await flying.world.one("SELECT state, reason FROM delivery_order WHERE order_id = %(id)s", id=order_id)
    assert order["state"] == "received"
    assert "Gripper: could not open" in order["reason"]

    async def over() -> bool:
        return (await flying.journal("release_failed"))[0]["ended_at"] is not None

    await until(over)


async def test_a_silent_drones_way_is_predicted_and_kept_clear_of_the_others(world: World) -> None:
    async with patrol(world, ["drop-8"], ["drop-8"], at_point=[ON_THE_WAY, ON_THE_WAY]) as flying:
        lost, other = flying.drones["drone-1"], flying.drones["drone-2"]
        # The other one is 200 m ahead on the way that the silent one flies on.
        ahead = next(
            point.position
            for point in lost.planned.track[ON_THE_WAY:]
            if distance_m(point.position, lost.place(ON_THE_WAY)) > 200.0
        )
        await other.vehicle.show(position=ahead)
        lost.vehicle.silent = True
        await lost.vehicle.show(connected=False)

        noted = await flying.reaches("link_lost", "noted")
        row = await flying.reaches("keep_clear", "done")

        assert (noted["vehicle_id"], row["vehicle_id"], row["key"]) == ("drone-1", "drone-2", "drone-1")
        assert lost.vehicle.asked_for() == []
        (asked,) = other.vehicle.asked_for()
        assert asked in {"hold", "altitude", "divert"}
        shown = flying.watching.predicted("drone-1", flying.clock.now())
        assert shown is not None
        assert shown["age_s"] >= 10
        assert distance_m(Position(shown["lat"], shown["lon"]), lost.place(ON_THE_WAY)) > 30.0


async def test_a_silent_drones_way_home_is_held_against_launches(flying: Patrol, drone: Drone) -> None:
    world = flying.world
    # By its plan it would be home by now.
    await world.write("UPDATE mission SET started_at = started_at - interval '1 hour'")
    await world.drone("drone-2", port=14699, pad=1)
    await world.order("B1", "drop-8", mass_kg=0.9)
    (second,) = await world.missions()
    mission = await world.mission(second)

    async def in_the_way() -> list[str]:
        async with world.database.transaction() as conn:
            at, speed = flying.clock.now(), flying.clock.speed
            return await clearance.in_the_way(conn, mission, world.region, at=at, speed=speed)

    assert await in_the_way() == []
    drone.vehicle.silent = True
    await drone.vehicle.show(connected=False)

    async def held_up() -> bool:
        return await in_the_way() == [drone.mission_id]

    await until(held_up)
