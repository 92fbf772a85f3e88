"""Where a drone will be that comes home by itself: from where it was last seen, by the failsafe setting of its type."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from fleet.db.database import Connection
from hardware.profiles import load_profile
from routing.formats.json import given_from_json
from routing.geo import Position
from routing.motion import fly
from routing.own_way import FORWARDS, STRAIGHT
from routing.problem import GivenTrip, TimedPosition
from routing.region.model import Region
from routing.vehicle_type import VehicleType
from telemetry import store
from telemetry.sample import Sample
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "clearance.sql")

STEP_S = 2.0
STILL_M = 0.5
"""A drone that moves less between two points of its track stands over a drop point, which it would not do by itself."""
OFF_TIME_MPS = 0.1
"""Metres that a second off the plan's time counts for, in finding where on its way a drone is: out and home lead over
the same places, 25 m apart in height."""

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WayHome:
    """The way of a drone on a mission, from where it was seen last until it has landed."""

    mission_id: str
    track: tuple[TimedPosition, ...]

    @property
    def seen_at(self) -> datetime:
        """When it was seen last."""
        return self.track[0].at

    @property
    def lands_at(self) -> datetime:
        """When it will have landed."""
        return self.track[-1].at

    @property
    def lands_on(self) -> Position:
        """Where it will have landed."""
        return self.track[-1].position


async def of_mission(conn: Connection, mission_id: str, region: Region) -> WayHome | None:
    """Return the own way home of a mission's drone, as if it set out when it was last heard.

    ``None`` where that cannot be told: it was never heard, its mission is not under way, or its failsafe setting
    takes it elsewhere.
    """
    row = await (await conn.execute(_SQL["moving_one"], {"mission_id": mission_id})).fetchone()
    if row is None:
        return None
    return (await of_missions(conn, [row], region)).get(mission_id)


async def of_missions(conn: Connection, rows: Sequence[dict[str, Any]], region: Region) -> dict[str, WayHome]:
    """Return the own ways home of missions under way (rows of ``clearance.sql``), where they can be told."""
    samples = {each.vehicle_id: each for each in await store.latest(conn, [row["vehicle_id"] for row in rows])}
    seen = [(row, samples[row["vehicle_id"]]) for row in rows if row["vehicle_id"] in samples]
    return await asyncio.to_thread(_predicted, seen, region)


def _predicted(seen: list[tuple[dict[str, Any], Sample]], region: Region) -> dict[str, WayHome]:
    found = {}
    for row, sample in seen:
        if sample.lat_e7 is None or sample.lon_e7 is None or sample.alt_amsl_cm is None:
            continue
        here = TimedPosition(sample.t, Position(sample.lat_e7 / 1e7, sample.lon_e7 / 1e7, sample.alt_amsl_cm / 100))
        track = predict(
            given_from_json(row["given"]),
            load_profile(row["type_id"]),
            region,
            here=here,
            late=row["began_at"] - row["planned_depart"],
            return_alt_amsl_m=row["trip"]["mission"].get("return_alt_amsl_m"),
        )
        if len(track) > 1:
            found[row["mission_id"]] = WayHome(row["mission_id"], track)
    return found


def predict(
    planned: GivenTrip,
    vehicle_type: VehicleType,
    region: Region,
    *,
    here: TimedPosition,
    late: timedelta = timedelta(),
    return_alt_amsl_m: float | None = None,
) -> tuple[TimedPosition, ...]:
    """Return where a drone will be from ``here`` on, when it comes home by itself; empty where nobody can tell.

    ``planned`` is its trip as planned and ``late`` how much later it left.
    """
    if len(planned.track) < 2:
        return ()
    frame = region.frame
    places = np.array([(*frame.to_local(point.position), point.position.alt_amsl_m) for point in planned.track])
    at = np.array([*frame.to_local(here.position), here.position.alt_amsl_m])
    if vehicle_type.rtl_type == FORWARDS:
        times = np.array([(point.at + late - here.at).total_seconds() for point in planned.track])
        seconds, ahead = _forwards(places, times, at)
    elif vehicle_type.rtl_type in STRAIGHT:
        seconds, ahead = _straight(vehicle_type, region, here.position, places[-1], return_alt_amsl_m)
    else:
        return ()
    return tuple(
        TimedPosition(here.at + timedelta(seconds=float(second)), frame.to_global(*(float(x) for x in place)))
        for second, place in zip(seconds, ahead, strict=True)
    )


def _forwards(places: _Array, times: _Array, at: _Array) -> tuple[_Array, _Array]:
    """On along the mission from its place nearest to where the drone is, at the plan's pace but without its stops."""
    away = np.sqrt(((places - at) ** 2).sum(axis=1)) + OFF_TIME_MPS * np.abs(times)
    first = int(np.argmin(away))
    steps, paces = np.sqrt((np.diff(places[first:], axis=0) ** 2).sum(axis=1)), np.diff(times[first:])
    moving = steps > STILL_M
    seconds = np.concatenate(([0.0], np.cumsum(paces[moving])))
    return seconds, np.concatenate((at[None], places[first + 1 :][moving]))


def _straight(
    vehicle_type: VehicleType, region: Region, here: Position, pad: _Array, return_alt_amsl_m: float | None
) -> tuple[_Array, _Array]:
    level_m = max(here.alt_amsl_m, return_alt_amsl_m or here.alt_amsl_m)
    over = region.frame.to_global(float(pad[0]), float(pad[1]), level_m)
    flight = fly(
        vehicle_type,
        region.frame,
        [Position(here.lat, here.lon, level_m), over],
        from_alt_amsl_m=here.alt_amsl_m,
        to_alt_amsl_m=float(pad[2]),
        takes_off=False,
    )
    seconds = np.append(np.arange(0.0, flight.movement.duration_s, STEP_S), flight.movement.duration_s)
    return seconds, flight.at(seconds)
