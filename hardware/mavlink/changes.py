"""Telling many waiters that something changed, without queues: a slow one misses what lies between."""

from __future__ import annotations

import asyncio


class Changes:
    """A counter of changes that can be waited for."""

    def __init__(self) -> None:
        self._count = 0
        self._next: asyncio.Event | None = None

    @property
    def count(self) -> int:
        """How many changes there were; give it to ``after``."""
        return self._count

    def tell(self) -> None:
        """Wake all who wait."""
        self._count += 1
        if self._next is not None:
            self._next.set()
            self._next = None

    async def after(self, count: int) -> None:
        """Return when there were more changes than ``count``. Has no time-out of its own."""
        while self._count <= count:
            self._next = self._next or asyncio.Event()
            await self._next.wait()

    async def after_or(self, count: int, wall_s: float) -> None:
        """Return when there were more changes than ``count``, or after so much wall time."""
        try:
            async with asyncio.timeout(wall_s):
                await self.after(count)
        except TimeoutError:
            return
