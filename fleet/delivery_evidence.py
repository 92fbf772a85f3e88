"""How a delivery is known: every sign of it is kept, and what speaks against it beside them.

The hand-over itself is one row of custody and is written once. Evidence goes on coming after it: the power that a drone
draws without the parcel, the recipient's word. None of it delivers an order a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from fleet.db.database import Connection
from hardware.mission import Step
from routing.geo import Position, distance_m
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "deliveries.sql")

RANK: Mapping[str, int] = {"inferred": 0, "sensor": 1, "person": 2}
"""What says more comes later: progress implies it, the vehicle has acknowledged it, somebody has seen it."""

RELEASED_ELSEWHERE = "released_elsewhere"
NOT_LIGHTER = "not_lighter"
NOT_RECEIVED = "not_received"
SAYS_NOTHING = "says_nothing"
"""Findings: what is no evidence of the delivery, and why. The first three call for somebody to look."""
FINDINGS = frozenset({RELEASED_ELSEWHERE, NOT_LIGHTER, NOT_RECEIVED})

DROP_WITHIN_M = 5.0
ABOVE_RELEASE_M = 2.0
RELEASE_MPS = 1.0
"""Within so much a release is at its drop point: GNSS is good to 3 m, a height over the place of take-off to 1.5 m in
half an hour, and a drone that hovers in gusts moves at half a metre a second."""

MAX_DETAIL = 1000


async def add(
    conn: Connection,
    order_id: str,
    *,
    evidence: str,
    given_by: str,
    detail: str,
    at: datetime,
    mission_id: str | None = None,
    step: int | None = None,
    finding: str | None = None,
) -> bool:
    """Keep a sign of a delivery, or a finding; return False for one that is known already."""
    values = {
        "order_id": order_id,
        "mission_id": mission_id,
        "step": step,
        "at": at,
        "evidence": evidence,
        "given_by": given_by,
        "detail": detail[:MAX_DETAIL],
        "finding": finding,
    }
    return await (await conn.execute(_SQL["add_evidence"], values)).fetchone() is not None


async def of_order(conn: Connection, order_id: str) -> list[dict[str, Any]]:
    """Return all that is known of an order's delivery, oldest first, findings too."""
    return await (await conn.execute(_SQL["evidence_of"], {"order_id": order_id})).fetchall()


def best(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the strongest class among evidence that is no finding; ``None`` without any."""
    classes = [str(row["evidence"]) for row in rows if row["finding"] is None]
    return max(classes, key=RANK.__getitem__, default=None)


def elsewhere(step: Step, position: Position | None, speed_mps: float | None) -> str | None:
    """Return how a release lies outside of its limits, in words; ``None``: within them, or nobody knows.

    ``position`` and ``speed_mps`` are the vehicle's when it acknowledged the release. Height counts for drones only:
    a step with a ``node`` is a robot's.
    """
    found = []
    if position is not None:
        away_m = distance_m(position, step.position)
        if away_m > DROP_WITHIN_M:
            found.append(f"{away_m:.0f} m from the drop point ({DROP_WITHIN_M:.0f} m are allowed)")
        above_m = position.alt_amsl_m - step.position.alt_amsl_m
        if step.node is None and above_m > ABOVE_RELEASE_M:
            found.append(f"{above_m:.1f} m above the release height ({ABOVE_RELEASE_M:.0f} m are allowed)")
    if position is not None and speed_mps is not None and speed_mps > RELEASE_MPS:
        found.append(f"at {speed_mps:.1f} m/s ({RELEASE_MPS:.0f} m/s are allowed)")
    return "released " + ", ".join(found) if found else None
