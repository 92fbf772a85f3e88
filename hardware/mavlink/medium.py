"""What a port needs of the medium that it is on, and what the media need of the port."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from hardware.mavlink.address import Source
from hardware.mavlink.frames import Frame


class Taker(Protocol):
    """Who takes what comes. Called on the event loop; never raises, must not block.

    ``counts`` is where a medium counts what it drops, by reason.
    """

    counts: Counter[str]

    def take(self, frames: Sequence[Frame], source: Source) -> None:
        """Frames have come from a source."""

    def gone(self, source: Source) -> None:
        """A source has ended: nothing more comes from it, and nothing can be sent to it."""


class Carrier(Protocol):
    """A medium that is open: brings frames to its taker, and sends them.

    What is sent goes out at once or not at all. Nothing is queued: by the time a queue empties, the lease may have
    gone to another gateway, or the command be out of date.
    """

    local: Source
    """Where it listens, or what it is connected to."""

    def send(self, frame: bytes, to: Source) -> bool:
        """Send a frame; return whether it was handed to the system. Any thread."""
        ...

    def close(self) -> None:
        """Take and send nothing more."""
        ...
