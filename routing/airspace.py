"""The airspace rules that flights keep: height band over ground and trees, zones and obstacles with their margins."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import shapely

from routing.errors import BadInput
from routing.geo import LocalFrame, Position
from routing.geoid import ellipsoid_to_amsl
from routing.region.model import AltitudeReference, Period, Region, Restriction, Zone

MIN_CLEARANCE_M = 60.0
"""Least height over the terrain in cruise: trees and low wires are not in the terrain model. It comes on top of what
the terrain model may be too low by (``Terrain.error_m``)."""

TREES_OVER_M = 30.0
"""Least height over trees where the region knows how tall they are: they grow, and crowns are missed."""

CEILING_AGL_M = 150.0
"""Greatest height above ground: from 150 m on a permission is needed (Japan, Civil Aeronautics Act 132-85)."""

ZONE_MARGIN_M = 20.0
"""Least horizontal distance from a zone that has no margin of its own: position error of the vehicle and of the zone's
survey."""

ZONE_OVER_M = 10.0
"""Least vertical distance from a zone, for a flight under or over it: the height error of one aircraft (4.4 m at 95 %,
see ``Separation``) twice over. Where the zone's limit is above ground, the terrain's error comes on top."""

OBSTACLE_OVER_M = 20.0
"""Least height over the top of an obstacle for a flight nearer to it than its margin."""

LANE = "lane"
"""The condition of a zone that may be flown along a lane only."""

Floats = npt.NDArray[np.float64]
Areas = npt.NDArray[np.object_]

_DAY = timedelta(days=1)
_DAY_MINUTES = 1_440


def zone_areas(region: Region, margin_m: float) -> Areas:
    """Polygons in the local frame of all zones, widened by ``margin_m``, in the order of ``region.zones``.

    Raises ``BadInput`` naming a zone that cannot be.
    """
    return widened(areas_of(region.zones, region.frame), margin_m)


def widened(areas: Areas, margin_m: float | Floats) -> Areas:
    """Polygons with a margin around them."""
    # Mitred corners keep the vertices few: each is a possible waypoint of a way around.
    return np.asarray(shapely.buffer(areas, margin_m, join_style="mitre"))


def margins_m(zones: Sequence[Zone]) -> Floats:
    """The horizontal distance to keep from each zone."""
    return np.array([ZONE_MARGIN_M if zone.margin_m is None else zone.margin_m for zone in zones], dtype=np.float64)


def areas_of(zones: Sequence[Zone], frame: LocalFrame) -> Areas:
    """Polygons in a local frame of zones.

    Raises ``BadInput`` naming the first zone whose ring is no simple polygon of at least 1 m2, or whose limits,
    margin or schedule cannot be.
    """
    for zone in zones:
        _check(zone)
    areas = np.array([ring_area(zone.ring, frame) for zone in zones], dtype=object)
    valid = shapely.is_valid(areas)
    for i in np.flatnonzero(shapely.area(np.where(valid, areas, shapely.make_valid(areas))) < 1.0):
        raise BadInput(f"zone {zones[int(i)].zone_id}: the ring encloses less than 1 m2")
    for i in np.flatnonzero(~valid):
        why = shapely.is_valid_reason(areas[i]).partition("[")[0].lower()
        raise BadInput(f"zone {zones[int(i)].zone_id}: the ring crosses or touches itself ({why}); draw it anew")
    return areas


def ring_area(ring: Sequence[tuple[float, float]], frame: LocalFrame) -> shapely.Polygon:
    """The polygon in a local frame of a ring of ``(lat, lon)``."""
    return shapely.Polygon([frame.to_local(Position(lat, lon)) for lat, lon in ring])


def _check(zone: Zone) -> None:
    where = f"zone {zone.zone_id}"
    if len(set(zone.ring)) < 3 or any(not (abs(lat) < 90 and abs(lon) <= 180) for lat, lon in zone.ring):
        raise BadInput(f"{where}: the ring needs at least 3 different points on the earth, as (lat, lon)")
    for name, value in (("floor_m", zone.floor_m), ("ceiling_m", zone.ceiling_m), ("margin_m", zone.margin_m)):
        if value is not None and not math.isfinite(value):
            raise BadInput(f"{where}: {name} must be a number of metres, or left out, not {value}")
    if zone.margin_m is not None and zone.margin_m < 0.0:
        raise BadInput(f"{where}: margin_m must be 0 or more, not {zone.margin_m}")
    # Only heights from the same level: over a mountain, 200 m above ground is above 500 m above the sea.
    alike = zone.floor_reference is zone.ceiling_reference
    if alike and zone.floor_m is not None and zone.ceiling_m is not None and zone.floor_m >= zone.ceiling_m:
        raise BadInput(f"{where}: its floor, {zone.floor_m:g} m, is not below its ceiling, {zone.ceiling_m:g} m")
    for period in zone.schedule:
        _check_period(where, period)


def _check_period(where: str, period: Period) -> None:
    ends = [moment for moment in (period.begins, period.ends) if moment is not None]
    if any(moment.utcoffset() is None for moment in ends):
        raise BadInput(f"{where}: the times of its schedule need a time zone")
    if len(ends) == 2 and ends[1] < ends[0]:
        raise BadInput(f"{where}: a period of its schedule ends before it begins")
    if not all(0 <= minute <= _DAY_MINUTES for minute in (period.from_minute, period.to_minute)):
        raise BadInput(f"{where}: minutes of its schedule must be from 0 to {_DAY_MINUTES}")
    if not all(0 <= day <= 6 for day in period.weekdays):
        raise BadInput(f"{where}: weekdays of its schedule must be from 0 (Monday) to 6")


def applies(zone: Zone, begin: datetime, end: datetime) -> bool:
    """Whether a zone applies at any moment from ``begin`` to ``end``, both included."""
    return not zone.schedule or any(
        since <= end and begin < until for period in zone.schedule for since, until in _spans(period, begin, end)
    )


def changes(zones: Iterable[Zone], begin: datetime, end: datetime) -> tuple[datetime, ...]:
    """The moments after ``begin`` and up to ``end`` at which zones begin or cease to apply, in sequence."""
    moments = {
        moment
        for zone in zones
        for period in zone.schedule
        for span in _spans(period, begin, end)
        for moment in span
        if begin < moment <= end
    }
    return tuple(sorted(moments))


def _spans(period: Period, begin: datetime, end: datetime) -> Iterable[tuple[datetime, datetime]]:
    """When a period applies, day by day, for the days that a time touches: from the first moment, less the second."""
    first = max(begin, period.begins) if period.begins else begin
    last = min(end, period.ends) if period.ends else end
    whole = (period.from_minute, period.to_minute) == (0, _DAY_MINUTES) and not period.weekdays
    if whole:
        yield period.begins or datetime.min.replace(tzinfo=UTC), period.ends or datetime.max.replace(tzinfo=UTC)
        return
    day = first.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - _DAY
    length = (period.to_minute - period.from_minute) % _DAY_MINUTES or _DAY_MINUTES
    while day <= last:
        if not period.weekdays or day.weekday() in period.weekdays:
            since = day + timedelta(minutes=period.from_minute)
            until = since + timedelta(minutes=length)
            since, until = max(since, period.begins or since), min(until, period.ends or until)
            if since < until:
                yield since, until
        day += _DAY


def all_zones(region: Region, more: Sequence[Zone]) -> tuple[Zone, ...]:
    """The zones of a region and those added to them. Raises ``BadInput`` for an id that is used twice."""
    zones = (*region.zones, *more)
    seen: set[str] = set()
    for zone in zones:
        if zone.zone_id in seen:
            raise BadInput(f"zone id {zone.zone_id!r} is used twice")
        seen.add(zone.zone_id)
    return zones


def closed_always(zone: Zone) -> bool:
    """Whether no permit and no condition that planning knows opens a zone, while it applies."""
    if zone.restriction is Restriction.CONDITIONAL:
        return zone.conditions != (LANE,)
    return zone.restriction is Restriction.PROHIBITED


def zone_limits_amsl(
    zone: Zone, region: Region, east_m: npt.ArrayLike, north_m: npt.ArrayLike
) -> tuple[Floats, Floats]:
    """Altitudes AMSL of a zone's floor and ceiling over places of the local frame; infinite where a side is open.

    Raises ``BadInput`` naming a zone with a height above the ellipsoid in a region without a geoid.
    """
    ground = region.terrain.height_m(east_m, north_m)
    sides = ((zone.floor_m, zone.floor_reference, -math.inf), (zone.ceiling_m, zone.ceiling_reference, math.inf))
    floor, ceiling = (
        _amsl(zone, region, value, reference, ground, east_m, north_m)
        if value is not None
        else np.full(ground.shape, no_limit)
        for value, reference, no_limit in sides
    )
    return floor, ceiling


def _amsl(
    zone: Zone,
    region: Region,
    value_m: float,
    reference: AltitudeReference,
    ground: Floats,
    east_m: npt.ArrayLike,
    north_m: npt.ArrayLike,
) -> Floats:
    if reference is AltitudeReference.AGL:
        return ground + value_m
    if reference is AltitudeReference.AMSL:
        return np.full(ground.shape, value_m)
    try:
        return ellipsoid_to_amsl(region, np.full(ground.shape, value_m), east_m, north_m)
    except BadInput as error:
        raise BadInput(f"zone {zone.zone_id}: {error}") from None


def over_limit_m(zone_reference: AltitudeReference, region: Region) -> float:
    """How far a flight keeps above or below a limit of a zone."""
    return ZONE_OVER_M + (region.terrain.error_m if zone_reference is AltitudeReference.AGL else 0.0)


def clearance_m(region: Region, east_m: npt.ArrayLike, north_m: npt.ArrayLike) -> Floats:
    """The least height over the terrain model of a flight at places of the local frame."""
    trees = region.canopy.greatest(east_m, north_m) + TREES_OVER_M if region.canopy else 0.0
    east = np.asarray(east_m, dtype=np.float64)
    return np.asarray(region.terrain.error_m + np.maximum(np.full(east.shape, MIN_CLEARANCE_M), trees))
