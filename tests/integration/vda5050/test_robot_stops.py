"""Stopping, giving up, other speeds: what the standard has for it, and what is said where it has nothing."""

from __future__ import annotations

import asyncio

import pytest

from hardware.errors import NoAnswer, NotSupported, Refused
from hardware.link import Activity
from tests.broker import Broker
from tests.scripted_robot import FACTSHEET, ScriptedRobot, scripted_robot
from tests.vda5050_kit import Gateway, begin, gateway, pose, straight, until

pytestmark = pytest.mark.alone


async def test_a_stop_is_unconfirmed_until_the_robot_says_that_it_is_paused(
    here: Gateway, robot: ScriptedRobot
) -> None:
    await begin(here)
    await robot.say(driving=True)
    robot.deaf = 1
    holding = asyncio.create_task(here.link.hold())

    unconfirmed = await here.until(lambda state: state.unconfirmed is not None)
    assert unconfirmed.unconfirmed is not None
    assert "a stop was sent" in unconfirmed.unconfirmed
    assert unconfirmed.activity is Activity.MISSION, "it may still be driving"

    await robot.say(paused=True, driving=False)
    confirmed = await here.until(lambda state: state.unconfirmed is None)
    assert confirmed.activity is Activity.HOLD
    await holding


@pytest.mark.usefixtures("quick")
async def test_a_stop_that_is_never_shown_stays_unconfirmed_until_it_is_resumed(
    here: Gateway, robot: ScriptedRobot
) -> None:
    await begin(here)
    robot.deaf = 1000
    with pytest.raises(NoAnswer):
        await here.link.hold()
    assert here.link.state().unconfirmed is not None

    robot.deaf = 0
    await here.link.resume()

    assert here.link.state().unconfirmed is None


async def test_the_standard_has_no_emergency_stop(here: Gateway, robot: ScriptedRobot) -> None:
    with pytest.raises(NotSupported, match="hold it"):
        await here.link.emergency_stop()

    assert "emergencyStop" not in [action["actionType"] for action in robot.instants]


async def test_a_maker_that_offers_an_emergency_stop_gets_it(broker: Broker) -> None:
    async with (
        scripted_robot(broker, "1", maker="todoke-sim") as robot,
        gateway(broker, manufacturer="todoke-sim") as here,
    ):
        await here.until(lambda state: state.connected)
        await begin(here)

        await here.link.emergency_stop()

        assert robot.state["safetyState"]["eStop"] == "REMOTE"
        state = here.link.state()
        assert (state.activity, state.unconfirmed) == (Activity.FAULT, None)
        assert state.faults == ("emergency stop: REMOTE",)


async def test_an_aborted_mission_leaves_the_robot_standing_without_an_order(
    here: Gateway, robot: ScriptedRobot
) -> None:
    await begin(here)
    await robot.say(driving=True, agvPosition=pose(10.0))
    sent = len(robot.orders)

    aborting = asyncio.create_task(here.link.abort())
    await until(lambda: "cancelOrder" in [action["actionType"] for action in robot.instants])
    await robot.say(driving=False)
    await aborting

    state = here.link.state()
    assert state.activity is Activity.IDLE
    assert not any("gave up" in fault for fault in state.faults), "it was told to"
    assert len(robot.orders) == sent
    await here.link.abort()  # there is nothing to give up any more, and that is no fault
    assert [action["actionType"] for action in robot.instants].count("cancelOrder") == 1


async def test_another_speed_is_for_what_is_not_released_yet(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here, straight("ABCDE", 20.0))

    await here.link.set_speed(0.8)

    assert [edge["maxSpeed"] for edge in robot.orders[0]["edges"]] == [1.5] * 4
    update = robot.orders[1]
    assert (update["orderUpdateId"], update["nodes"][0]["nodeId"]) == (1, "C")
    assert [(edge["edgeId"], edge["released"], edge["maxSpeed"]) for edge in update["edges"]] == [
        ("C-D", False, 0.8),
        ("D-E", False, 0.8),
    ]
    await robot.reach(1, driving=True, agvPosition=pose(20.0))
    await robot.say(newBaseRequest=True)
    await until(lambda: robot.state["orderUpdateId"] == 2)
    assert [edge["maxSpeed"] for edge in robot.orders[2]["edges"]] == [0.8, 0.8]


@pytest.mark.parametrize("speed_mps", [0.0, -1.0, 1.7, float("nan"), float("inf")])
async def test_a_speed_that_the_type_does_not_drive_is_refused(
    here: Gateway, robot: ScriptedRobot, speed_mps: float
) -> None:
    await begin(here)

    with pytest.raises(Refused, match="m/s"):
        await here.link.set_speed(speed_mps)

    assert len(robot.orders) == 1


async def test_a_robot_that_takes_no_speed_is_sent_none(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FACTSHEET, "protocolFeatures", {"agvActions": FACTSHEET["protocolFeatures"]["agvActions"]})
    async with scripted_robot(broker, "1") as robot, gateway(broker) as here:
        await here.until(lambda state: state.connected)
        await begin(here)

        with pytest.raises(NotSupported, match="maxSpeed"):
            await here.link.set_speed(1.0)

        assert len(robot.orders) == 1
        assert all("maxSpeed" not in edge for edge in robot.orders[0]["edges"])


async def test_cancelling_without_an_order_is_not_tried(here: Gateway, robot: ScriptedRobot) -> None:
    await here.link.abort()

    assert "cancelOrder" not in [action["actionType"] for action in robot.instants]


async def test_an_order_that_ends_while_it_is_cancelled_is_cancelled_all_the_same(
    here: Gateway, robot: ScriptedRobot
) -> None:
    await begin(here)
    robot.deaf = 1
    aborting = asyncio.create_task(here.link.abort())
    await until(lambda: "cancelOrder" in [action["actionType"] for action in robot.instants])
    no_order = {"errorType": "noOrderToCancel", "errorLevel": "WARNING"}
    cancel = {**robot.instants[-1], "actionStatus": "FAILED"}
    await robot.say(nodeStates=[], edgeStates=[], actionStates=[cancel], errors=[no_order])

    await aborting

    assert here.link.state().activity is Activity.IDLE


async def test_a_robot_that_was_told_to_stop_gets_no_more_of_its_way(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)
    robot.deaf = 1
    holding = asyncio.create_task(here.link.hold())
    await here.until(lambda state: state.unconfirmed is not None)

    # It has not heard, and drives to where its base would be continued.
    message = await robot.say(driving=True, newBaseRequest=True, agvPosition=pose(35.0))
    await until(lambda: here.samples[-1].extra["headerId"] == message["headerId"])
    await holding

    assert len(robot.orders) == 1
    await here.link.resume()
    await until(lambda: robot.state["orderUpdateId"] == 1)


async def test_a_way_home_ends_a_stop_that_was_never_shown(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)
    await robot.say(agvPosition=pose(20.0))
    robot.deaf = 1
    holding = asyncio.create_task(here.link.hold())
    await here.until(lambda state: state.unconfirmed is not None)
    holding.cancel()

    await here.link.return_home()

    assert here.link.state().unconfirmed is None
    assert here.link.state().activity is Activity.RETURN
    sent = [action["actionType"] for action in robot.instants]
    assert "stopPause" in sent[sent.index("startPause") :]
