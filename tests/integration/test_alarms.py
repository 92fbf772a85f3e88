"""Alarms in a real database: one row for each, who may move it, a journal that leaves nothing out, and outages."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from fleet import alarm_keeper, alarm_rounds, alarm_store, leases
from fleet.alarm_keeper import AlarmKeeper
from fleet.alarm_rounds import AlarmRounds
from fleet.alarm_states import Event, State
from fleet.alarms import AlarmBook
from fleet.changes import listen
from fleet.db.database import DATABASE_ERRORS, Connection, Database
from fleet.errors import BadRequest, Conflict, NotFound
from telemetry.clock import Clock
from telemetry.monitors.finding import Finding, Value
from tests.fleet_kit import World, until
from tests.postgres import TestServer
from tests.problems import START


class Watched:
    """A vehicle that is looked at, and the keeper of its alarms."""

    def __init__(self, database: Database, *, gateway: str = "gateway-1", now: datetime = START) -> None:
        self.database = database
        self.keeper = AlarmKeeper(AlarmBook(), database, actor=gateway)
        self.now = now

    @property
    def book(self) -> AlarmBook:
        return self.keeper.book

    def shows(self, *codes: str, seconds: float = 3.0, source: str = "drone-1", **values: Value) -> None:
        """Show conditions for some seconds, ten looks at least."""
        findings = [Finding(code, True, values=values) for code in codes]
        for _ in range(10):
            self.now += timedelta(seconds=seconds / 10)
            self.book.take("vehicle", source, findings, at=self.now, speed=1.0)

    async def take_over(self, source: str = "drone-1") -> None:
        async with self.database.transaction() as conn:
            await self.keeper.adopt(conn, "vehicle", source)

    def states(self, source: str = "drone-1") -> list[tuple[str, State]]:
        return [(alarm.code, alarm.state) for alarm in self.book.alarms("vehicle", source)]


async def _rows(database: Database) -> list[dict[str, Any]]:
    async with database.transaction() as conn:
        return list(reversed(await alarm_store.listing(conn)))


async def _journal(database: Database) -> list[tuple[str, str, str]]:
    async with database.transaction() as conn:
        return [(row["code"], row["event"], row["state"]) for row in await alarm_store.since(conn, 0)]


@pytest.fixture
def drone(world: World) -> Watched:
    return Watched(world.database)


async def test_an_alarm_is_stored_with_its_times_and_texts_and_closed_when_it_is_over_and_answered(
    world: World, drone: Watched
) -> None:
    began = drone.now
    drone.shows("battery", charge_pct=20.0, reserve_pct=25.0)
    await drone.keeper.once()

    (row,) = await _rows(world.database)
    assert (row["source_kind"], row["source_id"], row["code"], row["state"]) == (
        "vehicle", "drone-1", "battery", "unacknowledged",
    )  # fmt: skip
    assert row["text_en"] == "Battery at 20 %, below the reserve of 25 %"
    assert row["given"] == {"charge_pct": 20.0, "reserve_pct": 25.0}
    assert row["shown_at"] == began + timedelta(seconds=0.3)
    assert timedelta(seconds=1.5) <= row["raised_at"] - row["shown_at"] < timedelta(seconds=2)
    assert drone.book.alarms("vehicle", "drone-1")[0].alarm_id == row["alarm_id"]

    async with world.database.transaction() as conn:
        await alarm_store.acknowledge(conn, row["alarm_id"], at=drone.now, actor="kato")
    await drone.keeper.once()
    assert drone.states() == [("battery", State.ACKNOWLEDGED)]
    drone.shows(seconds=100)
    await drone.keeper.once()

    (row,) = await _rows(world.database)
    assert (row["state"], row["standing"], row["acknowledged_by"]) == ("normal", False, "kato")
    assert row["ended_at"] == row["returned_at"] > row["acknowledged_at"]
    assert drone.book.open() == []
    assert await _journal(world.database) == [
        ("battery", "raise", "unacknowledged"),
        ("battery", "acknowledge", "acknowledged"),
        ("battery", "clear", "normal"),
    ]  # fmt: skip


async def test_what_is_over_before_anybody_answers_stays_until_somebody_does(world: World, drone: Watched) -> None:
    drone.shows("manual")
    drone.shows(seconds=100)
    await drone.keeper.once()
    (row,) = await _rows(world.database)
    assert (row["state"], row["standing"]) == ("returned", False)

    async with world.database.transaction() as conn:
        first = await alarm_store.acknowledge(conn, row["alarm_id"], at=drone.now, actor="kato")
        again = await alarm_store.acknowledge(conn, row["alarm_id"], at=drone.now, actor="sato")
    await drone.keeper.once()

    assert first["state"] == "normal"
    assert again["acknowledged_by"] == "kato"
    assert drone.book.open() == []
    drone.shows("manual")
    await drone.keeper.once()
    assert [row["state"] for row in await _rows(world.database)] == ["normal", "unacknowledged"]


async def test_what_comes_back_before_the_gateway_knows_that_it_was_answered_is_a_new_alarm(
    world: World, drone: Watched
) -> None:
    drone.shows("manual")
    drone.shows(seconds=100)
    await drone.keeper.once()
    (row,) = await _rows(world.database)
    async with world.database.transaction() as conn:
        await alarm_store.acknowledge(conn, row["alarm_id"], at=drone.now, actor="kato")

    drone.shows("manual")
    await drone.keeper.once()

    rows = await _rows(world.database)
    assert [row["state"] for row in rows] == ["normal", "unacknowledged"]
    assert drone.book.alarms("vehicle", "drone-1")[0].alarm_id == rows[1]["alarm_id"] != rows[0]["alarm_id"]


async def test_shelving_takes_a_reason_and_a_bound_and_ends_by_itself(world: World, drone: Watched) -> None:
    drone.shows("stuck", "zone_breach", "too_close")
    await drone.keeper.once()
    ids = {row["code"]: row["alarm_id"] for row in await _rows(world.database)}
    at = drone.now

    async def shelve(code: str, minutes: float, reason: str) -> dict[str, Any]:
        async with world.database.transaction() as conn:
            return await alarm_store.shelve(conn, ids[code], minutes=minutes, reason=reason, at=at, actor="kato")

    for code, minutes, reason, kind in [
        ("stuck", 0, "road works", BadRequest), ("stuck", 241, "road works", BadRequest),
        ("stuck", float("nan"), "road works", BadRequest), ("stuck", 30, "  ", BadRequest),
        ("zone_breach", 6, "permitted", BadRequest), ("too_close", 1, "formation", Conflict),
    ]:  # fmt: skip
        with pytest.raises(kind):
            await shelve(code, minutes, reason)
    row = await shelve("stuck", 30, "road works")
    assert (row["state"], row["shelved_until"], row["shelf_reason"]) == (
        "shelved", at + timedelta(minutes=30), "road works",
    )  # fmt: skip
    assert await shelve("stuck", 60, "again") == row
    await drone.keeper.once()
    assert ("stuck", State.SHELVED) in drone.states()

    async with world.database.transaction() as conn:
        early = await alarm_store.unshelve_due(conn, at=at + timedelta(minutes=29), actor="housekeeping")
        due = await alarm_store.unshelve_due(conn, at=at + timedelta(minutes=30), actor="housekeeping")
    assert (early, due) == (0, 1)
    (row,) = [row for row in await _rows(world.database) if row["code"] == "stuck"]
    assert (row["state"], row["shelved_until"]) == ("unacknowledged", None)
    async with world.database.transaction() as conn:
        journal = [event for event in await alarm_store.since(conn, 0) if event["code"] == "stuck"]
    # Who looks back sees how long it was meant to be there.
    assert [event["shelved_until"] for event in journal] == [None, at + timedelta(minutes=30), None]
    await drone.keeper.once()
    assert ("stuck", State.UNACKNOWLEDGED) in drone.states()


async def test_who_does_what_to_an_alarm_is_in_the_audit_and_the_journal(world: World, drone: Watched) -> None:
    drone.shows("stuck")
    await drone.keeper.once()
    (row,) = await _rows(world.database)
    async with world.database.transaction() as conn:
        await alarm_store.shelve(conn, row["alarm_id"], minutes=5, reason="road works", at=drone.now, actor="kato")
        await alarm_store.unshelve(conn, row["alarm_id"], at=drone.now, actor="sato")
        await alarm_store.acknowledge(conn, row["alarm_id"], at=drone.now, actor="sato")
        with pytest.raises(NotFound):
            await alarm_store.acknowledge(conn, "a-none", at=drone.now, actor="sato")

    trail = await world.rows("SELECT actor, action FROM audit WHERE subject_kind = 'alarm' ORDER BY audit_id")
    assert [(entry["actor"], entry["action"]) for entry in trail] == [
        ("kato", "alarm.shelve"), ("sato", "alarm.unshelve"), ("sato", "alarm.acknowledge"),
    ]  # fmt: skip
    async with world.database.transaction() as conn:
        assert [event["actor"] for event in await alarm_store.events(conn, row["alarm_id"])] == [
            "gateway-1", "kato", "sato", "sato",
        ]  # fmt: skip


async def test_another_gateway_takes_the_open_alarms_over(world: World, drone: Watched) -> None:
    drone.shows("battery", "manual")
    await drone.keeper.once()
    ids = {row["code"]: row["alarm_id"] for row in await _rows(world.database)}
    async with world.database.transaction() as conn:
        await alarm_store.acknowledge(conn, ids["battery"], at=drone.now, actor="kato")

    other = Watched(world.database, gateway="gateway-2", now=drone.now + timedelta(seconds=8))
    await other.take_over()
    other.shows("battery", seconds=30)
    await other.keeper.once()

    rows = {row["code"]: row for row in await _rows(world.database)}
    assert {code: row["alarm_id"] for code, row in rows.items()} == ids
    assert (rows["battery"]["state"], rows["manual"]["state"]) == ("acknowledged", "returned")
    # The one that was superseded says what it still believes: nothing comes of it but one row for one condition.
    drone.shows("battery", "manual", "fault", seconds=60)
    await drone.keeper.once()
    assert len(await _rows(world.database)) == 3


async def test_two_that_see_the_same_have_one_alarm(world: World) -> None:
    both = [Watched(world.database, gateway=f"gateway-{n}") for n in (1, 2)]
    for one in both:
        one.shows("manual")
    await asyncio.gather(*(one.keeper.once() for one in both))

    (row,) = await _rows(world.database)
    assert {one.book.alarms("vehicle", "drone-1")[0].alarm_id for one in both} == {row["alarm_id"]}
    for one in both:
        one.shows(seconds=100)
    await asyncio.gather(*(one.keeper.once() for one in both))
    assert [event for _, event, _ in await _journal(world.database)] == ["raise", "clear"]


async def test_a_change_that_is_sent_twice_is_stored_once(world: World, drone: Watched) -> None:
    drone.shows("manual")
    changes = list(drone.book.changes)
    for _ in range(3):
        async with world.database.transaction() as conn:
            await alarm_store.apply(conn, changes, actor="gateway-1")
    assert await _journal(world.database) == [("manual", "raise", "unacknowledged")]


async def test_one_change_that_cannot_be_stored_does_not_hold_up_the_others(world: World, drone: Watched) -> None:
    drone.shows("manual")
    drone.book.changes.appendleft(replace(drone.book.changes[0], change_id="bad", alarm=replace(
        drone.book.changes[0].alarm, alarm_id="a-bad", source=("nobody", "x"),
    )))  # fmt: skip
    await drone.keeper.once()
    assert await _journal(world.database) == [("manual", "raise", "unacknowledged")]
    assert not drone.book.changes


@pytest.mark.parametrize("refusal", ["only reads", "no right"])
async def test_a_database_that_takes_nothing_now_gets_every_change_later(
    world: World, drone: Watched, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    apply, refused = alarm_store.apply, asyncio.Semaphore(0)

    async def refuse(conn: Connection, changes: list[Any], *, actor: str) -> dict[str, str]:
        refused.release()
        if refusal == "no right":
            raise psycopg.errors.InsufficientPrivilege("not yours")
        await conn.execute("SET TRANSACTION READ ONLY")
        return await apply(conn, changes, actor=actor)

    monkeypatch.setattr(alarm_keeper, "RETRY_S", 0.05)
    monkeypatch.setattr(alarm_store, "apply", refuse)
    drone.shows("manual", "fault")
    keeping = asyncio.create_task(drone.keeper.run())
    async with asyncio.timeout(20):
        for _ in range(4):
            await refused.acquire()
    assert len(drone.book.changes) == 2
    monkeypatch.setattr(alarm_store, "apply", apply)
    await until(lambda: _stored(world.database, 1))
    keeping.cancel()

    assert {row["code"] for row in await _rows(world.database)} == {"manual", "fault"}


async def _write_where_only_reading_is_allowed(world: World) -> None:
    async with world.database.transaction() as conn:
        await conn.execute("SET TRANSACTION READ ONLY")
        await conn.execute("DELETE FROM lease")


async def _stop_in_a_transaction(world: World) -> None:
    async with world.database.transaction() as conn:
        await conn.execute("SET LOCAL idle_in_transaction_session_timeout = 1")
        pid = conn.info.backend_pid

        async def thrown_out() -> bool:
            return not await world.rows("SELECT 1 FROM pg_stat_activity WHERE pid = %(pid)s", pid=pid)

        await until(thrown_out)
        await conn.execute("SELECT 1")


@pytest.mark.parametrize("work", [_write_where_only_reading_is_allowed, _stop_in_a_transaction])
async def test_a_database_that_only_reads_or_has_thrown_us_out_is_one_that_is_away(world: World, work: Any) -> None:
    with pytest.raises(DATABASE_ERRORS):
        await work(world)


async def test_a_raising_that_was_dropped_is_handed_in_again(
    world: World, drone: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = alarm_store.apply

    async def refuse(*given: Any, **more: Any) -> dict[str, str]:
        raise psycopg.DataError("no such text")

    monkeypatch.setattr(alarm_store, "apply", refuse)
    drone.shows("manual")
    await drone.keeper.once()
    assert not drone.book.changes
    monkeypatch.setattr(alarm_store, "apply", apply)
    # Not at once: one that can never be stored would be tried without end.
    await drone.keeper.once()
    assert await _rows(world.database) == []

    monkeypatch.setattr(alarm_keeper, "LOOK_S", 0.0)
    await drone.keeper.once()

    assert [row["code"] for row in await _rows(world.database)] == ["manual"]
    assert drone.book.alarms("vehicle", "drone-1")[0].alarm_id is not None


async def test_a_process_that_ends_does_not_wait_for_a_database_that_is_away(
    drone: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(alarm_keeper, "FINISH_S", 0.05)
    monkeypatch.setattr(drone.keeper, "once", hang)
    drone.shows("manual")
    async with asyncio.timeout(20):
        await drone.keeper.finish()


async def test_a_reader_of_the_journal_misses_nothing_while_many_write(world: World) -> None:
    watched = [Watched(world.database, gateway=f"gateway-{n}") for n in range(6)]
    read: list[int] = []
    done = asyncio.Event()

    async def reader() -> None:
        place = 0
        while True:
            last = done.is_set()
            async with world.database.transaction() as conn:
                rows = await alarm_store.since(conn, place, limit=7)
            read.extend(row["event_id"] for row in rows)
            place = read[-1] if read else 0
            if last and not rows:
                return
            await asyncio.sleep(0)

    async def writer(one: Watched, source: str) -> None:
        for _ in range(6):
            one.shows("manual", "fault", source=source)
            await one.keeper.once()
            one.shows(seconds=400, source=source)
            await one.keeper.once()

    reading = asyncio.create_task(reader())
    await asyncio.gather(*(writer(one, f"drone-{n}") for n, one in enumerate(watched)))
    done.set()
    await reading

    stored = [row["event_id"] for row in await world.rows("SELECT event_id FROM alarm_event ORDER BY event_id")]
    assert read == stored
    assert len(stored) == 6 * 6 * 4


async def test_events_become_visible_in_the_order_of_their_ids(world: World, drone: Watched) -> None:
    drone.shows("manual", "fault")
    first, second = drone.book.changes
    async with world.database.transaction() as slow:
        await alarm_store.apply(slow, [first], actor="slow")
        other = asyncio.create_task(_apply(world.database, second))
        await until(world.somebody_waits)
        # The second waits for its turn: its id is drawn after the first is there for all.
        assert not other.done()
        async with world.database.transaction() as reading:
            assert await alarm_store.since(reading, 0) == []
    await other
    assert [code for code, _, _ in await _journal(world.database)] == [first.alarm.code, second.alarm.code]


async def _apply(database: Database, change: Any) -> None:
    async with database.transaction() as conn:
        await alarm_store.apply(conn, [change], actor="fast")


async def test_listeners_hear_of_alarms(world: World, drone: Watched) -> None:
    heard: list[str] = []
    listening = asyncio.create_task(listen(world.database.dsn, heard.append))
    await until(world.somebody_listens)
    drone.shows("manual")
    await drone.keeper.once()

    async def told() -> bool:
        return "alarm" in heard

    await until(told)
    listening.cancel()


async def test_alarms_go_on_while_the_database_is_away_and_are_stored_with_their_true_times(
    crashing_server: TestServer,
) -> None:
    async with Database.open(crashing_server.dsn, timeout_s=2.0) as database:
        drone = Watched(database)
        keeping = asyncio.create_task(drone.keeper.run())
        drone.shows("manual")
        await until(lambda: _stored(database, 1), within_s=20)
        crashing_server.crash()

        drone.shows("manual", "battery")
        drone.shows("battery", seconds=100)
        drone.shows("battery", "fault")
        with pytest.raises(DATABASE_ERRORS):
            await _rows(database)
        assert drone.states() == [
            ("battery", State.UNACKNOWLEDGED), ("fault", State.UNACKNOWLEDGED),
        ]  # fmt: skip
        assert [change.event for change in drone.book.changes] == [Event.RAISE, Event.CLEAR, Event.RAISE]

        crashing_server.start()
        await until(lambda: _stored(database, 3), within_s=30)
        rows = {row["code"]: row for row in await _rows(database)}
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
    assert rows["manual"]["state"] == "returned"
    assert rows["manual"]["returned_at"] < rows["fault"]["raised_at"] <= drone.now
    assert rows["battery"]["raised_at"] < START + timedelta(seconds=10)


async def _stored(database: Database, number: int) -> bool:
    with suppress(*DATABASE_ERRORS):
        async with database.transaction() as conn:
            return len(await alarm_store.since(conn, 0)) >= number + (1 if number > 1 else 0)
    return False


async def test_a_gateway_whose_leases_run_out_is_an_urgent_alarm_until_another_has_its_vehicles(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm_rounds, "PATIENCE_S", -1.0)
    monkeypatch.setattr("fleet.alarms.RAISE_WALL_S", 0.0)
    monkeypatch.setattr("fleet.alarms.CLEAR_WALL_S", 0.0)
    await world.drone("drone-1")
    async with world.database.transaction() as conn:
        await leases.acquire(conn, ["drone-1"], holder="gateway-1/a")
    rounds = AlarmRounds(world.database, Clock(Clock.real().now(), world.at, 3600.0), running=frozenset)
    await rounds.once()
    assert await _rows(world.database) == []
    await world.write("UPDATE lease SET expires_wall = clock_timestamp() - interval '3 s'")

    await rounds.once()

    (row,) = await _rows(world.database)
    assert (row["source_kind"], row["source_id"], row["code"], row["urgency"]) == (
        "process", "gateway-1", "gateway_silent", "urgent",
    )  # fmt: skip
    async with world.database.transaction() as conn:
        await leases.acquire(conn, ["drone-1"], holder="gateway-2/b")
    # Any housekeeper clears what another one has raised.
    later = Clock(Clock.real().now(), world.at + timedelta(hours=10), 3600.0)
    other = AlarmRounds(world.database, later, running=frozenset)

    async def over() -> bool:
        await other.once()
        return [row["state"] for row in await _rows(world.database)] == ["returned"]

    await until(over)


async def test_leases_of_the_evening_before_are_no_alarm_when_the_service_starts(world: World) -> None:
    await world.drone("drone-1")
    async with world.database.transaction() as conn:
        await leases.acquire(conn, ["drone-1"], holder="gateway-1/a")
    await world.write("UPDATE lease SET expires_wall = clock_timestamp() - interval '10 h'")
    async with world.database.transaction() as conn:
        young = await alarm_store.silent_gateways(conn, over_s=1.0, looking_s=5.0, patience_s=30.0)
        old = await alarm_store.silent_gateways(conn, over_s=1.0, looking_s=31.0, patience_s=30.0)
    assert (young, [name for name, _ in old]) == ([], ["gateway-1"])


async def test_a_gateway_that_gave_one_vehicle_up_and_renews_others_has_not_stopped(world: World) -> None:
    await world.drone("drone-1")
    await world.drone("drone-2", port=14602, pad=1)
    async with world.database.transaction() as conn:
        await leases.acquire(conn, ["drone-1", "drone-2"], holder="gateway-1/a")
    await world.write("UPDATE lease SET expires_wall = clock_timestamp() - interval '3 s' WHERE vehicle_id = 'drone-1'")
    async with world.database.transaction() as conn:
        assert await alarm_store.silent_gateways(conn, over_s=1.0, looking_s=99.0, patience_s=30.0) == []


async def test_a_gateway_that_was_silent_for_one_look_is_not_one_that_was_silent_since_then(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm_rounds, "PATIENCE_S", -1.0)
    await world.drone("drone-1")
    clock = Clock.real()
    rounds = AlarmRounds(world.database, clock, running=frozenset)

    async def look(at: datetime, *, silent: bool) -> None:
        monkeypatch.setattr(Clock, "now", lambda _: at)
        wall = "- interval '3 s'" if silent else "+ interval '1 h'"
        await world.write(f"UPDATE lease SET expires_wall = clock_timestamp() {wall}")
        await rounds.once()

    async with world.database.transaction() as conn:
        await leases.acquire(conn, ["drone-1"], holder="gateway-1/a")
    await look(START, silent=True)
    await look(START + timedelta(seconds=2), silent=False)
    await look(START + timedelta(days=3), silent=True)
    assert await _rows(world.database) == []

    await look(START + timedelta(days=3, seconds=2), silent=True)
    (row,) = await _rows(world.database)
    assert row["since"] == START + timedelta(days=3)


async def test_what_a_process_said_of_itself_is_over_when_there_is_no_such_process_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.drone("drone-1")
    async with world.database.transaction() as conn:
        await leases.acquire(conn, ["drone-1"], holder="gateway-3/a")
    await world.write("UPDATE lease SET expires_wall = clock_timestamp() + interval '1 h'")
    for name in ("gateway-1", "gateway-2", "gateway-3"):
        said = Watched(world.database, gateway=name)
        for number in range(100):
            findings = [Finding("database_away", True), Finding("gateway_silent", True)]
            said.book.take("process", name, findings, at=START + timedelta(seconds=number), speed=1.0)
        await said.keeper.once()
    rounds = AlarmRounds(world.database, Clock.real(), running=lambda: {"gateway-1", "planner"})

    async def standing() -> set[str]:
        return {r["source_id"] for r in await _rows(world.database) if r["code"] == "database_away" and r["standing"]}

    # One that restarts is missed for a moment.
    await rounds.once()
    assert await standing() == {"gateway-1", "gateway-2", "gateway-3"}

    monkeypatch.setattr(alarm_rounds, "GONE_S", 0.0)
    await rounds.once()
    assert await standing() == {"gateway-1", "gateway-3"}
    (cleared,) = [r for r in await _rows(world.database) if (r["code"], r["standing"]) == ("database_away", False)]
    async with world.database.transaction() as conn:
        assert (await alarm_store.events(conn, cleared["alarm_id"]))[-1]["cause"] == "the process is gone"


async def test_the_alarms_of_a_retired_vehicle_are_over(world: World, drone: Watched) -> None:
    await world.drone("drone-1")
    drone.shows("mission_failed")
    await drone.keeper.once()
    await world.write("UPDATE vehicle SET retired_at = %(at)s", at=drone.now)
    async with world.database.transaction() as conn:
        assert await alarm_store.clear_retired(conn, at=drone.now, actor="housekeeping") == 1
    assert [row["state"] for row in await _rows(world.database)] == ["returned"]


async def test_the_schema_keeps_no_state_that_there_is_not(world: World, drone: Watched) -> None:
    drone.shows("manual")
    await drone.keeper.once()
    for wrong in ("state = 'returned'", "state = 'shelved'", "state = 'normal'", "standing = false"):
        with pytest.raises(psycopg.errors.CheckViolation):
            await world.write(f"UPDATE alarm SET {wrong}")
