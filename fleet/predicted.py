"""Where the drones under way will be: by their plan, from where each is now, or by what has become of it instead.

One that holds stays for a while and then goes on; one that returns, or does not answer, comes home by itself
(``fleet.way_home``); one that was diverted flies straight to its site. What nobody has heard of yet is where its plan
has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from fleet import way_home
from fleet.db.database import Connection
from hardware.profiles import load_profile
from routing.formats.json import given_from_json
from routing.geo import Position
from routing.motion import fly
from routing.problem import GivenTrip, Separation, TimedPosition
from routing.region.model import Region
from routing.straight_way import level_amsl_m
from routing.vehicle_type import VehicleType
from telemetry import store
from telemetry.sample import Sample
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "contingency.sql")

HOLDS_S = 60.0
"""For so long one that holds is taken to stay where it is; then it goes on."""
SILENT_S, SILENT_WALL_S = 10.0, 3.0
"""A drone in the air of which no sample has come for so long, in domain and in wall time, does not answer. Before its
own lost-link time (COM_DL_LOSS_T) it flies on as planned, and plans are clear of one another."""
OFF_TIME_MPS = 0.1
"""As in ``way_home``: what a second off the plan counts for, in finding where on its way a drone is."""
STEP_S = 2.0
GONE_AFTER = timedelta(minutes=10)
"""So long after it should have landed a silent drone's way is over: it stands somewhere."""

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a mission was planned to fly."""

    given: GivenTrip
    return_alt_amsl_m: float | None


@dataclass(frozen=True, slots=True)
class Flight:
    """One drone under way: its way ahead as known now. ``why`` is plan, hold, return, silent or divert."""

    mission_id: str
    vehicle_id: str
    vehicle_type: VehicleType
    why: str
    track: tuple[TimedPosition, ...]
    seen_at: datetime | None = None

    @property
    def silent(self) -> bool:
        """Whether it does not answer."""
        return self.why == "silent"

    def given(self) -> GivenTrip:
        """Return its way as planning has flights."""
        return GivenTrip(self.mission_id, self.vehicle_id, self.track, ())

    def at(self, moment: datetime) -> Position | None:
        """Where it will be, between the points of its way; at its ends where these are."""
        if not self.track:
            return None
        since = self.track[0].at
        seconds = [(point.at - since).total_seconds() for point in self.track]
        places = np.array([(p.position.lat, p.position.lon, p.position.alt_amsl_m) for p in self.track])
        t = (moment - since).total_seconds()
        lat, lon, alt = (float(np.interp(t, seconds, places[:, axis])) for axis in range(3))
        return Position(lat, lon, alt)


class Plans:
    """The plans of missions under way, read once each. ``keep`` forgets all others."""

    def __init__(self) -> None:
        self._known: dict[str, Plan] = {}

    async def of(self, conn: Connection, mission_ids: Sequence[str]) -> Mapping[str, Plan]:
        """Return those of these missions, and forget all others."""
        self._known = {key: plan for key, plan in self._known.items() if key in mission_ids}
        missing = [each for each in mission_ids if each not in self._known]
        if missing:
            rows = await (await conn.execute(_SQL["plan_of_flight"], {"mission_ids": missing})).fetchall()
            for row in rows:
                alt = row["trip"]["mission"].get("return_alt_amsl_m")
                try:
                    self._known[row["mission_id"]] = Plan(given_from_json(row["given"]), alt)
                except (ValueError, KeyError, TypeError):
                    # A damaged plan is an alarm of its own (``plan_unknown``), and must not hide all others.
                    self._known[row["mission_id"]] = Plan(GivenTrip(row["mission_id"], "", (), ()), alt)
        return self._known


async def of_region(
    conn: Connection,
    region: Region,
    *,
    at: datetime,
    speed: float = 1.0,
    plans: Plans | None = None,
    heard: Collection[str] = (),
    tracks: bool = True,
) -> list[Flight]:
    """Return all drones under way in a region; without ``tracks`` their ways are left out unless one is silent.

    ``speed`` is the clock's; ``plans`` remembers what was read before. ``heard`` are vehicles that are known to answer,
    however late their samples are stored.
    """
    rows = await (await conn.execute(_SQL["flights"], {"region_id": region.region_id})).fetchall()
    if not rows:
        return []
    known = await (plans or Plans()).of(conn, [row["mission_id"] for row in rows])
    samples = {each.vehicle_id: each for each in await store.latest(conn, [row["vehicle_id"] for row in rows])}
    return await asyncio.to_thread(_flights, rows, known, samples, region, at, (silent_after(speed), heard), tracks)


def silent_after(speed: float) -> timedelta:
    """Return after how long without a sample a drone in the air does not answer, on a clock of that speed."""
    return timedelta(seconds=max(SILENT_S, SILENT_WALL_S * speed))


def _flights(
    rows: Sequence[Mapping[str, Any]],
    plans: Mapping[str, Plan],
    samples: Mapping[str, Sample],
    region: Region,
    at: datetime,
    silence: tuple[timedelta, Collection[str]],
    tracks: bool,
) -> list[Flight]:
    longest, heard = silence
    quiet = (row for row in rows if row["vehicle_id"] not in heard)
    if not tracks and not any(_is_quiet(samples.get(row["vehicle_id"]), at, longest) for row in quiet):
        kinds = ((row, load_profile(row["type_id"])) for row in rows)
        return [Flight(row["mission_id"], row["vehicle_id"], kind, "plan", ()) for row, kind in kinds]
    found = []
    for row in rows:
        plan = plans.get(row["mission_id"])
        if plan is None:
            continue
        waits = timedelta.max if row["vehicle_id"] in heard else longest
        flight = _flight(row, plan, samples.get(row["vehicle_id"]), region, at, waits)
        if flight.track and not (flight.silent and at > flight.track[-1].at + GONE_AFTER):
            found.append(flight)
    return found


def _flight(
    row: Mapping[str, Any], plan: Plan, sample: Sample | None, region: Region, at: datetime, longest: timedelta
) -> Flight:
    kind = load_profile(row["type_id"])
    late = row["began_at"] - row["planned_depart"]
    here = _here(sample)
    flight = Flight(row["mission_id"], row["vehicle_id"], kind, "plan", (), None if here is None else here.at)
    if here is None or (sample is not None and sample.on_ground) or here.at < row["began_at"]:
        track = tuple(TimedPosition(p.at + late, p.position) for p in plan.given.track if p.at + late >= at)
        return replace(flight, track=track)
    if at - here.at > longest:
        track = way_home.predict(
            plan.given, kind, region, here=here, late=late, return_alt_amsl_m=plan.return_alt_amsl_m
        )
        return replace(flight, why="silent", track=track)
    now = TimedPosition(at, here.position)
    if row["divert_to"] is not None:
        return replace(flight, why="divert", track=_straight(kind, region, now, row["divert_to"]))
    if row["state"] == "returning":
        track = homewards(plan, kind, region, now=now, late=late)
        return replace(flight, why="return", track=track)
    holds = row["state"] == "held"
    track = onwards(plan, region, now=now, late=late, holds=holds)
    return replace(flight, why="hold" if holds else "plan", track=track)


def homewards(
    plan: Plan, kind: VehicleType, region: Region, *, now: TimedPosition, late: timedelta
) -> tuple[TimedPosition, ...]:
    """Where a drone will be that comes home from now on."""
    return way_home.predict(plan.given, kind, region, here=now, late=late, return_alt_amsl_m=plan.return_alt_amsl_m)


def onwards(
    plan: Plan, region: Region, *, now: TimedPosition, late: timedelta, holds: bool = False
) -> tuple[TimedPosition, ...]:
    """Where a drone will be that goes on with its plan from the place of it that it is nearest to."""
    track = plan.given.track
    if not track:
        return (now,)
    places = np.array([(*region.frame.to_local(p.position), p.position.alt_amsl_m) for p in track])
    here = np.array([*region.frame.to_local(now.position), now.position.alt_amsl_m])
    times = np.array([(p.at + late - now.at).total_seconds() for p in track])
    away = np.sqrt(((places - here) ** 2).sum(axis=1)) + OFF_TIME_MPS * np.minimum(np.abs(times), 300.0)
    first = int(np.argmin(away))
    stays = timedelta(seconds=HOLDS_S if holds else 0.0)
    ahead = tuple(TimedPosition(now.at + stays + (p.at - track[first].at), p.position) for p in track[first + 1 :])
    return (now, *((TimedPosition(now.at + stays, now.position),) if holds else ()), *ahead)


def _straight(kind: VehicleType, region: Region, now: TimedPosition, site_id: str) -> tuple[TimedPosition, ...]:
    site = next((each for each in region.sites if each.site_id == site_id), None)
    if site is None:
        return (now,)
    ground = replace(site.landing, alt_amsl_m=region.ground_amsl_m(site.landing))
    level_m, _ = level_amsl_m(region, now.position, ground)
    path = [replace(now.position, alt_amsl_m=level_m), replace(ground, alt_amsl_m=level_m)]
    up, down = now.position.alt_amsl_m, ground.alt_amsl_m
    flight = fly(kind, region.frame, path, from_alt_amsl_m=up, to_alt_amsl_m=down, takes_off=False)
    seconds = np.append(np.arange(0.0, flight.movement.duration_s, STEP_S), flight.movement.duration_s)
    return tuple(
        TimedPosition(now.at + timedelta(seconds=float(s)), region.frame.to_global(*(float(x) for x in place)))
        for s, place in zip(seconds, flight.at(seconds), strict=True)
    )


def _is_quiet(sample: Sample | None, at: datetime, longest: timedelta) -> bool:
    return sample is not None and not sample.on_ground and at - sample.t > longest


def _here(sample: Sample | None) -> TimedPosition | None:
    if sample is None or sample.lat_e7 is None or sample.lon_e7 is None or sample.alt_amsl_cm is None:
        return None
    return TimedPosition(sample.t, Position(sample.lat_e7 / 1e7, sample.lon_e7 / 1e7, sample.alt_amsl_cm / 100.0))


def places_of(flight: Flight, region: Region, *, at: datetime, ahead_s: float) -> tuple[_Array, _Array]:
    """Return seconds from ``at`` on (one a row) and places (east, north, AMSL) of a flight for ``ahead_s``."""
    since = flight.track[0].at
    seconds = np.array([(point.at - since).total_seconds() for point in flight.track])
    local = np.array([(*region.frame.to_local(p.position), p.position.alt_amsl_m) for p in flight.track])
    wanted = np.arange(0.0, ahead_s + 1e-9, 1.0)
    moments = wanted + (at - since).total_seconds()
    # What has landed is in nobody's way in the air.
    kept = moments <= seconds[-1]
    wanted, moments = wanted[kept], moments[kept]
    return wanted, np.stack([np.interp(moments, seconds, local[:, axis]) for axis in range(3)], axis=1)


def meets(
    one: Flight, other: Flight, region: Region, *, at: datetime, ahead_s: float, apart: Separation
) -> float | None:
    """Return in how many seconds two flights come nearer than ``apart``, at most ``ahead_s``; ``None``: they do not.

    The same second is compared: both are predictions of where they will be then.
    """
    (times, a), (_, b) = (places_of(flight, region, at=at, ahead_s=ahead_s) for flight in (one, other))
    count = min(len(a), len(b))
    off = a[:count] - b[:count]
    near = (np.hypot(off[:, 0], off[:, 1]) < apart.horizontal_m) & (np.abs(off[:, 2]) < apart.vertical_m)
    rows = np.flatnonzero(near)
    return float(times[rows[0]]) if len(rows) else None
