"""What is wrong before a flight of a real PX4 is named, and keeps it on the ground."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hardware.errors import HardwareError
from hardware.link import Activity
from hardware.mavlink.address import MavlinkAddress
from hardware.mavlink.link import MavlinkLink
from hardware.mission import Fence, Mission
from hardware.profiles import load_profile, profile_data
from routing.geo import LocalFrame, Position
from tests.mavlink_kit import Lease, clock_at, delivery, opened, until
from tests.px4 import Px4, px4
from tests.sitl.test_four_px4 import HOME, fenced, ring

SPEED = 5.0
ALL_SATELLITES = 10

pytestmark = pytest.mark.timeout(300)


def link_with(vehicle: Px4, *, home: Position = HOME, least: str = "1.16.0") -> MavlinkLink:
    """A link whose pad and profile the test chooses."""
    kind = "multirotor_1kg"
    return MavlinkLink(
        vehicle_id="d1",
        address=MavlinkAddress(f"127.0.0.1:{vehicle.port}"),
        vehicle_type=load_profile(kind),
        parameters=profile_data(kind)["parameters"],
        firmware={"least": least},
        lease=Lease(),
        clock=clock_at(SPEED),
        on_sample=lambda _: None,
        home=home,
        simulated=True,
    )


async def ready(link: MavlinkLink) -> None:
    await until(lambda: link.state().ready and link._observer.home is not None, 90, "getting ready")


async def satellites(link: MavlinkLink, count: int) -> None:
    await link._open_parts()[1].set_parameter("SIM_GPS_USED", count)
    seen = link._observer
    await until(lambda: seen.gps is not None and seen.gps.satellites == count, 60, f"{count} satellites")


async def launch(link: MavlinkLink, mission: Mission, *, seen: int) -> None:
    await link.upload(mission)
    if seen != ALL_SATELLITES:
        await satellites(link, seen)
    await link.start()


async def refusal(link: MavlinkLink, mission: Mission, *, seen: int = ALL_SATELLITES) -> str:
    """Upload and start a mission that must not start; return why."""
    async with opened(link):
        await ready(link)
        with pytest.raises(HardwareError) as refused:
            await launch(link, mission, seen=seen)
        if seen != ALL_SATELLITES:
            await satellites(link, ALL_SATELLITES)
        assert not link.state().armed
        return str(refused.value)


async def test_what_is_wrong_before_a_flight_is_named(tmp_path: Path) -> None:
    """One vehicle, asked again and again for flights that must not begin, and then for one that may."""
    frame, mission = LocalFrame(HOME), fenced(HOME)
    beside = frame.to_global(12, 0, HOME.alt_amsl_m)
    below = Position(HOME.lat, HOME.lon, HOME.alt_amsl_m - 6)
    away = Fence((ring(HOME, west_m=40, south_m=-50, east_m=200, north_m=80),))
    async with px4(tmp_path, speed=SPEED, home=HOME) as vehicle:
        said = {
            "from its surveyed pad": await refusal(link_with(vehicle, home=beside), delivery(home=HOME)),
            "m AMSL high": await refusal(link_with(vehicle, home=below), mission),
            "from where the mission starts": await refusal(
                link_with(vehicle), delivery(home=frame.to_global(0, 15, HOME.alt_amsl_m))
            ),
            "fence": await refusal(link_with(vehicle), replace(mission, fence=away)),
            "its battery has": await refusal(link_with(vehicle), replace(mission, energy_wh=10_000.0)),
            "the profile asks for 1.99.0": await refusal(link_with(vehicle, least="1.99.0"), mission),
            "satellites": await refusal(link_with(vehicle), mission, seen=5),
        }
        async with opened(link_with(vehicle)) as link:
            await ready(link)
            await link.upload(mission)
            await link.start()
            assert link.state().activity is Activity.MISSION

    for words, why in said.items():
        assert words in why
