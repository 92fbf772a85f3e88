"""What a robot says, down to what no good robot would."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from hardware.errors import LinkDown
from hardware.link import Activity
from hardware.mqtt import MqttClient
from tests.broker import Broker
from tests.robots import FRAME, clock_at
from tests.scripted_robot import ScriptedRobot
from tests.vda5050_kit import Gateway, begin, gateway, mission, pose, until

pytestmark = pytest.mark.alone


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


async def test_two_robots_that_speak_at_the_same_times_are_told_too(here: Gateway, robot: ScriptedRobot) -> None:
    for _ in range(5):
        said = await robot.say()
        await until(partial(_heard, here, said["headerId"]))
        await robot.raw("state", json.dumps(said).encode())  # what comes twice is no second robot
    assert here.link.state().conditions == {}

    for _ in range(5):
        said = await robot.say()
        await until(partial(_heard, here, said["headerId"]))
        await robot.raw("state", json.dumps({**said, "agvPosition": pose(500.0)}).encode())
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


async def test_an_order_that_is_not_ours_is_another_fleet_control(here: Gateway, robot: ScriptedRobot) -> None:
    here.link.expect(mission())
    ahead = [{"nodeId": "Z", "sequenceId": 2, "released": True}]

    await robot.say(orderId="theirs", nodeStates=ahead, driving=True)

    state = await here.until(lambda state: "second_station" in state.conditions)
    assert "'theirs'" in state.conditions["second_station"]


async def test_an_update_that_is_not_ours_is_another_fleet_control(here: Gateway, robot: ScriptedRobot) -> None:
    await begin(here)
    await robot.say(driving=True)
    assert here.link.state().conditions == {}

    await robot.say(orderUpdateId=7)

    state = await here.until(lambda state: "second_station" in state.conditions)
    assert "update 7 of order 'm1'" in state.conditions["second_station"]


async def test_our_own_orders_are_no_second_fleet_control(broker: Broker, robot: ScriptedRobot) -> None:
    async with gateway(broker, "first") as first:
        await first.until(lambda state: state.connected)
        await begin(first)
        await robot.say(driving=True, agvPosition=pose(35.0))
        await until(lambda: robot.state["orderUpdateId"] == 1)
        await first.link.return_home()
        assert first.link.state().conditions == {}

    async with gateway(broker, "second") as second:
        # It is heard before anybody has told of its mission.
        await second.until(lambda state: state.connected)
        second.link.expect(mission())
        assert await second.link.recognise()
        await robot.say()
        assert second.link.state().conditions == {}
