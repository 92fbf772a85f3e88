"""Weather as people and stations report it, and what planning takes from it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from fleet import audit
from fleet.db.database import Connection
from fleet.errors import BadRequest
from routing.wind import CALM, Wind
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "weather.sql")

MAX_AGE = timedelta(hours=1)
"""Planning does not rely on an older report: an hour is the interval of the routine reports of weather stations."""

USUAL_C = 20.0
"""Temperature of batteries when nobody has said another."""


@dataclass(frozen=True, slots=True)
class Report:
    """One observation or forecast for the region: wind where it blows from, in degrees clockwise from north.

    ``None``: nobody has measured it.
    """

    wind_from_deg: float
    wind_mps: float
    gust_mps: float
    temperature_c: float | None = None
    rain_mm_h: float | None = None
    visibility_m: float | None = None

    def wind(self) -> Wind:
        """The wind as planning has it: where the air goes to."""
        to = math.radians(self.wind_from_deg + 180.0)
        return Wind(self.wind_mps * math.sin(to), self.wind_mps * math.cos(to), max(self.gust_mps, self.wind_mps))


async def record(
    conn: Connection, report: Report, *, region_id: str, observed_at: datetime, at: datetime, actor: str
) -> dict[str, Any]:
    """Keep a report; raises ``BadRequest`` for one from the future or with gusts below the wind."""
    if observed_at > at:
        raise BadRequest(f"observed_at: {observed_at.isoformat(timespec='seconds')} lies in the future")
    if report.gust_mps < report.wind_mps:
        raise BadRequest(f"gust_mps: {report.gust_mps:g} is less than the wind, {report.wind_mps:g}")
    values = asdict(report) | {"region_id": region_id, "observed_at": observed_at, "actor": actor}
    row = await (await conn.execute(_SQL["insert"], values)).fetchone()
    assert row is not None
    await audit.record(
        conn, at=at, actor=actor, action="weather.report", subject=("region", region_id), detail=asdict(report)
    )
    return row


async def newest(conn: Connection, *, region_id: str) -> dict[str, Any] | None:
    """Return the report that was observed last, if there is any."""
    return await (await conn.execute(_SQL["newest"], {"region_id": region_id})).fetchone()


async def for_planning(conn: Connection, *, region_id: str, at: datetime) -> tuple[Wind, float, dict[str, Any] | None]:
    """Wind and temperature in degrees Celsius to plan with, and the report they are from.

    Without a report younger than ``MAX_AGE`` planning takes the air for calm, and whoever approves is told so.
    """
    row = await newest(conn, region_id=region_id)
    if row is None or at - row["observed_at"] > MAX_AGE:
        return CALM, USUAL_C, None
    report = Report(row["wind_from_deg"], row["wind_mps"], row["gust_mps"], row["temperature_c"])
    return report.wind(), USUAL_C if report.temperature_c is None else report.temperature_c, row
