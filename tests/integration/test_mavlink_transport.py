"""Who is heard, who is spoken to, and what never leaves: vehicles are pymavlink peers on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace

import pytest

from hardware.errors import LinkDown, MissionRejected, NoAnswer, NotOurs, NotSupported, Refused
from hardware.link import Activity
from hardware.mavlink import autopilot
from hardware.mavlink.address import MavlinkAddress
from hardware.mavlink.link import MavlinkLink
from hardware.mavlink.translate import translate
from hardware.mavlink.transport import MAX_STRANGERS
from hardware.profiles import load_profile
from routing.geo import Position
from telemetry.sample import Sample
from tests.mavlink_kit import HOME, Lease, Peer, clock_at, delivery, link_to, opened, until


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture
def port() -> int:
    return free_port()


def at(port: int, **pins: str | int | None) -> MavlinkAddress:
    peer, system_id, uid = pins.get("peer"), pins.get("system_id"), pins.get("hardware_uid")
    assert not isinstance(peer, int)
    assert not isinstance(system_id, str)
    assert not isinstance(uid, int)
    return MavlinkAddress(f"127.0.0.1:{port}", peer, system_id, uid)


async def connected(link: MavlinkLink) -> None:
    await until(lambda: link.state().connected)


async def test_a_vehicle_is_heard_and_its_samples_are_counted(port: int) -> None:
    samples: list[Sample] = []
    async with opened(link_to(at(port), samples=samples)) as link, Peer(("127.0.0.1", port), hz=20) as peer:
        peer.lat = 35.5
        await until(lambda: len(samples) >= 5)

        state = link.state()

    assert state.connected
    assert state.activity is Activity.IDLE
    assert [sample.seq for sample in samples[:5]] == [1, 2, 3, 4, 5]
    assert samples[4].lat_e7 == 355_000_000


async def test_changes_begin_with_the_state_now_and_end_with_the_link(port: int) -> None:
    link = link_to(at(port))

    async def follow() -> list[bool]:
        return [state.connected async for state in link.changes()]

    following = asyncio.create_task(follow())
    async with opened(link), Peer(("127.0.0.1", port)):
        await connected(link)
        heard = link.state().t
        await until(lambda: link.state().t != heard)

    seen = await asyncio.wait_for(following, 5)
    assert (seen[0], True in seen, seen[-1]) == (False, True, False)


async def test_silence_disconnects_and_a_voice_connects_again(port: int) -> None:
    async with opened(link_to(at(port))) as link, Peer(("127.0.0.1", port)) as peer:
        await connected(link)

        peer.fall_silent()
        await until(lambda: not link.state().connected, 6)
        with pytest.raises(LinkDown):
            await link.hold()

        peer.hz = 5
        await connected(link)


async def test_two_vehicles_with_one_system_id_on_one_port_stay_two(port: int) -> None:
    here = ("127.0.0.1", port)
    async with Peer(here, system_id=1) as east, Peer(here, system_id=1) as west:
        east.lat, west.lat = 35.0, 36.0
        a, b = (link_to(at(port, peer=peer.at), vehicle_id=name) for name, peer in (("east", east), ("west", west)))
        async with opened(a), opened(b):
            await until(lambda: a.state().position is not None and b.state().position is not None)
            await until(lambda: a._open_parts()[1].found)
            with pytest.raises(NoAnswer, match=r"AUTO\.RTL"):
                await asyncio.wait_for(_return_home(a, east), 20)

            assert (_lat(a), _lat(b)) == (35.0, 36.0)
            assert 176 in east.commands()
            assert 176 not in west.commands()


async def _return_home(link: MavlinkLink, peer: Peer) -> None:
    """Order a return; the peer acknowledges it and stays in its mode."""
    peer.armed, peer.obeys = True, False
    await until(lambda: link.state().armed)
    await link.return_home()


def _lat(link: MavlinkLink) -> float:
    position = link.state().position
    assert position is not None
    return position.lat


async def test_two_vehicles_with_one_system_id_are_told_apart_by_their_hardware(port: int) -> None:
    here = ("127.0.0.1", port)
    async with Peer(here, uid=0xA) as first, Peer(here, uid=0xB) as second:
        first.lat, second.lat = 35.0, 36.0
        b = link_to(at(port, hardware_uid="000000000000000b"), vehicle_id="b")
        a = link_to(at(port, hardware_uid="000000000000000A"), vehicle_id="a")
        async with opened(b), opened(a):
            await until(lambda: a.state().position is not None and b.state().position is not None)

            assert (_lat(a), _lat(b)) == (35.0, 36.0)


async def test_a_second_vehicle_never_takes_the_place_of_a_silent_one(port: int) -> None:
    here = ("127.0.0.1", port)
    async with opened(link_to(at(port))) as link, Peer(here) as ours:
        await connected(link)
        async with Peer(here, hz=10) as other:
            other.lat = 40.0
            await until(lambda: link._open_parts()[0].port.counts["stranger"] > 10)
            ours.fall_silent()
            await until(lambda: not link.state().connected, 6)
            heard = link._open_parts()[0].port.counts["stranger"]
            await until(lambda: link._open_parts()[0].port.counts["stranger"] > heard + 60, 20)

            assert not link.state().connected
            assert _lat(link) == HOME.lat
            assert not other.heard


async def test_a_vehicle_restarted_at_another_port_is_found_again(port: int) -> None:
    async with opened(link_to(at(port))) as link:
        async with Peer(("127.0.0.1", port)):
            await connected(link)
        await until(lambda: not link.state().connected, 6)
        async with Peer(("127.0.0.1", port)) as again:
            await connected(link)
            await until(lambda: again.heard["HEARTBEAT"] > 0)


async def test_an_unregistered_source_is_never_answered(port: int) -> None:
    async with Peer(("127.0.0.1", port), system_id=9, hz=20) as stranger:
        async with opened(link_to(at(port, system_id=1))) as link, Peer(("127.0.0.1", port)) as ours:
            await until(lambda: ours.heard["COMMAND_LONG"] > 3)
            await until(lambda: link._open_parts()[0].port.counts["stranger"] > 20)

        assert not stranger.heard


async def test_strangers_are_remembered_up_to_a_bound(port: int) -> None:
    async with opened(link_to(at(port, system_id=255))) as link, Peer(("127.0.0.1", port)) as many:
        for system_id in range(1, 200):
            many._mav.srcSystem = system_id
            many._report()
        mavlink_port = link._open_parts()[0].port
        await until(lambda: mavlink_port.counts["stranger"] >= 2 * 199)

        assert len(mavlink_port._strangers) == MAX_STRANGERS


async def test_other_hardware_in_the_vehicles_place_is_left_alone_and_named(port: int) -> None:
    address = at(port, system_id=1, hardware_uid="00000000000000a1")
    async with opened(link_to(address)) as link, Peer(("127.0.0.1", port), uid=0xBAD) as wrong:
        await until(lambda: bool(link.state().faults))

        assert not link.state().connected
        assert "0000000000000bad" in link.state().faults[-1]
        with pytest.raises(LinkDown):
            await link.upload(delivery())
        assert set(wrong.commands()) == {512}
        assert set(wrong.heard) == {"COMMAND_LONG"}


async def test_hardware_is_asked_for_again_after_a_reboot(port: int) -> None:
    address = at(port, hardware_uid="00000000000000a1")
    async with opened(link_to(address)) as link, Peer(("127.0.0.1", port)) as peer:
        await until(lambda: (link.state().position is not None) and link.state().connected)
        asked = peer.commands().count(512)

        peer.uid = 0xBAD
        peer.reboot()
        await until(lambda: "0000000000000bad" in " ".join(link.state().faults), 15)

        assert peer.commands().count(512) > asked
        with pytest.raises(LinkDown):
            await link.hold()


async def test_nothing_is_sent_without_the_lease(port: int) -> None:
    lease = Lease(held=False)
    async with opened(link_to(at(port), lease=lease)) as link, Peer(("127.0.0.1", port), hz=20) as peer:
        await until(lambda: link._open_parts()[1].found)
        await until(lambda: link._open_parts()[0].endpoint.withheld > 5)

        with pytest.raises(NotOurs):
            await link.hold()
        with pytest.raises(NotOurs):
            await link.upload(delivery())
        assert not peer.heard

        lease.is_held = True
        await until(lambda: peer.heard["HEARTBEAT"] > 0)


async def test_a_lease_lost_during_an_upload_is_the_error_told_and_ends_the_sending(port: int) -> None:
    lease = Lease()
    link = link_to(at(port), lease=lease, parameters={})
    async with opened(link), Peer(("127.0.0.1", port)) as peer:
        await connected(link)
        upload = asyncio.create_task(link.upload(delivery()))
        await until(lambda: peer.heard["MISSION_COUNT"] > 0)

        lease.is_held = False
        sent = sum(peer.heard.values())
        with pytest.raises(NotOurs):
            await asyncio.wait_for(upload, 20)

        assert sum(peer.heard.values()) <= sent + 1


async def test_a_damaged_stream_does_not_disturb_the_vehicle(port: int) -> None:
    async with opened(link_to(at(port))) as link, Peer(("127.0.0.1", port)) as peer:
        await connected(link)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
            for length in range(300):
                noise.sendto(bytes([0xFD] * length), ("127.0.0.1", port))
                peer._sock.sendto(bytes(range(256))[: length % 256], ("127.0.0.1", port))
        before = link.state().t

        await until(lambda: link.state().t != before)
        assert link.state().connected


async def test_a_busy_port_is_named(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", port))

        with pytest.raises(LinkDown, match=str(port)):
            await link_to(at(port)).open()


async def test_two_links_to_the_same_vehicle_are_refused(port: int) -> None:
    async with opened(link_to(at(port))):
        with pytest.raises(NotSupported, match="told apart"):
            await link_to(at(port), vehicle_id="d2").open()


async def test_a_closed_port_can_be_had_again(port: int) -> None:
    for _ in range(2):
        async with opened(link_to(at(port))) as link, Peer(("127.0.0.1", port)):
            await connected(link)


async def test_a_process_has_a_bounded_number_of_vehicles(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autopilot, "MAX_AUTOPILOTS", 1)
    async with opened(link_to(at(port))):
        with pytest.raises(NotSupported, match="another gateway"):
            await link_to(at(free_port()), vehicle_id="d2").open()

    async with opened(link_to(at(port))):
        pass


async def test_hold_does_not_wait_behind_a_call_that_gets_no_answer(port: int) -> None:
    """The peer never answers PARAM_REQUEST_READ; its mode is already the one that hold asks for."""
    async with opened(link_to(at(port))) as link, Peer(("127.0.0.1", port)) as peer:
        await connected(link)
        upload = asyncio.create_task(link.upload(delivery()))
        await until(lambda: peer.heard["PARAM_REQUEST_READ"] > 0)

        await asyncio.wait_for(link.hold(), 1.0)

        assert not upload.done()
        upload.cancel()
        await asyncio.gather(upload, return_exceptions=True)


async def test_a_start_refused_after_arming_disarms_and_tells_the_vehicles_words(port: int) -> None:
    link = link_to(at(port), parameters={})
    async with opened(link), Peer(("127.0.0.1", port)) as peer:
        peer.denied = {300: "Mission start denied! No valid mission"}
        await until(lambda: link.state().ready and link.state().on_ground)
        link._observer.tracker.carry(translate(delivery()), fresh=True)

        with pytest.raises(Refused, match="No valid mission"):
            await link.start()

        assert [c for c in peer.commands() if c in (400, 300)] == [400, 300, 400]
        assert not peer.armed
        assert not link.state().armed


async def test_a_start_without_effect_disarms_and_says_what_did_not_happen(port: int) -> None:
    link = link_to(at(port), parameters={}, speed=5.0)
    async with opened(link), Peer(("127.0.0.1", port)) as peer:
        await until(lambda: link.state().ready and link.state().on_ground)
        link._observer.tracker.carry(translate(delivery()), fresh=True)

        with pytest.raises(NoAnswer, match="did not enter its mission within 5 s"):
            await link.start()

        assert not peer.armed


async def test_a_refusal_to_arm_is_told_in_the_vehicles_words(port: int) -> None:
    link = link_to(at(port), parameters={})
    async with opened(link), Peer(("127.0.0.1", port)) as peer:
        peer.denied = {400: "Arming denied: compass"}
        await until(lambda: link.state().ready and link.state().on_ground)
        link._observer.tracker.carry(translate(delivery()), fresh=True)

        with pytest.raises(Refused, match="arming: denied; it says: Arming denied: compass"):
            await link.start()

        assert 300 not in peer.commands()


async def test_commands_for_the_air_are_refused_on_the_ground(port: int) -> None:
    async with opened(link_to(at(port))) as link, Peer(("127.0.0.1", port)):
        await connected(link)

        with pytest.raises(Refused, match="not flying"):
            await link.return_home()
        with pytest.raises(Refused, match="not flying"):
            await link.land()
        with pytest.raises(Refused, match="no mission"):
            await link.resume()
        with pytest.raises(MissionRejected, match="upload"):
            await link.start()


def real_link(address: MavlinkAddress, *, speed: float = 1.0, allow_real: bool = False) -> MavlinkLink:
    return MavlinkLink(
        vehicle_id="real",
        address=address,
        vehicle_type=load_profile("multirotor_1kg"),
        parameters={},
        lease=Lease(),
        clock=clock_at(speed),
        on_sample=lambda _: None,
        home=Position(0, 0),
        simulated=False,
        allow_real=allow_real,
    )


async def test_simulated_and_real_are_kept_apart(port: int) -> None:
    pinned = at(port, hardware_uid="00000000000000a1")

    with pytest.raises(NotSupported, match="simulated time never meets"):
        await real_link(pinned, speed=5, allow_real=True).open()
    with pytest.raises(NotSupported, match="not set up"):
        await real_link(pinned).open()
    with pytest.raises(NotSupported, match="hardware_uid"):
        await real_link(at(port), allow_real=True).open()
    with pytest.raises(NotSupported, match="loopback"):
        await link_to(replace(pinned, bind=f"0.0.0.0:{port}")).open()
    with pytest.raises(NotSupported, match="loopback"):
        await link_to(replace(pinned, peer="192.0.2.1:14580")).open()

    async with opened(real_link(pinned, allow_real=True)) as link, Peer(("127.0.0.1", port)):
        await connected(link)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: MavlinkAddress("127.0.0.1"), "bind"),
        (lambda: MavlinkAddress("host.example:1"), "bind"),
        (lambda: MavlinkAddress("127.0.0.1:99999"), "bind"),
        (lambda: MavlinkAddress("127.0.0.1:1", peer="127.0.0.1:x"), "peer"),
        (lambda: MavlinkAddress("127.0.0.1:1", peer="127.0.0.1:0"), "peer"),
        (lambda: MavlinkAddress("127.0.0.1:1", hardware_uid="a1"), "hardware_uid"),
        (lambda: MavlinkAddress("127.0.0.1:1", system_id=0), "system_id"),
    ],
)
def test_a_malformed_address_is_named(make: Callable[[], MavlinkAddress], field: str) -> None:
    with pytest.raises(NotSupported, match=field):
        make()
