"""The robot simulator as a program, against a real broker, judged by what a master control sees."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.broker import MOSQUITTO, free_port
from tests.robot_kit import MAKER, MAP, action, instant, order, schema

SPEED = 10.0
A, B, C = ("a", 0.0, 0.0), ("b", 10.0, 0.0), ("c", 10.0, 10.0)
Seen = dict[str, Any]


@dataclass
class Broker:
    """mosquitto on a free loopback port; a test may stop, freeze and start it."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO is not None
        config = self.folder / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\n")
        self.process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert time.monotonic() < deadline, "mosquitto does not listen"
            time.sleep(0.02)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


class Control:
    """A master control that remembers every message, in the sequence of arrival."""

    def __init__(self, port: int) -> None:
        self.messages: list[tuple[str, str, Seen, bool]] = []
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("uagv/v2/#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        *_, serial, topic = message.topic.split("/")
        if topic in ("order", "instantActions"):
            return
        with self._changed:
            self.messages.append((serial, topic, json.loads(message.payload), message.retain))
            self._changed.notify_all()

    def send(self, message: Seen | bytes, *, serial: str = "r1", topic: str | None = None) -> None:
        is_order = isinstance(message, dict) and "orderId" in message
        leaf = topic or ("order" if is_order else "instantActions")
        payload = message if isinstance(message, bytes) else json.dumps(message)
        self._client.publish(f"uagv/v2/{MAKER}/{serial}/{leaf}", payload)

    def seen(self, topic: str, serial: str = "r1") -> list[Seen]:
        return [message for who, what, message, _ in self.messages if (who, what) == (serial, topic)]

    def wait(
        self,
        topic: str,
        found: Callable[[Seen], bool],
        *,
        serial: str = "r1",
        timeout_s: float = 20.0,
        since: int = 0,
    ) -> Seen:
        """Wait for a message on a topic, of those after the first ``since`` of all."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                for who, what, message, _ in self.messages[since:]:
                    if (who, what) == (serial, topic) and found(message):
                        return message
                left_s = deadline - time.monotonic()
                last = self.messages[-1] if self.messages else None
                assert left_s > 0, f"no such {topic} within {timeout_s} s; the last message was {last}"
                self._changed.wait(left_s)


class Program:
    """The simulator's process."""

    def __init__(self, folder: Path, port: int, **changes: Any) -> None:
        robot: Seen = {"vehicle_id": "robot-1", "manufacturer": MAKER, "serial": "r1", "map_id": MAP}
        robot |= {"type_id": "sidewalk_robot", "x": 0.0, "y": 0.0, "node_id": "a"}
        config = {
            "speed": SPEED,
            "log_dir": str(folder / "logs"),
            "anchor_wall": datetime.now(UTC).isoformat(),
            "broker": {"host": "127.0.0.1", "port": port},
            "robots": [robot],
        }
        path = folder / "robots.json"
        path.write_text(json.dumps(config | changes))
        self.folder = folder
        self.process = subprocess.Popen([sys.executable, "-m", "simulators.robot", str(path)])

    def log(self, vehicle_id: str = "robot-1") -> list[Seen]:
        text = (self.folder / "logs" / f"{vehicle_id}.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.strip("\n").split("\n")]

    def events(self, name: str) -> list[Seen]:
        return [record for record in self.log() if record["event"] == name]

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def control(broker: Broker) -> Iterator[Control]:
    with closing(Control(broker.port)) as control:
        yield control


@pytest.fixture
def program(tmp_path: Path, broker: Broker, control: Control) -> Iterator[Program]:
    program = Program(tmp_path, broker.port)
    try:
        control.wait("connection", lambda m: m["connectionState"] == "ONLINE")
        control.wait("state", lambda m: True)
        yield program
    finally:
        program.kill()


def _status(state: Seen, action_id: str) -> str | None:
    return next((a["actionStatus"] for a in state["actionStates"] if a["actionId"] == action_id), None)


def _idle_at(node: str) -> Callable[[Seen], bool]:
    return lambda m: (
        m["lastNodeId"] == node
        and not m["nodeStates"]
        and not m["driving"]
        and all(a["actionStatus"] in ("FINISHED", "FAILED") for a in m["actionStates"])
    )


def test_it_comes_online_carries_an_order_out_and_says_goodbye(program: Program, control: Control) -> None:
    control.send(order([A, B, C], node_actions={"b": [action("drop-1", dwell=5)]}))

    control.wait("state", lambda m: _status(m, "drop-1") == "RUNNING")
    done = control.wait("state", _idle_at("c"))
    assert program.end() == 0

    assert done["agvPosition"]["x"] == pytest.approx(10.0, abs=0.1)
    assert done["agvPosition"]["y"] == pytest.approx(10.0, abs=0.1)
    states = [m["connectionState"] for m in control.seen("connection")]
    assert states == ["ONLINE", "OFFLINE"], "a graceful end has no last will"
    [released] = program.events("released")
    assert (released["x"], released["y"]) == (10.0, 0.0)
    assert control.seen("visualization")


def test_every_message_fits_the_official_schema_and_its_header_counts(program: Program, control: Control) -> None:
    schemas = {topic: schema(topic) for topic in ("connection", "state", "visualization", "factsheet")}
    pick = {"a": [action("p", "pick", loadId="x", weight=1.0, dwell=10)]}
    far = [A, ("b", 60.0, 0.0), ("c", 60.0, 10.0)]
    control.send(order(far, released=2, node_actions=pick))
    control.wait("state", lambda m: _status(m, "p") == "RUNNING")
    control.send(instant(action("pause", "startPause", "HARD")))
    control.wait("state", lambda m: _status(m, "p") == "PAUSED")
    control.send(instant(action("go", "stopPause", "HARD"), action("f", "factsheetRequest", "NONE")))
    control.wait("state", lambda m: m["newBaseRequest"])
    control.send(order([A], first=2, update_id=1))
    control.wait("state", lambda m: bool(m["errors"]))
    control.send(instant(action("cancel", "cancelOrder", "HARD")))
    control.wait("state", lambda m: _status(m, "cancel") == "FINISHED")
    assert program.end() == 0
    control.wait("connection", lambda m: m["connectionState"] == "OFFLINE")

    for topic, rules in schemas.items():
        validator = jsonschema.Draft202012Validator(rules)
        messages = control.seen(topic)
        assert messages
        for message in messages:
            validator.validate(message)
            assert datetime.fromisoformat(message["timestamp"]).tzinfo is UTC
        ids = [message["headerId"] for message in messages]
        if topic == "connection":
            # The last will takes an id too, though no one sees it unless the connection breaks.
            assert ids == sorted(set(ids))
        else:
            assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_connection_and_factsheet_are_retained_and_nothing_else(
    program: Program, broker: Broker, control: Control
) -> None:
    control.wait("factsheet", lambda m: True)

    with closing(Control(broker.port)) as late:
        late.wait("factsheet", lambda m: m["physicalParameters"]["speedMax"] == 1.6)
        late.wait("connection", lambda m: m["connectionState"] == "ONLINE")
        late.wait("state", lambda m: True)

    retained = {topic for _, topic, _, retain in late.messages if retain}
    assert retained == {"connection", "factsheet"}


def test_a_killed_robot_is_reported_broken_by_its_last_will(program: Program, control: Control) -> None:
    program.kill()

    control.wait("connection", lambda m: m["connectionState"] == "CONNECTIONBROKEN")


def test_positions_sent_are_in_its_own_log_with_the_time_of_the_message(program: Program, control: Control) -> None:
    control.send(order([A, B]))
    control.wait("state", _idle_at("b"))
    program.end()

    logged = {record["header_id"]: record for record in program.events("position")}
    states = control.seen("state")
    assert len(states) > 10
    for state in states:
        record = logged[state["headerId"]]
        assert (record["x"], record["y"]) == (state["agvPosition"]["x"], state["agvPosition"]["y"])
        sent_at = datetime.fromisoformat(state["timestamp"]).timestamp()
        assert record["vehicle_ms"] == round(sent_at * 1000)


def test_domain_time_runs_faster_from_its_anchor(tmp_path: Path, broker: Broker, control: Control) -> None:
    wall = datetime.now(UTC)
    program = Program(
        tmp_path, broker.port, anchor_wall=wall.isoformat(), anchor_domain="2030-01-01T00:00:00Z", speed=20.0
    )
    try:
        control.wait("state", lambda m: True)
        since = len(control.messages)
        control.send(instant(action("s", "stateRequest", "NONE")))
        state = control.wait("state", lambda m: _status(m, "s") == "FINISHED", since=since)
        elapsed_s = (datetime.now(UTC) - wall).total_seconds()
    finally:
        program.kill()

    domain_s = (datetime.fromisoformat(state["timestamp"]) - datetime(2030, 1, 1, tzinfo=UTC)).total_seconds()
    assert domain_s == pytest.approx(20.0 * elapsed_s, abs=20.0)
    assert domain_s > 2.0


def test_without_its_broker_it_drives_to_the_last_released_node_and_reports_when_it_is_back(
    program: Program, broker: Broker, control: Control
) -> None:
    control.send(order([A, ("b", 30.0, 0.0), ("c", 60.0, 0.0)], released=2))
    control.wait("state", lambda m: m["driving"])

    broker.stop()
    deadline = time.monotonic() + 20
    while not any(event["node_id"] == "b" for event in program.events("node_reached")):
        assert time.monotonic() < deadline, "it must go on driving without a broker"
        time.sleep(0.05)
    since = len(control.messages)
    broker.start()

    online = control.wait("connection", lambda m: m["connectionState"] == "ONLINE", since=since)
    state = control.wait("state", lambda m: m["lastNodeId"] == "b", since=since)
    assert online["headerId"] > control.seen("connection")[0]["headerId"]
    assert (state["orderId"], [n["nodeId"] for n in state["nodeStates"]]) == ("o1", ["c"])
    assert program.events("connection_lost")
    control.send(order([("b", 30.0, 0.0), ("c", 60.0, 0.0)], first=2, update_id=1))
    control.wait("state", _idle_at("c"), since=since)


def test_it_starts_before_its_broker(tmp_path: Path, broker: Broker) -> None:
    broker.stop()
    program = Program(tmp_path, broker.port)
    try:
        deadline = time.monotonic() + 10
        while not (tmp_path / "logs" / "robot-1.jsonl").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        broker.start()
        with closing(Control(broker.port)) as control:
            control.wait("connection", lambda m: m["connectionState"] == "ONLINE")
    finally:
        program.kill()


def test_it_ends_in_time_while_its_broker_is_away(program: Program, broker: Broker) -> None:
    broker.stop()

    assert program.end() == 0


def test_it_ends_in_time_while_its_broker_hangs(program: Program, broker: Broker) -> None:
    assert broker.process is not None
    broker.process.send_signal(signal.SIGSTOP)

    started = time.monotonic()
    assert program.end() == 0
    assert time.monotonic() - started < 12


def test_bad_messages_do_it_no_harm(program: Program, control: Control) -> None:
    for payload in (b"", b"{", b"\x00\xff", b"null", b"[" * 200_000, b"x" * 3_000_000):
        control.send(payload, topic="order")
        control.send(payload, topic="instantActions")
    control.wait("state", lambda m: {e["errorType"] for e in m["errors"]} == {"validationError"})

    control.send(order([A, B]))
    done = control.wait("state", _idle_at("b"))

    assert done["errors"] == []


def test_a_bad_configuration_ends_it_with_the_key_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "robots.json"
    path.write_text(json.dumps({"log_dir": "x", "anchor_wall": "2026-04-01T00:00:00Z", "robots": []}))

    result = subprocess.run(
        [sys.executable, "-m", "simulators.robot", str(path)], capture_output=True, text=True, timeout=30
    )

    assert result.returncode == 2
    assert "broker" in result.stderr
    assert "Traceback" not in result.stderr


def test_thirty_robots_at_ten_times_the_speed_are_cheap_in_one_process(
    tmp_path: Path, broker: Broker, control: Control
) -> None:
    robots = [
        {"vehicle_id": f"v{n}", "manufacturer": MAKER, "serial": f"s{n}", "type_id": "sidewalk_robot"}
        | {"map_id": MAP, "x": 0.0, "y": 20.0 * n, "node_id": "a"}
        for n in range(30)
    ]
    program = Program(tmp_path, broker.port, robots=robots)
    try:
        for n in range(30):
            control.wait("connection", lambda m: m["connectionState"] == "ONLINE", serial=f"s{n}")
            # 200 m of nodes 5 m apart: about 130 s of driving.
            way = [(f"n{i}", 5.0 * i, 20.0 * n) for i in range(41)]
            control.send(order(way, serial=f"s{n}"), serial=f"s{n}")
        for n in range(30):
            control.wait("state", lambda m: m["driving"], serial=f"s{n}")
        process = psutil.Process(program.process.pid)
        before, started = sum(process.cpu_times()[:2]), time.monotonic()
        for n in range(30):
            control.wait("state", _idle_at("n40"), serial=f"s{n}", timeout_s=60)
        wall_s = time.monotonic() - started
        share = (sum(process.cpu_times()[:2]) - before) / wall_s
    finally:
        program.kill()

    assert wall_s < 30, "they must keep up with domain time"
    assert share < 0.8, f"{share:.0%} of one core for 30 robots at speed 10"
