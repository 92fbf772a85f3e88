"""Whole flights of the light simulator over the real link."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hardware.errors import MissionRejected, Refused
from hardware.link import Activity
from hardware.mavlink.address import MavlinkAddress
from hardware.mavlink.link import MavlinkLink
from routing.geo import LocalFrame, Position, distance_m
from telemetry.event import VehicleEvent
from telemetry.sample import Sample
from tests.mavlink_kit import HOME, delivery, link_to, opened, until

SPEED = 10.0
UID = "00000000000000a1"


@pytest.fixture
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        number: int = sock.getsockname()[1]
        return number


@asynccontextmanager
async def drone(port: int, folder: Path, *, wind_mps: float = 0.0) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run one simulated drone that sends to ``port``."""
    config = {
        "speed": SPEED,
        "seed": 1,
        "wind_mps": wind_mps,
        "wind_from_deg": 270.0,
        "log_dir": str(folder),
        "drones": [
            {
                "vehicle_id": "d1",
                "system_id": 1,
                "hardware_uid": UID,
                "type_id": "multirotor_1kg",
                "home": {"lat": HOME.lat, "lon": HOME.lon, "alt_amsl_m": HOME.alt_amsl_m},
                "send_to": f"127.0.0.1:{port}",
            }
        ],
    }
    path = folder / "drone.json"
    path.write_text(json.dumps(config))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators.drone", str(path), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


def link_at(port: int, samples: list[Sample] | None = None, events: list[VehicleEvent] | None = None) -> MavlinkLink:
    address = MavlinkAddress(f"127.0.0.1:{port}", hardware_uid=UID)
    return link_to(address, speed=SPEED, samples=samples, home=HOME, events=events)


async def ready(link: MavlinkLink) -> None:
    await until(lambda: link.state().ready and link._observer.home is not None, 30, "getting ready")


async def test_a_delivery_is_flown_from_upload_to_landing(port: int, tmp_path: Path) -> None:
    samples: list[Sample] = []
    mission = delivery()
    async with drone(port, tmp_path), opened(link_at(port, samples)) as link:
        await ready(link)
        assert not await link.recognise()
        await link.upload(mission)
        assert link.state().progress.mission_id == "m-1"
        assert not link.state().progress.finished

        await link.start()
        assert link.state().armed
        assert not link.state().on_ground

        await until(lambda: link.state().progress.finished, 90, "the landing")
        state = link.state()

    drop = mission.steps[2].position
    lowest_there = min(s.alt_amsl_cm or 0 for s in samples if _near(s, drop))
    assert [release.step for release in state.progress.releases] == [2]
    assert (state.armed, state.on_ground, state.activity) == (False, True, Activity.IDLE)
    assert abs(lowest_there / 100 - drop.alt_amsl_m) < 2.0
    assert [s.seq for s in samples] == list(range(1, len(samples) + 1))
    assert _rate_hz(samples) == pytest.approx(5.0, rel=0.3)


def _near(sample: Sample, place: Position) -> bool:
    assert sample.lat_e7 is not None
    assert sample.lon_e7 is not None
    return distance_m(Position(sample.lat_e7 / 1e7, sample.lon_e7 / 1e7), place) < 5.0


def _rate_hz(samples: list[Sample]) -> float:
    later = samples[len(samples) // 2 :]
    return (len(later) - 1) / (later[-1].vehicle_ms - later[0].vehicle_ms) * 1000


async def test_samples_and_events_of_a_flight_tell_all_that_the_vehicle_said(port: int, tmp_path: Path) -> None:
    samples: list[Sample] = []
    events: list[VehicleEvent] = []
    async with drone(port, tmp_path, wind_mps=5.0), opened(link_at(port, samples, events)) as link:
        await ready(link)
        await link.upload(delivery())
        await link.start()
        await until(lambda: link.state().progress.finished, 90, "the landing")
        conditions = link.state().conditions

    flown = [sample for sample in samples if sample.on_ground is False][10:]
    blown = [sample for sample in flown if sample.wind_e_cms is not None]
    assert len(blown) > len(flown) / 2
    assert sum(sample.wind_e_cms or 0 for sample in blown) / len(blown) == pytest.approx(500, abs=150)
    assert {sample.mission_id for sample in flown} == {"m-1"}
    assert max(abs(sample.pitch_cdeg or 0) for sample in flown) > 500, "it tilts to gain speed"
    assert max(sample.current_ca or 0 for sample in flown) > 10 * max(samples[5].current_ca or 0, 1)
    assert flown[-1].link_pct_x10 is not None
    assert flown[-1].link_pct_x10 > 900
    assert flown[-1].extra["gps_accuracy_mm"] == 900
    kinds = [event.kind for event in events]
    assert kinds[0] == "connected"
    assert [event.text for event in events if event.kind == "armed"] == ["armed", "disarmed"]
    assert [event.text for event in events if event.kind == "landed"] == ["in the air", "landed"]
    assert "AUTO.LOITER -> AUTO.MISSION" in [event.text for event in events if event.kind == "mode"]
    assert any("Takeoff detected" in event.text for event in events if event.kind == "status" and event.severity == 6)
    assert len(events) < len(samples) / 10
    assert conditions == {}


async def test_hold_stops_it_and_resume_goes_on(port: int, tmp_path: Path) -> None:
    async with drone(port, tmp_path), opened(link_at(port)) as link:
        await ready(link)
        await link.upload(delivery(east_m=200))
        await link.start()
        await until(lambda: link.state().progress.step == 1, 30, "the way out")

        await link.hold()
        assert link.state().activity is Activity.HOLD
        await until(lambda: (link.state().speed_mps or 0) < 0.5, 10, "hovering")

        await link.resume()
        assert link.state().activity is Activity.MISSION
        await until(lambda: link.state().progress.finished, 90, "the landing")


async def test_a_return_home_brings_the_parcel_back(port: int, tmp_path: Path) -> None:
    async with drone(port, tmp_path), opened(link_at(port)) as link:
        await ready(link)
        await link.upload(delivery(east_m=200))
        await link.start()
        await until(lambda: link.state().progress.step == 1, 30, "the way out")

        await link.return_home()
        assert link.state().activity is Activity.RETURN
        await until(lambda: link.state().progress.finished, 90, "the landing")

        assert link.state().progress.releases == ()


async def test_landing_away_from_home_does_not_finish_the_mission(port: int, tmp_path: Path) -> None:
    async with drone(port, tmp_path), opened(link_at(port)) as link:
        await ready(link)
        await link.upload(delivery(east_m=200))
        await link.start()
        away = delivery(east_m=200).steps[0].position
        await until(lambda: distance_m(link.state().position or away, away) > 40, 30, "being under way")

        await link.land()
        await until(lambda: not link.state().armed and link.state().on_ground, 60, "the landing")

        assert not link.state().progress.finished
        assert link.state().progress.releases == ()


async def test_a_new_gateway_takes_over_in_flight_and_after_the_landing(port: int, tmp_path: Path) -> None:
    mission = delivery()
    async with drone(port, tmp_path):
        async with opened(link_at(port)) as first:
            await ready(first)
            await first.upload(mission)
            await first.start()
            await until(lambda: first.state().progress.step == 1, 30, "the way out")

        async with opened(link_at(port)) as second:
            second.expect(mission)
            await until(lambda: second.state().connected)
            assert await second.recognise()
            assert second.state().activity is Activity.MISSION
            assert second.state().progress.mission_id == "m-1"
            await until(lambda: len(second.state().progress.releases) == 1, 60, "the release")

        async with opened(link_at(port)) as watching:
            await until(lambda: not watching.state().armed and watching.state().ready, 90, "the landing unseen")

        async with opened(link_at(port)) as third:
            third.expect(mission)
            await until(lambda: third.state().connected)
            assert await third.recognise()
            await until(lambda: third.state().progress.finished, 10, "knowing that it has landed")
            # Nobody of ours was there: it looks the same after a return along the mission, which releases nothing.
            assert third.state().progress.releases == ()

            with pytest.raises(Refused, match="upload it again"):
                await third.start()
            third.expect(delivery("m-2"))
            assert third.state().progress.mission_id is None
            assert not await third.recognise(), "the same way for another mission is another mission"
            with pytest.raises(MissionRejected):
                await third.start()


async def test_an_uploaded_mission_is_recognised_but_not_under_way(port: int, tmp_path: Path) -> None:
    async with drone(port, tmp_path):
        async with opened(link_at(port)) as first:
            await ready(first)
            await first.upload(delivery())

        async with opened(link_at(port)) as second:
            second.expect(delivery())
            await until(lambda: second.state().connected)
            assert await second.recognise()
            progress = second.state().progress
            assert (progress.step, progress.releases, progress.finished) == (0, (), False)


async def test_a_mission_that_starts_elsewhere_is_refused_on_the_ground(port: int, tmp_path: Path) -> None:
    elsewhere = LocalFrame(HOME).to_global(30, 0, HOME.alt_amsl_m)
    async with drone(port, tmp_path), opened(link_at(port)) as link:
        await ready(link)
        await link.upload(delivery(home=elsewhere))

        with pytest.raises(Refused, match="30 m from where the mission starts"):
            await link.start()

        assert not link.state().armed


@pytest.mark.slow
async def test_a_second_flight_starts_from_nothing(port: int, tmp_path: Path) -> None:
    async with drone(port, tmp_path), opened(link_at(port)) as link:
        await ready(link)
        for number in ("m-1", "m-2"):
            await link.upload(delivery(number))
            progress = link.state().progress
            assert (progress.mission_id, progress.releases, progress.finished) == (number, (), False)
            await link.start()
            await until(lambda: link.state().progress.finished, 90, "the landing")
            assert len(link.state().progress.releases) == 1


async def test_a_hold_during_the_start_wins(port: int, tmp_path: Path) -> None:
    async with drone(port, tmp_path), opened(link_at(port)) as link:
        await ready(link)
        await link.upload(delivery())
        starting = asyncio.create_task(link.start())
        await until(lambda: link.state().armed, 10, "arming")

        await link.hold()

        await asyncio.gather(starting, return_exceptions=True)
        await until(lambda: link.state().activity in (Activity.HOLD, Activity.IDLE), 10, "the hold")
