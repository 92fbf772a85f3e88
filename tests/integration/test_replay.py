"""A past period replayed: the messages of the live view as they were, at their times, however one moves in it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from fleet import live
from fleet.alarms import Alarm
from fleet.api.replay import Control, Player
from fleet.past import HEARD_S
from fleet.replay import Replay
from hardware.link import VehicleState
from telemetry import history
from tests.api_kit import Api
from tests.fleet_kit import World
from tests.stored_minute import ALARM, FROM, LAT, ROBOT_LAST_S, SECOND_DEG, TO, after, store_minute


def _second(moment: str) -> float:
    return (datetime.fromisoformat(moment) - FROM).total_seconds()


@pytest.fixture
async def past(world: World) -> World:
    """A world with a stored minute."""
    await store_minute(world)
    return world


@pytest.fixture
async def address(past: World, api: Api) -> AsyncIterator[str]:
    """Host and port of the API on loopback, with the stored minute."""
    async with api.served() as served:
        yield served


@asynccontextmanager
async def _watch(
    api: Api, address: str, *, speed: object = 20, token: str | None = None, **more: Any
) -> AsyncIterator[ClientConnection]:
    signed = {"Authorization": f"Bearer {await api.token('viewer') if token is None else token}"}
    values = {"from": FROM.isoformat(), "to": TO.isoformat(), "speed": speed}
    query = "&".join(f"{name}={value}".replace("+", "%2B") for name, value in (values | more).items())
    async with connect(
        f"ws://{address}/api/replay?{query}", proxy=None, max_size=None, additional_headers=signed
    ) as socket:
        yield socket


async def _next(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(20):
        message: dict[str, Any] = orjson.loads(await socket.recv())
        return message


async def _snapshot(socket: ClientConnection) -> dict[str, Any]:
    while True:
        message = await _next(socket)
        if message["type"] == "snapshot":
            return message


async def _rest(socket: ClientConnection) -> list[dict[str, Any]]:
    """All messages up to the end, without it."""
    messages = []
    while (message := await _next(socket))["type"] != "end":
        messages.append(message)
    return messages


async def _refused(socket: ClientConnection) -> tuple[int, str]:
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


def _of(messages: list[dict[str, Any]], vehicle_id: str) -> list[tuple[float, dict[str, Any]]]:
    """The second of each picture in which a vehicle has changed, and how it looks there."""
    return [
        (_second(message["t"]), vehicle)
        for message in messages
        if message["type"] == "snapshot"
        for vehicle in message["vehicles"]
        if vehicle["vehicle_id"] == vehicle_id
    ]


async def test_a_period_is_shown_from_its_first_to_its_last_moment_as_it_was(api: Api, address: str) -> None:
    began_s = time.monotonic()
    async with _watch(api, address) as socket:
        messages = await _rest(socket)
    took_s = time.monotonic() - began_s

    pictures = [message for message in messages if message["type"] == "snapshot"]
    seconds = [_second(picture["t"]) for picture in pictures]
    assert (seconds[0], seconds[-1]) == (0.0, 60.0)
    assert all(before < after for before, after in itertools.pairwise(seconds))
    assert [picture["full"] for picture in pictures] == [True] + [False] * (len(pictures) - 1)
    # Never from the future, and never older than the steps in which it is read.
    for second, drone in _of(messages, "drone-1"):
        shown = (drone["lat"] - LAT) / SECOND_DEG
        assert _second(drone["t"]) == pytest.approx(shown, abs=0.05)
        assert second - 1.5 * 20 * live.INTERVAL_S <= shown <= second
    assert took_s >= 60 / 20 - 0.1
    assert took_s < 20


async def test_vehicles_and_their_alarms_are_shown_as_they_were_in_the_live_view(api: Api, address: str) -> None:
    async with _watch(api, address) as socket:
        messages = await _rest(socket)

    drone, robot = _of(messages, "drone-1"), _of(messages, "robot-1")
    live_view = live.vehicle_snapshot("drone-1", VehicleState(), None, gateway="g")
    assert set(live_view) == set(drone[0][1])
    assert {(view["connected"], view["activity"], view["on_ground"]) for _, view in drone} == {(True, "mission", False)}
    states = [view["mission_state"] for _, view in drone]
    assert [state for state, _ in itertools.groupby(states)] == [None, "starting", "underway", "returning", None]
    assert next(view for _, view in drone if view["mission_state"] == "underway")["steps"] == 3
    assert [activity for activity, _ in itertools.groupby(view["activity"] for _, view in robot)] == ["idle", "hold"]
    lost = [second for second, view in robot if not view["connected"]]
    assert ROBOT_LAST_S - 1 + HEARD_S <= lost[0] <= ROBOT_LAST_S + HEARD_S + 2 * 20 * live.INTERVAL_S
    _assert_alarms(messages)


def _assert_alarms(messages: list[dict[str, Any]]) -> None:
    """Each came once, when it did, and stands with its vehicle."""
    told = [(alarm["cause"], _second(alarm["at"])) for m in messages if m["type"] == "alarms" for alarm in m["alarms"]]
    assert told == [(cause, at_s) for at_s, cause in ALARM.items()]
    for place, message in enumerate(messages):
        if message["type"] == "alarms" and message["alarms"]:
            # Right before the picture in which it shows.
            at_s, shown_s = _second(message["alarms"][0]["at"]), _second(messages[place + 1]["t"])
            assert at_s <= shown_s <= at_s + 10
    shown = {name for _, view in _of(messages, "drone-1") for alarm in view["alarms"] for name in alarm}
    assert shown == {item.name for item in fields(Alarm)}
    stands = [bool(view["alarms"]) for _, view in _of(messages, "drone-1")]
    assert [stand for stand, _ in itertools.groupby(stands)] == [False, True, False]


@pytest.mark.parametrize("speed", [2, 10])
async def test_time_passes_as_fast_as_was_asked(api: Api, address: str, speed: int) -> None:
    async with _watch(api, address, speed=speed) as socket:
        first, first_s = await _snapshot(socket), time.monotonic()
        last, last_s = first, first_s
        while last_s - first_s < 2.0:
            last, last_s = await _snapshot(socket), time.monotonic()

    passed_s = _second(last["t"]) - _second(first["t"])
    assert passed_s / (last_s - first_s) == pytest.approx(speed, rel=0.3)


async def test_one_may_stop_go_elsewhere_and_go_on_from_there(api: Api, address: str) -> None:
    async with _watch(api, address, speed=1) as socket:
        await _snapshot(socket)
        await socket.send('{"pause": true}')
        for second in (35.0, 2.0, 35.0):
            await socket.send(orjson.dumps({"seek": after(second)}).decode())
            while not (message := await _snapshot(socket))["full"]:
                pass
            assert _second(message["t"]) == second
        drone = next(v for v in message["vehicles"] if v["vehicle_id"] == "drone-1")
        assert (drone["mission_state"], [a["code"] for a in drone["alarms"]]) == ("underway", ["silent"])
        # Nothing moves until it is told to.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 5 * live.INTERVAL_S)
        await socket.send('{"pause": false, "speed": 50}')
        messages = await _rest(socket)

    seconds = [_second(m["t"]) for m in messages if m["type"] == "snapshot"]
    assert 35.0 < seconds[0] <= 35.0 + 50
    assert seconds[-1] == 60.0
    assert [alarm["cause"] for m in messages if m["type"] == "alarms" for alarm in m["alarms"]] == ["cleared"]


async def test_after_the_end_one_may_go_back(api: Api, address: str) -> None:
    async with _watch(api, address, speed=100) as socket:
        await _rest(socket)
        await socket.send(orjson.dumps({"seek": after(58)}).decode())
        messages = await _rest(socket)

    first = next(message for message in messages if message["type"] == "snapshot")
    assert (first["full"], _second(first["t"])) == (True, 58.0)


async def test_a_slow_reader_gets_fewer_pictures_and_every_alarm(past: World) -> None:
    replay = Replay(past.database, start=FROM, end=TO, speed=100.0)
    messages: list[dict[str, Any]] = []
    ended = asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)
        if message["type"] == "end":
            ended.set()
        # Takes three pictures' time for each.
        await asyncio.sleep(3 * live.INTERVAL_S)

    playing = asyncio.create_task(Player(replay, send, asyncio.Queue[Control]()).play())
    async with asyncio.timeout(20):
        await ended.wait()
    playing.cancel()
    await asyncio.wait([playing])
    await replay.close()

    pictures = [message for message in messages if message["type"] == "snapshot"]
    causes = [alarm["cause"] for m in messages if m["type"] == "alarms" for alarm in m["alarms"]]
    assert causes == list(ALARM.values())
    assert pictures[-1]["t"] == TO
    # Sixty seconds at a hundred times the speed are three pictures; the slow one is not sent thousands.
    assert len(pictures) <= 5


async def test_no_more_is_in_memory_than_what_is_watched_next(past: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "LOOKS_AT_ONCE", 40)
    most = 0
    read = Replay._read

    async def watched(self: Replay, start: datetime) -> Any:
        nonlocal most
        stretch = await read(self, start)
        most = max(most, len(stretch.samples))
        return stretch

    monkeypatch.setattr(Replay, "_read", watched)
    replay = Replay(past.database, start=FROM, end=TO, speed=1.0)
    await replay.seek(FROM)
    drones = 0
    while replay.t < TO:
        frame = await replay.advance(replay.t + timedelta(seconds=live.INTERVAL_S))
        drones += sum(view["vehicle_id"] == "drone-1" and view["connected"] for view in frame.vehicles)
    await replay.close()

    assert drones >= 298
    assert 0 < most <= 40


BAD_PERIODS: list[tuple[dict[str, Any], str]] = [
    ({"from": ""}, "from"),
    ({"from": "yesterday"}, "from"),
    ({"from": "2026-04-01T09:00:00"}, "from"),
    ({"from": "0001-01-01T00:00:00Z"}, "from"),
    ({"to": "x"}, "to"),
    ({"to": FROM.isoformat()}, "to"),
    ({"speed": 0.5}, "speed"),
    ({"speed": 101}, "speed"),
    ({"speed": "nan"}, "speed"),
    ({"speed": ""}, "speed"),
    ({"from": "2100-01-01T00:00:00Z", "to": "2100-01-02T00:00:00Z"}, "from"),
]
BAD_CONTROLS = ("x", "[]", '{"speed": 0}', '{"seek": "soon"}', '{"jump": 1}', '{"pause": "maybe"}')


async def test_a_period_that_is_none_is_refused_by_name(api: Api, address: str) -> None:
    for values, place in BAD_PERIODS:
        async with _watch(api, address, **values) as socket:
            code, reason = await _refused(socket)
            assert (code, reason.partition(":")[0]) == (4400, place), values


async def test_what_nobody_understands_ends_it_with_a_reason(api: Api, address: str) -> None:
    for said in BAD_CONTROLS:
        async with _watch(api, address, speed=1) as socket:
            await _snapshot(socket)
            await socket.send(said)
            with pytest.raises(ConnectionClosed) as closed:
                await _rest(socket)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, bool(closed.value.rcvd.reason)) == (4400, True), said


async def test_only_those_who_are_signed_in_look_back(api: Api, address: str) -> None:
    for token in ("", "wrong"):
        async with _watch(api, address, token=token) as socket:
            assert (await _refused(socket))[0] == 4401


async def test_there_are_only_so_many_replays(api: Api, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.api.replay.MAX_REPLAYS", 1)
    async with _watch(api, address) as first:
        await _snapshot(first)
        async with _watch(api, address) as second:
            assert (await _refused(second))[0] == 4429
