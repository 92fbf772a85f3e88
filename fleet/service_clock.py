"""The domain clock of a service: set once for its database, and the same after every restart."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from fleet.errors import ConfigError, StartFailed
from telemetry.clock import Clock

_SELECT = "SELECT anchor_wall, anchor_domain, speed FROM service_clock"
_INSERT = """INSERT INTO service_clock (anchor_wall, anchor_domain, speed) VALUES (%s, %s, %s)
             ON CONFLICT DO NOTHING"""


async def load_clock(conn: AsyncConnection[Any]) -> Clock:
    """Return the clock of the database. Raises ``StartFailed`` when the service has never run on it."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SELECT)
        row = await cursor.fetchone()
    if row is None:
        raise StartFailed("the database has no service clock: start the service once ('todoke serve')")
    return Clock(
        anchor_wall=row["anchor_wall"].astimezone(UTC),
        anchor_domain=row["anchor_domain"].astimezone(UTC),
        speed=row["speed"],
    )


async def settle_clock(conn: AsyncConnection[Any], speed: float | None) -> Clock:
    """Set the clock of a database that has none, and return it. A ``speed`` of ``None`` takes what is there.

    Raises ``ConfigError`` for a speed that the database does not have: its times could not be compared.
    """
    now = datetime.now(UTC)
    await conn.execute(_INSERT, (now, now, speed or 1.0))
    clock = await load_clock(conn)
    if speed is not None and speed != clock.speed:
        raise ConfigError(
            f"speed: this database was begun with speed {clock.speed:g}, and {speed:g} is asked for; "
            f"use --speed {clock.speed:g}, or a new TODOKE_HOME"
        )
    return clock
