"""A minute of the past in the database: a drone on a mission with an alarm, and a robot that falls silent."""

from __future__ import annotations

import itertools
import json
from datetime import datetime, timedelta
from typing import Any

from telemetry.sample import Sample
from tests.alarm_rows import write_event
from tests.fleet_kit import World
from tests.problems import START

FROM = START - timedelta(minutes=10)
TO = FROM + timedelta(seconds=60)
ROBOT_LAST_S = 20
MISSION = {5: "underway", 40: "returning", 50: "completed"}
ALARM = {30.0: "raised", 45.0: "cleared"}
LAT, LON, SECOND_DEG = 35.471, 138.362, 1e-4
"""A vehicle goes straight north over the village; its latitude tells the second of its sample."""
_PLACE = {"lat": LAT, "lon": LON, "alt_amsl_m": 480.0}


def after(seconds: float) -> datetime:
    """Return a moment by its second."""
    return FROM + timedelta(seconds=seconds)


async def store_minute(world: World) -> None:
    """Store it."""
    await world.drone()
    await world.robot()
    drone = [_sample("drone-1", n / 5, mode="AUTO.MISSION", armed=True, on_ground=False) for n in range(-25, 300)]
    robot = [_sample("robot-1", n, extra={"operatingMode": "AUTOMATIC", "paused": n > 10}) for n in range(ROBOT_LAST_S)]
    await world.store(drone + robot)
    await _store_mission(world)
    for at_s, cause in ALARM.items():
        async with world.database.transaction() as conn:
            await write_event(conn, after(at_s), cause, cleared=cause == "cleared")


def _sample(vehicle_id: str, second: float, **more: Any) -> Sample:
    ms = round(1000 * second)
    lat_e7 = round((LAT + second * SECOND_DEG) * 1e7)
    return Sample(vehicle_id, after(second), 100_000 + ms, 100_000 + ms, lat_e7, round(LON * 1e7), 48_000, **more)


async def _store_mission(world: World) -> None:
    values: dict[str, Any] = {"region": world.region.region_id, "at": FROM}
    await world.write(
        "INSERT INTO planning_run (run_id, region_id, state, requested_by, requested_at, seconds, seed) "
        "VALUES ('r-1', %(region)s, 'approved', 'x', %(at)s, 1, 1)",
        **values,
    )
    await world.write(
        "INSERT INTO mission (mission_id, region_id, run_id, vehicle_id, ordinal, state, trip, planned_depart, "
        "planned_arrive, changed_at) VALUES ('m-1', %(region)s, 'r-1', 'drone-1', 0, 'completed', "
        "%(trip)s, %(at)s, %(at)s, %(at)s)",
        trip=json.dumps({"mission": {"steps": [{"position": _PLACE}] * 3}, "stops": []}),
        **values,
    )
    states = ["planned", "starting", *MISSION.values()]
    for second, (left, entered) in zip([0, 1, *MISSION], itertools.pairwise([None, *states]), strict=True):
        await world.write(
            "INSERT INTO mission_event (mission_id, at, from_state, to_state, cause) "
            "VALUES ('m-1', %(at)s, %(before)s, %(after)s, 'x')",
            at=after(second),
            before=left,
            after=entered,
        )
