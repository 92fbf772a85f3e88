"""Whether a drone is lighter after a release, by the power that it draws in hover: evidence without a sensor.

Hover power goes with mass to the power 1.5 (``routing.power.hover_w``). The share of it that a parcel makes is taken of
the power measured before, so that a wrong calibration of the type cancels out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from fleet import delivery_evidence
from fleet.db.database import Connection
from fleet.delivery_evidence import NOT_LIGHTER, SAYS_NOTHING
from hardware.profiles import load_profile
from routing.power import hover_w
from routing.vehicle_type import VehicleType
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "deliveries.sql")

BEFORE = timedelta(seconds=30)
AFTER = timedelta(seconds=15)
"""Domain time before and after a release in which samples are looked at."""
LATEST = timedelta(minutes=10)
"""Samples that come later (from a spool) are not waited for."""
HOVER_MPS = 0.7
HOVER_CLIMB_MPS = 0.3
"""Faster over ground, or up or down, a drone does not hover."""
LEAST_S = 2.0
LEAST_SAMPLES = 4
DRIFT_SHARE = 0.01
"""By so much hover power wanders within a minute for other reasons: wind that changes, a pack that sags."""
LIGHTER_NOISES = 4.0
NOT_LIGHTER_NOISES = 6.0
"""How large the parcel's share has to be against the scatter before something is said: half of it decides, so that
"lighter" is wrong in 2 cases of 100 (2 standard errors, one side) and "not lighter" in 1 of 700 (3)."""


SHOWN_BEFORE = 3
"""A drone is only taken to have its parcel still when it has so often been seen to be lighter: of current sensors that
are coarse, and of simulators, one learns that they tell nothing."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the power says: ``lighter`` None when it says nothing; ``words`` say why."""

    lighter: bool | None
    words: str


Array = npt.NDArray[np.float64]


def weigh(before_w: Array, after_w: Array, vehicle_type: VehicleType, *, aboard_kg: float, parcel_kg: float) -> Weighed:
    """Compare hover powers, one value a second each (1-D, W), before and after ``parcel_kg`` of ``aboard_kg`` left."""
    if len(before_w) < LEAST_S or len(after_w) < LEAST_S:
        return Weighed(None, "the power in hover before and after the release was not told for long enough")
    mean = float(before_w.mean())
    left_kg = max(aboard_kg - parcel_kg, 0.0)
    share = 1.0 - float(hover_w(vehicle_type, left_kg) / hover_w(vehicle_type, aboard_kg))
    expected, fall = mean * share, mean - float(after_w.mean())
    # Of so few values the larger scatter of the two is taken for both.
    scatter = max(float(before_w.std(ddof=1)), float(after_w.std(ddof=1)))
    error = scatter * np.sqrt(1.0 / len(before_w) + 1.0 / len(after_w))
    noise = float(np.hypot(error, DRIFT_SHARE * mean))
    told = f"power in hover fell by {fall:.0f} W of {mean:.0f} W; {expected:.0f} W are expected for {parcel_kg:g} kg"
    if expected < LIGHTER_NOISES * noise:
        return Weighed(None, f"{told}, which the scatter of {noise:.0f} W hides")
    if fall >= expected / 2.0:
        return Weighed(True, told)
    if expected < NOT_LIGHTER_NOISES * noise:
        return Weighed(None, f"{told}; the scatter is {noise:.0f} W")
    return Weighed(False, f"{told}: it may have the parcel still")


def hover_power_w(samples: Sequence[Mapping[str, Any]]) -> Array:
    """Return the mean power of each second of the samples in which a drone hovers, in W."""
    rows = [
        (s["t"].timestamp(), s["voltage_mv"] * s["current_ca"] * 1e-5)
        for s in samples
        if None not in (s["voltage_mv"], s["current_ca"], s["vel_n_cms"], s["vel_e_cms"], s["vel_d_cms"])
        and s["on_ground"] is False
        and np.hypot(s["vel_n_cms"], s["vel_e_cms"]) <= HOVER_MPS * 100.0
        and abs(s["vel_d_cms"]) <= HOVER_CLIMB_MPS * 100.0
    ]
    if len(rows) < LEAST_SAMPLES:
        return np.zeros(0)
    seconds, power = np.array(rows).T
    _, which = np.unique(np.floor(seconds), return_inverse=True)
    return np.asarray(np.bincount(which, power) / np.bincount(which))


async def weigh_releases(conn: Connection, *, at: datetime) -> int:
    """Look at the power around the releases of drones that are over, once each; return how many were looked at."""
    values = {"oldest": at - LATEST, "newest": at - AFTER}
    found = await (await conn.execute(_SQL["unweighed"], values)).fetchall()
    return sum([await _weigh_one(conn, row, at=at) for row in found])


async def _weigh_one(conn: Connection, row: Mapping[str, Any], *, at: datetime) -> bool:
    released_at: datetime = row["at"]
    values = {"vehicle_id": row["vehicle_id"], "start": released_at - BEFORE, "end": released_at + AFTER}
    samples = await (await conn.execute(_SQL["samples_between"], values)).fetchall()
    complete = bool(samples) and samples[-1]["t"] >= released_at + AFTER - timedelta(seconds=2)
    if not complete and at - released_at < LATEST - timedelta(seconds=30):
        return False
    found = weigh(
        hover_power_w([s for s in samples if s["t"] < released_at]),
        hover_power_w([s for s in samples if s["t"] >= released_at]),
        load_profile(row["type_id"]),
        aboard_kg=row["aboard_kg"],
        parcel_kg=row["parcel_kg"],
    )
    if found.lighter is False and not await _has_shown(conn, row["vehicle_id"]):
        found = Weighed(None, f"{found.words}; but the power of {row['vehicle_id']} has not shown parcels leave before")
    for order_id in row["order_ids"]:
        await delivery_evidence.add(
            conn,
            order_id,
            evidence="inferred",
            given_by=given_by(row["vehicle_id"]),
            detail=found.words,
            at=at,
            mission_id=row["mission_id"],
            step=row["step"],
            finding={True: None, False: NOT_LIGHTER, None: SAYS_NOTHING}[found.lighter],
        )
    return True


async def _has_shown(conn: Connection, vehicle_id: str) -> bool:
    """Whether this drone has been seen to be lighter often enough that it would have been now, too."""
    values = {"given_by": given_by(vehicle_id), "most": SHOWN_BEFORE}
    row = await (await conn.execute(_SQL["lighter_before"], values)).fetchone()
    return row is not None and row["times"] >= SHOWN_BEFORE


def given_by(vehicle_id: str) -> str:
    """Return by whom the evidence of a drone's power is given."""
    return f"power of {vehicle_id}"
