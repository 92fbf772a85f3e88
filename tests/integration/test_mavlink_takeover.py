"""A gateway fails while its vehicle flies: another takes over before the vehicle gives up, and uploads nothing."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from hardware.link import Activity
from hardware.mavlink.address import MavlinkAddress
from tests.mavlink_drone import UID, drone, logged
from tests.mavlink_kit import HOME, delivery, link_to, opened, until
from tests.mavlink_streams import bridge

SPEED = 8.0
LEASE_S = 3.0
EAST_M = 300.0
LOST_LINK = {"COM_DL_LOSS_T": 10.0 * SPEED}
"""Ten seconds of wall time, as a vehicle at speed 1 has."""


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        number: int = sock.getsockname()[1]
        return number


@asynccontextmanager
async def gateway(bind: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a gateway until its vehicle is under way."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.mavlink_gateway", bind, str(LEASE_S), str(EAST_M), str(SPEED)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(90):
            while b"under way" not in (line := await process.stdout.readline()):
                assert line, "the gateway has ended"
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def take_over(address: MavlinkAddress, folder: Path) -> None:
    """Take the vehicle over once the lease has run out, and see it deliver and land."""
    uploads = [event for event in logged(folder) if event["event"] == "stored"]
    # What takes the lease waits for its deadline; a link that is opened sooner only listens.
    await asyncio.sleep(LEASE_S)
    mission = delivery(east_m=EAST_M)
    async with opened(link_to(address, speed=SPEED, home=HOME, parameters={})) as link:
        link.expect(mission)
        await until(lambda: link.state().connected, 8)
        assert await link.recognise()
        assert link.state().activity is Activity.MISSION
        assert link.state().progress.mission_id == mission.mission_id
        await until(lambda: link.state().progress.finished, 90, "the landing")
        assert len(link.state().progress.releases) == 1

    events = logged(folder)
    assert [event for event in events if event["event"] == "stored"] == uploads
    assert not [event for event in events if event["event"] in ("link_lost", "failsafe")]


async def test_after_a_kill_over_udp(tmp_path: Path) -> None:
    port = free_port()
    async with drone(port, tmp_path, speed=SPEED, params=LOST_LINK), gateway(str(port)) as first:
        first.kill()
        await first.wait()
        await take_over(MavlinkAddress(f"127.0.0.1:{port}", hardware_uid=UID), tmp_path)


@pytest.mark.slow
async def test_after_a_hang_over_udp_from_another_port(tmp_path: Path) -> None:
    """The port of the one that hangs is taken; the vehicle answers where it hears a heartbeat from."""
    port, own = free_port(), free_port()
    pinned = MavlinkAddress(f"127.0.0.1:{free_port()}", peer=f"127.0.0.1:{own}", hardware_uid=UID)
    vehicle = drone(port, tmp_path, speed=SPEED, params=LOST_LINK, bind=f"127.0.0.1:{own}")
    async with vehicle, gateway(str(port)) as first:
        first.send_signal(signal.SIGSTOP)
        await take_over(pinned, tmp_path)


@pytest.mark.slow
async def test_after_a_hang_over_tcp_and_the_first_is_silent_when_it_goes_on(tmp_path: Path) -> None:
    async with bridge() as router, drone(router.udp_port, tmp_path, speed=SPEED, params=LOST_LINK):
        there = f"tcp://127.0.0.1:{router.tcp_port}"
        async with gateway(there) as first:
            first.send_signal(signal.SIGSTOP)
            failed_at = time.monotonic()
            await take_over(MavlinkAddress(there, hardware_uid=UID), tmp_path)
            first.send_signal(signal.SIGCONT)
            await asyncio.sleep(2.0)  # time enough for 16 heartbeats and MAVSDK's repetitions
            assert first.returncode is None
            assert {number for at, number in router.heard if at > failed_at + 0.5} == {2}
