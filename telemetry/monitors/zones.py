"""Zones that nobody may fly in, and who is in one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import shapely

from routing.airspace import LANE, applies, areas_of, closed_always, zone_limits_amsl
from routing.lanes import corridors
from routing.permits import holds, is_for, permit_areas
from routing.problem import Permit
from routing.region.model import Region, Restriction, Zone
from routing.vehicle_type import VehicleType
from telemetry.monitors.finding import Finding
from telemetry.monitors.monitor import Place, airborne, place_of
from telemetry.sample import Sample


class ClosedAirspace:
    """The zones of a region as prepared areas: built once, asked by all its vehicles.

    What is not closed in a zone is left out of its area: the lanes of one that is flown along them only. ``permits``
    open zones that need an authorisation and that they name, within their own areas.
    Raises ``BadInput`` naming a zone or permit that cannot be.
    """

    def __init__(self, region: Region, zones: Sequence[Zone] | None = None, permits: Sequence[Permit] = ()) -> None:
        """``zones``: those to keep out of, the region's own unless told otherwise."""
        self.region = region
        self.permits = permits
        named = region.zones if zones is None else zones
        self._zones = [zone for zone in named if zone.restriction is not Restriction.NONE]
        self._permitted = permit_areas(permits, region.frame)
        self._tree = shapely.STRtree(self._areas())

    def _areas(self) -> list[shapely.Geometry]:
        areas = areas_of(self._zones, self.region.frame)
        along = [i for i, zone in enumerate(self._zones) if LANE in zone.conditions and not closed_always(zone)]
        if along and self.region.lanes:
            lanes = shapely.union_all(corridors(self.region.lanes, self.region.frame))
            areas[along] = shapely.difference(areas[along], lanes)
        shapely.prepare(areas)
        return list(areas)

    def breached(self, place: Place, at: datetime, vehicle_type: VehicleType | None = None) -> list[Zone]:
        """Return the zones that a drone at a place is in: between floor and ceiling, while they apply."""
        east, north, alt_m = place
        point = shapely.Point(east, north)
        found = []
        # Most places are in no zone at all, and what follows is done for the few that are.
        for index in self._tree.query(point, predicate="within"):
            zone = self._zones[index]
            if not applies(zone, at, at) or self._permits(zone, point, at, vehicle_type):
                continue
            floor, ceiling = zone_limits_amsl(zone, self.region, east, north)
            if float(floor) < alt_m < float(ceiling):
                found.append(zone)
        return found

    def _permits(self, zone: Zone, point: shapely.Point, at: datetime, vehicle_type: VehicleType | None) -> bool:
        if zone.restriction is not Restriction.AUTHORISATION:
            return False
        naming = [
            i
            for i, permit in enumerate(self.permits)
            if zone.zone_id in permit.zones and is_for(permit, vehicle_type) and holds(permit, (at, at))
        ]
        return bool(np.any(shapely.intersects(self._permitted[naming], point)))


class ZoneBreach:
    """Whether a drone in the air is in a zone that is closed to it: ``zone_breach``, one for each zone."""

    def __init__(self, airspace: ClosedAirspace, vehicle_type: VehicleType) -> None:
        self._airspace, self._type = airspace, vehicle_type
        self._in: list[Zone] = []

    def take(self, sample: Sample) -> None:
        """See one more sample; one without a height says nothing."""
        if not airborne(sample):
            self._in = []
            return
        place = place_of(sample, self._airspace.region.frame)
        if place is not None and sample.alt_amsl_cm is not None:
            self._in = self._airspace.breached(place, sample.t, self._type)

    def findings(self, now: datetime) -> list[Finding]:
        """Return ``zone_breach`` for each zone that it is in."""
        names = {zone.zone_id: zone.name_ja or zone.name_en or zone.zone_id for zone in self._in}
        return [Finding("zone_breach", True, key=zone_id, values={"zone": name}) for zone_id, name in names.items()]
