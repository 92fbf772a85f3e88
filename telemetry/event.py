"""What a vehicle said in words, and what happened to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class VehicleEvent:
    """Something at one moment of domain time, in words.

    Severity after RFC 5424, 0 (emergency) to 7 (debug). ``kind`` is ``status`` for the vehicle's own words, else what
    happened: ``mode``, ``armed``, ``landed``, ``connected``, ``lost``, ``connection`` (what a robot says of its own),
    ``restarted``, ``clock``, ``mission`` (changed by somebody else).
    """

    vehicle_id: str
    t: datetime
    severity: int
    text: str
    kind: str = "status"
