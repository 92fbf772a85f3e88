"""What goes around every request: a bound on what comes in, headers on what goes out, and no stack traces."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleet.api.problems import problem, unexpected

MAX_BODY_BYTES = 2_000_000
"""Larger requests are refused, at once or when they have become too large."""
_TOO_LARGE = f"more than {MAX_BODY_BYTES} bytes; split it"


class Guard:
    """ASGI middleware around everything else that answers HTTP."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self._app = app
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, taken = False, 0

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                known = {name for name, _ in message["headers"]}
                more = [item for item in self._headers if item[0] not in known]
                if scope["path"].startswith("/api/") and b"cache-control" not in known:
                    more.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        async def receive_within_bound() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BODY_BYTES:
                raise HTTPException(413, _TOO_LARGE)
            return message

        if _announced_bytes(scope) > MAX_BODY_BYTES:
            await problem(413, "The request is too large", _TOO_LARGE)(scope, receive, send_with_headers)
            return
        try:
            await self._app(scope, receive_within_bound, send_with_headers)
        except Exception as error:
            if begun:
                raise
            await unexpected(scope["path"], error)(scope, receive, send_with_headers)


def _announced_bytes(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
