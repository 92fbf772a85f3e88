"""How long things are kept: retention by class of data, what is frozen, and rollups that outlive their samples.

Samples fall by whole days (a partition, or a chunk of a hypertable). Before a day goes, its rollups are stored and
what is frozen of it is moved to a table of its own, which ``sample_all`` reads too: a sample is never in both. All is
measured in domain time, which the caller brings: no statement and no job of the server asks for the time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row

from telemetry.sqlfile import statements
from telemetry.store import ensure_partitions, forget_batches

log = structlog.get_logger()

AT_ONCE = 20_000
"""Rows deleted in one transaction, so that none is long."""
LIVE_LAG = timedelta(minutes=2)
"""Rollups of the newest past are computed when read: their samples may still be on their way."""
COMPRESS_AFTER = timedelta(days=2)
_ADVISORY_KEY = 0x6B656570  # "keep"
_ROLLUPS = ("1s", "1m")
_SQL = statements("telemetry.sql", "keeping.sql")


@dataclass(frozen=True, slots=True)
class Limits:
    """Days for which each class of data is kept. Flight records are kept for ever and have no limit here.

    ``events_days`` is that of gaps, too. ``batches_days`` (wall time) is for identities of stored batches: a spool that
    waits longer on a machine that is away would be stored a second time.
    """

    samples_days: int = 90
    rollups_1s_days: int = 365
    rollups_1m_days: int = 5 * 365
    events_days: int = 5 * 365
    batches_days: int = 30

    def __post_init__(self) -> None:
        for name, days in asdict(self).items():
            if not 1 <= days <= 36_500:
                raise ValueError(f"{name} must be from 1 to 36500, not {days}")
        if not self.samples_days <= self.rollups_1s_days <= self.rollups_1m_days:
            raise ValueError(
                "samples_days, rollups_1s_days and rollups_1m_days must not fall: "
                f"{self.samples_days}, {self.rollups_1s_days}, {self.rollups_1m_days}"
            )


@dataclass(slots=True)
class Kept:
    """What one round of keeping did. ``busy``: another process was at it, and nothing was done."""

    busy: bool = False
    partitions_made: int = 0
    days_dropped: int = 0
    samples_frozen: int = 0
    rollups_stored: int = 0
    rollups_dropped: int = 0
    rollup_chunks_dropped: int = 0
    chunks_compressed: int = 0
    events_dropped: int = 0
    gaps_dropped: int = 0
    released: int = 0
    batches_forgotten: int = 0


@dataclass(frozen=True, slots=True)
class _Layout:
    """How this database holds samples: on native partitions, or with an extension whose functions are in a schema."""

    native: bool
    continuous: bool
    batches: bool
    extension_schema: str | None


@dataclass(frozen=True, slots=True)
class _Period:
    start: datetime
    end: datetime
    partition: str | None = None


async def freeze(
    connection: AsyncConnection[Any], *, freeze_id: str, vehicle_ids: Sequence[str], start: datetime, end: datetime
) -> None:
    """Keep samples, rollups, events and gaps of vehicles with ``start <= t < end`` out of retention.

    Called again with the same id, the new span takes the old one's place. What retention has dropped before stays
    dropped. Raises ``ValueError`` for an empty span.
    """
    if end <= start:
        raise ValueError(f"end: a frozen period must end after its start, not at {end.isoformat()}")
    values = {"freeze_id": freeze_id, "vehicle_ids": list(vehicle_ids), "start": start, "end": end}
    async with connection.transaction():
        await connection.execute(_SQL["freeze_ended"], values)
        await connection.execute(_SQL["freeze"], values)


async def unfreeze(connection: AsyncConnection[Any], freeze_id: str) -> None:
    """End a freeze: the next round drops what is past its time and no other freeze holds. Unknown ids do nothing."""
    await connection.execute(_SQL["freeze_ended"], {"freeze_id": freeze_id})


async def keep_house(connection: AsyncConnection[Any], now: datetime, limits: Limits) -> Kept:
    """Bring rollups up to date, make partitions ahead, and drop what is past its time at the domain time ``now``.

    ``connection`` must be in autocommit and may take minutes for a statement; its ``lock_timeout`` should be short,
    since dropping a day locks the table, and writers wait behind that. Any number of processes may call this: one at
    a time does it. What a round does not come to, the next one does. Raises ``ValueError`` for a connection that is
    not in autocommit, and ``psycopg.Error``; what was done until then is done.
    """
    if not connection.autocommit:
        raise ValueError("keep_house: the connection must be in autocommit")
    if not (await _rows(connection, "try_keeping", key=_ADVISORY_KEY))[0]["mine"]:
        return Kept(busy=True)
    try:
        return await _Round(connection, now.astimezone(UTC), limits).run()
    finally:
        if not connection.closed:
            await connection.execute(_SQL["end_keeping"], {"key": _ADVISORY_KEY})


async def _rows(connection: AsyncConnection[Any], name: str, **values: object) -> list[dict[str, Any]]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL[name], values)
        return await cursor.fetchall()


@dataclass(slots=True)
class _Round:
    connection: AsyncConnection[Any]
    now: datetime
    limits: Limits
    kept: Kept = field(default_factory=Kept)

    async def run(self) -> Kept:
        layout = _Layout(**(await _rows(self.connection, "layout"))[0])
        self.kept.partitions_made = await ensure_partitions(self.connection, self.now)
        if layout.continuous:
            await self._refresh(layout)
        await self._drop_samples(layout)
        for name in _ROLLUPS:
            if layout.continuous:
                await self._drop_rollup_chunks(layout, name)
                await self._compress(layout, name)
            self.kept.rollups_dropped += await self._delete(f"drop_rollups_{name}", self._before_rollups(name))
        events = self._before(self.limits.events_days)
        self.kept.events_dropped = await self._delete("drop_events", events)
        self.kept.gaps_dropped = await self._delete("drop_gaps", events)
        self.kept.released = await self._release()
        age = timedelta(days=self.limits.batches_days)
        self.kept.batches_forgotten = await forget_batches(self.connection, age)
        return self.kept

    def _before(self, days: int) -> datetime:
        """The midnight (UTC) before which things of a class that is kept for these days fall."""
        return self.now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)

    def _before_rollups(self, name: str) -> datetime:
        return self._before(self.limits.rollups_1s_days if name == "1s" else self.limits.rollups_1m_days)

    @asynccontextmanager
    async def _with_freezes_locked(self) -> AsyncIterator[None]:
        async with self.connection.transaction():
            await self.connection.execute(_SQL["lock_freezes"])
            yield

    async def _execute(self, name: str, **values: object) -> int:
        return (await self.connection.execute(_SQL[name], values)).rowcount

    async def _call(self, layout: _Layout, statement: str, **values: object) -> int:
        """Run a statement that calls a function of the extension, wherever that has its schema."""
        schema = sql.Identifier(layout.extension_schema or "public")
        return (await self.connection.execute(_SQL_OF_EXTENSION[statement].format(schema=schema), values)).rowcount

    async def _delete(self, name: str, before: datetime | None = None) -> int:
        """Delete in transactions of a bounded size, until nothing is left to delete."""
        deleted = 0
        while True:
            async with self._with_freezes_locked():
                count = await self._execute(name, before=before, limit=AT_ONCE)
            deleted += count
            if count < AT_ONCE:
                return deleted

    async def _refresh(self, layout: _Layout) -> None:
        """Have changed rollups computed again. Never of days that were dropped: that would drop their rollups."""
        start = (await _rows(self.connection, "samples_from"))[0]["start"]
        end = self.now.replace(second=0, microsecond=0) - LIVE_LAG
        refresh = "refresh_in_batches" if layout.batches else "refresh"
        for name in _ROLLUPS:
            if start is None or start < end:
                await self._call(layout, refresh, name=f"sample_{name}_live", start=start, end=end)

    async def _drop_samples(self, layout: _Layout) -> None:
        before = self._before(self.limits.samples_days)
        if layout.native:
            found = [_Period(**row) for row in await _rows(self.connection, "native_days", before=before)]
        else:
            chunks = await self._chunks("sample", before)
            found = [_Period(row["start"], row["end"]) for row in chunks]
        for period in found:
            if not layout.continuous:
                await self._store_rollups(period)
            async with self._with_freezes_locked():
                span: Mapping[str, object] = {"start": period.start, "end": period.end}
                self.kept.samples_frozen += await self._execute("keep_frozen_samples", **span)
                if not layout.native:
                    await self._call(layout, "drop_chunks", name="sample", **span)
                elif period.partition is not None:
                    await self.connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(period.partition)))
                else:
                    await self._execute("drop_default_day", **span)
                await self._execute("move_mark", **{"class": "sample", "before": period.end})
            self.kept.days_dropped += 1
            log.info("samples_dropped", start=period.start.isoformat(), end=period.end.isoformat())

    async def _store_rollups(self, period: _Period) -> None:
        """Put the rollups of a day into their tables. From the mark on they are computed, before it they are stored."""
        async with self._with_freezes_locked():
            for name in _ROLLUPS:
                wanted = {"start": period.start, "end": period.end, "all": period.end > self._before_rollups(name)}
                self.kept.rollups_stored += await self._execute(f"store_rollups_{name}", **wanted)
            await self._execute("move_mark", **{"class": "rollup", "before": period.end})

    async def _chunks(self, name: str, before: datetime) -> list[dict[str, Any]]:
        return await _rows(self.connection, "chunks", table=name, before=before)

    async def _drop_rollup_chunks(self, layout: _Layout, name: str) -> None:
        for chunk in await self._chunks(f"sample_{name}_live", self._before_rollups(name)):
            span = {"start": chunk["start"], "end": chunk["end"]}
            async with self._with_freezes_locked():
                await self._execute(f"keep_frozen_{name}", **span)
                await self._call(layout, "drop_chunks", name=f"sample_{name}_live", **span)
            self.kept.rollup_chunks_dropped += 1

    async def _compress(self, layout: _Layout, name: str) -> None:
        for chunk in await self._chunks(f"sample_{name}_live", self.now - COMPRESS_AFTER):
            if not chunk["is_compressed"]:
                await self._call(layout, "compress", chunk=chunk["chunk"])
                self.kept.chunks_compressed += 1

    async def _release(self) -> int:
        """Drop what only freezes that have ended had kept."""
        dropped = await self._delete("drop_released")
        async with self._with_freezes_locked():
            # None that was released meanwhile goes without a look at what it had kept.
            dropped += (count := await self._execute("drop_released", limit=AT_ONCE))
            if count < AT_ONCE:
                await self._execute("forget_released")
        return dropped


_SQL_OF_EXTENSION = {
    "refresh": sql.SQL(
        "CALL {schema}.refresh_continuous_aggregate(%(name)s::regclass, %(start)s::timestamptz, %(end)s::timestamptz)"
    ),
    # Releases that go by batches take 10 buckets each unless told otherwise: 10 s of samples, at a third of a second.
    "refresh_in_batches": sql.SQL(
        "CALL {schema}.refresh_continuous_aggregate(%(name)s::regclass, %(start)s::timestamptz, %(end)s::timestamptz,"
        """ options => '{{"buckets_per_batch": 3600}}')"""
    ),
    "drop_chunks": sql.SQL(
        "SELECT {schema}.drop_chunks(%(name)s::regclass, older_than => %(end)s::timestamptz,"
        " newer_than => %(start)s::timestamptz)"
    ),
    "compress": sql.SQL("SELECT {schema}.compress_chunk(%(chunk)s::regclass, true)"),
}
