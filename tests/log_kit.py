"""Flights as their samples tell them, written into a world's database as a gateway writes them."""

from __future__ import annotations

import math
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest

from fleet import flight_drafts
from routing.geo import Position
from telemetry.clock import Clock
from telemetry.sample import Sample
from tests.fleet_kit import World

ENTRIES = """SELECT e.*, r.content FROM log_entry e JOIN log_revision r USING (entry_id, revision)
    WHERE e.kind IN ('flight', 'operation') ORDER BY e.began_at"""


def stand(vehicle_id: str, start: datetime, seconds: int, place: Position, **more: Any) -> list[Sample]:
    """A drone that stands, a sample a second."""
    return [
        Sample(
            vehicle_id, start + timedelta(seconds=i), i, 1000 * i, lat_e7=round(place.lat * 1e7),
            lon_e7=round(place.lon * 1e7), alt_amsl_cm=round(place.alt_amsl_m * 100), alt_home_cm=0,
            armed=False, on_ground=True, **more,
        )
        for i in range(seconds)
    ]  # fmt: skip


def fly(vehicle_id: str, start: datetime, seconds: int, place: Position, *, radius_m: float = 150.0) -> list[Sample]:
    """A drone in the air on a circle back to where it rose, a sample a second; it stands before and after."""
    samples = stand(vehicle_id, start - timedelta(seconds=20), 20, place)
    per_degree = 111_320.0
    for i in range(seconds):
        turn = 2 * math.pi * i / seconds
        height_m = min(40.0, 4.0 * i, 4.0 * (seconds - i))
        north_m, east_m = radius_m * math.sin(turn), radius_m * (1 - math.cos(turn))
        samples.append(
            Sample(
                vehicle_id, start + timedelta(seconds=i), 20 + i, 1000 * (20 + i),
                lat_e7=round((place.lat + north_m / per_degree) * 1e7),
                lon_e7=round((place.lon + east_m / per_degree / math.cos(math.radians(place.lat))) * 1e7),
                alt_amsl_cm=round((place.alt_amsl_m + height_m) * 100), alt_home_cm=round(height_m * 100),
                vel_n_cms=800, vel_e_cms=0, vel_d_cms=-100, battery_pct_x10=1000 - i, wind_n_cms=300, wind_e_cms=400,
                mode="=cmd|mission", armed=True, on_ground=False, extra={"note": "=1+1"},
            )
        )  # fmt: skip
    return samples + stand(vehicle_id, start + timedelta(seconds=seconds), 20, place)


def note_threads(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> set[int]:
    """Have a function tell in which threads it is called; return the set into which it writes them."""
    threads: set[int] = set()
    function = getattr(owner, name)

    def noted(*args: Any, **kwargs: Any) -> Any:
        threads.add(threading.get_ident())
        return function(*args, **kwargs)

    monkeypatch.setattr(owner, name, noted)
    return threads


async def draft(world: World, at: datetime) -> int:
    """Draft the log as housekeeping does at a moment; return how many lines were written."""
    return await flight_drafts.round_once(world.database, Clock(Clock.real().now(), at, 1.0))


async def entry(world: World) -> dict[str, Any]:
    """Return the one flight or drive that the logs have."""
    (row,) = await world.rows(ENTRIES)
    return row
