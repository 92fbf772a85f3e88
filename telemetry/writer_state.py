"""What a writer is bounded by, what it has done, and how it is."""

from __future__ import annotations

from dataclasses import dataclass

from telemetry.rows import CHUNK


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """Bounds of a writer; times are wall seconds.

    A batch is due at ``batch_samples`` or after ``batch_s``, and takes up to ``max_batch_samples`` when more
    are waiting. What is not in the store after ``secure_s`` is put on disk. ``spool_bytes``: what waits there; at
    the bound it is kept, and new samples are dropped, counted and recorded as a gap. ``queue_samples``: what waits
    in memory, for a disk that is slow or refuses; the same is done at that bound.
    """

    batch_samples: int = CHUNK
    batch_s: float = 0.06
    max_batch_samples: int = 10_000
    secure_s: float = 0.12
    queue_samples: int = 60_000
    spool_bytes: int = 512 * 1024 * 1024
    write_timeout_s: float = 15.0
    first_retry_s: float = 0.2
    last_retry_s: float = 5.0
    close_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class WriterCounts:
    """Samples and events since the writer was opened. ``stored`` counts those of an earlier process's spool too.

    ``spooled`` had to wait on disk, ``dropped`` found no room, ``rejected`` could not be stored by nature.
    """

    received: int = 0
    stored: int = 0
    spooled: int = 0
    dropped: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class WriterHealth:
    """How a writer is, now. ``oldest_unsaved_s``: the age of the oldest sample neither in the store nor on disk.

    ``waiting_samples``: how many such there are. ``last_write_s``: how long ago the last batch was stored, ``None``
    before the first.
    """

    waiting_samples: int
    spool_batches: int
    spool_bytes: int
    spool_max_bytes: int
    database_down: bool
    oldest_unsaved_s: float
    last_write_s: float | None
    dropped: int
