"""The api process: HTTP, WebSocket and the console's files."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import structlog
import uvicorn
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from fastapi.staticfiles import StaticFiles

from fleet import live, metrics, observing
from fleet.api import (
    aircraft,
    alarms,
    audit,
    checks,
    commands,
    contingency,
    control,
    deliveries,
    duty,
    flight_log,
    health,
    history,
    incidents,
    launch,
    missions,
    orders,
    plans,
    problems,
    recipient,
    region,
    report,
    sessions,
    vehicles,
    weather,
)
from fleet.api import live as live_routes
from fleet.api import replay as replay_routes
from fleet.api.context import Context
from fleet.api.guard import Guard
from fleet.api.health import Readiness
from fleet.api.listener import listeners
from fleet.api.live import Hub
from fleet.api.metered import Metered
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
        context = Context(runtime, clock, database, LiveView(), bus)
        app = create_app(context)
        async with asyncio.TaskGroup() as group:
            work = [
                group.create_task(listen(runtime.dsn, app.state.hub.changed)),
                group.create_task(_follow_bus(bus, context.live)),
                group.create_task(observing.every_second(observing.follow_bus(bus))),
                group.create_task(observing.every_second(observing.follow_hub(app.state.hub))),
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
    app.state.readiness = Readiness(context)
    problems.install(app)
    for routes in (
        sessions,
        region,
        orders,
        plans,
        missions,
        checks,
        deliveries,
        recipient,
        vehicles,
        history,
        commands,
        control,
        duty,
        alarms,
        report,
        weather,
        launch,
        aircraft,
        contingency,
        flight_log,
        incidents,
        audit,
        live_routes,
        replay_routes,
        health,
    ):
        app.include_router(routes.router)
    app.add_middleware(Guard, headers=_HEADERS)
    app.add_middleware(Metered)
    if CONSOLE.is_dir():
        app.mount("/", StaticFiles(directory=CONSOLE, html=True), name="console")
    else:
        app.add_api_route("/", _no_console, methods=["GET"])
    return app


async def _no_console() -> PlainTextResponse:
    return PlainTextResponse("The console is not built. Run 'make setup'.", 503)


async def _follow_bus(bus: MqttClient, view: LiveView) -> None:
    # At the bound, a second of many gateways, the oldest go: what they said is said again within a second.
    async for message in bus.subscribe(f"{live.TOPIC_PREFIX}+", limit=1000):
        try:
            view.take(message.payload)
        except ValueError as error:
            metrics.BUS_MALFORMED.inc()
            _LOG.warning("malformed live snapshot", topic=message.topic, error=str(error)[:200])


async def _serve(app: FastAPI, runtime: Runtime, stop: asyncio.Event) -> None:
    config = uvicorn.Config(
        app,
        log_config=None,
        # Below this it writes the addresses of WebSockets, with what is in them, into the log.
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws_ping_interval=10.0,
        ws_ping_timeout=10.0,
        ws_max_size=64 * 1024,
        # Live messages are alike and shrink to a tenth: half a percent of a CPU for each client of 500 vehicles.
        ws_per_message_deflate=True,
        limit_concurrency=500,
        timeout_graceful_shutdown=3,
        server_header=False,
    )
    server = _Server(config)
    listening_on = listeners(runtime.api_host, runtime.api_port, shared=runtime.apis > 1)
    hub, stopping = asyncio.create_task(app.state.hub.run()), asyncio.create_task(stop.wait())
    serving = asyncio.create_task(server.serve(sockets=listening_on))
    listening = asyncio.create_task(server.listening.wait())
    try:
        await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED, timeout=START_S)
        if not server.listening.is_set():
            raise StartFailed(f"the api cannot listen on {runtime.api_host}:{runtime.api_port}")
        runtime.ready()
        # Without its hub a process would answer and show nothing: better that it is started anew.
        await asyncio.wait({hub, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if hub.done():
            hub.result()
    finally:
        for task in (listening, hub, stopping):
            task.cancel()
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
