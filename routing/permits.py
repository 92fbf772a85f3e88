"""Permissions to fly: which of them hold for a vehicle and a time, and where."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone

import numpy as np
import numpy.typing as npt
import shapely

from routing.airspace import ring_area
from routing.daylight import is_daylight
from routing.errors import BadInput
from routing.geo import LocalFrame
from routing.problem import FleetVehicle, Permit
from routing.vehicle_type import VehicleType

_DAY_MINUTES = 1_440


def permit_areas(permits: Sequence[Permit], frame: LocalFrame) -> npt.NDArray[np.object_]:
    """Polygons in a local frame of permits. Raises ``BadInput`` naming the first that cannot be."""
    for permit in permits:
        _check(permit)
    areas = np.array([ring_area(permit.ring, frame) for permit in permits], dtype=object)
    for i in np.flatnonzero(~shapely.is_valid(areas) | (shapely.area(areas) < 1.0)):
        raise BadInput(f"permit {permits[int(i)].permit_id}: the ring crosses itself or encloses less than 1 m2")
    return areas


def _check(permit: Permit) -> None:
    where = f"permit {permit.permit_id}"
    if len(set(permit.ring)) < 3 or any(not (abs(lat) < 90 and abs(lon) <= 180) for lat, lon in permit.ring):
        raise BadInput(f"{where}: the ring needs at least 3 different points on the earth, as (lat, lon)")
    if not 0.0 < permit.ceiling_agl_m < math.inf:
        raise BadInput(f"{where}: ceiling_agl_m must be a number above 0, not {permit.ceiling_agl_m}")
    ends = [moment for moment in (permit.begins, permit.ends) if moment is not None]
    if any(moment.utcoffset() is None for moment in ends):
        raise BadInput(f"{where}: begins and ends need a time zone")
    if len(ends) == 2 and ends[1] < ends[0]:
        raise BadInput(f"{where}: it ends before it begins")
    if not all(0 <= minute <= _DAY_MINUTES for minute in (permit.from_minute, permit.to_minute)):
        raise BadInput(f"{where}: from_minute and to_minute must be from 0 to {_DAY_MINUTES}")


def is_for(permit: Permit, vehicle: FleetVehicle | VehicleType | None) -> bool:
    """Whether a permit is for a vehicle; a type stands for each of its vehicles, ``None`` for any."""
    type_id = vehicle.type.type_id if isinstance(vehicle, FleetVehicle) else vehicle.type_id if vehicle else None
    vehicle_id = vehicle.vehicle_id if isinstance(vehicle, FleetVehicle) else None
    return (not permit.type_ids or type_id in permit.type_ids) and (
        not permit.vehicle_ids or vehicle_id in permit.vehicle_ids
    )


def holds(permit: Permit, during: tuple[datetime, datetime] | None) -> bool:
    """Whether a permit holds all the time; ``None`` is any time at all.

    Hours are those of ``utc_offset_minutes``, past midnight where the second is less; daylight is that at the middle
    of the permit's area.
    """
    limited = (permit.from_minute, permit.to_minute) != (0, _DAY_MINUTES)
    if during is None:
        return not (limited or permit.daylight or permit.begins or permit.ends)
    begin, end = during
    if (permit.begins and begin < permit.begins) or (permit.ends and end > permit.ends):
        return False
    if limited and not _within_hours(permit, begin, end):
        return False
    lat, lon = (sum(part) / len(permit.ring) for part in zip(*permit.ring, strict=True))
    return not permit.daylight or is_daylight(begin, end, lat, lon)


def _within_hours(permit: Permit, begin: datetime, end: datetime) -> bool:
    local = begin.astimezone(timezone(timedelta(minutes=permit.utc_offset_minutes)))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    length = timedelta(minutes=(permit.to_minute - permit.from_minute) % _DAY_MINUTES or _DAY_MINUTES)
    opens = [midnight + timedelta(days=day, minutes=permit.from_minute) for day in (-1, 0)]
    return any(since <= begin and end <= since + length for since in opens)


def permits_for(
    permits: Iterable[Permit], vehicle: FleetVehicle | VehicleType | None, during: tuple[datetime, datetime] | None
) -> tuple[int, ...]:
    """Numbers of the permits that a flight may rely on. Who pilots it is dispatch's to look at (``Permit.pilots``)."""
    return tuple(i for i, permit in enumerate(permits) if is_for(permit, vehicle) and holds(permit, during))
