"""What a subscriber of the MQTT client holds: a bounded queue of the messages that have arrived."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from hardware.errors import LinkDown

_log = logging.getLogger(__name__)


class Message(NamedTuple):
    """A message received. ``retain`` is set when the broker had kept it from before the subscription."""

    topic: str
    payload: bytes
    retain: bool


class Subscription:
    """Messages of some topic filters, in the order of their arrival: an async iterator.

    Holds at most ``limit`` messages that were not read yet; at the bound the oldest is dropped and
    counted in ``dropped``. Iteration ends when the subscription or its client is closed. With ``take`` nothing is
    held: each message is given to it as it arrives, from the client's reading; it must not block, and what it raises is
    counted in ``failed`` and goes no further.
    """

    def __init__(
        self,
        filters: tuple[str, ...],
        qos: int,
        limit: int,
        forget: Callable[[Subscription], None],
        take: Callable[[Message], None] | None = None,
    ) -> None:
        self.filters = filters
        self.qos = qos
        self.dropped = 0
        self.failed = 0
        self._take = take
        self._forget = forget
        self._queue: deque[Message] = deque()
        self._limit = limit
        self._wake = asyncio.Event()
        self._granted = asyncio.Event()
        self._refused: str | None = None
        self._closed = False

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        while not self._queue:
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._queue.popleft()

    async def ready(self, timeout_s: float = 5.0) -> None:
        """Wait until the broker has granted it; raises ``LinkDown`` when it refuses or stays silent."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._granted.wait()
        except TimeoutError:
            raise LinkDown(f"no answer of the broker to the subscription of {self.filters}") from None
        if self._refused is not None:
            raise LinkDown(self._refused)

    def close(self) -> None:
        """End it: what was received and not read is dropped."""
        if not self._closed:
            self.end()
            self._forget(self)

    def end(self) -> None:
        """End the iteration; for the client."""
        self._closed = True
        self._queue.clear()
        self._wake.set()

    def put(self, message: Message) -> None:
        """Add a message that has arrived; for the client."""
        if self._take is not None:
            self._give(message)
            return
        if len(self._queue) >= self._limit:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(message)
        self._wake.set()

    def _give(self, message: Message) -> None:
        if self._closed or self._take is None:
            return
        try:
            self._take(message)
        except Exception:
            self.failed += 1
            if self.failed in (1, 10, 100) or self.failed % 1000 == 0:
                _log.exception("message no. %d on %s that its taker failed at", self.failed, message.topic)

    def answer(self, refused: str | None) -> None:
        """Note the broker's answer, ``refused`` in words when it said no; for the client."""
        self._refused = refused
        self._granted.set()
