"""Watching with a real database: the missions that are flown are those that were planned and approved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from fleet import emergency_airspace, live
from fleet.db.database import Database
from fleet.execution import mission_from_json
from fleet.gateway import Gateway
from fleet.leases import Lease
from fleet.watching import RETRY_S, Watching
from hardware.link import Activity, VehicleLink, VehicleState
from hardware.mqtt import MqttClient
from hardware.profiles import load_profile
from telemetry.clock import Clock
from telemetry.intake import Intake
from telemetry.monitors.finding import Finding
from telemetry.sample import Sample
from telemetry.writer import SampleWriter
from tests.api_kit import _runtime
from tests.broker import Broker, running_broker
from tests.fleet_kit import World, until
from tests.flown import EVERY_S, changed, fly, moved, state_of
from tests.scripted_vehicle import ScriptedVehicle

DRONE = load_profile("multirotor_1kg")


async def watching(world: World, *vehicle_ids: str, database: Database | None = None) -> Watching:
    made = Watching(database or world.database, Clock.real())
    for vehicle_id in vehicle_ids:
        await made.watch(vehicle_id, DRONE, world.region, home_site="hub-1")
    return made


async def underway(world: World, vehicle_id: str = "drone-1") -> dict[str, Any]:
    """A mission that has just begun."""
    await world.drone(vehicle_id)
    await world.order("A1", "drop-4")
    (mission_id,) = await world.missions()
    await world.fly(mission_id)
    return await world.mission(mission_id)


def flight_of(world: World, mission: Mapping[str, Any]) -> tuple[Sample, ...]:
    pad = world.region.site("hub-1").pads[0]
    steps = mission_from_json(mission["trip"]["mission"])
    return fly(steps, world.region, pad, departs=mission["planned_depart"] + timedelta(seconds=90), mass_kg=0.3)


async def begun(watch: Watching, mission: Mapping[str, Any]) -> None:
    """Wait until the monitors know the mission."""

    async def known() -> bool:
        watch.look("drone-1", VehicleState(connected=True), mission, None, mission["planned_depart"])
        return watch.knows("drone-1") == str(mission["mission_id"])

    await until(known)


def seen(watch: Watching, samples: tuple[Sample, ...] | list[Sample], mission: Mapping[str, Any]) -> list[Finding]:
    found: list[Finding] = []
    for sample in samples:
        watch.take(sample)
        found += watch.look("drone-1", state_of(sample), mission, None, sample.t)
    return found


async def test_a_mission_flown_as_approved_shows_nothing_and_one_beside_its_track_is_off_plan(world: World) -> None:
    mission = await underway(world)
    samples = flight_of(world, mission)
    watch = await watching(world, "drone-1")
    await begun(watch, mission)
    assert seen(watch, samples, mission) == []

    watch = await watching(world, "drone-1")
    await begun(watch, mission)
    beside = changed(samples, len(samples) // 4, lambda s: moved(s, world.region.frame, north_m=60.0), seconds=30)
    found = seen(watch, beside, mission)
    assert {finding.code for finding in found} == {"off_plan"}


async def test_while_the_database_is_away_the_rest_is_watched_and_nothing_else(world: World, dsn: str) -> None:
    mission = await underway(world)
    samples = flight_of(world, mission)
    async with Database.open(dsn, max_size=1) as database:
        pass
    watch = await watching(world, "drone-1", database=database)
    watch.look("drone-1", VehicleState(connected=True), mission, None, mission["planned_depart"])
    await asyncio.sleep(0)
    weak = changed(samples, len(samples) // 2, lambda s: replace(s, link_pct_x10=400))
    assert {finding.code for finding in seen(watch, weak, mission)} == {"link_weak"}
    assert watch.knows("drone-1") is None


async def test_a_mission_is_read_once_the_database_is_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert RETRY_S < 5.0
    monkeypatch.setattr("fleet.watching.RETRY_S", 0.0)
    mission = await underway(world)
    await world.write("ALTER TABLE mission_track RENAME TO mission_track_away")
    watch = await watching(world, "drone-1")
    try:
        watch.look("drone-1", VehicleState(connected=True), mission, None, mission["planned_depart"])
    finally:
        await world.write("ALTER TABLE mission_track_away RENAME TO mission_track")
    await begun(watch, mission)


async def test_emergency_airspace_declared_on_the_way_of_a_flight_is_found_until_it_is_withdrawn(world: World) -> None:
    mission = await underway(world)
    watch = Watching(world.database, Clock(Clock.real().now(), world.at, 1.0))
    await watch.watch("drone-1", DRONE, world.region, home_site="hub-1")
    await begun(watch, mission)
    drop = next(site for site in world.region.sites if site.site_id == "drop-4").position
    ring = [(drop.lat + a * 1e-3, drop.lon + b * 1e-3) for a, b in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
    values: dict[str, Any] = {"region_id": world.region.region_id, "at": world.at, "actor": "dispatcher"}

    def areas() -> list[object]:
        found = watch.look("drone-1", VehicleState(connected=True), mission, None, world.at)
        return [finding.values["area"] for finding in found if finding.code == "emergency_airspace"]

    async def warned() -> bool:
        return areas() == ["forest fire"]

    async def calm() -> bool:
        return areas() == []

    looking = asyncio.create_task(watch.look_ahead())
    try:
        assert areas() == []
        async with world.database.transaction() as conn:
            area = await emergency_airspace.declare(
                conn, name="forest fire", ring=ring, begins_at=world.at, ends_at=None, **values
            )
        watch.news.set()
        await until(warned)
        async with world.database.transaction() as conn:
            await emergency_airspace.withdraw(conn, area["airspace_id"], **values)
        watch.news.set()
        await until(calm)
    finally:
        looking.cancel()


async def test_a_mission_whose_plan_is_damaged_is_watched_without_it_and_somebody_is_told(world: World) -> None:
    mission = await underway(world)
    await world.write("""UPDATE mission_track SET given = '{"track": 1}'""")
    watch = await watching(world, "drone-1")
    await begun(watch, mission)

    found = watch.look("drone-1", VehicleState(connected=True), mission, None, world.at)

    assert "plan_unknown" in {finding.code for finding in found}


async def test_when_its_mission_is_over_a_vehicle_has_no_course(world: World) -> None:
    mission = await underway(world)
    watch = await watching(world, "drone-1")
    await begun(watch, mission)
    watch.look("drone-1", VehicleState(connected=True), {**mission, "state": "completed"}, None, mission["changed_at"])
    assert watch.knows("drone-1") is None
    watch.forget("drone-1")
    assert watch.look("drone-1", VehicleState(), mission, None, mission["changed_at"]) == []


def snapshot(vehicle_id: str, state: VehicleState, *, at: datetime) -> bytes:
    view = live.vehicle_snapshot(vehicle_id, replace(state, t=at), None, gateway="g-2")
    return live.encode_snapshot("g-2", at, [view])


async def test_a_drone_of_another_gateway_that_comes_too_close_is_found_with_how_close(world: World) -> None:
    watch = await watching(world, "drone-1")
    mission = await underway(world)
    sample = flight_of(world, mission)[200]
    ours = state_of(sample, activity=Activity.MISSION)
    assert ours.position is not None
    watch.take(sample)
    near = state_of(moved(sample, world.region.frame, east_m=30.0))

    watch.hear(snapshot("drone-9", replace(near, on_ground=True), at=sample.t))
    assert watch.look("drone-1", ours, None, None, sample.t) == []

    watch.hear(snapshot("drone-9", near, at=sample.t))
    await until(lambda: _looks(watch, ours, sample.t))
    (finding,) = watch.look("drone-1", ours, None, None, sample.t)
    assert (finding.code, finding.key, finding.worse) == ("too_close", "drone-9", True)
    assert finding.values["horizontal_m"] == pytest.approx(30.0, abs=0.5)


async def _looks(watch: Watching, state: VehicleState, now: datetime) -> bool:
    return bool(watch.look("drone-1", state, None, None, now))


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"[]", b'{"vehicles": 1}', b'{"vehicles": [1, {}, {"vehicle_id": 3}]}']
    + [
        orjson.dumps({"vehicles": [{"vehicle_id": "x", "connected": True, "on_ground": False, **more}]})
        for more in (
            {"t": "yesterday", "lat": 1.0, "lon": 1.0, "alt_amsl_m": 1.0},
            {"t": 12, "lat": 1.0, "lon": 1.0, "alt_amsl_m": 1.0},
            {"t": "2026-04-01T00:00:00+00:00", "lat": "x", "lon": 1.0, "alt_amsl_m": 1.0},
            {"t": "2026-04-01T00:00:00+00:00", "lat": None, "lon": None, "alt_amsl_m": None},
            {"t": "2026-04-01T00:00:00", "lat": 1e300, "lon": 1.0, "alt_amsl_m": True},
        )
    ],
)
async def test_what_is_no_snapshot_is_passed_over(world: World, payload: bytes) -> None:
    watch = await watching(world, "drone-1")
    watch.hear(payload)
    assert watch.look("drone-1", VehicleState(connected=True), None, None, world.at) == []


async def test_what_the_intake_counts_becomes_findings(world: World) -> None:
    class Nowhere:
        def put(self, _sample: Sample) -> None: ...
        def put_event(self, _event: object) -> None: ...

    intake = Intake(Nowhere(), Clock.real())
    watch = Watching(world.database, Clock.real(), intake=intake.counts)
    await watch.watch("drone-1", DRONE, world.region, home_site="hub-1")
    intake.listen(watch.take)
    for i in range(1_000):
        intake.put(Sample("drone-1", world.at + timedelta(milliseconds=i), i, i))
    found = watch.look("drone-1", VehicleState(connected=True), None, None, world.at)
    assert [finding.code for finding in found] == ["flooding"]


class OneDrone(Gateway):
    """A gateway whose drone is scripted, and sends what a test gives it."""

    link: ScriptedVehicle
    put: Callable[[Sample], None]

    def _make_link(self, row: dict[str, Any], lease: Lease, region: Any) -> VehicleLink:
        self.put = self._intake.put
        return self.link


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with running_broker(tmp_path) as running:
        yield running


@asynccontextmanager
async def gateway(world: World, broker: Broker, home: Path, link: ScriptedVehicle) -> AsyncIterator[OneDrone]:
    (home / "run").mkdir()
    runtime = replace(_runtime(home, world.database.dsn, Clock.real()), name="gateway-1", broker_port=broker.port)
    writer = SampleWriter(runtime.dsn, spool_dir=home / "spool", name="gateway-1", clock=Clock.real())
    async with writer, MqttClient(host=broker.host, port=broker.port, client_id="gateway-1") as bus:
        running = OneDrone(runtime, Clock.real(), database=world.database, writer=writer, bus=bus)
        running.link = link
        stop = asyncio.Event()
        serving = asyncio.create_task(running.serve(stop))
        try:
            yield running
        finally:
            stop.set()
            await asyncio.wait_for(serving, 20)


async def test_a_gateway_makes_an_alarm_of_a_flight_that_leaves_its_plan_and_of_no_other(
    world: World, broker: Broker, tmp_path: Path
) -> None:
    mission = await underway(world)
    samples = flight_of(world, mission)
    link = ScriptedVehicle("drone-1")
    await link.fly(mission_from_json(mission["trip"]["mission"]))
    began_s = time.monotonic()
    began, sent, north_m = datetime.now(UTC), 0, 0.0
    world.at = began
    await world.look_around()
    async with gateway(world, broker, tmp_path, link) as running:

        async def alarms() -> list[tuple[str, str]]:
            """Fly on by real time; return the alarms in the database."""
            nonlocal sent
            number = int((time.monotonic() - began_s) / EVERY_S)
            if link.is_open and number > sent:
                sent = number
                t = began + timedelta(seconds=number * EVERY_S)
                sample = replace(samples[400 + number], t=t, vehicle_ms=1_000_000 + number * 200)
                running.put(moved(sample, world.region.frame, north_m=north_m))
                await link.show(t=t, position=state_of(sample).position, battery_pct=90.0)
            rows = await world.rows("SELECT code, urgency FROM alarm")
            return [(row["code"], row["urgency"]) for row in rows]

        async def known() -> bool:
            assert await alarms() == []
            return running._watching.knows("drone-1") is not None and sent >= 15

        await until(known, within_s=30.0)
        # It keeps to its plan for a while more.
        calm_until = sent + 10

        async def calm() -> bool:
            assert await alarms() == []
            return sent >= calm_until

        await until(calm, within_s=30.0)
        north_m = 200.0

        async def raised() -> bool:
            return bool(await alarms())

        await until(raised, within_s=30.0)
        assert ("off_plan", "medium") in await alarms()
