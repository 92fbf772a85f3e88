"""A vehicle that is heard and does not hear us is shown as that, and not commanded before it is known again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hardware.errors import LinkDown
from hardware.mavlink import contact
from hardware.mavlink.address import MavlinkAddress
from hardware.mavlink.link import MavlinkLink
from simulators.faults import UdpProxy
from telemetry.sample import Sample
from tests.mavlink_kit import Lease, Peer, link_to, opened, until

UID = "00000000000000a1"


@pytest.fixture
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        number: int = sock.getsockname()[1]
        return number


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked sooner and oftener, so that the tests take less long."""
    monkeypatch.setattr(contact, "QUIET_S", 0.6)
    monkeypatch.setattr(contact, "ASK_EVERY_S", 0.2)
    monkeypatch.setattr(contact, "THEN_EVERY_S", 0.5)


@asynccontextmanager
async def vehicle(port: int, *, uid: int = 0xA1) -> AsyncIterator[tuple[Peer, UdpProxy]]:
    """Run a vehicle behind a proxy."""
    async with UdpProxy(("127.0.0.1", 0), ("127.0.0.1", port)) as proxy, Peer(proxy.address, uid=uid, hz=10) as peer:
        yield peer, proxy


def at(port: int, uid: str | None = UID) -> MavlinkAddress:
    return MavlinkAddress(f"127.0.0.1:{port}", hardware_uid=uid)


async def half_open(link: MavlinkLink) -> str:
    await until(lambda: "half_open" in link.state().conditions, 20)
    return link.state().conditions["half_open"]


@pytest.mark.parametrize("uid", [UID, None])
async def test_a_way_to_it_that_fails_is_told_and_so_is_its_return(port: int, uid: str | None) -> None:
    samples: list[Sample] = []
    async with opened(link_to(at(port, uid), samples=samples, speed=3.0)) as link, vehicle(port) as (_, proxy):
        await until(lambda: link.state().ready)
        proxy.down.cut = True

        assert "answers nothing" in await half_open(link)
        seen = len(samples)
        await until(lambda: len(samples) > seen + 10)
        assert link.state().connected
        assert not link.state().ready

        proxy.down.cut = False
        await until(lambda: not link.state().conditions, 10)
        assert link.state().ready


async def test_after_silence_it_is_listened_to_and_not_commanded_until_it_answers(port: int) -> None:
    samples: list[Sample] = []
    async with opened(link_to(at(port), samples=samples, speed=3.0)) as link, vehicle(port) as (peer, proxy):
        await until(lambda: link.state().connected)
        proxy.set(cut=True)
        await until(lambda: not link.state().connected, 10)
        proxy.up.cut = False
        await half_open(link)
        seen, commands = len(samples), peer.commands()

        with pytest.raises(LinkDown, match="does not answer"):
            await link.hold()
        await until(lambda: len(samples) > seen + 10)
        assert link.state().connected
        assert peer.commands() == commands

        proxy.down.cut = False
        await until(lambda: not link.state().conditions, 10)
        await link.hold()
        assert 176 in peer.commands()


async def test_other_hardware_in_the_place_of_a_silent_vehicle_is_sent_nothing_but_the_question(port: int) -> None:
    """It has the vehicle's address and system id: until it answers nobody knows, and then it is left alone."""
    async with opened(link_to(at(port), speed=3.0)) as link, vehicle(port) as (peer, proxy):
        await until(lambda: link.state().connected and peer.heard["HEARTBEAT"] > 0)
        proxy.set(cut=True)
        await until(lambda: not link.state().connected, 10)
        peer.uid = 0xBAD
        peer.heard.clear()
        peer.arrivals.clear()
        proxy.set(cut=False)
        await until(lambda: "0000000000000bad" in " ".join(link.state().faults), 20)
        await until(lambda: not link.state().connected, 10)

        assert set(peer.heard) == {"COMMAND_LONG"}
        assert set(peer.commands()) == {512}


async def test_the_vehicle_is_found_elsewhere_while_something_mute_is_in_its_place(port: int) -> None:
    async with opened(link_to(at(port), speed=3.0)) as link, vehicle(port) as (_, proxy):
        await until(lambda: link.state().connected)
        proxy.set(cut=True)
        await until(lambda: not link.state().connected, 10)
        proxy.up.cut = False
        await half_open(link)

        async with Peer(("127.0.0.1", port)) as itself:
            await until(lambda: not link.state().conditions.get("half_open"), 20)
            await link.hold()
            assert 176 in itself.commands()


async def test_one_that_never_answered_is_told_though_nobody_knows_what_it_is(port: int) -> None:
    samples: list[Sample] = []
    async with opened(link_to(at(port), samples=samples, speed=3.0)) as link, vehicle(port) as (_, proxy):
        proxy.down.cut = True
        told = await half_open(link)

        assert "nobody knows whether it is the vehicle" in told
        assert not link.state().connected
        assert samples == []

        proxy.down.cut = False
        await until(lambda: link.state().connected and not link.state().conditions, 40)


async def test_a_gateway_without_the_lease_asks_nothing_and_misses_no_answer(port: int) -> None:
    lease = Lease()
    async with opened(link_to(at(port), lease=lease)) as link, vehicle(port) as (peer, _):
        await until(lambda: link.state().connected)
        lease.is_held = False
        await until(lambda: link._open_parts()[0].endpoint.contact.asked == 0)
        heard = sum(peer.heard.values())
        await asyncio.sleep(2.5)  # longer than it takes to find a vehicle that does not answer

        assert sum(peer.heard.values()) <= heard + 1
        assert link.state().conditions == {}
