"""Whole missions through the link on four real PX4 at once, with fence and rally points."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from pymavlink.dialects.v20 import common as m

from hardware.link import Activity
from hardware.mavlink.address import MavlinkAddress
from hardware.mission import Fence, Mission, Ring
from routing.geo import LocalFrame, Position, distance_m
from tests.drone_pilot import Station
from tests.mavlink_kit import delivery, link_to, loaded, opened, until
from tests.px4 import Px4, px4

HOME = Position(35.36, 138.73, 700.0)
AT_ONCE = 4
SPEED = 2.0
"""Four at once, each a fifth of a core at speed 1, are as much as two cores can do."""

pytestmark = pytest.mark.timeout(400)


def ring(home: Position, *, west_m: float, south_m: float, east_m: float, north_m: float) -> Ring:
    """A rectangle around a place, in metres from it."""
    frame = LocalFrame(home)
    corners = ((west_m, south_m), (east_m, south_m), (east_m, north_m), (west_m, north_m))
    return tuple(frame.to_global(east, north) for east, north in corners)


def fenced(home: Position, mission_id: str = "m-1") -> Mission:
    """A delivery inside a fence with a hole in it, and an emergency site."""
    corridor = ring(home, west_m=-80, south_m=-80, east_m=250, north_m=80)
    zone = ring(home, west_m=30, south_m=-70, east_m=90, north_m=-40)
    return replace(
        delivery(mission_id, home=home, east_m=90),
        fence=Fence((corridor,), (zone,)),
        rally=(LocalFrame(home).to_global(60, 40, home.alt_amsl_m),),
    )


async def _fly(vehicle: Px4, home: Position, name: str) -> None:
    """Fly a whole mission, and look at how it ended."""
    address = MavlinkAddress(f"127.0.0.1:{vehicle.port}")
    async with opened(link_to(address, vehicle_id=name, speed=SPEED, home=home)) as link:
        await until(lambda: link.state().ready and link._observer.home is not None, 120, "getting ready")
        await loaded(link, fenced(home, f"m-{name}"))
        await link.start()
        await until(lambda: link.state().progress.finished, 250, f"the landing of {name}")
        state = link.state()
    assert state.progress.mission_id == f"m-{name}"
    assert [(release.step, release.evidence) for release in state.progress.releases] == [(2, "inferred")]
    assert (state.armed, state.on_ground, state.activity) == (False, True, Activity.IDLE)
    assert state.position is not None
    assert distance_m(state.position, home) < 3
    assert not [fault for fault in state.faults if "eofence" in fault]


async def test_four_at_once_fly_whole_missions_with_fence_and_rally_points(tmp_path: Path) -> None:
    homes = [LocalFrame(HOME).to_global(2000.0 * n, 0.0, HOME.alt_amsl_m + 10 * n) for n in range(AT_ONCE)]
    async with AsyncExitStack() as stack:
        vehicles = []
        for n, home in enumerate(homes):
            work = tmp_path / str(n)
            work.mkdir()
            vehicles.append(await stack.enter_async_context(px4(work, speed=SPEED, home=home)))
        pairs = zip(vehicles, homes, strict=True)
        await asyncio.gather(*(_fly(each, home, f"d{n}") for n, (each, home) in enumerate(pairs)))
        station = Station(port=vehicles[0].port)
        try:
            await station.wait("HEARTBEAT")
            fence = await station.download(m.MAV_MISSION_TYPE_FENCE)
            rally = await station.download(m.MAV_MISSION_TYPE_RALLY)
        finally:
            station.close()

    commands = [item.command for item in fence]
    assert commands.count(m.MAV_CMD_NAV_FENCE_POLYGON_VERTEX_INCLUSION) == 4
    assert commands.count(m.MAV_CMD_NAV_FENCE_POLYGON_VERTEX_EXCLUSION) == 4
    assert [item.command for item in rally] == [m.MAV_CMD_NAV_RALLY_POINT]
