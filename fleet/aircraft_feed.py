"""Asks an ADS-B receiver what it sees, for as long as the service runs: one process does, for all regions.

A receiver that says nothing is an alarm: a sky that nobody looks at must not look empty.
"""

from __future__ import annotations

import asyncio
import time

import httpx
import structlog

from fleet import adsb, manned_aircraft, metrics, regions
from fleet.alarm_keeper import AlarmKeeper
from fleet.alarms import AlarmBook
from fleet.db.database import DATABASE_ERRORS, Database
from fleet.errors import FleetError
from telemetry.clock import Clock
from telemetry.monitors.finding import Finding, Value

_LOG = structlog.get_logger()

CODE = "feed_silent"
SOURCE = ("process", "adsb")
ACTOR = "aircraft feed"
POLL_S = 1.0
"""Receivers write their file once a second."""
TIMEOUT_S = 3.0
MOST_BACK_OFF_S = 15.0
SILENT_S = 10.0
"""Wall seconds without a new file after which somebody is told."""
MAX_BYTES = 4_000_000
"""A file of 5,000 aircraft has 2 MB; what is larger is not read to its end."""


class AircraftFeed:
    """One receiver by its address."""

    def __init__(self, url: str, database: Database, clock: Clock) -> None:
        self._url, self._database, self._clock = url, database, clock
        self._book = AlarmBook()
        self._keeper = AlarmKeeper(self._book, database, actor=ACTOR, own=[SOURCE])
        self._written_s = float("-inf")
        self._heard_s = time.monotonic()
        self._why = ""
        self.back_off_s = POLL_S

    async def run(self) -> None:
        """Ask until cancelled."""
        async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client:
            while True:
                await self.once(client)
                await asyncio.sleep(self.back_off_s)

    async def once(self, client: httpx.AsyncClient) -> None:
        """Ask once; whatever comes back, nothing is raised but a cancellation."""
        try:
            await self._take(await self._fetch(client))
        except (httpx.HTTPError, httpx.InvalidURL, FleetError, TimeoutError) as error:
            self._failed(str(error) or type(error).__name__)
        except DATABASE_ERRORS as error:
            _LOG.warning("aircraft are not kept: the database is away", error=str(error).strip())
        try:
            await self._tell()
        except DATABASE_ERRORS as error:
            _LOG.warning("alarms wait: the database is away", error=str(error).strip())

    async def _fetch(self, client: httpx.AsyncClient) -> bytes:
        # The time-outs of the client are for each piece: one that drips would hold the feed for ever.
        async with asyncio.timeout(2 * TIMEOUT_S), client.stream("GET", self._url) as response:
            if response.status_code != httpx.codes.OK:
                raise FleetError(f"the receiver answers {response.status_code}")
            parts, size = [], 0
            async for part in response.aiter_bytes():
                size += len(part)
                if size > MAX_BYTES:
                    raise FleetError(f"the receiver sends more than {MAX_BYTES} bytes")
                parts.append(part)
        return b"".join(parts)

    async def _take(self, data: bytes) -> None:
        at, speed = self._clock.now(), self._clock.speed
        written_s, near, unused = self._written_s, 0, 0
        async with self._database.transaction() as conn:
            for row in await regions.listing(conn):
                region = await regions.load(conn, row["region_id"])
                received = await asyncio.to_thread(adsb.read, data, region, at=at, speed=speed)
                # Not by which is later: a receiver that was started anew may have another clock.
                if received.written_s == self._written_s:
                    raise FleetError("the receiver's file does not change")
                await manned_aircraft.report(
                    conn, received.aircraft, region_id=region.region_id, source="adsb", actor=ACTOR
                )
                written_s, near, unused = received.written_s, near + len(received.aircraft), received.unused
        self._written_s, self._heard_s, self.back_off_s = written_s, time.monotonic(), POLL_S
        metrics.AIRCRAFT.set(near)
        metrics.AIRCRAFT_UNUSED.inc(by=unused)
        metrics.AIRCRAFT_POLLS.inc("taken")

    def _failed(self, why: str) -> None:
        self._why = why[:200]
        first = self.back_off_s == POLL_S
        self.back_off_s = min(MOST_BACK_OFF_S, 2.0 * self.back_off_s)
        metrics.AIRCRAFT_POLLS.inc("failed")
        if first:
            _LOG.warning("nothing from the receiver of manned aircraft", url=self._url, why=self._why)

    async def _tell(self) -> None:
        silent_s = time.monotonic() - self._heard_s
        metrics.AIRCRAFT_SILENT.set(silent_s)
        values: dict[str, Value] = {"silent_s": round(silent_s), "why": self._why}
        finding = Finding(CODE, silent_s > SILENT_S, values=values)
        self._book.take(*SOURCE, [finding], at=self._clock.now(), speed=self._clock.speed)
        await self._keeper.once()


async def run(url: str, database: Database, clock: Clock) -> None:
    """Ask the receiver at ``url`` until cancelled; without one clear what an earlier one has left."""
    if url:
        await AircraftFeed(url, database, clock).run()
    book = AlarmBook()
    keeper = AlarmKeeper(book, database, actor=ACTOR, own=[SOURCE])
    while True:
        try:
            await keeper.once()
            if not [alarm for alarm in book.open() if alarm.standing]:
                return
            book.take(*SOURCE, [], at=clock.now(), speed=clock.speed)
        except DATABASE_ERRORS as error:
            _LOG.warning("an earlier receiver's alarm waits: the database is away", error=str(error).strip())
        await asyncio.sleep(POLL_S)
