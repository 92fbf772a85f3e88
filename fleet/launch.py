"""What stands in the way of a launch, beside the traffic (``fleet.clearance``): looked at when a pilot accepts it and
again at the moment at which the vehicle would set out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fleet import (
    clearance,
    control,
    duty,
    emergency_airspace,
    flight_log,
    ground_checks,
    grounding,
    manned_aircraft,
    vehicles,
    weather,
    workload,
)
from fleet.db.database import Connection
from fleet.predicted import Flight
from hardware.profiles import load_profile
from routing.region.model import Region
from routing.vehicle_type import WeatherLimits

WEATHER_FOR = timedelta(minutes=15)
"""No drone sets out on an older report."""
CHECK_FOR = timedelta(minutes=10)
"""No drone sets out unless somebody has looked for emergency airspace since."""
SETS_OUT_SOON = timedelta(minutes=1)
"""Manned aircraft that are near now are held against a launch that is due within this, and not against later ones."""
_CLOSED_BY = {
    "emergency": ("emergency_airspace", "emergency airspace"),
    "closed": ("zone_closed", "closed airspace"),
}
"""Code and words of an obstacle, by the kind of area that a way enters."""


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
    found += [Obstacle("checks", words) for words in await ground_checks.missing(conn, mission, at=at)]
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
    for value, unit, _, bound in beyond_limits(report, limits):
        sets_out = "most" if value > bound else "least"
        yield Obstacle("weather", f"{value:g} {unit} are reported; this type sets out at {sets_out} {bound:g}")


def beyond_limits(report: Mapping[str, Any], limits: WeatherLimits) -> Iterator[tuple[float, str, str, float]]:
    """Yield what of a report is beyond the limits of a type: value, unit, what it is in Japanese, the limit.

    What nobody has measured is not held against a flight; wind always is measured.
    """
    for name, limit, unit, ja, sign in (
        ("wind_mps", limits.max_wind_mps, "m/s of wind", "風速", 1),
        ("gust_mps", limits.max_gust_mps, "m/s in gusts", "突風", 1),
        ("rain_mm_h", limits.max_rain_mm_h, "mm/h of rain", "降雨", 1),
        ("visibility_m", limits.min_visibility_m, "m of visibility", "視程", -1),
        ("temperature_c", limits.max_temperature_c, "degrees", "気温", 1),
        ("temperature_c", limits.min_temperature_c, "degrees", "気温", -1),
    ):
        value = report[name]
        if limit is not None and value is not None and sign * (value - limit) > 0:
            yield value, unit, ja, limit


async def _of_airspace(conn: Connection, mission: Mapping[str, Any], region: Region, at: datetime) -> list[Obstacle]:
    found = []
    check = await emergency_airspace.newest_check(conn, region_id=region.region_id)
    if check is None or at - check["checked_at"] > CHECK_FOR:
        minutes = CHECK_FOR.total_seconds() / 60
        words = f"nobody has looked for emergency airspace in the last {minutes:.0f} minutes; look and say so"
        found.append(Obstacle("airspace_unchecked", words))
    areas = await emergency_airspace.listing(conn, region_id=region.region_id, at=at)
    aircraft = await manned_aircraft.listing(conn, region_id=region.region_id, at=at)
    if not areas and not aircraft:
        return found
    departs = max(at, mission["planned_depart"])
    flight = await clearance.flight(conn, mission["mission_id"], departs=departs)
    for area in areas:
        if flight and emergency_airspace.entered(area, flight, region.frame):
            code, what = _CLOSED_BY[area["kind"]]
            found.append(Obstacle(code, f"its way enters the {what} {area['name']}"))
    leaves_now = flight is not None and bool(flight.track) and bool(aircraft) and departs <= at + SETS_OUT_SOON
    if flight is not None and leaves_now:
        kind = load_profile((await vehicles.get(conn, mission["vehicle_id"]))["type_id"])
        ahead = Flight(mission["mission_id"], mission["vehicle_id"], kind, "plan", flight.track)
        near = manned_aircraft.encounters(ahead, map(manned_aircraft.of_row, aircraft), region, at=departs)
        found += [
            Obstacle("manned_aircraft", f"manned aircraft {one.name} is {one.horizontal_m:.0f} m away") for one in near
        ]
    return found


async def _of_workload(conn: Connection, mission: Mapping[str, Any], vehicle: Mapping[str, Any]) -> list[Obstacle]:
    pilot = await control.pilot_of(conn, vehicle["vehicle_id"])
    if pilot is not None and not await duty.present(conn, pilot):
        return [Obstacle("pilot_silent", f"{pilot} controls it and gives no sign of life: another pilot takes it over")]
    pilot = pilot or mission["accepted_by"]
    words = await workload.full(conn, vehicle, pilot=pilot, but=mission["mission_id"])
    return [] if words is None else [Obstacle("workload", words)]
