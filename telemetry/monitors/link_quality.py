"""The share of a vehicle's messages that arrive."""

from __future__ import annotations

from datetime import datetime

from telemetry.monitors.finding import Finding
from telemetry.sample import Sample

WEAK_PCT, GOOD_PCT = 80.0, 90.0
"""Below the first a link is weak, from the second on it is good again: commands are repeated, so that it still works,
but one message in five is lost and the link may be next."""


class LinkQuality:
    """Whether the link is weak: ``link_weak``."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._pct = 100.0

    def take(self, sample: Sample) -> None:
        """See one more sample; one that does not say how much arrived changes nothing."""
        if sample.link_pct_x10 is None:
            return
        self._pct = sample.link_pct_x10 / 10.0
        if self._pct >= (WEAK_PCT if self._since is None else GOOD_PCT):
            self._since = None
        elif self._since is None:
            self._since = sample.t

    def findings(self, now: datetime) -> list[Finding]:
        """Return ``link_weak`` where it holds."""
        if self._since is None:
            return []
        return [Finding("link_weak", True, since=self._since, values={"arrived_pct": self._pct})]
