"""A drone with a mission under way on a real database, and the runner that carries it, for tests of dispatch."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fleet import commands, dispatch, leases
from fleet.dispatch import VehicleRunner
from fleet.execution import mission_from_json
from hardware.mission import Mission
from routing.geo import Position
from telemetry.clock import Clock
from tests.fleet_kit import World, until
from tests.scripted_vehicle import ScriptedVehicle, release_steps

SPEED = 20.0
FAR_AWAY = Position(35.6, 138.6, 500.0)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits in wall time that a scripted vehicle does not need."""
    monkeypatch.setattr(dispatch, "SETTLE_S", 0.3)
    monkeypatch.setattr(dispatch, "LOST_MISSION_WALL_S", 0.1)
    monkeypatch.setattr(dispatch, "POLL_S", 0.1)


class Scene:
    """A drone with a mission of two stops, accepted and due, and the runner that carries it."""

    def __init__(self, world: World, mission_id: str, steps: Mission, vehicle: ScriptedVehicle) -> None:
        self.world = world
        self.mission_id = mission_id
        self.steps = steps
        self.vehicle = vehicle
        self.clock = Clock(Clock.real().now(), world.later(120), SPEED)
        self.lives = 0

    @property
    def first(self) -> int:
        """The step of the first release."""
        return release_steps(self.steps)[0]

    @property
    def second(self) -> int:
        """The step of the second release."""
        return release_steps(self.steps)[1]

    @asynccontextmanager
    async def running(self, gateway: str = "gateway-1") -> AsyncIterator[VehicleRunner]:
        """Run the vehicle in a gateway's next life."""
        self.lives += 1
        async with self.world.database.transaction() as conn:
            (lease,) = await leases.acquire(conn, ["drone-1"], holder=f"{gateway}/{self.lives}")
        lease.deadline_s = math.inf
        self.vehicle.lease = lease
        runner = await self.runner(lease)
        task = asyncio.create_task(runner.run())
        try:
            yield runner
        finally:
            task.cancel()
            await asyncio.wait([task], timeout=10)
            assert not self.vehicle.is_open

    async def runner(self, lease: leases.Lease) -> VehicleRunner:
        """Return a runner that has not begun to run."""
        row = await self.world.one("SELECT * FROM vehicle WHERE vehicle_id = 'drone-1'")
        return VehicleRunner(
            vehicle=row, link=self.vehicle, lease=lease, database=self.world.database, clock=self.clock
        )

    async def row(self) -> dict[str, Any]:
        """Return the mission."""
        return await self.world.mission(self.mission_id)

    async def reaches(self, *states: str, within_s: float = 10.0) -> dict[str, Any]:
        """Wait for the mission to be in one of these states; return it."""

        async def there() -> bool:
            return (await self.row())["state"] in states

        try:
            await until(there, within_s=within_s)
        except TimeoutError:
            raise AssertionError(f"the mission is {(await self.row())['state']}, not {states}") from None
        return await self.row()

    async def waits_for(self, words: str) -> None:
        """Wait until the accepted mission says that it waits for something."""

        async def there() -> bool:
            return words in ((await self.row())["reason"] or "")

        await until(there)

    async def delivered(self, count: int) -> None:
        """Wait until so many orders are delivered."""

        async def there() -> bool:
            return len(await self.deliveries()) == count

        await until(there)

    async def deliveries(self) -> list[dict[str, Any]]:
        """Return the hand-overs to recipients."""
        return await self.world.rows("SELECT * FROM custody WHERE holder_kind = 'recipient' ORDER BY custody_id")

    async def order_states(self) -> list[str]:
        """Return the states of the mission's orders, by stop."""
        return [item["state"] for item in await self.world.carried(self.mission_id)]

    async def accept_again(self) -> None:
        """Accept the launch once more."""
        await self.world.accept(self.mission_id)

    async def command(self, kind: str, *, key: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Give a command, with its second step."""
        async with self.world.database.transaction() as conn:
            row = await commands.issue(
                conn,
                vehicle_id="drone-1",
                kind=kind,
                key=key,
                issuer="pilot",
                at=self.clock.now(),
                speed=SPEED,
                params=params,
            )
            if row["state"] == "proposed":
                row = await commands.confirm(conn, row["command_id"], actor="pilot", at=self.clock.now(), speed=SPEED)
        return row

    async def outcome(self, command: dict[str, Any]) -> dict[str, Any]:
        """Wait for the outcome of a command; return it."""

        async def there() -> bool:
            row = await self.world.one("SELECT state FROM command WHERE command_id = %(id)s", id=command["command_id"])
            return row["state"] in {"done", "failed", "expired"}

        await until(there)
        return await self.world.one("SELECT * FROM command WHERE command_id = %(id)s", id=command["command_id"])


async def accepted_scene(world: World) -> Scene:
    """A drone on its pad, with a mission of two stops that a pilot has accepted."""
    await world.drone()
    await world.order("A1", "drop-5")
    await world.order("A2", "drop-2")
    (mission_id,) = await world.missions()
    await world.load(mission_id)
    await world.accept(mission_id)
    steps = mission_from_json((await world.mission(mission_id))["trip"]["mission"])
    return Scene(world, mission_id, steps, ScriptedVehicle())
