"""The gate above a drop point with a drone that flies: the runner, the real link, and the light simulator."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fleet import drop_gate, leases, missions
from fleet.dispatch import VehicleRunner
from fleet.simulation import Simulation, describe_drones
from hardware.link import WaitFor
from hardware.mavlink.address import MavlinkAddress
from hardware.mavlink.link import MavlinkLink
from hardware.profiles import load_profile, profile_data
from routing.geo import distance_m
from telemetry.clock import Clock
from tests.fleet_kit import World, until

pytestmark = pytest.mark.timeout(300)

SPEED = 8.0
WITHIN_S = 200.0


@asynccontextmanager
async def _flying(world: World, folder: Path) -> AsyncIterator[tuple[VehicleRunner, Clock, str, int]]:
    """A simulated drone on the hub's pad with a mission that was accepted, and its runner."""
    await world.drop_points("recipient")
    (described,) = describe_drones(world.region, [("hub-1", 0)], type_id="multirotor_1kg")
    await world.drone(port=int(described["send_to"].rpartition(":")[2]))
    await world.order("A1", "drop-4")
    (mission_id,) = await world.missions()
    await world.load(mission_id)
    await world.accept(mission_id)
    ((step,),) = [[row["step"]] for row in await world.carried(mission_id)]
    clock = Clock(Clock.real().now(), world.later(60), SPEED)
    async with world.database.transaction() as conn:
        (lease,) = await leases.acquire(conn, ["drone-1"], holder="gateway-1/1")
    lease.deadline_s = math.inf
    link = MavlinkLink(
        vehicle_id="drone-1",
        address=MavlinkAddress(described["send_to"], system_id=described["system_id"]),
        vehicle_type=load_profile("multirotor_1kg"),
        parameters=profile_data("multirotor_1kg")["parameters"],
        lease=lease,
        clock=clock,
        on_sample=lambda _sample: None,
        home=world.region.site("hub-1").pads[0],
        simulated=True,
    )
    row = await world.one("SELECT * FROM vehicle")
    runner = VehicleRunner(vehicle=row, link=link, lease=lease, database=world.database, clock=clock)
    simulation = Simulation(
        folder, region=world.region, clock=clock, seed=1, drones=[described], robots=[],
        broker=None,
    )  # fmt: skip
    async with simulation:
        running, beating = asyncio.create_task(runner.run()), asyncio.create_task(_beat(runner))
        try:
            yield runner, clock, mission_id, step
        finally:
            for task in (running, beating):
                task.cancel()
            await asyncio.wait([running, beating], timeout=20)


async def _beat(runner: VehicleRunner) -> None:
    while True:
        runner.link.beat()
        await asyncio.sleep(0.1)  # the gateway's own pace


async def _waits(runner: VehicleRunner) -> bool:
    waits = runner.link.state().waits
    return waits is not None and waits.what is WaitFor.DROP_CLEAR


async def test_a_drone_waits_above_until_the_recipient_says_that_it_is_clear(world: World, tmp_path: Path) -> None:
    async with _flying(world, tmp_path) as (runner, clock, mission_id, step):
        await until(lambda: _waits(runner), within_s=WITHIN_S)
        mission = await world.mission(mission_id)
        above = runner.link.state().position
        async with world.database.transaction() as conn:
            at = clock.now()
            await drop_gate.say(conn, mission, step, clear=True, said_as="recipient", said_by="test", at=at)
        runner.wake()  # as the gateway does when it hears of the row

        async def delivered() -> bool:
            return (await world.carried(mission_id))[0]["state"] == "delivered"

        await until(delivered, within_s=WITHIN_S)

    drop = mission["trip"]["mission"]["steps"][step]["position"]
    assert above is not None
    assert distance_m(above, type(above)(**drop)) < 10.0
    assert above.alt_amsl_m > drop["alt_amsl_m"] + 5.0
    (custody,) = await world.rows("SELECT * FROM custody WHERE holder_kind = 'recipient'")
    assert custody["holder_id"] == "drop-4"
    async with world.database.transaction() as conn:
        (word,) = await drop_gate.confirmations(conn, mission_id, step)
        causes = [row["cause"] for row in await missions.events(conn, mission_id)]
    assert word["used_at"] is not None
    assert f"drop point of step {step} is clear: test" in causes
