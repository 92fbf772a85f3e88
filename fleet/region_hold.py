"""Hold for a whole region: everything that moves stops where it is, and nothing sets out until a person lifts it."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Any

import structlog

from fleet import clearance, commands, grounding
from fleet.db.database import Connection, Database
from fleet.errors import FleetError
from routing.errors import RoutingError
from telemetry.sqlfile import statements

_LOG = structlog.get_logger()
_SQL = statements("fleet.db.sql", "missions.sql")

REASON = "hold of the whole region"


async def hold(
    database: Database, *, region_id: str, key: str, issuer: str, at: datetime, speed: float
) -> list[dict[str, Any]]:
    """Give every vehicle on a mission a hold and ground the region; return the commands.

    What moves is held first, in a transaction of its own: a launch that is being decided on keeps the grounding
    waiting, and those in the air shall not wait with it. Then nothing sets out any more, and what has set out
    meanwhile is held too. The same key of the same issuer is the same deed. Raises ``BadRequest`` for a key that is
    none.
    """
    commands.check_key(key)
    given: dict[str, dict[str, Any]] = {}
    for grounds in (False, True):
        async with database.transaction() as conn:
            if grounds:
                await clearance.one_launch_at_a_time(conn, region_id)
                await grounding.ground(
                    conn, region_id=region_id, scope=("region", region_id), reason=REASON, at=at, actor=issuer, key=key
                )
            for row in await (await conn.execute(_SQL["moving_vehicles"], {"region_id": region_id})).fetchall():
                command = await _hold_one(conn, row["vehicle_id"], key, issuer=issuer, at=at, speed=speed)
                if command is not None:
                    given[row["vehicle_id"]] = command
    return list(given.values())


async def _hold_one(
    conn: Connection, vehicle_id: str, key: str, *, issuer: str, at: datetime, speed: float
) -> dict[str, Any] | None:
    """Hold one vehicle; what stands in the way of that must not keep the others from being held."""
    own_key = f"{sha256(key.encode()).hexdigest()[:32]}/{vehicle_id}"
    try:
        async with conn.transaction():
            return await commands.issue(
                conn, vehicle_id=vehicle_id, kind="hold", key=own_key, issuer=issuer, at=at, speed=speed
            )
    except (FleetError, RoutingError) as error:
        _LOG.error("vehicle not held with its region", vehicle=vehicle_id, error=str(error))
        return None
