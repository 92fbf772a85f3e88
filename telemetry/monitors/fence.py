"""The fence of a drone: where it is approved to fly, and how high."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

import shapely

from routing.airspace import CEILING_AGL_M
from routing.permits import holds, is_for, permit_areas
from routing.problem import Permit, Separation
from routing.region.model import Region
from routing.vehicle_type import VehicleType
from telemetry.monitors.finding import Finding
from telemetry.monitors.monitor import Place, airborne, place_of
from telemetry.sample import Sample

_HEIGHT_ERROR_M = Separation().containment_vertical_m


class Approved:
    """What of a region's airspace is approved: built once, asked by all its vehicles.

    With ``permits`` it is their areas up to their ceilings, each while it holds and for the types that it is for.
    Without, it is the region, beyond which nothing about the ground is known, up to ``CEILING_AGL_M`` (Civil
    Aeronautics Act of Japan, Article 132-85). Heights may be off by what the terrain model and the vehicle's own
    height may (``Separation.containment_vertical_m``). Raises ``BadInput`` naming a permit that cannot be.
    """

    def __init__(self, region: Region, permits: Sequence[Permit] = ()) -> None:
        self.region = region
        self._permits = permits
        self._areas = permit_areas(permits, region.frame)
        shapely.prepare(self._areas)

    def outside_m(self, place: Place, at: datetime, vehicle_type: VehicleType | None = None) -> float:
        """Return how far a place is outside of what is approved, 0 inside."""
        east, north, alt_m = place
        terrain = self.region.terrain
        beyond = max(terrain.west_m - east, east - terrain.east_m, terrain.south_m - north, north - terrain.north_m)
        if beyond > 0.0:
            # The ground there is not known, and nothing beyond the region can be approved.
            return float(beyond)
        height_m = alt_m - float(terrain.height_m(east, north)) - terrain.error_m - _HEIGHT_ERROR_M
        if not self._permits:
            return max(0.0, height_m - CEILING_AGL_M)
        valid = [
            i for i, permit in enumerate(self._permits) if is_for(permit, vehicle_type) and holds(permit, (at, at))
        ]
        away = shapely.distance(self._areas[valid], shapely.Point(east, north))
        over = [height_m - self._permits[i].ceiling_agl_m for i in valid]
        return max(0.0, min((max(m, up) for m, up in zip(away.tolist(), over, strict=True)), default=math.inf))


class FenceBreach:
    """Whether a drone in the air has left what is approved: ``fence_breach``."""

    def __init__(self, approved: Approved, vehicle_type: VehicleType) -> None:
        self._approved, self._type = approved, vehicle_type
        self._outside_m = 0.0

    def take(self, sample: Sample) -> None:
        """See one more sample; one without a height says nothing."""
        if not airborne(sample):
            self._outside_m = 0.0
            return
        place = place_of(sample, self._approved.region.frame)
        if place is not None and sample.alt_amsl_cm is not None:
            self._outside_m = self._approved.outside_m(place, sample.t, self._type)

    def findings(self, now: datetime) -> list[Finding]:
        """Return ``fence_breach`` where it holds. Without any permit that holds nobody knows how far it is outside."""
        if self._outside_m <= 0.0:
            return []
        known = math.isfinite(self._outside_m)
        return [Finding("fence_breach", True, values={"outside_m": round(self._outside_m, 1)} if known else {})]
