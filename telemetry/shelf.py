"""A writer's side of the disk: batches that wait there, and what found no room."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import structlog

from telemetry.batch import Batch
from telemetry.gaps import DroppedSamples
from telemetry.spool import Spool

log = structlog.get_logger(__name__)

RETRY_S = 1.0
_Result = TypeVar("_Result")


class Shelf:
    """The spool and the gaps of one writer, in a thread of their own.

    The disk must neither hold up the loop nor wait behind MAVSDK's calls in the executor that all share.
    """

    def __init__(self, folder: Path, *, name: str, max_bytes: int) -> None:
        self._name = name
        self._spool = Spool(folder, max_bytes=max_bytes)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"spool-{name}")
        self._retry_at = 0.0
        self.gaps = DroppedSamples(folder / "gaps.json")

    async def open(self) -> None:
        """Take the folder and what is in it. Raises ``SpoolInUse`` and ``OSError``."""
        try:
            await self._do(self._spool.__enter__)
            await self._do(self.gaps.load)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise
        if waiting := len(self._spool):
            log.info("spool_found", writer=self._name, batches=waiting, damaged=self._spool.damaged)

    async def close(self) -> None:
        """Let the folder go; what is in it stays."""
        await self._do(lambda: self._spool.__exit__(None, None, None))
        self._thread.shutdown(wait=False)

    def __len__(self) -> int:
        """Return how many batches wait."""
        return len(self._spool)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._spool.size

    @property
    def max_bytes(self) -> int:
        """The bound of ``size``."""
        return self._spool.max_bytes

    @property
    def readable(self) -> bool:
        """Whether a batch waits, and the disk has not just refused to give it."""
        return len(self._spool) > 0 and time.monotonic() >= self._retry_at

    async def add(self, batches: Sequence[Batch]) -> int | None:
        """Put batches there so that they survive a crash; return of how many there was room, ``None``: disk trouble."""
        try:
            return await self._do(lambda: self._spool.extend([batch.encode() for batch in batches]))
        except OSError as error:
            log.error("spool_failed", writer=self._name, reason=str(error))
            return None

    async def oldest(self) -> Batch | None:
        """The batch that has waited longest; ``None`` when it cannot be read, and is out of the way for now."""
        try:
            record = await self._do(self._spool.peek)
            try:
                return await self._do(lambda: Batch.decode(record or b""))
            except ValueError as error:
                kept = await self._do(self._spool.set_aside)
                log.error("spooled_batch_unreadable", writer=self._name, kept=kept.name, reason=str(error))
        except OSError as error:
            # The disk's trouble must not stop what goes straight to the database.
            self._retry_at = time.monotonic() + RETRY_S
            log.error("spool_unreadable", writer=self._name, reason=str(error))
        return None

    async def forget(self) -> None:
        """Let the batch go that has waited longest."""
        try:
            await self._do(self._spool.forget)
        except OSError as error:
            # It is sent again after a restart then, and recognised.
            log.error("spool_file_left", writer=self._name, reason=str(error))

    async def save_gaps(self) -> None:
        """Have the gaps outlive a crash."""
        try:
            await self._do(self.gaps.save)
        except OSError as error:
            log.error("gaps_not_saved", writer=self._name, reason=str(error))

    async def _do(self, call: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
