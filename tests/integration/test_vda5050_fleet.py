"""The VDA 5050 link and the robot simulator: two readings of the standard meet."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hardware.errors import Refused
from hardware.link import Activity, VehicleState, WaitFor
from hardware.mission import Mission, Step, StepKind
from hardware.mqtt import MqttClient
from hardware.profiles import load_profile, profile_data
from hardware.vda5050.link import Vda5050Link
from routing.geo import distance_m
from telemetry.clock import Clock
from telemetry.sample import Sample
from tests.broker import Broker, running_broker
from tests.robots import FRAME, MAP_ID, ORIGIN, clock_at, robot_config, simulated_robots
from tests.vda5050_kit import cross

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


def mission(mission_id: str, *, roads: str = "", unlock: bool = False) -> Mission:
    """A to E, 30, 60, 5 and 80 m apart round a corner, hand-overs at C (step 3) and E (step 6).

    ``roads``: nodes from which on the way crosses a road. ``unlock``: the parcels are unlocked by us.
    """
    at = {
        name: FRAME.to_global(x, y)
        for name, x, y in (("A", 0, 0), ("B", 30, 0), ("C", 90, 0), ("D", 90, 5), ("E", 90, 85))
    }
    steps = [Step(StepKind.MOVE, position, name, crossing=name in roads) for name, position in at.items()]
    steps.insert(3, Step(StepKind.RELEASE, at["C"], "C", ("o1",), unlock=unlock))
    steps.append(Step(StepKind.RELEASE, at["E"], "E", ("o2",), unlock=unlock))
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

        state = await until(link, lambda state: state.connected)
        if state.waits is not None:
            # The machine was slow, so that the robot was out of contact for longer than its lost-link time.
            await link.resume()
        end = await until(link, lambda state: state.progress.finished)
        assert [release.step for release in end.progress.releases] == [3, 6]


def waits_for(what: WaitFor) -> Callable[[VehicleState], bool]:
    return lambda state: state.waits is not None and state.waits.what is what


async def test_a_robot_waits_at_each_kerb_and_under_each_lock(tmp_path: Path, broker: Broker) -> None:
    clock = clock_at(SPEED)
    async with (
        simulated_robots(tmp_path, broker, clock, [robot_config("1", load_kg=5.0)]),
        gateway(broker, clock, ["1"]) as [(link, _)],
    ):
        await until(link, lambda state: state.ready)
        await link.upload(mission("m1", roads="BD", unlock=True))
        await link.start()

        for node, at in (("B", (30, 0)), ("D", (90, 5))):
            waiting = await until(link, waits_for(WaitFor.CROSSING))
            assert waiting.waits is not None
            assert waiting.waits.node == node
            assert waiting.position is not None
            assert distance_m(waiting.position, FRAME.to_global(*at)) < 0.5
            await cross(link, node)
            step = 3 if node == "B" else 6
            locked = await until(link, waits_for(WaitFor.UNLOCK))
            assert locked.waits is not None
            assert locked.waits.step == step
            assert step not in [release.step for release in locked.progress.releases]
            await link.unlock(step)

        end = await until(link, lambda state: state.progress.finished)

    assert [(release.step, release.evidence) for release in end.progress.releases] == [(3, "sensor"), (6, "sensor")]
    assert end.faults == ()


async def test_a_recipient_who_does_not_come_is_left_and_the_rest_is_delivered(tmp_path: Path, broker: Broker) -> None:
    clock = clock_at(SPEED)
    async with simulated_robots(tmp_path, broker, clock, [robot_config("1", load_kg=5.0)]):
        async with gateway(broker, clock, ["1"], "first") as [(link, _)]:
            await until(link, lambda state: state.ready)
            await link.upload(mission("m1", unlock=True))
            await link.start()
            await until(link, waits_for(WaitFor.UNLOCK))
            await link.skip(3)

        async with gateway(broker, clock, ["1"], "second") as [(link, _)]:
            link.expect(mission("m1", unlock=True))
            assert await link.recognise()
            locked = await until(link, waits_for(WaitFor.UNLOCK))
            assert locked.waits is not None
            assert locked.waits.step == 6
            await link.unlock(6)
            end = await until(link, lambda state: state.progress.finished)

    assert [release.step for release in end.progress.releases] == [6]
    assert end.faults == ()


async def test_a_robot_stuck_in_the_road_says_that_it_drives_and_does_not(tmp_path: Path, broker: Broker) -> None:
    clock = clock_at(SPEED)
    robot = robot_config("1", load_kg=5.0, faults=[{"kind": "stuck", "at_node": "B", "past_m": 2.0}])
    async with (
        simulated_robots(tmp_path, broker, clock, [robot]),
        gateway(broker, clock, ["1"]) as [(link, _)],
    ):
        await until(link, lambda state: state.ready)
        await link.upload(mission("m1", roads="B"))
        await link.start()
        await until(link, waits_for(WaitFor.CROSSING))
        await cross(link, "B")

        stuck = await until(link, lambda state: state.mode.endswith("driving") and state.speed_mps == 0.0)
        assert stuck.position is not None
        assert distance_m(stuck.position, FRAME.to_global(32, 0)) < 0.5
        with pytest.raises(Refused, match="crossing a road"):
            await link.return_home()
        await link.hold()
        assert link.state().activity is Activity.HOLD
        # Now it stands, and may leave the road the way that it came.
        await link.return_home()
        assert link.state().activity is Activity.RETURN


async def test_an_emergency_stop_of_its_maker_stops_a_robot_at_once(tmp_path: Path, broker: Broker) -> None:
    clock = clock_at(SPEED)
    async with (
        simulated_robots(tmp_path, broker, clock, [robot_config("1", load_kg=5.0)]),
        gateway(broker, clock, ["1"]) as [(link, _)],
    ):
        await until(link, lambda state: state.ready)
        await link.upload(mission("m1"))
        await link.start()
        await until(link, lambda state: (state.speed_mps or 0.0) > 1.0)

        await link.emergency_stop()

        stopped = await until(link, lambda state: state.speed_mps == 0.0)
        assert stopped.activity is Activity.FAULT
        assert stopped.unconfirmed is None


async def test_two_robots_that_were_given_one_serial_number_are_noticed(tmp_path: Path, broker: Broker) -> None:
    clock = clock_at(SPEED)
    robots = [
        robot_config("1", load_kg=5.0),
        robot_config("1", vehicle_id="twin", client_id="twin", x=500.0, node_id="Z"),
    ]
    async with gateway(broker, clock, ["1"]) as [(link, _)], simulated_robots(tmp_path, broker, clock, robots):
        odd = await until(link, lambda state: bool(state.conditions))

    assert "two robots with serial number '1'" in odd.conditions["duplicate_id"]
