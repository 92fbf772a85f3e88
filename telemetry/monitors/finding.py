"""What a monitor sees in samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

Value = str | int | float


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition of one source, as a look at the domain time of the call shows it.

    ``holds`` is ``None`` when it cannot be told now: then nothing changes for whoever follows it. ``since`` is when
    it began, where the monitor knows that better than its caller; a newer ``since`` under the same ``key`` is
    something new. ``key`` tells conditions of one ``code`` apart (the other vehicle, the zone). ``values`` are what a
    text about it names, with units in their names. ``worse`` marks the case of the code that is more urgent.
    """

    code: str
    holds: bool | None
    since: datetime | None = None
    key: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)
    worse: bool = False
