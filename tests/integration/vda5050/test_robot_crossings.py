"""A robot stops at the kerb of every road, and crosses it when somebody who has just looked says so."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from hardware.errors import NoAnswer, NotOurs, Refused
from hardware.link import Activity, VehicleState, WaitFor
from hardware.vda5050 import makers, view
from tests.broker import Broker
from tests.scripted_robot import ScriptedRobot
from tests.vda5050_kit import Gateway, begin, gateway, pose, straight, until

pytestmark = pytest.mark.alone

APART_M = 15.0
WAY = straight("ABCDE", APART_M, roads="BC")
"""One road, from the kerb B over its middle C to the kerb D."""


@pytest.fixture
async def at_kerb(here: Gateway, robot: ScriptedRobot) -> Gateway:
    """The robot stands at kerb B."""
    await begin(here, WAY)
    await robot.reach(1, driving=False, agvPosition=pose(APART_M))
    await here.until(waits_to_cross)
    return here


def waits_to_cross(state: VehicleState) -> bool:
    return state.waits is not None and state.waits.what is WaitFor.CROSSING


def released(robot: ScriptedRobot) -> str:
    """The nodes ahead that are released."""
    return "".join(node["nodeId"] for node in robot.state["nodeStates"] if node["released"])


async def test_the_base_ends_at_the_kerb_and_the_robot_says_what_it_waits_for(
    here: Gateway, robot: ScriptedRobot
) -> None:
    await begin(here, WAY)
    assert released(robot) == "B"
    await robot.say(driving=True, newBaseRequest=True, agvPosition=pose(12.0))
    assert here.link.state().waits is None

    await robot.reach(1, driving=False, agvPosition=pose(APART_M))

    state = await here.until(waits_to_cross)
    assert state.waits is not None
    assert (state.waits.step, state.waits.node, state.waits.until) == (1, "B", None)
    message = await robot.say(newBaseRequest=True)
    await until(lambda: here.samples[-1].extra["headerId"] == message["headerId"])
    assert here.link.state().waits == state.waits, "it waits since then, not since the last message"
    assert [order["orderUpdateId"] for order in robot.orders] == [0]


async def test_a_release_reaches_the_far_kerb_and_asks_the_robot_first(at_kerb: Gateway, robot: ScriptedRobot) -> None:
    asked = len(robot.instants)

    await at_kerb.link.cross("B")

    assert [action["actionType"] for action in robot.instants[asked:]] == ["stateRequest"]
    assert released(robot).startswith("CD")
    assert at_kerb.link.state().waits is None
    await robot.reach(2, driving=True, agvPosition=pose(2 * APART_M))
    await robot.reach(3, driving=True, agvPosition=pose(3 * APART_M))
    await until(lambda: released(robot) == "E")
    assert at_kerb.link.state().waits is None


async def test_each_crossing_is_released_on_its_own(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here, straight("ABCDE", APART_M, roads="BD"))
    await robot.reach(1, agvPosition=pose(APART_M))
    await here.until(waits_to_cross)

    await here.link.cross("B")

    assert released(robot) == "CD"
    await robot.reach(2, agvPosition=pose(2 * APART_M))
    await robot.reach(3, agvPosition=pose(3 * APART_M))
    state = await here.until(waits_to_cross)
    assert state.waits is not None
    assert (state.waits.step, state.waits.node) == (3, "D")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"driving": True}, "driving"),
        ({"agvPosition": pose(APART_M - 4.0)}, "does not stand at the kerb B"),
        ({"paused": True}, "held"),
        ({"errors": [{"errorType": "tipped", "errorLevel": "FATAL"}]}, "tipped"),
        ({"safetyState": {"eStop": "MANUAL", "fieldViolation": False}}, "emergency stop MANUAL"),
        ({"operatingMode": "MANUAL"}, "MANUAL"),
    ],
)
async def test_a_robot_that_cannot_cross_now_is_not_released(
    at_kerb: Gateway, robot: ScriptedRobot, changes: dict[str, object], words: str
) -> None:
    await robot.say(**changes)
    await at_kerb.until(lambda state: not waits_to_cross(state))

    with pytest.raises(Refused, match=words):
        await at_kerb.link.cross("B")

    assert len(robot.orders) == 1


async def test_another_kerb_than_that_where_it_stands_is_refused(at_kerb: Gateway, robot: ScriptedRobot) -> None:
    with pytest.raises(Refused, match="does not stand at the kerb D"):
        await at_kerb.link.cross("D")

    assert len(robot.orders) == 1


async def test_a_robot_that_has_not_spoken_for_a_second_is_not_released(at_kerb: Gateway, robot: ScriptedRobot) -> None:
    robot.deaf = 1  # it does not hear the request for its state

    with pytest.raises(Refused, match="nothing is released on an old state"):
        await at_kerb.link.cross("B")

    assert len(robot.orders) == 1
    await at_kerb.link.cross("B")
    assert released(robot).startswith("CD")


async def test_a_state_that_was_on_its_way_for_long_does_not_count(at_kerb: Gateway, robot: ScriptedRobot) -> None:
    robot.deaf = 1
    asked = len(robot.instants)
    crossing = asyncio.create_task(at_kerb.link.cross("B"))
    await until(lambda: len(robot.instants) > asked)
    # It comes after the request, and knows nothing of it.
    await robot.say()

    with pytest.raises(Refused, match="old state"):
        await crossing


async def test_a_state_that_comes_twice_is_no_younger_by_that(
    at_kerb: Gateway, robot: ScriptedRobot, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of a robot that cannot be asked for its state.
    known = makers.quirks_of
    monkeypatch.setattr(view, "quirks_of", lambda *of: replace(known(*of), state_request="unknown"))
    last = await robot.say()
    await until(lambda: at_kerb.samples[-1].extra["headerId"] == last["headerId"])
    crossing = asyncio.create_task(at_kerb.link.cross("B"))

    while not crossing.done():
        await robot.raw("state", json.dumps(last).encode())
        await asyncio.wait([crossing], timeout=0.05)

    with pytest.raises(Refused, match="old state"):
        await crossing
    assert len(robot.orders) == 1


@pytest.mark.usefixtures("quick")
async def test_a_release_does_not_wait_behind_another_order(at_kerb: Gateway, robot: ScriptedRobot) -> None:
    robot.deaf = 1_000_000
    aborting = asyncio.create_task(at_kerb.link.abort())
    await until(lambda: robot.instants[-1]["actionType"] == "cancelOrder")

    with pytest.raises(Refused, match="being given another order"):
        await at_kerb.link.cross("B")

    assert not aborting.done()
    robot.deaf = 0
    await aborting
    assert len(robot.orders) == 1


@pytest.mark.usefixtures("quick")
async def test_a_release_that_was_lost_is_not_sent_again_by_itself(at_kerb: Gateway, robot: ScriptedRobot) -> None:
    robot.deaf_to_orders = 1

    with pytest.raises(NoAnswer, match="update 1"):
        await at_kerb.link.cross("B")

    assert len(robot.orders) == 2
    assert released(robot) == ""
    assert waits_to_cross(at_kerb.link.state())


async def test_without_the_lease_nothing_is_released(at_kerb: Gateway, robot: ScriptedRobot) -> None:
    at_kerb.lease.ours = False

    with pytest.raises(NotOurs):
        await at_kerb.link.cross("B")

    assert len(robot.orders) == 1


async def test_a_restart_at_the_kerb_releases_nothing(broker: Broker, robot: ScriptedRobot) -> None:
    async with gateway(broker, "first") as first:
        await first.until(lambda state: state.connected)
        await begin(first, WAY)
    await robot.reach(1, driving=False, agvPosition=pose(APART_M))

    async with gateway(broker, "second") as second:
        second.link.expect(WAY)
        assert await second.link.recognise()
        assert waits_to_cross(second.link.state())
        message = await robot.say(newBaseRequest=True)
        await until(lambda: second.samples[-1].extra["headerId"] == message["headerId"])
        assert [order["orderUpdateId"] for order in robot.orders] == [0]

        await second.link.cross("B")
        assert released(robot).startswith("CD")


async def test_a_restart_while_it_crosses_goes_on_with_what_was_released(broker: Broker, robot: ScriptedRobot) -> None:
    async with gateway(broker, "first") as first:
        await first.until(lambda state: state.connected)
        await begin(first, WAY)
        await robot.reach(1, driving=False, agvPosition=pose(APART_M))
        await first.until(waits_to_cross)
        await first.link.cross("B")
    await robot.reach(2, driving=True, agvPosition=pose(2 * APART_M))

    async with gateway(broker, "second") as second:
        second.link.expect(WAY)
        assert await second.link.recognise()
        await robot.reach(3, driving=True, agvPosition=pose(3 * APART_M))
        await until(lambda: released(robot) == "E")
        assert second.link.state().waits is None


async def test_the_way_back_waits_at_the_other_kerb(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here, WAY)
    await robot.reach(1, agvPosition=pose(APART_M))
    await here.until(waits_to_cross)
    await here.link.cross("B")
    await robot.reach(2, agvPosition=pose(2 * APART_M))
    await robot.reach(3, driving=False, agvPosition=pose(3 * APART_M))
    await here.until(lambda state: state.progress.step == 4)

    await here.link.return_home()

    assert [node["nodeId"] for node in robot.orders[-1]["nodes"]] == ["D", "C", "B", "A"]
    state = await here.until(waits_to_cross)
    assert state.waits is not None
    assert (state.waits.node, released(robot)) == ("D", "")
    await here.link.cross("D")
    assert released(robot).startswith("CB")
    assert here.link.state().activity is Activity.RETURN


async def test_a_robot_that_drives_across_is_not_stopped_on_the_road(at_kerb: Gateway, robot: ScriptedRobot) -> None:
    await at_kerb.link.cross("B")
    await robot.reach(2, driving=True, agvPosition=pose(2 * APART_M))
    await at_kerb.until(lambda state: state.progress.step == 3)

    for command in (at_kerb.link.return_home, at_kerb.link.abort):
        with pytest.raises(Refused, match="crossing a road"):
            await command()
    assert "cancelOrder" not in [action["actionType"] for action in robot.instants]

    await robot.say(driving=False)
    await at_kerb.until(lambda state: state.mode.endswith("standing"))
    await at_kerb.link.return_home()
    assert released(robot) == "BA", "it leaves the road, back to the kerb that it came from, and goes on"
