"""Rules for contingencies with simulated drones in the air: what the vehicle itself does is what counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet import emergency_airspace, manned_aircraft
from fleet.manned_aircraft import Aircraft
from hardware.link import Activity
from routing.formats.json import given_from_json
from routing.geo import Position, distance_m
from telemetry.monitors.road import Crossings
from telemetry.sample import Sample
from tests.broker import Broker, running_broker
from tests.fleet_kit import World
from tests.flown_gateway import Field, field_of

HIGH_M = 25.0


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with running_broker(tmp_path) as running:
        yield running


async def under_way(field: Field, vehicle_id: str, *, away_m: float = 60.0) -> Position:
    """Wait until a drone is on its way out, high and so far from its pad; return where it is."""
    pad = field.world.region.site("hub-1").pads[0]

    def there() -> bool:
        state = field.state(vehicle_id)
        here = state.position
        if here is None or state.activity is not Activity.MISSION:
            return False
        high = here.alt_amsl_m - field.world.region.ground_amsl_m(here) > HIGH_M
        return high and distance_m(here, pad) > away_m

    await field.until(f"{vehicle_id} is on its way", there, within_s=120)
    return field.place(vehicle_id)


async def close(field: Field, place: Position, *, kind: str, metres: float) -> None:
    """Close the airspace around a place."""
    d, now = metres / 111_000.0, field.clock.now()
    ring = [(place.lat + a * d, place.lon + b * d) for a, b in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
    async with field.world.database.transaction() as conn:
        await emergency_airspace.declare(
            conn,
            region_id=field.world.region.region_id,
            name="landslide",
            ring=ring,
            begins_at=now,
            ends_at=None,
            at=now,
            actor="dispatcher",
            kind=kind,
        )


def drop_of(field: Field, vehicle_id: str) -> Position:
    steps = field.missions[vehicle_id]["trip"]["mission"]["steps"]
    return next(Position(**step["position"]) for step in steps if step["kind"] == "release")


async def landed(field: Field, vehicle_id: str) -> Position:
    """Wait until a drone stands; return where."""
    await field.until(f"{vehicle_id} has landed", lambda: field.state(vehicle_id).on_ground, within_s=120)
    return field.place(vehicle_id)


def at_a_site(field: Field, place: Position) -> str | None:
    """Return the site on whose pad a place is."""
    for site in field.world.region.sites:
        if any(distance_m(pad, place) < 6.0 for pad in site.pads):
            return site.site_id
    return None


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_one_drone_keeps_out_of_emergency_airspace_and_one_without_energy_comes_down_at_the_nearest_site(
    world: World, broker: Broker, tmp_path: Path
) -> None:
    faults = [{"after_takeoff_s": 45.0, "fault": "battery", "value": 28.0}]
    more = {vehicle_id: {"faults": faults} for vehicle_id in ("drone-2",)}
    async with field_of(world, broker, tmp_path, drones=[["drop-8"], ["drop-5"]], more=more) as field:
        await under_way(field, "drone-1")
        drop = drop_of(field, "drone-1")
        await close(field, drop, kind="emergency", metres=120.0)

        away = await field.reaches("emergency_airspace", "done", vehicle_id="drone-1")
        low = await field.reaches("low_energy", "done", within_s=120, vehicle_id="drone-2")
        places = {vehicle_id: await landed(field, vehicle_id) for vehicle_id in ("drone-1", "drone-2")}

        assert away["response"] in {"nearest_site", "return_clear"}
        assert low["response"] == "nearest_site"
        assert all(at_a_site(field, place) is not None for place in places.values())
        rows = await world.rows("SELECT lat_e7, lon_e7 FROM sample WHERE vehicle_id = 'drone-1' AND lat_e7 IS NOT NULL")
        nearest = min(distance_m(Position(r["lat_e7"] / 1e7, r["lon_e7"] / 1e7), drop) for r in rows)
        assert nearest > 120.0
        given = await world.rows("SELECT kind FROM command WHERE issuer = 'rule: low_energy'")
        assert [row["kind"] for row in given] == ["divert"]


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_drone_waits_low_for_a_helicopter_and_is_then_kept_out_of_a_closed_zone(
    world: World, broker: Broker, tmp_path: Path
) -> None:
    async with field_of(world, broker, tmp_path, drones=[["drop-8"]]) as field:
        here = await under_way(field, "drone-1")
        now = field.clock.now()
        over = here.alt_amsl_m + 135.0
        one = Aircraft("7c1234", "JA01HP", here.lat, here.lon, now, now + timedelta(seconds=45), over)
        async with world.database.transaction() as conn:
            await manned_aircraft.report(conn, [one], region_id=world.region.region_id, source="adsb", actor="test")

        row = await field.reaches("manned_aircraft", "done")
        assert row["response"] == "other_altitude"
        await field.until(
            "it waits 150 m below", lambda: over - field.place("drone-1").alt_amsl_m >= 150.0, within_s=60
        )
        assert field.state("drone-1").activity is Activity.HOLD
        assert field.place("drone-1").alt_amsl_m > world.region.ground_amsl_m(field.place("drone-1")) + 25.0

        await field.until("the helicopter has gone", lambda: field.clock.now() > one.expires_at + timedelta(seconds=5))
        await field.command("drone-1", "resume", key="go on")
        await field.until("it goes on", lambda: field.state("drone-1").activity is Activity.MISSION)
        await close(field, drop_of(field, "drone-1"), kind="closed", metres=100.0)
        await field.reaches("zone_closed", "done")

        place = await landed(field, "drone-1")
        assert at_a_site(field, place) is not None
        assert distance_m(place, drop_of(field, "drone-1")) > 200.0


async def ghost_behind(field: Field, place: Position) -> str:
    """Have a drone of which nothing is heard any more be 280 m behind a place, on the same way; return its mission."""
    world = field.world
    await world.drone("drone-9", port=14799, pad=3)
    world.at = field.clock.now()
    await world.order("G", "drop-8", mass_kg=0.6)
    (mission_id,) = await world.missions()
    await world.load(mission_id)
    await world.accept(mission_id)
    await world.move(mission_id, "starting", "underway")
    row = await world.one("SELECT given FROM mission_track WHERE mission_id = %(id)s", id=mission_id)
    track = given_from_json(row["given"]).track
    abeam = min(range(len(track) // 2), key=lambda i: distance_m(track[i].position, place))
    behind = next(p for p in reversed(track[:abeam]) if distance_m(p.position, track[abeam].position) > 280.0)
    # As if its flight had been so far when it was heard last.
    now = field.clock.now()
    began = now - timedelta(seconds=17) - (behind.at - track[0].at)
    await world.write("UPDATE mission SET started_at = %(began)s WHERE mission_id = %(id)s", began=began, id=mission_id)
    at = behind.position
    sample = Sample(
        "drone-9", now - timedelta(seconds=17), seq=1, vehicle_ms=1, lat_e7=round(at.lat * 1e7),
        lon_e7=round(at.lon * 1e7), alt_amsl_cm=round(at.alt_amsl_m * 100), on_ground=False,
    )  # fmt: skip
    await world.store([sample])
    return mission_id


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_drone_makes_way_for_a_silent_one_and_is_itself_where_it_is_predicted_to_be_once_it_is_silent(
    world: World, broker: Broker, tmp_path: Path
) -> None:
    async with field_of(world, broker, tmp_path, drones=[["drop-8"]], behind_proxy=["drone-1"]) as field:
        await under_way(field, "drone-1", away_m=330.0)
        await field.command("drone-1", "hold", key="wait")
        held = field.place("drone-1")
        ghost = await ghost_behind(field, held)

        row = await field.reaches("keep_clear", "done", within_s=150)

        assert (row["vehicle_id"], row["key"]) == ("drone-1", "drone-9")
        assert row["response"] in {"other_altitude", "nearest_site", "hold_clear"}
        moved = abs(field.place("drone-1").alt_amsl_m - held.alt_amsl_m)
        assert moved >= 10.0 or row["response"] != "other_altitude"
        await world.move(ghost, "aborted")
        await field.command("drone-1", "resume", key="on")
        await field.until("it goes on", lambda: field.state("drone-1").activity is Activity.MISSION)

        field.proxies["drone-1"].set(cut=True)
        await field.reaches("link_lost", "noted", vehicle_id="drone-1")

        def predicted() -> dict[str, Any]:
            return field.gateway._watching.predicted("drone-1", field.clock.now()) or {"age_s": 0}

        await field.until("where it should be is told", lambda: predicted()["age_s"] >= 20)
        runner = field.gateway._runners["drone-1"]
        shown = field.gateway._view("drone-1", runner.link.state())["predicted"]
        field.proxies["drone-1"].set(cut=False)
        await field.until("it is heard again", lambda: field.state("drone-1").connected)

        assert shown["age_s"] >= 10
        off_m = distance_m(Position(shown["lat"], shown["lon"]), field.place("drone-1"))
        # It waits for its link before it acts, and flies on meanwhile until it is heard: some seconds of its way.
        assert off_m < 150.0


@pytest.mark.timeout(240)
async def test_robots_that_are_stuck_tipped_over_or_in_the_road_are_held_and_never_moved(
    world: World, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first way from the hub is taken for one across a road.
    hub = world.region.site("hub-1").node
    across = tuple(replace(edge, crossing=hub in {edge.a, edge.b}) for edge in world.region.edges)
    monkeypatch.setattr("fleet.watched.Crossings", lambda region: Crossings(replace(region, edges=across)))
    more: dict[str, dict[str, Any]] = {
        "robot-1": {"faults": [{"kind": "stuck", "at_node": hub, "past_m": 4.0}]},
        "robot-2": {"faults": [{"kind": "tipped", "at_node": hub, "past_m": 6.0}]},
    }
    async with field_of(world, broker, tmp_path, robots=[["drop-1"], ["drop-3"]], more=more) as field:
        road = await field.reaches("robot_in_road", "noted", within_s=120, vehicle_id="robot-1")
        stuck = await field.reaches("robot_stuck", "done", within_s=120, vehicle_id="robot-1")
        tipped = await field.reaches("robot_tipped", "done", "failed", within_s=120, vehicle_id="robot-2")

        assert (road["vehicle_id"], road["response"]) == ("robot-1", None)
        assert (stuck["vehicle_id"], stuck["response"]) == ("robot-1", "hold")
        assert (tipped["vehicle_id"], tipped["response"]) == ("robot-2", "hold")
        assert field.state("robot-1").activity is Activity.HOLD
        kinds = {row["kind"] for row in await world.rows("SELECT kind FROM command")}
        assert kinds == {"hold"}
        codes = {row["code"] for row in await world.rows("SELECT code FROM alarm WHERE standing")}
        assert {"in_road", "tipped", "contingency"} <= codes
