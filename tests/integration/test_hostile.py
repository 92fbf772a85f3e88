"""What is malformed, cut short, too long or made to harm is counted by its reason and dropped; the rest flows on."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path

import pytest

from fleet.live import LiveView
from hardware.link import SampleSink
from hardware.mavlink.address import MavlinkAddress
from hardware.mavlink.link import MavlinkLink
from hardware.mqtt import MqttClient
from hardware.profiles import load_profile, profile_data
from hardware.vda5050.link import Vda5050Link
from telemetry.clock import Clock
from telemetry.event import VehicleEvent
from telemetry.intake import Intake
from telemetry.sample import Sample
from tests.broker import free_port, running_broker
from tests.hostile import (
    HonestDrone,
    HonestRobot,
    attack_broker,
    attack_port,
    publish_packet,
    raw_publisher,
    twisted_snapshot,
)
from tests.mavlink_kit import Lease, clock_at, link_to, opened, until
from tests.robots import ORIGIN

DATAGRAMS = 15_000
MESSAGES = 10_000
TICKS = 40
OTHER_ROBOTS = 20
OTHER_DRONES = 12
"""A process that has had many more of MAVSDK's objects at once does not always end cleanly."""


async def test_fifteen_thousand_hostile_datagrams_between_honest_ones() -> None:
    target = ("127.0.0.1", free_port())
    samples: list[Sample] = []
    with HonestDrone(target) as drone:
        async with opened(link_to(MavlinkAddress(f"127.0.0.1:{target[1]}"), samples=samples)) as link:
            drone.heartbeat()
            await until(lambda: link.state().connected)
            port = link._open_parts()[0].port
            sent = await attack_port(drone, target, count=DATAGRAMS, seed=1, taken=lambda: port.counts["datagrams"])
            counts, connected = dict(port.counts), link.state().connected
            refused = link.counts["invalid"]

    assert [sample.lat_e7 for sample in samples] == list(range(drone.said))
    assert connected
    assert sent > DATAGRAMS + DATAGRAMS / 20
    # What is not one of the honest was dropped, each datagram for at least one reason.
    reasons = ("garbage", "checksum", "truncated", "incompatible", "oversized", "stranger")
    assert all(counts[reason] > 0 for reason in reasons), counts
    assert refused + sum(counts[reason] for reason in reasons) >= DATAGRAMS
    assert counts.get("failed", 0) == 0


async def test_ten_thousand_hostile_messages_between_a_robot_s_own(tmp_path: Path) -> None:
    samples: list[Sample] = []
    robot = HonestRobot("1")
    async with (
        running_broker(tmp_path) as broker,
        MqttClient(host=broker.host, port=broker.port, client_id="gateway") as client,
        raw_publisher(broker) as publisher,
    ):
        await client.wait_connected()
        link = _robot_link(client, samples.append)
        await link.open()
        assert link._subscription is not None
        await link._subscription.ready()
        hostile = await attack_broker(publisher, robot, count=MESSAGES, seed=2, taken=lambda: client.counts["received"])
        counts = link.counts
        await link.close()

    assert [sample.extra["headerId"] for sample in samples] == list(range(1, robot.said + 1))
    assert {"not_json", "nul", "invalid", "oversized", "duplicate"} <= set(counts)
    assert "failed" not in counts
    # The few others were sound messages of topics that the robot may use, among them factsheets that say nothing.
    assert hostile * 0.9 < sum(counts.values()) <= hostile


def _robot_link(client: MqttClient, sink: SampleSink, serial: str = "1") -> Vda5050Link:
    return Vda5050Link(
        vehicle_id=f"robot-{serial}",
        manufacturer="maker",
        serial=serial,
        vehicle_type=load_profile("sidewalk_robot"),
        profile=profile_data("sidewalk_robot")["vda5050"],
        origin=ORIGIN,
        client=client,
        lease=Lease(),
        clock=Clock.real(),
        on_sample=sink,
        simulated=True,
    )


@pytest.mark.parametrize("seed", range(3))
def test_hostile_messages_of_the_live_bus_change_nothing_else(seed: int) -> None:
    chance, view = random.Random(seed), LiveView()
    view.take(b'{"gateway":"g2","t":"2026-04-01T00:00:00Z","vehicles":[{"vehicle_id":"good","lat":1.0}]}')

    for _ in range(5_000):
        with suppress(ValueError):
            view.take(twisted_snapshot(chance))

    assert next(vehicle for vehicle in view.vehicles() if vehicle["vehicle_id"] == "good")["lat"] == 1.0


class _Stored:
    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def put(self, sample: Sample) -> None:
        self.samples.append(sample)

    def put_event(self, event: VehicleEvent) -> None:
        pass


async def test_a_drone_that_floods_at_a_thousand_hertz_does_not_starve_the_others() -> None:
    target = ("127.0.0.1", free_port())
    stored = _Stored()
    intake = Intake(stored, clock_at(1.0))
    drones = {f"d{number}": HonestDrone(target) for number in range(1 + OTHER_DRONES)}

    def speak(tick: int) -> None:
        for vehicle_id, drone in drones.items():
            for _ in range(100 if vehicle_id == "d0" else 1):
                drone.position()
            if tick % 10 == 0:
                drone.heartbeat()

    async with AsyncExitStack() as stack:
        for vehicle_id, drone in drones.items():
            address = MavlinkAddress(f"127.0.0.1:{target[1]}", peer=_at(drone))
            link = link_to(address, vehicle_id=vehicle_id, sink=intake.put)
            await stack.enter_async_context(opened(link))
            drone.heartbeat()
            await until(partial(_connected, link))
        delays = await _flood(stored, speak, others=OTHER_DRONES)
        # MAVLink has no acknowledgement: what the flood has left in the socket is read first.
        await until(lambda: _sum(intake, "d0") == drones["d0"].said)
    for drone in drones.values():
        drone.sock.close()
    _assert_only_the_first_was_thinned(intake, "d", OTHER_DRONES, delays)


async def test_a_robot_that_floods_at_a_thousand_hertz_does_not_starve_twenty_others(tmp_path: Path) -> None:
    stored = _Stored()
    intake = Intake(stored, Clock.real())
    robots = [HonestRobot(str(number)) for number in range(1 + OTHER_ROBOTS)]
    async with (
        running_broker(tmp_path) as broker,
        MqttClient(host=broker.host, port=broker.port, client_id="gateway") as client,
        raw_publisher(broker) as publisher,
    ):
        await client.wait_connected()
        for robot in robots:
            link = _robot_link(client, intake.put, robot.serial)
            await link.open()
            assert link._subscription is not None
            await link._subscription.ready()

        def speak(_tick: int) -> None:
            for robot in robots:
                for _ in range(100 if robot is robots[0] else 1):
                    publisher.write(publish_packet(f"uagv/v2/maker/{robot.serial}/state", robot.state()))

        delays = await _flood(stored, speak, others=OTHER_ROBOTS)
        await until(lambda: _sum(intake, "robot-0") == robots[0].said)
    _assert_only_the_first_was_thinned(intake, "robot-", OTHER_ROBOTS, delays)


async def _flood(stored: _Stored, speak: Callable[[int], None], *, others: int) -> list[float]:
    """Let all speak ten times a second for four seconds; return how long it took until the others were stored."""
    delays, began = [], time.monotonic()
    for tick in range(TICKS):
        await asyncio.sleep(max(0.0, began + 0.1 * tick - time.monotonic()))
        due = time.monotonic()
        speak(tick)
        await until(partial(_others_stored, stored, (tick + 1) * others))
        delays.append(time.monotonic() - due)
    return delays


def _others_stored(stored: _Stored, count: int) -> bool:
    return sum(not sample.vehicle_id.endswith(("d0", "-0")) for sample in stored.samples) >= count


def _assert_only_the_first_was_thinned(intake: Intake, prefix: str, others: int, delays: list[float]) -> None:
    counts = intake.counts().vehicles
    rest = [counts[f"{prefix}{number}"] for number in range(1, others + 1)]
    assert {each.counts["accepted"] for each in rest} == {TICKS}
    assert not any(each.counts["flooded"] or each.flooding for each in rest)
    assert counts[f"{prefix}0"].counts["flooded"] > 50 * TICKS
    assert counts[f"{prefix}0"].flooding
    assert sorted(delays)[TICKS // 2] < 0.5, "what the others say is stored at once"


def _sum(intake: Intake, vehicle_id: str) -> int:
    counts = intake.counts().vehicles[vehicle_id].counts
    return sum(counts[reason] for reason in ("accepted", "duplicate", "flooded"))


def _connected(link: MavlinkLink) -> bool:
    return link.state().connected


def _at(drone: HonestDrone) -> str:
    host, port = drone.sock.getsockname()
    return f"{host}:{port}"
