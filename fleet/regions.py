"""Regions as the service knows them: immutable bundles, stored whole."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from psycopg.types.json import Jsonb

from fleet.db.database import Connection
from fleet.errors import Conflict, NotFound
from routing.region.model import Region, region_from_json
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "regions.sql")


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
    row = await (await conn.execute(_SQL["get"], {"region_id": region_id})).fetchone()
    if row is None:
        known = ", ".join(r["region_id"] for r in await listing(conn)) or "none"
        raise NotFound(f"there is no region {region_id!r}; known: {known}")
    return _parsed(row["bundle_hash"], _Bundle(row["bundle"]))


async def listing(conn: Connection) -> list[dict[str, Any]]:
    """Return all regions, oldest first, without their bundles."""
    return await (await conn.execute(_SQL["list_all"])).fetchall()


class _Bundle:
    """Wraps a bundle so that the cache goes by content hash alone."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Bundle)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=8)
def _parsed(bundle_hash: str, bundle: _Bundle) -> Region:
    return region_from_json(bundle.data)
