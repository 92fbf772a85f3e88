"""Emergency airspace (緊急用務空域): declared at short notice for aircraft that fight a disaster; drones stay out.

Japan, Civil Aeronautics Act 132-85 and Ordinance 236-71: whoever flies a drone looks at the civil aviation bureau's
page before, and does not enter. There is no feed that could be relied on, so that a person looks and says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import shapely
from psycopg.types.json import Jsonb

from fleet import audit
from fleet.db.database import Connection
from fleet.errors import BadRequest, Conflict, NotFound
from fleet.ids import new_id
from routing.geo import LocalFrame, Position
from routing.problem import GivenTrip
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "launch.sql")

MAX_CORNERS = 1_000
AROUND_M = 100.0
"""How far a flight stays away from it: what contains a drone on its path, and what its edge may be drawn off by."""

Ring = Sequence[tuple[float, float]]


async def record_check(conn: Connection, *, region_id: str, source: str, at: datetime, actor: str) -> dict[str, Any]:
    """Keep that somebody has looked; ``source`` says where."""
    values = {"region_id": region_id, "source": source, "at": at, "actor": actor}
    row = await (await conn.execute(_SQL["insert_check"], values)).fetchone()
    assert row is not None
    return row


async def newest_check(conn: Connection, *, region_id: str) -> dict[str, Any] | None:
    """Return when somebody has looked last."""
    return await (await conn.execute(_SQL["newest_check"], {"region_id": region_id})).fetchone()


async def declare(
    conn: Connection,
    *,
    region_id: str,
    name: str,
    ring: Ring,
    begins_at: datetime,
    ends_at: datetime | None,
    at: datetime,
    actor: str,
    kind: str = "emergency",
) -> dict[str, Any]:
    """Enter an area of ``(lat, lon)`` corners from the ground up; ``ends_at`` ``None``: until it is withdrawn.

    ``kind``: ``emergency``, or ``closed`` for one that is closed at short notice for another reason.
    Raises ``BadRequest`` for a ring that encloses nothing or crosses itself, and for a time that is over.
    """
    _check_ring(ring)
    if ends_at is not None and ends_at <= max(begins_at, at):
        raise BadRequest("ends_at: must be after begins_at and in the future")
    values = {
        "airspace_id": new_id("e"),
        "region_id": region_id,
        "name": name,
        "kind": kind,
        "ring": Jsonb([list(corner) for corner in ring]),
        "begins_at": begins_at,
        "ends_at": ends_at,
    }
    row = await (await conn.execute(_SQL["declare"], values | {"at": at, "actor": actor})).fetchone()
    assert row is not None
    subject = ("emergency_airspace", row["airspace_id"])
    detail = {"name": name, "kind": kind}
    await audit.record(conn, at=at, actor=actor, action="airspace.declare", subject=subject, detail=detail)
    return row


def _check_ring(ring: Ring) -> None:
    if not 3 <= len(ring) <= MAX_CORNERS:
        raise BadRequest(f"ring: 3 to {MAX_CORNERS} corners are needed, not {len(ring)}")
    for place, (lat, lon) in enumerate(ring):
        if not (math.isfinite(lat) and math.isfinite(lon) and abs(lat) < 90 and abs(lon) <= 180):
            raise BadRequest(f"ring: corner {place} is no latitude and longitude: {lat!r}, {lon!r}")
    area = shapely.Polygon([(lon, lat) for lat, lon in ring])
    if not area.is_valid or area.area == 0:
        raise BadRequest(f"ring: it encloses no area ({shapely.is_valid_reason(area)})")


async def withdraw(conn: Connection, airspace_id: str, *, region_id: str, at: datetime, actor: str) -> dict[str, Any]:
    """Say that an area is open again; raises ``NotFound``, and ``Conflict`` when it was withdrawn before."""
    values = {"airspace_id": airspace_id, "region_id": region_id, "at": at, "actor": actor}
    row = await (await conn.execute(_SQL["withdraw"], values)).fetchone()
    if row is None:
        if await (await conn.execute(_SQL["emergency"], values)).fetchone() is None:
            raise NotFound(f"there is no emergency airspace {airspace_id!r}")
        raise Conflict(f"emergency airspace {airspace_id} has been withdrawn already")
    subject = ("emergency_airspace", airspace_id)
    await audit.record(conn, at=at, actor=actor, action="airspace.withdraw", subject=subject)
    return row


async def listing(conn: Connection, *, region_id: str, at: datetime) -> list[dict[str, Any]]:
    """Return the areas that are in force or will be."""
    return await (await conn.execute(_SQL["emergencies"], {"region_id": region_id, "at": at})).fetchall()


def entered(area: dict[str, Any], flight: GivenTrip, frame: LocalFrame) -> bool:
    """Whether a planned flight comes within ``AROUND_M`` of an area while it is in force."""
    track = [
        point
        for point in flight.track
        if point.at >= area["begins_at"] and (area["ends_at"] is None or point.at < area["ends_at"])
    ]
    if not track:
        return False
    places = [frame.to_local(point.position) for point in track]
    path = shapely.LineString(places) if len(places) > 1 else shapely.Point(places[0])
    corners = [frame.to_local(Position(lat, lon)) for lat, lon in area["ring"]]
    return bool(shapely.dwithin(path, shapely.Polygon(corners), AROUND_M))
