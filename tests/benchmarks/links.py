"""What a sample costs on its way from the network to the writer, against a bare client that throws it away.

Each receiver runs in a process of its own, whose whole CPU time counts (all threads); senders run in others, and
their CPU does not. MQTT: ``MqttClient``, a hundred robots' links, the intake and the making of rows against paho with
an empty callback. MAVLink: the UDP port, twenty drones' links (each with its MAVSDK, which gets what it needs), the
intake and the making of rows against twenty MAVSDK objects that are given the same datagrams and whose telemetry is
subscribed and thrown away; and against pymavlink, which only parses. At many times the rate of such vehicles.
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import paho.mqtt.client as paho
from mavsdk import ComponentType, Configuration
from mavsdk.mavsdk import Mavsdk
from mavsdk.plugins.telemetry import Telemetry
from paho.mqtt.enums import CallbackAPIVersion
from pymavlink.dialects.v20 import common as m

from hardware.mavlink.address import MavlinkAddress
from hardware.mavlink.link import MavlinkLink
from hardware.mission import Mission, Step, StepKind
from hardware.mqtt import MqttClient
from hardware.profiles import load_profile, profile_data
from hardware.vda5050.link import Vda5050Link
from routing.geo import LocalFrame, Position
from telemetry.clock import Clock
from telemetry.event import VehicleEvent
from telemetry.intake import Intake
from telemetry.rows import CHUNK, to_rows
from telemetry.sample import Sample
from tests.benchmarks.figures import Figure
from tests.broker import free_port, running_broker

VEHICLES = 20
SPEED = 10.0
ROBOTS = 100
STATES_HZ = 20.0
"""States a second of each robot."""
MEASURED_S = 8.0
ROUNDS = 2
ORIGIN = Position(35.36, 138.73)
_FRAME = LocalFrame(ORIGIN)
_NODES = 12
_RATES_HZ = {
    "global_position_int": 5.0, "attitude": 4.0, "extended_sys_state": 2.0, "sys_status": 1.0, "battery_status": 1.0,
    "gps_raw_int": 1.0, "heartbeat": 1.0, "mission_current": 1.0, "wind_cov": 0.5, "home_position": 0.5,
}  # fmt: skip
"""What a drone sends after our requests, a second of its own time."""


class CountingSink:
    """Makes rows as the writer does, and throws them away."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: list[Sample] = []

    def put(self, sample: Sample) -> None:
        """Take a sample."""
        self.count += 1
        self._waiting.append(sample)
        if len(self._waiting) >= CHUNK:
            to_rows(self._waiting)
            self._waiting.clear()

    def put_event(self, event: VehicleEvent) -> None:
        """Take an event."""


class _Lease:
    def held(self) -> bool:
        return True


# Senders


def _mission() -> Mission:
    places = [_FRAME.to_global(30.0 * number, 0.0) for number in range(_NODES)]
    steps = tuple(Step(StepKind.MOVE, place, f"n{number}") for number, place in enumerate(places))
    return Mission("mission-1", (*steps, Step(StepKind.RELEASE, places[-1], f"n{_NODES - 1}", ("o1",))), 1.5, "bench")


def _state(serial: int, number: int) -> bytes:
    """A state of a robot under way between its fourth and fifth node."""
    nodes = [{"nodeId": f"n{n}", "sequenceId": 2 * n, "released": n < 8} for n in range(4, _NODES)]
    edges = [{"edgeId": f"e{n}", "sequenceId": 2 * n - 1, "released": n < 8} for n in range(4, _NODES)]
    return orjson.dumps(
        {
            "headerId": number,
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "version": "2.1.0", "manufacturer": "bench", "serialNumber": str(serial),
            "orderId": "mission-1", "orderUpdateId": 1, "lastNodeId": "n3", "lastNodeSequenceId": 6,
            "nodeStates": nodes, "edgeStates": edges, "driving": True, "paused": False, "newBaseRequest": False,
            "actionStates": [
                {"actionId": f"mission-1:{_NODES}", "actionType": "drop", "actionStatus": "WAITING",
                 "actionDescription": "hand the parcel over"}
            ],
            "agvPosition": {
                "x": 90.0 + number % 300 / 10, "y": 0.01, "theta": 0.001, "mapId": "bench",
                "positionInitialized": True, "localizationScore": 0.93,
            },
            "velocity": {"vx": 1.5, "vy": 0.0, "omega": 0.0},
            "batteryState": {"batteryCharge": 71.2, "batteryVoltage": 49.8, "charging": False, "reach": 8000},
            "operatingMode": "AUTOMATIC", "errors": [], "loads": [{"loadId": "box-1", "loadType": "box"}],
            "distanceSinceLastNode": number % 300 / 10, "safetyState": {"eStop": "NONE", "fieldViolation": False},
        }
    )  # fmt: skip


def send_states(port: int) -> None:
    """Publish the robots' states until killed."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="sender")
    client.connect("127.0.0.1", port)
    client.loop_start()
    number, began = 0, time.monotonic()
    while True:
        number += 1
        for serial in range(ROBOTS):
            client.publish(f"uagv/v2/bench/{serial}/state", _state(serial, number))
            time.sleep(max(0.0, began + (number + serial / ROBOTS) / STATES_HZ - time.monotonic()))


class _Voice:
    """One drone that sends to a port and acknowledges commands."""

    def __init__(self, number: int, target: tuple[str, int]) -> None:
        self.mav = m.MAVLink(None, srcSystem=number + 1, srcComponent=1)
        self.mav.robust_parsing = True
        self.target = target
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.setblocking(False)
        self.due = {name: number / VEHICLES / rate for name, rate in _RATES_HZ.items()}

    def send(self, message: Any) -> None:
        data = message.pack(self.mav)
        self.mav.seq = (self.mav.seq + 1) % 256
        self.sock.sendto(data, self.target)

    def live(self, now_s: float) -> None:
        for name, due_s in self.due.items():
            if now_s >= due_s:
                self.due[name] = due_s + 1 / _RATES_HZ[name]
                self.send(_message(name, now_s))
        try:
            data = self.sock.recv(65535)
        except BlockingIOError:
            return
        for heard in self.mav.parse_buffer(data) or []:
            if heard.get_type() == "COMMAND_LONG":
                self.send(m.MAVLink_command_ack_message(heard.command, 0, 0, 0, 245, 190))


def _message(name: str, now_s: float) -> Any:
    ms = int(now_s * 1000)
    made: dict[str, Callable[[], Any]] = {
        "global_position_int": lambda: m.MAVLink_global_position_int_message(
            ms, 353_600_000 + ms % 9000, 1_387_300_000, 130_000, 30_000, 800, 10, -20, 9000 + ms % 100
        ),
        "attitude": lambda: m.MAVLink_attitude_message(ms, 0.01, math.sin(now_s) / 9, 1.5, 0.0, 0.0, 0.0),
        "extended_sys_state": lambda: m.MAVLink_extended_sys_state_message(0, 2),
        "sys_status": lambda: m.MAVLink_sys_status_message(1, 1, 0x1000_0000, 300, 22_000, 900, 80, *[0] * 6),
        "battery_status": lambda: m.MAVLink_battery_status_message(
            0, 0, 1, 3000, [3700] * 6 + [65535] * 4, 900, 100, 100, 80
        ),
        "gps_raw_int": lambda: m.MAVLink_gps_raw_int_message(
            ms * 1000, 3, 1, 1, 1, 70, 90, 800, 9000, 14, 1, 900, 1500, 0, 0
        ),
        "heartbeat": lambda: m.MAVLink_heartbeat_message(2, 12, 0x81, 4 << 16 | 4 << 24, 4, 3),
        "mission_current": lambda: m.MAVLink_mission_current_message(3, 12),
        "wind_cov": lambda: m.MAVLink_wind_cov_message(ms * 1000, 2.0, 1.0, 0, 0.1, 0.1, 100.0, 0.5, 0.5),
        "home_position": lambda: m.MAVLink_home_position_message(
            353_600_000, 1_387_300_000, 100_000, 0, 0, 0, [1, 0, 0, 0], 0, 0, 0
        ),
    }
    return made[name]()


def send_mavlink(port: int) -> None:
    """Let drones speak to a port until killed."""
    voices = [_Voice(number, ("127.0.0.1", port)) for number in range(VEHICLES)]
    began = time.monotonic()
    while True:
        now_s = (time.monotonic() - began) * SPEED
        for voice in voices:
            voice.live(now_s)
        time.sleep(0.002)


# Receivers: each prints what it has received and the CPU time that this took.


async def _measure(received: Callable[[], int]) -> None:
    while received() < 200:  # noqa: ASYNC110 - nobody tells when it runs smoothly
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.5)
    count, cpu_s = received(), time.process_time()
    await asyncio.sleep(MEASURED_S)
    _report(received() - count, time.process_time() - cpu_s)


def _report(count: int, cpu_s: float) -> None:
    print(json.dumps({"count": count, "cpu_s": cpu_s}), flush=True)


async def receive_states(port: int) -> None:
    """Take states by our whole path."""
    sink, clock = CountingSink(), Clock.real()
    intake = Intake(sink, clock)
    kind, profile = load_profile("sidewalk_robot"), profile_data("sidewalk_robot")["vda5050"]
    async with MqttClient(host="127.0.0.1", port=port, client_id="ours") as client:
        links = [
            Vda5050Link(
                vehicle_id=f"robot-{serial}", manufacturer="bench", serial=str(serial), vehicle_type=kind,
                profile=profile, origin=ORIGIN, client=client, lease=_Lease(), clock=clock, on_sample=intake.put,
                on_event=intake.put_event, simulated=True,
            )
            for serial in range(ROBOTS)
        ]  # fmt: skip
        for link in links:
            await link.open()
            link.expect(_mission())
        beating = asyncio.create_task(_beat(links))
        await _measure(lambda: sink.count)
        beating.cancel()
        for link in links:
            await link.close()


async def _beat(links: list[Any]) -> None:
    while True:
        for link in links:
            link.beat()
        await asyncio.sleep(0.2)


async def receive_bare_states(port: int) -> None:
    """Take states by paho alone, its own loop in its own thread."""
    count = 0

    def take(*_message: object) -> None:
        nonlocal count
        count += 1

    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bare")
    client.on_message = take
    client.connect("127.0.0.1", port)
    client.subscribe([(f"uagv/v2/bench/{serial}/state", 0) for serial in range(ROBOTS)])
    client.loop_start()
    await _measure(lambda: count)
    client.loop_stop()


async def receive_mavlink(port: int) -> None:
    """Take MAVLink by our whole path."""
    sink = CountingSink()
    clock = Clock(datetime.now(UTC), datetime.now(UTC) + timedelta(days=1), SPEED)
    intake = Intake(sink, clock)
    links = [
        MavlinkLink(
            vehicle_id=f"drone-{number}", address=MavlinkAddress(f"127.0.0.1:{port}", system_id=number + 1),
            vehicle_type=load_profile("multirotor_1kg"), parameters={}, lease=_Lease(), clock=clock,
            on_sample=intake.put, on_event=intake.put_event, home=None, simulated=True,
        )
        for number in range(VEHICLES)
    ]  # fmt: skip
    for link in links:
        await link.open()
    beating = asyncio.create_task(_beat(links))
    await _measure(lambda: sink.count)
    beating.cancel()
    for link in links:
        await link.close()


async def receive_mavsdk(port: int) -> None:
    """Take MAVLink by one MAVSDK a vehicle, fed from one socket; all telemetry is thrown away but counted."""
    count = 0
    found: list[Mavsdk] = []
    kept: list[Any] = []

    def position(_position: object, _data: object) -> None:
        nonlocal count
        count += 1

    def throw_away(*_update: object) -> None:
        return

    for _ in range(VEHICLES):
        each = Mavsdk(Configuration.create_with_component_type(ComponentType.GROUND_STATION))
        each.subscribe_raw_bytes_to_be_sent(throw_away)
        each.add_any_connection("raw://")
        found.append(each)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind(("127.0.0.1", port))
    sock.setblocking(False)

    def read() -> None:
        while True:
            try:
                data = sock.recv(65535)
            except BlockingIOError:
                return
            found[data[5] - 1].pass_received_raw_bytes(data)

    asyncio.get_running_loop().add_reader(sock.fileno(), read)
    await asyncio.sleep(2.0)
    for each in found:
        system = each.first_autopilot(5.0)
        telemetry = Telemetry(system)
        telemetry.subscribe_position(position)
        for name in (
            "velocity_ned", "attitude_euler", "battery", "gps_info", "flight_mode", "armed", "landed_state", "home",
            "health", "heading", "wind", "status_text",
        ):  # fmt: skip
            getattr(telemetry, f"subscribe_{name}")(throw_away)
        kept.append(telemetry)
    await _measure(lambda: count)


async def receive_pymavlink(port: int) -> None:
    """Take MAVLink by pymavlink's parser alone."""
    count = 0
    parser = m.MAVLink(None)
    parser.robust_parsing = True
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind(("127.0.0.1", port))
    sock.setblocking(False)

    def read() -> None:
        nonlocal count
        while True:
            try:
                data = sock.recv(65535)
            except BlockingIOError:
                return
            for message in parser.parse_buffer(data) or ():
                count += message.get_msgId() == m.MAVLINK_MSG_ID_GLOBAL_POSITION_INT

    asyncio.get_running_loop().add_reader(sock.fileno(), read)
    await _measure(lambda: count)


_SENDERS: dict[str, Callable[[int], None]] = {"send_states": send_states, "send_mavlink": send_mavlink}
_RECEIVERS: dict[str, Callable[[int], Awaitable[None]]] = {
    "receive_states": receive_states,
    "receive_bare_states": receive_bare_states,
    "receive_mavlink": receive_mavlink,
    "receive_mavsdk": receive_mavsdk,
    "receive_pymavlink": receive_pymavlink,
}


def _start(role: str, port: int, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.benchmarks.links", role, str(port)], **options)


def _cost_us(sender: str, receiver: str, port: int) -> float:
    """CPU microseconds of a receiver for each sample that it was sent."""
    sending = _start(sender, port, stdout=subprocess.DEVNULL)
    try:
        receiving = _start(receiver, port, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            output, _ = receiving.communicate(timeout=60)
        finally:
            receiving.kill()
    finally:
        sending.kill()
        sending.wait()
    reports = [line for line in output.splitlines() if line.startswith(b'{"count"')]
    if not reports:
        raise RuntimeError(f"{receiver} has measured nothing")
    report = json.loads(reports[-1])
    return 1e6 * float(report["cpu_s"]) / int(report["count"])


async def _mqtt_costs() -> dict[str, float]:
    costs: dict[str, list[float]] = {"receive_states": [], "receive_bare_states": []}
    with tempfile.TemporaryDirectory() as folder:
        async with running_broker(Path(folder)) as broker:
            for _ in range(ROUNDS):
                for receiver, found in costs.items():
                    found.append(await asyncio.to_thread(_cost_us, "send_states", receiver, broker.port))
    return {receiver: min(found) for receiver, found in costs.items()}


def _mavlink_costs() -> dict[str, float]:
    receivers = ("receive_mavlink", "receive_mavsdk", "receive_pymavlink")
    costs: dict[str, list[float]] = {receiver: [] for receiver in receivers}
    for _ in range(ROUNDS):
        for receiver, found in costs.items():
            found.append(_cost_us("send_mavlink", receiver, free_port()))
    return {receiver: min(found) for receiver, found in costs.items()}


def measure() -> list[Figure]:
    """Measure in turn; the best of the rounds counts, since others use the machine too."""
    mqtt, mavlink = asyncio.run(_mqtt_costs()), _mavlink_costs()
    ours = mavlink["receive_mavlink"]
    return [
        Figure("links MQTT", mqtt["receive_states"], "CPU us/sample", "bare paho", mqtt["receive_bare_states"], "<= 2"),
        Figure("links MAVLink", ours, "CPU us/sample", "bare MAVSDK", mavlink["receive_mavsdk"], "<= 2"),
        Figure("links MAVLink parsing", ours, "CPU us/sample", "pymavlink parse", mavlink["receive_pymavlink"]),
    ]


if __name__ == "__main__":
    name, number = sys.argv[1], int(sys.argv[2])
    if name in _SENDERS:
        _SENDERS[name](number)
    else:
        asyncio.run(_RECEIVERS[name](number))  # type: ignore[arg-type]
