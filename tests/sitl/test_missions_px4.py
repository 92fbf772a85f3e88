"""Fences, rally points, gates, manoeuvres and VTOLs of a real PX4 (v1.16.1 is what was seen)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hardware.errors import MissionRejected, Refused
from hardware.link import Activity
from hardware.mavlink.address import MavlinkAddress
from hardware.mavlink.link import MavlinkLink
from hardware.mission import Mission, Step, StepKind
from hardware.profiles import profile_data
from routing.geo import LocalFrame, Position
from tests import mission_flights
from tests.mavlink_kit import delivery, fenced, link_to, opened, until
from tests.px4 import px4
from tests.sitl.test_mavlink_px4 import HOME, SPEED, finished, ready

pytestmark = pytest.mark.timeout(500)

Flight = Callable[[MavlinkLink, Position], Awaitable[None]]
FRAME = LocalFrame(HOME)
MULTIROTOR, VTOL = "sihsim_quadx", "sihsim_standard_vtol"
FAR_M = 900.0


@asynccontextmanager
async def flying(folder: Path, *, stands_at: Position = HOME, model: str = MULTIROTOR) -> AsyncIterator[MavlinkLink]:
    """A PX4 that stands somewhere, and a link to it that takes ``HOME`` for its surveyed pad."""
    async with px4(folder, speed=SPEED, home=stands_at, model=model) as vehicle:
        address = MavlinkAddress(f"127.0.0.1:{vehicle.port}")
        # A simulated VTOL cruises at its own speeds; what a return does is the profile's.
        parameters = profile_data("multirotor_1kg" if model == MULTIROTOR else "vtol_5kg")["parameters"]
        async with opened(link_to(address, speed=SPEED, home=HOME, parameters=parameters)) as link:
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
async def test_it_flies_as_the_light_simulator_does(tmp_path: Path, flight: Flight) -> None:
    async with flying(tmp_path) as link:
        await flight(link, HOME)


async def test_a_return_goes_past_a_gate_high_up(tmp_path: Path) -> None:
    """RTL_TYPE 2 follows the mission's jumps."""
    heights_m: list[float] = []
    async with flying(tmp_path) as link:
        await link.upload(mission_flights.mission_with_all(HOME, gate_s=600.0, east_m=150.0))
        await link.start()
        await until(lambda: mission_flights.off_m(link, HOME) > 40, 60, "the way out")
        await link.return_home()

        def is_back() -> bool:
            heights_m.append(mission_flights.height_m(link, HOME))
            return link.state().progress.step > mission_flights.HOMEWARDS

        await until(is_back, 90, "coming back")
        await finished(link)

        assert min(heights_m) > 20
        assert link.state().progress.releases == ()


async def test_a_vehicle_that_was_moved_does_not_start(tmp_path: Path) -> None:
    """Its home is where it stands; the mission begins on the surveyed pad 12 m away, and its fence is narrower here."""
    mission = mission_flights.mission_with_all(HOME, gate_s=5.0)
    async with flying(tmp_path, stands_at=FRAME.to_global(12.0, 0.0, HOME.alt_amsl_m + 6.0)) as link:
        await link.upload(mission)

        with pytest.raises(Refused, match=r"home is 1[123] m from where the mission starts.*AMSL high, the site 700"):
            await link.start()

        assert not link.state().armed


async def test_a_fence_around_somewhere_else_never_flies(tmp_path: Path) -> None:
    """PX4 accepts it, says once that it does not contain home, and would fly without any."""
    mission = mission_flights.mission_with_all(HOME, gate_s=5.0)
    away = fenced(delivery(home=FRAME.to_global(3_000.0, 0.0, HOME.alt_amsl_m))).fence
    async with flying(tmp_path, stands_at=FRAME.to_global(-400.0, 0.0, HOME.alt_amsl_m)) as link:
        with pytest.raises(MissionRejected, match="lies outside its fence"):
            await link.upload(replace(mission, fence=away))
        with pytest.raises((MissionRejected, Refused), match=r"eofence|home lies outside"):
            await _flown(link, mission)
        assert not link.state().armed


async def _flown(link: MavlinkLink, mission: Mission) -> None:
    await link.upload(mission)
    await link.start()


def wing_mission(*, winch: bool) -> Mission:
    """Out on the wing, down to a release on the rotors, and back."""

    def at(east_m: float, height_m: float) -> Position:
        return FRAME.to_global(east_m, 0.0, HOME.alt_amsl_m + height_m)

    return Mission(
        "wing",
        (
            Step(StepKind.TAKEOFF, at(0, 60)),
            Step(StepKind.MOVE, at(FAR_M, 60)),
            Step(StepKind.RELEASE, at(FAR_M, 4), order_ids=("o-1",), dwell_s=2.0),
            Step(StepKind.MOVE, at(FAR_M, 60)),
            Step(StepKind.MOVE, at(0, 60)),
            Step(StepKind.LAND, at(0, 0)),
        ),
        15.0,
        "region",
        vtol=True,
        winch=winch,
    )


async def test_a_vtol_flies_on_its_wing_and_lowers_its_parcel_on_its_rotors(tmp_path: Path) -> None:
    seen: list[tuple[bool, float]] = []
    async with flying(tmp_path, model=VTOL) as link:
        await link.upload(wing_mission(winch=True))
        await link.start()

        def has_landed() -> bool:
            seen.append((link._observer.on_wing, mission_flights.height_m(link, HOME)))
            return link.state().progress.finished

        await until(has_landed, 240, "the landing")

        assert [release.step for release in link.state().progress.releases] == [2]
        assert link.state().waits is None
        assert mission_flights.off_m(link, HOME) < 5
    assert any(on_wing for on_wing, _ in seen)
    assert min(height for on_wing, height in seen if on_wing) > 40, "low on its rotors only"


async def test_a_vtol_that_returns_on_its_wing_never_goes_down_to_a_drop_point(tmp_path: Path) -> None:
    """Without the gate it would circle down to the height of the release on its wing (seen: to 7 m)."""
    heights_m: list[float] = []
    async with flying(tmp_path, model=VTOL) as link:
        await link.upload(wing_mission(winch=False))
        await link.start()
        await until(lambda: mission_flights.off_m(link, HOME) > 300, 120, "the way out")
        await link.return_home()
        assert link.state().activity is Activity.RETURN

        def is_back() -> bool:
            heights_m.append(mission_flights.height_m(link, HOME))
            return link.state().progress.step == 5

        await until(is_back, 200, "coming back")
        await until(lambda: not link.state().armed, 120, "the landing")

        assert min(heights_m) > 40
        assert link.state().progress.releases == ()
