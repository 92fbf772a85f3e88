"""What every request handler needs: the service's parts, and who is asking."""

from __future__ import annotations

import hmac
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from fleet import duty, regions, users
from fleet.api.presence import Presence
from fleet.api.problems import TooManyRequests
from fleet.db.database import DATABASE_ERRORS, Connection, Database
from fleet.errors import Forbidden, NotFound, NotSignedIn
from fleet.live import LiveView
from fleet.runtime import Runtime
from fleet.users import User
from hardware.mqtt import MqttClient
from telemetry.clock import Clock

COOKIE = "todoke_session"
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


@dataclass(slots=True)
class RateLimit:
    """At most ``count`` attempts in ``seconds`` by one key; the least recent of 1,000 keys is forgotten."""

    count: int
    seconds: float
    _attempts: OrderedDict[str, list[float]] = field(default_factory=OrderedDict)

    def check(self, key: str) -> None:
        """Count an attempt; raises ``TooManyRequests``."""
        self.look(key)
        self._attempts.setdefault(key, []).append(time.monotonic())
        self._attempts.move_to_end(key)
        while len(self._attempts) > 1000:
            self._attempts.popitem(last=False)

    def look(self, key: str) -> None:
        """Raise ``TooManyRequests`` when another attempt by the key would be one too many; it is not counted."""
        now = time.monotonic()
        recent = [t for t in self._attempts.get(key, []) if now - t < self.seconds]
        if key in self._attempts:
            self._attempts[key] = recent
        if len(recent) >= self.count:
            raise TooManyRequests("too many attempts; wait a moment")


@dataclass(slots=True)
class Context:
    """The parts of the service that handlers use."""

    runtime: Runtime
    clock: Clock
    database: Database
    live: LiveView
    bus: MqttClient | None = None
    sign_in_limit: RateLimit = field(init=False)
    recipient_limit: RateLimit = field(init=False)
    stranger_limit: RateLimit = field(init=False)
    presence: Presence = field(default_factory=Presence)

    def __post_init__(self) -> None:
        # Each process counts for itself, so they share what one alone would allow; a person who mistypes needs a few.
        self.sign_in_limit = RateLimit(max(5, 30 // self.runtime.apis), 60.0)
        # A page that looks every few seconds on two telephones; and a host that tries links that there are not.
        self.recipient_limit = RateLimit(60, 60.0)
        self.stranger_limit = RateLimit(max(5, 30 // self.runtime.apis), 60.0)

    async def region_id(self, conn: Connection) -> str:
        """Return the region served: the oldest one; raises ``NotFound`` when there is none yet."""
        known = await regions.listing(conn)
        if not known:
            raise NotFound("there is no region yet; create one with 'todoke region sample'")
        return str(known[0]["region_id"])


def context(connection: HTTPConnection) -> Context:
    """Return the context of the running application."""
    found: Context = connection.app.state.context
    return found


def session_token(connection: HTTPConnection) -> tuple[str, bool]:
    """Return the session's token and whether it came as a cookie; raises ``NotSignedIn``."""
    scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and bearer:
        return bearer.strip(), False
    cookie = connection.cookies.get(COOKIE)
    if cookie:
        return cookie, True
    raise NotSignedIn("sign in first")


async def current_user(request: Request) -> User:
    """Return who is asking. A change by cookie needs the session's CSRF token beside it."""
    token, by_cookie = session_token(request)
    async with context(request).database.transaction() as conn:
        user, csrf_token = await users.of_session(conn, token)
    if by_cookie and request.method not in _SAFE_METHODS:
        sent = request.headers.get("x-csrf-token", "")
        if not hmac.compare_digest(sent.encode(), csrf_token.encode()):
            raise Forbidden("the X-CSRF-Token header is missing or wrong; load the page again")
    await _hear(context(request), user, token, request)
    return user


async def _hear(ctx: Context, user: User, token: str, request: Request) -> None:
    """Note a pilot's sign of life; that it cannot be noted is no reason to refuse what was asked."""
    if ctx.presence.due(user, token, request):
        with suppress(*DATABASE_ERRORS):
            async with ctx.database.transaction() as conn:
                await duty.hear(conn, user.user_id)


Ctx = Annotated[Context, Depends(context)]
Signed = Annotated[User, Depends(current_user)]
