"""A process with one link, for tests that stop it: ``python -m tests.mavlink_gateway PORT LEASE_S``.

Its lease has a deadline in monotonic time and is renewed by a loop, as a gateway's is. Prints a line
when the vehicle is heard.
"""

from __future__ import annotations

import asyncio
import sys
import time

from hardware.mavlink.address import MavlinkAddress
from tests.mavlink_kit import link_to, opened, until


class TimedLease:
    """Held until a deadline; only one that is still held can be renewed."""

    def __init__(self, length_s: float) -> None:
        self._length_s = length_s
        self._until = time.monotonic() + length_s

    def held(self) -> bool:
        return time.monotonic() < self._until

    def renew(self) -> None:
        if self.held():
            self._until = time.monotonic() + self._length_s


async def main() -> None:
    lease = TimedLease(float(sys.argv[2]))
    link = link_to(MavlinkAddress(f"127.0.0.1:{sys.argv[1]}"), lease=lease, speed=5.0)
    async with opened(link):
        await until(lambda: link.state().connected, 20)
        print("connected", flush=True)
        while True:
            lease.renew()
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(main())
