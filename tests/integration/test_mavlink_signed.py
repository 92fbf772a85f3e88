"""Links with a key: what is sent is signed, what comes unsigned is dropped and told. The vehicle is pymavlink's."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from pymavlink.dialects.v20 import common as m

from hardware.errors import LinkDown
from hardware.mavlink import observer
from hardware.mavlink.address import MavlinkAddress
from hardware.mavlink.link import MavlinkLink
from hardware.mavlink.signing import REASONS
from tests.mavlink_drone import drone, ready
from tests.mavlink_kit import HOME, Lease, Peer, delivery, link_to, loaded, opened, until
from tests.mavlink_signer import signer
from tests.mavlink_streams import peer_on, server

KEY, OTHER = bytes(range(32)), bytes(32)
UID = "00000000000000a1"


@pytest.fixture
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        number: int = sock.getsockname()[1]
        return number


def at(port: int, uid: str | None = UID) -> MavlinkAddress:
    return MavlinkAddress(f"127.0.0.1:{port}", hardware_uid=uid)


def counts(link: MavlinkLink) -> dict[str, int]:
    return dict(link._open_parts()[0].port.counts)


async def test_a_vehicle_that_takes_signed_messages_only_is_commanded(port: int) -> None:
    async with opened(link_to(at(port), key=KEY)) as link, Peer(("127.0.0.1", port)) as peer:
        peer.sign(KEY)
        await until(lambda: link.state().connected)
        await link.hold()
        await until(lambda: peer.heard["HEARTBEAT"] > 0)

        assert {512, 176} <= set(peer.commands())
        assert peer.heard["BAD_DATA"] == 0
        assert link.state().conditions == {}


async def test_a_whole_delivery_is_flown_signed(port: int, tmp_path: Path) -> None:
    """Upload, parameters, commands and telemetry all pass pymavlink's judgement."""
    async with signer(KEY, port) as device, drone(device.port, tmp_path, speed=10.0):
        link = link_to(at(port), key=KEY, speed=10.0, home=HOME)
        async with opened(link):
            await ready(link)
            await loaded(link, delivery())
            await link.start()
            await until(lambda: link.state().progress.finished, 90, "the landing")

            assert len(link.state().progress.releases) == 1
            assert not set(counts(link)) & set(REASONS)
            assert link.state().conditions == {}

    assert device.counts["MISSION_ITEM_INT"] >= len(delivery().steps)
    assert device.counts["BAD_DATA"] == 0


async def test_signing_works_over_a_stream_too() -> None:
    async with server() as there:
        link = link_to(MavlinkAddress(f"tcp://127.0.0.1:{there.port}", hardware_uid=UID), key=KEY)
        async with opened(link):
            peer = peer_on(await there.accept())
            peer.sign(KEY)
            async with peer:
                await until(lambda: link.state().connected)
                await link.hold()


@pytest.mark.parametrize(
    ("key", "reason", "words"), [(None, "unsigned", "not signed"), (OTHER, "forged", "signed with another key")]
)
async def test_a_vehicle_without_the_key_is_never_taken_for_it(
    port: int, key: bytes | None, reason: str, words: str
) -> None:
    async with opened(link_to(at(port), key=KEY)) as link, Peer(("127.0.0.1", port), hz=20) as peer:
        if key is not None:
            peer.sign(key)
        await until(lambda: counts(link).get(reason, 0) > 10)

        assert words in link.state().conditions["unsigned"]
        assert not link.state().connected
        with pytest.raises(LinkDown):
            await link.hold()

    assert not peer.heard


async def test_what_is_slipped_in_between_is_dropped_and_told(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer, "CONDITION_S", 2.0)
    async with opened(link_to(at(port), key=KEY)) as link, Peer(("127.0.0.1", port)) as peer:
        peer.sign(KEY)
        await until(lambda: link.state().position is not None)
        before = link.state().position

        unsigned = m.MAVLink(None, srcSystem=1, srcComponent=1)
        false_place = m.MAVLink_global_position_int_message(200_000, 0, 0, 0, 0, 0, 0, 0, 0)
        for _ in range(5):
            peer._sock.sendto(false_place.pack(unsigned), ("127.0.0.1", port))
        await until(lambda: "unsigned" in link.state().conditions)

        assert link.state().position == before
        assert counts(link)["unsigned"] == 5
        await until(lambda: link.state().conditions == {})


async def test_what_was_recorded_cannot_be_played_back(port: int) -> None:
    async with opened(link_to(at(port), key=KEY)) as link, Peer(("127.0.0.1", port)) as peer:
        peer.sign(KEY)
        await until(lambda: link.state().connected)
        armed = m.MAVLink_heartbeat_message(2, 12, 0x81, 4 << 16 | 3 << 24, 4, 3).pack(peer._mav)
        peer._sock.sendto(armed, ("127.0.0.1", port))
        await until(lambda: link.state().armed)
        await until(lambda: not link.state().armed)

        for _ in range(20):
            peer._sock.sendto(armed, ("127.0.0.1", port))
        await until(lambda: counts(link).get("replayed", 0) == 20)

        assert not link.state().armed
        assert link.state().conditions == {}


async def test_what_was_recorded_is_not_answered_from_another_place_either(port: int) -> None:
    async with opened(link_to(at(port), key=KEY)) as link:
        async with Peer(("127.0.0.1", port)) as peer:
            peer.sign(KEY)
            await until(lambda: link.state().connected)
            said = m.MAVLink_heartbeat_message(2, 12, 0x81, 4 << 16, 4, 3).pack(peer._mav)
            peer._sock.sendto(said, ("127.0.0.1", port))
            await until(lambda: link.state().armed)
        await until(lambda: not link.state().connected, 10)

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
            thief.bind(("127.0.0.1", 0))
            thief.setblocking(False)
            for _ in range(10):
                thief.sendto(said, ("127.0.0.1", port))
            await until(lambda: counts(link).get("replayed", 0) >= 10)
            with pytest.raises(BlockingIOError):
                thief.recv(1)


async def test_two_vehicles_on_one_port_are_told_apart_by_their_keys(port: int) -> None:
    a, b = (link_to(at(port, uid), vehicle_id=uid, key=key) for uid, key in ((UID, KEY), ("00000000000000b2", OTHER)))
    async with opened(a), opened(b), Peer(("127.0.0.1", port)) as first, Peer(("127.0.0.1", port), uid=0xB2) as second:
        first.sign(KEY)
        second.sign(OTHER)
        await until(lambda: a.state().connected and b.state().connected)
        await a.hold()

        assert 176 in first.commands()
        assert 176 not in second.commands()
        assert (first.heard["BAD_DATA"], second.heard["BAD_DATA"]) == (0, 0)


async def test_a_gateway_whose_clock_is_behind_takes_over_a_signed_vehicle(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = Lease()
    async with Peer(("127.0.0.1", port)) as peer:
        peer.sign(KEY)
        async with opened(link_to(at(port), key=KEY, lease=lease)) as first:
            await until(lambda: first.state().connected)
            await until(lambda: peer.heard["HEARTBEAT"] > 0)
        now = time.time
        monkeypatch.setattr("hardware.mavlink.signing.time.time", lambda: now() - 40.0)
        async with opened(link_to(at(port), key=KEY)) as second:
            await until(lambda: second.state().connected, 20)
            await second.hold()


async def test_a_radio_on_the_way_needs_no_key(port: int) -> None:
    async with opened(link_to(at(port), key=KEY)) as link, Peer(("127.0.0.1", port)) as peer:
        peer.sign(KEY)
        await until(lambda: link.state().connected)
        peer.pass_on(m.MAVLink_radio_status_message(190, 180, 100, 40, 45, 7, 2), system_id=1, component_id=68)
        await until(lambda: link._observer._radio is not None)

        assert link.state().conditions == {}
