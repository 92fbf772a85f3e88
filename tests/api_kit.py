"""The real API in the test's own event loop, or on a port of loopback, with signed-in clients of each role."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from fleet.api.context import Context
from fleet.api.server import _serve, create_app
from fleet.live import LiveView
from fleet.places import free_port
from fleet.runtime import Runtime
from telemetry.clock import Clock
from tests.fleet_kit import World
from tests.homes import until

SPEED = 5.0


@dataclass(slots=True)
class Api:
    """The application on a world's database. Its clock begins at the world's moment."""

    world: World
    context: Context
    app: FastAPI
    _tokens: dict[str, str] = field(default_factory=dict)
    _clients: list[httpx.AsyncClient] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def on(cls, world: World, home: Path) -> AsyncIterator[Api]:
        """Yield the application; clients are closed at the end."""
        clock = Clock(Clock.real().now(), world.at, SPEED)
        (home / "run").mkdir(exist_ok=True)
        context = Context(_runtime(home, world.database.dsn, clock), clock, world.database, LiveView())
        api = cls(world, context, create_app(context))
        try:
            yield api
        finally:
            for client in api._clients:
                await client.aclose()

    def client(self, token: str | None = None, *, host: str = "127.0.0.1") -> httpx.AsyncClient:
        """Return a client, signed in by a bearer token when there is one."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(host, 12345))
        client = httpx.AsyncClient(transport=transport, base_url="http://todoke.test", headers=headers)
        self._clients.append(client)
        return client

    async def token(self, role: str) -> str:
        """Return the token of a session of a user with this role; the user is called like the role."""
        if role not in self._tokens:
            self._tokens[role] = (await self.world.session(role.replace("_", "-"), role)).token
        return self._tokens[role]

    async def as_(self, role: str) -> httpx.AsyncClient:
        """Return a client that is signed in with this role."""
        return self.client(await self.token(role))

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Serve on a port of loopback inside; yield host and port."""
        stop = asyncio.Event()
        serving = asyncio.create_task(_serve(self.app, self.context.runtime, stop))
        address = f"127.0.0.1:{self.context.runtime.api_port}"
        ready = self.context.runtime.home / "run" / "api.ready"
        try:
            await until(lambda: ready.exists() or serving.done(), within_s=20)
            yield address
        finally:
            stop.set()
            await asyncio.wait([serving], timeout=15)


def _runtime(home: Path, dsn: str, clock: Clock) -> Runtime:
    return Runtime(
        home=home,
        name="api",
        dsn=dsn,
        broker_host="127.0.0.1",
        broker_port=1,
        broker_username="",
        broker_password="",
        broker_tls=False,
        broker_ca=None,
        api_host="127.0.0.1",
        api_port=free_port("127.0.0.1"),
        clock=clock,
        allow_real=False,
        language="ja",
        log_level="warning",
        supervisor_pid=0,
    )


def assert_problem(response: httpx.Response, status: int, *, field: str | None = None) -> dict[str, Any]:
    """Assert that a response is a problem (RFC 9457) with this status, naming a field; return it."""
    assert response.status_code == status, (response.status_code, response.text)
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert {"type", "title", "status", "detail"} <= set(body)
    assert body["status"] == status
    assert "Traceback" not in response.text
    assert 'File "' not in response.text
    if field is not None:
        assert field in [error["where"] for error in body.get("errors", [])], body
    return body
