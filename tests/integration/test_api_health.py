"""Health, readiness and metrics over HTTP: for machines that watch the service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from fleet import leases
from fleet.api import health
from fleet.version import VERSION
from hardware.mqtt import MqttClient
from telemetry.clock import Clock
from tests.api_kit import Api, assert_problem
from tests.broker import Broker, running_broker
from tests.homes import until

TOKEN = "a-long-enough-token"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    folder = tmp_path / "broker"
    folder.mkdir()
    async with running_broker(folder) as running:
        yield running


@pytest.fixture
async def ready(api: Api, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    """The API with everything that it needs, asking anew each time."""
    monkeypatch.setattr(health, "CACHED_S", 0.0)
    await set_clock(api, api.context.clock)
    async with MqttClient(host=broker.host, port=broker.port, client_id="ready") as bus:
        await bus.wait_connected()
        api.context.bus = bus
        yield api


async def set_clock(api: Api, clock: Clock) -> None:
    await api.world.write("DELETE FROM service_clock")
    await api.world.write(
        "INSERT INTO service_clock (anchor_wall, anchor_domain, speed) VALUES (%(wall)s, %(domain)s, %(speed)s)",
        wall=clock.anchor_wall, domain=clock.anchor_domain, speed=clock.speed,
    )  # fmt: skip


async def amiss(api: Api) -> dict[str, str]:
    """Return the parts that are not ready, with their reasons; the answer's status must fit."""
    response = await api.client().get("/api/ready")
    found = {part["part"]: part["reason"] for part in response.json()["parts"] if not part["ok"]}
    assert {part["part"] for part in response.json()["parts"]} == {
        "broker", "database", "migrations", "clock", "gateways"
    }  # fmt: skip
    if found:
        assert_problem(response, 503)
        assert response.headers["retry-after"]
    else:
        assert response.status_code == 200
    return found


def _json(row: dict[str, Any]) -> Jsonb:
    return Jsonb({**row, "applied_wall": row["applied_wall"].isoformat()})


@asynccontextmanager
async def _locked(api: Api, table: str) -> AsyncIterator[None]:
    async with await AsyncConnection.connect(api.world.database.dsn) as conn:
        await conn.execute(f"LOCK TABLE {table}")
        yield
        await conn.rollback()


def samples(text: str, name: str) -> list[tuple[dict[str, str], float]]:
    families = text_string_to_metric_families(text)
    return [(sample.labels, sample.value) for family in families for sample in family.samples if sample.name == name]


async def test_health_asks_nobody(api: Api) -> None:
    response = await api.client().get("/api/health")

    assert response.json() == {"status": "up", "version": VERSION}


async def test_a_service_with_all_its_parts_is_ready(ready: Api) -> None:
    response = await ready.client().get("/api/ready")

    assert (response.status_code, response.json()["status"]) == (200, "ready")
    assert await amiss(ready) == {}


async def test_without_the_broker_it_is_not_ready(ready: Api, broker: Broker) -> None:
    await broker.stop()
    bus = ready.context.bus
    assert bus is not None
    await until(lambda: not bus.connected)

    assert list(await amiss(ready)) == ["broker"]


async def test_vehicles_that_no_gateway_holds_make_it_not_ready(ready: Api) -> None:
    first, second = await ready.world.drone(), await ready.world.robot()
    before = await amiss(ready)

    async with ready.world.database.transaction() as conn:
        await leases.acquire(conn, [first], holder="gateway-1/a")
    with_one = await ready.client().get("/api/ready")
    async with ready.world.database.transaction() as conn:
        await leases.acquire(conn, [second], holder="gateway-1/a")
        await leases.release_all(conn, holder="gateway-1/a")

    assert before == {"gateways": "0 of 2 vehicles are held by a gateway"}
    assert with_one.status_code == 200, "one vehicle in between two gateways takes the console from nobody"
    assert "1 of 2" in with_one.text
    assert list(await amiss(ready)) == ["gateways"]


async def test_another_clock_in_the_database_makes_it_not_ready(ready: Api) -> None:
    await set_clock(ready, replace(ready.context.clock, speed=2.0))
    other = await amiss(ready)
    await ready.world.write("DELETE FROM service_clock")
    none = await amiss(ready)

    assert list(other) == list(none) == ["clock"]


async def test_a_machine_whose_time_is_off_is_not_ready(ready: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CLOCK_OFF_S", -1.0)

    assert "the database's clock" in (await amiss(ready))["clock"]


async def test_a_database_of_another_version_makes_it_not_ready(ready: Api) -> None:
    known = await ready.world.one("SELECT * FROM schema_migration ORDER BY number DESC LIMIT 1")
    await ready.world.write("DELETE FROM schema_migration WHERE number = %(number)s", number=known["number"])
    try:
        missing = await amiss(ready)
    finally:
        await ready.world.write(
            "INSERT INTO schema_migration SELECT * FROM jsonb_populate_record(NULL::schema_migration, %(row)s)",
            row=_json(known),
        )

    assert known["name"] in missing["migrations"]
    assert await amiss(ready) == {}


async def test_a_database_that_hangs_is_answered_for_in_time(ready: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_TIMEOUT_S", 0.3)
    async with _locked(ready, "service_clock"):
        found = await amiss(ready)

    assert set(found) == {"database", "migrations", "clock", "gateways"}
    assert "5432" not in str(found)


async def test_however_many_ask_the_parts_are_looked_at_once(ready: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CACHED_S", 60.0)
    assert await amiss(ready) == {}

    await ready.world.write("DELETE FROM service_clock")

    assert await amiss(ready) == {}


async def test_metrics_are_for_programs_on_this_machine(api: Api) -> None:
    answers = {
        (peer, host): (await api.client(host=peer).get("/metrics", headers={"Host": host})).status_code
        for peer in ("127.0.0.1", "::1", "10.1.2.3")
        for host in ("127.0.0.1:8600", "localhost", "[::1]:8600", "fleet.example:8600")
    }

    assert {key for key, status in answers.items() if status == 200} == {
        (peer, host) for peer in ("127.0.0.1", "::1") for host in ("127.0.0.1:8600", "localhost", "[::1]:8600")
    }
    assert set(answers.values()) == {200, 403}


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP"])
async def test_what_a_proxy_passes_on_is_not_from_this_machine(api: Api, header: str) -> None:
    response = await api.client().get("/metrics", headers={"Host": "localhost", header: "127.0.0.1"})

    assert_problem(response, 403)


async def test_others_need_the_metrics_token_and_a_session_is_none(api: Api) -> None:
    session = await api.token("administrator")
    api.context.runtime = replace(api.context.runtime, metrics_token=TOKEN)

    async def status(token: str | None, cookies: dict[str, str] | None = None) -> int:
        client = api.client(token, host="10.1.2.3")
        client.cookies.update(cookies or {})
        return (await client.get("/metrics")).status_code

    assert await status(TOKEN) == 200
    assert [await status(token) for token in (None, "wrong", session, TOKEN[:-1])] == [401] * 4
    assert await status(None, {"todoke_session": session}) == 401
    api.context.runtime = replace(api.context.runtime, metrics_token="")
    assert [await status(token) for token in ("x", session)] == [401] * 2


async def test_requests_are_counted_by_route_and_status_and_not_by_path(api: Api) -> None:
    viewer = await api.as_("viewer")
    for path in ("/api/orders/one", "/api/orders/two", "/api/missing/a", "/api/missing/b", "/x/a", "/x/b"):
        await viewer.get(path)
    await viewer.request("BREW", "/api/orders")

    text = (await api.client().get("/metrics", headers={"Host": "localhost"})).text

    counted = {
        (labels["method"], labels["route"], labels["status"]): value
        for labels, value in samples(text, "todoke_http_requests_total")
    }
    assert counted["GET", "/api/orders/{order_id}", "404"] >= 2
    assert counted["GET", "unknown", "404"] >= 2
    assert not [key for key in counted if "one" in key[1] or "/x/" in key[1] or key[0] == "BREW"]
    timed = samples(text, "todoke_http_request_duration_seconds_count")
    assert {labels["route"] for labels, _ in timed} >= {"/api/orders/{order_id}", "unknown", "console"}
