"""Who is in the way of a drone that goes on after a hold, or goes somewhere else: looked at with all others where they
are now and will be (``fleet.predicted``)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from fleet import missions, predicted, regions, vehicles
from fleet.clearance import SEPARATION
from fleet.db.database import Connection
from fleet.predicted import Flight, Plans
from routing.deconflict import too_near
from routing.geo import Position
from routing.problem import GivenTrip, TimedPosition
from routing.region.model import Region
from routing.vehicle_type import VehicleKind

STANDS_S = 600.0
"""For so long one that is told to stay somewhere is taken to stay: longer than the air around it is known."""

Track = tuple[TimedPosition, ...]


async def in_the_way(
    conn: Connection, vehicle_id: str, *, at: datetime, speed: float, here: Position | None = None
) -> list[str]:
    """Return the vehicles in the way of one that goes on with the mission that it is on; none are in a robot's."""
    vehicle = await vehicles.get(conn, vehicle_id)
    mission = await missions.active(conn, vehicle_id)
    if mission is None or vehicle["kind"] != VehicleKind.DRONE:
        return []
    region = await regions.load(conn, vehicle["region_id"])
    return await on_its_way(conn, mission, region, at=at, speed=speed, here=here)


async def on_its_way(
    conn: Connection,
    mission: dict[str, Any],
    region: Region,
    *,
    at: datetime,
    speed: float,
    here: Position | None = None,
) -> list[str]:
    """Return the vehicles that a drone would come too near to if it went on with its mission now.

    ``here`` is where it is; without that, where it was last heard. Those that hold are in the way where they hover:
    when they go on it is looked at again. ``speed`` is the clock's. Empty too where it was never heard.
    """
    plans = Plans()
    flights = await predicted.of_region(conn, region, at=at, speed=speed, plans=plans)
    own = next((flight for flight in flights if flight.mission_id == mission["mission_id"]), None)
    plan = (await plans.of(conn, [mission["mission_id"]])).get(mission["mission_id"])
    if own is None or plan is None:
        return []
    now = TimedPosition(at, here or own.track[0].position)
    began = mission["started_at"] or mission["changed_at"]
    # When it stopped it was as late as it had begun; since then only the time has gone on.
    stopped = mission["changed_at"] if mission["state"] == "held" else at
    late = began - mission["planned_depart"] + (at - stopped)
    track = predicted.onwards(plan, region, now=now, late=late)
    return await asyncio.to_thread(_near, own.vehicle_id, track, flights, region)


async def beside(
    conn: Connection, vehicle_id: str, region: Region, track: Track, *, at: datetime, speed: float
) -> list[str]:
    """Return the vehicles that a drone would come too near to on another way than its mission's."""
    flights = await predicted.of_region(conn, region, at=at, speed=speed)
    return await asyncio.to_thread(_near, vehicle_id, track, flights, region)


def standing(place: Position, at: datetime) -> Track:
    """The way of one that stays somewhere."""
    return TimedPosition(at, place), TimedPosition(at + timedelta(seconds=STANDS_S), place)


def _near(vehicle_id: str, track: Track, flights: Sequence[Flight], region: Region) -> list[str]:
    others = [each for each in flights if each.vehicle_id != vehicle_id]
    ours = GivenTrip(vehicle_id, vehicle_id, track, ())
    theirs = [_waiting(each, track[-1].at).given() if each.why == "hold" else each.given() for each in others]
    of = {each.mission_id: each.vehicle_id for each in others}
    return [of[mission_id] for mission_id in too_near(ours, theirs, region.frame, SEPARATION)]


def _waiting(flight: Flight, until: datetime) -> Flight:
    first = flight.track[0]
    return replace(flight, track=(first, TimedPosition(max(until, first.at), first.position)))
