"""Alarms over the live view: every change, in order, to everybody, whatever happens to the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from fleet import alarm_store
from fleet.api import alarm_feed
from fleet.api.alarm_feed import AlarmFeed
from fleet.changes import listen
from fleet.db.database import DATABASE_ERRORS
from fleet.live import encode_snapshot
from tests.alarm_rows import write_event
from tests.api_kit import Api
from tests.fleet_kit import until
from tests.problems import START


@pytest.fixture
async def address(api: Api) -> AsyncIterator[str]:
    """Host and port of the API on loopback, told of changes by the database."""
    async with api.served() as served:
        listening = asyncio.create_task(listen(api.world.database.dsn, api.app.state.hub.changed))
        await until(api.world.somebody_listens)
        try:
            yield served
        finally:
            listening.cancel()
            await asyncio.wait([listening])


@asynccontextmanager
async def _look(api: Api, address: str, cursor: object = None, **options: Any) -> AsyncIterator[ClientConnection]:
    path = "/api/live" + ("" if cursor is None else f"?cursor={cursor}")
    signed = {"Authorization": f"Bearer {await api.token('viewer')}"}
    async with connect(
        f"ws://{address}{path}", proxy=None, max_size=None, additional_headers=signed, **options
    ) as socket:
        yield socket


async def _next(socket: ClientConnection) -> dict[str, Any]:
    """Return the next message of alarms."""
    async with asyncio.timeout(20):
        while True:
            message: dict[str, Any] = orjson.loads(await socket.recv())
            if message["type"] == "alarms":
                return message


async def _causes(socket: ClientConnection, until_cause: str) -> list[str]:
    """Return the causes of all changes that come, up to one."""
    causes: list[str] = []
    while until_cause not in causes:
        causes += [alarm["cause"] for alarm in (await _next(socket))["alarms"]]
    return causes


async def _raise(api: Api, *causes: str) -> int:
    """Write changes, each in a transaction of its own; return the last one's id."""
    event_id = 0
    for cause in causes:
        async with api.world.database.transaction() as conn:
            event_id = await write_event(conn, START, cause)
    return event_id


async def test_who_comes_first_is_told_from_where_on_it_will_hear(api: Api, address: str) -> None:
    newest = await _raise(api, "before")
    await until(_known(api, newest))
    async with _look(api, address) as socket:
        assert await _next(socket) == {"type": "alarms", "cursor": newest, "alarms": []}
        event_id = await _raise(api, "after")
        message = await _next(socket)

    (alarm,) = message["alarms"]
    assert message["cursor"] == alarm["event_id"] == event_id
    assert (alarm["source_id"], alarm["code"], alarm["state"], alarm["cause"]) == (
        *("drone-1", "silent", "unacknowledged"),
        "after",
    )


async def test_who_comes_back_gets_what_it_has_missed_and_nothing_twice(api: Api, address: str) -> None:
    async with _look(api, address) as socket:
        await _next(socket)
        await _raise(api, "1", "2")
        cursor = 0
        seen: list[str] = []
        while len(seen) < 2:
            message = await _next(socket)
            seen += [alarm["cause"] for alarm in message["alarms"]]
            cursor = message["cursor"]
    await _raise(api, "3", "4", "5")

    async with _look(api, address, cursor) as socket:
        missed = await _causes(socket, "5")
        await _raise(api, "6")
        assert seen + missed + await _causes(socket, "6") == ["1", "2", "3", "4", "5", "6"]


async def test_a_browser_that_reads_slowly_misses_no_alarm(api: Api, address: str) -> None:
    causes = [str(n) for n in range(120)]
    async with _look(api, address, max_queue=1) as slow, _look(api, address) as quick:
        await _next(slow)
        for n, cause in enumerate(causes):
            views = [{"vehicle_id": f"drone-{i}", "lat": n, "ballast": "x" * 100_000} for i in range(10)]
            api.context.live.take(encode_snapshot("gateway-1", START, views))
            await _raise(api, cause)
            assert await _causes(quick, cause)
        assert await _causes(slow, causes[-1]) == causes


async def test_who_is_too_far_behind_is_told_to_read_the_list(
    api: Api, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm_feed, "RECENT", 5)
    first = await _raise(api, "0")
    newest = await _raise(api, *(str(n) for n in range(1, 9)))
    await until(_known(api, newest))

    async with _look(api, address, first) as socket:
        assert await _next(socket) == {"type": "alarms", "cursor": newest, "alarms": [], "reset": True}
        await _raise(api, "new")
        assert await _causes(socket, "new") == ["new"]
    async with _look(api, address, newest - 4) as socket:
        assert await _causes(socket, "new") == ["5", "6", "7", "8", "new"]


async def test_a_cursor_of_another_database_is_answered_by_a_reset(
    api: Api, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm_feed, "POLL_S", 0.1)
    newest = await _raise(api, "1")
    await until(_known(api, newest))

    async with _look(api, address, newest + 1000) as socket:
        assert await _next(socket) == {"type": "alarms", "cursor": newest, "alarms": [], "reset": True}


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "9" * 30, "%D9%A3"])
async def test_what_is_no_cursor_is_refused(api: Api, address: str, cursor: str) -> None:
    async with _look(api, address, cursor) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4400
    assert "cursor" in closed.value.rcvd.reason


async def test_what_was_raised_while_the_database_could_not_be_read_comes_when_it_can(
    api: Api, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm_feed, "POLL_S", 0.1)
    away = True
    since = alarm_store.since

    async def sometimes(*args: Any) -> list[dict[str, Any]]:
        if away:
            raise DATABASE_ERRORS[0]("the database is away")
        return await since(*args)

    async with _look(api, address) as socket:
        await _next(socket)
        monkeypatch.setattr(alarm_store, "since", sometimes)
        await _raise(api, "1", "2", "3")
        away = False
        assert await _causes(socket, "3") == ["1", "2", "3"]


async def test_a_reading_that_ends_half_way_gives_nothing_twice(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarm_feed, "BATCH", 2)
    feed = AlarmFeed(api.world.database)
    await feed.read()
    await _raise(api, *"12345")
    since, calls = alarm_store.since, 0

    async def fails_second(*args: Any) -> list[dict[str, Any]]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise DATABASE_ERRORS[0]("the database is away")
        return await since(*args)

    monkeypatch.setattr(alarm_store, "since", fails_second)
    with pytest.raises(DATABASE_ERRORS):
        await feed.read()
    await feed.read()
    monkeypatch.setattr(alarm_feed, "BATCH", 200)

    assert _causes_after(feed, 0) == list("12345")


async def test_a_database_put_back_to_an_earlier_day_is_followed_from_there(api: Api) -> None:
    feed = AlarmFeed(api.world.database)
    await _raise(api, *"12345")
    await feed.read()
    await api.world.write("DELETE FROM alarm_event")
    await api.world.write("ALTER TABLE alarm_event ALTER COLUMN event_id RESTART WITH 1")
    newest = await _raise(api, *"xy")

    assert await feed.read()

    assert feed.newest == newest
    assert _causes_after(feed, 0) == ["x", "y"]


def _causes_after(feed: AlarmFeed, cursor: int) -> list[str]:
    causes: list[str] = []
    while (missed := feed.after(cursor)) is not None:
        cursor = missed.cursor
        causes += [orjson.loads(row)["cause"] for row in missed.alarms]
    return causes


def _known(api: Api, event_id: int) -> Any:
    async def check() -> bool:
        return bool(api.app.state.hub.alarms.newest == event_id)

    return check
