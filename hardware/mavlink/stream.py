"""A stream of bytes in both directions (a TCP connection, a serial device), and keeping one open."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import structlog

from hardware.mavlink.address import Source
from hardware.mavlink.frames import FrameStream
from hardware.mavlink.medium import Taker

log = structlog.get_logger(__name__)

READ_BYTES = 8192
"""Read at once; the rest waits in the system's buffer."""
REST_S = 1.0
"""Wall time for which the rest of a frame that did not fit is worth sending; after it the stream is ended."""
LOOK_S = 1.0

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 8.0
"""Wall time before a stream is opened again: doubled from the first to the longest each time that it fails."""
LASTED_S = 5.0
"""A stream that lasted so long was a good one: the next is opened after the first wait again."""


class Ends(Protocol):
    """What a stream reads from and writes to: without blocking, and closed with what has not been sent."""

    def fileno(self) -> int:
        """Return the file descriptor."""
        ...

    def close(self) -> None:
        """Close it and throw away what waits to be sent."""
        ...


class ByteStream:
    """One open stream to ``source``, until it ends by itself, by ``silent_s`` without a byte, or by ``close``.

    ``ended`` is set with the reason, unless it was closed. A frame that the system takes only a part of is completed
    before the next one; while it takes nothing, frames are dropped and counted as ``congested``.
    """

    def __init__(
        self, ends: Ends, source: Source, taker: Taker, loop: asyncio.AbstractEventLoop, *, silent_s: float | None
    ) -> None:
        self.source = source
        self.ended: asyncio.Future[str] = loop.create_future()
        self._ends, self._taker, self._loop, self._silent_s = ends, taker, loop, silent_s
        self._frames = FrameStream(taker.counts)
        self._writing = threading.Lock()
        self._open = True
        self._rest = b""
        self._rest_at = 0.0
        self._heard_at = time.monotonic()
        loop.add_reader(ends.fileno(), self._read)
        self._looking = loop.call_later(LOOK_S, self._look, time.monotonic())

    def send(self, frame: bytes) -> bool:
        """Send a frame; return whether the system took it. Any thread."""
        with self._writing:
            if not self._open:
                return False
            try:
                if self._rest and not self._complete():
                    self._taker.counts["congested"] += 1
                    return False
                taken = os.write(self._ends.fileno(), frame)
            except (BlockingIOError, InterruptedError):
                self._taker.counts["congested"] += 1
                return False
            except OSError as error:
                self._end_soon(error.strerror or "it cannot be written to")
                return False
            if taken < len(frame):
                self._rest, self._rest_at = frame[taken:], time.monotonic()
            return True

    def close(self) -> None:
        """End it; nothing more is taken or sent."""
        with self._writing:
            was_open, self._open = self._open, False
        if was_open:
            self._looking.cancel()
            self._loop.remove_reader(self._ends.fileno())
            self._ends.close()
            self.ended.cancel()

    def _complete(self) -> bool:
        if time.monotonic() - self._rest_at > REST_S:
            self._end_soon("it takes nothing")
            return False
        self._rest = self._rest[os.write(self._ends.fileno(), self._rest) :]
        return not self._rest

    def _read(self) -> None:
        try:
            piece = os.read(self._ends.fileno(), READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error.strerror or "it cannot be read")
            return
        if not piece:
            self._end("the other side has closed it")
            return
        self._heard_at = time.monotonic()
        frames = self._frames.feed(piece)
        if frames:
            self._taker.take(frames, self.source)

    def _look(self, looked_at: float) -> None:
        now = time.monotonic()
        if now - looked_at > 2 * LOOK_S:
            # It was this loop that was away; what came meanwhile still waits.
            self._heard_at = max(self._heard_at, now - LOOK_S)
        if self._silent_s is not None and now - self._heard_at > self._silent_s:
            self._end(f"nothing came for {now - self._heard_at:.0f} s")
        else:
            self._looking = self._loop.call_later(LOOK_S, self._look, now)

    def _end_soon(self, reason: str) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end, reason)

    def _end(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)
        self.close()


class KeptStream:
    """A stream that is opened again whenever it ends (``medium.Carrier``): its one other end is ``local``."""

    def __init__(
        self,
        source: Source,
        name: str,
        open_: Callable[[], Awaitable[Ends]],
        taker: Taker,
        loop: asyncio.AbstractEventLoop,
        *,
        silent_s: float | None,
    ) -> None:
        """``open_`` raises ``OSError`` or ``TimeoutError`` when it cannot be had now."""
        self.local = source
        self._name, self._open, self._taker, self._loop, self._silent_s = name, open_, taker, loop, silent_s
        self._stream: ByteStream | None = None
        self._keeping = loop.create_task(self._keep(), name=f"keep {name}")

    def send(self, frame: bytes, to: Source) -> bool:
        """See ``Carrier``."""
        stream = self._stream
        return stream is not None and to == self.local and stream.send(frame)

    def close(self) -> None:
        """See ``Carrier``."""
        self._keeping.cancel()
        if self._stream is not None:
            self._stream.close()

    async def _keep(self) -> None:
        wait_s, said = FIRST_WAIT_S, ""
        while True:
            began = time.monotonic()
            try:
                reason = await self._once()
            except (OSError, TimeoutError) as error:
                reason = getattr(error, "strerror", None) or "no answer"
            if time.monotonic() - began >= LASTED_S:
                wait_s = FIRST_WAIT_S
            if reason != said:
                log.warning("mavlink_stream_ended", stream=self._name, reason=reason)
                said = reason
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _once(self) -> str:
        ends = await self._open()
        log.info("mavlink_stream_open", stream=self._name)
        self._stream = ByteStream(ends, self.local, self._taker, self._loop, silent_s=self._silent_s)
        try:
            return await self._stream.ended
        finally:
            with suppress(OSError):
                self._stream.close()
            self._stream = None
            self._taker.gone(self.local)
