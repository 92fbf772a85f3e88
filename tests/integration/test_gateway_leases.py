"""A gateway with its leases: what one vehicle's end takes must cost no other vehicle its lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fleet.alarm_keeper import AlarmKeeper
from fleet.gateway import Gateway
from fleet.leases import LEASE_TTL_S, Lease
from hardware.link import VehicleLink
from hardware.mqtt import MqttClient
from telemetry.clock import Clock
from telemetry.monitors.finding import Finding
from telemetry.writer import SampleWriter
from tests.api_kit import _runtime
from tests.broker import Broker, running_broker
from tests.fleet_kit import World, until
from tests.scripted_vehicle import ScriptedVehicle


class SlowToEnd(ScriptedVehicle):
    """A vehicle whose link takes its time to close."""

    def __init__(self, vehicle_id: str) -> None:
        super().__init__(vehicle_id)
        self.closing = 0
        self.may_close = asyncio.Event()

    async def close(self) -> None:
        """Close, when it may: native code does not heed a cancellation."""
        self.closing += 1
        while not self.may_close.is_set():
            with suppress(asyncio.CancelledError):
                await self.may_close.wait()
        await super().close()


class Scripted(Gateway):
    """A gateway whose vehicles are scripted."""

    links: dict[str, SlowToEnd]

    def _make_link(self, row: dict[str, Any], lease: Lease, region: Any) -> VehicleLink:
        self.links[row["vehicle_id"]] = SlowToEnd(row["vehicle_id"])
        return self.links[row["vehicle_id"]]


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with running_broker(tmp_path) as running:
        yield running


@asynccontextmanager
async def gateway(world: World, broker: Broker, home: Path) -> AsyncIterator[Scripted]:
    (home / "run").mkdir()
    clock = Clock.real()
    runtime = replace(_runtime(home, world.database.dsn, clock), name="gateway-1", broker_port=broker.port)
    writer = SampleWriter(runtime.dsn, spool_dir=home / "spool", name="gateway-1", clock=clock)
    async with writer, MqttClient(host=broker.host, port=broker.port, client_id="gateway-1") as bus:
        running = Scripted(runtime, clock, database=world.database, writer=writer, bus=bus)
        running.links = {}
        stop = asyncio.Event()
        serving = asyncio.create_task(running.serve(stop))
        try:
            yield running
        finally:
            stop.set()
            for link in running.links.values():
                link.may_close.set()
            await asyncio.wait_for(serving, 20)


async def lease_of(world: World, vehicle_id: str) -> dict[str, Any]:
    return await world.one(
        "SELECT split_part(holder, '/', 1) AS holder, epoch, expires_wall, expires_wall > clock_timestamp() AS held "
        "FROM lease WHERE vehicle_id = %(vehicle_id)s",
        vehicle_id=vehicle_id,
    )


async def test_a_vehicle_that_is_slow_to_end_costs_no_other_its_lease(
    world: World, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.gateway.ENDING_S", 120.0)
    await world.drone("drone-1", port=14601)
    await world.drone("drone-2", port=14602, pad=1)
    async with gateway(world, broker, tmp_path) as running:
        await until(lambda: _both_open(running), within_s=30)
        await world.write(
            "UPDATE lease SET holder = 'gateway-2/x', epoch = epoch + 1, "
            "expires_wall = clock_timestamp() + interval '1 hour' WHERE vehicle_id = 'drone-1'"
        )
        slow = running.links["drone-1"]
        await until(lambda: _is(slow.closing == 1), within_s=30)

        # Longer than a lease lasts, as seen by the lease itself.
        await _renewed_for(world, "drone-2", LEASE_TTL_S + 1)
        assert not slow.may_close.is_set()

        # Free again, but the link still stands: taken before that has closed, it could not be opened.
        await world.write("UPDATE lease SET expires_wall = clock_timestamp() WHERE vehicle_id = 'drone-1'")
        await _renewed_for(world, "drone-2", 2)
        assert (await lease_of(world, "drone-1"))["holder"] == "gateway-2"

        slow.may_close.set()
        await until(lambda: _is(running.links["drone-1"] is not slow), within_s=30)
        assert (await lease_of(world, "drone-1"))["holder"] == "gateway-1"


async def _renewed_for(world: World, vehicle_id: str, seconds: float) -> None:
    before = await lease_of(world, vehicle_id)

    async def renewed_on() -> bool:
        now = await lease_of(world, vehicle_id)
        assert now["held"], "its lease ran out"
        return bool((now["expires_wall"] - before["expires_wall"]).total_seconds() > seconds)

    await until(renewed_on, within_s=30)


async def _is(true: bool) -> bool:
    return true


async def _both_open(running: Scripted) -> bool:
    return set(running.links) == {"drone-1", "drone-2"} and all(link.is_watched() for link in running.links.values())


async def test_a_vehicle_that_could_not_be_read_when_it_was_taken_is_taken_again(
    world: World, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt, failed = AlarmKeeper.adopt, []

    async def fails_first(self: AlarmKeeper, *given: Any) -> None:
        if not failed:
            failed.append(given)
            raise psycopg.OperationalError("the server has gone")
        await adopt(self, *given)

    monkeypatch.setattr(AlarmKeeper, "adopt", fails_first)
    await world.drone()

    async with gateway(world, broker, tmp_path) as running:

        async def taken() -> bool:
            return "drone-1" in running.links and running.links["drone-1"].is_open

        await until(taken, within_s=6 * LEASE_TTL_S)

    assert failed


async def test_what_was_seen_last_is_stored_when_the_gateway_is_stopped(
    world: World, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def not_yet(self: AlarmKeeper) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(AlarmKeeper, "run", not_yet)
    async with gateway(world, broker, tmp_path) as running:
        for second in range(4):
            at = world.at + timedelta(seconds=second)
            running._book.take("vehicle", "drone-1", [Finding("manual", True)], at=at, speed=1.0)
    assert await world.rows("SELECT code, state FROM alarm") == [{"code": "manual", "state": "unacknowledged"}]
