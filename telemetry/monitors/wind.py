"""Wind that a drone feels, against what its type bears."""

from __future__ import annotations

import math
from datetime import datetime

from routing.vehicle_type import VehicleKind, VehicleType
from telemetry.monitors.finding import Finding
from telemetry.monitors.monitor import airborne
from telemetry.sample import Sample

USUAL_SHARE = 2.0 / 3.0
"""Of a drone's greatest airspeed: the wind that it bears where its type names no limit; the rest is for gusts."""
BAND_MPS = 1.0
"""How far below the limit the wind must be before it is borne again."""


def limit_mps(vehicle_type: VehicleType) -> float | None:
    """The wind that a type may fly in; ``None`` for one that does not fly."""
    if vehicle_type.kind is not VehicleKind.DRONE:
        return None
    limit = vehicle_type.weather.max_wind_mps
    return USUAL_SHARE * vehicle_type.max_airspeed_mps if limit is None else limit


class WindLimit:
    """Whether the wind that a flying drone estimates is beyond its type's limit: ``wind``."""

    def __init__(self, limit: float) -> None:
        self._limit_mps = limit
        self._wind_mps = 0.0
        self._beyond = False

    def take(self, sample: Sample) -> None:
        """See one more sample; one without an estimate changes nothing."""
        if not airborne(sample):
            self._beyond = False
            return
        if sample.wind_n_cms is None or sample.wind_e_cms is None:
            return
        # Autopilots estimate the wind by a filter that knows no gusts: what it says needs no mean.
        self._wind_mps = math.hypot(sample.wind_n_cms, sample.wind_e_cms) / 100.0
        self._beyond = self._wind_mps > self._limit_mps - (BAND_MPS if self._beyond else 0.0)

    def findings(self, now: datetime) -> list[Finding]:
        """Return ``wind`` where it holds."""
        if not self._beyond:
            return []
        return [Finding("wind", True, values={"wind_mps": round(self._wind_mps, 1), "limit_mps": self._limit_mps})]
