"""The VDA 5050 link and the robot simulator: two readings of the standard meet."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hardware.link import Activity, VehicleState
from hardware.mission import Mission, Step, StepKind
from hardware.mqtt import MqttClient
from hardware.profiles import load_profile, profile_data
from hardware.vda5050.link import Vda5050Link
from routing.geo import distance_m
from telemetry.clock import Clock
from telemetry.sample import Sample
from tests.broker import Broker, running_broker
from tests.robots import FRAME, MAP_ID, ORIGIN, clock_at, robot_config, simulated_robots

SPEED = 20.0


class AlwaysOurs:
    def held(self) -> bool:
        return True


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with running_broker(tmp_path) as running:
        yield running


@contextlib.asynccontextmanager
async def gateway(
    broker: Broker, clock: Clock, serials: list[str], name: str = "gateway"
) -> AsyncIterator[list[tuple[Vda5050Link, list[Sample]]]]:
    """Links to robots, open and beating."""
    kind = load_profile("sidewalk_robot")
    profile = profile_data("sidewalk_robot")["vda5050"]
    async with MqttClient(host=broker.host, port=broker.port, client_id=name) as client:
        await client.wait_connected()
        links: list[tuple[Vda5050Link, list[Sample]]] = []
        for serial in serials:
            samples: list[Sample] = []
            link = Vda5050Link(
                vehicle_id=f"robot-{serial}",
                manufacturer="todoke-sim",
                serial=serial,
                vehicle_type=kind,
                profile=profile,
                origin=ORIGIN,
                client=client,
                lease=AlwaysOurs(),
                clock=clock,
                on_sample=samples.append,
                simulated=True,
            )
            await link.open()
            links.append((link, samples))
        beating: asyncio.Task[None] = asyncio.create_task(_beat([each[0] for each in links]))
        try:
            yield links
        finally:
            beating.cancel()
            for link, _ in links:
                await link.close()


async def _beat(links: list[Vda5050Link]) -> None:
    while True:
        for link in links:
            link.beat()
        await asyncio.sleep(0.2)


async def until(link: Vda5050Link, condition: Callable[[VehicleState], bool], timeout_s: float = 60.0) -> VehicleState:
    async with asyncio.timeout(timeout_s):
        async for state in link.changes():
            if condition(state):
                return state
    raise AssertionError("the link was closed")


def mission(mission_id: str) -> Mission:
    """A to E, 30, 60, 5 and 80 m apart round a corner, hand-overs at C (step 3) and E (step 6)."""
    at = {
        name: FRAME.to_global(x, y)
        for name, x, y in (("A", 0, 0), ("B", 30, 0), ("C", 90, 0), ("D", 90, 5), ("E", 90, 85))
    }
    steps = [Step(StepKind.MOVE, position, name) for name, position in at.items()]
    steps.insert(3, Step(StepKind.RELEASE, at["C"], "C", ("o1",)))
    steps.append(Step(StepKind.RELEASE, at["E"], "E", ("o2",)))
    return Mission(mission_id, tuple(steps), 1.6, MAP_ID)


async def test_two_robots_deliver_and_only_then_are_finished(tmp_path: Path, broker: Broker) -> None:
    clock, serials = clock_at(SPEED), ["1", "2"]
    robots = [robot_config(serial, load_kg=5.0) for serial in serials]
    async with simulated_robots(tmp_path, broker, clock, robots), gateway(broker, clock, serials) as links:

        async def deliver(link: Vda5050Link) -> VehicleState:
            await until(link, lambda state: state.ready)
            await link.upload(mission(f"m-{link.vehicle_id}"))
            await link.start()
            return await until(link, lambda state: state.progress.finished)

        ends = await asyncio.gather(*(deliver(link) for link, _ in links))

    for end, (_, samples) in zip(ends, links, strict=True):
        assert end.position is not None
        assert distance_m(end.position, mission("m").steps[-1].position) < 1.0
        assert [(release.step, release.evidence) for release in end.progress.releases] == [
            (3, "sensor"),
            (6, "sensor"),
        ]
        assert end.activity is Activity.IDLE
        assert end.faults == ()
        # 175 m at 1.6 m/s with one state a second: an unbroken record of the drive.
        assert [sample.seq for sample in samples] == list(range(1, len(samples) + 1))
        assert len(samples) > 60
        took_s = (samples[-1].vehicle_ms - samples[0].vehicle_ms) / 1000
        # The driving time and two hand-overs of 30 s; a robot that waited for its base at nodes would
        # need longer.
        assert took_s < 1.3 * (175 / 1.6 + 2 * 30) + 10


async def test_hold_stops_the_robot_and_return_brings_it_home_though_the_gateway_changes(
    tmp_path: Path, broker: Broker
) -> None:
    clock = clock_at(SPEED)
    async with simulated_robots(tmp_path, broker, clock, [robot_config("1", load_kg=5.0)]):
        async with gateway(broker, clock, ["1"], "first") as [(link, samples)]:
            await until(link, lambda state: state.ready)
            await link.upload(mission("m1"))
            await link.start()
            await until(link, lambda state: state.progress.step == 2)

            await link.hold()
            stood = await until(link, lambda state: state.speed_mps == 0.0)
            seen = len(samples)
            await until(link, lambda _: len(samples) > seen + 1)
            still = link.state()
            assert still.activity is Activity.HOLD
            assert stood.position is not None
            assert still.position is not None
            assert distance_m(stood.position, still.position) < 0.5

            await link.resume()
            await until(link, lambda state: (state.speed_mps or 0.0) > 0.5)
            await link.return_home()
            assert link.state().activity is Activity.RETURN

        async with gateway(broker, clock, ["1"], "second") as [(link, _)]:
            link.expect(mission("m1"))
            assert await link.recognise()
            home = await until(link, lambda state: state.progress.finished)

    assert home.position is not None
    assert distance_m(home.position, ORIGIN) < 1.0
    assert home.progress.mission_id == "m1"
    assert home.activity is Activity.IDLE


async def test_a_mission_survives_a_restart_of_the_broker(tmp_path: Path, broker: Broker) -> None:
    clock = clock_at(SPEED)
    async with (
        simulated_robots(tmp_path, broker, clock, [robot_config("1", load_kg=5.0)]),
        gateway(broker, clock, ["1"]) as [(link, _)],
    ):
        await until(link, lambda state: state.ready)
        await link.upload(mission("m1"))
        await link.start()
        await until(link, lambda state: state.progress.step == 2)

        await broker.stop()
        await until(link, lambda state: not state.connected)
        await broker.start()

        await until(link, lambda state: state.connected)
        end = await until(link, lambda state: state.progress.finished)
        assert [release.step for release in end.progress.releases] == [3, 6]
