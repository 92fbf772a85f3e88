"""What keeps a mission from setting out: groundings, weather, emergency airspace, the pilot's workload."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fleet import (
    commands,
    emergency_airspace,
    ground_checks,
    grounding,
    launch,
    missions,
    planning,
    region_hold,
    users,
    vehicles,
    weather,
    workload,
)
from fleet.db.database import Connection
from fleet.errors import BadRequest, Conflict, NotFound
from routing.errors import BadInput
from routing.problem import AirborneLimit, Category
from tests.api_kit import Api, assert_problem
from tests.fleet_kit import CALM, World


async def _loaded(world: World, vehicle: str = "drone-1") -> str:
    await world.drone(vehicle)
    await world.order()
    (mission_id,) = await world.missions()
    await world.load(mission_id)
    return mission_id


async def _codes(world: World, mission_id: str, **values: Any) -> list[str]:
    async with world.database.transaction() as conn:
        row = await missions.get(conn, mission_id)
        found = await launch.obstacles(conn, row, world.region, at=world.at, **values)
    return [item.code for item in found]


async def _accept(world: World, mission_id: str) -> None:
    async with world.database.transaction() as conn:
        await missions.accept(conn, mission_id, at=world.at, actor="pilot")


async def _ground(world: World, kind: str, scope_id: str) -> str:
    async with world.database.transaction() as conn:
        row = await grounding.ground(
            conn, region_id=world.region.region_id, scope=(kind, scope_id), reason="crack", at=world.at, actor="pilot"
        )
    return str(row["grounding_id"])


async def _declare(world: World, mission_id: str, **changes: Any) -> str:
    """Declare emergency airspace around the first waypoint of a mission."""
    place = (await world.mission(mission_id))["trip"]["mission"]["steps"][1]["position"]
    d = 0.0005
    ring = [(place["lat"] + a * d, place["lon"] + b * d) for a, b in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
    values: dict[str, Any] = {"name": "forest fire", "ring": ring, "begins_at": world.at, "ends_at": None} | changes
    async with world.database.transaction() as conn:
        row = await emergency_airspace.declare(
            conn, region_id=world.region.region_id, at=world.at, actor="dispatcher", **values
        )
    return str(row["airspace_id"])


async def test_on_a_calm_day_that_somebody_has_looked_at_nothing_stands_in_the_way(world: World) -> None:
    mission_id = await _loaded(world)
    await world.look_around()

    assert await _codes(world, mission_id, accepting=True) == []
    await _accept(world, mission_id)


async def test_without_a_look_at_weather_and_airspace_no_drone_is_accepted(world: World) -> None:
    mission_id = await _loaded(world)

    with pytest.raises(Conflict, match=r"weather report.*emergency airspace"):
        await _accept(world, mission_id)

    assert (await world.mission(mission_id))["state"] == "loaded"


async def test_what_was_looked_at_grows_old(world: World) -> None:
    mission_id = await _loaded(world)
    await world.look_around()
    await _accept(world, mission_id)

    world.later(launch.CHECK_FOR.total_seconds() + 1)
    assert await _codes(world, mission_id) == ["airspace_unchecked"]
    world.later((launch.WEATHER_FOR - launch.CHECK_FOR).total_seconds())
    assert await _codes(world, mission_id) == ["checks", "weather_unknown", "airspace_unchecked"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"wind_mps": 10.5, "gust_mps": 10.5}, "10.5 m/s of wind"),
        ({"gust_mps": 15.5}, "15.5 m/s in gusts"),
        ({"rain_mm_h": 0.5}, "0.5 mm/h of rain"),
        ({"visibility_m": 800.0}, "800 m of visibility"),
        ({"temperature_c": -11.0}, "-11 degrees"),
        ({"temperature_c": 41.0}, "41 degrees"),
    ],
)
async def test_weather_outside_the_profile_keeps_a_drone_on_the_ground(
    world: World, change: dict[str, float], words: str
) -> None:
    mission_id = await _loaded(world)
    await world.look_around(replace(CALM, **change))

    with pytest.raises(Conflict, match=words):
        await _accept(world, mission_id)


async def test_weather_at_the_limits_of_the_profile_does_not(world: World) -> None:
    mission_id = await _loaded(world)
    await world.look_around(weather.Report(0.0, 10.0, 15.0, -10.0, 0.0, 1500.0))

    await _accept(world, mission_id)


async def test_a_robot_sets_out_in_any_weather_but_not_when_it_is_grounded(world: World) -> None:
    await world.robot()
    await world.order("A1", "drop-1", mass_kg=3.0)
    (mission_id,) = await world.missions()
    await world.load(mission_id)
    assert await _codes(world, mission_id, accepting=True) == []

    await _ground(world, "vehicle", "robot-1")

    with pytest.raises(Conflict, match="vehicle robot-1 is grounded by pilot: crack"):
        await _accept(world, mission_id)


@pytest.mark.parametrize("kind", ["vehicle", "type", "region"])
async def test_a_grounding_holds_until_it_is_lifted(world: World, kind: str) -> None:
    mission_id = await _loaded(world)
    await world.look_around()
    scope_id = {"vehicle": "drone-1", "type": "multirotor_1kg", "region": world.region.region_id}[kind]

    grounding_id = await _ground(world, kind, scope_id)
    assert await _codes(world, mission_id, accepting=True) == ["grounded"]

    lifting: dict[str, Any] = {
        "region_id": world.region.region_id,
        "reason": "replaced",
        "at": world.at,
        "actor": "pilot",
    }
    async with world.database.transaction() as conn:
        await grounding.lift(conn, grounding_id, **lifting)
    assert await _codes(world, mission_id, accepting=True) == []
    async with world.database.transaction() as conn:
        with pytest.raises(Conflict, match="lifted already"):
            await grounding.lift(conn, grounding_id, **lifting)


async def test_others_are_not_held_by_a_grounding(world: World) -> None:
    mission_id = await _loaded(world)
    await world.drone("drone-2", port=14601, pad=1)
    await world.look_around()

    await _ground(world, "vehicle", "drone-2")

    assert await _codes(world, mission_id, accepting=True) == []


@pytest.mark.parametrize(("kind", "scope_id"), [("vehicle", "none"), ("type", "vtol_5kg"), ("region", "elsewhere")])
async def test_what_is_not_here_cannot_be_grounded(world: World, kind: str, scope_id: str) -> None:
    await world.drone()
    async with world.refused(NotFound, match="no|not"):
        await _ground(world, kind, scope_id)


async def test_emergency_airspace_on_its_way_keeps_a_drone_on_the_ground_until_it_is_withdrawn(world: World) -> None:
    mission_id = await _loaded(world)
    await world.look_around()
    airspace_id = await _declare(world, mission_id)

    with pytest.raises(Conflict, match="enters the emergency airspace forest fire"):
        await _accept(world, mission_id)

    async with world.database.transaction() as conn:
        values: dict[str, Any] = {"region_id": world.region.region_id, "at": world.at, "actor": "dispatcher"}
        await emergency_airspace.withdraw(conn, airspace_id, **values)
    await _accept(world, mission_id)


async def test_emergency_airspace_elsewhere_or_at_another_time_does_not(world: World) -> None:
    mission_id = await _loaded(world)
    await world.look_around()
    await _declare(world, mission_id, begins_at=world.at + timedelta(hours=8))
    await _declare(world, mission_id, ring=[(10.0, 10.0), (10.0, 10.1), (10.1, 10.1)])

    assert await _codes(world, mission_id, accepting=True) == []


@pytest.mark.parametrize(
    "ring",
    [
        [(35.0, 139.0), (35.1, 139.0)],
        [(35.0, 139.0), (35.1, 139.1), (35.0, 139.1), (35.1, 139.0)],
        [(35.0, 139.0), (35.0, 139.0), (35.0, 139.0)],
        [(95.0, 139.0), (35.1, 139.0), (35.0, 139.1)],
        [(float("nan"), 139.0), (35.1, 139.0), (35.0, 139.1)],
    ],
)
async def test_an_area_that_is_none_is_refused(world: World, ring: list[tuple[float, float]]) -> None:
    mission_id = await _loaded(world)
    async with world.refused(BadRequest, match="ring"):
        await _declare(world, mission_id, ring=ring)


async def test_a_pilot_with_as_many_in_the_air_as_allowed_sends_no_more_up(world: World) -> None:
    await world.drone()
    await world.drone("drone-2", port=14601, pad=1)
    await world.order()
    (first,) = await world.missions()
    await world.fly(first)
    await world.order("A2")
    await world.write("UPDATE vehicle SET category = 'level_4'")
    flying = (await world.mission(first))["vehicle_id"]
    second = await _copy_on_other_drone(world, first, "drone-2" if flying == "drone-1" else "drone-1")

    assert await _codes(world, second) == ["workload"]

    async with world.database.transaction() as conn:
        await workload.set_limit(
            conn, region_id=world.region.region_id, category="level_4", most=2, source="permit 123", at=world.at,
            actor="admin",
        )  # fmt: skip
    assert await _codes(world, second) == []


async def _copy_on_other_drone(world: World, mission_id: str, vehicle_id: str) -> str:
    """Make a mission like another one, accepted by the same pilot, for a second drone."""
    await world.write(
        """INSERT INTO mission SELECT (jsonb_populate_record(m, jsonb_build_object('mission_id', 'm-second',
            'vehicle_id', %(vehicle)s::text, 'state', 'accepted', 'accepted_by', 'pilot'))).*
            FROM mission m WHERE mission_id = %(mission)s""",
        vehicle=vehicle_id,
        mission=mission_id,
    )
    for check in ground_checks.of_kind("drone"):
        await world.check("m-second", check.name)
    return "m-second"


async def test_planning_knows_what_may_not_fly_and_how_many_may_at_once(world: World) -> None:
    for number in range(3):
        await world.drone(f"drone-{number}", port=14600 + number, pad=number)
    await world.write("UPDATE vehicle SET category = 'level_4'")
    await _ground(world, "vehicle", "drone-0")
    await world.order()
    await world.request()

    async with world.database.transaction() as conn:
        run = await planning.claim(conn, holder="planner/1")
        assert run is not None
        problem, _ = await planning.build_problem(conn, run, at=world.at)

    assert [vehicle.vehicle_id for vehicle in problem.vehicles] == ["drone-1", "drone-2"]
    assert problem.airborne == (AirborneLimit(Category.LEVEL_4, 1),)


async def test_planning_counts_pilots_who_are_signed_in_and_may_be(world: World) -> None:
    for user_id, role in (("kato", "pilot"), ("sato", "pilot"), ("abe", "pilot"), ("mori", "viewer")):
        await world.session(user_id, role)
    await world.session("kato", "pilot")
    await world.write("UPDATE app_user SET disabled = true WHERE user_id = 'abe'")
    async with world.database.transaction() as conn:
        assert await users.pilots_signed_in(conn) == 2


async def test_without_an_entry_the_guidelines_figures_hold(world: World) -> None:
    async with world.database.transaction() as conn:
        found = await workload.limits(conn, region_id=world.region.region_id)

    assert {category: limit.most for category, limit in found.items()} == {
        Category.LEVEL_3: 5,
        Category.LEVEL_3_5: 5,
        Category.LEVEL_4: 1,
    }


async def test_groundings_airspace_and_limits_are_kept_over_the_api(api: Api) -> None:
    await api.world.drone()
    pilot, dispatcher, admin = await api.as_("pilot"), await api.as_("dispatcher"), await api.as_("administrator")

    scope = {"scope_kind": "vehicle", "scope_id": "drone-1", "reason": "hard landing"}
    grounded = (await pilot.post("/api/groundings", json=scope)).json()
    shown = (await dispatcher.get("/api/groundings")).json()["groundings"]
    await pilot.post(f"/api/groundings/{grounded['grounding_id']}/lift", json={"reason": "inspected"})
    ring = [[35.0, 139.0], [35.0, 139.1], [35.1, 139.1]]
    declared = (await dispatcher.post("/api/airspace/emergencies", json={"name": "flood", "ring": ring})).json()
    await dispatcher.post("/api/airspace/checks", json={"source": "the bureau's page"})
    areas = (await pilot.get("/api/airspace/emergencies")).json()
    await admin.put("/api/pilot-limits/level_4", json={"most": 3, "source": "permit 123"})

    assert [row["reason"] for row in shown] == ["hard landing"]
    assert (await dispatcher.get("/api/groundings")).json()["groundings"] == []
    assert [area["airspace_id"] for area in areas["emergencies"]] == [declared["airspace_id"]]
    assert areas["check"]["source"] == "the bureau's page"
    assert {"category": "level_4", "most": 3, "source": "permit 123"} in (await pilot.get("/api/pilot-limits")).json()[
        "limits"
    ]
    assert_problem(await admin.put("/api/pilot-limits/level_9", json={"most": 3, "source": "x"}), 422)
    assert_problem(await pilot.post("/api/groundings", json=scope | {"scope_kind": "pilot"}), 422)


async def test_a_hold_of_the_region_stops_all_that_moves_and_grounds_the_rest_once(api: Api) -> None:
    world = api.world
    flying = await _loaded(world)
    await world.accept(flying)
    await world.move(flying, "starting", "underway")
    await world.drone("drone-2", port=14601, pad=1)
    pilot, dispatcher = await api.as_("pilot"), await api.as_("dispatcher")

    answers = [await pilot.post("/api/region/hold", json={"idempotency_key": "all"}) for _ in range(2)]

    given = [[(row["vehicle_id"], row["kind"], row["state"]) for row in a.json()["commands"]] for a in answers]
    assert given == [[("drone-1", "hold", "pending")]] * 2
    assert len(await world.rows("SELECT * FROM command")) == 1
    (grounded,) = (await pilot.get("/api/groundings")).json()["groundings"]
    assert (grounded["scope_kind"], grounded["reason"]) == ("region", region_hold.REASON)
    assert_problem(await dispatcher.post("/api/region/hold", json={"idempotency_key": "x"}), 403)


async def test_a_hold_of_the_region_goes_on_when_one_vehicle_cannot_be_held(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    flying = await _loaded(world)
    await world.accept(flying)
    await world.move(flying, "starting", "underway")
    other = await world.drone("drone-2", port=14601, pad=1)
    await world.write(
        """INSERT INTO mission SELECT (jsonb_populate_record(m, jsonb_build_object('mission_id', 'm-second',
            'vehicle_id', %(vehicle)s::text))).* FROM mission m WHERE mission_id = %(mission)s""",
        vehicle=other,
        mission=flying,
    )
    issue = commands.issue

    async def sometimes(conn: Connection, *, vehicle_id: str, **given: Any) -> dict[str, Any]:
        if vehicle_id == "drone-1":
            raise BadInput("profile: there is none")
        return await issue(conn, vehicle_id=vehicle_id, **given)

    monkeypatch.setattr(commands, "issue", sometimes)

    given = await region_hold.hold(
        world.database, region_id=world.region.region_id, key="all", issuer="pilot", at=world.at, speed=1.0
    )

    assert [row["vehicle_id"] for row in given] == ["drone-2"]


async def test_a_defect_that_makes_it_unairworthy_keeps_a_vehicle_down_until_it_is_put_right(api: Api) -> None:
    world = api.world
    mission_id = await _loaded(world)
    await world.look_around()
    crew = await api.as_("ground_crew")
    await crew.post("/api/vehicles/drone-1/defects", json={"text": "scratched cover"})
    assert await _codes(world, mission_id, accepting=True) == []

    grave = (await crew.post("/api/vehicles/drone-1/defects", json={"text": "cracked arm", "unairworthy": True})).json()
    with pytest.raises(Conflict, match="cracked arm"):
        await _accept(world, mission_id)

    body = {"revision": grave["revision"], "action": "arm replaced"}
    await crew.post(f"/api/log-entries/{grave['entry_id']}/action", json=body)
    await _accept(world, mission_id)


async def test_a_vehicle_on_a_mission_is_not_retired(world: World) -> None:
    mission_id = await _loaded(world)
    await world.accept(mission_id)
    await world.move(mission_id, "starting", "underway")

    async with world.refused(Conflict, "on a mission"), world.database.transaction() as conn:
        await vehicles.retire(conn, "drone-1", at=world.at, actor="admin")
