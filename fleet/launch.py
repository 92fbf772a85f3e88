"""What stands in the way of a launch, beside the traffic (``fleet.clearance``): looked at when a pilot accepts it and
again at the moment at which the vehicle would set out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fleet import clearance, emergency_airspace, flight_log, grounding, vehicles, weather, workload
from fleet.db.database import Connection
from hardware.profiles import load_profile
from routing.problem import Category
from routing.region.model import Region
from routing.vehicle_type import WeatherLimits

WEATHER_FOR = timedelta(minutes=15)
"""No drone sets out on an older report."""
CHECK_FOR = timedelta(minutes=10)
"""No drone sets out unless somebody has looked for emergency airspace since."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One reason why a mission may not set out now. ``code`` is for machines; the words say what would help."""

    code: str
    words: str


async def obstacles(
    conn: Connection, mission: Mapping[str, Any], region: Region, *, at: datetime, accepting: bool = False
) -> list[Obstacle]:
    """Return all that keeps a mission from setting out now; empty when nothing does.

    While a pilot is ``accepting`` it, how many the pilot has in the air does not matter yet.
    """
    vehicle = await vehicles.get(conn, mission["vehicle_id"])
    found = [
        Obstacle(
            "grounded", f"{row['scope_kind']} {row['scope_id']} is grounded by {row['grounded_by']}: {row['reason']}"
        )
        for row in await grounding.of_vehicle(conn, vehicle["vehicle_id"])
    ]
    found += [
        Obstacle("not_airworthy", f"a defect forbids it until it is put right: {defect['content']['text']}")
        for defect in await flight_log.open_defects(conn, vehicle["vehicle_id"])
        if defect["content"].get("unairworthy")
    ]
    if vehicle["kind"] != "drone":
        return found
    limits = load_profile(vehicle["type_id"]).weather
    found += _of_weather(await weather.newest(conn, region_id=region.region_id), limits, at)
    found += await _of_airspace(conn, mission, region, at)
    return found if accepting else found + await _of_workload(conn, mission, vehicle)


def _of_weather(report: Mapping[str, Any] | None, limits: WeatherLimits, at: datetime) -> Iterator[Obstacle]:
    minutes = WEATHER_FOR.total_seconds() / 60
    if report is None or at - report["observed_at"] > WEATHER_FOR:
        yield Obstacle("weather_unknown", f"there is no weather report of the last {minutes:.0f} minutes; report it")
        return
    for name, limit, unit, sign in (
        ("wind_mps", limits.max_wind_mps, "m/s of wind", 1),
        ("gust_mps", limits.max_gust_mps, "m/s in gusts", 1),
        ("rain_mm_h", limits.max_rain_mm_h, "mm/h of rain", 1),
        ("visibility_m", limits.min_visibility_m, "m of visibility", -1),
        ("temperature_c", limits.max_temperature_c, "degrees", 1),
        ("temperature_c", limits.min_temperature_c, "degrees", -1),
    ):
        value = report[name]
        # What nobody has measured is not held against a flight; wind always is.
        if limit is not None and value is not None and sign * (value - limit) > 0:
            words = f"{value:g} {unit} are reported; this type sets out at {'most' if sign > 0 else 'least'} {limit:g}"
            yield Obstacle("weather", words)


async def _of_airspace(conn: Connection, mission: Mapping[str, Any], region: Region, at: datetime) -> list[Obstacle]:
    found = []
    check = await emergency_airspace.newest_check(conn, region_id=region.region_id)
    if check is None or at - check["checked_at"] > CHECK_FOR:
        minutes = CHECK_FOR.total_seconds() / 60
        words = f"nobody has looked for emergency airspace in the last {minutes:.0f} minutes; look and say so"
        found.append(Obstacle("airspace_unchecked", words))
    areas = await emergency_airspace.listing(conn, region_id=region.region_id, at=at)
    departs = max(at, mission["planned_depart"])
    flight = await clearance.flight(conn, mission["mission_id"], departs=departs) if areas else None
    entered = [area for area in areas if flight and emergency_airspace.entered(area, flight, region.frame)]
    words = "its way enters the emergency airspace"
    return [*found, *(Obstacle("emergency_airspace", f"{words} {area['name']}") for area in entered)]


async def _of_workload(conn: Connection, mission: Mapping[str, Any], vehicle: Mapping[str, Any]) -> list[Obstacle]:
    region_id, category, pilot = mission["region_id"], Category(vehicle["category"]), mission["accepted_by"]
    limit = (await workload.limits(conn, region_id=region_id))[category]
    up = await workload.airborne(conn, pilot=pilot, category=category, region_id=region_id, but=mission["mission_id"])
    if len(up) < limit.most:
        return []
    words = f"{pilot} has {', '.join(up) or 'none'} in the air and may have {limit.most} of {category} ({limit.source})"
    return [Obstacle("workload", words)]
