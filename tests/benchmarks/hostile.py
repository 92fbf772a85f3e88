"""A million hostile messages between honest ones, through the real sockets, the real broker and the real decoders.

Nothing honest may be lost, nothing may be failed at, and every hostile message is counted: a figure of 1 says so.
"""

from __future__ import annotations

import asyncio
import logging
import random
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import structlog

from fleet.live import LiveView
from hardware.mavlink.address import MavlinkAddress
from hardware.mqtt import MqttClient
from hardware.profiles import load_profile, profile_data
from hardware.vda5050.link import Vda5050Link
from telemetry.clock import Clock
from telemetry.sample import Sample
from tests.benchmarks.figures import Figure
from tests.broker import free_port, running_broker
from tests.hostile import HonestDrone, HonestRobot, attack_broker, attack_port, raw_publisher, twisted_snapshot
from tests.mavlink_kit import Lease, link_to, opened, until
from tests.robots import ORIGIN

DATAGRAMS = 600_000
MESSAGES = 350_000
SNAPSHOTS = 50_000


def _show(what: str, counts: Mapping[str, int], sent: int, honest: int, arrived: int, taken_s: float) -> None:
    print(f"  {what}: {sent:,} hostile in {taken_s:.0f} s, {arrived:,} of {honest:,} honest ones arrived")
    print("   ", ", ".join(f"{reason} {count:,}" for reason, count in sorted(counts.items()) if count))


async def _attack_by_mavlink() -> tuple[float, bool]:
    target = ("127.0.0.1", free_port())
    samples: list[Sample] = []
    with HonestDrone(target) as drone:
        async with opened(link_to(MavlinkAddress(f"127.0.0.1:{target[1]}"), samples=samples)) as link:
            drone.heartbeat()
            await until(lambda: link.state().connected)
            port = link._open_parts()[0].port
            began = time.monotonic()
            await attack_port(drone, target, count=DATAGRAMS, seed=1, taken=lambda: port.counts["datagrams"])
            taken_s = time.monotonic() - began
            counts = {**port.counts, **link.counts}
        arrived = [sample.lat_e7 for sample in samples]
        _show("MAVLink", counts, DATAGRAMS, drone.said, len(arrived), taken_s)
        dropped = sum(count for reason, count in counts.items() if reason not in ("datagrams", "frames"))
        whole = arrived == list(range(drone.said)) and dropped >= DATAGRAMS and not counts.get("failed")
    return DATAGRAMS / taken_s, whole


async def _attack_by_mqtt() -> tuple[float, bool]:
    samples: list[Sample] = []
    robot = HonestRobot("1")
    with tempfile.TemporaryDirectory() as folder:
        async with (
            running_broker(Path(folder)) as broker,
            MqttClient(host=broker.host, port=broker.port, client_id="gateway") as client,
            raw_publisher(broker) as publisher,
        ):
            await client.wait_connected()
            link = Vda5050Link(
                vehicle_id="robot-1", manufacturer="maker", serial="1", vehicle_type=load_profile("sidewalk_robot"),
                profile=profile_data("sidewalk_robot")["vda5050"], origin=ORIGIN, client=client, lease=Lease(),
                clock=Clock.real(), on_sample=samples.append, simulated=True,
            )  # fmt: skip
            await link.open()
            await asyncio.sleep(0.5)
            began = time.monotonic()
            await attack_broker(publisher, robot, count=MESSAGES, seed=2, taken=lambda: client.counts["received"])
            taken_s = time.monotonic() - began
            counts = link.counts
            await link.close()
    arrived = [sample.extra["headerId"] for sample in samples]
    _show("MQTT", counts, MESSAGES, robot.said, len(arrived), taken_s)
    return MESSAGES / taken_s, arrived == list(range(1, robot.said + 1)) and not counts.get("failed")


def _attack_live_bus() -> tuple[float, bool]:
    chance, view, refused = random.Random(3), LiveView(), 0
    view.take(b'{"gateway":"g2","t":"2026-04-01T00:00:00Z","vehicles":[{"vehicle_id":"good","lat":1.0}]}')
    messages = [twisted_snapshot(chance) for _ in range(SNAPSHOTS)]
    began = time.monotonic()
    for message in messages:
        refused += 1
        with suppress(ValueError):
            view.take(message)
            refused -= 1
    taken_s = time.monotonic() - began
    good = [vehicle for vehicle in view.vehicles() if vehicle["vehicle_id"] == "good"]
    _show("live bus", {"malformed": refused}, SNAPSHOTS, 1, len(good), taken_s)
    return SNAPSHOTS / taken_s, len(good) == 1 and good[0]["lat"] == 1.0


def measure() -> list[Figure]:
    """Attack by each way in turn."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.getLogger("hardware").setLevel(logging.ERROR)
    figures = []
    for name, (rate, whole) in (
        ("MAVLink", asyncio.run(_attack_by_mavlink())),
        ("MQTT", asyncio.run(_attack_by_mqtt())),
        ("live bus", _attack_live_bus()),
    ):
        figures.append(Figure(f"hostile {name} rate", rate, "messages/s"))
        figures.append(Figure(f"hostile {name} all honest arrived, all hostile counted", float(whole), "", aim=">= 1"))
    return figures
