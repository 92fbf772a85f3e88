"""The way of samples into the store: batched, written once, and kept on disk while the database is away."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg
import structlog
from psycopg import AsyncConnection

from telemetry.batch import Batch
from telemetry.clock import Clock
from telemetry.errors import NotStorable, TelemetryError
from telemetry.row import Row, to_row
from telemetry.sample import Sample
from telemetry.spool import Spool
from telemetry.store import ensure_partitions, write_batch

log = structlog.get_logger(__name__)

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
_Result = TypeVar("_Result")
_PARTITIONS_RETRY_S = 60.0


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """Bounds of a writer; times are wall seconds.

    A batch is due at ``batch_samples`` or after ``batch_s``, and takes up to ``max_batch_samples`` when more
    are waiting. ``memory_samples``: what waits in memory for a slow database; more goes to the spool.
    ``spool_bytes``: what waits on disk; at the bound it is kept and memory fills up again, to
    ``queue_samples``: at that bound new samples are dropped and counted.
    """

    batch_samples: int = 500
    batch_s: float = 0.2
    max_batch_samples: int = 10_000
    memory_samples: int = 20_000
    queue_samples: int = 60_000
    spool_bytes: int = 512 * 1024 * 1024
    write_timeout_s: float = 15.0
    first_retry_s: float = 0.2
    last_retry_s: float = 5.0
    close_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class WriterCounts:
    """Samples since the writer was opened. ``stored`` counts those of an earlier process's spool too.

    ``spooled`` had to wait on disk, ``dropped`` found no room, ``rejected`` could not be stored by nature.
    """

    received: int = 0
    stored: int = 0
    spooled: int = 0
    dropped: int = 0
    rejected: int = 0


class _DatabaseLost(TelemetryError):
    """The batch was not stored as far as is known; the same batch may be sent again."""


class _NoRoom(TelemetryError):
    """The spool is full, or its disk does not take more."""


class SampleWriter:
    """Takes samples from the event loop's thread and sees to it that they arrive in the store, once.

    ``async with SampleWriter(dsn, spool_dir=..., name=gateway_id) as writer: writer.put(sample)``. The name
    is the writer's for good: after a crash the one of the same name delivers what the spool still holds.
    New samples go straight to the database, turn and turn about with those of the spool. A clean end stores
    or spools everything; a crash loses what had been put in the last ``batch_s``. With a ``clock`` the
    writer keeps the partitions around its time ready; without, the owner calls ``ensure_partitions``.
    """

    def __init__(
        self,
        dsn: str,
        *,
        spool_dir: Path,
        name: str,
        clock: Clock | None = None,
        limits: WriterLimits | None = None,
    ) -> None:
        if not _NAME.match(name):
            raise ValueError(f"writer name {name!r}: letters, digits and . _ - only, at most 63")
        self._dsn = dsn
        self._name = name
        self._clock = clock
        self._limits = limits or WriterLimits()
        self._spool = Spool(spool_dir / name, max_bytes=self._limits.spool_bytes)
        self._tally = dict.fromkeys(("received", "stored", "spooled", "dropped", "rejected"), 0)
        self._queue: list[Row] = []
        self._due_at = 0.0
        self._sending: Batch | None = None
        self._spilling: Batch | None = None
        self._connection: AsyncConnection[Any] | None = None
        self._partitioned_on: date | None = None
        self._partitions_retry_at = 0.0
        self._complain_at = 0.0
        self._down = False
        self._open = False
        self._flushing = False
        self._work = asyncio.Event()
        self._overflowing = asyncio.Event()
        self._closing = asyncio.Event()
        self._progress = asyncio.Condition()
        # A thread of its own: the disk must neither hold up the loop nor wait behind MAVSDK's calls.
        self._disk = ThreadPoolExecutor(1, thread_name_prefix=f"spool-{name}")
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Open the spool and begin; the database need not be there yet.

        Raises ``SpoolInUse`` when another process has this name's spool, and ``OSError``.
        """
        try:
            await self._in_disk_thread(self._spool.__enter__)
        except BaseException:
            self._disk.shutdown(wait=False)
            raise
        if waiting := len(self._spool):
            log.info("spool_found", writer=self._name, batches=waiting, damaged=self._spool.damaged)
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._tasks = [
            group.create_task(self._store(), name=f"store-{self._name}"),
            group.create_task(self._overflow(), name=f"overflow-{self._name}"),
        ]
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Store what is left within ``close_timeout_s``, or else put it on the spool."""
        self._open = False
        for event in (self._closing, self._work, self._overflowing):
            event.set()
        try:
            try:
                await asyncio.wait(self._tasks, timeout=self._limits.close_timeout_s)
            finally:
                for task in self._tasks:
                    task.cancel()
                # The body's own exception goes on as it is; the group must only see its own cancellation.
                cancelled = isinstance(error, asyncio.CancelledError)
                await self._stack.__aexit__(*((kind, error, trace) if cancelled else (None, None, None)))
        finally:
            await self._spool_the_rest()
            await self._disconnect()
            await self._in_disk_thread(lambda: self._spool.__exit__(None, None, None))
            self._disk.shutdown(wait=False)

    def put(self, sample: Sample) -> None:
        """Take a sample at once. One that cannot be stored is counted as rejected, never raised."""
        self._tally["received"] += 1
        try:
            row = to_row(sample)
        except NotStorable as error:
            self._tally["rejected"] += 1
            self._complain(sample, error)
            return
        if not self._open or len(self._queue) >= self._limits.queue_samples:
            self._tally["dropped"] += 1
            return
        self._queue.append(row)
        waiting = len(self._queue)
        if waiting == 1:
            self._due_at = time.monotonic() + self._limits.batch_s
        if waiting in (1, self._limits.batch_samples):
            self._work.set()
        if waiting >= self._limits.memory_samples:
            self._overflowing.set()

    def _complain(self, sample: Sample, error: NotStorable) -> None:
        # A vehicle that sends nonsense does so many times a second: one line a second is enough.
        if time.monotonic() >= self._complain_at:
            self._complain_at = time.monotonic() + 1.0
            log.warning("sample_rejected", writer=self._name, vehicle=sample.vehicle_id, reason=str(error))

    @property
    def counts(self) -> WriterCounts:
        """What has become of the samples so far."""
        return WriterCounts(**self._tally)

    @property
    def in_memory(self) -> int:
        """Samples that are neither in the store nor on disk: what a crash now would lose."""
        return len(self._queue) + sum(len(batch.rows) for batch in (self._sending, self._spilling) if batch)

    @property
    def on_disk(self) -> int:
        """Batches that wait on the spool."""
        return len(self._spool)

    async def flush(self, *, timeout_s: float) -> None:
        """Wait until nothing waits any more, in memory or on the spool; raises ``TimeoutError``."""
        self._flushing = True
        self._work.set()
        try:
            async with asyncio.timeout(timeout_s), self._progress:
                await self._progress.wait_for(lambda: not self.in_memory and not self.on_disk)
        finally:
            self._flushing = False

    def _take(self) -> Batch:
        rows = self._queue[: self._limits.max_batch_samples]
        del self._queue[: self._limits.max_batch_samples]
        self._due_at = time.monotonic() + self._limits.batch_s
        return Batch(rows)

    def _is_due(self) -> bool:
        if not self._queue:
            return self._sending is not None
        at_once = self._flushing or self._closing.is_set() or self._sending is not None
        return at_once or len(self._queue) >= self._limits.batch_samples or time.monotonic() >= self._due_at

    async def _store(self) -> None:
        """Write batches to the database, new ones and spooled ones in turn, until told to close."""
        retry_s = self._limits.first_retry_s
        spool_next = False
        while not self._closing.is_set() or self._is_due():
            # What is on the spool at the end stays there: it is safe.
            spooled = not self._closing.is_set() and self.on_disk > 0
            fresh = self._is_due()
            if not spooled and not fresh:
                await self._wait(self._work, max(0.0, self._due_at - time.monotonic()) if self._queue else None)
                continue
            from_spool = spooled and (spool_next or not fresh)
            try:
                await (self._store_spooled() if from_spool else self._store_fresh())
            except _DatabaseLost as error:
                await self._database_lost(error)
                if self._closing.is_set():
                    return
                await self._wait(self._closing, retry_s, clear=False)
                retry_s = min(retry_s * 2, self._limits.last_retry_s)
            else:
                retry_s = self._limits.first_retry_s
                spool_next = not from_spool
            async with self._progress:
                self._progress.notify_all()

    async def _store_fresh(self) -> None:
        # Once sent, it is this batch with this identity until it is stored or on disk: it may have arrived.
        self._sending = self._sending or self._take()
        await self._write(self._sending)
        self._sending = None

    async def _store_spooled(self) -> None:
        try:
            record = await self._in_disk_thread(self._spool.peek)
        except OSError as error:
            # The disk's trouble must not stop what goes straight to the database.
            log.error("spool_unreadable", writer=self._name, reason=str(error))
            await self._wait(self._work, self._limits.last_retry_s)
            return
        if record is not None:
            try:
                batch = Batch.decode(record)
            except ValueError as error:
                log.error("spooled_batch_unreadable", writer=self._name, reason=str(error))
            else:
                await self._write(batch)
            await self._forget_spooled()

    async def _forget_spooled(self) -> None:
        try:
            await self._in_disk_thread(self._spool.forget)
        except OSError as error:
            # It is sent again after a restart then, and recognised.
            log.error("spool_file_left", writer=self._name, reason=str(error))

    async def _write(self, batch: Batch) -> None:
        """Store one batch, once. Raises ``_DatabaseLost`` when it should be tried again."""
        try:
            async with asyncio.timeout(self._limits.write_timeout_s):
                connection = await self._connected()
                await self._ensure_partitions(connection)
                await write_batch(connection, batch, writer=self._name)
        except psycopg.DataError as error:
            # All was checked when it was put, so this is a fault of ours; it must not hold up what follows.
            self._tally["rejected"] += len(batch.rows)
            log.error("batch_rejected", writer=self._name, batch_id=str(batch.batch_id), reason=str(error))
            return
        except (psycopg.Error, OSError) as error:
            # In the middle of a COPY or of its commit: nothing is known of this connection any more.
            await self._disconnect()
            raise _DatabaseLost(str(error) or type(error).__name__) from error
        except BaseException:
            await self._disconnect()
            raise
        self._tally["stored"] += len(batch.rows)
        if self._down:
            self._down = False
            log.info("database_back", writer=self._name, spooled_batches=len(self._spool))

    async def _connected(self) -> AsyncConnection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = await AsyncConnection.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=10,
                application_name=f"todoke samples {self._name}"[:63],
                options="-c timezone=UTC -c statement_timeout=10000 -c lock_timeout=5000",
            )
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

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

    async def _database_lost(self, error: _DatabaseLost) -> None:
        if not self._down:
            self._down = True
            log.warning("database_lost", writer=self._name, reason=str(error))
        if self._sending:
            with suppress(_NoRoom):
                await self._to_spool(self._sending)
                self._sending = None

    async def _overflow(self) -> None:
        """Move samples from memory to disk while the database is away, or too slow for them."""
        while not self._closing.is_set():
            await self._wait(self._overflowing, self._limits.batch_s)
            while self._queue and (self._down or len(self._queue) >= self._limits.memory_samples):
                try:
                    await self._spill()
                except _NoRoom:
                    await self._wait(self._closing, self._limits.last_retry_s, clear=False)
                    break

    async def _spill(self) -> None:
        self._spilling = self._take()
        try:
            await self._to_spool(self._spilling)
        except _NoRoom:
            self._queue[:0] = self._spilling.rows
            self._spilling = None
            raise
        # Not when cancelled: it may be on disk, and goes there once more with its identity at the end.
        self._spilling = None

    async def _to_spool(self, batch: Batch) -> None:
        try:
            kept = await self._in_disk_thread(lambda: self._spool.append(batch.encode()))
        except OSError as error:
            log.error("spool_failed", writer=self._name, reason=str(error))
            raise _NoRoom from error
        if not kept:
            raise _NoRoom
        self._tally["spooled"] += len(batch.rows)
        self._work.set()

    async def _spool_the_rest(self) -> None:
        """At the end: what was not stored goes to disk, and what finds no room there is dropped."""
        rest = [batch for batch in (self._spilling, self._sending) if batch]
        while self._queue:
            rest.append(self._take())
        for batch in rest:
            try:
                await self._to_spool(batch)
            except _NoRoom:
                self._tally["dropped"] += len(batch.rows)
        self._spilling = self._sending = None

    async def _in_disk_thread(self, call: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._disk, call)

    @staticmethod
    async def _wait(event: asyncio.Event, timeout_s: float | None, *, clear: bool = True) -> None:
        try:
            await asyncio.wait_for(event.wait(), timeout_s)
        except TimeoutError:
            return
        if clear:
            event.clear()
