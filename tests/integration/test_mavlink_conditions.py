"""Two vehicles under one system id, a second ground station, a lossy link: heard over real sockets."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest
from pymavlink.dialects.v20 import common as m

from hardware.mavlink import observer
from hardware.mavlink.address import MavlinkAddress
from telemetry.event import VehicleEvent
from telemetry.sample import Sample
from tests.mavlink_kit import Peer, link_to, opened, until

GROUND_STATION = m.MAVLink_heartbeat_message(m.MAV_TYPE_GCS, m.MAV_AUTOPILOT_INVALID, 0, 0, 4, 3)


@pytest.fixture
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        number: int = sock.getsockname()[1]
        return number


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is seen holds for less long, so that its end can be waited for."""
    monkeypatch.setattr(observer, "CONDITION_S", 2.0)


def at(port: int) -> MavlinkAddress:
    return MavlinkAddress(f"127.0.0.1:{port}")


async def test_two_sources_with_one_system_id_are_told_while_both_are_heard(port: int) -> None:
    samples: list[Sample] = []
    async with opened(link_to(at(port), samples=samples)) as link, Peer(("127.0.0.1", port)) as first:
        await until(lambda: link.state().connected)
        async with Peer(("127.0.0.1", port)) as second:
            second.lat = 36.5
            await until(lambda: "duplicate_id" in link.state().conditions)
            told = link.state().conditions["duplicate_id"]
        await until(lambda: not link.state().conditions)

    assert second.send_to == first.send_to
    assert told.startswith("the vehicle's system id is also used by 127.0.0.1:")
    assert {sample.lat_e7 for sample in samples} == {350_000_000}


async def test_a_vehicle_that_comes_back_from_another_port_is_no_second_one(port: int) -> None:
    async with opened(link_to(at(port))) as link:
        async with Peer(("127.0.0.1", port)):
            await until(lambda: link.state().connected)
        await until(lambda: not link.state().connected)
        async with Peer(("127.0.0.1", port)):
            await until(lambda: link.state().connected)
            assert link.state().conditions == {}


async def test_two_vehicles_behind_one_router_are_told_and_the_first_is_followed(port: int) -> None:
    samples: list[Sample] = []
    events: list[VehicleEvent] = []
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(opened(link_to(at(port), samples=samples, events=events)))
        first = await stack.enter_async_context(Peer(("127.0.0.1", port), hz=20))
        await until(lambda: len(samples) > 20)
        second = Peer(("127.0.0.1", port), hz=20)
        second.speak_from(first)
        second.reboot()
        second.lat = 36.5
        await stack.enter_async_context(second)
        await until(lambda: "duplicate_id" in link.state().conditions)
        seen = len(samples)
        await until(lambda: len(samples) > seen + 40)

        assert {sample.lat_e7 for sample in samples[seen:]} == {350_000_000}
        assert link.counts["other_vehicle"] > 10
        assert [event.kind for event in events].count("restarted") <= 1


async def test_another_ground_station_s_heartbeat_by_the_vehicle_s_way_is_told(port: int) -> None:
    async with opened(link_to(at(port))) as link, Peer(("127.0.0.1", port)) as peer:
        await until(lambda: link.state().connected)
        # Our own, sent back by a router, is none.
        peer.pass_on(GROUND_STATION, system_id=245)
        peer.pass_on(GROUND_STATION, system_id=255)
        await until(lambda: "second_station" in link.state().conditions)
        told = link.state().conditions["second_station"]
        await until(lambda: not link.state().conditions)

    assert told == "ground station 255: its heartbeat comes by the vehicle's link"


async def test_a_command_of_another_station_is_told_by_its_acknowledgement(port: int) -> None:
    async with opened(link_to(at(port))) as link, Peer(("127.0.0.1", port)) as peer:
        await until(lambda: link.state().connected)
        for target in (0, 1, 245):
            peer.say(m.MAVLink_command_ack_message(400, 0, 0, 0, target, 190))
        peer.say(m.MAVLink_command_ack_message(176, 0, 0, 0, 254, 190))
        await until(lambda: bool(link.state().conditions))

        assert dict(link.state().conditions) == {
            "second_station": "ground station 254: the vehicle acknowledges its command 176"
        }


async def test_the_share_of_messages_that_arrive_is_in_the_samples(port: int) -> None:
    samples: list[Sample] = []
    async with opened(link_to(at(port), samples=samples)), Peer(("127.0.0.1", port), hz=20) as peer:
        await until(lambda: bool(samples) and samples[-1].link_pct_x10 is not None)
        good = samples[-1].link_pct_x10

        async def lose_half() -> None:
            while True:
                peer.lose(4)
                await asyncio.sleep(0.05)

        losing = asyncio.create_task(lose_half())
        await until(lambda: (samples[-1].link_pct_x10 or 1000) < 700, 20)
        losing.cancel()

    assert good is not None
    assert good > 950


async def test_what_a_radio_on_the_way_says_goes_with_the_samples(port: int) -> None:
    samples: list[Sample] = []
    async with opened(link_to(at(port), samples=samples)) as link, Peer(("127.0.0.1", port)) as peer:
        await until(lambda: link.state().connected)
        peer.pass_on(m.MAVLink_radio_status_message(190, 180, 100, 40, 45, 7, 2), system_id=51, component_id=68)
        await until(lambda: "radio" in samples[-1].extra)

    radio = {"rssi": 190, "remote_rssi": 180, "noise": 40, "remote_noise": 45, "rx_errors": 7}
    assert samples[-1].extra["radio"] == radio
