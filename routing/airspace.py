"""The airspace rules that planned flights keep: height band over ground, zones and obstacles with their margins."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import shapely

from routing.errors import BadInput
from routing.geo import Position
from routing.region.model import Region, Zone

MIN_CLEARANCE_M = 60.0
"""Least height over the terrain in cruise: trees and low wires are not in the terrain model."""

CEILING_AGL_M = 150.0
"""Greatest height above ground: from 150 m on a permission is needed (Japan, Civil Aeronautics Act 132-85)."""

ZONE_MARGIN_M = 20.0
"""Least horizontal distance from a zone: position error of the vehicle and of the zone's survey."""

OBSTACLE_OVER_M = 20.0
"""Least height over the top of an obstacle for a flight nearer to it than its margin."""


def zone_areas(region: Region, margin_m: float) -> npt.NDArray[np.object_]:
    """Polygons in the local frame of all zones, widened by ``margin_m``, in the order of ``region.zones``.

    Raises ``BadInput`` naming a zone whose ring encloses less than 1 m2.
    """
    areas = [_area(region, zone) for zone in region.zones]
    # Mitred corners keep the vertices few: each is a possible waypoint of a way around.
    return np.asarray(shapely.buffer(np.array(areas, dtype=object), margin_m, join_style="mitre"))


def _area(region: Region, zone: Zone) -> shapely.Geometry:
    if any(not (math.isfinite(lat) and math.isfinite(lon)) for lat, lon in zone.ring) or len(zone.ring) < 3:
        raise BadInput(f"zone {zone.zone_id}: the ring needs at least 3 finite points")
    frame = region.frame
    ring = [frame.to_local(Position(lat, lon)) for lat, lon in zone.ring]
    area = shapely.make_valid(shapely.Polygon(ring))
    if area.area < 1.0:
        raise BadInput(f"zone {zone.zone_id}: the ring encloses less than 1 m2")
    return area
