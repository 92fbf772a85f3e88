"""Flights that the light simulator and PX4 must make alike: gates, diversions, other speeds and heights."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hardware.errors import MissionRejected, Refused
from hardware.link import Activity, WaitFor
from hardware.mavlink.link import MavlinkLink
from hardware.mission import Fence, Mission
from routing.geo import LocalFrame, Position, distance_m
from tests.mavlink_kit import delivery, fenced, gated, until

DROP, GO_ON, HOMEWARDS = 2, 3, 4
"""Steps of the delivery: its release, the way up and the way home."""
LONG_S = 150


def mission_with_all(home: Position, *, gate_s: float, mission_id: str = "m-1", east_m: float = 70.0) -> Mission:
    """A delivery with a fence, a rally point and a gate."""
    return fenced(gated(delivery(mission_id, home=home, east_m=east_m), gate_s))


def off_m(link: MavlinkLink, place: Position) -> float:
    """How far the vehicle is from a place in plan."""
    position = link.state().position
    assert position is not None
    return distance_m(position, place)


def height_m(link: MavlinkLink, home: Position) -> float:
    """How high the vehicle is above home."""
    position = link.state().position
    assert position is not None
    return position.alt_amsl_m - home.alt_amsl_m


async def waits(link: MavlinkLink) -> None:
    """Wait until it hovers above the drop point."""
    await until(lambda: link.state().waits is not None, LONG_S, "waiting above the drop point")


async def flown(link: MavlinkLink) -> None:
    """Wait for the landing."""
    await until(lambda: link.state().progress.finished, LONG_S, "the landing")


async def comes_down_when_told(link: MavlinkLink, home: Position) -> None:
    """It hovers high above the drop point, says so, comes down when it is told to, and nowhere else."""
    mission = mission_with_all(home, gate_s=600.0)
    await link.upload(mission)
    await link.start()
    with pytest.raises(Refused, match="does not wait"):
        await link.descend(DROP)
    await waits(link)
    wait, state = link.state().waits, link.state()
    assert wait is not None
    assert wait.until is not None
    assert (wait.what, wait.step, state.progress.step) == (WaitFor.DROP_CLEAR, DROP, DROP)
    assert (wait.until - wait.since).total_seconds() == 600.0
    assert height_m(link, home) > 20
    with pytest.raises(Refused, match="there is no wait at step 1"):
        await link.descend(1)
    with pytest.raises(Refused, match="above the height of the release"):
        await link.release(DROP)

    await link.descend(DROP)

    assert link.state().activity is Activity.MISSION
    await until(lambda: height_m(link, home) < 8, 90, "coming down")
    await flown(link)
    assert [(release.step, release.evidence) for release in link.state().progress.releases] == [(DROP, "inferred")]
    assert off_m(link, home) < 3


async def waits_again_after_a_hold_on_the_way_down(link: MavlinkLink, home: Position) -> None:
    """Held while it comes down, it goes back up to its wait when it is told to go on; another word lets it down."""
    await link.upload(mission_with_all(home, gate_s=600.0, mission_id="held-low"))
    await link.start()
    await waits(link)
    heights_m = [height_m(link, home)]
    await link.descend(DROP)
    await until(lambda: height_m(link, home) < heights_m[0] - 3.0, 60, "being on the way down")
    await link.hold()

    await link.resume()

    def is_up() -> bool:
        heights_m.append(height_m(link, home))
        return link.state().waits is not None

    await until(is_up, 60, "waiting above the drop point again")
    assert height_m(link, home) > 20
    assert min(heights_m) > 8, "it never was as low as its release"
    assert link.state().progress.releases == ()
    await link.descend(DROP)
    await flown(link)
    assert [release.step for release in link.state().progress.releases] == [DROP]


async def goes_on_untold(link: MavlinkLink, home: Position) -> None:
    """Nobody tells it anything: it comes home with the parcel aboard, and never was low."""
    mission = mission_with_all(home, gate_s=5.0, mission_id="untold")
    await link.upload(mission)
    await link.start()
    await waits(link)
    heights_m: list[float] = []

    def is_back() -> bool:
        heights_m.append(height_m(link, home))
        return off_m(link, home) < 20

    await until(is_back, LONG_S, "coming back")
    await flown(link)

    assert min(heights_m) > 20
    assert link.state().progress.releases == ()
    assert link.state().waits is None


async def leaves_a_release_out(link: MavlinkLink, home: Position) -> None:
    """Told to go on, it does so at once, with the parcel aboard; then it is slower, higher, and elsewhere."""
    await link.upload(mission_with_all(home, gate_s=600.0, mission_id="skipped"))
    await link.start()
    await waits(link)
    await link.skip(DROP)
    assert link.state().progress.step > DROP
    assert link.state().waits is None
    await until(lambda: link.state().progress.step == HOMEWARDS and (link.state().speed_mps or 0) > 6, 60, "speed")

    await link.set_speed(4.0)
    assert 1.0 < (link.state().speed_mps or 0) < 5.1

    await link.set_altitude(home.alt_amsl_m + 35.0)
    assert link.state().activity is Activity.HOLD
    assert abs(height_m(link, home) - 35.0) < 3.0

    to = LocalFrame(home).to_global(-60.0, 100.0, home.alt_amsl_m)
    await link.divert(to, alt_amsl_m=home.alt_amsl_m + 30.0)
    assert link.state().activity is Activity.HOLD
    await until(lambda: link.state().activity is Activity.LAND, 90, "coming down there")
    await until(lambda: not link.state().armed, 120, "the landing")

    assert off_m(link, to) < 3
    assert link.state().on_ground
    assert link.state().progress.releases == ()
    assert not link.state().progress.finished


async def a_hold_ends_a_diversion(link: MavlinkLink, home: Position) -> None:
    """Whoever holds it on its way elsewhere has it hover there, and it goes on with its mission when told to."""
    await link.upload(mission_with_all(home, gate_s=5.0, mission_id="held", east_m=120.0))
    await link.start()
    await until(lambda: off_m(link, home) > 40, 60, "being under way")
    to = LocalFrame(home).to_global(40.0, 90.0, home.alt_amsl_m)
    await link.divert(to, alt_amsl_m=home.alt_amsl_m + 30.0)

    await link.hold()
    await until(lambda: (link.state().speed_mps or 9) < 0.5, 30, "standing still")
    there = link.state().position
    assert there is not None
    assert off_m(link, to) > 5
    await link.resume()
    await flown(link)

    assert off_m(link, home) < 3


async def refuses_what_it_must_not_fly(link: MavlinkLink, home: Position) -> None:
    """A fence around somewhere else, too little charge, and all of it together named; it stays disarmed."""
    mission = mission_with_all(home, gate_s=5.0, mission_id="bad")
    assert mission.fence is not None
    elsewhere = fenced(delivery(home=LocalFrame(home).to_global(900, 900, home.alt_amsl_m))).fence
    assert elsewhere is not None
    with pytest.raises(MissionRejected, match="step 0 lies outside its fence"):
        await link.upload(replace(mission, fence=elsewhere))

    ring = mission.fence.inclusions[0]
    with pytest.raises(MissionRejected, match="at most 64"):
        await link.upload(replace(mission, fence=Fence((ring * 6,))))

    await link.upload(replace(mission, energy_wh=10_000.0))
    with pytest.raises(Refused, match="the mission takes 10000 Wh"):
        await link.start()
    assert not link.state().armed

    await link.upload(mission)
    await link.start()
    await link.return_home()
    await flown(link)
