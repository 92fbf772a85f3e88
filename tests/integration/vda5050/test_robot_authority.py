"""When a robot is sent nothing: without the lease, without a beat, in the hands of a person."""

from __future__ import annotations

import asyncio
import json

import pytest

from hardware.errors import NotOurs, NotSupported, Refused
from hardware.link import Activity
from tests.broker import Broker
from tests.scripted_robot import ScriptedRobot
from tests.vda5050_kit import Gateway, begin, gateway, pose, straight, until

pytestmark = pytest.mark.alone


async def test_nothing_is_sent_without_the_lease(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)
    heard = len(robot.orders), len(robot.instants)
    here.lease.ours = False

    for command in (here.link.hold, here.link.resume, here.link.return_home, here.link.recognise):
        with pytest.raises(NotOurs):
            await command()
    message = await robot.say(driving=True, agvPosition=pose(35.0), newBaseRequest=True)
    await until(lambda: here.samples[-1].extra["headerId"] == message["headerId"])
    assert (len(robot.orders), len(robot.instants)) == heard

    here.lease.ours = True
    await until(lambda: robot.state["orderUpdateId"] >= 1)


async def test_without_a_beat_the_base_is_not_continued(
    here: Gateway, robot: ScriptedRobot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hardware.vda5050.link.BEAT_LIFE_S", 0.3)
    await begin(here)
    here.alive = False
    # What the link was told last must have run out before the robot asks.
    stopped = asyncio.get_running_loop().time()
    await until(lambda: asyncio.get_running_loop().time() > stopped + 0.4)

    await robot.say(driving=True, agvPosition=pose(35.0), newBaseRequest=True)
    await here.until(lambda state: state.mode == "AUTOMATIC driving")
    message = await robot.say()
    await until(lambda: here.samples[-1].extra["headerId"] == message["headerId"])
    assert len(robot.orders) == 1

    here.alive = True
    await until(lambda: robot.state["orderUpdateId"] >= 1)


async def test_a_request_for_a_new_base_is_answered_as_far_as_the_base_may_reach(
    here: Gateway, robot: ScriptedRobot
) -> None:
    await begin(here, straight("ABCDE", 20.0))

    # 29 m of its base are left: it would get more from 25 m on.
    await robot.say(driving=True, agvPosition=pose(11.0))
    assert robot.state["orderUpdateId"] == 0
    await robot.say(newBaseRequest=True)

    await until(lambda: robot.state["orderUpdateId"] == 1)
    assert [node["released"] for node in robot.state["nodeStates"]] == [True, True, True, False]


@pytest.mark.parametrize("mode", ["MANUAL", "SERVICE", "TEACHIN"])
async def test_nothing_is_sent_to_a_robot_that_a_person_drives(here: Gateway, robot: ScriptedRobot, mode: str) -> None:
    await begin(here)
    heard = len(robot.orders), len(robot.instants)

    await robot.say(operatingMode=mode, nodeStates=[], edgeStates=[], actionStates=[], newBaseRequest=True)
    state = await here.until(lambda state: state.activity is Activity.MANUAL)

    assert any("gave up order m1" in fault for fault in state.faults)
    for command in (here.link.hold, here.link.resume, here.link.return_home):
        with pytest.raises(Refused, match=mode):
            await command()
    for other in (here.link.cross("B"), here.link.unlock(2), here.link.skip(2), here.link.set_speed(1.0)):
        with pytest.raises((Refused, NotSupported)):
            await other
    assert (len(robot.orders), len(robot.instants)) == heard


async def test_a_robot_in_hand_is_not_asked_for_its_state_when_a_gateway_begins(
    broker: Broker, robot: ScriptedRobot
) -> None:
    await robot.say(operatingMode="SERVICE")
    async with gateway(broker) as late:
        # Its mode is not known before it has spoken; from then on nothing is sent.
        await until(lambda: bool(robot.instants))
        await robot.say()
        await late.until(lambda state: state.connected)
        asked = len(robot.instants)

        recognising = asyncio.create_task(late.link.recognise())
        for _ in range(3):
            await robot.say()
        assert not await recognising

        assert len(robot.instants) == asked


@pytest.mark.parametrize("interval_s", [0.0, 2.0])
async def test_orders_are_as_far_apart_as_the_factsheet_wants(
    here: Gateway, robot: ScriptedRobot, interval_s: float
) -> None:
    timing = {"protocolLimits": {"timing": {"minOrderInterval": interval_s}}}
    await robot.raw("factsheet", json.dumps(timing).encode(), qos=1, retain=True)
    await begin(here, straight("ABCDEFGH", 20.0))
    loop = asyncio.get_running_loop()

    await robot.reach(1, driving=True, agvPosition=pose(20.0))
    await until(lambda: robot.state["orderUpdateId"] == 1)
    sent_at = loop.time()
    await robot.reach(2, driving=True, agvPosition=pose(40.0))
    await until(lambda: robot.state["orderUpdateId"] == 2)

    # The robot hears of the first update a little after it was sent.
    assert loop.time() - sent_at >= interval_s - 0.5
