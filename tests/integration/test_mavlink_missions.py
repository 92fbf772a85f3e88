"""Fences, gates and manoeuvres of the light simulator over the real link (PX4: ``tests/sitl/test_missions_px4.py``)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hardware.errors import MissionRejected
from hardware.link import Activity
from hardware.mavlink.autopilot import Load
from hardware.mavlink.link import MavlinkLink
from routing.geo import Position
from tests import mission_flights
from tests.integration.test_mavlink_flight import drone, link_at, ready
from tests.mavlink_kit import HOME, delivery, opened, until
from tests.px4 import free_port

pytestmark = pytest.mark.timeout(300)

Flight = Callable[[MavlinkLink, Position], Awaitable[None]]


@asynccontextmanager
async def flying(folder: Path) -> AsyncIterator[MavlinkLink]:
    port = free_port()
    async with drone(port, folder), opened(link_at(port)) as link:
        await ready(link)
        yield link


@pytest.mark.parametrize(
    "flight",
    [
        mission_flights.comes_down_when_told,
        mission_flights.waits_again_after_a_hold_on_the_way_down,
        mission_flights.goes_on_untold,
        mission_flights.leaves_a_release_out,
        mission_flights.a_hold_ends_a_diversion,
        mission_flights.refuses_what_it_must_not_fly,
    ],
)
async def test_it_flies_as_px4_does(tmp_path: Path, flight: Flight) -> None:
    async with flying(tmp_path) as link:
        await flight(link, HOME)


async def test_fence_and_rally_points_are_carried_and_go_with_a_mission_that_has_none(tmp_path: Path) -> None:
    async with flying(tmp_path) as link:
        await link.upload(mission_flights.mission_with_all(HOME, gate_s=5.0))
        autopilot = link._open_parts()[1]
        assert len(await autopilot.download(Load.FENCE)) > 3
        assert len(await autopilot.download(Load.RALLY)) == 1

        await link.upload(delivery("m-2"))

        assert await autopilot.download(Load.FENCE) == []
        assert await autopilot.download(Load.RALLY) == []


async def test_a_fence_changed_behind_our_back_is_found_before_the_start(tmp_path: Path) -> None:
    mission = mission_flights.mission_with_all(HOME, gate_s=5.0)
    async with flying(tmp_path) as link:
        await link.upload(mission)
        await link._open_parts()[1].clear(Load.FENCE)
        # As after a restart of the gateway, which reads the mission only.
        link.expect(mission)
        assert await link.recognise()

        with pytest.raises(MissionRejected, match="carries another fence: 0 items instead of"):
            await link.start()

        assert not link.state().armed


async def test_the_next_gateway_sees_the_wait_and_lets_it_down(tmp_path: Path) -> None:
    mission = mission_flights.mission_with_all(HOME, gate_s=600.0)
    port = free_port()
    async with drone(port, tmp_path):
        async with opened(link_at(port)) as first:
            await ready(first)
            await first.upload(mission)
            await first.start()
            await mission_flights.waits(first)

        async with opened(link_at(port)) as second:
            second.expect(mission)
            await until(lambda: second.state().connected)
            assert await second.recognise()
            await mission_flights.waits(second)
            await second.descend(mission_flights.DROP)
            await mission_flights.flown(second)
            assert [release.step for release in second.state().progress.releases] == [mission_flights.DROP]
            assert second.state().activity is Activity.IDLE
