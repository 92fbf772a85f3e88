"""What monitors have in common: the way they are asked, and how they read a sample."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from routing.geo import LocalFrame, Position
from telemetry.monitors.finding import Finding
from telemetry.sample import Sample

AIRBORNE_M = 3.0
"""Height over the place of take-off from which on a drone flies that does not say whether it stands."""

Place = tuple[float, float, float]
"""East and north of a region's frame, and metres AMSL."""


class Monitor(Protocol):
    """Watches one thing about one vehicle.

    Neither call may raise for what a vehicle says, nor take longer than a fraction of a millisecond: all vehicles of
    a process share one thread. A sample that is older than the last one is passed over by whoever feeds monitors.
    """

    def take(self, sample: Sample) -> None:
        """See one more sample."""
        ...

    def findings(self, now: datetime) -> list[Finding]:
        """Return what holds at domain time ``now``; what is not returned does not hold."""
        ...


def place_of(sample: Sample, frame: LocalFrame) -> Place | None:
    """Where a sample says that the vehicle is, with altitude 0 where it says none; ``None`` where it says nothing
    that can be."""
    if sample.lat_e7 is None or sample.lon_e7 is None:
        return None
    lat, lon = sample.lat_e7 / 1e7, sample.lon_e7 / 1e7
    if abs(lat) > 90.0 or abs(lon) > 180.0 or (sample.lat_e7 == 0 and sample.lon_e7 == 0):
        # An autopilot without a fix says 0, 0.
        return None
    east, north = frame.to_local(Position(lat, lon))
    return east, north, (sample.alt_amsl_cm or 0) / 100.0


def airborne(sample: Sample) -> bool:
    """Whether a drone flies: as it says, else by its height over the place of take-off."""
    if sample.on_ground is not None:
        return not sample.on_ground
    return sample.alt_home_cm is not None and sample.alt_home_cm > AIRBORNE_M * 100.0
