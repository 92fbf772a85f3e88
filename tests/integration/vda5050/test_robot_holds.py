"""A robot is held, resumed and called home."""

from __future__ import annotations

import asyncio

import pytest

from hardware.errors import NotSupported, Refused
from hardware.link import Activity
from tests.scripted_robot import ScriptedRobot
from tests.vda5050_kit import Gateway, begin, mission, pose, until

pytestmark = pytest.mark.alone


async def test_hold_and_resume_return_when_the_robot_shows_them(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)

    await here.link.hold()
    assert robot.state["paused"]
    assert here.link.state().activity is Activity.HOLD

    await here.link.resume()
    assert not robot.state["paused"]
    assert here.link.state().activity is Activity.MISSION


@pytest.mark.usefixtures("quick")
async def test_a_hold_that_was_lost_on_the_way_is_sent_again_under_the_same_id(
    here: Gateway, robot: ScriptedRobot
) -> None:
    await begin(here)
    robot.deaf = 1

    await here.link.hold()

    pauses = [action["actionId"] for action in robot.instants if action["actionType"] == "startPause"]
    assert len(pauses) == 2
    assert len(set(pauses)) == 1


@pytest.mark.usefixtures("quick")
async def test_a_hold_wins_over_a_resume_that_was_lost_and_would_be_sent_again(
    here: Gateway, robot: ScriptedRobot
) -> None:
    await begin(here)
    await here.link.hold()
    robot.deaf = 1
    resuming = asyncio.create_task(here.link.resume())
    await until(lambda: robot.instants[-1]["actionType"] == "stopPause")

    await here.link.hold()

    with pytest.raises(Refused, match="held meanwhile"):
        await resuming
    assert robot.state["paused"]
    told = [action["actionType"] for action in robot.instants if action["actionType"].endswith("Pause")]
    assert told == ["startPause", "stopPause", "startPause"]


@pytest.mark.usefixtures("quick")
async def test_a_hold_that_the_robot_refuses_is_reported(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)
    robot.obeys = False

    with pytest.raises(Refused, match="startPause"):
        await here.link.hold()


async def test_a_hold_is_not_kept_waiting_by_an_order_that_is_being_given(here: Gateway, robot: ScriptedRobot) -> None:
    await here.link.upload(mission())
    robot.deaf = 1
    starting = asyncio.create_task(here.link.start())
    await until(lambda: len(robot.orders) == 1)

    await asyncio.wait_for(here.link.hold(), 1.0)

    await starting
    assert here.link.state().activity is Activity.HOLD


async def test_return_home_cancels_and_drives_back_along_the_nodes(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)
    await robot.say(driving=True, agvPosition=pose(30.0))
    await until(lambda: robot.state["orderUpdateId"] == 1)
    robot.act("m1:2", "FINISHED")
    await robot.reach(1, agvPosition=pose(55.0), driving=False)
    await here.until(lambda state: state.progress.step == 3)

    await here.link.return_home()

    assert "cancelOrder" in [action["actionType"] for action in robot.instants]
    back = robot.orders[-1]
    assert back["orderId"] == "m1-return"
    assert back["orderUpdateId"] == 0
    assert [node["nodeId"] for node in back["nodes"]] == ["m1-return-start", "B", "A"]
    assert back["nodes"][0]["nodePosition"]["x"] == pytest.approx(55.0, abs=0.01)
    assert all(node["actions"] == [] for node in back["nodes"])
    state = here.link.state()
    assert state.activity is Activity.RETURN
    assert [release.step for release in state.progress.releases] == [2]

    await robot.reach(1, agvPosition=pose(40.0), driving=True)
    await until(lambda: robot.state["orderUpdateId"] >= 1 or robot.state["nodeStates"][-1]["released"])
    assert not here.link.state().progress.finished
    await robot.reach(2, agvPosition=pose(0.0), driving=False)
    home = await here.until(lambda state: state.progress.finished)
    assert home.activity is Activity.IDLE
    assert [release.step for release in home.progress.releases] == [2]


async def test_returning_twice_sends_one_order(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)
    await here.link.return_home()
    heard = len(robot.orders), len(robot.instants)

    await here.link.return_home()

    assert (len(robot.orders), len(robot.instants)) == heard


async def test_a_second_attempt_at_the_way_back_has_another_order_id(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)
    await robot.say(agvPosition=pose(20.0))
    await here.link.return_home()
    await robot.say(nodeStates=[], edgeStates=[], lastNodeId="A")  # as after a switch to MANUAL and back
    await here.until(lambda state: bool(state.faults))

    await here.link.return_home()

    assert robot.state["orderId"] == "m1-return-2"
    assert here.link.state().activity is Activity.RETURN
    assert here.link.state().faults == ()


async def test_a_held_robot_that_is_called_home_drives_again(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)
    await robot.say(agvPosition=pose(20.0))
    await here.link.hold()

    await here.link.return_home()

    assert not robot.state["paused"]
    assert here.link.state().activity is Activity.RETURN


async def test_a_hold_during_the_call_home_wins(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)
    robot.deaf = 1  # the cancelOrder is lost at first, so that there is time for the hold
    returning = asyncio.create_task(here.link.return_home())
    await until(lambda: any(action["actionType"] == "cancelOrder" for action in robot.instants))
    await here.link.hold()

    with pytest.raises(Refused, match="held"):
        await returning

    assert robot.state["paused"]
    assert [order["orderId"] for order in robot.orders] == ["m1"]


async def test_a_robot_cannot_land(here: Gateway) -> None:
    with pytest.raises(NotSupported):
        await here.link.land()
