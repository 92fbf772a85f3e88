"""Gateways, robots and brokers restart, and the robot goes on with what it was doing."""

from __future__ import annotations

import pytest

from hardware.errors import LinkDown
from hardware.link import Activity
from tests.broker import Broker
from tests.scripted_robot import ScriptedRobot
from tests.vda5050_kit import Gateway, begin, gateway, mission, pose, until

pytestmark = pytest.mark.alone


async def test_a_gateway_that_restarts_goes_on_with_the_order(broker: Broker, robot: ScriptedRobot) -> None:
    async with gateway(broker, "first") as first:
        await first.until(lambda state: state.connected)
        await begin(first)
        await robot.say(driving=True, agvPosition=pose(30.0))
        await until(lambda: robot.state["orderUpdateId"] == 1)
    robot.act("m1:2", "FINISHED")
    await robot.reach(1, agvPosition=pose(45.0))

    async with gateway(broker, "second") as second:
        second.link.expect(mission())
        assert await second.link.recognise()
        progress = second.link.state().progress
        assert (progress.mission_id, progress.step) == ("m1", 3)
        assert [(release.step, release.evidence) for release in progress.releases] == [(2, "sensor")]

        await robot.reach(2, agvPosition=pose(75.0))
        await until(lambda: robot.state["orderUpdateId"] == 2)
        assert [order["orderUpdateId"] for order in robot.orders] == [0, 1, 2]
        assert all(node["released"] for node in robot.state["nodeStates"])


async def test_a_finished_mission_is_recognised_as_finished_after_a_restart(
    broker: Broker, robot: ScriptedRobot
) -> None:
    async with gateway(broker, "first") as first:
        await first.until(lambda state: state.connected)
        await begin(first)
        robot.act("m1:2", "FINISHED")
        robot.act("m1:5", "FINISHED")
        await robot.say(nodeStates=[], edgeStates=[], lastNodeId="D", lastNodeSequenceId=6)
        await first.until(lambda state: state.progress.finished)
    sent = len(robot.orders)

    async with gateway(broker, "second") as second:
        second.link.expect(mission())
        assert await second.link.recognise()
        assert second.link.state().progress.finished
        await second.link.upload(mission())
        await second.link.start()

    assert len(robot.orders) == sent


async def test_a_way_back_is_recognised_and_finished_after_a_restart(broker: Broker, robot: ScriptedRobot) -> None:
    async with gateway(broker, "first") as first:
        await first.until(lambda state: state.connected)
        await begin(first)
        await robot.say(agvPosition=pose(20.0))
        await first.link.return_home()

    async with gateway(broker, "second") as second:
        second.link.expect(mission())
        assert await second.link.recognise()
        assert second.link.state().activity is Activity.RETURN
        assert not second.link.state().progress.finished
        await robot.reach(1, agvPosition=pose(0.0))
        home = await second.until(lambda state: state.progress.finished)

    assert home.progress.mission_id == "m1"


async def test_another_mission_is_not_recognised(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)
    here.link.expect(mission("m2"))

    assert not await here.link.recognise()
    assert here.link.state().progress.mission_id is None


@pytest.mark.usefixtures("quick")
async def test_recognising_a_robot_that_is_not_there_says_so(broker: Broker) -> None:
    async with gateway(broker) as alone:
        alone.link.expect(mission())
        with pytest.raises(LinkDown):
            await alone.link.recognise()


async def test_a_robot_that_restarts_has_lost_its_order_and_that_is_a_fault(
    here: Gateway, robot: ScriptedRobot
) -> None:
    # It has said so much that its first ids after the restart are none of its latest.
    robot.header_id = 50
    await begin(here)
    robot.header_id = 0
    robot.state["actionStates"] = []

    await robot.say(orderId="", orderUpdateId=0, nodeStates=[], edgeStates=[], lastNodeId="")

    lost = await here.until(lambda state: state.progress.mission_id is None)
    assert any("lost order m1" in fault for fault in lost.faults)
    assert lost.activity is Activity.IDLE


async def test_a_broker_that_restarts_is_survived(broker: Broker, here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)
    await broker.stop()
    await here.until(lambda state: not state.connected)
    with pytest.raises(LinkDown):
        await here.link.hold()

    await broker.start()
    await robot.client.wait_connected()
    await here.client.wait_connected()
    await until(lambda: "stateRequest" in [action["actionType"] for action in robot.instants[-2:]])

    await here.until(lambda state: state.connected)
    await robot.say(driving=True, agvPosition=pose(35.0))
    await until(lambda: robot.state["orderUpdateId"] == 1)
    assert not robot.state["paused"], "the hold that failed is not sent later"


async def test_a_robot_that_restarts_and_still_has_its_order_goes_on_with_it(
    here: Gateway, robot: ScriptedRobot
) -> None:
    robot.header_id = 500
    await begin(here)
    await robot.announce("CONNECTIONBROKEN")
    await here.until(lambda state: not state.connected)

    # Its messages begin anew, its order does not.
    robot.header_id = 0
    await robot.announce()
    await robot.say(driving=True, agvPosition=pose(30.0))

    back = await here.until(lambda state: state.connected and state.progress.mission_id == "m1")
    assert back.faults == ()
    await until(lambda: robot.state["orderUpdateId"] == 1)
    assert [event.kind for event in here.events].count("restarted") == 1
    assert back.conditions == {}
