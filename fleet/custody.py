"""Custody: where a parcel is, who or what moved it there, and how that is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleet.db.database import Connection
from routing.geo import Position
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "custody.sql")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a parcel: ``kind`` is shelf (of a site), vehicle, or recipient (at a site)."""

    kind: str
    holder_id: str


async def hand_over(
    conn: Connection,
    order_id: str,
    *,
    to: Holder,
    at: datetime,
    moved_by: str,
    evidence: str,
    detail: str,
    mission_id: str | None = None,
    position: Position | None = None,
) -> bool:
    """Record a hand-over; return False when the order was delivered before (nothing is written then).

    ``evidence`` is sensor (the vehicle acknowledged it), inferred (its progress implies it) or person.
    """
    cursor = await conn.execute(
        _SQL["insert"],
        {
            "order_id": order_id,
            "at": at,
            "holder_kind": to.kind,
            "holder_id": to.holder_id,
            "moved_by": moved_by,
            "mission_id": mission_id,
            "lat": position.lat if position else None,
            "lon": position.lon if position else None,
            "alt_amsl_m": position.alt_amsl_m if position else None,
            "evidence": evidence,
            "detail": detail,
        },
    )
    return await cursor.fetchone() is not None


async def hand_in(conn: Connection, sites: Mapping[str, str], *, at: datetime, moved_by: str) -> None:
    """Record that the parcels of new orders (order id to site) lie on the shelves of their pickup sites."""
    rows = [
        {
            "order_id": order_id,
            "at": at,
            "holder_kind": "shelf",
            "holder_id": site_id,
            "moved_by": moved_by,
            "mission_id": None,
            "lat": None,
            "lon": None,
            "alt_amsl_m": None,
            "evidence": "person",
            "detail": "handed in with the order",
        }
        for order_id, site_id in sites.items()
    ]
    async with conn.cursor() as cursor:
        await cursor.executemany(_SQL["insert"], rows)


async def chain(conn: Connection, order_id: str) -> list[dict[str, Any]]:
    """Return an order's hand-overs, from shelf to door."""
    return await (await conn.execute(_SQL["chain"], {"order_id": order_id})).fetchall()


async def current(conn: Connection, order_id: str) -> Holder | None:
    """Return who has the parcel now; None when nothing was recorded."""
    row = await (await conn.execute(_SQL["current"], {"order_id": order_id})).fetchone()
    return Holder(row["holder_kind"], row["holder_id"]) if row else None
