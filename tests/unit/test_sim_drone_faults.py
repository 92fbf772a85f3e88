"""Faults of a simulated drone: what each does to it, by plan and by order."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path

import pytest

from simulators.config import FaultConfig
from simulators.control import Control
from simulators.faults_aboard import Fault
from simulators.modes import Mode
from tests.drone_pilot import Pilot, delivery


def flying(*planned: FaultConfig, **params: float) -> Pilot:
    drone = Pilot(dict(params), faults=planned).run(6.0)
    drone.upload(delivery(300))
    drone.run(1.0)
    drone.pilot.set_mode(Mode.MISSION)
    assert drone.pilot.arm()
    drone.until(lambda: drone.north_m > 40, 90)
    return drone


def test_without_satellites_it_lands_and_with_few_it_does_not_arm() -> None:
    drone = flying()
    drone.pilot.faults.apply(Fault.SATELLITES, 0)
    drone.until(lambda: drone.pilot.mode is Mode.LAND, 15)

    stands = Pilot().run(6.0)
    stands.pilot.faults.apply(Fault.SATELLITES, 5)
    stands.run(1.0)
    assert not stands.pilot.arm()
    stands.pilot.faults.apply(Fault.SATELLITES, 10)
    stands.run(1.0)
    assert stands.pilot.arm()


def test_a_battery_that_drops_brings_it_home() -> None:
    drone = flying(COM_FAIL_ACT_T=0)
    drone.pilot.faults.apply(Fault.BATTERY, 6.5)
    drone.until(lambda: drone.pilot.mode is Mode.RTL, 5)
    assert drone.body.battery_fraction < 0.066


def test_a_battery_that_fails_makes_it_land() -> None:
    drone = flying(COM_FAIL_ACT_T=0)
    drone.pilot.faults.apply(Fault.BATTERY_FAILED, 1)
    drone.until(lambda: drone.pilot.mode is Mode.LAND, 5)


def test_a_gust_pushes_it_away_until_it_is_over() -> None:
    drone = flying()
    drone.pilot.set_mode(Mode.LOITER)
    drone.run(20.0)
    before = drone.body.east_m
    drone.pilot.faults.apply(Fault.GUST, 8)
    drone.run(2.0)
    pushed = drone.body.east_m - before
    drone.pilot.faults.apply(Fault.GUST, 0)
    drone.run(30.0)
    assert pushed > 3.0
    assert abs(drone.body.east_m - before) < 2.0


def test_a_jammed_gripper_lets_nothing_go_and_the_mission_goes_on() -> None:
    drone = flying()
    drone.pilot.faults.apply(Fault.GRIPPER_JAMS, 1)
    drone.until(lambda: bool(drone.named("landed")), 300)
    assert drone.named("released") == []
    assert drone.body.payload_kg == pytest.approx(0.8)
    assert 4 in drone.acks, "the gripper fails"


def test_a_dead_motor_brings_it_down_for_good() -> None:
    drone = flying()
    drone.pilot.faults.apply(Fault.MOTOR, 1)
    drone.until(lambda: drone.pilot.crashed, 30)
    drone.run(10.0)
    assert not drone.pilot.armed
    assert not drone.pilot.arm()


def test_planned_faults_come_by_themselves_after_the_take_off() -> None:
    drone = flying(
        FaultConfig(after_takeoff_s=60, fault=Fault.MOTOR), FaultConfig(after_takeoff_s=40, fault=Fault.GRIPPER_JAMS)
    )
    drone.until(lambda: len(drone.named("fault")) == 2, 90)
    assert [event["fault"] for event in drone.named("fault")] == ["gripper_jams", "motor"]
    took_off, jammed = (
        next(i for i, event in enumerate(drone.events) if event["event"] == name) for name in ("takeoff", "fault")
    )
    assert took_off < jammed


class Sender(asyncio.DatagramProtocol):
    """Sends orders and keeps the answers."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[str] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.answers.put_nowait(data.decode())


@pytest.mark.parametrize(
    ("order", "answer"),
    [
        ({"vehicle_id": "d1", "fault": "gust", "value": 12}, "ok"),
        ({"vehicle_id": "d9", "fault": "gust", "value": 12}, "refused: no vehicle d9"),
        ({"vehicle_id": "d1", "fault": "earthquake", "value": 1}, "refused: "),
        ({"vehicle_id": "d1", "fault": "gust", "value": math.nan}, "refused: "),
        ({}, "refused: "),
    ],
)
async def test_faults_are_ordered_over_a_socket(order: dict[str, object], answer: str, tmp_path: Path) -> None:
    happened: list[tuple[Fault, float]] = []
    loop = asyncio.get_running_loop()

    def let_happen(fault: Fault, value: float) -> None:
        happened.append((fault, value))

    listening, _ = await loop.create_datagram_endpoint(lambda: Control({"d1": let_happen}), local_addr=("127.0.0.1", 0))
    address = listening.get_extra_info("sockname")
    sending, sender = await loop.create_datagram_endpoint(Sender, remote_addr=address)

    sending.sendto(json.dumps(order).encode())
    said = await asyncio.wait_for(sender.answers.get(), 10)
    sending.close()
    listening.close()

    assert said.startswith(answer)
    assert happened == ([(Fault.GUST, 12.0)] if answer == "ok" else [])
