"""Regions as the service knows them: immutable bundles, stored whole."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from fleet.db.database import Connection
from fleet.errors import Conflict, NotFound
from routing.region.model import Region, region_from_json
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "regions.sql")

MAX_READ = 8
"""Regions kept in memory; at the bound the one read first is forgotten."""
_read: dict[str, Region] = {}  # by content hash, so that it can never be out of date


async def store(conn: Connection, region: Region, *, at: datetime) -> None:
    """Store a region; the same content again does nothing, other content is a ``Conflict``."""
    values = {
        "region_id": region.region_id,
        "name_ja": region.name_ja,
        "name_en": region.name_en,
        "bundle_hash": region.content_hash(),
        "bundle": Jsonb(region.to_json()),
        "at": at,
    }
    row = await (await conn.execute(_SQL["upsert"], values)).fetchone()
    if row is not None:
        return
    known = await (await conn.execute(_SQL["get"], {"region_id": region.region_id})).fetchone()
    if known is None or known["bundle_hash"] != region.content_hash():
        raise Conflict(f"region {region.region_id!r} exists with other content; bundles never change")


async def load(conn: Connection, region_id: str) -> Region:
    """Return a region; raises ``NotFound`` naming the regions there are."""
    row = await (await conn.execute(_SQL["hash"], {"region_id": region_id})).fetchone()
    if row is None:
        known = ", ".join(r["region_id"] for r in await listing(conn)) or "none"
        raise NotFound(f"there is no region {region_id!r}; known: {known}")
    found = _read.get(row["bundle_hash"])
    if found is None:
        found = await _load(conn, region_id)
        while len(_read) >= MAX_READ:
            del _read[next(iter(_read))]
        _read[row["bundle_hash"]] = found
    return found


async def _load(conn: Connection, region_id: str) -> Region:
    row = await (await conn.execute(_SQL["get"], {"region_id": region_id})).fetchone()
    if row is None:
        raise NotFound(f"region {region_id!r} is gone")
    return region_from_json(row["bundle"])


async def listing(conn: Connection) -> list[dict[str, Any]]:
    """Return all regions, oldest first, without their bundles."""
    return await (await conn.execute(_SQL["list_all"])).fetchall()
