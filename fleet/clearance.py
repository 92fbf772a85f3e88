"""Clearance to launch: whether a flight that leaves now stays clear of all that fly already.

The plan keeps flights apart if they leave within its tolerance. What leaves later, or was planned apart from
others, is looked at again here, at the moment of launch and with the departures as they really were.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from psycopg.types.json import Jsonb

from fleet import way_home
from fleet.db.database import Connection
from fleet.predicted import silent_after
from fleet.way_home import WayHome
from routing.deconflict import too_near
from routing.formats.json import given_from_json, given_to_json
from routing.problem import GivenTrip, Separation
from routing.region.model import Region
from telemetry import store
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "clearance.sql")

SEPARATION = Separation()
_OFF_PLAN = frozenset({"held", "returning"})


async def keep(conn: Connection, mission_id: str, trip: GivenTrip) -> None:
    """Store where a mission will be, and when, for its own launch and for other plans."""
    data = given_to_json(replace(trip, trip_id=mission_id))
    await conn.execute(_SQL["insert"], {"mission_id": mission_id, "given": Jsonb(data)})


async def goes_on(conn: Connection, mission_id: str, site_id: str, *, at: datetime) -> None:
    """A mission goes on from a stop at which it waited for people: what is kept of it from there on is as much earlier,
    or later, as it is. Without a stay there nothing changes."""
    row = await (await conn.execute(_SQL["own"], {"mission_id": mission_id})).fetchone()
    trip = None if row is None else given_from_json(row["given"])
    stay = next((stay for stay in trip.stays if stay.site_id == site_id), None) if trip is not None else None
    if row is None or trip is None or stay is None:
        return
    # A track's times ascend.
    left: datetime = max(at - (row["began_at"] - row["planned_depart"]), stay.arrive + timedelta(seconds=1))
    by = left - stay.leave

    def moved(moment: datetime) -> datetime:
        return moment + by if moment >= stay.leave else min(moment, left)

    track = tuple(replace(point, at=moved(point.at)) for point in trip.track)
    stays = tuple(replace(each, arrive=moved(each.arrive), leave=moved(each.leave)) for each in trip.stays)
    data = given_to_json(replace(trip, track=track, stays=stays))
    await conn.execute(_SQL["update"], {"mission_id": mission_id, "given": Jsonb(data)})


async def given(conn: Connection, *, region_id: str, at: datetime) -> tuple[GivenTrip, ...]:
    """Return the trips that plans must stay clear of: approved or under way, as late as they are by now."""
    rows = await (await conn.execute(_SQL["open"], {"region_id": region_id})).fetchall()
    trips = []
    for row in rows:
        departs = row["began_at"] or max(row["planned_depart"], at)
        trip = _later(given_from_json(row["given"]), departs - row["planned_depart"], since=at)
        if trip.track or trip.stays:
            trips.append(trip)
    return tuple(trips)


async def one_launch_at_a_time(conn: Connection, region_id: str) -> None:
    """Wait until no other launch of a region is being decided on, and let none be until this transaction ends."""
    await conn.execute(_SQL["one_launch_at_a_time"], {"region_id": region_id})


async def rest_of_flight(conn: Connection, mission_id: str, *, at: datetime) -> GivenTrip | None:
    """Return where a mission under way will be from ``at`` on, as late as it has begun."""
    row = await (await conn.execute(_SQL["own"], {"mission_id": mission_id})).fetchone()
    return (
        None
        if row is None
        else _later(given_from_json(row["given"]), row["began_at"] - row["planned_depart"], since=at)
    )


async def flight(conn: Connection, mission_id: str, *, departs: datetime) -> GivenTrip | None:
    """Return where a mission will be when it departs at ``departs``."""
    row = await (await conn.execute(_SQL["own"], {"mission_id": mission_id})).fetchone()
    return (
        None if row is None else _later(given_from_json(row["given"]), departs - row["planned_depart"], since=departs)
    )


async def in_the_way(
    conn: Connection, mission: dict[str, Any], region: Region, *, at: datetime, speed: float = 1.0
) -> list[str]:
    """Return the missions under way that ``mission`` would come too near to if it left at ``at``.

    To be called in the transaction that starts it: others of the region wait for their turn until it ends. One that
    does not answer may fly on, or come home by itself: both ways are kept clear. ``speed`` is the clock's.
    """
    values = {"region_id": mission["region_id"], "mission_id": mission["mission_id"]}
    await one_launch_at_a_time(conn, mission["region_id"])
    own = await (await conn.execute(_SQL["own"], values)).fetchone()
    if own is None:
        return []
    others = await (await conn.execute(_SQL["moving"], values)).fetchall()
    silent = await _silent(conn, others, at=at, speed=speed)
    asked = [row for row in others if row["state"] == "returning" or row["mission_id"] in silent]
    homewards = await way_home.of_missions(conn, asked, region)
    return await asyncio.to_thread(_near, own, others, homewards, region, at)


def _near(
    own: dict[str, Any], others: list[dict[str, Any]], homewards: Mapping[str, WayHome], region: Region, at: datetime
) -> list[str]:
    ours = _later(given_from_json(own["given"]), at - own["planned_depart"], since=at)
    on_plan, off_plan = [], []
    for other in others:
        theirs = given_from_json(other["given"])
        home = homewards.get(other["mission_id"])
        # One that should have landed and has not been seen to do so may be anywhere on its path.
        if home is not None and home.lands_at >= at:
            track = tuple(point for point in home.track if point.at >= at)
            on_plan.append(replace(theirs, track=track, stays=()))
            if other["state"] == "returning":
                continue
        if other["state"] in _OFF_PLAN:
            off_plan.append(theirs)
        else:
            on_plan.append(_later(theirs, other["began_at"] - other["planned_depart"], since=at))
    crossed = [theirs.trip_id for theirs in off_plan if _cross(ours, theirs, region)]
    return list(dict.fromkeys([*too_near(ours, on_plan, region.frame, SEPARATION), *crossed]))


async def _silent(conn: Connection, rows: list[dict[str, Any]], *, at: datetime, speed: float) -> set[str]:
    """Return the missions whose drones have been heard in the air and do not answer now."""
    samples = {each.vehicle_id: each for each in await store.latest(conn, [row["vehicle_id"] for row in rows])}
    found = set()
    for row in rows:
        sample = samples.get(row["vehicle_id"])
        heard = sample is not None and not sample.on_ground and sample.t >= row["began_at"]
        if heard and sample is not None and at - sample.t > silent_after(speed):
            found.add(row["mission_id"])
    return found


def _cross(ours: GivenTrip, theirs: GivenTrip, region: Region) -> bool:
    """Whether the two paths come near anywhere: where a flight that has left its plan will be when is not known."""
    a, b = (np.asarray([region.frame.to_local(point.position) for point in trip.track[::4]]) for trip in (ours, theirs))
    if not len(a) or not len(b):
        return False
    apart_m = np.hypot(*(a[:, None, :] - b[None, :, :]).transpose(2, 0, 1))
    return bool(apart_m.min() < 2 * SEPARATION.horizontal_m)


def _later(trip: GivenTrip, delay: timedelta, *, since: datetime) -> GivenTrip:
    """Return a trip ``delay`` later than planned, without what lies before ``since``."""
    track = tuple(type(p)(p.at + delay, p.position) for p in trip.track)
    stays = tuple(type(s)(s.site_id, s.arrive + delay, s.leave + delay) for s in trip.stays)
    return GivenTrip(
        trip.trip_id,
        trip.vehicle_id,
        tuple(point for point in track if point.at >= since),
        tuple(stay for stay in stays if stay.leave >= since),
    )
