"""How the service is, for machines that watch it: alive, ready, and its metrics."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import time
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from fleet import metrics
from fleet.api.context import Context, Ctx
from fleet.api.problems import problem
from fleet.db.database import DATABASE_ERRORS, Connection
from fleet.db.migrate import unapplied
from fleet.errors import FleetError, Forbidden, NotSignedIn
from fleet.service_clock import load_clock
from fleet.version import VERSION
from telemetry.sqlfile import statements

router = APIRouter()
_LOG = structlog.get_logger()
_SQL = statements("fleet.db.sql", "books.sql")

CHECK_TIMEOUT_S = 2.0
CACHED_S = 1.0
"""Wall seconds for which an answer holds: however many ask, the database is asked once in this time."""
CLOCK_OFF_S = 2.0
"""Leases last 5 s, and orders of events are told by their times: clocks must agree better than that."""
_NOT_KNOWN = "not known: the database does not answer"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the service: whether it serves, and why that is thought. Told to anybody: no addresses."""

    part: str
    ok: bool
    reason: str


class Readiness:
    """The parts that this process needs, looked at when somebody asks."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = asyncio.Lock()
        self._parts: list[Part] = []
        self._looked_at_s = float("-inf")

    async def parts(self) -> list[Part]:
        """Return all parts; bounded in time, and no older than ``CACHED_S``."""
        async with self._lock:
            if time.monotonic() - self._looked_at_s >= CACHED_S:
                self._parts = [self._broker(), *await self._in_database()]
                self._looked_at_s = time.monotonic()
            return self._parts

    def _broker(self) -> Part:
        bus = self._context.bus
        if bus is not None and bus.connected:
            return Part("broker", True, "connected")
        return Part("broker", False, "there is no connection to the MQTT broker")

    async def _in_database(self) -> list[Part]:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S), self._context.database.transaction() as conn:
                return [
                    Part("database", True, "answers"),
                    await _migrations(conn),
                    await _clock(conn, self._context),
                    await _gateways(conn),
                ]
        except (*DATABASE_ERRORS, TimeoutError) as error:
            _LOG.warning("not ready: the database is away", error=str(error).strip() or type(error).__name__)
            lost = Part("database", False, f"the database does not answer within {CHECK_TIMEOUT_S:g} s")
            return [lost, *(Part(name, False, _NOT_KNOWN) for name in ("migrations", "clock", "gateways"))]


async def _migrations(conn: Connection) -> Part:
    try:
        missing = await unapplied(conn)
    except FleetError as error:
        return Part("migrations", False, str(error))
    if missing:
        return Part("migrations", False, f"not applied yet: {', '.join(missing)}; start the service again")
    return Part("migrations", True, "all applied")


async def _clock(conn: Connection, context: Context) -> Part:
    try:
        clock = await load_clock(conn)
    except FleetError as error:
        return Part("clock", False, str(error))
    if clock != context.clock:
        return Part("clock", False, "the database's clock is not the one this process began with; start it again")
    before_s = time.time()
    row = await (await conn.execute(_SQL["wall_clock"])).fetchone()
    off_s = row["wall_s"] - (before_s + time.time()) / 2 if row else 0.0
    told = f"{abs(off_s):.1f} s {'behind' if off_s > 0 else 'ahead of'} the database's clock"
    return Part("clock", abs(off_s) <= CLOCK_OFF_S, "in step" if abs(off_s) <= CLOCK_OFF_S else told)


async def _gateways(conn: Connection) -> Part:
    row = await (await conn.execute(_SQL["totals"])).fetchone()
    vehicles, leased = (row["vehicles"], row["leased"]) if row else (0, 0)
    # One vehicle in between two gateways is no reason to take the console away from those who watch the others.
    return Part("gateways", leased > 0 or vehicles == 0, f"{leased} of {vehicles} vehicles are held by a gateway")


@router.get("/api/health")
async def health() -> dict[str, str]:
    """Say that this process answers: nothing else is looked at."""
    return {"status": "up", "version": VERSION}


@router.get("/api/ready")
async def ready(request: Request) -> JSONResponse:
    """Say whether the service can do its work, and part by part why not."""
    readiness: Readiness = request.app.state.readiness
    parts = await readiness.parts()
    shown = [asdict(part) for part in parts]
    amiss = [part for part in parts if not part.ok]
    if not amiss:
        return JSONResponse({"status": "ready", "version": VERSION, "parts": shown})
    why = "; ".join(f"{part.part}: {part.reason}" for part in amiss)
    return problem(503, "Not ready", why, more={"version": VERSION, "parts": shown})


@router.get("/metrics")
async def read_metrics(request: Request, context: Ctx) -> Response:
    """Return what all processes of this machine count, in Prometheus' text format.

    For programs on this machine, and for whoever has the setting ``metrics_token`` as a bearer token. A session
    does not count: a page in a signed-in browser has no business here.
    """
    _may_read(request, context.runtime.metrics_token)
    text = await asyncio.to_thread(metrics.exposition, context.runtime.home)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


def _may_read(request: Request, token: str) -> None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and given:
        if token and hmac.compare_digest(given.strip().encode(), token.encode()):
            return
        raise NotSignedIn("this is not the metrics token (setting metrics_token)")
    if not _from_this_machine(request):
        raise (NotSignedIn if token else Forbidden)(
            "metrics are read on this machine, or with the setting metrics_token as a bearer token"
        )


def _from_this_machine(request: Request) -> bool:
    """Whether a program here asks for this machine: not a proxy for others, nor a page that a browser here shows."""
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    passed_on = {"forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"} & set(request.headers)
    peer = request.client.host if request.client else ""
    return not passed_on and _is_loopback(peer) and (host == "localhost" or _is_loopback(host))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
