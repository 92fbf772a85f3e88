"""The live view over WebSocket: what vehicles do, what alarms there are, and word of what else has changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import orjson
import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from fleet import users
from fleet.api.alarm_feed import AlarmFeed, Missed
from fleet.api.context import Context, session_token
from fleet.db.database import DATABASE_ERRORS
from fleet.errors import NotSignedIn
from fleet.live import CONFIRM_S

router = APIRouter(prefix="/api")
_LOG = structlog.get_logger()

SEND_TIMEOUT_S = 10.0
"""A browser that takes nothing for this long is disconnected; it comes back and loses nothing but frames."""
TICK_S = 0.02
"""Least wall seconds between two messages of vehicles to a client: what many gateways say goes out together."""
MAX_CLIENTS = 200
MOST_CURSOR = 2**63 - 1
SESSION_CHECK_S = 30.0
_TABLES = {
    "delivery_order": "orders",
    "mission": "missions",
    "planning_run": "plans",
    "command": "commands",
    "vehicle": "vehicles",
    "contingency": "journal",
    "manned_aircraft": "aircraft",
}


@dataclass(slots=True)
class _Client:
    """What one browser has been told: all that is kept for it, however slow it is."""

    pending: set[str]
    cursor: int | None
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    revision: int = -1
    confirmed_s: float = float("-inf")
    # A cursor beyond what we know is believed until we have looked for ourselves.
    round: int = 0


class Hub:
    """What browsers wait for: vehicles that have changed, alarms that have changed, and word of the rest.

    All is conflated at the reader: a slow one gets fewer messages, never a growing queue, and never misses that
    something has changed. Alarms it gets all, in order, by its cursor. What several get is encoded once.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.clients: dict[WebSocket, _Client] = {}
        self.arriving = 0
        self.replays: set[WebSocket] = set()
        # For the metrics: messages sent, and changes of the picture that a client got only with a later one.
        self.sent = self.conflated = 0
        self.alarms = AlarmFeed(context.database)
        self._news = asyncio.Event()
        self._encoded: dict[tuple[str, int, int], str] = {}
        context.live.on_news = self._news.set

    async def run(self) -> None:
        """Wake the clients when there is something to tell, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pulse())
            group.create_task(self.alarms.follow(self._news.set))

    def changed(self, table: str) -> None:
        """Mark what has changed for every client; ``*`` stands for everything."""
        if table in {"alarm", "*"}:
            self.alarms.want()
        if table == "alarm":
            return
        what = set(_TABLES.values()) if table == "*" else {_TABLES.get(table, table)}
        for client in self.clients.values():
            client.pending |= what
        self._news.set()

    async def serve(self, socket: WebSocket, cursor: int | None = None) -> None:
        """Send to one client until it leaves or takes nothing for too long."""
        client = _Client(set(_TABLES.values()), cursor, round=self.alarms.rounds)
        self.clients[socket] = client
        if cursor is not None and cursor > (self.alarms.newest or 0):
            self.alarms.want()
        try:
            while True:
                client.wake.clear()
                for text in self._due(client):
                    async with asyncio.timeout(SEND_TIMEOUT_S):
                        await socket.send_text(text)
                    self.sent += 1
                await client.wake.wait()
        finally:
            del self.clients[socket]

    async def until_signed_out(self, token: str) -> None:
        """Return when the session has ended. While the database is away nobody has signed out."""
        while True:
            await asyncio.sleep(SESSION_CHECK_S)
            with suppress(*DATABASE_ERRORS):
                try:
                    await self.check(token)
                except NotSignedIn:
                    return

    async def check(self, token: str) -> None:
        """Raise ``NotSignedIn`` unless the token is that of a session."""
        async with self.context.database.transaction() as conn:
            await users.of_session(conn, token)

    async def _pulse(self) -> None:
        """News goes out at once; what follows within a tick goes out together."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(CONFIRM_S / 2):
                    await self._news.wait()
            self._news.clear()
            self.context.live.look_for_silence()
            self._encoded.clear()
            for client in self.clients.values():
                client.wake.set()
            await asyncio.sleep(TICK_S)

    def _due(self, client: _Client) -> Iterator[str]:
        """Yield what a client has to be told, each made when the one before it has been sent."""
        yield from self._alarms_due(client)
        view, now_s = self.context.live, time.monotonic()
        # A picture that has not changed is said to be true as long as there is somebody who would know.
        if client.revision != view.revision or (view.heard and now_s - client.confirmed_s >= CONFIRM_S / 2):
            since, client.revision, client.confirmed_s = client.revision, view.revision, now_s
            self.conflated += max(0, view.revision - since - 1) if since >= 0 else 0
            yield self._once("snapshot", since, view.revision, partial(self._snapshot, since))
        if client.pending:
            what = sorted(client.pending)
            client.pending.clear()
            yield orjson.dumps({"type": "changed", "what": what}).decode()

    def _alarms_due(self, client: _Client) -> Iterator[str]:
        newest = self.alarms.newest
        if newest is None:
            return
        if client.cursor is None or (client.cursor > newest and self.alarms.rounds > client.round + 1):
            # It begins here; or its cursor is of another database.
            reset, client.cursor = client.cursor is not None, newest
            yield orjson.dumps(_alarms(Missed(newest, reset=reset))).decode()
        while (missed := self.alarms.after(client.cursor)) is not None:
            before, client.cursor = client.cursor, missed.cursor
            yield self._once("alarms", before, missed.cursor, partial(_alarms, missed))

    def _once(self, kind: str, since: int, until: int, make: Callable[[], dict[str, Any]]) -> str:
        """Return a message as text, made once for all who are as far."""
        key = kind, since, until
        if key not in self._encoded:
            self._encoded[key] = orjson.dumps(make()).decode()
        return self._encoded[key]

    def _snapshot(self, since: int) -> dict[str, Any]:
        picture = self.context.live.since(since)
        return {
            "type": "snapshot",
            "t": self.context.clock.now(),
            "full": since < 0,
            "vehicles": [orjson.Fragment(vehicle) for vehicle in picture.vehicles],
            "processes": [orjson.Fragment(process) for process in picture.processes],
        }


def _alarms(missed: Missed) -> dict[str, Any]:
    rows = [orjson.Fragment(row) for row in missed.alarms]
    return {"type": "alarms", "cursor": missed.cursor, "alarms": rows} | ({"reset": True} if missed.reset else {})


def _same_origin(socket: WebSocket) -> bool:
    # Browsers send cookies with WebSockets from any site; only our own page may use them.
    origin = socket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == socket.headers.get("host")


@router.websocket("/live")
async def live_view(socket: WebSocket, cursor: str | None = None) -> None:
    """Serve the live view to one client; ``cursor`` is that of the last message of alarms it has had."""
    hub: Hub = socket.app.state.hub
    found = token_of(socket)
    # Accepted first, so that the browser sees why it is refused.
    await socket.accept()
    refusal = await refused(socket, hub, found)
    if refusal is None and cursor is not None and not _is_cursor(cursor):
        refusal = 4400, "cursor: must be that of a message of alarms"
    if refusal is not None:
        await socket.close(*refusal)
        return
    await hold(socket, hub, found, hub.serve(socket, None if cursor is None else int(cursor)))


async def hold(
    socket: WebSocket,
    hub: Hub,
    token: str,
    sending: Coroutine[Any, Any, None],
    reading: Coroutine[Any, Any, None] | None = None,
) -> None:
    """Send, and read, until one of them is done, the client has left or its session has ended."""
    sender = asyncio.create_task(sending)
    signed_out = asyncio.create_task(hub.until_signed_out(token))
    tasks = (sender, signed_out, asyncio.create_task(reading or _until_it_leaves(socket)))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        over = signed_out.done()
    finally:
        for task in tasks:
            task.cancel()
    ended, *_ = await asyncio.gather(*tasks, return_exceptions=True)
    if over:
        await socket.close(4401, "the session has ended; sign in again")
    elif isinstance(ended, Exception) and not isinstance(ended, WebSocketDisconnect | TimeoutError | RuntimeError):
        _LOG.warning("live view ended", error=repr(ended))


def _is_cursor(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= MOST_CURSOR


def token_of(socket: WebSocket) -> str:
    """Return the session's token: of the header or the cookie, never of the address, which others write down."""
    try:
        return session_token(socket)[0]
    except NotSignedIn:
        return ""


async def refused(socket: WebSocket, hub: Hub, token: str) -> tuple[int, str] | None:
    """Return the close code and reason when this client may not look."""
    if not _same_origin(socket):
        return 4403, "another site's page may not look"
    if len(hub.clients) + hub.arriving >= MAX_CLIENTS:
        return 4429, "too many clients; try again later"
    # Counted before its session is asked for: of many that come at once each would find room.
    hub.arriving += 1
    try:
        await hub.check(token)
    except NotSignedIn as error:
        return 4401, str(error)
    except DATABASE_ERRORS:
        return 1013, "the database is away; try again in a moment"
    finally:
        hub.arriving -= 1
    return None


async def _until_it_leaves(socket: WebSocket) -> None:
    """Read and ignore what a client says until it is gone; it has nothing to tell us here."""
    try:
        while True:
            await socket.receive_text()
    except (WebSocketDisconnect, RuntimeError, KeyError):
        return
