"""Orders as a robot gets them: sent, lost, rejected, within its limits."""

from __future__ import annotations

import json

import pytest

from hardware.errors import MissionRejected, NoAnswer, Refused
from hardware.link import Activity
from tests.scripted_robot import ScriptedRobot
from tests.vda5050_kit import Gateway, begin, mission, pose, straight, until

pytestmark = pytest.mark.alone


@pytest.mark.usefixtures("quick")
async def test_a_mission_is_driven_to_its_end_with_its_base_continued(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)
    assert [n["released"] for n in robot.orders[0]["nodes"]] == [True, True, False, False]

    await robot.say(driving=True, agvPosition=pose(30.0))
    await until(lambda: robot.state["orderUpdateId"] == 1)
    assert [n["released"] for n in robot.state["nodeStates"]] == [True, True, False]

    robot.act("m1:2", "FINISHED")
    await robot.reach(1, agvPosition=pose(40.0))
    delivered = await here.until(lambda state: bool(state.progress.releases))
    assert [(r.step, r.evidence) for r in delivered.progress.releases] == [(2, "sensor")]
    assert delivered.progress.step == 3

    await robot.reach(2, agvPosition=pose(80.0))
    await until(lambda: robot.state["orderUpdateId"] == 2)
    await robot.reach(3, agvPosition=pose(120.0), driving=False)
    assert not (await here.until(lambda state: state.progress.step == 5)).progress.finished
    robot.act("m1:5", "FINISHED")
    await robot.say()

    finished = await here.until(lambda state: state.progress.finished)
    assert [r.step for r in finished.progress.releases] == [2, 5]
    assert finished.activity is Activity.IDLE
    assert finished.ready


@pytest.mark.usefixtures("quick")
async def test_an_order_that_was_lost_on_the_way_is_sent_again_unchanged(here: Gateway, robot: ScriptedRobot) -> None:
    await here.link.upload(mission())
    robot.deaf = 2

    await here.link.start()

    assert len(robot.orders) == 3
    numbers = [order.pop("headerId") for order in robot.orders]
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]
    times = {order.pop("timestamp") for order in robot.orders}
    assert len(times) == 3
    assert robot.orders[0] == robot.orders[1] == robot.orders[2]
    assert here.link.state().progress.mission_id == "m1"


@pytest.mark.usefixtures("quick")
async def test_an_update_that_was_lost_on_the_way_is_sent_again(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)
    robot.deaf = 1

    await robot.say(driving=True, agvPosition=pose(30.0))

    await until(lambda: robot.state["orderUpdateId"] == 1)
    assert [order["orderUpdateId"] for order in robot.orders] == [0, 1, 1]


@pytest.mark.usefixtures("quick")
async def test_a_rejected_order_is_refused_in_the_words_of_the_robot(here: Gateway, robot: ScriptedRobot) -> None:
    await here.link.upload(mission())
    robot.refusal = "orderError"

    with pytest.raises(Refused, match="the lid is open"):
        await here.link.start()

    robot.refusal = None
    await here.link.start()
    assert robot.state["orderId"] == "m1"


@pytest.mark.usefixtures("quick")
async def test_a_robot_that_never_shows_the_order_gave_no_answer(here: Gateway, robot: ScriptedRobot) -> None:
    await here.link.upload(mission())
    robot.deaf = 1000

    with pytest.raises(NoAnswer, match="m1"):
        await here.link.start()


async def test_starting_a_mission_that_runs_sends_nothing(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)

    await here.link.upload(mission())
    await here.link.start()

    assert len(robot.orders) == 1


async def test_an_order_that_the_robot_gave_up_is_not_started_again(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)
    await robot.say(nodeStates=[], edgeStates=[], actionStates=[])
    given_up = await here.until(lambda state: bool(state.faults))

    assert "gave up order m1" in given_up.faults[0]
    with pytest.raises(Refused, match="given up order m1"):
        await here.link.start()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"operatingMode": "SEMIAUTOMATIC"}, "SEMIAUTOMATIC"),
        ({"orderId": "x", "nodeStates": [{"nodeId": "Z", "sequenceId": 2, "released": True}]}, "busy"),
        ({"agvPosition": pose(0.0, map_id="elsewhere")}, "map 'elsewhere'"),
        ({"lastNodeId": "Q", "agvPosition": pose(70.0)}, "70 m from node A"),
        ({"errors": [{"errorType": "motor", "errorLevel": "FATAL"}]}, "FATAL motor"),
    ],
)
@pytest.mark.usefixtures("quick")
async def test_a_robot_that_cannot_take_the_mission_refuses_it_with_the_reason(
    here: Gateway, robot: ScriptedRobot, changes: dict[str, object], words: str
) -> None:
    message = await robot.say(**changes)
    await until(lambda: bool(here.samples) and here.samples[-1].extra["headerId"] == message["headerId"])

    with pytest.raises(Refused, match=words):
        await here.link.upload(mission())

    assert robot.orders == []


@pytest.mark.usefixtures("quick")
async def test_a_robot_that_stands_near_the_first_node_may_start(here: Gateway, robot: ScriptedRobot) -> None:
    await robot.say(lastNodeId="", agvPosition=pose(2.0, 1.0))

    await begin(here)

    assert robot.state["orderId"] == "m1"


LIMITS = [
    ({"maxArrayLens": {"node.actions": 1}}, "the most actions of a node are 2; the robot takes at most 1"),
    ({"maxStringLens": {"idLen": 2}}, "characters of its longest id are 4; the robot takes at most 2"),
    ({"maxStringLens": {"msgLen": 500}}, "bytes of its first message"),
    ({"maxStringLens": {"idNumericalOnly": True}}, "ids of digits only"),
]


@pytest.mark.parametrize(("limits", "words"), LIMITS)
async def test_a_mission_beyond_the_limits_of_a_factsheet_is_rejected(
    here: Gateway, robot: ScriptedRobot, limits: dict[str, object], words: str
) -> None:
    await _tell_factsheet(here, robot, {"protocolLimits": limits})

    with pytest.raises(MissionRejected, match=words):
        await here.link.upload(mission())


async def test_a_robot_that_knows_no_drop_is_given_no_parcels(here: Gateway, robot: ScriptedRobot) -> None:
    await _tell_factsheet(here, robot, {"protocolFeatures": {"agvActions": [{"actionType": "pick"}]}})

    with pytest.raises(MissionRejected, match="no action 'drop'"):
        await here.link.upload(mission())


async def test_a_robot_that_takes_three_nodes_gets_its_way_in_pieces(here: Gateway, robot: ScriptedRobot) -> None:
    await _tell_factsheet(here, robot, {"protocolLimits": {"maxArrayLens": {"order.nodes": 3}}})
    await begin(here, straight("ABCDE", 20.0))
    assert [node["nodeId"] for node in robot.orders[0]["nodes"]] == ["A", "B", "C"]
    assert [node["released"] for node in robot.orders[0]["nodes"]] == [True, True, False]

    for index, node in enumerate("BCD", 1):
        await until(lambda i=index: any(n["sequenceId"] > 2 * i for n in robot.state["nodeStates"]))
        await robot.reach(index, driving=True, agvPosition=pose(20.0 * index))
        assert robot.state["lastNodeId"] == node
        assert here.link.state().faults == ()
    await until(lambda: bool(robot.state["nodeStates"]) and robot.state["nodeStates"][-1]["nodeId"] == "E")
    await until(lambda: bool(robot.state["nodeStates"][-1]["released"]))
    await robot.reach(4, driving=False, agvPosition=pose(80.0))

    assert (await here.until(lambda state: state.progress.finished)).activity is Activity.IDLE
    assert all(len(order["nodes"]) <= 3 for order in robot.orders)


async def _tell_factsheet(here: Gateway, robot: ScriptedRobot, factsheet: dict[str, object]) -> None:
    await robot.raw("factsheet", json.dumps(factsheet).encode(), qos=1, retain=True)
    await robot.say(batteryState={"batteryCharge": 33.0, "charging": False})
    await here.until(lambda state: state.battery_pct == 33.0)


@pytest.mark.parametrize(
    ("stands_at_m", "base"), [(0.0, [True, True, True, False]), (-2.0, [True, True, False, False])]
)
async def test_what_the_robot_stands_before_its_first_node_counts_for_the_base(
    here: Gateway, robot: ScriptedRobot, stands_at_m: float, base: list[bool]
) -> None:
    message = await robot.say(agvPosition=pose(stands_at_m))
    await until(lambda: here.samples[-1].extra["headerId"] == message["headerId"])

    await begin(here, straight("ABCD", 24.9))

    assert [node["released"] for node in robot.orders[0]["nodes"]] == base
