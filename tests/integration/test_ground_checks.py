"""The ground crew's checks: nothing sets out that was not checked, and what has failed holds it."""

from __future__ import annotations

from typing import Any

import pytest

from fleet import flight_log, ground_checks, launch, missions
from fleet.errors import BadRequest, Conflict
from fleet.flight_log import By
from tests.api_kit import Api, assert_problem
from tests.dispatch_kit import accepted_scene, hurry
from tests.fleet_kit import World

DRONES = ["parcels", "battery", "inspected", "propellers", "pad_clear"]
ROBOTS = ["parcels", "battery", "inspected", "doors", "tyres", "emergency_stop", "sign"]


async def _planned(world: World) -> str:
    await world.drone()
    await world.order()
    (mission_id,) = await world.missions()
    await world.look_around()
    return mission_id


async def _missing(world: World, mission_id: str) -> list[str]:
    """What the ground crew's checks have against a launch."""
    async with world.database.transaction() as conn:
        row = await missions.get(conn, mission_id)
        found = await launch.obstacles(conn, row, world.region, at=world.at, accepting=True)
    return [item.words for item in found if item.code == "checks"]


async def _standing(world: World, mission_id: str) -> dict[str, str]:
    async with world.database.transaction() as conn:
        found = await ground_checks.standing(conn, await missions.get(conn, mission_id), at=world.at)
    return {one.check.name: one.state for one in found}


async def _inspect(world: World, *, defect: bool = False) -> str:
    """Write a daily inspection into the flight log, as its page does; return its id."""
    by = By("crew", world.at, "written")
    async with world.database.transaction() as conn:
        content: dict[str, Any] = {"at": world.at.isoformat(), "items": {}, "inspector": "Kato"}
        entry_id = await flight_log.add(conn, vehicle_id="drone-1", kind="inspection", content=content, by=by)
        if defect:
            found = {"at": world.at.isoformat(), "text": "a crack", "unairworthy": False, "inspection_id": entry_id}
            await flight_log.add(conn, vehicle_id="drone-1", kind="defect", content=found, by=by)
    assert entry_id is not None
    return entry_id


def test_each_kind_of_vehicle_has_its_checks_in_both_languages() -> None:
    assert [check.name for check in ground_checks.of_kind("drone")] == DRONES
    assert [check.name for check in ground_checks.of_kind("robot")] == ROBOTS
    assert all(check.ja and check.en and check.ja != check.en for check in ground_checks.table().values())


async def test_loading_without_checks_is_allowed_and_launching_is_not(world: World) -> None:
    mission_id = await _planned(world)

    await world.load(mission_id, checked=False)

    assert [words.split("'")[1] for words in await _missing(world, mission_id)] == DRONES
    with pytest.raises(Conflict, match=r"check .battery. .* is missing"):
        await world.accept(mission_id)
    for name in DRONES:
        await world.check(mission_id, name)
    await world.accept(mission_id)
    assert (await world.mission(mission_id))["state"] == "accepted"


async def test_a_robot_is_held_by_its_checks_too(world: World) -> None:
    await world.robot()
    await world.order("A1", "drop-1", mass_kg=3.0)
    (mission_id,) = await world.missions()

    await world.load(mission_id, checked=False)

    assert [words.split("'")[1] for words in await _missing(world, mission_id)] == ROBOTS


async def test_a_failed_check_holds_the_launch_until_it_is_in_order_and_is_a_defect_of_the_log(world: World) -> None:
    mission_id = await _planned(world)
    await world.load(mission_id)

    await world.check(mission_id, "propellers", ok=False, note="nick in blade 2")
    held = await _missing(world, mission_id)
    await world.check(mission_id, "propellers")

    assert held == [
        "check 'propellers' (Propellers and sensors are undamaged and clean) has failed: nick in blade 2; "
        "put it right and check again"
    ]
    assert await _missing(world, mission_id) == []
    async with world.database.transaction() as conn:
        (defect,) = await flight_log.open_defects(conn, "drone-1")
    assert "nick in blade 2" in defect["content"]["text"]
    trail = await world.rows("SELECT detail FROM audit WHERE action = 'mission.check' ORDER BY audit_id")
    assert [entry["detail"]["ok"] for entry in trail] == [False, True]


async def test_what_is_no_defect_of_the_vehicle_is_not_in_its_log(world: World) -> None:
    mission_id = await _planned(world)
    await world.check(mission_id, "pad_clear", ok=False, note="children")

    async with world.database.transaction() as conn:
        assert await flight_log.open_defects(conn, "drone-1") == []
    assert (await _standing(world, mission_id))["pad_clear"] == "failed"


async def test_that_the_pad_is_clear_grows_old(world: World) -> None:
    mission_id = await _planned(world)
    await world.load(mission_id)

    world.later(15 * 60.0 + 1)

    assert await _missing(world, mission_id) == [
        "check 'pad_clear' (Nobody and nothing is on the pad) is 15 minutes old; look again"
    ]
    await world.check(mission_id, "pad_clear")
    assert await _missing(world, mission_id) == []


async def test_a_daily_inspection_of_today_answers_its_check(world: World) -> None:
    mission_id = await _planned(world)
    entry_id = await _inspect(world)

    async with world.database.transaction() as conn:
        found = await ground_checks.standing(conn, await missions.get(conn, mission_id), at=world.at)
    (one,) = [each for each in found if each.check.name == "inspected"]
    assert (one.state, one.entry_id, one.checked_by) == ("done", entry_id, "Kato")

    world.later(24 * 3600.0)
    assert (await _standing(world, mission_id))["inspected"] == "missing"


async def test_an_inspection_that_found_a_defect_does_not(world: World) -> None:
    mission_id = await _planned(world)
    await _inspect(world, defect=True)

    assert (await _standing(world, mission_id))["inspected"] == "failed"


async def test_a_check_that_becomes_old_holds_a_launch_that_was_accepted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    scene = await accepted_scene(world)
    await world.write("UPDATE ground_check SET checked_at = checked_at - interval '15 minutes'")
    async with scene.running() as runner:
        await scene.waits_for("pad_clear")
        assert scene.vehicle.calls == []
        world.at = scene.clock.now()
        await world.check(scene.mission_id, "pad_clear")
        runner.wake()
        await scene.reaches("underway")


async def test_a_check_of_another_vehicle_or_after_the_start_is_refused(world: World) -> None:
    mission_id = await _planned(world)
    async with world.refused(BadRequest, "a drone has parcels, battery"):
        await world.check(mission_id, "tyres")
    await world.fly(mission_id)
    async with world.refused(Conflict, "underway"):
        await world.check(mission_id, "battery")


async def test_crews_check_and_load_in_one_step(api: Api) -> None:
    mission_id = await _planned(api.world)
    crew, viewer = await api.as_("ground_crew"), await api.as_("viewer")
    path = f"/api/missions/{mission_id}"

    before = (await viewer.get(f"{path}/checks")).json()
    unknown = await crew.post(f"{path}/load", json={"checks": {"tyres": True}})
    loaded = await crew.post(f"{path}/load", json={"checks": dict.fromkeys(DRONES[1:], True)})
    after = await crew.post(f"{path}/checks", json={"check": "parcels", "ok": True, "note": None})

    assert [row["check"] for row in before["checks"]] == DRONES
    assert {row["state"] for row in before["checks"]} == {"missing"}
    assert_problem(unknown, 422, field="check")
    assert loaded.status_code == 204
    assert after.json()["complete"]
    (pad,) = [row for row in after.json()["checks"] if row["check"] == "pad_clear"]
    assert pad["until"] is not None
    assert (pad["checked_by"], pad["ok"]) == ("ground-crew", True)
    assert (await (await api.as_("pilot")).post(f"{path}/accept")).status_code == 204
