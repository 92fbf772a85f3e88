"""Commands through a runner: sent once, by whoever holds the lease, each with an outcome."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from fleet import clearance, dispatch, diverted, missions
from hardware.errors import Refused
from hardware.link import Activity
from tests.contingency_kit import Flyer
from tests.dispatch_kit import Scene, accepted_scene, hurry
from tests.fleet_kit import World, until


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
async def scene(world: World) -> Scene:
    """A drone on its pad, with a mission of two stops that a pilot has accepted."""
    return await accepted_scene(world)


async def test_what_the_vehicle_does_is_written_with_who_wanted_it(scene: Scene) -> None:
    async with scene.running():
        await scene.reaches("underway")
        hold = await scene.command("hold", key="a")
        await scene.reaches("held")
        resume = await scene.command("resume", key="b")
        await scene.reaches("underway")
        back = await scene.command("return", key="c")
        await scene.reaches("returning")
        outcomes = [await scene.outcome(command) for command in (hold, resume, back)]

    assert [(o["state"], o["outcome"]) for o in outcomes] == [
        ("done", "the vehicle shows: hold"),
        ("done", "the vehicle shows: mission"),
        ("done", "the vehicle shows: return"),
    ]
    assert (await scene.world.causes(scene.mission_id))[-3:] == [
        ("held", "hold by pilot"),
        ("underway", "resume by pilot"),
        ("returning", "return by pilot"),
    ]


async def test_a_command_that_the_vehicle_refuses_fails_with_its_words(scene: Scene) -> None:
    scene.vehicle.fails["hold"] = [Refused("mode change denied")]
    async with scene.running():
        await scene.reaches("underway")
        outcome = await scene.outcome(await scene.command("hold", key="a"))

    assert (outcome["state"], outcome["outcome"]) == ("failed", "mode change denied")
    assert (await scene.row())["state"] == "underway"


async def test_a_command_that_goes_wrong_inside_does_not_silence_the_vehicle(scene: Scene) -> None:
    scene.vehicle.fails["hold"] = [KeyError("a mistake")]
    async with scene.running():
        await scene.reaches("underway")
        failed = await scene.outcome(await scene.command("hold", key="a"))
        again = await scene.outcome(await scene.command("hold", key="b"))

    assert failed["state"] == "failed"
    assert "internal error (KeyError)" in failed["outcome"]
    assert again["state"] == "done"


async def test_a_hold_waits_for_no_other_command(scene: Scene) -> None:
    never = scene.vehicle.hangs["return"] = asyncio.Event()
    async with scene.running():
        await scene.reaches("underway")
        for n in range(5):
            await scene.command("return", key=f"r{n}")

        async def busy() -> bool:
            return scene.vehicle.calls.count("return") == 3

        await until(busy)
        outcome = await scene.outcome(await scene.command("hold", key="h"))
        assert not never.is_set()

    assert outcome["state"] == "done"
    assert scene.vehicle.calls.count("return") == 3
    left = await scene.world.rows("SELECT state FROM command WHERE kind = 'return' ORDER BY issued_at")
    assert [row["state"] for row in left][3:] == ["expired", "expired"]


async def test_a_command_sent_by_the_last_life_fails_and_is_not_sent_again(scene: Scene) -> None:
    scene.vehicle.hangs["return"] = asyncio.Event()
    async with scene.running():
        await scene.reaches("underway")
        command = await scene.command("return", key="a")

        async def sent() -> bool:
            return "return" in scene.vehicle.calls

        await until(sent)
    scene.vehicle.calls.clear()

    async with scene.running():
        outcome = await scene.outcome(command)
        await scene.outcome(await scene.command("hold", key="b"))

    assert outcome["state"] == "failed"
    assert "before the outcome was known" in outcome["outcome"]
    assert "return" not in scene.vehicle.calls


async def test_a_vehicle_that_talks_all_the_time_does_not_keep_the_database_busy(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    active = missions.active

    async def counted(*args: Any) -> dict[str, Any] | None:
        nonlocal asked
        asked += 1
        return await active(*args)

    monkeypatch.setattr(missions, "active", counted)
    monkeypatch.setattr(dispatch, "POLL_S", 30.0)
    await scene.world.move(scene.mission_id, "starting", "loaded")
    async with scene.running():

        async def looked() -> bool:
            return asked > 0

        await until(looked)
        for n in range(200):
            await scene.vehicle.show(speed_mps=float(n))

    assert asked <= 2


async def test_a_hold_that_energy_ends_becomes_a_return_that_says_who_gave_it(scene: Scene) -> None:
    async with scene.running() as runner:
        await scene.reaches("underway")
        await scene.outcome(await scene.command("hold", key="a"))
        await scene.reaches("held")
        runner.hold_left_s = 30.0
        await scene.vehicle.show(battery_pct=40.0)
        assert await scene.world.rows("SELECT 1 FROM command WHERE kind = 'return'") == []

        runner.hold_left_s = 0.0
        await scene.vehicle.show(battery_pct=39.0)
        await scene.reaches("returning")

    (given,) = await scene.world.rows("SELECT issuer, state FROM command WHERE kind = 'return'")
    assert (given["issuer"], given["state"]) == (dispatch.RULE, "done")
    events = await scene.world.rows("SELECT cause FROM mission_event WHERE to_state = 'returning'")
    assert [event["cause"] for event in events] == [f"return by {dispatch.RULE}"]


async def test_a_hold_that_energy_ends_waits_for_no_launch_that_is_being_decided_on(scene: Scene) -> None:
    async with scene.running() as runner:
        await scene.reaches("underway")
        await scene.outcome(await scene.command("hold", key="a"))
        await scene.reaches("held")
        async with scene.world.database.transaction() as conn:
            await clearance.one_launch_at_a_time(conn, scene.world.region.region_id)
            runner.hold_left_s = 0.0
            await scene.vehicle.show(battery_pct=39.0)

            async def returns() -> bool:
                return scene.vehicle.state().activity is Activity.RETURN

            await until(returns)


@pytest.fixture
async def diverted_scene(world: World) -> Scene:
    """A drone that can be diverted, with an accepted mission; it is where its mission has its first release."""
    scene = await accepted_scene(world)
    scene.vehicle = Flyer()
    here = scene.steps.steps[scene.first].position
    await scene.vehicle.show(position=replace(here, alt_amsl_m=here.alt_amsl_m + 60.0), battery_pct=80.0)
    return scene


async def divert(scene: Scene) -> None:
    """Have it diverted home, in the mode in which PX4 flies there."""
    row = await scene.outcome(await scene.command("divert", key="d", params={"site_id": "hub-1"}))
    assert row["state"] == "done", row["outcome"]
    await scene.vehicle.show(activity=Activity.HOLD)


async def test_a_diversion_goes_on_by_the_next_runner_as_nobody_else_sees_it_land(diverted_scene: Scene) -> None:
    scene = diverted_scene
    async with scene.running():
        await scene.reaches("underway")
        await divert(scene)
    scene.vehicle.calls.clear()

    async with scene.running() as runner:
        # By its energy it could hold no longer; a return would take more still.
        runner.hold_left_s = 0.0

        async def told() -> bool:
            rows = await scene.world.rows("SELECT 1 FROM command WHERE kind = 'divert' AND state = 'done'")
            return len(rows) == 2

        await until(told)
        await scene.vehicle.show(activity=Activity.HOLD)
        await scene.vehicle.show(battery_pct=79.0)
        assert runner.diverted

    assert [call for call in scene.vehicle.calls if call in {"divert", "return"}] == ["divert"]
    (again,) = await scene.world.rows("SELECT * FROM command WHERE issuer = %(rule)s", rule=diverted.RULE)
    assert again["params"] == {"site_id": "hub-1"}


async def test_a_diversion_that_a_pilot_has_held_does_not_go_on_after_a_restart(diverted_scene: Scene) -> None:
    scene = diverted_scene
    async with scene.running():
        await scene.reaches("underway")
        await divert(scene)
        await scene.outcome(await scene.command("hold", key="h"))
    scene.vehicle.calls.clear()

    async with scene.running() as runner:
        runner.hold_left_s = 0.0
        await scene.reaches("returning")
        assert not runner.diverted

    assert "divert" not in scene.vehicle.calls


async def test_what_does_not_send_it_elsewhere_and_what_it_refuses_leave_a_diverted_drone_diverted(
    diverted_scene: Scene,
) -> None:
    scene = diverted_scene
    async with scene.running() as runner:
        await scene.reaches("underway")
        await divert(scene)
        scene.vehicle.fails["skip"] = [Refused("it waits for nothing")]
        refused = await scene.outcome(await scene.command("skip", key="s", params={"step": scene.first}))
        assert refused["state"] == "failed"
        assert runner.diverted
        scene.vehicle.fails["return"] = [Refused("not now")]
        await scene.outcome(await scene.command("return", key="b"))
        assert runner.diverted
        await scene.outcome(await scene.command("hold", key="h"))
        assert not runner.diverted
