"""The bad network of the simulators: it does what it is told to, and links live with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import pytest

from hardware.link import Activity
from hardware.mavlink.address import MavlinkAddress
from simulators.faults import Faults, TcpProxy, UdpProxy
from telemetry.event import VehicleEvent
from telemetry.sample import Sample
from tests.integration.test_mavlink_flight import UID, drone, port  # noqa: F401 - a fixture
from tests.mavlink_kit import delivery, link_to, opened, until

ANY = ("127.0.0.1", 0)
MANY = 2_000


class Peer(asyncio.DatagramProtocol):
    """A socket that keeps what comes and from where."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.sender: tuple[str, int] | None = None
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.append(data)
        self.sender = addr

    @property
    def address(self) -> tuple[str, int]:
        name: tuple[str, int] = self.transport.get_extra_info("sockname")
        return name


@asynccontextmanager
async def peers() -> AsyncIterator[tuple[Peer, Peer, UdpProxy]]:
    """A vehicle, a gateway, and the proxy between them."""
    loop = asyncio.get_running_loop()
    (_, vehicle), (_, gateway) = [await loop.create_datagram_endpoint(Peer, local_addr=ANY) for _ in range(2)]
    async with UdpProxy(ANY, gateway.address) as proxy:
        yield vehicle, gateway, proxy
    vehicle.transport.close()
    gateway.transport.close()


async def _send(peer: Peer, to: tuple[str, int], count: int = MANY) -> list[bytes]:
    sent = [str(number).encode() for number in range(count)]
    for number, data in enumerate(sent):
        peer.transport.sendto(data, to)
        if number % 50 == 0:
            await asyncio.sleep(0.001)
    return sent


async def test_a_good_network_carries_everything_in_order_both_ways() -> None:
    async with peers() as (vehicle, gateway, proxy):
        sent = await _send(vehicle, proxy.address, 200)
        await until(lambda: len(gateway.heard) == 200)
        assert gateway.sender is not None
        answers = await _send(gateway, gateway.sender, 200)
        await until(lambda: len(vehicle.heard) == 200)

    assert (gateway.heard, vehicle.heard) == (sent, answers)


async def test_loss_and_duplication_take_the_share_they_were_given_and_in_one_direction_alone() -> None:
    async with peers() as (vehicle, gateway, proxy):
        proxy.up.loss, proxy.up.duplicate = 0.2, 0.1
        await _send(vehicle, proxy.address)
        up, down = proxy.counts
        await until(lambda: up.lost + up.passed - up.duplicated == MANY)
        await until(lambda: len(gateway.heard) == up.passed)

    assert 0.15 * MANY < up.lost < 0.25 * MANY
    assert 0.05 * MANY < up.duplicated < 0.13 * MANY
    assert (down.passed, down.lost) == (0, 0)


async def test_reordered_datagrams_come_after_the_next_one_and_none_is_lost() -> None:
    async with peers() as (vehicle, gateway, proxy):
        proxy.up.reorder = 0.2
        sent = await _send(vehicle, proxy.address)
        await until(lambda: len(gateway.heard) == MANY)

    assert gateway.heard != sent
    assert sorted(gateway.heard, key=int) == sent


async def test_while_the_link_is_cut_nothing_arrives_not_even_what_was_under_way() -> None:
    async with peers() as (vehicle, gateway, proxy):
        proxy.set(delay_s=0.2)
        await _send(vehicle, proxy.address, 10)
        up, _ = proxy.counts
        proxy.set(cut=True)
        await until(lambda: up.lost == 10)
        proxy.set(cut=False, delay_s=0.0)
        await _send(vehicle, proxy.address, 1)
        await until(lambda: bool(gateway.heard))

    assert gateway.heard == [b"0"]


@pytest.mark.parametrize("wrong", [{"loss": 1.5}, {"reorder": -0.1}, {"delay_s": -1.0}])
def test_a_fault_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Faults(**wrong)  # type: ignore[arg-type]


async def _ended(reader: asyncio.StreamReader) -> None:
    """Return when a connection is over, however it ended."""
    with suppress(ConnectionResetError):
        assert await reader.read() == b""


async def test_a_stream_is_carried_half_opened_and_reset() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)

    server = await asyncio.start_server(echo, *ANY)
    async with server, TcpProxy(ANY, server.sockets[0].getsockname()[:2]) as proxy:
        reader, writer = await asyncio.open_connection(*proxy.address)
        writer.write(b"one")
        assert await asyncio.wait_for(reader.readexactly(3), 5) == b"one"

        proxy.down.cut = True
        writer.write(b"two")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(3), 0.3)
        proxy.down.cut = False
        assert await asyncio.wait_for(reader.readexactly(3), 5) == b"two"

        proxy.reset()
        await asyncio.wait_for(_ended(reader), 5)


async def test_a_drone_flies_its_mission_over_a_bad_radio(port: int, tmp_path: Path) -> None:  # noqa: F811
    samples: list[Sample] = []
    events: list[VehicleEvent] = []
    address = MavlinkAddress(bind=f"127.0.0.1:{port}", hardware_uid=UID)
    async with UdpProxy(ANY, ("127.0.0.1", port)) as proxy:
        # Ten times as fast as the drone is used to: its own time-outs are a tenth in wall time.
        proxy.set(loss=0.05, duplicate=0.05, reorder=0.02, delay_s=0.004, jitter_s=0.004)
        async with (
            drone(proxy.address[1], tmp_path),
            opened(link_to(address, speed=10.0, samples=samples, events=events)) as link,
        ):
            await until(lambda: link.state().ready, within_s=60)
            await link.upload(delivery())
            await link.start()
            await until(lambda: link.state().progress.finished, within_s=120)

    assert len(link.state().progress.releases) == 1
    assert len({sample.seq for sample in samples}) == len(samples)


async def test_a_drone_whose_radio_is_cut_comes_home_and_is_heard_again(port: int, tmp_path: Path) -> None:  # noqa: F811
    address = MavlinkAddress(bind=f"127.0.0.1:{port}", hardware_uid=UID)
    async with (
        UdpProxy(ANY, ("127.0.0.1", port)) as proxy,
        drone(proxy.address[1], tmp_path),
        opened(link_to(address, speed=10.0)) as link,
    ):
        await until(lambda: link.state().ready, within_s=60)
        await link.upload(delivery(east_m=350.0))
        await link.start()
        await until(lambda: link.state().activity is Activity.MISSION, within_s=60)

        proxy.set(cut=True)
        await until(lambda: not link.state().connected, within_s=30)
        proxy.set(cut=False)
        await until(lambda: link.state().activity is Activity.RETURN, within_s=60)
        await until(lambda: link.state().on_ground and not link.state().armed, within_s=120)

    assert link.state().progress.releases == ()
