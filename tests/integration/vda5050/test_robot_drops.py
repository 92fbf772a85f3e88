"""Parcels under lock: the robot waits at the node until it is told to let somebody at them, or goes on without."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hardware.errors import MissionRejected, NotSupported, Refused
from hardware.link import VehicleState, WaitFor
from tests.broker import Broker
from tests.scripted_robot import FACTSHEET, ScriptedRobot, scripted_robot
from tests.vda5050_kit import Gateway, begin, gateway, mission, pose, straight, until

MAKER = "todoke-sim"
APART_M = 20.0
WAY = straight("ABCD", APART_M, unlocked="BC")
"""Parcels at B (step 2) and C (step 4)."""


@pytest.fixture
async def locked(broker: Broker) -> AsyncIterator[ScriptedRobot]:
    """A robot of a maker whose row names an action that unlocks."""
    async with scripted_robot(broker, "1", maker=MAKER) as robot:
        yield robot
        assert robot.breaches == []


@pytest.fixture(autouse=True)
def _knows_triggers(monkeypatch: pytest.MonkeyPatch) -> None:
    features = FACTSHEET["protocolFeatures"]
    actions = [*features["agvActions"], {"actionType": "waitForTrigger", "actionScopes": ["NODE"]}]
    monkeypatch.setitem(FACTSHEET, "protocolFeatures", {**features, "agvActions": actions})


def waits_at(step: int, state: VehicleState) -> bool:
    return state.waits is not None and (state.waits.what, state.waits.step) == (WaitFor.UNLOCK, step)


async def arrive(here: Gateway, robot: ScriptedRobot) -> None:
    """Start the mission and stand at B, waiting to be unlocked."""
    await here.until(lambda state: state.connected)
    await begin(here, WAY)
    robot.act("m1:2:trigger", "RUNNING")
    await robot.reach(1, driving=False, agvPosition=pose(APART_M))
    await here.until(lambda state: waits_at(2, state))


async def test_the_drop_comes_after_a_trigger_that_we_give(broker: Broker, locked: ScriptedRobot) -> None:
    async with gateway(broker, manufacturer=MAKER) as here:
        await arrive(here, locked)
        at_b = locked.orders[0]["nodes"][1]["actions"]
        assert [(a["actionType"], a["blockingType"]) for a in at_b] == [("waitForTrigger", "HARD"), ("drop", "HARD")]
        waits = here.link.state().waits
        assert waits is not None
        assert waits.until is not None
        assert (waits.until - waits.since).total_seconds() == 300.0
        assert waits.node == "B"

        await here.link.unlock(2)

        unlock = locked.instants[-1]
        assert unlock["actionType"] == "unlockCompartment"
        assert unlock["actionParameters"] == [{"key": "actionId", "value": "m1:2:trigger"}]
        assert here.link.state().waits is None
        locked.act("m1:2", "FINISHED")
        await locked.say()
        delivered = await here.until(lambda state: bool(state.progress.releases))
        assert [(release.step, release.evidence) for release in delivered.progress.releases] == [(2, "sensor")]


async def test_only_the_parcels_where_it_stands_are_unlocked(broker: Broker, locked: ScriptedRobot) -> None:
    async with gateway(broker, manufacturer=MAKER) as here:
        await arrive(here, locked)
        sent = len(locked.instants)

        for step in (4, 1, 99):
            with pytest.raises(Refused, match=f"for step {step}"):
                await here.link.unlock(step)

        assert len(locked.instants) == sent


async def test_a_time_that_is_over_is_said_and_decides_nothing(broker: Broker, locked: ScriptedRobot) -> None:
    async with gateway(broker, manufacturer=MAKER, trigger_s=0.3) as here:
        await arrive(here, locked)

        state = await here.until(lambda state: any("nobody has unlocked it" in fault for fault in state.faults))

        assert waits_at(2, state)
        assert [event.text for event in here.events if event.severity == 3] == [
            "nobody has unlocked it at node 'B' in time"
        ]
        assert "cancelOrder" not in [action["actionType"] for action in locked.instants]


async def test_a_hand_over_that_comes_to_nothing_is_skipped_with_an_order_for_the_rest(
    broker: Broker, locked: ScriptedRobot
) -> None:
    async with gateway(broker, "first", manufacturer=MAKER) as here:
        await arrive(here, locked)

        await here.link.skip(2)

        assert "cancelOrder" in [action["actionType"] for action in locked.instants]
        rest = locked.orders[-1]
        assert (rest["orderId"], rest["orderUpdateId"]) == ("m1-go-2", 0)
        assert [node["nodeId"] for node in rest["nodes"]] == ["B", "C", "D"]
        assert [[a["actionId"] for a in node["actions"]] for node in rest["nodes"]] == [
            [],
            ["m1-go-2:4:trigger", "m1-go-2:4"],
            [],
        ]
        state = here.link.state()
        assert (state.progress.mission_id, state.progress.step, state.waits) == ("m1", 3, None)
        assert state.faults == ()

    # Another process knows the order by its id, and goes on with it.
    async with gateway(broker, "second", manufacturer=MAKER) as here:
        here.link.expect(WAY)
        assert await here.link.recognise()
        locked.act("m1-go-2:4:trigger", "RUNNING")
        await locked.reach(1, driving=False, agvPosition=pose(2 * APART_M))
        await here.until(lambda state: waits_at(4, state))
        await here.link.unlock(4)
        locked.act("m1-go-2:4", "FINISHED")
        await locked.say(driving=True)
        await until(lambda: bool(locked.state["nodeStates"][-1]["released"]))
        await locked.reach(2, driving=False, agvPosition=pose(3 * APART_M))
        end = await here.until(lambda state: state.progress.finished)
        assert [release.step for release in end.progress.releases] == [4]


async def test_the_rest_of_a_mission_can_be_skipped_from_again_and_called_home(
    broker: Broker, locked: ScriptedRobot
) -> None:
    async with gateway(broker, manufacturer=MAKER) as here:
        await arrive(here, locked)
        await here.link.skip(2)
        locked.act("m1-go-2:4:trigger", "RUNNING")
        await locked.reach(1, driving=False, agvPosition=pose(2 * APART_M))
        await here.until(lambda state: waits_at(4, state))

        await here.link.skip(4)

        assert locked.orders[-1]["orderId"] == "m1-go-4"
        assert [node["nodeId"] for node in locked.orders[-1]["nodes"]] == ["C", "D"]
        await here.link.return_home()
        assert [node["nodeId"] for node in locked.orders[-1]["nodes"]] == ["C", "B", "A"]


async def test_nothing_is_skipped_on_the_way_nor_under_a_hold(broker: Broker, locked: ScriptedRobot) -> None:
    async with gateway(broker, manufacturer=MAKER) as here:
        await here.until(lambda state: state.connected)
        await begin(here, WAY)
        with pytest.raises(Refused, match="does not stand where step 2"):
            await here.link.skip(2)
        with pytest.raises(Refused, match="step 1 hands nothing over"):
            await here.link.skip(1)

        await locked.reach(1, driving=False, agvPosition=pose(APART_M))
        await here.link.hold()
        with pytest.raises(Refused, match="held"):
            await here.link.skip(2)
        assert len(locked.orders) == 1


async def test_parcels_under_lock_are_not_given_to_a_robot_that_nobody_can_unlock(here: Gateway) -> None:
    with pytest.raises(MissionRejected, match="offers no action for that"):
        await here.link.upload(WAY)

    await begin(here, mission())
    with pytest.raises(NotSupported, match="no lock"):
        await here.link.unlock(2)
