"""What lies ahead of the flights of a region: closed airspace, manned aircraft, silent vehicles, weather.

Unlike what a sample shows, this comes from the database: from what people and receivers have reported, and from where
all flights of the region are, whoever's vehicles they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fleet import emergency_airspace, launch, manned_aircraft, predicted, weather
from fleet.contingency_rules import limit
from fleet.db.database import Connection
from fleet.manned_aircraft import Aircraft, Encounter
from fleet.predicted import Flight, Plans
from routing.airspace import applies
from routing.problem import Separation
from routing.region.model import Region
from routing.vehicle_type import VehicleType
from telemetry.monitors.finding import Finding, Value
from telemetry.monitors.zones import ClosedAirspace

APART = Separation()
CODE_OF_KIND = {"emergency": "emergency_airspace", "closed": "zone_ahead"}
STEP = 3
"""Of the points of a way, each so many-th is looked up in the zones: they are 2 s apart, 60 m at most."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What was found for one region at one moment: findings by mission, and what the responses go by."""

    at: datetime
    findings: Mapping[str, list[Finding]] = field(default_factory=dict)
    flights: Mapping[str, Flight] = field(default_factory=dict)
    """By vehicle."""
    areas: Sequence[Mapping[str, Any]] = ()
    encounters: Mapping[str, Sequence[Encounter]] = field(default_factory=dict)
    """By vehicle."""

    @property
    def silent(self) -> list[Flight]:
        """The flights that do not answer."""
        return [flight for flight in self.flights.values() if flight.silent]


async def look(
    conn: Connection,
    region: Region,
    closed: ClosedAirspace,
    *,
    at: datetime,
    speed: float,
    plans: Plans,
    heard: Collection[str] = (),
) -> Ahead:
    """Look at all flights of a region. ``closed`` are its zones, prepared; ``speed`` is the clock's; ``heard`` are
    vehicles that are known to answer."""
    areas = await emergency_airspace.listing(conn, region_id=region.region_id, at=at)
    rows = await manned_aircraft.listing(conn, region_id=region.region_id, at=at)
    # Most of the time there is nothing that a way could lead into.
    tracks = bool(areas or rows or any(zone.schedule for zone in region.zones))
    flights = await predicted.of_region(conn, region, at=at, speed=speed, plans=plans, heard=heard, tracks=tracks)
    if not flights:
        return Ahead(at)
    report = await weather.newest(conn, region_id=region.region_id)
    aircraft = [manned_aircraft.of_row(row) for row in rows]
    return await asyncio.to_thread(_found, flights, areas, aircraft, report, region, closed, at)


def _found(
    flights: Sequence[Flight],
    areas: Sequence[dict[str, Any]],
    aircraft: Sequence[Aircraft],
    report: Mapping[str, Any] | None,
    region: Region,
    closed: ClosedAirspace,
    at: datetime,
) -> Ahead:
    silent = [flight for flight in flights if flight.silent]
    findings: dict[str, list[Finding]] = {}
    met: dict[str, Sequence[Encounter]] = {}
    for flight in flights:
        encounters = manned_aircraft.encounters(flight, aircraft, region, at=at) if aircraft else []
        met[flight.vehicle_id] = encounters
        findings[flight.mission_id] = [
            *of_areas(flight, areas, region),
            *_of_zones(flight, closed, at),
            *map(_of_encounter, encounters),
            *_of_silent(flight, silent, region, at),
            *of_weather(flight.vehicle_type, report, at),
        ]
    return Ahead(at, findings, {flight.vehicle_id: flight for flight in flights}, areas, met)


def of_areas(flight: Flight, areas: Sequence[dict[str, Any]], region: Region) -> list[Finding]:
    """Return the areas closed at short notice that a way enters while they are in force."""
    return [
        Finding(CODE_OF_KIND[area["kind"]], True, key=area["airspace_id"], values={"area": area["name"]})
        for area in areas
        if emergency_airspace.entered(area, flight.given(), region.frame)
    ]


def _of_zones(flight: Flight, closed: ClosedAirspace, at: datetime) -> list[Finding]:
    """Return the zones with times that a way enters when they apply: one that is late meets what its plan did not."""
    zones = {zone.zone_id: zone for zone in closed.region.zones if zone.schedule}
    if not zones or not flight.track:
        return []
    last = flight.track[-1].at
    if not any(applies(zone, at, max(at, last)) for zone in zones.values()):
        return []
    found: dict[str, Finding] = {}
    for point in flight.track[::STEP]:
        place = (*closed.region.frame.to_local(point.position), point.position.alt_amsl_m)
        for zone in closed.breached(place, point.at, flight.vehicle_type):
            if zone.zone_id in zones:
                name = zone.name_ja or zone.name_en or zone.zone_id
                found.setdefault(zone.zone_id, Finding("zone_ahead", True, key=zone.zone_id, values={"area": name}))
    return list(found.values())


def _of_encounter(one: Encounter) -> Finding:
    values: dict[str, Value] = {"name": one.name, "horizontal_m": round(one.horizontal_m), "in_s": round(one.in_s)}
    if one.vertical_m is not None:
        values["vertical_m"] = max(1, round(one.vertical_m))
    return Finding("aircraft_near", True, key=one.ident, values=values)


def _of_silent(flight: Flight, silent: Sequence[Flight], region: Region, at: datetime) -> list[Finding]:
    ahead_s = limit("path_conflict", "ahead_s")
    found = []
    for other in silent if not flight.silent else ():
        in_s = predicted.meets(flight, other, region, at=at, ahead_s=ahead_s, apart=APART)
        if in_s is not None:
            values: dict[str, Value] = {"other": other.vehicle_id, "in_s": round(in_s)}
            found.append(Finding("path_conflict", True, key=other.vehicle_id, values=values))
    return found


def of_weather(kind: VehicleType, report: Mapping[str, Any] | None, at: datetime) -> list[Finding]:
    """Return what of the newest report is beyond the limits of a type, or that it is too old to go by.

    Without any report nothing is said: nobody could have launched.
    """
    if report is None:
        return []
    age_s = (at - report["observed_at"]).total_seconds()
    if age_s > limit("weather_old", "old_s"):
        return [Finding("weather_old", True, values={"age_min": round(age_s / 60.0)})]
    beyond = list(launch.beyond_limits(report, kind.weather))
    if not beyond:
        return []
    values: dict[str, Value] = {
        "what": "; ".join(f"{value:g} {unit}, limit {bound:g}" for value, unit, _, bound in beyond),
        "what_ja": "、".join(f"{ja} {value:g}（限度 {bound:g}）" for value, _, ja, bound in beyond),
    }
    return [Finding("weather", True, since=report["observed_at"], values=values)]
