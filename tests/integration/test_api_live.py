"""The live view over a real WebSocket: who may look, what comes, and that nobody waits for anybody."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from fleet.api import live as live_routes
from fleet.changes import listen
from fleet.db.database import DATABASE_ERRORS
from fleet.live import encode_snapshot
from tests.api_kit import Api
from tests.fleet_kit import until
from tests.problems import START

ALL = ["aircraft", "commands", "journal", "missions", "orders", "plans", "vehicles"]


@pytest.fixture
async def address(api: Api) -> AsyncIterator[str]:
    """Host and port of the API on loopback."""
    async with api.served() as served:
        yield served


def _look(address: str, token: str | None = None, **options: Any) -> connect:
    if token:
        options["additional_headers"] = {"Authorization": f"Bearer {token}"}
    return connect(f"ws://{address}/api/live", proxy=None, **options)


async def _next(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next message of a kind."""
    async with asyncio.timeout(10):
        while True:
            message: dict[str, Any] = orjson.loads(await socket.recv())
            if message["type"] == kind:
                return message


async def _news(socket: ClientConnection) -> dict[str, Any]:
    """Return the next snapshot that is more than a confirmation."""
    while True:
        message = await _next(socket, "snapshot")
        if message["vehicles"] or message["processes"]:
            return message


async def _all(socket: ClientConnection) -> None:
    async for _ in socket:
        pass


def _lats(message: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted((vehicle["vehicle_id"], vehicle["lat"]) for vehicle in message["vehicles"])


async def _refused(looking: connect) -> tuple[int, str]:
    async with asyncio.timeout(10), looking as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


def _seen(api: Api, *vehicle_ids: str, **more: Any) -> None:
    views = [{"vehicle_id": v, "connected": True, **more} for v in vehicle_ids]
    api.context.live.take(encode_snapshot("gateway-1", START, views))


def _is(condition: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return condition()

    return check


@pytest.mark.parametrize("token", [None, "wrong", "x" * 2000])
async def test_a_stranger_sees_nothing(address: str, token: str | None) -> None:
    code, reason = await _refused(_look(address, token))

    assert code == 4401
    assert "session has ended" in reason


async def test_the_page_of_another_site_sees_nothing(api: Api, address: str) -> None:
    token = await api.token("viewer")

    for origin in ("http://evil.example", f"http://{address}.evil.example", "null"):
        assert (await _refused(_look(address, token, origin=origin)))[0] == 4403


async def test_our_own_page_looks_with_its_cookie(api: Api, address: str) -> None:
    cookie = {"Cookie": f"todoke_session={await api.token('viewer')}"}

    async with _look(address, origin=f"http://{address}", additional_headers=cookie) as socket:
        assert (await _next(socket, "changed"))["what"] == ALL


async def test_who_looks_gets_all_vehicles_at_once_and_then_those_that_have_changed(api: Api, address: str) -> None:
    _seen(api, "drone-2", "drone-1", lat=35.0)
    async with _look(address, await api.token("viewer")) as socket:
        first = await _next(socket, "snapshot")
        _seen(api, "drone-1", "drone-2", lat=35.0)
        _seen(api, "drone-1", lat=36.0)
        second = await _news(socket)

    assert (first["full"], _lats(first)) == (True, [("drone-1", 35.0), ("drone-2", 35.0)])
    assert (second["full"], _lats(second)) == (False, [("drone-1", 36.0)])


async def test_what_comes_at_once_goes_out_together_and_the_newest_counts(api: Api, address: str) -> None:
    async with _look(address, await api.token("viewer")) as socket:
        await _next(socket, "snapshot")
        for n in range(100):
            _seen(api, "drone-1", lat=n)
        messages = [await _news(socket)]
        while _lats(messages[-1]) != [("drone-1", 99)]:
            messages.append(await _news(socket))

    assert len(messages) <= 2


async def test_a_picture_without_changes_is_confirmed_each_second_while_a_gateway_speaks(
    api: Api, address: str
) -> None:
    async with _look(address, await api.token("viewer")) as socket:
        _seen(api, "drone-1")
        await _news(socket)
        for _ in range(3):
            _seen(api, "drone-1")
            async with asyncio.timeout(2):
                assert (await _next(socket, "snapshot"))["vehicles"] == []


async def test_a_picture_of_which_no_gateway_speaks_is_not_confirmed(
    api: Api, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.live.CONFIRM_S", 0.1)
    monkeypatch.setattr(live_routes, "CONFIRM_S", 0.1)
    async with _look(address, await api.token("viewer")) as socket:
        _seen(api, "drone-1")
        await _news(socket)
        await until(_is(lambda: not api.context.live.heard))
        # Ends with what was on its way when the gateway fell silent.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_all(socket), 1)


async def test_a_gateway_says_how_it_is_and_is_shown_as_lost_when_it_says_no_more(
    api: Api, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.live.SILENT_S", 0.5)
    process = {"name": "gateway-1", "alarms": [], "writer": {"waiting_samples": 7}}
    async with _look(address, await api.token("viewer")) as socket:
        api.context.live.take(encode_snapshot("gateway-1", START, [], process))
        there = await _news(socket)
        lost = await _news(socket)

    assert there["processes"] == [{**process, "connected": True}]
    assert lost["processes"] == [{**process, "connected": False}]


async def test_a_browser_that_reads_slowly_misses_pictures_but_neither_the_newest_nor_that_something_has_changed(
    api: Api, address: str
) -> None:
    ballast = "x" * 100_000
    vehicle_ids = [f"drone-{n}" for n in range(10)]
    token = await api.token("viewer")
    async with (
        # Compressed, the ballast weighs nothing.
        _look(address, token, max_size=None, max_queue=1, compression=None) as socket,
        _look(address, token, max_size=None) as quick,
    ):
        await _next(socket, "changed")
        for n in range(60):
            _seen(api, *vehicle_ids, lat=n, ballast=ballast)
            api.app.state.hub.changed("mission" if n < 30 else "command")
            await _news(quick)
        told, pictures, lats = set[str](), 0, list[tuple[str, int]]()
        while lats != [(vehicle_id, 59) for vehicle_id in vehicle_ids] or len(told) < 2:
            message = orjson.loads(await socket.recv())
            told |= set(message.get("what", ()))
            if message.get("vehicles"):
                pictures, lats = pictures + 1, _lats(message)

    assert told == {"missions", "commands"}
    assert pictures < 30


async def test_a_change_in_the_database_is_told_by_its_name(api: Api, address: str) -> None:
    listening = asyncio.create_task(listen(api.world.database.dsn, api.app.state.hub.changed))
    try:
        async with _look(address, await api.token("viewer")) as socket:
            await _next(socket, "changed")
            await until(api.world.somebody_listens)
            await api.world.order("A1")
            told: set[str] = set()
            while "orders" not in told:
                told |= set((await _next(socket, "changed"))["what"])
            await api.world.drone()
            while "vehicles" not in told:
                told |= set((await _next(socket, "changed"))["what"])
    finally:
        listening.cancel()
        await asyncio.wait([listening])


async def test_a_client_that_takes_nothing_keeps_nobody_waiting(
    api: Api, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_routes, "SEND_TIMEOUT_S", 1.0)
    token, ballast = await api.token("viewer"), "x" * 200_000
    host, _, port = address.rpartition(":")
    deaf = socket.create_connection((host, int(port)))
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.sendall(
        f"GET /api/live HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Authorization: Bearer {token}\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    hub = api.app.state.hub
    try:
        await until(_is(lambda: len(hub.clients) == 1))
        async with _look(address, token, max_size=None) as looking:
            for n in range(200):
                _seen(api, *(f"drone-{i}" for i in range(20)), lat=n, ballast=ballast)
                snapshot = await _news(looking)
                if len(hub.clients) == 1:
                    break
            assert snapshot["vehicles"][0]["lat"] == n
            # The one that takes nothing has been let go.
            assert len(hub.clients) == 1
    finally:
        deaf.close()


async def test_a_session_that_ends_ends_the_view(api: Api, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_routes, "SESSION_CHECK_S", 0.1)
    async with _look(address, await api.token("viewer")) as socket:
        await _next(socket, "changed")
        await api.world.write("DELETE FROM session")
        async with asyncio.timeout(10):
            await socket.wait_closed()

    assert socket.close_code == 4401


async def test_a_view_goes_on_while_the_database_is_away(
    api: Api, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = 0

    async def away(*args: Any) -> None:
        nonlocal checks
        checks += 1
        raise DATABASE_ERRORS[0]("gone")

    async with _look(address, await api.token("viewer")) as socket:
        await _next(socket, "changed")
        monkeypatch.setattr(live_routes, "SESSION_CHECK_S", 0.02)
        monkeypatch.setattr("fleet.users.of_session", away)
        other = asyncio.create_task(_refused(_look(address, "any")))
        assert (await other)[0] == 1013
        _seen(api, "drone-1", lat=1)
        assert _lats(await _news(socket)) == [("drone-1", 1)]


async def test_a_vehicle_that_no_gateway_speaks_of_any_more_is_shown_as_lost(
    api: Api, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.live.SILENT_S", 0.5)
    async with _look(address, await api.token("viewer")) as socket:
        _seen(api, "drone-1", ready=True)
        assert (await _news(socket))["vehicles"][0]["connected"] is True

        lost = (await _news(socket))["vehicles"][0]

    assert (lost["connected"], lost["ready"]) == (False, False)


async def test_there_are_only_so_many_views(api: Api, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_routes, "MAX_CLIENTS", 1)
    token = await api.token("viewer")
    async with _look(address, token) as first:
        await _next(first, "changed")
        assert (await _refused(_look(address, token)))[0] == 4429

    await until(_is(lambda: not api.app.state.hub.clients))
    async with _look(address, token) as second:
        await _next(second, "changed")


async def test_what_a_client_says_is_ignored(api: Api, address: str) -> None:
    async with _look(address, await api.token("viewer")) as socket:
        await _next(socket, "changed")
        for text in ("hello", "{}", "x" * 10_000):
            await socket.send(text)
        _seen(api, "drone-1")
        assert await _news(socket)


async def test_a_served_page_carries_the_headers_too(address: str) -> None:
    async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client:
        health = await client.get("/api/health")

    assert health.json()["status"] == "up"
    assert health.headers["x-frame-options"] == "DENY"
    assert "server" not in health.headers
