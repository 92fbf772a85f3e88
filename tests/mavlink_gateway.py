"""A process with one link, for tests that stop it: ``python -m tests.mavlink_gateway BIND LEASE_S [EAST_M [SPEED]]``.

``BIND`` is a port or an address of ``MavlinkAddress``. Its lease has a deadline in monotonic time and is renewed by a
loop, as a gateway's is. Prints a line when the vehicle is heard. With ``EAST_M`` it then flies the kit's delivery to a
drop point so far away, and prints a line when the vehicle is on its way there.
"""

from __future__ import annotations

import asyncio
import sys
import time

from hardware.mavlink.address import MavlinkAddress
from tests.mavlink_drone import ready
from tests.mavlink_kit import HOME, delivery, link_to, loaded, opened, until


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


async def _renew(lease: TimedLease) -> None:
    while True:
        lease.renew()
        await asyncio.sleep(0.1)


async def main(bind: str, lease_s: float, east_m: float | None, speed: float) -> None:
    lease = TimedLease(lease_s)
    address = MavlinkAddress(f"127.0.0.1:{bind}" if bind.isdigit() else bind)
    link = link_to(address, lease=lease, speed=speed, home=HOME, parameters=None if east_m is None else {})
    async with opened(link), asyncio.TaskGroup() as work:
        work.create_task(_renew(lease))
        await until(lambda: link.state().connected, 20)
        print("connected", flush=True)
        if east_m is not None:
            await ready(link)
            await loaded(link, delivery(east_m=east_m))
            await link.start()
            await until(lambda: link.state().progress.step == 1, 30)
            print("under way", flush=True)


if __name__ == "__main__":
    _, bind_, lease_, *rest = sys.argv
    asyncio.run(main(bind_, float(lease_), float(rest[0]) if rest else None, float(rest[1]) if len(rest) > 1 else 5.0))
