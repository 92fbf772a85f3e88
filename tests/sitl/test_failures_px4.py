"""Failures on real PX4, by what it does about them: acknowledgements of injected failures say nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from hardware.link import Activity
from hardware.mavlink.address import MavlinkAddress
from hardware.mavlink.link import MavlinkLink
from routing.geo import Position, distance_m
from simulators.faults import UdpProxy
from tests.mavlink_kit import delivery, link_to, loaded, opened, until
from tests.px4 import free_port, px4

SPEED = 5.0
HOME = Position(35.36, 138.73, 700.0)
WHILE = timedelta(seconds=15)
"""Of the vehicle's time: longer than anything that it does by itself when it hears its ground station again."""
INJECT_FAILURE, BATTERY_UNIT, OFF = 420, 100, 1

pytestmark = pytest.mark.timeout(300)


@asynccontextmanager
async def on_the_way_out(work: Path, **parameters: float) -> AsyncIterator[tuple[MavlinkLink, UdpProxy]]:
    """A PX4 on its way to a drop point 400 m away, heard by a radio that can be cut."""
    gateway = ("127.0.0.1", free_port())
    async with px4(work, speed=SPEED, home=HOME, parameters=parameters) as vehicle:
        address = MavlinkAddress(f"{gateway[0]}:{gateway[1]}")
        async with (
            UdpProxy(("127.0.0.1", vehicle.port), gateway) as radio,
            opened(link_to(address, speed=SPEED, home=HOME)) as link,
        ):
            await until(lambda: link.state().ready and link._observer.home is not None, 90, "getting ready")
            await loaded(link, delivery(home=HOME, east_m=400))
            await link.start()
            await until(lambda: off_home_m(link) > 60, 90, "being under way")
            yield link, radio


def off_home_m(link: MavlinkLink) -> float:
    position = link.state().position
    assert position is not None
    return distance_m(position, HOME)


def height_m(link: MavlinkLink) -> float:
    position = link.state().position
    assert position is not None
    return position.alt_amsl_m - HOME.alt_amsl_m


async def test_without_satellites_it_comes_down_where_it_is(tmp_path: Path) -> None:
    async with on_the_way_out(tmp_path) as (link, _):
        await link._open_parts()[1].set_parameter("SIM_GPS_USED", 0)

        await until(lambda: link.state().activity is Activity.LAND, 60, "the landing's beginning")
        await until(lambda: height_m(link) < 3.0, 120, "coming down")

        assert off_home_m(link) > 40
        assert not link.state().progress.finished
        assert link.state().progress.releases == ()


async def test_with_a_dead_battery_it_lands_at_once(tmp_path: Path) -> None:
    """The profile's failsafe parameters let it: no hold before, and an emergency charge lands."""
    async with on_the_way_out(tmp_path, SYS_FAILURE_EN=1) as (link, _):
        await link._open_parts()[1].command(INJECT_FAILURE, BATTERY_UNIT, OFF)

        await until(lambda: link.state().activity is Activity.LAND, 60, "the landing's beginning")
        await until(lambda: not link.state().armed, 120, "the landing")

        assert link.state().on_ground
        assert off_home_m(link) > 40
        assert not link.state().progress.finished


async def test_a_charge_that_runs_low_brings_it_home(tmp_path: Path) -> None:
    """It discharges within a minute; at 7 % it turns to its return, whatever is left of its mission."""
    async with on_the_way_out(tmp_path, SIM_BAT_DRAIN=60, BAT_EMERGEN_THR=0.01) as (link, _):
        await until(lambda: link.state().activity is Activity.RETURN, 120, "the return")

        assert (link.state().battery_pct or 100) <= 8
        assert link.state().progress.releases == ()


async def test_out_of_contact_it_returns_and_goes_on_only_when_it_is_told_to(tmp_path: Path) -> None:
    async with on_the_way_out(tmp_path) as (link, radio):
        radio.set(cut=True)
        await until(lambda: not link.state().connected, 30, "the silence")
        radio.up.cut = False
        await until(lambda: link.state().activity is Activity.RETURN, 60, "the return, seen but not commanded")
        radio.set(cut=False)

        regained = link.state().t
        assert regained is not None
        await until(lambda: (link.state().t or regained) - regained > WHILE, 60, "a while with contact")
        assert link.state().activity is Activity.RETURN, "it does not resume by itself"

        await link.resume()
        assert link.state().activity is Activity.MISSION
        assert link.state().progress.releases == ()
