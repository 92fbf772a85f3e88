"""One vehicle's runner against a real database: what the vehicle does is written once, whatever breaks meanwhile."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from fleet import commands, dispatch, leases, missions
from fleet.db.database import DATABASE_ERRORS
from fleet.dispatch import VehicleRunner
from fleet.errors import Conflict
from fleet.execution import mission_from_json
from hardware.errors import LinkDown, MissionRejected, NoAnswer, Refused
from hardware.link import Activity
from hardware.mission import Mission
from routing.geo import Position
from telemetry.clock import Clock
from tests.fleet_kit import World, until
from tests.scripted_vehicle import ScriptedVehicle, release_steps

SPEED = 20.0
FAR_AWAY = Position(35.6, 138.6, 500.0)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
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

    async def command(self, kind: str, *, key: str) -> dict[str, Any]:
        """Give a command, with its second step."""
        async with self.world.database.transaction() as conn:
            row = await commands.issue(
                conn, vehicle_id="drone-1", kind=kind, key=key, issuer="pilot", at=self.clock.now(), speed=SPEED
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


@pytest.fixture
async def scene(world: World) -> Scene:
    """A drone on its pad, with a mission of two stops that a pilot has accepted."""
    await world.drone()
    await world.order("A1", "drop-5")
    await world.order("A2", "drop-2")
    (mission_id,) = await world.missions()
    await world.load(mission_id)
    await world.accept(mission_id)
    steps = mission_from_json((await world.mission(mission_id))["trip"]["mission"])
    return Scene(world, mission_id, steps, ScriptedVehicle())


async def test_a_mission_is_carried_from_acceptance_to_its_end(scene: Scene) -> None:
    async with scene.running():
        await scene.reaches("underway")
        assert await scene.order_states() == ["underway", "underway"]
        await scene.vehicle.release(scene.first)
        await scene.delivered(1)
        await scene.vehicle.release(scene.second)
        await scene.vehicle.come_home()
        row = await scene.reaches("completed")

    assert await scene.order_states() == ["delivered", "delivered"]
    assert [d["evidence"] for d in await scene.deliveries()] == ["sensor", "sensor"]
    assert scene.vehicle.calls == ["upload", "start"]
    assert row["reason"] is None
    causes = await scene.world.causes(scene.mission_id)
    assert causes[3:] == [
        ("starting", "upload and start"),
        ("underway", "the vehicle has begun"),
        ("completed", "idle, on the ground"),
    ]


async def test_a_release_that_is_told_for_the_rest_of_the_day_is_recorded_once(scene: Scene) -> None:
    async with scene.running():
        await scene.reaches("underway")
        await scene.vehicle.release(scene.first)
        await scene.delivered(1)
        for speed in range(30):
            await scene.vehicle.show(speed_mps=float(speed))
        await scene.command("hold", key="k")
        await scene.reaches("held")
    async with scene.running():
        await scene.vehicle.show(activity=Activity.MISSION)
        await scene.reaches("underway")

    assert len(await scene.deliveries()) == 1


async def test_a_delivery_is_recorded_where_and_when_it_was_made_not_where_the_vehicle_is_when_it_is_written(
    scene: Scene,
) -> None:
    place = scene.steps.steps[scene.first].position
    async with scene.running():
        await scene.reaches("underway")
        async with scene.world.database.transaction() as conn:
            # The database takes no writing of the runner's for a while.
            await conn.execute("SELECT 1 FROM lease FOR UPDATE")
            await scene.vehicle.release(scene.first, at=place)
            await until(scene.world.somebody_waits)
            released_at = scene.clock.now()
            await scene.vehicle.show(position=FAR_AWAY)
            await asyncio.sleep(0.2)  # the vehicle flies on: there is nothing to wait for
        await scene.delivered(1)

    (delivery,) = await scene.deliveries()
    assert (delivery["lat"], delivery["lon"]) == (place.lat, place.lon)
    assert delivery["at"] <= released_at


async def test_a_start_that_the_vehicle_refuses_goes_back_to_the_pilot_with_the_reason(scene: Scene) -> None:
    scene.vehicle.fails["start"] = [Refused("preflight fail: compass")]
    async with scene.running():
        row = await scene.reaches("loaded")
        assert (row["reason"], row["accepted_by"]) == ("preflight fail: compass", None)
        assert await scene.order_states() == ["loaded", "loaded"]

        await scene.accept_again()
        await scene.reaches("underway")

    assert ("loaded", "not started: preflight fail: compass") in await scene.world.causes(scene.mission_id)
    assert scene.vehicle.calls == ["upload", "start", "upload", "start"]


async def test_a_mission_that_the_vehicle_does_not_take_is_not_started(scene: Scene) -> None:
    scene.vehicle.fails["upload"] = [MissionRejected("item 3 differs")]
    async with scene.running():
        row = await scene.reaches("loaded")

    assert row["reason"] == "item 3 differs"
    assert scene.vehicle.calls == ["upload"]


async def test_a_mission_that_cannot_be_started_fails_after_some_attempts(scene: Scene) -> None:
    scene.vehicle.fails["start"] = [Refused("no GPS")] * 99
    async with scene.running():
        for _ in range(missions.MAX_START_ATTEMPTS - 1):
            await scene.reaches("loaded")
            await scene.accept_again()
        row = await scene.reaches("failed")

    assert row["reason"] == "no GPS"
    assert scene.vehicle.calls.count("start") == missions.MAX_START_ATTEMPTS
    assert len(await scene.world.unload(scene.mission_id)) == 2


async def test_a_vehicle_that_is_lost_while_it_starts_is_neither_given_back_nor_forgotten(scene: Scene) -> None:
    async def cut_off() -> bool:
        return "start" in scene.vehicle.calls

    gate = scene.vehicle.hangs["start"] = asyncio.Event()
    async with scene.running():
        await until(cut_off)
        await scene.vehicle.fly(scene.steps)
        await scene.vehicle.show(connected=False)
        scene.vehicle.fails["start"] = [LinkDown("not heard any more")]
        gate.set()
        await asyncio.sleep(0.6)  # longer than a vehicle that is heard is waited for
        assert (await scene.row())["state"] == "starting"

        await scene.vehicle.show(connected=True)
        await scene.reaches("underway")

    assert await scene.order_states() == ["underway", "underway"]
    assert "after: not heard any more" in (await scene.world.causes(scene.mission_id))[-1][1]


async def test_a_vehicle_that_begins_although_it_did_not_answer_is_followed(scene: Scene) -> None:
    scene.vehicle.fails["start"] = [NoAnswer("no acknowledgement")]
    async with scene.running():
        await scene.reaches("starting")
        await scene.vehicle.fly(scene.steps)
        await scene.reaches("underway")
        await scene.vehicle.release(scene.first)
        await scene.delivered(1)


async def test_a_vehicle_that_neither_answers_nor_begins_is_given_back(scene: Scene) -> None:
    scene.vehicle.fails["start"] = [NoAnswer("no acknowledgement")]
    async with scene.running():
        row = await scene.reaches("loaded")

    assert row["reason"] == "no acknowledgement"


async def test_a_vehicle_that_is_armed_is_not_given_back(scene: Scene) -> None:
    scene.vehicle.fails["start"] = [Refused("take-off denied")]
    await scene.vehicle.show(armed=True)
    async with scene.running():
        await scene.reaches("starting")
        await asyncio.sleep(0.5)  # nothing may happen
        assert (await scene.row())["state"] == "starting"

        await scene.vehicle.show(armed=False)
        await scene.reaches("loaded")


async def test_a_vehicle_that_is_not_ready_is_waited_for(scene: Scene) -> None:
    await scene.vehicle.show(ready=False)
    async with scene.running():
        await asyncio.sleep(0.3)  # nothing may happen
        assert (await scene.row())["state"] == "accepted"
        await scene.vehicle.show(ready=True)
        await scene.reaches("underway")


async def test_a_mission_does_not_start_before_its_time(scene: Scene) -> None:
    depart = (await scene.row())["planned_depart"]
    scene.clock = Clock(Clock.real().now(), depart - timedelta(seconds=10), SPEED)
    async with scene.running():
        await scene.reaches("underway")

    assert (await scene.row())["started_at"] >= depart


async def test_a_mission_that_is_cancelled_before_its_time_does_not_start(scene: Scene) -> None:
    depart = (await scene.row())["planned_depart"]
    scene.clock = Clock(Clock.real().now(), depart - timedelta(seconds=10), SPEED)
    async with scene.running() as runner:

        async def adopted() -> bool:
            return runner.mission is not None

        async def dropped() -> bool:
            return runner.mission is None

        await until(adopted)
        async with scene.world.database.transaction() as conn:
            await missions.cancel(conn, scene.mission_id, at=scene.world.at, actor="dispatcher")
        await until(dropped)

    assert scene.vehicle.calls == []


async def test_a_vehicle_that_comes_back_with_a_parcel_has_aborted_its_mission(scene: Scene) -> None:
    async with scene.running():
        await scene.reaches("underway")
        await scene.vehicle.release(scene.first)
        await scene.delivered(1)
        await scene.vehicle.show(activity=Activity.RETURN, mode="RTL", faults=("battery low",))
        await scene.reaches("returning")
        await scene.vehicle.come_home()
        row = await scene.reaches("aborted")

    assert row["reason"] == "came back with 1 undelivered"
    assert ("returning", "the vehicle itself (RTL): battery low") in await scene.world.causes(scene.mission_id)
    assert await scene.order_states() == ["delivered", "underway"]
    assert len(await scene.world.unload(scene.mission_id)) == 1


async def test_a_drone_that_lands_elsewhere_has_failed_and_says_where(scene: Scene) -> None:
    async with scene.running():
        await scene.reaches("underway")
        await scene.vehicle.show(activity=Activity.IDLE, armed=False, on_ground=True, position=FAR_AWAY)
        row = await scene.reaches("failed")

    assert row["reason"] == "the vehicle stands idle at 35.600000, 138.600000 and does not carry the mission on"
    assert await scene.order_states() == ["underway", "underway"]


async def test_a_drone_that_comes_home_without_saying_that_it_has_finished_ends_its_mission(scene: Scene) -> None:
    async with scene.running():
        await scene.reaches("underway")
        await scene.vehicle.come_home(finished=False)
        row = await scene.reaches("aborted")

    assert row["reason"] == "came back with 2 undelivered"


async def test_a_short_stop_on_the_ground_ends_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "LOST_MISSION_WALL_S", 60.0)
    async with scene.running():
        await scene.reaches("underway")
        await scene.vehicle.show(activity=Activity.IDLE, armed=False, on_ground=True, position=FAR_AWAY)
        await asyncio.sleep(15.0 / SPEED + 0.3)  # long enough for the domain clock, not for the wall clock
        assert (await scene.row())["state"] == "underway"


async def test_a_robot_that_gives_its_order_up_ends_its_mission(world: World) -> None:
    await world.robot("robot-1")
    await world.order("A1", "drop-1", mass_kg=3.0)
    (mission_id,) = await world.missions()
    await world.fly(mission_id)
    await world.write("UPDATE vehicle SET vehicle_id = vehicle_id")
    steps = mission_from_json((await world.mission(mission_id))["trip"]["mission"])
    robot = ScriptedVehicle("robot-1")
    await robot.fly(steps)
    await robot.show(armed=False, on_ground=True, position=FAR_AWAY)
    async with world.database.transaction() as conn:
        (lease,) = await leases.acquire(conn, ["robot-1"], holder="gateway-1/1")
    lease.deadline_s = math.inf
    row = await world.one("SELECT * FROM vehicle")
    clock = Clock(Clock.real().now(), world.later(120), SPEED)
    runner = VehicleRunner(vehicle=row, link=robot, lease=lease, database=world.database, clock=clock)
    running = asyncio.create_task(runner.run())
    try:
        await robot.show(activity=Activity.IDLE)

        async def failed() -> bool:
            return (await world.mission(mission_id))["state"] == "failed"

        await until(failed)
    finally:
        running.cancel()
        await asyncio.wait([running], timeout=10)

    assert "does not carry the mission on" in (await world.mission(mission_id))["reason"]


async def test_a_restart_leaves_a_vehicle_in_the_air_alone_and_follows_it(scene: Scene) -> None:
    async with scene.running():
        await scene.reaches("underway")
    scene.vehicle.calls.clear()

    async with scene.running():
        await scene.vehicle.release(scene.first)
        await scene.delivered(1)
        await scene.vehicle.release(scene.second)
        await scene.vehicle.come_home()
        await scene.reaches("completed")

    assert scene.vehicle.calls == ["recognise"]


async def test_a_restart_before_the_vehicle_has_begun_gives_the_mission_back(scene: Scene) -> None:
    await scene.world.move(scene.mission_id, "starting")

    async with scene.running():
        row = await scene.reaches("loaded")

    assert row["reason"] == "the service restarted before the vehicle had begun"
    assert "start" not in scene.vehicle.calls


async def test_a_restart_after_the_vehicle_has_begun_finds_it_under_way(scene: Scene) -> None:
    await scene.world.move(scene.mission_id, "starting")
    await scene.vehicle.fly(scene.steps)

    async with scene.running():
        await scene.reaches("underway")

    assert await scene.order_states() == ["underway", "underway"]
    assert (await scene.world.causes(scene.mission_id))[-1] == ("underway", "found under way after a restart")


@pytest.mark.parametrize("before", ["starting", "underway"])
async def test_a_mission_that_ended_unseen_is_completed_with_what_its_end_implies(scene: Scene, before: str) -> None:
    states = ["starting"] if before == "starting" else ["starting", "underway"]
    await scene.world.move(scene.mission_id, *states)
    await scene.vehicle.fly(scene.steps)
    for step in (scene.first, scene.second):
        await scene.vehicle.release(step, evidence="inferred", at=FAR_AWAY)
    await scene.vehicle.come_home()

    async with scene.running():
        await scene.reaches("completed")

    deliveries = await scene.deliveries()
    assert [d["evidence"] for d in deliveries] == ["inferred", "inferred"]
    places = [scene.steps.steps[step].position for step in (scene.first, scene.second)]
    assert [(d["lat"], d["lon"]) for d in deliveries] == [(p.lat, p.lon) for p in places]
    assert await scene.order_states() == ["delivered", "delivered"]


async def test_a_release_that_nobody_saw_is_not_placed_where_the_vehicle_is_found(scene: Scene) -> None:
    await scene.world.move(scene.mission_id, "starting", "underway")
    await scene.vehicle.fly(scene.steps)
    await scene.vehicle.release(scene.first, evidence="sensor", at=FAR_AWAY)

    async with scene.running():
        await scene.delivered(1)

    (delivery,) = await scene.deliveries()
    place = scene.steps.steps[scene.first].position
    assert (delivery["lat"], delivery["lon"]) == (place.lat, place.lon)


async def test_a_vehicle_that_lost_its_mission_is_not_given_it_again(scene: Scene) -> None:
    await scene.world.move(scene.mission_id, "starting", "underway")
    await scene.vehicle.show(position=FAR_AWAY)

    async with scene.running():
        await scene.reaches("failed")

    assert set(scene.vehicle.calls) == {"recognise"}


async def test_a_gateway_whose_lease_another_has_taken_writes_nothing_and_lets_go(scene: Scene) -> None:
    async with scene.running("gateway-1"):
        await scene.reaches("underway")
        await scene.world.write("UPDATE lease SET holder = 'gateway-2/9', epoch = epoch + 1")
        before = await scene.world.digest()
        await scene.vehicle.release(scene.first)

        async def let_go() -> bool:
            return not scene.vehicle.is_open

        await until(let_go)

    assert await scene.world.digest() == before


async def test_a_gateway_that_was_superseded_starts_nothing(scene: Scene) -> None:
    await scene.vehicle.show(ready=False)
    async with scene.running("gateway-1") as runner:

        async def adopted() -> bool:
            return runner.mission is not None

        await until(adopted)
        await scene.world.write("UPDATE lease SET holder = 'gateway-2/9', epoch = epoch + 1")
        await scene.vehicle.show(ready=True)

        async def let_go() -> bool:
            return not scene.vehicle.is_open

        await until(let_go)

    assert scene.vehicle.calls == []
    assert (await scene.row())["state"] == "accepted"


async def test_nothing_is_started_after_the_deadline_of_the_lease(scene: Scene) -> None:
    await scene.vehicle.show(ready=False)
    async with scene.running() as runner:
        runner.lease.drop()
        await scene.vehicle.show(ready=True)
        await asyncio.sleep(0.4)  # nothing may happen
        assert scene.vehicle.calls == []

        runner.lease.deadline_s = math.inf
        await scene.reaches("underway")


@asynccontextmanager
async def _breaking_connections(dsn: str) -> AsyncIterator[None]:
    """Break all connections to the database twice a second inside."""

    async def work() -> None:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
            while True:
                await conn.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                await asyncio.sleep(0.5)

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=10)


async def test_connections_that_break_all_the_time_lose_nothing(scene: Scene) -> None:
    async def begun() -> bool:
        try:
            state = (await scene.row())["state"]
            # A start whose record broke off is given back: the pilot accepts it again.
            if state == "loaded":
                await scene.accept_again()
        except (*DATABASE_ERRORS, Conflict):
            return False
        return bool(state == "underway")

    async with scene.running():
        async with _breaking_connections(scene.world.database.dsn):
            await until(begun, within_s=30)
            await scene.vehicle.release(scene.first)
            await asyncio.sleep(1.0)  # the connections break meanwhile: there is nothing to wait for
        await scene.delivered(1)
        await scene.vehicle.release(scene.second)
        await scene.vehicle.come_home()
        await scene.reaches("completed")

    assert await scene.order_states() == ["delivered", "delivered"]
    assert len(await scene.deliveries()) == 2


async def test_a_start_that_could_not_be_written_down_still_takes_the_orders_along(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, failures = missions.begin, [psycopg.OperationalError("gone"), psycopg.OperationalError("gone")]

    async def fail_first(*args: Any, **values: Any) -> None:
        if failures:
            raise failures.pop()
        await begin(*args, **values)

    monkeypatch.setattr(missions, "begin", fail_first)

    async with scene.running():
        await scene.reaches("underway")

    assert failures == []
    assert await scene.order_states() == ["underway", "underway"]
    assert scene.vehicle.calls.count("start") == 1


async def test_what_the_vehicle_does_is_written_with_who_wanted_it(scene: Scene) -> None:
    async with scene.running():
        await scene.reaches("underway")
        hold = await scene.command("hold", key="a")
        await scene.reaches("held")
        resume = await scene.command("resume", key="b")
        await scene.reaches("underway")
        back = await scene.command("return", key="c")
        await scene.reaches("returning")
        outcomes = [await scene.outcome(command) for command in (hold, resume, back)]

    assert [(o["state"], o["outcome"]) for o in outcomes] == [
        ("done", "the vehicle shows: hold"),
        ("done", "the vehicle shows: mission"),
        ("done", "the vehicle shows: return"),
    ]
    assert (await scene.world.causes(scene.mission_id))[-3:] == [
        ("held", "hold by pilot"),
        ("underway", "resume by pilot"),
        ("returning", "return by pilot"),
    ]


async def test_a_command_that_the_vehicle_refuses_fails_with_its_words(scene: Scene) -> None:
    scene.vehicle.fails["hold"] = [Refused("mode change denied")]
    async with scene.running():
        await scene.reaches("underway")
        outcome = await scene.outcome(await scene.command("hold", key="a"))

    assert (outcome["state"], outcome["outcome"]) == ("failed", "mode change denied")
    assert (await scene.row())["state"] == "underway"


async def test_a_command_that_goes_wrong_inside_does_not_silence_the_vehicle(scene: Scene) -> None:
    scene.vehicle.fails["hold"] = [KeyError("a mistake")]
    async with scene.running():
        await scene.reaches("underway")
        failed = await scene.outcome(await scene.command("hold", key="a"))
        again = await scene.outcome(await scene.command("hold", key="b"))

    assert failed["state"] == "failed"
    assert "internal error (KeyError)" in failed["outcome"]
    assert again["state"] == "done"


async def test_a_hold_waits_for_no_other_command(scene: Scene) -> None:
    never = scene.vehicle.hangs["return"] = asyncio.Event()
    async with scene.running():
        await scene.reaches("underway")
        for n in range(5):
            await scene.command("return", key=f"r{n}")

        async def busy() -> bool:
            return scene.vehicle.calls.count("return") == 3

        await until(busy)
        outcome = await scene.outcome(await scene.command("hold", key="h"))
        assert not never.is_set()

    assert outcome["state"] == "done"
    assert scene.vehicle.calls.count("return") == 3
    left = await scene.world.rows("SELECT state FROM command WHERE kind = 'return' ORDER BY issued_at")
    assert [row["state"] for row in left][3:] == ["expired", "expired"]


async def test_a_command_sent_by_the_last_life_fails_and_is_not_sent_again(scene: Scene) -> None:
    scene.vehicle.hangs["return"] = asyncio.Event()
    async with scene.running():
        await scene.reaches("underway")
        command = await scene.command("return", key="a")

        async def sent() -> bool:
            return "return" in scene.vehicle.calls

        await until(sent)
    scene.vehicle.calls.clear()

    async with scene.running():
        outcome = await scene.outcome(command)
        await scene.outcome(await scene.command("hold", key="b"))

    assert outcome["state"] == "failed"
    assert "before the outcome was known" in outcome["outcome"]
    assert "return" not in scene.vehicle.calls


async def test_a_vehicle_that_talks_all_the_time_does_not_keep_the_database_busy(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    active = missions.active

    async def counted(*args: Any) -> dict[str, Any] | None:
        nonlocal asked
        asked += 1
        return await active(*args)

    monkeypatch.setattr(missions, "active", counted)
    monkeypatch.setattr(dispatch, "POLL_S", 30.0)
    await scene.world.move(scene.mission_id, "starting", "loaded")
    async with scene.running():

        async def looked() -> bool:
            return asked > 0

        await until(looked)
        for n in range(200):
            await scene.vehicle.show(speed_mps=float(n))

    assert asked <= 2
