"""How late missions run, by what is known now, and how late that makes those after them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from fleet import missions
from fleet.db.database import Connection
from hardware.profiles import load_profile


def delays(rows: Iterable[Mapping[str, Any]], *, now: datetime) -> dict[str, timedelta]:
    """Return how late each open mission is or will be, from 0 on, by its id.

    ``rows`` are those of ``missions.open_times``, each vehicle's in the sequence of their departures. A mission
    under way is as late as it started, or as its next stop is overdue; one that waits leaves now at the earliest,
    and not before its vehicle is back from the one before and has been made ready.
    """
    late: dict[str, timedelta] = {}
    free_at: dict[str, datetime] = {}
    for row in rows:
        planned = row["planned_depart"]
        if row["started_at"] is not None:
            delay = max(row["started_at"] - planned, now - (row["next_due"] or row["planned_arrive"]))
        else:
            delay = max(now, free_at.get(row["vehicle_id"], now)) - planned
        late[row["mission_id"]] = delay = max(delay, timedelta())
        turnaround = timedelta(seconds=load_profile(row["type_id"]).turnaround_s)
        free_at[row["vehicle_id"]] = row["planned_arrive"] + delay + turnaround
    return late


async def of_region(conn: Connection, *, region_id: str, now: datetime) -> dict[str, timedelta]:
    """Return the delays of a region's open missions."""
    return delays(await missions.open_times(conn, region_id=region_id), now=now)
