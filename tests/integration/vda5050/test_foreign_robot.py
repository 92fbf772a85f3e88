"""A robot client that this project did not write, as a process of its own, drives for our fleet control.

It speaks VDA 5050 2.0 with quirks of its own, which come from the table of makers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from hardware.errors import Refused
from hardware.link import Activity, VehicleState, WaitFor
from hardware.mission import Mission, Step, StepKind
from hardware.mqtt import MqttClient
from routing.geo import distance_m
from tests.broker import Broker
from tests.foreign_robot import MAKER, foreign_robot, installed_client
from tests.robots import FRAME, MAP_ID
from tests.vda5050_kit import Gateway, begin, cross, gateway, straight

SPEED_MPS = 20.0
LONG_S = 40.0
WAY = straight("ABCDEFG", 20.0)
"""120 m: six seconds, and a base of 50 m."""


@pytest.fixture(scope="session")
def modules() -> Path:
    return installed_client()


@pytest.fixture
async def robot(broker: Broker, modules: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    async with foreign_robot(broker, modules, map_id=MAP_ID, speed_mps=SPEED_MPS) as process:
        yield process


@pytest.fixture
async def here(broker: Broker, robot: asyncio.subprocess.Process) -> AsyncIterator[Gateway]:
    async with gateway(broker, manufacturer=MAKER) as running:
        await running.until(lambda state: state.connected and state.ready, LONG_S)
        yield running


async def test_an_order_is_driven_to_its_end_with_its_base_continued(here: Gateway, broker: Broker) -> None:
    async with heard_orders(broker) as orders:
        await begin(here, WAY)
        end = await here.until(lambda state: state.progress.finished, LONG_S)

    assert (end.activity, end.faults) == (Activity.IDLE, ())
    assert end.position is not None
    assert distance_m(end.position, WAY.steps[-1].position) < 1.0
    assert len(orders) >= 4, "the base was continued"
    assert all(order["version"] == "2.0.0" for order in orders)


async def test_a_hold_a_resume_and_a_way_back(here: Gateway) -> None:
    await begin(here, WAY)
    await here.until(lambda state: state.progress.step >= 2, LONG_S)

    await here.link.hold()
    held = here.link.state()
    assert (held.activity, held.unconfirmed) == (Activity.HOLD, None)
    await here.link.resume()
    await here.until(lambda state: state.activity is Activity.MISSION, LONG_S)

    await here.link.return_home()

    home = await here.until(lambda state: state.progress.finished, LONG_S)
    assert home.position is not None
    assert distance_m(home.position, WAY.steps[0].position) < 1.5
    assert (home.activity, home.progress.mission_id) == (Activity.IDLE, "m1")


async def test_an_order_that_it_does_not_take_is_refused_in_its_words(here: Gateway) -> None:
    at = [FRAME.to_global(20.0 * number, 0.0) for number in range(2)]
    steps = (
        Step(StepKind.MOVE, at[0], "A"),
        Step(StepKind.MOVE, at[1], "B"),
        Step(StepKind.RELEASE, at[1], "B", ("o1",)),
    )
    # Its virtual adapter hands over on floors only, which no order of ours says.
    await here.link.upload(Mission("m1", steps, 1.5, MAP_ID))

    with pytest.raises(Refused, match="m1"):
        await here.link.start()

    assert here.link.state().progress.mission_id is None
    await begin(here, straight("AB", 20.0, mission_id="m2"))
    assert here.link.state().progress.mission_id == "m2"


async def test_a_given_up_mission_leaves_it_standing_and_free_for_another(here: Gateway) -> None:
    await begin(here, WAY)
    await here.until(lambda state: state.progress.step >= 2, LONG_S)

    await here.link.abort()

    stands = here.link.state()
    assert (stands.activity, stands.speed_mps) == (Activity.IDLE, 0.0)
    await here.link.abort()


async def test_it_waits_at_the_kerb_until_it_is_released(here: Gateway) -> None:
    await begin(here, straight("ABCDE", 20.0, roads="C"))
    waits = await here.until(_waits_for(WaitFor.CROSSING), LONG_S)
    assert waits.waits is not None
    assert waits.waits.node == "C"

    await cross(here.link, "C")

    assert (await here.until(lambda state: state.progress.finished, LONG_S)).faults == ()


async def test_killed_and_started_again(broker: Broker, modules: Path) -> None:
    async with gateway(broker, manufacturer=MAKER) as here:
        async with foreign_robot(broker, modules, map_id=MAP_ID, speed_mps=SPEED_MPS) as robot:
            await here.until(lambda state: state.connected and state.ready, LONG_S)
            await begin(here, WAY)
            await here.until(lambda state: state.progress.step >= 2, LONG_S)
            robot.kill()
            await here.until(lambda state: not state.connected, LONG_S)
            assert "its connection is CONNECTIONBROKEN" in [event.text for event in here.events]

        async with foreign_robot(broker, modules, map_id=MAP_ID, speed_mps=SPEED_MPS):
            lost = await here.until(lambda state: state.connected and bool(state.faults), LONG_S)
            # It remembers nothing: the mission is lost, and that is said.
            assert any("lost order m1" in fault for fault in lost.faults)
            assert lost.progress.mission_id is None


async def test_a_broker_that_restarts_is_survived(here: Gateway, broker: Broker) -> None:
    await begin(here, WAY)
    await here.until(lambda state: state.progress.step >= 2, LONG_S)

    await broker.stop()
    await here.until(lambda state: not state.connected, LONG_S)
    await broker.start()

    end = await here.until(lambda state: state.progress.finished, LONG_S)
    assert end.faults == ()


@contextlib.asynccontextmanager
async def heard_orders(broker: Broker) -> AsyncIterator[list[dict[str, Any]]]:
    """The orders that go over the broker."""
    orders: list[dict[str, Any]] = []
    async with MqttClient(host=broker.host, port=broker.port, client_id="listener") as client:
        await client.wait_connected()
        topic = f"uagv/v2/{MAKER}/1/order"
        subscription = client.subscribe((topic,), 0, take=lambda message: orders.append(json.loads(message.payload)))
        await subscription.ready()
        yield orders
        subscription.close()


def _waits_for(what: WaitFor) -> Callable[[VehicleState], bool]:
    return lambda state: state.waits is not None and state.waits.what is what
