"""The live view over WebSocket: conflated snapshots, and word of what has changed."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import orjson
import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from fleet import live, users
from fleet.api.context import COOKIE, Context, context
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
    misses that something has changed.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.clients: dict[WebSocket, set[str]] = {}

    def changed(self, table: str) -> None:
        """Mark what has changed for every client; ``*`` stands for everything."""
        what = set(_TABLES.values()) if table == "*" else {_TABLES.get(table, table)}
        for pending in self.clients.values():
            pending |= what

    async def serve(self, socket: WebSocket, token: str) -> None:
        """Send to one client until it leaves or its session ends."""
        pending: set[str] = set(_TABLES.values())
        self.clients[socket] = pending
        revision, checked = -1, asyncio.get_running_loop().time()
        try:
            while True:
                if self.context.live.revision != revision:
                    revision = self.context.live.revision
                    await self._send(socket, self._snapshot())
                if pending:
                    what = sorted(pending)
                    pending.clear()
                    await self._send(socket, {"type": "changed", "what": what})
                await asyncio.sleep(live.INTERVAL_S)
                if asyncio.get_running_loop().time() - checked > SESSION_CHECK_S:
                    checked = asyncio.get_running_loop().time()
                    async with self.context.database.transaction() as conn:
                        await users.of_session(conn, token)
        finally:
            del self.clients[socket]

    def _snapshot(self) -> dict[str, Any]:
        return {"type": "snapshot", "t": self.context.clock.now(), "vehicles": self.context.live.vehicles()}

    async def _send(self, socket: WebSocket, message: dict[str, Any]) -> None:
        await asyncio.wait_for(socket.send_text(orjson.dumps(message).decode()), SEND_TIMEOUT_S)


def _same_origin(socket: WebSocket) -> bool:
    # Browsers send cookies with WebSockets from any site; only our own page may use them.
    origin = socket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == socket.headers.get("host")


@router.websocket("/live")
async def live_view(socket: WebSocket, token: str | None = None) -> None:
    """Serve the live view to one client."""
    hub: Hub = socket.app.state.hub
    found = token or socket.cookies.get(COOKIE) or ""
    await socket.accept()
    refusal = await _refusal(socket, hub, found)
    if refusal is not None:
        await socket.close(*refusal)
        return
    sender = asyncio.create_task(hub.serve(socket, found))
    reader = asyncio.create_task(_until_it_leaves(socket))
    try:
        await asyncio.wait({sender, reader}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        sender.cancel()
        reader.cancel()
    ended = (await asyncio.gather(sender, reader, return_exceptions=True))[0]
    if isinstance(ended, NotSignedIn):
        await socket.close(4401, str(ended))
    elif isinstance(ended, Exception) and not isinstance(ended, WebSocketDisconnect | TimeoutError | RuntimeError):
        _LOG.warning("live view ended", error=repr(ended))


async def _refusal(socket: WebSocket, hub: Hub, token: str) -> tuple[int, str] | None:
    """Return the close code and reason when this client may not look."""
    if not _same_origin(socket):
        return 4403, "another site's page may not look"
    if len(hub.clients) >= MAX_CLIENTS:
        return 4429, "too many clients; try again later"
    try:
        async with context(socket).database.transaction() as conn:
            await users.of_session(conn, token)
    except NotSignedIn as error:
        return 4401, str(error)
    return None


async def _until_it_leaves(socket: WebSocket) -> None:
    """Read and ignore what a client says until it is gone; it has nothing to tell us here."""
    try:
        while True:
            await socket.receive_text()
    except (WebSocketDisconnect, RuntimeError, KeyError):
        return
