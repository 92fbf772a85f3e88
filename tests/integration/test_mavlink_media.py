"""Vehicles over TCP, both ways around, and over a serial line."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from hardware.errors import LinkDown, NotSupported
from hardware.mavlink import tcp
from hardware.mavlink.address import MavlinkAddress
from hardware.mavlink.link import MavlinkLink
from hardware.profiles import load_profile
from routing.geo import Position
from telemetry.sample import Sample
from tests.mavlink_kit import Lease, Peer, clock_at, link_to, opened, until
from tests.mavlink_streams import peer_on, server, terminals

UID = "00000000000000a1"


async def connected(link: MavlinkLink) -> None:
    await until(lambda: link.state().connected, 20)


def counts(link: MavlinkLink) -> dict[str, int]:
    return dict(link._open_parts()[0].port.counts)


async def test_a_vehicle_behind_a_tcp_server_is_heard_and_commanded() -> None:
    samples: list[Sample] = []
    async with server() as there:
        address = MavlinkAddress(f"tcp://127.0.0.1:{there.port}", hardware_uid=UID)
        async with opened(link_to(address, samples=samples)) as link, peer_on(await there.accept()) as peer:
            await connected(link)
            await link.hold()
            await until(lambda: len(samples) >= 5 and peer.heard["HEARTBEAT"] > 0)

    assert [sample.seq for sample in samples[:5]] == [1, 2, 3, 4, 5]
    assert 176 in peer.commands()
    assert peer.heard["BAD_DATA"] == 0


async def test_a_connection_that_ends_is_made_anew_and_the_vehicle_asked_again() -> None:
    async with server() as there:
        address = MavlinkAddress(f"tcp://127.0.0.1:{there.port}", hardware_uid=UID)
        async with opened(link_to(address)) as link:
            async with peer_on(await there.accept()):
                await connected(link)
            async with peer_on(await there.accept()) as again:
                await until(lambda: 512 in again.commands(), 20)
                await until(lambda: link._open_parts()[0].endpoint.can_be_spoken_to, 20)
                await link.hold()


async def test_another_vehicle_that_answers_after_a_reconnection_is_left_alone() -> None:
    async with server() as there:
        address = MavlinkAddress(f"tcp://127.0.0.1:{there.port}", hardware_uid=UID)
        async with opened(link_to(address)) as link:
            async with peer_on(await there.accept()):
                await connected(link)
            async with peer_on(await there.accept(), uid=0xBAD) as other:
                await until(lambda: "0000000000000bad" in " ".join(link.state().faults), 20)
                await until(lambda: not link.state().connected, 10)
                with pytest.raises(LinkDown):
                    await link.hold()

    assert set(other.commands()) == {512}
    assert other.heard["HEARTBEAT"] == 0


async def test_a_server_that_is_not_there_yet_is_found_when_it_is() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with opened(link_to(MavlinkAddress(f"tcp://127.0.0.1:{port}"))) as link:
        with pytest.raises(LinkDown):
            await link.hold()
        with socket.socket() as late:
            late.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            late.bind(("127.0.0.1", port))
            late.listen()
            late.setblocking(False)
            async with asyncio.timeout(20):
                sock, _ = await asyncio.get_running_loop().sock_accept(late)
            async with peer_on(sock.detach()):
                await connected(link)


async def test_a_connection_on_which_nothing_comes_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A router that has forgotten a connection says nothing of it."""
    monkeypatch.setattr(tcp, "SILENT_S", 1.0)
    async with server() as there, opened(link_to(MavlinkAddress(f"tcp://127.0.0.1:{there.port}"))) as link:
        mute = await there.accept()
        async with peer_on(await there.accept()):
            await connected(link)
        os.close(mute)


async def test_vehicles_connect_to_us_and_come_back_from_other_ports() -> None:
    first = link_to(MavlinkAddress("tcp-listen://127.0.0.1:0", system_id=1))
    async with opened(first):
        host, port = first.listens_at
        second = link_to(MavlinkAddress(f"tcp-listen://{host}:{port}", system_id=2), vehicle_id="d2")
        async with opened(second), dialled(port, 1) as one, dialled(port, 2) as two:
            await connected(first)
            await connected(second)
            await first.hold()
            one_heard, two_heard = one.commands(), two.commands()
        assert 176 in one_heard
        assert 176 not in two_heard
        await until(lambda: not first.state().connected, 10)
        async with dialled(port, 1):
            await connected(first)


def dialled(port: int, system_id: int) -> Peer:
    sock = socket.create_connection(("127.0.0.1", port), timeout=5)
    return peer_on(sock.detach(), system_id=system_id)


async def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "MAX_CONNECTIONS", 3)
    async with opened(link_to(MavlinkAddress("tcp-listen://127.0.0.1:0"))) as link:
        _, port = link.listens_at
        many = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        await until(lambda: counts(link).get("refused", 0) == 2)
        for _, writer in many:
            writer.close()


async def test_an_address_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LinkDown, match=str(port)):
            await link_to(MavlinkAddress(f"tcp-listen://127.0.0.1:{port}")).open()


async def test_a_gateway_that_stops_reading_a_full_connection_sends_nothing_old_later() -> None:
    """What finds no room is dropped and counted, so that the other end never gets a burst of old commands."""
    async with server() as there, opened(link_to(MavlinkAddress(f"tcp://127.0.0.1:{there.port}"))) as link:
        stopped = await there.accept()
        peer = peer_on(stopped)
        for _ in range(20):
            peer._report()
        await connected(link)
        endpoint = link._open_parts()[0].endpoint
        frame = b"\xfd\xff\0\0\0\0\0\1\0\0" + bytes(257)
        for _ in range(100_000):
            endpoint.send(frame)
            if counts(link).get("congested", 0) > 10:
                break
        waiting = endpoint.sent * len(frame)

    assert endpoint.withheld > 10
    assert waiting < 8 << 20


def real_link(address: MavlinkAddress, samples: list[Sample] | None = None) -> MavlinkLink:
    return MavlinkLink(
        vehicle_id="real", address=address, vehicle_type=load_profile("multirotor_1kg"), parameters={}, lease=Lease(),
        clock=clock_at(1.0), on_sample=(samples if samples is not None else []).append, home=Position(0, 0),
        simulated=False, allow_real=True,
    )  # fmt: skip


async def test_a_vehicle_on_a_serial_line_is_heard_and_commanded_across_noise() -> None:
    vehicle, path = terminals()
    samples: list[Sample] = []
    link = real_link(MavlinkAddress(f"serial:{path}:57600", hardware_uid=UID), samples)
    async with peer_on(vehicle) as peer, opened(link):
        os.write(vehicle, b"\x00AT&T\xfd\xfe noise \xfd")
        await connected(link)
        await link.hold()
        seen = len(samples)
        os.write(vehicle, bytes(range(250)))
        await until(lambda: len(samples) > seen + 10)

        assert 176 in peer.commands()
        assert counts(link)["garbage"] > 0


async def test_a_line_that_is_unplugged_is_opened_again_when_it_is_back() -> None:
    vehicle, path = terminals()
    link = real_link(MavlinkAddress(f"serial:{path}", hardware_uid=UID))
    async with opened(link):
        async with peer_on(vehicle):
            await connected(link)
        await until(lambda: not link.state().connected, 10)
        held = []
        while True:
            vehicle, again = terminals()
            if again == path:
                break
            held.append(vehicle)
        async with peer_on(vehicle):
            await connected(link)
        for descriptor in held:
            os.close(descriptor)


async def test_a_simulated_vehicle_is_never_reached_by_a_serial_line() -> None:
    with pytest.raises(NotSupported, match="loopback"):
        await link_to(MavlinkAddress("serial:/dev/ttyUSB0")).open()


async def test_a_bit_rate_that_does_not_exist_is_named() -> None:
    _, path = terminals()
    with pytest.raises(NotSupported, match=r"57601; there are .*57600"):
        await real_link(MavlinkAddress(f"serial:{path}:57601", hardware_uid=UID)).open()
