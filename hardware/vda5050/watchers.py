"""Those who wait for news of a robot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from hardware.link import VehicleState


class Watchers:
    """Wakes whoever waits at each piece of news. ``version`` counts them."""

    def __init__(self) -> None:
        self.version = 0
        self._closed = False
        self._events: set[asyncio.Event] = set()

    def notify(self) -> None:
        """Wake all."""
        self.version += 1
        for event in self._events:
            event.set()

    def close(self) -> None:
        """End all waiting."""
        self._closed = True
        self.notify()

    async def changes(self, current: Callable[[], VehicleState]) -> AsyncIterator[VehicleState]:
        """Yield the state now and after each change, the latest only, until this is closed."""
        event = asyncio.Event()
        self._events.add(event)
        try:
            while not self._closed:
                event.clear()
                yield current()
                await event.wait()
        finally:
            self._events.discard(event)

    async def wait_until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until ``done`` after some news; returns whether it came within the wall time."""
        event = asyncio.Event()
        self._events.add(event)
        try:
            async with asyncio.timeout(timeout_s):
                while not done():
                    event.clear()
                    await event.wait()
        except TimeoutError:
            return False
        finally:
            self._events.discard(event)
        return True
