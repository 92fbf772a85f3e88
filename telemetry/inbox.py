"""Samples and events that a writer has been given, on their way to being a batch."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from telemetry.batch import Batch
from telemetry.errors import NotStorable
from telemetry.rows import CHUNK, to_rows
from telemetry.sample import Sample


@dataclass(slots=True, eq=False)
class Waiting:
    """A batch on its way; ``since`` the time (monotonic) its oldest sample was put."""

    batch: Batch
    since: float
    on_disk: bool = False


class Inbox:
    """Samples as they were put, and behind them, oldest first, those that have been made into rows."""

    def __init__(self, *, piece: int = CHUNK) -> None:
        self._piece = piece
        self._samples: list[Sample] = []
        self._events: list[bytes] = []
        self._since = 0.0
        # So many of the first samples may have been put before this moment; the others were not.
        self._marked_at = 0.0
        self._before_mark = 0
        self._rows: deque[Waiting] = deque()

    def add(self, sample: Sample) -> int:
        """Take a sample; return how many wait to be made into rows."""
        samples = self._samples
        samples.append(sample)
        if len(samples) == 1 and not self._events:
            self._begin()
        return len(samples)

    def add_event(self, row: bytes) -> int:
        """Take an event's row; return how many events wait."""
        if not self._events and not self._samples:
            self._begin()
        self._events.append(row)
        return len(self._events)

    @property
    def new(self) -> int:
        """How many samples and events have not been made into rows."""
        return len(self._samples) + len(self._events)

    @property
    def new_since(self) -> float:
        """When the oldest of those was put, or earlier."""
        return self._since

    @property
    def ready(self) -> bool:
        """Whether there are rows to take."""
        return bool(self._rows)

    @property
    def oldest(self) -> float | None:
        """When the oldest of all was put, or earlier."""
        if self._rows:
            return self._rows[0].since
        return self._since if self.new else None

    def make_rows(self) -> list[tuple[Sample, NotStorable]]:
        """Make a piece of the new ones into rows; return those that cannot be stored, with the reason."""
        samples, events = self._samples[: self._piece], self._events
        del self._samples[: self._piece]
        self._events = []
        rows, refused = to_rows(samples)
        if rows or events:
            self._rows.append(Waiting(Batch(rows, events), self._since))
        self._before_mark -= len(samples)
        if self._before_mark <= 0:
            self._since, self._marked_at, self._before_mark = self._marked_at, time.monotonic(), len(self._samples)
        return refused

    def _begin(self) -> None:
        self._since = self._marked_at = time.monotonic()
        self._before_mark = 0

    def take(self, most: int) -> Waiting:
        """Take the oldest rows away as one batch; it is this one with this identity from here on."""
        first = self._rows.popleft()
        if not self._rows or len(first.batch) + len(self._rows[0].batch) > most:
            return first
        rows, events = list(first.batch.rows), list(first.batch.events)
        while self._rows and len(rows) + len(events) + len(self._rows[0].batch) <= most:
            following = self._rows.popleft().batch
            rows += following.rows
            events += following.events
        return Waiting(Batch(rows, events), first.since)

    def give_back(self, taken: Iterable[Waiting]) -> None:
        """Put batches back that were taken, in their order, before all others."""
        self._rows.extendleft(reversed(list(taken)))
