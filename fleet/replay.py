"""A past period of the fleet, read from what was stored, a stretch at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fleet import live
from fleet.db.database import Connection, Database
from fleet.past import ACTIVE, Past
from telemetry import history
from telemetry.sample import Sample
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "replay.sql")

MOST_STEPS = 25
"""Pictures that are read ahead: five seconds as they are watched."""
MOST_EVENTS = 5000
"""Changes of alarms or missions in one stretch; what goes beyond is not shown. A stretch is minutes at the most."""
BEFORE_S = 60.0
"""How far before the beginning the last word of each vehicle is looked for."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture: what has changed since the one before it, all vehicles when it is ``full``."""

    t: datetime
    full: bool
    vehicles: list[dict[str, Any]]
    alarms: list[dict[str, Any]]


@dataclass(slots=True)
class _Stretch:
    """What happened up to a moment and was not shown yet, each in the order of time."""

    until: datetime
    samples: deque[Sample] = field(default_factory=deque)
    missions: deque[dict[str, Any]] = field(default_factory=deque)
    alarms: deque[dict[str, Any]] = field(default_factory=deque)


class Replay:
    """The fleet between two moments of domain time, at ``seek`` any of them and with ``advance`` on from there.

    In memory is the newest state of each vehicle and two stretches: the one that is shown and the one that is read
    ahead, each of at most ``MOST_STEPS`` pictures and ``history.LOOKS_AT_ONCE`` samples (or one of each vehicle, if
    those are more). No connection is held between two stretches. Raises what the database raises. Close it at the
    end, which stops the reading.
    """

    def __init__(self, database: Database, *, start: datetime, end: datetime, speed: float) -> None:
        self._database = database
        self.start, self.end, self.speed = start, end, speed
        self.t = start
        self._kinds: Mapping[str, str] = {}
        self._ids: list[str] = []
        self._full = True
        self._past = Past({})
        self._shown = _Stretch(start)
        self._ahead: asyncio.Task[_Stretch] | None = None

    async def seek(self, at: datetime) -> Frame:
        """Go to a moment within the period; return all that was true then."""
        await self.close()
        at = min(max(at, self.start), self.end)
        async with self._database.transaction() as conn:
            self._kinds = {row["vehicle_id"]: row["kind"] for row in await _rows(conn, "kinds")}
            self._ids = await history.heard_since(conn, at - timedelta(seconds=BEFORE_S))
            self._past = Past(self._kinds)
            for sample in await history.state_at(conn, self._ids, at, within_s=BEFORE_S):
                self._past.take_sample(sample)
            for mission in await _rows(conn, "missions_at", at=at, active=list(ACTIVE)):
                self._past.take_mission(mission)
            alarms = await _rows(conn, "alarms_at", at=at, limit=MOST_EVENTS)
        for alarm in alarms:
            self._past.take_alarm(alarm)
        self.t, self._shown = at, _Stretch(at)
        return Frame(at, True, self._past.changed(at), alarms)

    async def advance(self, to: datetime) -> Frame:
        """Go on to a later moment; return what has changed on the way there."""
        to = min(to, self.end)
        alarms: list[dict[str, Any]] = []
        while True:
            self._take(to, alarms)
            # A stretch does not hold its own end.
            if self._shown.until > to or self._shown.until >= self.end:
                break
            self._shown = await self._next()
        if self._ahead is None and self._shown.until < self.end:
            self._ahead = asyncio.create_task(self._read(self._shown.until))
        self.t = to
        return Frame(to, False, self._past.changed(to), alarms)

    async def close(self) -> None:
        """Stop reading ahead."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await ahead

    def _take(self, to: datetime, alarms: list[dict[str, Any]]) -> None:
        shown = self._shown
        while shown.samples and shown.samples[0].t <= to:
            self._past.take_sample(shown.samples.popleft())
        while shown.missions and shown.missions[0]["at"] <= to:
            self._past.take_mission(shown.missions.popleft())
        while shown.alarms and shown.alarms[0]["at"] <= to:
            alarms.append(shown.alarms[0])
            self._past.take_alarm(shown.alarms.popleft())

    async def _next(self) -> _Stretch:
        ahead, self._ahead = self._ahead, None
        return await (ahead if ahead is not None else self._read(self._shown.until))

    async def _read(self, start: datetime) -> _Stretch:
        every_s = live.INTERVAL_S * self.speed
        steps = max(1, min(MOST_STEPS, history.LOOKS_AT_ONCE // max(1, len(self._ids))))
        until = min(start + timedelta(seconds=steps * every_s), self.end)
        stretch = _Stretch(until)
        span = {"start": start, "end": until, "limit": MOST_EVENTS}
        async with self._database.transaction() as conn:
            stretch.missions.extend(await _rows(conn, "missions_between", active=list(ACTIVE), **span))
            stretch.alarms.extend(await _rows(conn, "alarms_between", **span))
            async for samples in history.replay_rows(conn, self._ids, start, until, every_s=every_s):
                stretch.samples.extend(samples)
        return stretch


async def _rows(conn: Connection, name: str, **values: object) -> list[dict[str, Any]]:
    return await (await conn.execute(_SQL[name], values)).fetchall()
