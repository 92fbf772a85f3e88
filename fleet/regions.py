"""Regions as the service knows them: immutable bundles, stored whole and packed."""

from __future__ import annotations

import asyncio
import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from fleet.db.database import Connection
from fleet.errors import BadRequest, Conflict, NotFound
from routing.errors import RoutingError
from routing.region.bundle import JSON_NAME, load_bundle, load_region, pack, save_bundle, stated_hash, unpack
from routing.region.model import Region
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "regions.sql")

MAX_READ = 8
"""Regions kept in memory; at the bound the one read first is forgotten."""
_read: dict[str, Region] = {}  # by content hash, so that it can never be out of date


async def store(conn: Connection, region: Region, *, at: datetime) -> None:
    """Store a region; the same content again does nothing, other content is a ``Conflict``."""
    blob, content_hash = await asyncio.to_thread(lambda: (pack(region), region.content_hash()))
    values = {
        "region_id": region.region_id,
        "name_ja": region.name_ja,
        "name_en": region.name_en,
        "bundle_hash": content_hash,
        "bundle": blob,
        "at": at,
    }
    row = await (await conn.execute(_SQL["upsert"], values)).fetchone()
    if row is not None:
        return
    known = await (await conn.execute(_SQL["hash"], {"region_id": region.region_id})).fetchone()
    if known is None or known["bundle_hash"] != content_hash:
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
    return await asyncio.to_thread(unpack, row["bundle"])


async def listing(conn: Connection) -> list[dict[str, Any]]:
    """Return all regions, oldest first, without their bundles."""
    return await (await conn.execute(_SQL["list_all"])).fetchall()


def cached(home: Path, region: Region, suffix: str) -> Path:
    """Return where a file that is made from a region alone is kept; its folder is there."""
    folder = home / "cache" / "regions"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{region.content_hash()}{suffix}"


def replace_file(path: Path, content: bytes) -> None:
    """Write a cached file, whole or not at all: several processes may do so at once."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_bytes(content)
    new.replace(path)


def packed_file(home: Path, region: Region) -> Path:
    """Return a file with the packed region, for programs that need one; it is made when it is not there."""
    path = cached(home, region, ".packed")
    if not path.exists():
        replace_file(path, pack(region))
    return path


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def bundle_folder(home: Path, region_id: str) -> Path:
    """Return the folder of a region's bundle; raises ``BadRequest`` for an id that is no name of a folder."""
    if not _NAME.fullmatch(region_id):
        raise BadRequest(f"region {region_id!r}: a name of letters, digits, '.', '_' and '-' is needed")
    return home / "regions" / region_id


def keep(home: Path, region: Region) -> Path:
    """Write a region's bundle where the service finds it when it starts, and return its folder.

    The same content again does nothing; other content under the same name is a ``Conflict``.
    """
    folder = bundle_folder(home, region.region_id)
    if (folder / JSON_NAME).exists():
        if load_bundle(folder).content_hash() != region.content_hash():
            raise Conflict(f"{folder} holds another region of that name; bundles never change: remove it first")
        return folder
    try:
        save_bundle(region, folder)
    except OSError as error:
        raise BadRequest(f"{folder}: cannot be written: {error.strerror}") from error
    return folder


def kept(home: Path) -> list[Path]:
    """Return the folders of all bundles of a home."""
    return sorted(path.parent for path in (home / "regions").glob(f"*/{JSON_NAME}"))


def find(home: Path, name: str) -> Region:
    """Return the region of a bundle by its name in the home, or by a path to it.

    Raises ``NotFound`` naming those there are, and ``BadInput`` for a bundle that is damaged.
    """
    if _NAME.fullmatch(name) and (bundle_folder(home, name) / JSON_NAME).exists():
        return load_bundle(bundle_folder(home, name))
    if Path(name).exists():
        return load_region(Path(name))
    known = ", ".join(path.name for path in kept(home)) or "none"
    raise NotFound(f"there is no region {name!r} in {home / 'regions'}; known: {known}")


async def store_kept(conn: Connection, home: Path, *, at: datetime) -> list[str]:
    """Store the bundles of a home that the database has not got; return what is wrong with those left out."""
    known = {row["bundle_hash"] for row in await listing(conn)}
    problems = []
    for folder in kept(home):
        try:
            if stated_hash(folder) in known:
                continue
            async with conn.transaction():
                await store(conn, await asyncio.to_thread(load_bundle, folder), at=at)
        except (Conflict, RoutingError) as error:
            problems.append(str(error))
    return problems
