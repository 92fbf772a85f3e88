"""The api process: HTTP, WebSocket and the console's files."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from fleet import live
from fleet.api import audit, commands, missions, orders, plans, problems, region, report, sessions, vehicles, weather
from fleet.api import live as live_routes
from fleet.api.context import Context
from fleet.api.guard import Guard
from fleet.api.live import Hub
from fleet.bus import connect
from fleet.changes import listen
from fleet.db.database import Database
from fleet.errors import StartFailed
from fleet.live import LiveView
from fleet.runtime import Runtime
from fleet.version import VERSION
from hardware.mqtt import MqttClient
from telemetry.clock import Clock

_LOG = structlog.get_logger()

START_S = 15.0
CONSOLE = Path(__file__).parent.parent / "console" / "dist"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    # MapLibre runs its worker from our own files and makes images from data and blob addresses.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "worker-src 'self' blob:; connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'",
}


async def run(runtime: Runtime, clock: Clock, stop: asyncio.Event) -> None:
    """Serve until ``stop``. Raises ``StartFailed`` when the address cannot be bound."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(runtime.dsn, max_size=10))
        bus = await stack.enter_async_context(connect(runtime))
        context = Context(runtime, clock, database, LiveView())
        app = create_app(context)
        async with asyncio.TaskGroup() as group:
            work = [
                group.create_task(listen(runtime.dsn, app.state.hub.changed)),
                group.create_task(_follow_bus(bus, context.live)),
            ]
            await _serve(app, runtime, stop)
            for task in work:
                task.cancel()


def create_app(context: Context) -> FastAPI:
    """Return the application with all its routes."""
    # Its pages of documentation would load scripts from elsewhere, which our own headers forbid.
    app = FastAPI(title="Todoke", version=VERSION, docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.state.context = context
    app.state.hub = Hub(context)
    problems.install(app)
    for routes in (sessions, region, orders, plans, missions, vehicles, commands, report, weather, audit, live_routes):
        app.include_router(routes.router)
    app.add_middleware(Guard, headers=_HEADERS)
    app.add_api_route("/api/health", _health, methods=["GET"])
    app.add_api_route("/api/ready", _ready, methods=["GET"])
    app.add_api_route("/metrics", _metrics, methods=["GET"])
    if CONSOLE.is_dir():
        app.mount("/", StaticFiles(directory=CONSOLE, html=True), name="console")
    else:
        app.add_api_route("/", _no_console, methods=["GET"])
    return app


async def _health() -> dict[str, str]:
    return {"status": "up"}


async def _ready(request: Request) -> dict[str, Any]:
    context: Context = request.app.state.context
    async with context.database.transaction() as conn:
        await conn.execute("SELECT 1")
    return {"status": "ready", "version": VERSION}


async def _metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _no_console() -> PlainTextResponse:
    return PlainTextResponse("The console is not built. Run 'make setup'.", 503)


async def _follow_bus(bus: MqttClient, view: LiveView) -> None:
    # Only the newest snapshots matter: at the bound the oldest go.
    async for message in bus.subscribe(f"{live.TOPIC_PREFIX}+", limit=64):
        try:
            view.take(message.payload)
        except ValueError as error:
            _LOG.warning("malformed live snapshot", topic=message.topic, error=str(error)[:200])


async def _serve(app: FastAPI, runtime: Runtime, stop: asyncio.Event) -> None:
    config = uvicorn.Config(
        app,
        host=runtime.api_host,
        port=runtime.api_port,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws_ping_interval=10.0,
        ws_ping_timeout=10.0,
        ws_max_size=64 * 1024,
        limit_concurrency=500,
        timeout_graceful_shutdown=3,
        server_header=False,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    listening = asyncio.create_task(server.listening.wait())
    try:
        await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED, timeout=START_S)
        if not server.listening.is_set():
            raise StartFailed(f"the api cannot listen on {runtime.api_host}:{runtime.api_port}")
        runtime.ready()
        await stop.wait()
    finally:
        listening.cancel()
        server.should_exit = True
        await asyncio.wait([serving], timeout=5.0)


class _Server(uvicorn.Server):
    """A server that says when it listens, and leaves signals to the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Bind, and say so."""
        await super().startup(sockets)
        if self.started:
            self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: the role's own handlers stop it."""
        yield
