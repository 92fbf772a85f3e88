"""Watching: one per gateway. Makes findings of what its vehicles say, of their missions, and of the traffic around."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import structlog

from fleet import look_ahead, weather
from fleet.conditions import ON_MISSION
from fleet.db.database import DATABASE_ERRORS, Database
from fleet.look_ahead import Ahead
from fleet.predicted import Plans
from fleet.watched import APART, Course, Surroundings, WatchedVehicle, course_of, intake_findings, moment, under_way
from hardware.link import VehicleState
from routing.geo import LocalFrame, Position
from routing.region.model import Region
from routing.vehicle_type import VehicleType
from telemetry.clock import Clock
from telemetry.intake import IntakeCounts, VehicleIntake
from telemetry.monitors.finding import Finding
from telemetry.monitors.traffic import FRESH_S, Flying, Velocity, too_close
from telemetry.monitors.zones import ClosedAirspace
from telemetry.sample import Sample
from telemetry.sqlfile import statements

_LOG = structlog.get_logger()
_SQL = statements("fleet.db.sql", "watching.sql")

_BEGINS = frozenset({"accepted"}) | ON_MISSION
"""States of a mission in which its vehicle leaves soon, or has."""
TRAFFIC_S = 0.15
"""Wall seconds for which what is known of the traffic stands: it is reckoned once for all vehicles of a round."""
COUNTS_S = 0.5
AHEAD_EVERY_S = 1.0
"""Wall seconds after which it is looked at again what lies ahead, without word of anything new."""
RETRY_S = 1.0
"""Wall seconds until a mission is read again after the database was away."""
FRESH_WALL_S = 2.0
"""Wall seconds that a position on the bus may be old at least, however fast the clock."""
SPEED_OVER_S = 0.5
"""Seconds of both times between the positions that a speed of others is made of."""
MAX_OTHERS = 5_000
"""Others that are known at once; at the bound new ones are not taken up."""

NO_WALL_S = -math.inf


@dataclass(frozen=True, slots=True)
class _Other:
    """A vehicle of any gateway as the bus told of it: ``heard_s`` is wall time, ``from_`` where its speed is from."""

    flying: Flying
    heard_s: float
    from_: Flying


class Watching:
    """The vehicles of one process under watch.

    Neither ``take`` nor ``look`` nor ``hear`` waits for anything or raises for what vehicles say. What a mission
    should look like is read from the database when it begins; while that is away its flight is watched by all that
    does not need it.
    """

    def __init__(self, database: Database, clock: Clock, *, intake: Callable[[], IntakeCounts] | None = None) -> None:
        """``intake`` says what came from each vehicle."""
        self._database, self._clock, self._intake = database, clock, intake
        self._vehicles: dict[str, WatchedVehicle] = {}
        self._sites: dict[str, str] = {}
        self._surroundings: dict[str, Surroundings] = {}
        self._missions: dict[str, str] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._retry_s: dict[str, float] = {}
        self._frame: LocalFrame | None = None
        self._others: dict[str, _Other] = {}
        self._close: dict[str, list[Finding]] = {}
        self._close_s = NO_WALL_S
        self.news = asyncio.Event()
        """Set when something has changed that is looked at ahead."""
        self._ahead: dict[str, Ahead] = {}
        self._plans: dict[str, Plans] = {}
        self._regions: dict[str, str] = {}
        self._heard: set[str] = set()
        self._planless: set[str] = set()
        self._counts: Mapping[str, VehicleIntake] = {}
        self._counts_s = NO_WALL_S

    async def watch(self, vehicle_id: str, vehicle_type: VehicleType, region: Region, *, home_site: str) -> None:
        """Watch a vehicle from now on; its region is prepared in a thread when it is the first there."""
        surroundings = self._surroundings.get(region.region_id)
        if surroundings is None:
            surroundings = await asyncio.to_thread(Surroundings.of, region)
            self._surroundings[region.region_id] = surroundings
        self._frame = self._frame or surroundings.frame
        site = region.site(home_site)
        self._regions[vehicle_id] = region.region_id
        self._sites[vehicle_id] = site.name_ja or site.name_en or site.site_id
        self._vehicles[vehicle_id] = WatchedVehicle(vehicle_type, site.position, surroundings, speed=self._clock.speed)

    def forget(self, vehicle_id: str) -> None:
        """Watch a vehicle no more."""
        for known in (self._vehicles, self._sites, self._regions, self._missions, self._retry_s):
            known.pop(vehicle_id, None)
        self._heard.discard(vehicle_id)
        task = self._reading.pop(vehicle_id, None)
        if task is not None:
            task.cancel()

    def take(self, sample: Sample) -> None:
        """Keep an accepted sample (``Intake.listen``); of a vehicle that is not watched it is passed over."""
        vehicle = self._vehicles.get(sample.vehicle_id)
        if vehicle is not None:
            vehicle.take(sample)

    def knows(self, vehicle_id: str) -> str | None:
        """Return the mission that a vehicle's monitors know, if any."""
        return self._missions.get(vehicle_id)

    def look(
        self,
        vehicle_id: str,
        state: VehicleState,
        mission: Mapping[str, Any] | None,
        asked: tuple[str, datetime] | None,
        now: datetime,
    ) -> list[Finding]:
        """Return what holds of a vehicle, and what cannot be told; what is not returned does not hold.

        ``mission`` is the row of its mission, or of its last one (``VehicleRunner.concern``), ``asked`` the newest
        command of a person for it. To be called about five times a wall second.
        """
        vehicle = self._vehicles.get(vehicle_id)
        if vehicle is None:
            return []
        (self._heard.add if state.connected else self._heard.discard)(vehicle_id)
        self._know(vehicle_id, vehicle, mission)
        carries = mission is not None and state.progress.mission_id == mission["mission_id"]
        step = state.progress.step if carries else None
        watches = under_way(mission, state, vehicle.vehicle_type)
        vehicle.feed(state.activity, now=now, watches=watches, step=step)
        found = vehicle.look(state, mission, asked, now)
        if mission is not None and mission["state"] in ON_MISSION:
            ahead = self.ahead(vehicle_id)
            found += ahead.findings.get(mission["mission_id"], []) if ahead is not None else []
            if self._missions.get(vehicle_id) in self._planless:
                found.append(Finding("plan_unknown", True))
        if state.connected:
            found += self._traffic(now).get(vehicle_id, [])
            known = self._counted().get(vehicle_id)
            found += intake_findings(known, speed=self._clock.speed) if known is not None else []
        return found

    async def look_ahead(self) -> None:
        """Find what lies ahead of the flights (``fleet.look_ahead``), until cancelled.

        It may come up at any time: looked at when ``news`` says so, and every ``AHEAD_EVERY_S``.
        """
        while True:
            held = set(self._regions.values())
            self._ahead = {region_id: ahead for region_id, ahead in self._ahead.items() if region_id in held}
            try:
                for region_id in held:
                    await self._look_ahead(region_id)
            except DATABASE_ERRORS as error:
                _LOG.warning("not looked ahead: the database is away", error=str(error).strip())
            except Exception as error:
                # What is ahead of one flight cannot be told; all else that is watched goes on.
                _LOG.exception("not looked ahead", error=repr(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(AHEAD_EVERY_S):
                    await self.news.wait()
            self.news.clear()

    async def _look_ahead(self, region_id: str) -> None:
        closed = self._surroundings[region_id].closed
        plans = self._plans.setdefault(region_id, Plans())
        at, speed = self._clock.now(), self._clock.speed
        async with self._database.transaction() as conn:
            found = await look_ahead.look(
                conn, closed.region, closed, at=at, speed=speed, plans=plans, heard=self._heard
            )
        self._ahead[region_id] = found

    def ahead(self, vehicle_id: str) -> Ahead | None:
        """Return what was found ahead in the region of a vehicle."""
        return self._ahead.get(self._regions.get(vehicle_id, ""))

    def closed(self, vehicle_id: str) -> ClosedAirspace | None:
        """Return the zones of the region of a vehicle."""
        surroundings = self._surroundings.get(self._regions.get(vehicle_id, ""))
        return None if surroundings is None else surroundings.closed

    def predicted(self, vehicle_id: str, now: datetime) -> dict[str, Any] | None:
        """Return where a vehicle that does not answer should be by now, and how old what is known of it is."""
        ahead = self.ahead(vehicle_id)
        flight = None if ahead is None else ahead.flights.get(vehicle_id)
        position = flight.at(now) if flight is not None and flight.silent else None
        if flight is None or position is None or flight.seen_at is None:
            return None
        return {
            "lat": round(position.lat, 7),
            "lon": round(position.lon, 7),
            "alt_amsl_m": round(position.alt_amsl_m, 1),
            "age_s": round((now - flight.seen_at).total_seconds()),
        }

    def _silent(self, now: datetime) -> Iterator[Flying]:
        """Yield where the flights that do not answer should be, and where they go."""
        for region_id, ahead in self._ahead.items():
            frame = self._surroundings[region_id].frame
            for flight in ahead.silent:
                here, soon = flight.at(now), flight.at(now + timedelta(seconds=1))
                if here is not None and soon is not None and now < flight.track[-1].at:
                    a, b = ((*frame.to_local(place), place.alt_amsl_m) for place in (here, soon))
                    velocity = b[0] - a[0], b[1] - a[1], b[2] - a[2]
                    yield Flying(flight.vehicle_id, now.timestamp(), a, velocity)

    def hold_s(self, vehicle_id: str, state: VehicleState) -> float | None:
        """Return for how many seconds a drone that holds has energy to, ``None`` where that is not known."""
        vehicle = self._vehicles.get(vehicle_id)
        return None if vehicle is None else vehicle.hold_s(state)

    def hear(self, payload: bytes) -> None:
        """Take a snapshot of another gateway from the live bus; what is no snapshot is passed over."""
        try:
            message = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return
        vehicles = message.get("vehicles") if isinstance(message, dict) else None
        if isinstance(vehicles, list):
            self.others(vehicle for vehicle in vehicles if isinstance(vehicle, dict))

    def others(self, vehicles: Iterable[Mapping[str, Any]]) -> None:
        """Learn of vehicles from a snapshot of the live bus, those of all gateways; what is malformed is left out."""
        now_s = time.monotonic()
        if len(self._others) >= MAX_OTHERS:
            self._others = {key: each for key, each in self._others.items() if now_s - each.heard_s < FRESH_S}
        for vehicle in vehicles:
            vehicle_id = vehicle.get("vehicle_id")
            if not isinstance(vehicle_id, str) or vehicle_id in self._vehicles:
                continue
            flying = self._seen(vehicle_id, vehicle)
            if flying is None:
                self._others.pop(vehicle_id, None)
            elif vehicle_id in self._others or len(self._others) < MAX_OTHERS:
                self._others[vehicle_id] = self._moved(self._others.get(vehicle_id), flying, now_s)

    def _seen(self, vehicle_id: str, vehicle: Mapping[str, Any]) -> Flying | None:
        """Where a vehicle of the bus is in the air; ``None`` where it is not, or says nothing that can be."""
        at = moment(vehicle.get("t"))
        if vehicle.get("on_ground") is not False or vehicle.get("connected") is not True:
            return None
        lat, lon, alt_m = vehicle.get("lat"), vehicle.get("lon"), vehicle.get("alt_amsl_m")
        if at is None or self._frame is None or not all(isinstance(x, int | float) for x in (lat, lon, alt_m)):
            return None
        east, north = self._frame.to_local(Position(float(lat or 0), float(lon or 0)))
        place = east, north, float(alt_m or 0)
        if not all(map(math.isfinite, place)):
            return None
        return Flying(vehicle_id, at.timestamp(), place, (0.0, 0.0, 0.0))

    def _moved(self, known: _Other | None, flying: Flying, now_s: float) -> _Other:
        if known is None:
            return _Other(flying, now_s, flying)
        velocity: Velocity = known.flying.velocity
        passed_s = flying.at_s - known.from_.at_s
        from_ = known.from_
        if passed_s >= SPEED_OVER_S * max(1.0, self._clock.speed) or passed_s < 0.0:
            if passed_s > 0.0:
                east, north, up = (b - a for a, b in zip(known.from_.place, flying.place, strict=True))
                velocity = east / passed_s, north / passed_s, up / passed_s
            from_ = flying
        return _Other(Flying(flying.vehicle_id, flying.at_s, flying.place, velocity), now_s, from_)

    def _traffic(self, now: datetime) -> dict[str, list[Finding]]:
        now_s = time.monotonic()
        if now_s - self._close_s >= TRAFFIC_S:
            self._close_s = now_s
            own = [vehicle.flying for vehicle in self._vehicles.values() if vehicle.flying is not None]
            # What does not answer is where it should be by now, unless it is heard after all.
            others = [*self._silent(now), *(o.flying for o in self._others.values() if now_s - o.heard_s < FRESH_S)]
            fresh_s = max(FRESH_S, FRESH_WALL_S * self._clock.speed)
            self._close = too_close(own, others, now_s=now.timestamp(), apart=APART, fresh_s=fresh_s)
        return self._close

    def _counted(self) -> Mapping[str, VehicleIntake]:
        now_s = time.monotonic()
        if self._intake is not None and now_s - self._counts_s >= COUNTS_S:
            self._counts_s, self._counts = now_s, self._intake().vehicles
        return self._counts

    def _know(self, vehicle_id: str, vehicle: WatchedVehicle, mission: Mapping[str, Any] | None) -> None:
        """See to it that the monitors know the mission that their vehicle is on."""
        mission_id = str(mission["mission_id"]) if mission is not None and mission["state"] in _BEGINS else None
        if mission_id is None:
            vehicle.course = None
            self._planless.discard(self._missions.pop(vehicle_id, ""))
        elif self._missions.get(vehicle_id) != mission_id:
            reading = self._reading.get(vehicle_id)
            waits = reading is not None and not reading.done()
            if not waits and time.monotonic() >= self._retry_s.get(vehicle_id, NO_WALL_S):
                vehicle.course = None
                self._retry_s[vehicle_id] = time.monotonic() + RETRY_S
                self._reading[vehicle_id] = asyncio.create_task(self._read(vehicle_id, vehicle, mission_id))

    async def _read(self, vehicle_id: str, vehicle: WatchedVehicle, mission_id: str) -> None:
        course: Course | None = None
        try:
            async with self._database.transaction() as conn:
                row = await (await conn.execute(_SQL["mission"], {"mission_id": mission_id})).fetchone()
                if row is None:
                    return
                at = self._clock.now()
                _, temperature_c, _ = await weather.for_planning(conn, region_id=row["region_id"], at=at)
            surroundings = self._surroundings[row["region_id"]]
            site = self._sites[vehicle_id]
            course = await asyncio.to_thread(
                course_of,
                row,
                vehicle.vehicle_type,
                frame=surroundings.frame,
                site=site,
                temperature_c=temperature_c,
            )
        except DATABASE_ERRORS as error:
            _LOG.warning("mission not watched yet: the database is away", mission=mission_id, error=str(error).strip())
            return
        except Exception as error:
            # Reading it again would show the same: the vehicle is watched without it, and somebody is told.
            _LOG.error("mission cannot be watched", mission=mission_id, error=repr(error))
            self._planless.add(mission_id)
        if self._vehicles.get(vehicle_id) is vehicle:
            vehicle.course = course
            self._missions[vehicle_id] = mission_id
