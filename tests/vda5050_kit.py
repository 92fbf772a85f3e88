"""A link to a robot over a real broker, as tests of it need them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime

from hardware.errors import Refused
from hardware.link import VehicleState
from hardware.mission import Mission, Step, StepKind
from hardware.mqtt import MqttClient
from hardware.profiles import load_profile, profile_data
from hardware.vda5050.link import Vda5050Link
from telemetry.clock import Clock
from telemetry.event import VehicleEvent
from telemetry.sample import Sample
from tests.broker import Broker
from tests.robots import FRAME, MAP_ID, ORIGIN


@dataclass
class Lease:
    """A lease that a test takes away and gives back."""

    ours: bool = True

    def held(self) -> bool:
        return self.ours


@dataclass
class Gateway:
    """A link, and a loop that beats for it while ``alive``."""

    link: Vda5050Link
    client: MqttClient
    lease: Lease
    samples: list[Sample] = field(default_factory=list)
    events: list[VehicleEvent] = field(default_factory=list)
    alive: bool = True

    async def beat(self) -> None:
        while True:
            if self.alive:
                self.link.beat()
            await asyncio.sleep(0.1)

    async def until(self, condition: Callable[[VehicleState], bool], timeout_s: float = 10.0) -> VehicleState:
        """Wait until the link's state satisfies a condition."""
        async with asyncio.timeout(timeout_s):
            async for state in self.link.changes():
                if condition(state):
                    return state
        raise AssertionError("the link was closed")


def make_link(
    client: MqttClient,
    *,
    manufacturer: str = "maker",
    serial: str = "1",
    lease: Lease | None = None,
    clock: Clock | None = None,
    samples: list[Sample] | None = None,
    simulated: bool = True,
    allow_real: bool = False,
    base_length_m: float = 50.0,
    trigger_s: float = 300.0,
    events: list[VehicleEvent] | None = None,
    listened_until: datetime | None = None,
) -> Vda5050Link:
    sink = [] if samples is None else samples
    return Vda5050Link(
        vehicle_id=f"robot-{serial}",
        manufacturer=manufacturer,
        serial=serial,
        vehicle_type=load_profile("sidewalk_robot"),
        profile={
            **profile_data("sidewalk_robot")["vda5050"],
            "base_length_m": base_length_m,
            "wait_for_trigger_s": trigger_s,
        },
        origin=ORIGIN,
        client=client,
        lease=lease or Lease(),
        clock=clock or Clock.real(),
        on_sample=sink.append,
        simulated=simulated,
        allow_real=allow_real,
        on_event=([] if events is None else events).append,
        listened_until=listened_until,
    )


@contextlib.asynccontextmanager
async def gateway(
    broker: Broker,
    name: str = "gateway",
    *,
    clock: Clock | None = None,
    manufacturer: str = "maker",
    trigger_s: float = 300.0,
    listened_until: datetime | None = None,
) -> AsyncIterator[Gateway]:
    """A gateway with a link to robot 1, open, that has heard the robot."""
    async with MqttClient(host=broker.host, port=broker.port, client_id=name) as client:
        await client.wait_connected()
        lease, samples, events = Lease(), list[Sample](), list[VehicleEvent]()
        link = make_link(
            client,
            manufacturer=manufacturer,
            lease=lease,
            samples=samples,
            clock=clock,
            trigger_s=trigger_s,
            events=events,
            listened_until=listened_until,
        )
        here = Gateway(link, client, lease, samples, events)
        await link.open()
        beating = asyncio.create_task(here.beat())
        try:
            yield here
        finally:
            beating.cancel()
            await link.close()


def mission(mission_id: str = "m1") -> Mission:
    """Nodes A to D 40 m apart eastwards, hand-overs at B (step 2) and D (step 5)."""
    at = {name: FRAME.to_global(40.0 * number, 0.0) for number, name in enumerate("ABCD")}
    steps = (
        Step(StepKind.MOVE, at["A"], "A"),
        Step(StepKind.MOVE, at["B"], "B"),
        Step(StepKind.RELEASE, at["B"], "B", ("o1",)),
        Step(StepKind.MOVE, at["C"], "C"),
        Step(StepKind.MOVE, at["D"], "D"),
        Step(StepKind.RELEASE, at["D"], "D", ("o2",)),
    )
    return Mission(mission_id, steps, 1.5, MAP_ID)


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


def straight(
    names: str,
    apart_m: float,
    *,
    roads: str = "",
    unlocked: str = "",
    mission_id: str = "m1",
) -> Mission:
    """Nodes of one letter each along a line eastwards.

    From those in ``roads`` on it crosses a road; at those in ``unlocked`` are parcels that are unlocked by us.
    """
    steps: list[Step] = []
    for number, name in enumerate(names):
        at = FRAME.to_global(apart_m * number, 0.0)
        steps.append(Step(StepKind.MOVE, at, name, crossing=name in roads))
        if name in unlocked:
            steps.append(Step(StepKind.RELEASE, at, name, (f"order-{name}",), unlock=True))
    return Mission(mission_id, tuple(steps), 1.5, MAP_ID)


async def begin(here: Gateway, given: Mission | None = None) -> None:
    """Upload a mission and start it."""
    await here.link.upload(given or mission())
    await here.link.start()


def pose(x: float, y: float = 0.0, map_id: str = MAP_ID) -> dict[str, object]:
    return {"x": x, "y": y, "theta": 0.0, "mapId": map_id, "positionInitialized": True}


async def cross(link: Vda5050Link, node: str, *, within_s: float = 30.0) -> None:
    """Release a crossing as an operator does: on a machine so slow that the robot's state is too old, again."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                return await link.cross(node)
            except Refused as error:
                if "old state" not in str(error):
                    raise
