"""The broker is killed and started again while robots send: they come back, the break is visible, nothing is double."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hardware.mqtt import MqttClient
from hardware.profiles import load_profile, profile_data
from hardware.vda5050.link import Vda5050Link
from telemetry.clock import Clock
from telemetry.event import VehicleEvent
from telemetry.intake import Intake
from telemetry.sample import Sample
from tests.broker import running_broker
from tests.mavlink_kit import Lease, until
from tests.robots import ORIGIN, clock_at, robot_config, simulated_robots

CONTACT = ("connected", "lost")
ROBOTS = 5
SPEED = 5.0


class Stored:
    """A sink that keeps all."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.events: list[VehicleEvent] = []

    def put(self, sample: Sample) -> None:
        self.samples.append(sample)

    def put_event(self, event: VehicleEvent) -> None:
        self.events.append(event)

    def heard_since(self, count: int) -> set[str]:
        """Return who was heard after so many samples."""
        return {sample.vehicle_id for sample in self.samples[count:]}


def link_of(serial: str, client: MqttClient, clock: Clock, intake: Intake) -> Vda5050Link:
    return Vda5050Link(
        vehicle_id=f"robot-{serial}",
        manufacturer="todoke-sim",
        serial=serial,
        vehicle_type=load_profile("sidewalk_robot"),
        profile=profile_data("sidewalk_robot")["vda5050"],
        origin=ORIGIN,
        client=client,
        lease=Lease(),
        clock=clock,
        on_sample=intake.put,
        on_event=intake.put_event,
        simulated=True,
    )


async def test_a_broker_killed_while_robots_send_is_a_visible_break_and_nothing_more(tmp_path: Path) -> None:
    clock, stored = clock_at(SPEED), Stored()
    intake = Intake(stored, clock)
    serials = [f"r{number}" for number in range(ROBOTS)]
    vehicles = {f"robot-{serial}" for serial in serials}
    async with (
        running_broker(tmp_path) as broker,
        MqttClient(host=broker.host, port=broker.port, client_id="gateway") as client,
        simulated_robots(tmp_path, broker, clock, [robot_config(serial) for serial in serials]),
    ):
        await client.wait_connected()
        links = [link_of(serial, client, clock, intake) for serial in serials]
        for link in links:
            await link.open()
        await until(lambda: stored.heard_since(0) == vehicles, 60)
        await until(lambda: all(link.state().connected for link in links), 30)

        await broker.stop()
        await until(lambda: not any(link.state().connected for link in links), 30)
        before = len(stored.samples)
        await broker.start()

        await until(lambda: all(link.state().connected for link in links), 60)
        await until(lambda: stored.heard_since(before) == vehicles, 60)
        counts, breaks = intake.counts(), client.counts["lost"]
        for link in links:
            await link.close()

    for vehicle_id in vehicles:
        contact = [event for event in stored.events if event.vehicle_id == vehicle_id and event.kind in CONTACT]
        assert [event.kind for event in contact] == ["connected", "lost", "connected"]
        assert contact[1].text == "the broker is away"
        assert contact[1].t < contact[2].t
    said = Counter((sample.vehicle_id, sample.extra["headerId"], sample.vehicle_ms) for sample in stored.samples)
    assert max(said.values()) == 1, "nothing is double"
    for vehicle_id in vehicles:
        times = [sample.vehicle_ms for sample in stored.samples if sample.vehicle_id == vehicle_id]
        assert times == sorted(times), "order is kept"
    assert counts.total["accepted"] == len(stored.samples)
    assert counts.total["duplicate"] == counts.total["clock_jump"] == 0
    assert breaks == 1
