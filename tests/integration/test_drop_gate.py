"""Above a drop point that is not fenced a drone waits to be told that it is clear; what happens by class and word."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from fleet import clearance, drop_gate, drop_point, missions, planning
from fleet.drop_point import GATE_S
from fleet.errors import BadRequest, Conflict, NotFound
from hardware.errors import LinkDown, Refused
from hardware.link import WaitFor
from hardware.mission import StepKind
from routing.formats.json import problem_from_json
from tests.api_kit import Api, assert_problem
from tests.dispatch_kit import Scene, accepted_scene, hurry
from tests.fleet_kit import World, until

ONE = "drop-5"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    monkeypatch.setattr(drop_gate, "POLL_S", 0.05)


async def _scene(world: World, kind: str = "recipient") -> Scene:
    await world.drop_points(kind)
    return await accepted_scene(world)


async def _above(scene: Scene) -> None:
    """Bring the drone above its first drop point, where it waits."""
    await scene.reaches("underway")
    now = scene.clock.now()
    until_ = now + timedelta(seconds=GATE_S)
    await scene.vehicle.wait(WaitFor.DROP_CLEAR, scene.first, since=now, until=until_)


async def _say(scene: Scene, *, clear: bool = True, said_as: str = "recipient", ago_s: float = 0.0) -> None:
    async with scene.world.database.transaction() as conn:
        mission = await missions.get(conn, scene.mission_id)
        at = scene.clock.now() - timedelta(seconds=ago_s)
        await drop_gate.say(conn, mission, scene.first, clear=clear, said_as=said_as, said_by=f"the {said_as}", at=at)


async def _called(scene: Scene, name: str) -> None:
    async def there() -> bool:
        return name in scene.vehicle.calls

    await until(there)


async def _notes(scene: Scene) -> list[str]:
    """What the mission's journal says of drop points."""
    return [cause for _, cause in await scene.world.causes(scene.mission_id) if "drop point" in cause]


async def _gate(scene: Scene) -> list[float]:
    mission = await scene.world.mission(scene.mission_id)
    return [s["gate_s"] for s in mission["trip"]["mission"]["steps"] if s["kind"] == StepKind.RELEASE]


# -- which drop points a drone waits above ---------------------------------------------------------


@pytest.mark.parametrize(("kind", "gate_s"), [("fenced", 0.0), ("recipient", GATE_S), ("camera", GATE_S)])
async def test_a_mission_waits_above_every_drop_point_but_a_fenced_one(world: World, kind: str, gate_s: float) -> None:
    assert await _gate(await _scene(world, kind)) == [gate_s, gate_s]


async def test_a_drop_point_that_nobody_has_entered_is_waited_above(world: World) -> None:
    await world.write("DELETE FROM drop_point WHERE site_id = 'drop-5'")
    scene = await accepted_scene(world)

    mission = await world.mission(scene.mission_id)
    waits = {stop["to_site"]: step["gate_s"] for stop in mission["trip"]["stops"] if stop["order_ids"]
             for step in mission["trip"]["mission"]["steps"] if step["order_ids"] == stop["order_ids"]}  # fmt: skip
    assert waits == {"drop-5": GATE_S, "drop-2": 0.0}


async def test_a_plan_has_the_time_and_the_energy_for_the_wait(world: World) -> None:
    await world.drone()
    await world.order("A1", ONE)
    fenced = await world.propose()
    async with world.database.transaction() as conn:
        await planning.reject(conn, fenced, at=world.at, actor="dispatcher")
    await world.drop_points("recipient", only=[ONE])

    gated = await world.propose()

    legs = {}
    async with world.database.transaction() as conn:
        for run_id in (fenced, gated):
            row = await planning.get(conn, run_id)
            assert row["state"] in {"proposed", "rejected"}, row["violations"]
            (route,) = row["plan"]["routes"]
            legs[run_id] = route["trips"][0]["legs"]
        problem = problem_from_json((await planning.get(conn, gated))["problem"], world.region)
    (asked,) = problem.orders
    assert asked.service_s == problem.vehicles[0].type.service_s + GATE_S
    # A hover of a minute takes a 1 kg drone some 20 Wh.
    more_wh = sum(leg["energy_wh"] for leg in legs[gated]) - sum(leg["energy_wh"] for leg in legs[fenced])
    assert 15.0 < more_wh < 30.0


async def test_a_plan_without_the_time_to_wait_is_not_approved_once_the_fence_is_gone(world: World) -> None:
    await world.drone()
    await world.order("A1", ONE)
    run_id = await world.propose()
    await world.drop_points("camera", only=[ONE])

    async with world.refused(Conflict, "drop point drop-5 is no longer fenced"):
        await world.approve(run_id)


# -- what lets it down -----------------------------------------------------------------------------


async def test_nothing_said_means_no_descent(world: World) -> None:
    scene = await _scene(world)
    async with scene.running():
        await _above(scene)
        await _say(scene, ago_s=drop_gate.VALID_FOR.total_seconds() + 1.0)  # a word that is too old
        await until(lambda: _is_noted(scene, "is clear"))
        await scene.vehicle.show(battery_pct=50.0)
        await scene.vehicle.show(waits=None)
        await until(lambda: _is_noted(scene, "untold"))

    assert "descend" not in scene.vehicle.calls
    assert await scene.deliveries() == []
    assert (await _notes(scene))[-1].startswith(f"went on from the drop point of step {scene.first} untold")


async def _is_noted(scene: Scene, words: str) -> bool:
    return any(words in note for note in await _notes(scene))


async def test_the_recipients_word_lets_it_down_and_is_used_up(world: World) -> None:
    scene = await _scene(world)
    async with scene.running():
        await _above(scene)
        await _say(scene)
        await _called(scene, "descend")
        await scene.vehicle.release(scene.first)
        await scene.delivered(1)
        # It climbs, and comes down no second time on the same word.
        await scene.vehicle.wait(WaitFor.DROP_CLEAR, scene.first, since=scene.clock.now())
        await scene.vehicle.show(battery_pct=50.0)

    assert scene.vehicle.calls.count("descend") == 1
    (row,) = await world.rows("SELECT * FROM drop_confirmation")
    assert row["used_at"] is not None
    assert await _notes(scene) == [f"drop point of step {scene.first} is clear: the recipient"]


async def test_a_word_that_was_given_on_the_way_counts_at_the_arrival(world: World) -> None:
    scene = await _scene(world)
    async with scene.running():
        await scene.reaches("underway")
        await _say(scene, ago_s=drop_gate.VALID_FOR.total_seconds() / 2)
        await _above(scene)
        await _called(scene, "descend")


async def test_a_place_that_is_not_clear_is_passed_by_at_once(world: World) -> None:
    scene = await _scene(world)
    async with scene.running():
        await _above(scene)
        await _say(scene, clear=False)
        await _called(scene, "skip")

    assert "descend" not in scene.vehicle.calls
    assert await _notes(scene) == [f"drop point of step {scene.first} is not clear: the recipient"]


async def test_the_newest_word_counts(world: World) -> None:
    scene = await _scene(world)
    async with scene.running():
        await scene.reaches("underway")
        await _say(scene, clear=True, ago_s=20.0)
        await _say(scene, clear=False, ago_s=10.0)
        await _above(scene)
        await _called(scene, "skip")

    assert "descend" not in scene.vehicle.calls


async def test_a_word_that_was_acted_on_leaves_no_older_one_to_act_on(world: World) -> None:
    scene = await _scene(world)
    async with scene.running():
        await scene.reaches("underway")
    await _say(scene, clear=True, ago_s=20.0)
    await _say(scene, clear=True, ago_s=10.0)
    assert await _decided(scene) is True
    newest = "SELECT max(confirmation_id) FROM drop_confirmation"
    await world.write(
        f"UPDATE drop_confirmation SET used_at = %(at)s WHERE confirmation_id = ({newest})", at=scene.clock.now()
    )

    assert await _decided(scene) is None


async def test_the_next_life_passes_by_a_place_that_was_not_clear_when_the_first_died(world: World) -> None:
    scene = await _scene(world)
    async with scene.running():
        await scene.reaches("underway")
    await _say(scene, clear=True, ago_s=20.0)
    await _say(scene, clear=False, ago_s=10.0)
    # Used up before anything was sent.
    await world.write("UPDATE drop_confirmation SET used_at = %(at)s WHERE NOT clear", at=scene.clock.now())
    async with scene.running():
        await _above(scene)
        await _called(scene, "skip")

    assert "descend" not in scene.vehicle.calls


async def test_an_older_word_does_not_count_when_the_newest_is_old(world: World) -> None:
    scene = await _scene(world)
    async with scene.running():
        await scene.reaches("underway")
    await _say(scene, clear=True, ago_s=10.0)
    await _say(scene, clear=False, ago_s=drop_gate.VALID_FOR.total_seconds() + 1.0)

    assert await _decided(scene) is None


async def _decided(scene: Scene) -> bool | None:
    """Whether the drop point is clear now."""
    async with scene.world.database.transaction() as conn:
        mission = await missions.get(conn, scene.mission_id)
        found = await drop_gate.decide(conn, mission, scene.first, at=scene.clock.now())
    return None if found is None else found.clear


async def test_a_camera_is_looked_at_by_a_pilot_and_by_nobody_else(world: World) -> None:
    scene = await _scene(world)
    async with scene.running():
        await scene.reaches("underway")
        await _say(scene)
        await world.drop_points("camera")
        with pytest.raises(Conflict, match="looked at by the pilot"):
            await _say(scene)
        # What the recipient said while it was for the recipient to say counts no more.
        async with world.database.transaction() as conn:
            mission = await missions.get(conn, scene.mission_id)
            assert await drop_gate.decide(conn, mission, scene.first, at=scene.clock.now()) is None
            await conn.execute("UPDATE drop_confirmation SET said_as = 'pilot'")
            found = await drop_gate.decide(conn, mission, scene.first, at=scene.clock.now())
            assert found is not None
            assert found.clear


async def test_a_pilots_command_lets_it_down_and_the_journal_says_who(world: World) -> None:
    scene = await _scene(world, "camera")
    async with scene.running():
        await _above(scene)
        command = await scene.command("clear", key="k", params={"step": scene.first})
        assert (await scene.outcome(command))["state"] == "done"
        await until(lambda: _is_noted(scene, "pilot"))

    assert scene.vehicle.calls.count("descend") == 1
    assert await _notes(scene) == [f"drop point of step {scene.first} is clear: pilot pilot"]


async def test_where_a_fence_was_built_meanwhile_it_comes_down_at_once(world: World) -> None:
    scene = await _scene(world)
    await world.drop_points("fenced")
    async with scene.running():
        await _above(scene)
        await _called(scene, "descend")


async def test_a_fence_that_is_entered_while_it_is_under_way_lets_nobody_down(world: World) -> None:
    scene = await _scene(world)
    async with scene.running():
        await _above(scene)
        world.at = scene.clock.now()
        await world.drop_points("fenced")
        assert await _decided(scene) is None
        await scene.vehicle.show(waits=None)
        await until(lambda: _is_noted(scene, "untold"))

    assert "descend" not in scene.vehicle.calls


async def test_a_word_that_the_vehicle_did_not_take_is_tried_again(world: World) -> None:
    scene = await _scene(world)
    scene.vehicle.fails["descend"] = [Refused("it does not hover yet"), LinkDown("not heard")]
    async with scene.running():
        await _above(scene)
        await _say(scene)

        async def thrice() -> bool:
            return scene.vehicle.calls.count("descend") == 3

        await until(thrice)


async def test_the_gateways_next_life_answers_what_the_first_has_not(world: World) -> None:
    scene = await _scene(world)
    async with scene.running():
        await _above(scene)
    await _say(scene)
    async with scene.running():
        await _called(scene, "descend")


# -- what its way is from there on ------------------------------------------------------------------


async def _expected(scene: Scene, site_id: str) -> tuple[datetime, datetime]:
    """When it is expected to leave a drop point and to be home, as others are kept clear of it."""
    async with scene.world.database.transaction() as conn:
        at = scene.clock.now() - timedelta(hours=1)
        trip = await clearance.rest_of_flight(conn, scene.mission_id, at=at)
    assert trip is not None
    (stay,) = [stay for stay in trip.stays if stay.site_id == site_id]
    return stay.leave, trip.track[-1].at


async def test_one_that_did_not_have_to_wait_is_expected_earlier_all_the_way_from_there(world: World) -> None:
    scene = await _scene(world)
    async with scene.running():
        await _above(scene)
        mission = await scene.row()
        first = drop_gate.site_of(mission, scene.first)
        planned_leave, planned_home = await _expected(scene, first)
        await scene.vehicle.go_to(scene.first + 1)
        await until(lambda: _is_at(scene, scene.first + 1))

    leave, home = await _expected(scene, first)
    assert leave < planned_leave
    assert home - leave == planned_home - planned_leave


async def _is_at(scene: Scene, step: int) -> bool:
    return int((await scene.row())["step"]) == step


# -- what is refused -------------------------------------------------------------------------------


async def test_nobody_says_clear_for_what_does_not_wait(world: World) -> None:
    scene = await _scene(world, "fenced")
    with pytest.raises(Conflict, match="not on its way"):
        await _say(scene)
    async with scene.running():
        await scene.reaches("underway")
        with pytest.raises(Conflict, match="nobody has to say"):
            await _say(scene)


async def test_drop_points_are_entered_by_dispatchers_and_shown_with_who_did(api: Api) -> None:
    dispatcher, viewer = await api.as_("dispatcher"), await api.as_("viewer")
    await api.world.write("DELETE FROM drop_point WHERE site_id = 'drop-2'")

    entered = await dispatcher.put("/api/drop-points/drop-5", json={"class": "camera", "note": "road beside it"})

    assert entered.status_code == 204
    shown = (await viewer.get("/api/drop-points")).json()
    rows = {row["site_id"]: row for row in shown["drop_points"]}
    assert (rows["drop-5"]["class"], rows["drop-5"]["set_by"]) == ("camera", "dispatcher")
    assert (rows["drop-2"]["class"], rows["drop-2"]["set_by"]) == ("recipient", None)
    assert shown["gate_s"] == GATE_S
    (entry,) = await api.world.rows("SELECT * FROM audit WHERE action = 'drop_point.put' AND subject_id = 'drop-5'")
    assert (entry["actor"], entry["detail"]["class"]) == ("dispatcher", "camera")
    assert_problem(await dispatcher.put("/api/drop-points/nowhere", json={"class": "camera"}), 404)
    assert_problem(await dispatcher.put("/api/drop-points/drop-5", json={"class": "open"}), 422, field="class")


async def test_a_class_that_there_is_not_and_a_site_that_there_is_not_are_refused(world: World) -> None:
    values: dict[str, Any] = {"region_id": world.region.region_id, "unlock": False, "at": world.at, "actor": "admin"}
    for site_id, kind, error in ((ONE, "open", BadRequest), ("nowhere", "fenced", NotFound)):
        word = site_id if error is NotFound else "class"
        async with world.refused(error, word), world.database.transaction() as conn:
            await drop_point.put(conn, site_id=site_id, kind=kind, **values)
