"""The VDA 5050 link against a real broker and a robot that does what a test tells it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from hardware.errors import LinkDown, MissionRejected, NoAnswer, NotOurs, NotSupported, Refused
from hardware.link import Activity, VehicleState
from hardware.mission import Mission, Step, StepKind
from hardware.mqtt import MqttClient
from hardware.profiles import load_profile, profile_data
from hardware.vda5050 import dialogue
from hardware.vda5050.link import Vda5050Link
from telemetry.clock import Clock
from telemetry.event import VehicleEvent
from telemetry.sample import Sample
from tests.broker import Broker, running_broker
from tests.robots import FRAME, MAP_ID, ORIGIN, clock_at
from tests.scripted_robot import ScriptedRobot, scripted_robot

pytestmark = pytest.mark.alone


@dataclass
class Lease:
    """A lease that a test takes away and gives back."""

    ours: bool = True

    def held(self) -> bool:
        return self.ours


@dataclass
class Gateway:
    """A link, and a loop that beats for it while ``alive``."""

    link: Vda5050Link
    client: MqttClient
    lease: Lease
    samples: list[Sample] = field(default_factory=list)
    events: list[VehicleEvent] = field(default_factory=list)
    alive: bool = True

    async def beat(self) -> None:
        while True:
            if self.alive:
                self.link.beat()
            await asyncio.sleep(0.1)

    async def until(self, condition: Callable[[VehicleState], bool], timeout_s: float = 10.0) -> VehicleState:
        """Wait until the link's state satisfies a condition."""
        async with asyncio.timeout(timeout_s):
            async for state in self.link.changes():
                if condition(state):
                    return state
        raise AssertionError("the link was closed")


def make_link(
    client: MqttClient,
    *,
    serial: str = "1",
    lease: Lease | None = None,
    clock: Clock | None = None,
    samples: list[Sample] | None = None,
    simulated: bool = True,
    allow_real: bool = False,
    base_length_m: float = 50.0,
    events: list[VehicleEvent] | None = None,
) -> Vda5050Link:
    sink = [] if samples is None else samples
    return Vda5050Link(
        vehicle_id=f"robot-{serial}",
        manufacturer="maker",
        serial=serial,
        vehicle_type=load_profile("sidewalk_robot"),
        profile={**profile_data("sidewalk_robot")["vda5050"], "base_length_m": base_length_m},
        origin=ORIGIN,
        client=client,
        lease=lease or Lease(),
        clock=clock or Clock.real(),
        on_sample=sink.append,
        simulated=simulated,
        allow_real=allow_real,
        on_event=([] if events is None else events).append,
    )


@contextlib.asynccontextmanager
async def gateway(broker: Broker, name: str = "gateway", *, clock: Clock | None = None) -> AsyncIterator[Gateway]:
    """A gateway with a link to robot 1, open, that has heard the robot."""
    async with MqttClient(host=broker.host, port=broker.port, client_id=name) as client:
        await client.wait_connected()
        lease, samples, events = Lease(), list[Sample](), list[VehicleEvent]()
        link = make_link(client, lease=lease, samples=samples, clock=clock, events=events)
        here = Gateway(link, client, lease, samples, events)
        await link.open()
        beating = asyncio.create_task(here.beat())
        try:
            yield here
        finally:
            beating.cancel()
            await link.close()


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with running_broker(tmp_path) as running:
        yield running


@pytest.fixture
async def robot(broker: Broker) -> AsyncIterator[ScriptedRobot]:
    """A robot that nobody may have asked for anything that breaks a rule by the end of the test."""
    async with scripted_robot(broker, "1") as scripted:
        yield scripted
        assert scripted.breaches == []


@pytest.fixture
async def here(broker: Broker, robot: ScriptedRobot) -> AsyncIterator[Gateway]:
    async with gateway(broker) as running:
        await running.until(lambda state: state.connected)
        yield running


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs short enough to be waited for."""
    monkeypatch.setattr(dialogue, "RESEND_S", 0.2)
    monkeypatch.setattr(dialogue, "ANSWER_S", 1.0)
    monkeypatch.setattr(dialogue, "FACTSHEET_S", 0.05)


def mission(mission_id: str = "m1") -> Mission:
    """Nodes A to D 40 m apart eastwards, hand-overs at B (step 2) and D (step 5)."""
    at = {name: FRAME.to_global(40.0 * number, 0.0) for number, name in enumerate("ABCD")}
    steps = (
        Step(StepKind.MOVE, at["A"], "A"),
        Step(StepKind.MOVE, at["B"], "B"),
        Step(StepKind.RELEASE, at["B"], "B", ("o1",)),
        Step(StepKind.MOVE, at["C"], "C"),
        Step(StepKind.MOVE, at["D"], "D"),
        Step(StepKind.RELEASE, at["D"], "D", ("o2",)),
    )
    return Mission(mission_id, steps, 1.5, MAP_ID)


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


async def begin(here: Gateway) -> None:
    await here.link.upload(mission())
    await here.link.start()


def pose(x: float, y: float = 0.0, map_id: str = MAP_ID) -> dict[str, object]:
    return {"x": x, "y": y, "theta": 0.0, "mapId": map_id, "positionInitialized": True}


# Orders


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


async def test_the_limits_of_a_factsheet_are_kept(here: Gateway, robot: ScriptedRobot) -> None:
    factsheet = {"protocolLimits": {"maxArrayLens": {"order.nodes": 3}}}
    await robot.raw("factsheet", json.dumps(factsheet).encode(), qos=1, retain=True)
    await robot.say(batteryState={"batteryCharge": 33.0, "charging": False})
    await here.until(lambda state: state.battery_pct == 33.0)

    with pytest.raises(MissionRejected, match="at most 3"):
        await here.link.upload(mission())


# Lease, beat, modes


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


async def test_a_request_for_a_new_base_is_answered(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)

    await robot.say(newBaseRequest=True, driving=True)

    await until(lambda: robot.state["orderUpdateId"] >= 1)


async def test_nothing_is_sent_to_a_robot_that_a_person_drives(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)
    heard = len(robot.orders), len(robot.instants)

    await robot.say(operatingMode="MANUAL", nodeStates=[], edgeStates=[], actionStates=[], newBaseRequest=True)
    state = await here.until(lambda state: state.activity is Activity.MANUAL)

    assert any("gave up order m1" in fault for fault in state.faults)
    for command in (here.link.hold, here.link.resume, here.link.return_home):
        with pytest.raises(Refused, match="MANUAL"):
            await command()
    assert (len(robot.orders), len(robot.instants)) == heard


# Hold, return


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


# Restarts


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


# Hearing


async def test_a_broken_connection_is_told_by_the_will_however_old_its_header(
    broker: Broker, here: Gateway, robot: ScriptedRobot
) -> None:
    # A second client under the same id takes the connection over, as after a robot's reboot.
    thief = MqttClient(host=broker.host, port=broker.port, client_id="robot-1")
    async with thief:
        await here.until(lambda state: not state.connected)
        with pytest.raises(LinkDown):
            await here.link.upload(mission())


async def test_going_offline_and_coming_back(here: Gateway, robot: ScriptedRobot) -> None:
    await robot.announce("OFFLINE")
    await here.until(lambda state: not state.connected)

    await robot.announce("ONLINE")
    await here.until(lambda state: state.connected)


async def test_a_retained_announcement_alone_is_no_robot(broker: Broker, robot: ScriptedRobot) -> None:
    await robot.announce()
    message = await robot.say()
    await robot.raw("state", json.dumps(message).encode(), qos=1, retain=True)

    async with gateway(broker) as late:
        late.alive = False  # asks for nothing
        await until(lambda: late.link.counts.get("retained") == 1)
        assert not late.link.state().connected
        assert late.link.state().t is None

        await robot.say()
        await late.until(lambda state: state.connected)


async def test_a_silent_robot_is_not_heard_any_more(broker: Broker, robot: ScriptedRobot) -> None:
    # 35 s of domain time and 1 s of wall time are allowed.
    async with gateway(broker, clock=clock_at(100.0)) as fast:
        await fast.until(lambda state: state.connected)
        fast.alive = False

        silent = await fast.until(lambda state: not state.connected, 5.0)

        assert not silent.ready


async def test_duplicates_and_late_states_make_no_samples(here: Gateway, robot: ScriptedRobot) -> None:
    first = await robot.say(driving=True)
    second = await robot.say(driving=False)
    for old in (first, second, first):
        await robot.raw("state", json.dumps(old).encode())
    last = await robot.say(paused=True)
    await until(lambda: here.samples[-1].extra["headerId"] == last["headerId"])

    header_ids = [int(str(sample.extra["headerId"])) for sample in here.samples]
    assert header_ids == sorted(set(header_ids))
    assert [sample.seq for sample in here.samples] == list(range(1, len(here.samples) + 1))
    assert here.link.counts["duplicate"] == 3


async def test_a_sample_holds_the_time_of_the_message_and_of_its_arrival(here: Gateway, robot: ScriptedRobot) -> None:
    message = await robot.say(agvPosition=pose(100.0, 50.0), driving=True)
    await until(lambda: here.samples[-1].extra["headerId"] == message["headerId"])

    sample = here.samples[-1]
    said = datetime.fromisoformat(message["timestamp"])
    assert sample.vehicle_ms == round(said.timestamp() * 1000)
    assert abs(sample.t - datetime.now(UTC)) < timedelta(seconds=5)
    assert sample.extra["driving"] is True
    position = here.link.state().position
    assert position is not None
    assert FRAME.to_local(position) == pytest.approx((100.0, 50.0), abs=0.01)


async def test_a_visualization_moves_the_robot_without_a_sample(here: Gateway, robot: ScriptedRobot) -> None:
    message = robot.header() | {"agvPosition": pose(7.0), "velocity": {"vx": 1.2}}
    await robot.raw("visualization", json.dumps(message).encode())

    moved = await here.until(lambda state: state.speed_mps == 1.2)

    assert moved.position is not None
    assert FRAME.to_local(moved.position)[0] == pytest.approx(7.0, abs=0.01)
    assert message["headerId"] not in [sample.extra["headerId"] for sample in here.samples]


async def test_garbage_is_counted_and_changes_nothing(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)
    before = here.link.state()
    good = json.dumps({**robot.header(), **robot.state})
    garbage = [
        b"",
        b"{",
        os.urandom(200),
        b"[" * 20_000,
        b"null",
        good.replace('"orderId": "m1"', '"orderId": 7').encode(),
        good.replace('"sequenceId": 2', '"sequenceId": -2').encode(),
        good.replace('"nodeStates"', '"nodes"').encode(),
        good.replace('"m1"', '"m\\u00001"').encode(),
        good.replace('"x": 0.0', '"x": 1e300').encode(),
    ]
    for payload in garbage:
        for leaf in ("state", "connection", "visualization", "factsheet"):
            await robot.raw(leaf, payload)
    foreign = json.dumps({**robot.header(), **robot.state, "serialNumber": "2", "orderId": ""})
    await robot.raw("state", foreign.encode())
    await until(lambda: here.link.counts.get("foreign") == 1)

    after = here.link.state()
    assert (after.activity, after.progress, after.faults) == (before.activity, before.progress, ())
    counts = here.link.counts
    assert sum(counts[reason] for reason in ("not_json", "nul", "invalid")) >= 2 * len(garbage)
    assert counts["nul"] == 4
    assert "failed" not in here.link.counts
    message = await robot.say(driving=True)
    await until(lambda: here.samples[-1].extra["headerId"] == message["headerId"])


async def test_errors_of_the_robot_are_its_faults(here: Gateway, robot: ScriptedRobot) -> None:
    error = {"errorType": "scanner", "errorLevel": "FATAL", "errorDescription": "dirty", "errorHint": "wipe"}

    await robot.say(errors=[error])

    state = await here.until(lambda state: state.activity is Activity.FAULT)
    assert state.faults == ("FATAL scanner: dirty: wipe",)
    assert not state.ready


async def test_what_happens_to_a_robot_is_told_once(here: Gateway, robot: ScriptedRobot) -> None:
    dirty = {"errorType": "scanner", "errorLevel": "FATAL", "errorDescription": "dirty"}
    slow = {"errorType": "wheel", "errorLevel": "WARNING"}
    for errors in ([dirty], [dirty], [dirty, slow], [slow], []):
        await robot.say(errors=errors)
    await robot.say(operatingMode="MANUAL")
    await robot.say(safetyState={"eStop": "MANUAL", "fieldViolation": False})
    await robot.say(safetyState={"eStop": "NONE", "fieldViolation": False}, operatingMode="AUTOMATIC")
    await robot.announce("OFFLINE")
    await until(lambda: "lost" in [event.kind for event in here.events])

    told = [(event.kind, event.severity, event.text) for event in here.events]
    assert told == [
        ("connection", 6, "its connection is ONLINE"),
        ("connected", 6, "heard"),
        ("status", 2, "FATAL scanner: dirty"),
        ("status", 4, "WARNING wheel"),
        ("mode", 5, "AUTOMATIC -> MANUAL"),
        ("status", 2, "emergency stop: MANUAL"),
        ("mode", 5, "MANUAL -> AUTOMATIC"),
        ("status", 5, "emergency stop: NONE"),
        ("connection", 4, "its connection is OFFLINE"),
        ("lost", 4, "its connection is OFFLINE"),
    ]


async def test_a_flood_of_errors_is_a_handful_of_events(here: Gateway, robot: ScriptedRobot) -> None:
    await robot.say(errors=[{"errorType": f"e{number}", "errorLevel": "WARNING"} for number in range(500)])
    await until(lambda: any(event.text == "and 495 more errors" for event in here.events))

    assert len(here.events) < 10


def _heard(here: Gateway, header_id: int) -> bool:
    return here.samples[-1].extra["headerId"] == header_id


async def test_two_robots_with_one_serial_number_are_told_and_the_first_is_followed(
    here: Gateway, robot: ScriptedRobot
) -> None:
    second = ScriptedRobot(robot.client, robot.serial)
    robot.header_id = 5000
    for number in range(6):
        said = await robot.say(batteryState={"batteryCharge": 80.0, "charging": False})
        await until(partial(_heard, here, said["headerId"]))
        # A time of its own: a lower id of the same ms is a late message.
        await asyncio.sleep(0.002)
        await second.say(batteryState={"batteryCharge": 20.0 + number, "charging": False})
        await asyncio.sleep(0.002)
    last = await robot.say(driving=False)
    await until(lambda: here.samples[-1].extra["headerId"] == last["headerId"])

    assert "'1' speak in turn" in here.link.state().conditions["duplicate_id"]
    assert here.link.counts["other_vehicle"] >= 4
    assert [sample.battery_pct_x10 for sample in here.samples[-4:]] == [800] * 4


async def test_two_robots_that_count_alike_are_told_too(here: Gateway, robot: ScriptedRobot) -> None:
    second = ScriptedRobot(robot.client, robot.serial)
    for _ in range(5):
        await robot.say()
        second.header_id = robot.header_id - 1
        await until(lambda: here.samples[-1].extra["headerId"] == robot.header_id)
        second.state["batteryState"] = {"batteryCharge": 1.0, "charging": False}
        message = {**second.header(), **second.state, "timestamp": "2030-01-01T00:00:00.000Z"}
        await robot.raw("state", json.dumps(message).encode())
    await until(lambda: "duplicate_id" in here.link.state().conditions)


async def test_a_robot_that_restarts_is_no_second_one(here: Gateway, robot: ScriptedRobot) -> None:
    robot.header_id = 5000
    await robot.say()
    for header_id in (0, 900):
        robot.header_id = header_id
        for _ in range(5):
            message = await robot.say()
    await until(lambda: here.samples[-1].extra["headerId"] == message["headerId"])

    assert here.link.state().conditions == {}
    assert [event.kind for event in here.events].count("restarted") == 1


async def test_changes_shows_a_slow_reader_the_latest_only(here: Gateway, robot: ScriptedRobot) -> None:
    reader = here.link.changes()
    await anext(reader)
    for charge in (70.0, 60.0, 50.0):
        last = await robot.say(batteryState={"batteryCharge": charge, "charging": False})
    await until(lambda: here.samples[-1].extra["headerId"] == last["headerId"])

    assert (await asyncio.wait_for(anext(reader), 5)).battery_pct == 50.0
    await here.link.close()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(anext(reader), 5)


# Simulated time and real vehicles


async def test_a_real_robot_is_not_opened_in_simulated_time(broker: Broker) -> None:
    async with MqttClient(host=broker.host, port=broker.port, client_id="g") as client:
        link = make_link(client, simulated=False, allow_real=True, clock=clock_at(5.0))
        with pytest.raises(NotSupported, match="time is simulated"):
            await link.open()


async def test_a_real_robot_is_opened_only_where_real_ones_are_allowed(broker: Broker, robot: ScriptedRobot) -> None:
    async with MqttClient(host=broker.host, port=broker.port, client_id="g") as client:
        await client.wait_connected()
        with pytest.raises(NotSupported, match="not allowed"):
            await make_link(client, simulated=False).open()

        allowed = make_link(client, simulated=False, allow_real=True)
        await allowed.open()
        await allowed.recognise()
        assert allowed.state().connected
        await allowed.close()


async def test_a_serial_number_that_would_widen_a_topic_is_not_accepted(broker: Broker) -> None:
    client = MqttClient(host=broker.host, port=broker.port, client_id="g")
    for serial in ("+", "a/b", "#", ""):
        with pytest.raises(NotSupported, match="MQTT topic"):
            make_link(client, serial=serial)
