"""A robot whose connection was lost for long stands where its base ended until a pilot says how it goes on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from hardware.link import Activity, VehicleState, WaitFor
from hardware.vda5050 import view
from telemetry.clock import Clock
from tests.broker import Broker
from tests.robots import clock_at
from tests.scripted_robot import ScriptedRobot
from tests.vda5050_kit import Gateway, begin, gateway, pose, straight, until

pytestmark = pytest.mark.alone

WAY = straight("ABCDEF", 20.0)
FAST = 100.0
"""The robot's lost-link time of 30 s is over after 0.3 s, and the network's margin after 0.2 s."""


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "NETWORK_MARGIN_S", 0.2)


def waits_for_word(state: VehicleState) -> bool:
    return state.waits is not None and state.waits.what is WaitFor.RESUME


async def silence(seconds: float = 0.8) -> None:
    """Wait while the robot says nothing."""
    end = asyncio.get_running_loop().time() + seconds
    await until(lambda: asyncio.get_running_loop().time() > end)


async def lose(here: Gateway, robot: ScriptedRobot) -> None:
    """Let it drive away, be silent for longer than its lost-link time, and come back at the end of its base."""
    await begin(here, WAY)
    await robot.say(driving=True, agvPosition=pose(5.0))
    await here.until(lambda state: state.mode.endswith("driving"))
    here.alive = False
    await silence()
    robot.advance(1)
    await robot.reach(2, driving=False, agvPosition=pose(40.0))
    here.alive = True


async def test_it_goes_on_only_when_it_is_resumed(broker: Broker, robot: ScriptedRobot) -> None:
    async with gateway(broker, clock=clock_at(FAST)) as here:
        await here.until(lambda state: state.connected)
        await lose(here, robot)

        state = await here.until(waits_for_word)
        assert state.waits is not None
        assert (state.waits.node, state.waits.step) == ("C", 2)
        # It is paused too, so that a service that restarts now sees that it is to stand.
        await until(lambda: bool(robot.state["paused"]))
        assert len(robot.orders) == 1
        assert waits_for_word(here.link.state())

        await here.link.resume()

        assert here.link.state().waits is None
        await until(lambda: robot.state["orderUpdateId"] == 1)
        assert not robot.state["paused"]


async def test_it_may_be_called_home_instead(broker: Broker, robot: ScriptedRobot) -> None:
    async with gateway(broker, clock=clock_at(FAST)) as here:
        await here.until(lambda state: state.connected)
        await lose(here, robot)
        await here.until(waits_for_word)

        await here.link.return_home()

        assert robot.orders[-1]["orderId"] == "m1-return"
        assert not robot.state["paused"]
        assert here.link.state().activity is Activity.RETURN
        assert here.link.state().waits is None


async def test_a_robot_that_still_drives_when_it_is_heard_again_goes_on(broker: Broker, robot: ScriptedRobot) -> None:
    async with gateway(broker, clock=clock_at(FAST)) as here:
        await here.until(lambda state: state.connected)
        await begin(here, WAY)
        here.alive = False
        await silence()
        await robot.reach(1, driving=True, agvPosition=pose(28.0))
        here.alive = True

        await until(lambda: robot.state["orderUpdateId"] == 1)
        assert here.link.state().waits is None


async def test_a_gateway_that_comes_after_a_long_break_asks_the_pilot(broker: Broker, robot: ScriptedRobot) -> None:
    async with gateway(broker, "first") as first:
        await first.until(lambda state: state.connected)
        await begin(first, WAY)
    robot.advance(1)
    await robot.reach(2, driving=False, agvPosition=pose(40.0))
    long_ago = datetime.now(UTC) - timedelta(seconds=60)

    async with gateway(broker, "second", listened_until=long_ago) as second:
        second.link.expect(WAY)
        assert await second.link.recognise()
        await second.until(waits_for_word)
        await until(lambda: bool(robot.state["paused"]))
        assert len(robot.orders) == 1

    async with gateway(broker, "third", listened_until=datetime.now(UTC)) as third:
        third.link.expect(WAY)
        assert await third.link.recognise()
        assert third.link.state().activity is Activity.HOLD
        message = await robot.say(newBaseRequest=True)
        await until(lambda: third.samples[-1].extra["headerId"] == message["headerId"])
        assert len(robot.orders) == 1, "its short restart is no pilot's word"

        await third.link.resume()
        await until(lambda: robot.state["orderUpdateId"] == 1)


async def test_a_gateway_that_comes_soon_goes_on_by_itself(broker: Broker, robot: ScriptedRobot) -> None:
    async with gateway(broker, "first") as first:
        await first.until(lambda state: state.connected)
        await begin(first, WAY)
    robot.advance(1)
    await robot.reach(2, driving=False, agvPosition=pose(40.0))
    just_now = Clock.real().now() - timedelta(seconds=5)

    async with gateway(broker, "second", listened_until=just_now) as second:
        second.link.expect(WAY)
        assert await second.link.recognise()
        await until(lambda: robot.state["orderUpdateId"] == 1)
        assert second.link.state().waits is None


async def test_at_a_kerb_the_crossing_is_what_it_waits_for(broker: Broker, robot: ScriptedRobot) -> None:
    way = straight("ABCD", 20.0, roads="C")
    async with gateway(broker, clock=clock_at(FAST)) as here:
        await here.until(lambda state: state.connected)
        await begin(here, way)
        here.alive = False
        await silence()
        robot.advance(1)
        await robot.reach(2, driving=False, agvPosition=pose(40.0))
        here.alive = True

        state = await here.until(lambda state: state.waits is not None)

        assert state.waits is not None
        assert state.waits.what is WaitFor.CROSSING
        await here.link.cross("C")
        assert robot.state["nodeStates"][-1]["released"]
