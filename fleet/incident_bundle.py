"""An incident as one file to hand over: report, rows and samples in a ZIP, with the SHA-256 of each.

Written as it is read, in pieces: memory and connections do not grow with what is in it. Names of recipients are not
in it: orders appear by their ids.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import IO, Any, cast

from fleet import flight_log, incident_page, incident_report, incidents, regions, sample_files
from fleet.db.database import Database
from fleet.log_forms import Lang
from fleet.version import VERSION
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "incidents.sql")

SPAN, PIECES = timedelta(hours=1), 48
"""Rows of so much time are read at once, of a long incident one part of so many."""
PAGE = 2_000
"""Rows of one source read at once; a span with more is read in parts. Only what bears one and the same time is not."""
MISSIONS_PAGE = 100
"""A mission has its whole trip."""
PIECE_BYTES = 256 * 1024
TABLES = {
    "commands": "issued_at", "mission_events": "at", "custody": "at", "alarm_events": "at", "vehicle_events": "at",
    "gaps": "began_at", "weather": "observed_at", "audit": "at", "log_entries": "began_at",
}  # fmt: skip
"""Sources, each a file of JSON lines, and the time by which they are read."""


class _Out:
    """A file that cannot be sought in; what was written is taken away piece by piece."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.waiting = 0

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self.waiting += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits for anything."""

    def take(self) -> bytes:
        data, self._parts, self.waiting = b"".join(self._parts), [], 0
        return data


async def stream(database: Database, incident: Mapping[str, Any], *, now: datetime, actor: str) -> AsyncIterator[bytes]:
    """Yield the bundle of an incident: ``report.json``, the report in both languages, ``rows/*.jsonl``,
    ``samples/*.csv`` and last ``manifest.json`` with size and SHA-256 of every other file."""
    out = _Out()
    listed: dict[str, dict[str, Any]] = {}
    with zipfile.ZipFile(cast(IO[bytes], out), "w", zipfile.ZIP_DEFLATED) as archive:
        async for name, pieces in _files(database, incident, now):
            digest, size = hashlib.sha256(), 0
            with archive.open(name, "w", force_zip64=True) as file:
                async for text in pieces:
                    size += await asyncio.to_thread(_add, text, file, digest)
                    if out.waiting >= PIECE_BYTES:
                        yield out.take()
            listed[name] = {"bytes": size, "sha256": digest.hexdigest()}
        manifest = {
            "incident_id": incident["incident_id"],
            "made_at": now.isoformat(),
            "made_by": actor,
            "todoke": VERSION,
            "files": listed,
        }
        archive.writestr("manifest.json", json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    yield out.take()


def _add(text: str, file: IO[bytes], digest: hashlib._Hash) -> int:
    data = text.encode()
    digest.update(data)
    return file.write(data)


async def _files(
    database: Database, incident: Mapping[str, Any], now: datetime
) -> AsyncIterator[tuple[str, AsyncIterator[str]]]:
    low, high = incidents.period(incident, now)
    async with database.transaction() as conn:
        report = await incident_report.draft(conn, incident, now=now)
        said = await incidents.revisions(conn, incident["incident_id"])
        region = await regions.load(conn, incident["region_id"])
    yield "report.json", _one(await asyncio.to_thread(_json, {**report, "revisions": said}, indent=2))
    languages: tuple[Lang, Lang] = ("ja", "en")
    for lang in languages:
        page = await asyncio.to_thread(incident_page.render, report, region, lang=lang, path="")
        yield f"report-{lang}.html", _one(page)
    values = {"incident_id": incident["incident_id"], "region_id": incident["region_id"],
              "vehicle_ids": incident["vehicle_ids"]}  # fmt: skip
    for table, time in TABLES.items():
        read = partial(_read, database, table, values, ("low", "high"))
        widest = max(SPAN, (high - low) / PIECES)
        yield f"rows/{table}.jsonl", _rows(read, time, low, high, widest=widest, page=PAGE)
    # These are of the period with all their time, and read by when they were to leave.
    read = partial(_read, database, "missions", values | {"low": low, "high": high}, ("since", "until"))
    first, last = flight_log.ALWAYS
    yield "rows/missions.jsonl", _rows(read, "planned_depart", first, last, widest=last - first, page=MISSIONS_PAGE)
    for vehicle_id in incident["vehicle_ids"]:
        yield f"samples/{vehicle_id}.csv", sample_files.as_csv(database, vehicle_id, low, high)


async def _one(text: str) -> AsyncIterator[str]:
    yield text


async def _read(
    database: Database, table: str, values: Mapping[str, Any], bounds: tuple[str, str], *given: datetime | int | None
) -> list[dict[str, Any]]:
    """Return rows between two times, which the statement calls ``bounds``, and no more than a limit; in their order."""
    low, high, limit = given
    async with database.transaction() as conn:
        asked = {**values, bounds[0]: low, bounds[1]: high, "limit": limit}
        return await (await conn.execute(_SQL[table], asked)).fetchall()


async def _rows(
    read: Callable[[datetime, datetime, int | None], Awaitable[list[dict[str, Any]]]],
    time: str,
    low: datetime,
    high: datetime,
    *,
    widest: timedelta,
    page: int,
) -> AsyncIterator[str]:
    """Yield all rows as lines, in spans that shrink where rows are dense and widen where they are not."""
    span = widest
    while low < high:
        until = min(low + span, high)
        rows = await read(low, until, page + 1)
        if len(rows) > page:
            until = rows[-1][time]
            rows = [row for row in rows if row[time] < until]
            if until == low:
                until = low + timedelta(microseconds=1)
                rows = await read(low, until, None)
        yield await asyncio.to_thread(_lines, rows)
        span = min(widest, 2 * (until - low))
        low = until


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(_json(row) + "\n" for row in rows)


def _json(value: object, *, indent: int | None = None) -> str:
    return json.dumps(value, default=_plain, ensure_ascii=False, indent=indent)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
