"""The way of samples into the store: batched, written once, and kept on disk while the database is away or slow."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from telemetry.batch import Batch
from telemetry.clock import Clock
from telemetry.errors import NotStorable
from telemetry.event import VehicleEvent
from telemetry.inbox import Inbox, Waiting
from telemetry.row import to_event_row, to_row
from telemetry.rows import CHUNK
from telemetry.sample import Sample
from telemetry.sender import DatabaseLost, Sender
from telemetry.shelf import RETRY_S, Shelf
from telemetry.writer_state import WriterCounts, WriterHealth, WriterLimits

__all__ = ["SampleWriter", "WriterCounts", "WriterHealth", "WriterLimits"]

log = structlog.get_logger(__name__)

_PAUSE_S = 0.01
"""So long encoding gives way to the sending of what is ready, between two pieces."""
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
_SPOOLED_SAMPLES = 5_000
"""Most samples of one record on disk: about a megabyte, read back in one go."""


class SampleWriter:
    """Takes samples and events from the event loop's thread and sees to it that they arrive in the store, once.

    ``async with SampleWriter(dsn, spool_dir=..., name=gateway_id) as writer: writer.put(sample)``. The name
    is the writer's for good: after a crash the one of the same name delivers what the spool still holds. All goes
    to the store in the order in which it came: what is on the spool first. A clean end stores or spools
    everything; a crash loses what had been put in the last 200 ms (``secure_s``, and the time of the disk). With a
    ``clock`` the writer keeps the partitions around its time ready; without, the owner calls ``ensure_partitions``.
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
        self._name = name
        self._limits = limits or WriterLimits()
        self._sender = Sender(dsn, name=name, clock=clock, timeout_s=self._limits.write_timeout_s)
        self.on_write: Callable[[float], None] = _ignore
        self._shelf = Shelf(spool_dir / name, name=name, max_bytes=self._limits.spool_bytes)
        self._gaps = self._shelf.gaps
        self._tally = dict.fromkeys(("received", "stored", "spooled", "dropped", "rejected"), 0)
        self._inbox = Inbox(piece=min(CHUNK, self._limits.max_batch_samples))
        self._held = 0
        self._sending: Waiting | None = None
        self._spilling: list[Waiting] = []
        self._stored_at: float | None = None
        self._complain_at = 0.0
        self._down = False
        self._open = False
        self._flushing = False
        self._taken = asyncio.Event()
        self._ready = asyncio.Event()
        self._closing = asyncio.Event()
        self._progress = asyncio.Condition()
        # Held while it is being settled what is on disk.
        self._settling = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Open the spool and begin; the database need not be there yet.

        Raises ``SpoolInUse`` when another process has this name's spool, and ``OSError``.
        """
        await self._shelf.open()
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._tasks = [
            group.create_task(work(), name=f"{work.__name__.strip('_')}-{self._name}")
            for work in (self._encode, self._store, self._secure)
        ]
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Store what is left within ``close_timeout_s``, or else put it on the spool."""
        self._open = False
        for event in (self._closing, self._taken, self._ready):
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
            await self._sender.close()
            await self._shelf.close()

    def put(self, sample: Sample) -> None:
        """Take a sample at once. One that cannot be stored is counted as rejected when its batch is made."""
        self._tally["received"] += 1
        if not self._open or self._held >= self._limits.queue_samples:
            self._refuse(sample)
            return
        self._held += 1
        waiting = self._inbox.add(sample)
        if waiting == 1 or waiting == self._limits.batch_samples:
            self._taken.set()

    def put_event(self, event: VehicleEvent) -> None:
        """Take an event at once, on the same terms as a sample. One that cannot be stored is counted as rejected."""
        self._tally["received"] += 1
        try:
            row = to_event_row(event)
        except NotStorable as error:
            self._reject(event.vehicle_id, error)
            return
        if not self._open or self._held >= self._limits.queue_samples:
            self._tally["dropped"] += 1
            return
        self._held += 1
        if self._inbox.add_event(row) == 1:
            self._taken.set()

    @property
    def counts(self) -> WriterCounts:
        """What has become of the samples and events so far."""
        return WriterCounts(**self._tally)

    @property
    def in_memory(self) -> int:
        """Samples and events that are neither in the store nor on disk: what a crash now would lose."""
        return self._held

    @property
    def on_disk(self) -> int:
        """Batches that wait on the spool."""
        return len(self._shelf)

    @property
    def health(self) -> WriterHealth:
        """How it is now."""
        oldest, now = self._oldest(), time.monotonic()
        return WriterHealth(
            waiting_samples=self._held,
            spool_batches=len(self._shelf),
            spool_bytes=self._shelf.size,
            spool_max_bytes=self._shelf.max_bytes,
            database_down=self._down,
            oldest_unsaved_s=0.0 if oldest is None else now - oldest,
            last_write_s=None if self._stored_at is None else now - self._stored_at,
            dropped=self._tally["dropped"],
        )

    async def flush(self, *, timeout_s: float) -> None:
        """Wait until nothing waits any more, in memory or on the spool; raises ``TimeoutError``."""
        self._flushing = True
        self._taken.set()
        try:
            async with asyncio.timeout(timeout_s), self._progress:
                await self._progress.wait_for(self._is_done)
        finally:
            self._flushing = False

    def _is_done(self) -> bool:
        return not (self._held or len(self._shelf) or self._gaps.waiting() or self._sender.owes)

    def _refuse(self, sample: Sample) -> None:
        """No room: at once, not when the batch is made, so that memory stays bounded."""
        try:
            self._gaps.note([to_row(sample)])
        except NotStorable as error:
            self._reject(sample.vehicle_id, error)
        else:
            self._tally["dropped"] += 1

    def _drop(self, batch: Batch) -> None:
        self._gaps.note(batch.rows)
        self._tally["dropped"] += len(batch)
        self._held -= len(batch)

    def _reject(self, vehicle_id: str, error: NotStorable) -> None:
        self._tally["rejected"] += 1
        # A vehicle that sends nonsense does so many times a second: one line a second is enough.
        if time.monotonic() >= self._complain_at:
            self._complain_at = time.monotonic() + 1.0
            log.warning("sample_rejected", writer=self._name, vehicle=vehicle_id, reason=str(error))

    def _oldest(self) -> float | None:
        """When the oldest sample that a crash now would lose was put."""
        if self._sending and not self._sending.on_disk:
            return self._sending.since
        return self._spilling[0].since if self._spilling else self._inbox.oldest

    def _is_due(self) -> bool:
        if not self._inbox.new:
            return False
        at_once = self._flushing or self._closing.is_set() or self._inbox.new >= self._limits.batch_samples
        return at_once or time.monotonic() >= self._inbox.new_since + self._limits.batch_s

    async def _encode(self) -> None:
        """Make rows of what was put, some at a time so that the loop serves others in between."""
        while not self._closing.is_set() or self._is_due():
            if self._is_due():
                self._make_rows()
                if not self._held:  # all were rejected
                    await self._tell_progress()
                await asyncio.sleep(0)
                if self._inbox.ready and not self._sender.server_works.is_set():
                    await self._wait(self._sender.server_works, _PAUSE_S, clear=False)
            else:
                due_at = self._inbox.new_since + self._limits.batch_s
                await self._wait(self._taken, max(0.0, due_at - time.monotonic()) if self._inbox.new else None)
        self._ready.set()

    def _make_rows(self) -> None:
        for sample, error in self._inbox.make_rows():
            self._reject(sample.vehicle_id, error)
            self._held -= 1
        self._ready.set()

    async def _something_to_do(self) -> bool:
        """Wait for something to send; ``False`` when all is done at the end, and what is on disk stays there."""
        while True:
            on_disk = self._sending.on_disk if self._sending else self._shelf.readable
            owes = self._sender.owes and self._inbox.oldest is None and not len(self._shelf)
            if self._closing.is_set() and (on_disk or not (self._sending or self._inbox.oldest or owes)):
                return False
            if on_disk or self._sending or self._inbox.ready or owes or (self._gaps.waiting() and not len(self._shelf)):
                return True
            await self._wait(self._ready, RETRY_S if len(self._shelf) else None)

    async def _store(self) -> None:
        """Send what is there, oldest first, until told to close."""
        retry_s = self._limits.first_retry_s
        while await self._something_to_do():
            try:
                await self._send()
            except DatabaseLost as error:
                if not self._down:
                    self._down = True
                    log.warning("database_lost", writer=self._name, reason=str(error))
                if self._closing.is_set():
                    return
                await self._wait(self._closing, retry_s, clear=False)
                retry_s = min(retry_s * 2, self._limits.last_retry_s)
            else:
                retry_s = self._limits.first_retry_s
            await self._tell_progress()

    async def _tell_progress(self) -> None:
        async with self._progress:
            self._progress.notify_all()

    async def _send(self) -> None:
        if self._sending is None:
            async with self._settling:  # what is just going to disk is older than what has come since
                if self._shelf.readable:
                    batch = await self._shelf.oldest()
                    self._sending = Waiting(batch, time.monotonic(), on_disk=True) if batch else None
                elif self._inbox.ready:
                    self._sending = self._inbox.take(self._limits.max_batch_samples)
        if self._sending:
            await self._deliver(self._sending)
        if self._sender.owes and self._inbox.oldest is None and not len(self._shelf):
            await self._sender.settle()  # what waited behind the last batch could not be stored
            self._is_back()
        gaps = self._gaps.waiting()
        if gaps and not len(self._shelf):
            await self._sender.tell(gaps)
            self._is_back()
            self._gaps.told(gaps)

    async def _deliver(self, sending: Waiting) -> None:
        began = time.monotonic()
        written = await self._sender.write(sending.batch, more=self._inbox.oldest is not None or len(self._shelf) > 1)
        self._stored_at = time.monotonic()
        self.on_write(self._stored_at - began)
        self._tally["stored"] += written.stored
        self._tally["rejected"] += written.rejected
        async with self._settling:
            if sending.on_disk:
                await self._shelf.forget()
            else:
                self._held -= len(sending.batch)
            self._sending = None
        self._is_back()

    def _is_back(self) -> None:
        if self._down:
            self._down = False
            log.info("database_back", writer=self._name, spooled_batches=len(self._shelf))

    async def _secure(self) -> None:
        """Put on disk what the database has not taken in time."""
        pause_s = self._limits.secure_s
        while not self._closing.is_set():
            oldest = self._oldest()
            left_s = pause_s if oldest is None else oldest + self._limits.secure_s - time.monotonic()
            if left_s <= 0:
                # Once it is on disk the oldest is young; where it could not be, trying at once is no use.
                left_s = pause_s / 3 if await self._to_disk() else RETRY_S
                await self._shelf.save_gaps()
            await self._wait(self._closing, left_s, clear=False)

    async def _to_disk(self) -> bool:
        """Put on disk all that is in memory; ``False`` when the disk refuses."""
        async with self._settling:
            for _ in range(0, self._inbox.new, CHUNK):
                self._make_rows()
                await asyncio.sleep(0)
            # Where the spool holds older ones that cannot be read, this one is not the first of it, and stays.
            if self._sending and not self._sending.on_disk and not len(self._shelf):
                self._spilling.append(self._sending)
            return await self._spill()

    async def _spill(self) -> bool:
        while self._inbox.ready:
            self._spilling.append(self._inbox.take(_SPOOLED_SAMPLES))
        spilling = self._spilling
        kept = await self._shelf.add([each.batch for each in spilling])
        if kept is None:
            self._inbox.give_back(each for each in spilling if each is not self._sending)
            self._spilling = []
            return False
        # Not when cancelled: it may be on disk, and goes there once more with its identity at the end.
        for number, each in enumerate(spilling):
            if number < kept:
                each.on_disk = True
                self._held -= len(each.batch)
                self._tally["spooled"] += len(each.batch)
            elif each is not self._sending:
                self._drop(each.batch)
        self._spilling = []
        self._ready.set()
        return True

    async def _spool_the_rest(self) -> None:
        """At the end: what was not stored goes to disk, and what finds no room there is dropped."""
        if self._sending and not self._sending.on_disk and self._sending not in self._spilling:
            self._spilling.append(self._sending)
        self._sending = None
        while self._inbox.new:
            self._make_rows()
        if not await self._spill():
            while self._inbox.ready:
                self._drop(self._inbox.take(_SPOOLED_SAMPLES).batch)
        await self._shelf.save_gaps()

    @staticmethod
    async def _wait(event: asyncio.Event, timeout_s: float | None, *, clear: bool = True) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return
        if clear:
            event.clear()


def _ignore(seconds: float) -> None:
    """Nobody measures."""
