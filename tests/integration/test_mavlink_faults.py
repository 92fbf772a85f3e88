"""A delivery flown across a bad network: it is completed, or the vehicle's own lost-link action is seen and told.

Faults last in wall time what they do with a real vehicle, so the slower they are, the slower is its clock here.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from hardware.errors import HardwareError, NoAnswer
from hardware.link import Activity
from hardware.mavlink import contact
from hardware.mavlink.address import MavlinkAddress
from hardware.mavlink.link import MavlinkLink
from hardware.profiles import profile_data
from simulators.faults import UdpProxy
from telemetry.event import VehicleEvent
from tests.mavlink_drone import UID, drone, logged, ready
from tests.mavlink_kit import HOME, delivery, link_to, opened, until

SPEED = 8.0
PROFILE = dict(profile_data("multirotor_1kg")["parameters"])


@asynccontextmanager
async def flight(
    folder: Path, *, speed: float = SPEED, events: list[VehicleEvent] | None = None
) -> AsyncIterator[tuple[MavlinkLink, UdpProxy]]:
    """Run a drone behind a proxy, ready to take off."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    address = MavlinkAddress(f"127.0.0.1:{port}", hardware_uid=UID)
    link = link_to(address, speed=speed, home=HOME, events=events, parameters=PROFILE)
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(UdpProxy(("127.0.0.1", 0), ("127.0.0.1", port)))
        await stack.enter_async_context(drone(proxy.address[1], folder, speed=speed))
        await stack.enter_async_context(opened(link))
        await ready(link)
        yield link, proxy


async def persist(link: MavlinkLink, *, east_m: float = 60.0) -> None:
    """Upload and start as a pilot would on a bad radio: again when there was no answer."""
    for _ in range(6):
        try:
            if not link.state().armed:
                await link.upload(delivery(east_m=east_m))
                await link.start()
            return
        except HardwareError:
            await asyncio.sleep(0.5)
    raise AssertionError("it never started")


@pytest.mark.slow
async def test_a_delivery_is_loaded_and_completed_across_a_network_that_loses_and_reorders(tmp_path: Path) -> None:
    async with flight(tmp_path) as (link, proxy):
        proxy.set(loss=0.2, duplicate=0.1, reorder=0.2)
        await persist(link)
        await until(lambda: link.state().progress.finished, 150, "the landing")

        assert len(link.state().progress.releases) == 1
        assert {"duplicate_id", "mission_changed", "second_station"}.isdisjoint(link.state().conditions)

    assert [event for event in logged(tmp_path) if event["event"] == "released"]


@pytest.mark.slow
async def test_a_delivery_under_way_is_completed_and_can_be_held_across_a_slow_network(tmp_path: Path) -> None:
    async with flight(tmp_path, speed=3.0) as (link, proxy):
        await persist(link)
        proxy.set(delay_s=0.3, jitter_s=0.1)
        await until(lambda: link.state().progress.step >= 1, 60)
        await link.hold()
        assert link.state().activity is Activity.HOLD
        await link.resume()
        await until(lambda: link.state().progress.finished, 150, "the landing")

        assert len(link.state().progress.releases) == 1
        assert {"duplicate_id", "mission_changed", "half_open"}.isdisjoint(link.state().conditions)


@pytest.mark.slow
async def test_a_cut_of_five_seconds_is_told_and_the_delivery_goes_on(tmp_path: Path) -> None:
    events: list[VehicleEvent] = []
    async with flight(tmp_path, speed=4.0, events=events) as (link, proxy):
        await persist(link, east_m=400.0)
        await until(lambda: link.state().progress.step == 1, 40)

        proxy.set(cut=True)
        cut_at = _now_ms(tmp_path)
        await until(lambda: _now_ms(tmp_path) > cut_at + 5_000 and not link.state().connected, 10)
        proxy.set(cut=False)

        await until(lambda: link.state().connected and link._open_parts()[0].endpoint.can_be_spoken_to, 10)
        await until(lambda: link.state().progress.finished, 120, "the landing")
        assert len(link.state().progress.releases) == 1

    kinds = [event.kind for event in events]
    assert kinds.count("lost") == 1
    assert kinds.count("connected") == 2
    assert not [event for event in logged(tmp_path) if event["event"] == "link_lost"]


def _now_ms(folder: Path) -> int:
    return int(logged(folder)[-1]["vehicle_ms"])


@pytest.mark.slow
async def test_a_half_open_link_is_told_before_the_vehicle_comes_home_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact, "QUIET_S", 1.0)
    monkeypatch.setattr(contact, "ASK_EVERY_S", 0.25)
    monkeypatch.setitem(PROFILE, "COM_DL_LOSS_T", 30)
    async with flight(tmp_path, speed=4.0) as (link, proxy):
        await persist(link)
        await until(lambda: link.state().progress.step == 1, 60)

        proxy.down.cut = True
        await until(lambda: "half_open" in link.state().conditions, 20)
        assert link.state().connected
        assert link.state().activity is Activity.MISSION
        with pytest.raises(NoAnswer):
            await link.resume()

        await until(lambda: link.state().activity is Activity.RETURN, 40, "its own return")
        assert "half_open" in link.state().conditions

        proxy.down.cut = False
        await until(lambda: not link.state().conditions, 20)
        assert link.state().activity in (Activity.RETURN, Activity.LAND, Activity.IDLE)
