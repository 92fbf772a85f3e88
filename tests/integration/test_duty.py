"""Duty: who is at work, what counts as a sign of life, and what happens when a pilot gives none."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from fleet import alarm_store, control, duty
from fleet.api import presence
from fleet.duty_watch import CODE, SOURCE, DutyWatch
from fleet.errors import Conflict
from telemetry.clock import Clock
from telemetry.sqlfile import statements
from tests.api_kit import Api, assert_problem
from tests.control_kit import change, controller, on_duty, quiet
from tests.fleet_kit import World

BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"}


async def _flying(world: World) -> str:
    await world.drone()
    await world.order("A1")
    (mission_id,) = await world.missions()
    await world.user("pilot", "pilot")
    await world.fly(mission_id)
    return mission_id


async def _quiet_s(world: World, pilot: str = "pilot") -> float:
    async with world.database.transaction() as conn:
        return float(next(row["quiet_s"] for row in await duty.listing(conn) if row["user_id"] == pilot))


async def test_duty_begins_once_and_ends(api: Api) -> None:
    pilot = await api.as_("pilot")

    begun = [await pilot.post("/api/duty/start") for _ in range(2)]
    listed = (await pilot.get("/api/duty")).json()
    ended = await pilot.post("/api/duty/end")
    again = await pilot.post("/api/duty/end")

    assert begun[0].json()["duty_id"] == begun[1].json()["duty_id"]
    (row,) = listed["duty"]
    assert (row["user_id"], row["display_name"], row["silent"], row["vehicles"]) == ("pilot", "Pilot", False, [])
    assert listed["silent_s"] == 60.0
    assert ended.status_code == 200
    assert_problem(again, 409)
    assert (await pilot.get("/api/duty")).json()["duty"] == []


@pytest.mark.parametrize("role", ["administrator", "dispatcher", "viewer", "ground_crew"])
async def test_duty_and_control_are_for_pilots(api: Api, role: str) -> None:
    await api.world.drone()
    client = await api.as_(role)

    for path in ("/api/duty/start", "/api/vehicles/drone-1/control/take"):
        assert_problem(await client.post(path), 403)
    command = {"kind": "hold", "idempotency_key": "k"}
    assert_problem(await client.post("/api/vehicles/drone-1/commands", json=command), 403)


@pytest.mark.parametrize(
    ("method", "path", "headers", "counts"),
    [
        ("POST", "/api/duty/beat", BROWSER, True),
        ("POST", "/api/vehicles/drone-1/commands/preview", BROWSER, True),
        ("GET", "/api/missions", BROWSER, False),
        ("GET", "/api/missions", {}, True),
    ],
)
async def test_a_sign_of_life_is_what_a_page_does_not_ask_by_itself(
    api: Api, method: str, path: str, headers: dict[str, str], counts: bool
) -> None:
    await api.world.drone()
    await on_duty(api.world, "pilot")
    client = api.client(await api.token("pilot"))
    await quiet(api.world, "pilot", 50.0)
    body = {"kind": "hold"} if method == "POST" else None

    await client.request(method, path, headers=headers, json=body)

    assert (await _quiet_s(api.world) < 40.0) == counts


async def test_signs_of_life_are_written_every_few_seconds_at_most(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await on_duty(api.world, "pilot")
    client = api.client(await api.token("pilot"))

    async def after_a_request() -> float:
        await quiet(api.world, "pilot", 50.0)
        await client.get("/api/missions")
        return await _quiet_s(api.world)

    assert await after_a_request() < 40.0
    assert await after_a_request() > 40.0
    monkeypatch.setattr(presence, "NOTE_EVERY_S", 0.0)
    assert await after_a_request() < 40.0


async def test_somebody_off_duty_gives_no_signs_of_life(api: Api) -> None:
    client = await api.as_("pilot")

    answer = (await client.post("/api/duty/beat")).json()

    assert answer == {"on_duty": False, "silent_s": 60.0}
    assert (await client.get("/api/duty")).json()["duty"] == []


async def test_no_request_waits_for_its_sign_of_life_to_be_written(api: Api) -> None:
    await on_duty(api.world, "pilot")
    client = api.client(await api.token("pilot"))
    async with api.world.database.transaction() as conn:
        await conn.execute("SELECT 1 FROM pilot_duty FOR UPDATE")
        async with asyncio.timeout(10):
            response = await client.get("/api/missions")

    assert response.status_code == 200


async def _alarms(world: World) -> list[dict[str, Any]]:
    async with world.database.transaction() as conn:
        rows = await alarm_store.listing(conn, source=SOURCE)
    return [row for row in rows if row["code"] == CODE and row["standing"]]


async def _rounds(world: World, watch: DutyWatch, count: int) -> None:
    """Make rounds of housekeeping, two seconds apart."""
    for _ in range(count):
        await watch.once()
        world.later(2.0)


def _watch(world: World) -> DutyWatch:
    return DutyWatch(world.database, cast(Clock, SimpleNamespace(now=lambda: world.at, speed=1.0)))


async def test_a_silent_pilot_is_an_alarm_until_there_is_a_sign_of_life(world: World) -> None:
    await _flying(world)
    watch = _watch(world)

    await _rounds(world, watch, 3)
    assert await _alarms(world) == []
    await quiet(world, "pilot", 75.0)
    await _rounds(world, watch, 2)

    (alarm,) = await _alarms(world)
    assert (alarm["key"], alarm["urgency"]) == ("pilot", "high")
    assert "Pilot has given no sign of life for 75 s and controls drone-1" in alarm["text_en"]
    assert "drone-1" in alarm["text_ja"]
    async with world.database.transaction() as conn:
        await duty.beat(conn, "pilot")
    await _rounds(world, watch, 5)
    assert await _alarms(world) == []


async def test_a_silent_pilot_is_no_alarm_while_nothing_moves(world: World) -> None:
    mission_id = await _flying(world)
    await world.move(mission_id, "completed")
    await quiet(world, "pilot")
    watch = _watch(world)

    await _rounds(world, watch, 3)

    assert await _alarms(world) == []


async def test_another_housekeeper_clears_what_the_first_one_raised(world: World) -> None:
    await _flying(world)
    await quiet(world, "pilot")
    first, second = _watch(world), _watch(world)
    await _rounds(world, first, 2)
    assert len(await _alarms(world)) == 1

    async with world.database.transaction() as conn:
        await duty.beat(conn, "pilot")
    await _rounds(world, second, 5)

    assert await _alarms(world) == []


async def test_what_a_silent_pilot_flies_is_taken_at_once_and_the_alarm_is_over(world: World) -> None:
    await _flying(world)
    await on_duty(world, "kato")
    await quiet(world, "pilot")
    watch = _watch(world)
    await _rounds(world, watch, 2)

    await change(world, control.take, "kato")
    await _rounds(world, watch, 5)

    assert await controller(world) == "kato"
    assert await _alarms(world) == []
    with pytest.raises(Conflict, match="kato controls"):
        await change(world, control.take, "pilot")


async def _post(client: httpx.AsyncClient, path: str, body: Any = None) -> httpx.Response:
    return await client.post(f"/api/vehicles/drone-1/control/{path}", json=body)


async def test_a_shift_ends_by_handing_over_over_the_api(api: Api) -> None:
    await _flying(api.world)
    pilot = await api.as_("pilot")
    relief = api.client((await api.world.session("kato", "pilot")).token)
    await relief.post("/api/duty/start")
    assert_problem(await pilot.post("/api/duty/end"), 409)

    offered = await _post(pilot, "offer", {"to": "kato"})
    listed = (await relief.get("/api/control")).json()["control"]
    accepted = await _post(relief, "accept")
    ended = await pilot.post("/api/duty/end")

    assert [r.status_code for r in (offered, accepted, ended)] == [200, 200, 200]
    assert [(row["pilot"], row["offered_to"], row["silent"]) for row in listed] == [("pilot", "kato", False)]
    listed = (await relief.get("/api/control")).json()["control"]
    assert [(row["pilot"], row["display_name"], row["offered_to"]) for row in listed] == [("kato", "Kato", None)]
    assert_problem(await _post(pilot, "offer", {"to": "kato"}), 409)
    assert_problem(await _post(pilot, "offer", {}), 422)
    assert_problem(await pilot.post("/api/vehicles/drone-9/control/take"), 404)


async def test_the_flight_log_knows_that_two_pilots_flew(api: Api) -> None:
    mission_id = await _flying(api.world)
    await on_duty(api.world, "kato")
    api.world.later(60)
    await change(api.world, control.offer, "pilot", to="kato")
    await change(api.world, control.accept, "kato")
    api.world.later(60)
    await api.world.move(mission_id, "completed")

    rows = await api.world.rows(
        statements("fleet.db.sql", "flight_log.sql")["missions_between"],
        vehicle_id="drone-1", began_at=api.world.at - timedelta(hours=1), ended_at=api.world.at,
    )  # fmt: skip

    assert [(row["accepted_by"], row["took_over"]) for row in rows] == [("pilot", ["kato"])]
