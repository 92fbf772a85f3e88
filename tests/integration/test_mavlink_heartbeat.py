"""A service that is blind must not look alive: what a vehicle hears of a hung or a stopped gateway."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest

from hardware.mavlink.address import MavlinkAddress
from tests.mavlink_kit import Peer, link_to, opened, until


class Listener:
    """A vehicle's ear in a thread of its own: notes when each datagram came, whatever our loop does.

    It also goes on sending heartbeats and positions, as a vehicle does.
    """

    def __init__(self) -> None:
        self.arrivals: list[tuple[float, int]] = []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.settimeout(0.1)
        self.frames: list[bytes] = []
        self.send_to = ("127.0.0.1", 9)
        self.stopped = False

    def run(self) -> None:
        spoken_at = 0.0
        while not self.stopped:
            if time.monotonic() - spoken_at > 0.2:
                spoken_at = time.monotonic()
                for frame in self.frames:
                    self.sock.sendto(frame, self.send_to)
            try:
                data = self.sock.recv(65535)
            except TimeoutError:
                continue
            self.arrivals.append((time.monotonic(), data[7]))

    def heartbeats(self, since: float, until_: float) -> int:
        return sum(since <= at < until_ and msg_id == 0 for at, msg_id in self.arrivals)

    def everything(self, since: float) -> int:
        return sum(at >= since for at, _ in self.arrivals)


class Voice(Peer):
    """The kit's peer, kept for what it would say."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 9))
        self.said: list[bytes] = []
        self._report()
        self._sock.close()

    def say(self, message: Any) -> None:
        self.said.append(message.pack(self._mav))


@contextmanager
def listening(port: int) -> Iterator[Listener]:
    """Run a listener that speaks like the kit's peer to a port."""
    listener = Listener()
    listener.send_to = ("127.0.0.1", port)
    listener.frames = Voice().said
    thread = Thread(target=listener.run, daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        listener.stopped = True
        thread.join(5)
        listener.sock.close()


@pytest.fixture
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        number: int = sock.getsockname()[1]
        return number


async def test_heartbeats_come_once_a_second_of_the_vehicles_time(port: int) -> None:
    with listening(port) as vehicle:
        async with opened(link_to(MavlinkAddress(f"127.0.0.1:{port}"), speed=5.0)):
            await until(lambda: vehicle.heartbeats(0, time.monotonic()) > 0)
            begin = time.monotonic()
            await until(lambda: vehicle.heartbeats(begin, time.monotonic()) >= 10)
            took = time.monotonic() - begin

    assert 1.5 < took < 4.0


async def test_a_gateway_whose_loop_hangs_stops_its_heartbeat(port: int) -> None:
    with listening(port) as vehicle:
        async with opened(link_to(MavlinkAddress(f"127.0.0.1:{port}"), speed=5.0)):
            await until(lambda: vehicle.heartbeats(0, time.monotonic()) > 5)

            hung_at = time.monotonic()
            time.sleep(8)  # noqa: ASYNC251 - the fault itself: the event loop is blocked
            during = vehicle.heartbeats(hung_at, hung_at + 8)

            assert during <= 1
            await until(lambda: vehicle.heartbeats(hung_at + 8, time.monotonic()) > 5)


async def test_a_loop_that_runs_without_its_work_stops_the_heartbeat_too(port: int) -> None:
    with listening(port) as vehicle:
        async with opened(link_to(MavlinkAddress(f"127.0.0.1:{port}"), speed=5.0), beating=False) as link:
            await until(lambda: link.state().connected)
            link.beat()
            await until(lambda: vehicle.heartbeats(0, time.monotonic()) > 3)
            last = vehicle.arrivals[-1][0]

            await until(lambda: time.monotonic() - _last_heartbeat(vehicle) > 2.0, 8)

            assert _last_heartbeat(vehicle) - last < 2.0
            assert link.state().connected


def _last_heartbeat(vehicle: Listener) -> float:
    return max(at for at, msg_id in vehicle.arrivals if msg_id == 0)


async def test_a_gateway_stopped_past_its_lease_sends_nothing_when_it_goes_on(port: int) -> None:
    with listening(port) as vehicle:
        gateway = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.mavlink_gateway", str(port), "1.5", stdout=asyncio.subprocess.PIPE
        )
        try:
            assert gateway.stdout is not None
            await _line(gateway.stdout, b"connected")
            await until(lambda: vehicle.heartbeats(0, time.monotonic()) > 5)

            gateway.send_signal(signal.SIGSTOP)
            await asyncio.sleep(2.5)  # the lease runs out meanwhile: this is the time under test
            resumed_at = time.monotonic()
            gateway.send_signal(signal.SIGCONT)
            await asyncio.sleep(3.0)  # time enough for 15 heartbeats and every repetition of MAVSDK's

            assert gateway.returncode is None
            assert vehicle.everything(resumed_at) == 0
        finally:
            gateway.kill()
            await gateway.wait()


async def _line(stream: asyncio.StreamReader, wanted: bytes) -> None:
    async with asyncio.timeout(30):
        while wanted not in await stream.readline():
            pass
