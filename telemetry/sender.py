"""A writer's side of the database: batches go in whole and once, or it is said why not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from telemetry.batch import Batch, newest_of
from telemetry.clock import Clock
from telemetry.errors import TelemetryError
from telemetry.gaps import Gap
from telemetry.row import COLUMNS, Row
from telemetry.store import ensure_partitions, tell_gaps, write_batch

log = structlog.get_logger(__name__)

_PARTITIONS_RETRY_S = 60.0
_NEWEST_EVERY_S = 0.5
"""While much waits, the newest samples of all vehicles are brought up to date this often, not with every batch."""
_MOST_REFUSED = 100
"""Rows of one batch. They were checked before: when more are refused, something is wrong with the tables."""

_ROWS_FAULT = ("0A", "21", "22", "23", "44", "54", "P0")
"""SQLSTATE classes that say that the rows, not the server, are the trouble (PostgreSQL documentation, Appendix A).

All others pass: connections (08), resources and full disks (53, 58, XX: what the operating system refuses a server
may be any of them), a server that goes down (57), locks and deadlocks (40, 55), a server that is read-only (25), a
schema that is not there yet (42).
"""


class DatabaseLost(TelemetryError):
    """The batch was not stored as far as is known; the same batch may be sent again."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch. ``stored`` does not count what an earlier process had stored."""

    stored: int
    rejected: int


class Sender:
    """One connection, made when it is needed. Not for two tasks at once."""

    def __init__(self, dsn: str, *, name: str, clock: Clock | None, timeout_s: float) -> None:
        self._dsn = dsn
        self._name = name
        self._clock = clock
        self._timeout_s = timeout_s
        self._connection: AsyncConnection[Any] | None = None
        self._newest: dict[str, Row] = {}
        self._newest_at = 0.0
        self.server_works = asyncio.Event()
        """Set while the server has samples to work on; as long as it has none, what the loop has to do is to wait."""
        self._last: Batch | None = None
        """Kept until the next is on its way: to free its rows takes a millisecond, in which the server would wait."""
        self._unheard: Batch | None = None
        self._partitioned_on: date | None = None
        self._partitions_retry_at = 0.0

    async def close(self) -> None:
        """Let the connection go."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def write(self, batch: Batch, *, more: bool) -> Written:
        """Store a batch, once; ``more`` says that others wait behind it.

        Rows that the database refuses are found by halving, and only they are left out. Raises
        ``DatabaseLost`` when the batch should be sent again; what has arrived of it is then recognised.
        """
        stored = 0
        refused: list[str] = []
        parts = [batch]
        while parts:
            part = parts.pop()
            try:
                stored += await self._store(part, more=more or bool(parts))
            except psycopg.Error as error:
                halves = part.halves()
                if halves:
                    parts += reversed(halves)
                    continue
                refused.append(str(error))
                if len(refused) > _MOST_REFUSED:
                    raise DatabaseLost(f"the database refuses more than {_MOST_REFUSED} rows: {error}") from error
        if refused:
            log.error(
                "rows_rejected", writer=self._name, batch_id=str(batch.batch_id), rows=len(refused), of=refused[0]
            )
        return Written(stored, len(refused))

    @property
    def owes(self) -> bool:
        """Whether ``latest_sample`` has still to hear of samples that were stored."""
        return bool(self._newest)

    async def settle(self) -> None:
        """Let ``latest_sample`` hear of them though no batch follows. Raises ``DatabaseLost``."""
        await self.write(Batch(), more=False)
        self._newest = {}

    async def tell(self, gaps: Sequence[Gap]) -> None:
        """Record what had to be dropped. Raises ``DatabaseLost``."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await tell_gaps(await self._connected(), gaps)
        except (psycopg.Error, OSError) as error:
            await self.close()
            raise DatabaseLost(str(error) or type(error).__name__) from error

    async def _store(self, part: Batch, *, more: bool) -> int:
        """Store a part in one transaction; return of how many. Raises ``psycopg.Error`` for its rows' fault."""
        newest: Sequence[Row] = ()
        later = self._newest

        def meanwhile() -> Sequence[Row]:
            nonlocal newest, later
            self._last = part
            newest, later = self._newest_with(part, more=more)
            return newest

        try:
            async with asyncio.timeout(self._timeout_s):
                connection = await self._connected()
                await self._ensure_partitions(connection)
                new = await write_batch(
                    connection, part, writer=self._name, newest=meanwhile, server_works=self.server_works
                )
        except (psycopg.Error, OSError) as error:
            if isinstance(error, psycopg.Error) and is_rows_fault(error):
                raise
            # In the middle of a COPY or of its commit: nothing is known of this connection any more.
            self._unheard = part
            await self.close()
            raise DatabaseLost(str(error) or type(error).__name__) from error
        except BaseException:
            await self.close()
            raise
        if new and newest:
            self._newest_at = time.monotonic()
        if new:
            self._newest = later
        elif tuple(part.columns) == tuple(COLUMNS):
            # Whether ``latest_sample`` has heard of these is not known; hearing twice changes nothing.
            self._newest = newest_of(part.rows, dict(self._newest))
        known = not new and (self._unheard is None or self._unheard.batch_id != part.batch_id)
        return 0 if known else len(part)

    def _newest_with(self, part: Batch, *, more: bool) -> tuple[Sequence[Row], dict[str, Row]]:
        """What ``latest_sample`` is to hear of with this part, and what it has still to hear of then."""
        if tuple(part.columns) != tuple(COLUMNS):
            return part.newest(), self._newest
        newest = newest_of(part.rows, dict(self._newest))
        if more and time.monotonic() < self._newest_at + _NEWEST_EVERY_S:
            return (), newest
        return [newest[vehicle_id] for vehicle_id in sorted(newest)], {}

    async def _connected(self) -> AsyncConnection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = await AsyncConnection.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=10,
                application_name=f"todoke samples {self._name}"[:63],
                options="-c timezone=UTC -c statement_timeout=10000 -c lock_timeout=5000",
                # A server that is gone without a farewell is found out in seconds, not in a quarter of an hour.
                keepalives_idle=5,
                keepalives_interval=2,
                keepalives_count=3,
                tcp_user_timeout=10_000,
            )
        return self._connection

    async def _ensure_partitions(self, connection: AsyncConnection[Any]) -> None:
        """Keep the days around the present ready. Failing is no loss: the default partition takes all."""
        if self._clock is None or time.monotonic() < self._partitions_retry_at:
            return
        now = self._clock.now()
        if now.date() == self._partitioned_on:
            return
        try:
            await ensure_partitions(connection, now)
            self._partitioned_on = now.date()
        except psycopg.Error as error:
            self._partitions_retry_at = time.monotonic() + _PARTITIONS_RETRY_S
            log.warning("partitions_not_made", writer=self._name, reason=str(error))


def is_rows_fault(error: psycopg.Error) -> bool:
    """Whether an error says that a row cannot be stored, now or ever, and not that the server is in trouble."""
    return (error.sqlstate or "").startswith(_ROWS_FAULT) or (
        error.sqlstate is None and isinstance(error, psycopg.DataError)
    )
