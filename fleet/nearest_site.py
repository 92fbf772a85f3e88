"""Where a drone in the air could come down other than where its mission ends: sites by the energy that they take.

One reckoning for all who divert a drone: a pilot's ``divert`` and ``abort``, and the rules of contingencies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import shapely

from fleet import emergency_airspace, regions, vehicles, weather
from fleet.alarm_table import Words
from fleet.db.database import Connection
from fleet.errors import NotFound
from hardware.profiles import load_profile
from routing.energy import capacity_wh
from routing.geo import Position, distance_m
from routing.region.model import Region, Site, SiteKind
from routing.straight_way import Closed, StraightWay, Target, straight_ways
from routing.vehicle_type import VehicleKind
from telemetry import store
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "control.sql")

KEPT_SHARE = 0.05
"""Of the capacity: less than this is not counted on at touchdown, by what the prediction and the charge told are off
(``telemetry.monitors.energy``). A reserve is for what nobody planned: a diversion may use it up to here."""
ON_PAD_M = 5.0
"""A drone that stands within this of a pad keeps it taken."""
HEARD_FOR = timedelta(hours=12)
"""For so long a drone that has said nothing is taken to stand where it was."""
LANDING_KINDS = (SiteKind.EMERGENCY, SiteKind.DRONE_PORT, SiteKind.HUB)
"""Where a drone may be sent without anybody looking; drop points are somebody's garden."""


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """The sites that a drone could go to from ``here`` now, those that take least energy first.

    ``left_wh`` is what it has, less what is not counted on; ``None`` where its charge is not known: then nothing is in
    reach for sure.
    """

    vehicle_id: str
    here: Position
    at: datetime
    region: Region
    ways: tuple[StraightWay, ...]
    left_wh: float | None
    capacity_wh: float

    def in_reach(self, way: StraightWay) -> bool:
        """Whether its energy takes it there."""
        return self.left_wh is not None and way.needed_wh <= self.left_wh

    def site(self, way: StraightWay) -> Site:
        """Return the site that a way leads to."""
        return self.region.site(way.site_id)

    def to(self, site_id: str) -> StraightWay:
        """Return the way to one site; raises ``NotFound`` for one that no drone can land at now."""
        for way in self.ways:
            if way.site_id == site_id:
                return way
        raise NotFound(f"site_id: {site_id!r} is no site of this region with a free pad that can be flown to")

    def nearest(self, *, forced: bool = False) -> StraightWay | None:
        """Return the way to the site that takes least energy; ``None`` where none is in reach with a clear way.

        ``forced``: for one that has to come down anyway. Of what is in reach a clear way goes before one that is not,
        a landing site before a drop point; where nothing is in reach, the one that takes least.
        """
        landing = {site.site_id for site in self.region.sites if site.kind in LANDING_KINDS}
        reached = [way for way in self.ways if self.in_reach(way)]
        # Sorting keeps the order of energy within.
        reached.sort(key=lambda way: (not way.clear, way.site_id not in landing))
        for way in reached:
            if forced or (way.clear and way.site_id in landing):
                return way
        return self.ways[0] if forced and self.ways else None

    def against(self, way: StraightWay) -> list[Words]:
        """Return what is against a way; empty when it may be flown."""
        found = []
        if self.left_wh is None:
            found.append(Words("電池残量が不明", "its charge is not known"))
        elif not self.in_reach(way):
            needs, has = f"{way.needed_wh:.0f} Wh", f"{max(0.0, self.left_wh):.0f} Wh"
            found.append(Words(f"{needs} 必要で、使えるのは {has}", f"it takes {needs} and {has} can be counted on"))
        if way.through:
            through = f"the way leads through {', '.join(way.through)}"
            found.append(Words(f"経路が {'、'.join(way.through)} を通る", through))
        return found


async def look(
    conn: Connection,
    *,
    vehicle_id: str,
    here: Position,
    battery_pct: float | None,
    at: datetime,
    closed: Sequence[Closed] = (),
    region: Region | None = None,
) -> Reach:
    """Return where a drone could go from ``here`` (AMSL) with its charge; ``closed`` is what is closed besides.

    Emergency airspace in force, wind, temperature and the parcels aboard are read from the database. Each site is
    landed at on a pad on which nobody stands and that is nobody's home; its own home on its own pad.
    """
    vehicle = await vehicles.get(conn, vehicle_id)
    region = region or await regions.load(conn, vehicle["region_id"])
    wind, temperature_c, _ = await weather.for_planning(conn, region_id=vehicle["region_id"], at=at)
    payload = await (await conn.execute(_SQL["payload"], {"vehicle_id": vehicle_id})).fetchone()
    areas = await emergency_airspace.listing(conn, region_id=vehicle["region_id"], at=at)
    taken = await _taken(conn, vehicle, region, at)
    profile = load_profile(vehicle["type_id"])
    shut = [*closed, *(_closed(area, region) for area in areas if area["begins_at"] <= at)]
    capacity = capacity_wh(profile, temperature_c=temperature_c)
    ways = await asyncio.to_thread(
        straight_ways,
        region,
        profile,
        here,
        _targets(region, vehicle, taken),
        at=at,
        payload_kg=payload["mass_kg"] if payload else 0.0,
        wind=wind,
        closed=shut,
    )
    left = None if battery_pct is None else battery_pct / 100.0 * capacity - KEPT_SHARE * capacity
    return Reach(vehicle_id, here, at, region, ways, left, capacity)


def _closed(area: dict[str, Any], region: Region) -> Closed:
    corners = [region.frame.to_local(Position(lat, lon)) for lat, lon in area["ring"]]
    return Closed(area["name"], shapely.Polygon(corners).buffer(emergency_airspace.AROUND_M))


async def _taken(conn: Connection, vehicle: dict[str, Any], region: Region, at: datetime) -> list[Position]:
    """The pads that are the homes of other drones of the region, and where those stand."""
    rows = await vehicles.active(conn, region_id=vehicle["region_id"])
    others = [row for row in rows if row["kind"] == "drone" and row["vehicle_id"] != vehicle["vehicle_id"]]
    homes = [region.site(row["home_site"]).pads[row["pad"]] for row in others]
    stand = [
        Position(sample.lat_e7 / 1e7, sample.lon_e7 / 1e7)
        for sample in await store.latest(conn, [row["vehicle_id"] for row in others])
        if sample.lat_e7 is not None and sample.lon_e7 is not None and at - sample.t < HEARD_FOR
    ]
    return homes + stand


def _targets(region: Region, vehicle: dict[str, Any], taken: Sequence[Position]) -> list[Target]:
    found = []
    for site in region.sites if vehicle["kind"] == VehicleKind.DRONE else ():
        own = slice(vehicle["pad"], vehicle["pad"] + 1) if site.site_id == vehicle["home_site"] else slice(None)
        free = [pad for pad in site.pads[own] if all(distance_m(pad, other) > ON_PAD_M for other in taken)]
        if site.accepts_drone and free:
            found.append(Target(site.site_id, replace(free[0], alt_amsl_m=region.ground_amsl_m(free[0]))))
    return found
