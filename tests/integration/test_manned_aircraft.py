"""Manned aircraft: what a receiver sends and what people say, in the database, as alarms, against launches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest

from fleet import aircraft_feed, launch, manned_aircraft
from fleet.aircraft_feed import AircraftFeed
from fleet.manned_aircraft import Aircraft
from telemetry.clock import Clock
from tests.api_kit import Api, assert_problem
from tests.fleet_kit import World


class Receiver:
    """An HTTP server of its own that answers what a test says; ``None``: nothing at all."""

    def __init__(self) -> None:
        self.body: bytes | None = b""
        self.status = 200
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if self.body is None:
            await reader.read()
            writer.close()
            return
        head = f"HTTP/1.1 {self.status} x\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + self.body)
        writer.close()


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    made.url = f"http://127.0.0.1:{port}/data/aircraft.json"
    async with server:
        yield made


def file(world: World, *, now: float, **changes: Any) -> bytes:
    origin = world.region.origin
    entry = {"hex": "86e2f1", "flight": "JA01HP", "lat": origin.lat, "lon": origin.lon, "alt_baro": 1500, "seen_pos": 1}
    return orjson.dumps({"now": now, "aircraft": [entry | changes]})


async def present(world: World, clock: Clock) -> list[str]:
    async with world.database.transaction() as conn:
        rows = await manned_aircraft.listing(conn, region_id=world.region.region_id, at=clock.now())
    return [row["ident"] for row in rows]


async def alarms(world: World) -> list[tuple[str, bool]]:
    rows = await world.rows("SELECT code, standing FROM alarm ORDER BY number")
    return [(row["code"], row["standing"]) for row in rows]


async def test_what_the_receiver_sees_is_known_and_forgotten_when_it_is_seen_no_more(world: World) -> None:
    clock = Clock(Clock.real().now(), world.at, 1.0)
    async with receiver() as source, httpx.AsyncClient(timeout=2.0) as client:
        feed = AircraftFeed(source.url, world.database, clock)
        source.body = file(world, now=1000.0)
        await feed.once(client)
        assert await present(world, clock) == ["86e2f1"]
        source.body = file(world, now=1001.0, lat=world.region.origin.lat + 0.01)
        await feed.once(client)
        row = await world.one("SELECT * FROM manned_aircraft")
        assert row["lat"] == pytest.approx(world.region.origin.lat + 0.01)
    later = Clock(Clock.real().now(), world.at + timedelta(seconds=70), 1.0)
    assert await present(world, later) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<html>not found</html>", 200),
        (b"{}", 500),
        (b'{"now": 1, "aircraft": 3}', 200),
        (b" " * (aircraft_feed.MAX_BYTES + 1), 200),
        (b'{"now": 900, "aircraft": []}', 200),
        (None, 200),
    ],
    ids=["html", "error", "no list", "huge", "old", "hangs"],
)
async def test_a_receiver_that_answers_nothing_of_use_is_an_alarm_until_it_does(
    world: World, body: bytes | None, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aircraft_feed, "SILENT_S", 0.5)
    monkeypatch.setattr(aircraft_feed, "TIMEOUT_S", 0.3)
    clock = Clock(Clock.real().now(), world.at, 10.0)
    async with receiver() as source, httpx.AsyncClient(timeout=0.3) as client:
        feed = AircraftFeed(source.url, world.database, clock)
        source.body = file(world, now=1000.0)
        await feed.once(client)
        assert feed.back_off_s == aircraft_feed.POLL_S
        source.body, source.status = body, status

        async with asyncio.timeout(20):
            while await alarms(world) != [("feed_silent", True)]:
                await feed.once(client)
        assert feed.back_off_s > aircraft_feed.POLL_S
        assert await present(world, Clock(Clock.real().now(), world.at, 1.0)) == ["86e2f1"], "what was seen stands"

        source.status, seen = 200, 2000.0
        async with asyncio.timeout(30):
            while await alarms(world) != [("feed_silent", False)]:
                seen += 1.0
                source.body = file(world, now=seen)
                await feed.once(client)


async def test_nobody_at_the_address_is_an_alarm_as_well(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aircraft_feed, "SILENT_S", 0.2)
    feed = AircraftFeed("http://127.0.0.1:9/x", world.database, Clock(Clock.real().now(), world.at, 10.0))
    async with httpx.AsyncClient(timeout=0.5) as client, asyncio.timeout(20):
        while await alarms(world) != [("feed_silent", True)]:
            await feed.once(client)


async def test_of_too_many_those_that_expire_last_are_looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manned_aircraft, "MOST", 2)
    origin = world.region.origin
    seen = [
        Aircraft(
            ident=ident, name=ident, lat=origin.lat, lon=origin.lon, alt_amsl_m=None, radius_m=100.0,
            observed_at=world.at, expires_at=world.at + timedelta(seconds=left_s),
        )
        for ident, left_s in (("a", 10.0), ("b", 30.0), ("c", 20.0))
    ]  # fmt: skip
    async with world.database.transaction() as conn:
        of = {"region_id": world.region.region_id}
        await manned_aircraft.report(conn, seen, **of, source="adsb", actor="feed")
        rows = await manned_aircraft.listing(conn, **of, at=world.at)

    assert [row["ident"] for row in rows] == ["b", "c"]


async def test_a_person_reports_one_and_takes_it_back(api: Api) -> None:
    dispatcher, viewer = await api.as_("dispatcher"), await api.as_("viewer")
    origin = api.world.region.origin
    body = {"name": "ドクターヘリ", "lat": origin.lat, "lon": origin.lon, "radius_m": 800, "valid_s": 600}

    made = await dispatcher.post("/api/airspace/aircraft", json=body)
    assert made.status_code == 201, made.text
    (shown,) = (await viewer.get("/api/airspace/aircraft")).json()["aircraft"]
    assert (shown["name"], shown["source"], shown["radius_m"]) == ("ドクターヘリ", "person", 800)
    gone = await dispatcher.delete(f"/api/airspace/aircraft/{shown['ident']}")
    assert gone.status_code == 204
    assert (await viewer.get("/api/airspace/aircraft")).json()["aircraft"] == []
    assert_problem(await dispatcher.delete(f"/api/airspace/aircraft/{shown['ident']}"), 404)
    actions = [row["action"] for row in await api.world.rows("SELECT action FROM audit ORDER BY audit_id")]
    assert actions[-2:] == ["aircraft.report", "aircraft.remove"]


@pytest.mark.parametrize(
    "changes", [{"lat": 95}, {"lon": "x"}, {"radius_m": -1}, {"valid_s": 0}, {"valid_s": 1e9}, {"speed_mps": 1e6}]
)
async def test_a_report_that_cannot_be_is_refused_by_its_field(api: Api, changes: dict[str, Any]) -> None:
    dispatcher = await api.as_("dispatcher")
    body = {"lat": 35.0, "lon": 138.0, "radius_m": 800, "valid_s": 600} | changes
    response = await dispatcher.post("/api/airspace/aircraft", json=body)
    assert_problem(response, 422, field=next(iter(changes)))


async def test_no_drone_sets_out_towards_a_manned_aircraft(world: World) -> None:
    await world.drone()
    await world.order("A1", "drop-5")
    (mission_id,) = await world.missions()
    await world.load(mission_id)
    await world.look_around()
    mission = await world.mission(mission_id)
    at = mission["planned_depart"]
    pad = world.region.site("hub-1").pads[0]

    async def codes() -> set[str]:
        async with world.database.transaction() as conn:
            found = await launch.obstacles(conn, mission, world.region, at=at, accepting=True)
        return {each.code for each in found}

    assert "manned_aircraft" not in await codes()
    one = Aircraft("heli", "Heli", pad.lat, pad.lon, at, at + timedelta(minutes=5), pad.alt_amsl_m + 200.0)
    async with world.database.transaction() as conn:
        await manned_aircraft.report(conn, [one], region_id=world.region.region_id, source="adsb", actor="test")
    assert "manned_aircraft" in await codes()
