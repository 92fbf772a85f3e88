"""Domain time: the clock of orders, plans, samples and commands, which a simulation may run faster."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Clock:
    """Maps wall time to domain time: ``domain = anchor_domain + speed * (wall - anchor_wall)``.

    All processes of one service share one anchor, so that they agree on the time after any restart.
    With ``speed`` 1 and equal anchors it is the wall clock.
    """

    anchor_wall: datetime
    anchor_domain: datetime
    speed: float = 1.0

    @classmethod
    def real(cls) -> Clock:
        """Return the clock whose domain time is the wall time."""
        epoch = datetime(2026, 1, 1, tzinfo=UTC)
        return cls(epoch, epoch, 1.0)

    @property
    def simulated(self) -> bool:
        """Whether domain time differs from wall time; such a clock never meets a real vehicle."""
        return self.speed != 1.0 or self.anchor_wall != self.anchor_domain

    def now(self) -> datetime:
        """Return the domain time, timezone-aware UTC."""
        elapsed_s = time.time() - self.anchor_wall.timestamp()
        return self.anchor_domain + timedelta(seconds=elapsed_s * self.speed)

    def wall_seconds(self, domain_s: float) -> float:
        """Convert a duration of domain time to wall time."""
        return domain_s / self.speed

    def wall_seconds_until(self, moment: datetime) -> float:
        """Wall seconds from now until a domain moment; 0 when it has passed."""
        return max(0.0, self.wall_seconds((moment - self.now()).total_seconds()))

    async def sleep(self, domain_s: float) -> None:
        """Sleep for a duration of domain time."""
        await asyncio.sleep(self.wall_seconds(domain_s))
