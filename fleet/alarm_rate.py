"""How many alarms an operator gets, and how soon: the performance figures of ISA-18.2 (section 16, monitoring)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from statistics import median
from typing import Any

from fleet import users
from fleet.alarm_table import TABLE
from fleet.db.database import Connection
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "alarms.sql")

WINDOW_S = 600.0
MOST = 100_000
"""Alarms that one figure counts; at the bound it says so."""
FLOOD = 10
"""More alarms than these in 10 minutes are a flood (ISA-18.2, 16.5.2)."""


async def of_period(
    conn: Connection, *, start: datetime, end: datetime, operators: int | None, speed: float
) -> dict[str, Any]:
    """Return the figures of a period of domain time: per operator and 10 minutes, the worst 10 minutes, by code.

    Each time counts that an alarm comes to wait for an answer: when it is raised, renewed or made worse after
    somebody had answered it, or comes off the shelf while it stands. ``detection_wall_s`` is the wall time from the
    first look that showed a condition to its alarm, of those that a sample shows at once. ``operators`` unless given
    are the pilots who are signed in now, one at least.
    """
    values = {"start": start, "end": end, "limit": MOST}
    rows = await (await conn.execute(_SQL["sounded"], values)).fetchall()
    if operators is None:
        operators = max(1, await users.pilots_signed_in(conn))
    windows = Counter(row["bin"] for row in rows)
    number = max(1.0, (end - start).total_seconds() / WINDOW_S)
    return {
        "from": start,
        "to": end,
        "operators": operators,
        "alarms": len(rows),
        "complete": len(rows) < MOST,
        "per_operator_per_10_min": round(len(rows) / number / operators, 3),
        "worst_10_min": max(windows.values(), default=0),
        "floods": sum(count > FLOOD for count in windows.values()),
        "by_code": dict(Counter(row["code"] for row in rows).most_common()),
        "by_urgency": dict(Counter(row["urgency"] for row in rows)),
        "detection_wall_s": _delays([row for row in rows if _at_once(row)], speed),
    }


def _at_once(row: Mapping[str, Any]) -> bool:
    known = TABLE.get(row["code"])
    return row["detection_s"] is not None and known is not None and known.detection_note is None


def _delays(rows: list[dict[str, Any]], speed: float) -> dict[str, float | int | None]:
    delays = [row["detection_s"] / speed for row in rows]
    return {
        "alarms": len(delays),
        "median": round(median(delays), 2) if delays else None,
        "most": round(max(delays), 2) if delays else None,
    }
