"""Orders from files: a CSV is taken whole or not at all."""

from __future__ import annotations

import asyncio
from datetime import datetime

from fleet import orders, regions
from fleet.db.database import Connection
from fleet.errors import BadRequest
from routing.errors import BadInput
from routing.formats.orders_csv import read_orders


async def import_csv(conn: Connection, content: bytes, *, region_id: str, at: datetime, actor: str) -> tuple[int, int]:
    """Take a CSV file of orders in; return how many were new and how many known.

    Raises ``BadInput`` (with every bad row, column and reason) or ``Conflict``; nothing is taken then.
    """
    region = await regions.load(conn, region_id)
    # A file of the largest size takes a second to read.
    rows = await asyncio.to_thread(read_orders, content, region, now=at)
    new = [orders.NewOrder(external_ref=row.ref, recipient=row.recipient, goods=row.goods, **row.asked) for row in rows]
    return await orders.receive_all(conn, new, region_id=region_id, at=at, actor=actor)


async def check_sites(conn: Connection, region_id: str, **site_ids: str) -> None:
    """Raise ``BadRequest`` naming the field and the known sites when one is not in the region."""
    region = await regions.load(conn, region_id)
    for field, site_id in site_ids.items():
        try:
            region.site(site_id)
        except BadInput as error:
            raise BadRequest(f"{field}: {error}") from error
