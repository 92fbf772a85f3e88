"""The link against a real autopilot: PX4 with its own simulated quadrotor, five times faster than life."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hardware.errors import LinkDown, MissionRejected, Refused
from hardware.link import Activity
from hardware.mavlink.address import MavlinkAddress
from hardware.mavlink.link import MavlinkLink
from routing.geo import Position, distance_m
from telemetry.event import VehicleEvent
from telemetry.sample import Sample
from tests.mavlink_kit import delivery, link_to, opened, until
from tests.px4 import Px4, px4

SPEED = 5.0
HOME = Position(35.36, 138.73, 700.0)

pytestmark = pytest.mark.timeout(400)


def link_at(vehicle: Px4, samples: list[Sample] | None = None, events: list[VehicleEvent] | None = None) -> MavlinkLink:
    address = MavlinkAddress(f"127.0.0.1:{vehicle.port}")
    return link_to(address, speed=SPEED, samples=samples, home=HOME, events=events)


async def ready(link: MavlinkLink) -> None:
    await until(lambda: link.state().ready and link._observer.home is not None, 60, "getting ready")


async def finished(link: MavlinkLink) -> None:
    await until(lambda: link.state().progress.finished, 150, "the landing")


def off_home_m(link: MavlinkLink) -> float:
    position = link.state().position
    assert position is not None
    return distance_m(position, HOME)


def _assert_all_is_said(samples: list[Sample], events: list[VehicleEvent]) -> None:
    """Attitude, accuracy, quality of the link and the mission are there. Its simulated battery tells no current, and
    a multirotor estimates no wind."""
    flown = [sample for sample in samples if sample.on_ground is False][20:]
    assert max(abs(sample.pitch_cdeg or 0) for sample in flown) > 300
    assert all((sample.link_pct_x10 or 0) > 800 for sample in flown[-20:])
    assert {sample.mission_id for sample in flown} == {"m-1"}
    assert "gps_accuracy_mm" in flown[-1].extra
    kinds = [(event.kind, event.text) for event in events]
    assert ("landed", "in the air") in kinds
    assert ("armed", "disarmed") in kinds
    assert len(events) < 60


async def test_a_delivery_is_feasible_flown_to_the_end_and_known_afterwards(tmp_path: Path) -> None:
    samples: list[Sample] = []
    events: list[VehicleEvent] = []
    mission = delivery(home=HOME, east_m=120)
    async with px4(tmp_path, speed=SPEED, home=HOME) as vehicle:
        async with opened(link_at(vehicle, samples, events)) as link:
            await ready(link)
            await link.upload(mission)
            assert await link.recognise()
            assert link.state().progress.mission_id == "m-1"
            assert not link.state().progress.finished
            await link.start()
            assert link.state().activity is Activity.MISSION
            assert not link.state().on_ground
            await finished(link)
            state = link.state()
            assert off_home_m(link) < 3
            # PX4 sends 300 other messages a second on this port until each is turned off.
            assert sum(link._streams._unwanted.values()) < 200

        async with opened(link_at(vehicle)) as after:
            after.expect(mission)
            await until(lambda: after.state().connected, 20)
            assert await after.recognise()
            await until(lambda: after.state().progress.finished, 20, "knowing that it has landed")
            # It looks the same after a return along the mission, which releases nothing: nothing is claimed.
            assert after.state().progress.releases == ()

            after.expect(replace(mission, mission_id="m-2"))
            assert not await after.recognise()
            await ready(after)
            await after.upload(replace(mission, mission_id="m-2"))
            progress = after.state().progress
            assert (progress.mission_id, progress.releases, progress.finished) == ("m-2", (), False)

    drop = mission.steps[2].position
    assert [(release.step, release.evidence) for release in state.progress.releases] == [(2, "inferred")]
    assert (state.armed, state.on_ground, state.activity) == (False, True, Activity.IDLE)
    assert abs(_lowest_m(samples, drop) - drop.alt_amsl_m) < 2.0
    assert _rate_hz(samples) == pytest.approx(5.0, rel=0.3)
    assert samples[-1].battery_pct_x10 is not None
    _assert_all_is_said(samples, events)


def _lowest_m(samples: list[Sample], place: Position) -> float:
    there = [
        s.alt_amsl_cm or 0
        for s in samples
        if distance_m(Position((s.lat_e7 or 0) / 1e7, (s.lon_e7 or 0) / 1e7), place) < 5
    ]
    return min(there) / 100


def _rate_hz(samples: list[Sample]) -> float:
    later = samples[len(samples) // 2 :]
    return (len(later) - 1) / (later[-1].vehicle_ms - later[0].vehicle_ms) * 1000


async def test_hold_resume_and_return(tmp_path: Path) -> None:
    async with px4(tmp_path, speed=SPEED, home=HOME) as vehicle, opened(link_at(vehicle)) as link:
        await ready(link)
        await link.upload(delivery(home=HOME, east_m=300))
        await link.start()
        await until(lambda: link.state().progress.step == 1, 60, "the way out")

        await link.hold()
        assert link.state().activity is Activity.HOLD
        await until(lambda: (link.state().speed_mps or 0) < 0.5, 30, "hovering")
        await link.resume()
        assert link.state().activity is Activity.MISSION
        await until(lambda: off_home_m(link) > 60, 60, "going on")

        await link.return_home()
        assert link.state().activity is Activity.RETURN
        await finished(link)

        assert link.state().progress.releases == ()
        assert off_home_m(link) < 3


async def test_land_comes_down_where_it_is_and_does_not_finish(tmp_path: Path) -> None:
    async with px4(tmp_path, speed=SPEED, home=HOME) as vehicle, opened(link_at(vehicle)) as link:
        await ready(link)
        await link.upload(delivery(home=HOME, east_m=300))
        await link.start()
        await until(lambda: link.state().progress.step == 1, 60, "the way out")
        await until(lambda: off_home_m(link) > 60, 60, "being under way")

        await link.land()
        assert link.state().activity is Activity.LAND
        await until(lambda: not link.state().armed, 90, "the landing")

        assert link.state().on_ground
        assert off_home_m(link) > 40
        assert not link.state().progress.finished


async def test_a_vehicle_left_alone_returns_and_is_understood_by_the_next_gateway(tmp_path: Path) -> None:
    """NAV_DLL_ACT of the profile: without a ground station's heartbeat it comes home."""
    mission = delivery(home=HOME, east_m=400)
    async with px4(tmp_path, speed=SPEED, home=HOME) as vehicle:
        async with opened(link_at(vehicle)) as first:
            await ready(first)
            await first.upload(mission)
            await first.start()
            await until(lambda: first.state().progress.step == 1, 60, "the way out")

        async with opened(link_at(vehicle), beating=False) as watching:
            await until(lambda: watching.state().activity is Activity.RETURN, 60, "the return")
            await until(lambda: watching.state().connected and not watching.state().armed, 120, "the landing")

        async with opened(link_at(vehicle)) as second:
            second.expect(mission)
            await until(lambda: second.state().connected, 20)
            assert await second.recognise()
            await until(lambda: second.state().progress.finished, 20, "knowing that it has landed")
            assert second.state().progress.releases == ()


async def test_an_infeasible_mission_is_rejected_in_the_vehicles_words(tmp_path: Path) -> None:
    """PX4 acknowledges the upload of a take-off to below its home, and will not fly it."""
    mission = delivery(home=HOME)
    low = replace(mission.steps[0], position=Position(HOME.lat, HOME.lon, HOME.alt_amsl_m - 20))
    async with px4(tmp_path, speed=SPEED, home=HOME) as vehicle, opened(link_at(vehicle)) as link:
        await ready(link)

        with pytest.raises(MissionRejected, match="the take-off ends below home"):
            await link.upload(replace(mission, steps=(low, *mission.steps[1:])))
        with pytest.raises(MissionRejected):
            await link.start()

        assert not link.state().armed
        await link.upload(mission)


async def test_a_vehicle_that_hears_no_ground_station_does_not_start(tmp_path: Path) -> None:
    """NAV_DLL_ACT again: a gateway whose working loop is dead cannot launch."""
    async with px4(tmp_path, speed=SPEED, home=HOME) as vehicle, opened(link_at(vehicle), beating=False) as link:
        await until(lambda: link.state().connected and link._observer.home is not None, 60, "getting ready")
        await link.upload(delivery(home=HOME))

        with pytest.raises(Refused, match="not ready to arm"):
            await link.start()

        assert not link.state().armed


async def test_a_vehicle_that_cannot_arm_says_why(tmp_path: Path) -> None:
    async with px4(tmp_path, speed=SPEED, home=HOME) as vehicle, opened(link_at(vehicle)) as link:
        await ready(link)
        await link.upload(delivery(home=HOME))
        await link._open_parts()[1].set_parameter("SIM_GPS_USED", 0)
        await until(lambda: not link.state().ready, 60, "losing the position")

        with pytest.raises(Refused, match=r"not ready to arm; it says: .*(?i:position|gps)"):
            await link.start()

        assert not link.state().armed


async def test_an_autopilot_that_restarts_is_found_again_with_its_rates(tmp_path: Path) -> None:
    samples: list[Sample] = []
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    after.mkdir()
    async with px4(before, speed=SPEED, home=HOME) as vehicle, opened(link_at(vehicle, samples)) as link:
        await ready(link)
        vehicle.process.terminate()
        await until(lambda: not link.state().connected, 20, "noticing the silence")
        with pytest.raises(LinkDown):
            await link.upload(delivery(home=HOME))
        await vehicle.process.wait()
        samples.clear()
        async with px4(after, speed=SPEED, home=HOME, port=vehicle.port):
            await ready(link)
            known = len(samples)
            await until(lambda: len(samples) > known + 60, 30)
            assert _rate_hz(samples[known:]) == pytest.approx(5.0, rel=0.3)
            await link.upload(delivery(home=HOME))
