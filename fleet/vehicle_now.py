"""What is known of one vehicle now, for whoever is about to command it: its place, its mission, its charge."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from fleet import missions, regions, vehicles, weather
from fleet.db.database import Connection
from fleet.watched import Course, course_of
from hardware.profiles import load_profile
from routing.energy import capacity_wh
from routing.geo import Position
from routing.own_way import STRAIGHT
from routing.region.model import Region
from routing.vehicle_type import VehicleKind, VehicleType
from telemetry import store
from telemetry.monitors.monitor import place_of
from telemetry.sample import Sample
from telemetry.sqlfile import statements

_WATCHING = statements("fleet.db.sql", "watching.sql")

FRESH_S = 5.0
"""Domain seconds that the newest stored sample may be old at least, on a clock that is not sped up."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """The rest of a way: ``charge_pct`` is what is left at its end, ``hold_s`` for how long it may stand in the air
    before it; ``None`` where that is not known."""

    seconds: float
    distance_m: float
    charge_pct: float | None
    hold_s: float | None


@dataclass(frozen=True, slots=True)
class VehicleNow:
    """One vehicle at ``at``. ``live`` is its newest snapshot of the live view, where there is one.

    ``place`` is AMSL; ``ahead`` is the rest of its mission, ``home`` its own way home; ``None`` where nobody can tell.
    """

    at: datetime
    vehicle: Mapping[str, Any]
    vehicle_type: VehicleType
    region: Region
    mission: Mapping[str, Any] | None
    live: Mapping[str, Any] | None
    place: Position | None
    battery_pct: float | None
    ahead: Ahead | None
    home: Ahead | None

    @property
    def drone(self) -> bool:
        """Whether it flies."""
        return self.vehicle_type.kind is VehicleKind.DRONE

    @property
    def heard(self) -> bool:
        """Whether it is heard now."""
        return self.live is not None and self.live.get("connected") is True

    @property
    def on_ground(self) -> bool | None:
        """Whether it stands on the ground; ``None`` where it is not heard."""
        return self.live["on_ground"] if self.heard and self.live is not None else None

    @property
    def step(self) -> int:
        """The step of its mission that is under way."""
        told = self.live.get("step") if self.live else None
        return int(told if told is not None else self.mission["step"] if self.mission else 0)

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps of its mission."""
        return list(self.mission["trip"]["mission"]["steps"]) if self.mission else []

    def site_of(self, step: int) -> str | None:
        """Return the name of the site that a RELEASE of its mission is at; ``None`` for any other step."""
        if self.mission is None or not 0 <= step < len(self.steps) or self.steps[step]["kind"] != "release":
            return None
        wanted = list(self.steps[step]["order_ids"])
        stops = (stop["to_site"] for stop in self.mission["trip"]["stops"] if list(stop["order_ids"]) == wanted)
        return self.site_name(next(stops, None))

    def site_name(self, site_id: str | None) -> str | None:
        """Return the name of a site as people know it."""
        site = next((one for one in self.region.sites if one.site_id == site_id), None)
        return site_id if site is None else site.name_ja or site.name_en or site.site_id

    def drops_ahead(self) -> list[str]:
        """Return the names of the drops that its mission has still before it."""
        found = (self.site_of(step) for step in range(self.step, len(self.steps)))
        return [name for name in found if name is not None]


async def look(
    conn: Connection, vehicle_id: str, live: Mapping[str, Any] | None, *, at: datetime, speed: float
) -> VehicleNow:
    """Return what is known; raises ``NotFound``. ``speed`` is the clock's."""
    vehicle = await vehicles.get(conn, vehicle_id)
    region = await regions.load(conn, vehicle["region_id"])
    profile = load_profile(vehicle["type_id"])
    mission = await missions.active(conn, vehicle_id)
    samples = await store.latest(conn, [vehicle_id])
    sample = samples[0] if samples and at - samples[0].t <= timedelta(seconds=FRESH_S * max(1.0, speed)) else None
    _, temperature_c, _ = await weather.for_planning(conn, region_id=vehicle["region_id"], at=at)
    ahead = home = None
    if mission is not None and sample is not None:
        row = await (await conn.execute(_WATCHING["mission"], {"mission_id": mission["mission_id"]})).fetchone()
        if row is not None:
            ahead, home = await asyncio.to_thread(_ways, row, profile, region, sample, temperature_c)
    return VehicleNow(
        at, vehicle, profile, region, mission, live, _place(live, sample), _battery(live, sample), ahead, home
    )


def _ways(
    row: Mapping[str, Any], profile: VehicleType, region: Region, sample: Sample, temperature_c: float
) -> tuple[Ahead | None, Ahead | None]:
    course = course_of(row, profile, frame=region.frame, site="", temperature_c=temperature_c)
    if course is None:
        return None, None
    course.conformance.follows(True)
    course.conformance.take(sample)
    found = []
    for heads_home in (False, True):
        course.energy.heads_home = heads_home
        course.energy.take(sample)
        found.append(_ahead(course, profile, sample, temperature_c))
    return found[0], found[1]


def _ahead(course: Course, profile: VehicleType, sample: Sample, temperature_c: float) -> Ahead | None:
    fix, path = course.follower.fix, course.follower.path
    place = place_of(sample, path.frame)
    if fix is None or place is None:
        return None
    flies = profile.kind is VehicleKind.DRONE
    if flies and course.energy.heads_home and profile.rtl_type in STRAIGHT:
        east, north, ground_m = (float(x) for x in path.places[-1])
        distance_m = math.hypot(east - place[0], north - place[1])
        seconds = distance_m / profile.cruise_speed_mps + max(0.0, place[2] - ground_m) / profile.descent_speed_mps
    else:
        seconds = float(path.seconds[-1] - fix.along_s)
        rest = np.concatenate((course.follower.at(fix.along_s)[None], path.places[path.seconds > fix.along_s]))
        distance_m = float(np.hypot(*np.diff(rest[:, :2], axis=0).T).sum())
    energy, full_wh = course.energy, capacity_wh(profile, temperature_c=temperature_c)
    charge = None
    if energy.left_wh > 0.0:
        reserve_wh = full_wh * profile.reserve_fraction
        charge = (energy.left_wh - (energy.needed_wh - reserve_wh)) / full_wh * 100.0
    return Ahead(seconds, distance_m, charge, energy.hold_s)


def _place(live: Mapping[str, Any] | None, sample: Sample | None) -> Position | None:
    if live is not None and None not in (live.get("lat"), live.get("lon"), live.get("alt_amsl_m")):
        return Position(live["lat"], live["lon"], live["alt_amsl_m"])
    if sample is None or sample.lat_e7 is None or sample.lon_e7 is None or sample.alt_amsl_cm is None:
        return None
    return Position(sample.lat_e7 / 1e7, sample.lon_e7 / 1e7, sample.alt_amsl_cm / 100.0)


def _battery(live: Mapping[str, Any] | None, sample: Sample | None) -> float | None:
    if live is not None and live.get("battery_pct") is not None:
        return float(live["battery_pct"])
    return None if sample is None or sample.battery_pct_x10 is None else sample.battery_pct_x10 / 10.0
