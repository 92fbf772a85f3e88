"""What PX4's RTL_TYPEs really do with our missions: the light autopilot and ``routing.own_way`` are held to this.

A return along the mission (2, and 4 where it goes forwards) comes down at a drop that lies ahead and releases nothing;
it keeps the mission's speed, and lands where the mission does. One that begins before the mission has set its speed,
and all straight ones to home, are flown at MPC_XY_CRUISE. A hold before it (COM_FAIL_ACT_T, or the pilot's) makes it
go back to the mission item nearest in space.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pymavlink.dialects.v20 import common as m

from hardware.link import Activity
from hardware.mavlink.address import MavlinkAddress
from routing.geo import LocalFrame, Position, distance_m
from telemetry.sample import Sample
from tests.drone_pilot import HOME, Station
from tests.mavlink_kit import link_to, opened, until
from tests.mountain_trip import heights_m, is_clear, mountain_mission, mountain_trip, predicted_s
from tests.px4 import px4
from tests.return_flights import DROP_M, MEASURED, MOMENTS, Place, Returned, items_at

SPEED = 5.0
RTL, MISSION_MODE = 5, 4
IN_SITL = [
    returned
    for returned in MEASURED
    if (returned.rtl_type, returned.moment) in {(2, "outbound"), (2, "homebound"), (4, "outbound"), (0, "drop")}
    and returned.lands
    and not returned.held
]

pytestmark = pytest.mark.timeout(500)


@dataclass(slots=True)
class Watched:
    """What a PX4 said since it was started; ``s`` is its own time."""

    station: Station
    s: float = 0.0
    at: Place = (0.0, 0.0, 0.0)
    item: int = 0
    sub_mode: int = 0
    armed: bool = False
    status: int = 0
    grips: int = 0
    places: list[tuple[float, Place]] = field(default_factory=list)
    items: list[int] = field(default_factory=list)

    async def until(self, reached: Callable[[], bool], within_s: float, what: str) -> None:
        """Listen until something is so, for at most so much wall time."""
        frame = LocalFrame(HOME)
        async with asyncio.timeout(within_s):
            while not reached():
                message = await self.station.wait(
                    ("GLOBAL_POSITION_INT", "HEARTBEAT", "MISSION_CURRENT", "COMMAND_ACK"), within_s=20
                )
                kind = message.get_type()
                if kind == "GLOBAL_POSITION_INT":
                    east, north = frame.to_local(Position(message.lat / 1e7, message.lon / 1e7))
                    self.s = message.time_boot_ms / 1000
                    self.at = (east, north, message.alt / 1000 - HOME.alt_amsl_m)
                    self.places.append((self.s, self.at))
                elif kind == "HEARTBEAT":
                    self.sub_mode = message.custom_mode >> 24 & 0xFF
                    self.armed, self.status = bool(message.base_mode & 128), message.system_status
                elif kind == "MISSION_CURRENT":
                    self.item = message.seq
                    self.items.append(message.seq)
                elif message.command == m.MAV_CMD_DO_GRIPPER:
                    self.grips += 1

    async def mode(self, sub_mode: int) -> None:
        """Change the mode, asking as often as it takes: a busy machine loses a datagram now and then."""
        while self.sub_mode != sub_mode:
            head = (self.station.system_id, 1, m.MAV_CMD_DO_SET_MODE, 0)
            self.station.send(m.MAVLink_command_long_message(*head, 1, 4, sub_mode, 0, 0, 0, 0))
            asked_s = self.s

            def answered(asked_s: float = asked_s) -> bool:
                return self.sub_mode == sub_mode or self.s > asked_s + 1.5

            await self.until(answered, 30, "the mode")


@asynccontextmanager
async def on_mission(work: Path, px4_does: Returned) -> AsyncIterator[Watched]:
    """Run a PX4 and have it fly the mission up to the moment."""
    parameters = {"RTL_TYPE": px4_does.rtl_type, "NAV_DLL_ACT": 0, **px4_does.parameters}
    async with px4(work, speed=SPEED, home=HOME, parameters=parameters) as vehicle:
        station = Station(port=vehicle.port)
        watched = Watched(station)
        try:
            await watched.until(lambda: watched.status == m.MAV_STATE_STANDBY and watched.s > 6, 60, "getting ready")
            assert await station.upload(items_at(HOME, lands=px4_does.lands)) == 0
            async with asyncio.timeout(30):
                while await station.command(m.MAV_CMD_COMPONENT_ARM_DISARM, 1) != 0:
                    await station.wait("HEARTBEAT")
            await watched.mode(MISSION_MODE)
            await watched.until(
                lambda: MOMENTS[px4_does.moment](watched.at, watched.item), 150, "the moment of the return"
            )
            yield watched
        finally:
            station.close()


@pytest.mark.parametrize(
    "measured", IN_SITL, ids=lambda r: f"{r.rtl_type}-{r.moment}{'' if r.lands else '-no-landing'}"
)
async def test_px4_comes_home_as_measured(measured: Returned, tmp_path: Path) -> None:
    async with on_mission(tmp_path, measured) as watched:
        before = watched.item
        watched.items.clear()
        watched.places.clear()
        await watched.mode(RTL)
        begun_s = watched.s

        await watched.until(lambda: not watched.armed, 150, "the landing")

    changes = [b for a, b in zip([before, *watched.items], watched.items, strict=False) if a != b]
    assert changes == list(measured.items)
    assert watched.s - begun_s == pytest.approx(measured.seconds, rel=0.15)
    assert math.hypot(*watched.at[:2]) < 3.0
    assert max(place[2] for _, place in watched.places) == pytest.approx(measured.top_m, abs=4.0)
    later = [place[2] for at_s, place in watched.places if place[0] > DROP_M - 5 and at_s > begun_s + 5]
    assert (min(later, default=99.0) < 10.0) is measured.down_at_drop


@pytest.mark.parametrize("why", ["told to return", "link cut", "told to return from a hold"])
async def test_in_the_mountains_it_comes_home_along_its_path_and_lands_on_its_pad(why: str, tmp_path: Path) -> None:
    """Through the link, with the profile's parameters. The simulation's ground is as flat as the pad: what is over
    the real terrain is looked at on the samples."""
    _, _, _, pad = mountain_trip()
    samples: list[Sample] = []
    async with px4(tmp_path, speed=SPEED, home=pad) as vehicle:
        address = MavlinkAddress(f"127.0.0.1:{vehicle.port}")
        async with opened(link_to(address, speed=SPEED, samples=samples, home=pad)) as link:
            await until(lambda: link.state().ready and link._observer.home is not None, 60, "getting ready")
            await link.upload(mountain_mission())
            await link.start()
            begun_ms = samples[-1].vehicle_ms
            await until(lambda: samples[-1].vehicle_ms > begun_ms + 120_000, 90, "two minutes of flight")
            if why != "link cut":
                if why == "told to return from a hold":
                    await link.hold()
                await link.return_home()
                assert link.state().activity is Activity.RETURN
        # Nobody beats any more: a drone on its mission loses its link.
        async with opened(link_to(address, speed=SPEED, samples=samples, home=pad), beating=False) as link:
            await until(lambda: link.state().activity is Activity.RETURN, 60, "the return")
            returned_ms = samples[-1].vehicle_ms
            link.expect(mountain_mission())
            assert await link.recognise()
            await until(lambda: link.state().connected and not link.state().armed, 240, "the landing")
            releases = link.state().progress.releases
    track = [
        (s.vehicle_ms / 1000, Position(s.lat_e7 / 1e7, s.lon_e7 / 1e7, s.alt_amsl_cm / 100))
        for s in samples
        if s.vehicle_ms >= returned_ms
    ]
    assert is_clear(track), heights_m(track)
    assert distance_m(track[-1][1], pad) < 3.0
    assert track[-1][0] - track[0][0] == pytest.approx(predicted_s((returned_ms - begun_ms) / 1000), rel=0.15)
    assert releases == (), "a return releases nothing, and nothing is claimed"
