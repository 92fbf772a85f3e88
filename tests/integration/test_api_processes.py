"""Two api processes behind one address: what a client is told does not depend on which of them it has met."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
import pytest
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from fleet import live, regions, users
from fleet.bus import connect
from fleet.config import load
from fleet.db.database import Database
from fleet.errors import NotFound
from fleet.supervisor import Supervisor, default_roles
from hardware.mqtt import MqttClient
from tests.alarm_rows import write_event
from tests.homes import processes_of, service_home, until
from tests.problems import START, village

CLIENTS = 20


@pytest.fixture
def home() -> Iterator[Path]:
    with service_home() as folder:
        yield folder
        assert processes_of(folder) == []


class Client:
    """A browser as far as the live view goes: it comes back with its cursor, and keeps all that it was told."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._signed = {"Authorization": f"Bearer {token}"}
        self.cursor: int | None = None
        self.causes: list[str] = []
        self.port = 0
        self.breaks = 0
        self.lats: dict[str, int] = {}

    async def look(self) -> None:
        """Look for ever."""
        while True:
            resume = "" if self.cursor is None else f"?cursor={self.cursor}"
            try:
                async with connect_websocket(self._url + resume, proxy=None, additional_headers=self._signed) as socket:
                    self.port = socket.local_address[1]
                    async for text in socket:
                        self._take(orjson.loads(text))
            except (OSError, ConnectionClosed, InvalidHandshake):
                self.port = 0
            self.breaks += 1
            await asyncio.sleep(0.05)

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "alarms":
            assert "reset" not in message
            self.cursor = message["cursor"]
            self.causes += [alarm["cause"] for alarm in message["alarms"]]
        elif message["type"] == "snapshot":
            self.lats |= {vehicle["vehicle_id"]: vehicle["lat"] for vehicle in message["vehicles"]}


def _ports_of(pid: int) -> set[int]:
    """The other ends' ports of a process's connections."""
    return {c.raddr.port for c in psutil.Process(pid).net_connections("tcp") if c.raddr}


async def _tell(bus: MqttClient, lat: int) -> None:
    view = {"vehicle_id": "drone-1", "connected": True, "lat": lat}
    await bus.publish(f"{live.TOPIC_PREFIX}gateway-1", live.encode_snapshot("gateway-1", START, [view]))


async def test_clients_of_a_process_that_is_killed_miss_no_alarm_and_those_of_the_other_notice_nothing(
    home: Path,
) -> None:
    settings = load({"home": home, "api_port": 0, "apis": 2}, environ={})
    roles = {name: argv for name, argv in default_roles(settings).items() if name.startswith("api")}
    assert list(roles) == ["api-1", "api-2"]
    async with contextlib.AsyncExitStack() as stack:
        service = await stack.enter_async_context(Supervisor(settings, roles=roles, for_tests=True))
        runtime = service.runtime
        database = await stack.enter_async_context(Database.open(runtime.dsn, max_size=2))
        bus = await stack.enter_async_context(connect(runtime))
        async with database.transaction() as conn:
            await regions.store(conn, village(1), at=START)
            await users.put(conn, user_id="eye", display_name="Eye", role="viewer", at=START, actor="test")
            token = (await users.sign_in_by_link(conn, await users.new_link(conn, "eye"))).token

        async def raised(*causes: str) -> None:
            for cause in causes:
                async with database.transaction() as conn:
                    await write_event(conn, START, cause)

        url = f"{runtime.api_url.replace('http', 'ws')}/api/live"
        clients = [Client(url, token) for _ in range(CLIENTS)]
        tasks = [asyncio.create_task(client.look()) for client in clients]
        await until(lambda: all(client.cursor is not None for client in clients))
        await raised("1", "2")
        await bus.wait_connected()
        await _tell(bus, 1)
        await until(lambda: all(client.causes == ["1", "2"] and client.lats for client in clients))

        killed = service.pid_of("api-1")
        hit_ports = _ports_of(killed)
        hit = [client for client in clients if client.port in hit_ports]
        spared = [client for client in clients if client not in hit]
        # One session signs in at either process: it lies in the database.
        assert hit
        assert spared
        os.kill(killed, signal.SIGKILL)
        await raised("3", "4")
        await until(lambda: all(client.breaks for client in hit))
        await _tell(bus, 2)
        await raised("5")
        expected = ["1", "2", "3", "4", "5"]
        await until(lambda: all(client.causes == expected for client in clients))
        await until(lambda: _is_another(service, killed))
        await until(lambda: all(client.lats == {"drone-1": 2} for client in spared))

        assert [client.breaks for client in spared] == [0] * len(spared)
        async with httpx.AsyncClient(base_url=runtime.api_url, trust_env=False) as http:
            me = await http.get("/api/me", headers={"Authorization": f"Bearer {token}"})
        assert me.json()["user"]["user_id"] == "eye"
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)


def _is_another(service: Supervisor, pid: int) -> bool:
    try:
        return service.pid_of("api-1") != pid
    except NotFound:
        return False
