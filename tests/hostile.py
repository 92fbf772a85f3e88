"""Messages that no honest sender sends, and what carries them: for tests and for the benchmark of a million."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
from pymavlink.dialects.v20 import common as m

from hardware.mavlink.frames import MAX_DATAGRAM_BYTES
from tests.broker import Broker
from tests.scripted_robot import IDLE

AT_ONCE = 64
_TOPICS = ("state", "connection", "visualization", "factsheet")


def frame_of(message: Any, *, system_id: int = 1, component_id: int = 1, sequence: int = 0) -> bytes:
    """Return a message as a frame of MAVLink 2."""
    mav = m.MAVLink(None, srcSystem=system_id, srcComponent=component_id)
    mav.seq = sequence
    return bytes(message.pack(mav))


_NAN, _INF = float("nan"), float("inf")
_SENSIBLE = (
    m.MAVLink_heartbeat_message(2, 12, 129, 0, 4, 3),
    m.MAVLink_global_position_int_message(1000, 350_000_000, 1_350_000_000, 1, 1, 1, 1, 1, 1),
    m.MAVLink_attitude_message(1000, 0.1, 0.2, 0.3, 0, 0, 0),
    m.MAVLink_statustext_message(3, b"x" * 50, 7, 3),
    m.MAVLink_battery_status_message(0, 0, 0, 0, [65534] * 10, -1, -1, -1, -1),
    m.MAVLink_vfr_hud_message(1, 2, 3, 4, 5, 6),
)
_IMPOSSIBLE = (
    m.MAVLink_attitude_message(1000, _NAN, _INF, 0, 0, 0, 0),
    m.MAVLink_wind_cov_message(1, _NAN, 1e38, 0, 0, 0, 0, 0, 0),
    m.MAVLink_global_position_int_message(2**32 - 1, 2**31 - 1, -(2**31), 2**31 - 1, 0, 0, 0, 0, 0),
    m.MAVLink_home_position_message(2**31 - 1, 2**31 - 1, 0, _NAN, _NAN, _NAN, [_NAN] * 4, 0, 0, 0),
)


def damaged_datagram(chance: random.Random) -> bytes:
    """Return a datagram in which there is no whole frame: noise, or frames cut, changed, or too long."""
    kind = chance.randrange(7)
    frame = frame_of(chance.choice(_SENSIBLE[:5]), sequence=chance.randrange(256))
    if kind == 0:
        return chance.randbytes(chance.randrange(1, 64)).translate(None, b"\xfd\xfe") or b"?"
    if kind == 1:
        return frame[: chance.randrange(1, len(frame))]
    if kind == 2:
        at = chance.randrange(10, len(frame))
        return frame[:at] + bytes((frame[at] ^ 1 << chance.randrange(8),)) + frame[at + 1 :]
    if kind == 3:
        return frame[:2] + bytes((2 << chance.randrange(7),)) + frame[3:]
    if kind == 4:
        return b"\xfd" * chance.randrange(1, 300)
    if kind == 5:
        return bytes(MAX_DATAGRAM_BYTES + 1 + chance.randrange(20_000)) if chance.random() < 0.02 else b"\0"
    return b"\xfe" + struct.pack("<BBBBB", 255, 1, 1, 1, chance.choice((0, 30, 33))) + frame[:20]


def impossible_datagram(chance: random.Random) -> bytes:
    """Return a sound frame of the vehicle that says what cannot be."""
    return frame_of(chance.choice(_IMPOSSIBLE), sequence=chance.randrange(256))


def strange_datagram(chance: random.Random) -> bytes:
    """Return a sound frame of somebody else: any system, any part, any message."""
    message = chance.choice(_SENSIBLE + _IMPOSSIBLE)
    return frame_of(message, system_id=chance.randrange(2, 256), component_id=chance.randrange(256))


class HonestDrone:
    """Sends positions with a number in them from one socket; what is hostile may go out by the same."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.said = 0
        self._target = target
        self._mav = m.MAVLink(None, srcSystem=1, srcComponent=1)
        self._born = time.monotonic() - 100.0

    def __enter__(self) -> HonestDrone:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def heartbeat(self) -> None:
        """Say that it is there."""
        self._say(m.MAVLink_heartbeat_message(2, 12, 1, 4 << 16 | 3 << 24, 4, 3))

    def position(self) -> None:
        """Say the next position: its number is the latitude."""
        ms = int((time.monotonic() - self._born) * 1000)
        self._say(m.MAVLink_global_position_int_message(ms, self.said, 1_350_000_000, 1, 1, 0, 0, 0, 0))
        self.said += 1

    def _say(self, message: Any) -> None:
        self._mav.seq = (self._mav.seq + 1) % 256
        self.sock.sendto(message.pack(self._mav), self._target)


async def attack_port(
    drone: HonestDrone, target: tuple[str, int], *, count: int, seed: int, taken: Callable[[], int], every: int = 20
) -> int:
    """Send ``count`` hostile datagrams between honest ones, no faster than they are ``taken``; return how many
    datagrams were sent in all."""
    chance, sent = random.Random(seed), 0
    began = taken()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for number in range(count):
            kind = chance.randrange(4)
            if kind == 3:
                stranger.sendto(strange_datagram(chance), target)
            else:
                drone.sock.sendto(impossible_datagram(chance) if kind == 2 else damaged_datagram(chance), target)
            sent += 1
            if number % every == 0:
                drone.position()
                sent += 1
            if number % 500 == 0:
                drone.heartbeat()
                sent += 1
            if number % AT_ONCE == 0:
                await _until_taken(lambda: taken() - began, sent)
    await _until_taken(lambda: taken() - began, sent)
    return sent


async def _until_taken(taken: Callable[[], int], sent: int) -> None:
    deadline = time.monotonic() + 20.0
    while taken() < sent:
        assert time.monotonic() < deadline, f"{taken()} of {sent} were taken"
        await asyncio.sleep(0)


# Robots


class HonestRobot:
    """Makes states with a growing header id; ``twisted`` ones repeat the last one's header."""

    def __init__(self, serial: str) -> None:
        self.serial = serial
        self.said = 0
        self._header: dict[str, Any] = {}

    def state(self) -> bytes:
        """Return the next state."""
        self.said += 1
        self._header = {
            "headerId": self.said,
            "timestamp": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "version": "2.1.0",
            "manufacturer": "maker",
            "serialNumber": self.serial,
        }
        return orjson.dumps({**self._header, **IDLE})

    def twisted(self, chance: random.Random) -> bytes:
        """Return a state or another message that no robot should send; at best it repeats the last state."""
        whole = orjson.dumps({**self._header, **IDLE})
        kind = chance.randrange(9)
        if kind == 0:
            return whole[: chance.randrange(len(whole))]
        if kind == 1:
            return chance.randbytes(chance.randrange(200))
        if kind == 2:
            at = chance.randrange(200, len(whole))
            return whole[:at] + chance.randbytes(1) + whole[at + 1 :]
        if kind == 3:
            return chance.choice((b"[" * 30_000, b'{"a":' * 20_000, b"null", b"7", b'""', b"[]", b"{}", b"\0" * 50))
        if kind == 4:
            return whole.replace(b'"orderId":""', b'"orderId":"\\u0000"')
        if kind == 5:
            return whole.replace(b'"driving":false', b'"driving":false,"nodeStates":' + chance.choice(_WRONG_LISTS))
        if kind == 6 and chance.random() < 0.01:
            return whole + b" " * 1_000_001
        key = chance.choice([*IDLE, *self._header])
        wrong = {**self._header, **IDLE, key: chance.choice(_WRONG)}
        # A header that differs makes another message of it.
        return orjson.dumps(wrong if key in IDLE else {**wrong, key: [wrong[key]]})


_WRONG: tuple[Any, ...] = (None, -1, 1e300, "x" * 20_000, [], {}, [[]], True, {"x": {}}, "\ud7ff", 2**53)
_WRONG_LISTS = (b"7", b"{}", b"[7]", b'[{"nodeId":1}]', b"[" + b'{"nodeId":"a"},' * 3000 + b"7]", b"[null]")


def publish_packet(topic: str, payload: bytes) -> bytes:
    """Return a PUBLISH of QoS 0 (MQTT 3.1.1, section 3.3)."""
    name = topic.encode()
    length, head = 2 + len(name) + len(payload), b"\x30"
    while True:
        byte, length = length % 128, length // 128
        head += bytes((byte | (128 if length else 0),))
        if not length:
            return head + struct.pack(">H", len(name)) + name + payload


@asynccontextmanager
async def raw_publisher(broker: Broker) -> AsyncIterator[asyncio.StreamWriter]:
    """Connect to a broker as a client that only writes packets."""
    reader, writer = await asyncio.open_connection(broker.host, broker.port)
    writer.write(b"\x10\x0f\0\x04MQTT\x04\x02\0\0\0\x03raw")
    await writer.drain()
    assert (await asyncio.wait_for(reader.readexactly(4), 10))[3] == 0
    try:
        yield writer
    finally:
        writer.close()


def attack_messages(robot: HonestRobot, *, count: int, seed: int, every: int = 20) -> Iterator[tuple[bool, str, bytes]]:
    """Yield honest states between ``count`` hostile messages: whether it is hostile, topic and payload."""
    chance = random.Random(seed)
    for number in range(count):
        if number % every == 0:
            yield False, f"uagv/v2/maker/{robot.serial}/state", robot.state()
        leaf = _TOPICS[chance.randrange(4)] if chance.random() < 0.3 else "state"
        yield True, f"uagv/v2/maker/{robot.serial}/{leaf}", robot.twisted(chance)


async def attack_broker(
    publisher: asyncio.StreamWriter,
    robot: HonestRobot,
    *,
    count: int,
    seed: int,
    taken: Callable[[], int],
    every: int = 20,
) -> int:
    """Publish hostile messages between honest ones, no faster than they are ``taken``: a broker drops what a client
    does not take. Ends with an honest one; returns how many were hostile."""
    sent = hostile = 0
    began = taken()
    for is_hostile, topic, payload in attack_messages(robot, count=count, seed=seed, every=every):
        publisher.write(publish_packet(topic, payload))
        hostile, sent = hostile + is_hostile, sent + 1
        if sent % AT_ONCE == 0:
            await publisher.drain()
            await _until_taken(lambda: taken() - began, sent - AT_ONCE)
    publisher.write(publish_packet(f"uagv/v2/maker/{robot.serial}/state", robot.state()))
    await _until_taken(lambda: taken() - began, sent + 1)
    return hostile


def twisted_snapshot(chance: random.Random) -> bytes:
    """Return a message of the live bus that no gateway sends."""
    vehicle: dict[str, Any] = {"vehicle_id": "d1", "lat": 35.0, "lon": 135.0, "t": "2026-04-01T00:00:00Z"}
    vehicle[chance.choice([*vehicle, "alarms", "alt_amsl_m", "speed_mps"])] = chance.choice(_WRONG)
    message: dict[str, Any] = {"gateway": "g1", "t": "2026-04-01T00:00:00Z", "vehicles": [vehicle]}
    kind = chance.randrange(4)
    if kind == 0:
        message[chance.choice([*message, "process"])] = chance.choice(_WRONG)
    data = orjson.dumps(message)
    if kind == 1:
        return data[: chance.randrange(len(data))]
    return chance.randbytes(chance.randrange(300)) if kind == 2 else data
