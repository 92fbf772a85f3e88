"""The live view over WebSocket: conflated snapshots, and word of what has changed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import orjson
import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from fleet import live, users
from fleet.api.context import COOKIE, Context
from fleet.db.database import DATABASE_ERRORS
from fleet.errors import NotSignedIn

router = APIRouter(prefix="/api")
_LOG = structlog.get_logger()

SEND_TIMEOUT_S = 10.0
"""A browser that takes nothing for this long is disconnected; it comes back and loses nothing but frames."""
MAX_CLIENTS = 200
SESSION_CHECK_S = 30.0
_TABLES = {
    "delivery_order": "orders",
    "mission": "missions",
    "planning_run": "plans",
    "command": "commands",
    "vehicle": "vehicles",
}


class Hub:
    """What browsers wait for: the newest snapshot, and the set of things changed since they last looked.

    Both are conflated at the reader: a slow one gets fewer messages, never a growing queue, and never
    misses that something has changed. A snapshot is encoded once for all that get it.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.clients: dict[WebSocket, set[str]] = {}
        self._encoded = (-1, "")

    def changed(self, table: str) -> None:
        """Mark what has changed for every client; ``*`` stands for everything."""
        what = set(_TABLES.values()) if table == "*" else {_TABLES.get(table, table)}
        for pending in self.clients.values():
            pending |= what

    async def serve(self, socket: WebSocket) -> None:
        """Send to one client until it leaves or takes nothing for too long."""
        pending: set[str] = set(_TABLES.values())
        self.clients[socket] = pending
        sent = -1
        try:
            while True:
                revision, snapshot = self._snapshot()
                if revision != sent:
                    sent = revision
                    await self._send(socket, snapshot)
                if pending:
                    what = sorted(pending)
                    pending.clear()
                    await self._send(socket, _encoded({"type": "changed", "what": what}))
                await asyncio.sleep(live.INTERVAL_S)
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

    def _snapshot(self) -> tuple[int, str]:
        view = self.context.live
        revision = view.revision
        if revision != self._encoded[0]:
            message = {"type": "snapshot", "t": self.context.clock.now(), "vehicles": view.vehicles()}
            self._encoded = revision, _encoded(message)
        return self._encoded

    async def _send(self, socket: WebSocket, text: str) -> None:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await socket.send_text(text)


def _encoded(message: dict[str, Any]) -> str:
    return orjson.dumps(message).decode()


def _same_origin(socket: WebSocket) -> bool:
    # Browsers send cookies with WebSockets from any site; only our own page may use them.
    origin = socket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == socket.headers.get("host")


@router.websocket("/live")
async def live_view(socket: WebSocket, token: str | None = None) -> None:
    """Serve the live view to one client."""
    hub: Hub = socket.app.state.hub
    found = token or socket.cookies.get(COOKIE) or ""
    # Accepted first, so that the browser sees why it is refused.
    await socket.accept()
    refusal = await _refusal(socket, hub, found)
    if refusal is not None:
        await socket.close(*refusal)
        return
    sender = asyncio.create_task(hub.serve(socket))
    signed_out = asyncio.create_task(hub.until_signed_out(found))
    tasks = (sender, signed_out, asyncio.create_task(_until_it_leaves(socket)))
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


async def _refusal(socket: WebSocket, hub: Hub, token: str) -> tuple[int, str] | None:
    """Return the close code and reason when this client may not look."""
    if not _same_origin(socket):
        return 4403, "another site's page may not look"
    if len(hub.clients) >= MAX_CLIENTS:
        return 4429, "too many clients; try again later"
    try:
        await hub.check(token)
    except NotSignedIn as error:
        return 4401, str(error)
    except DATABASE_ERRORS:
        return 1013, "the database is away; try again in a moment"
    return None


async def _until_it_leaves(socket: WebSocket) -> None:
    """Read and ignore what a client says until it is gone; it has nothing to tell us here."""
    try:
        while True:
            await socket.receive_text()
    except (WebSocketDisconnect, RuntimeError, KeyError):
        return
