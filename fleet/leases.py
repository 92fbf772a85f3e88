"""Leases: which gateway may speak to a vehicle. Wall time, counted on a clock that suspend does not stop."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fleet.db.database import Connection, Database
from fleet.errors import Conflict
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "leases.sql")

LEASE_TTL_S = 5.0
"""Half of the usual lost-link time of 10 s: another gateway can take over before a vehicle gives up."""


class LeaseLost(Conflict):
    """Another gateway speaks to the vehicle now; leave it alone."""


def _boottime_s() -> float:
    # CLOCK_MONOTONIC stands still while the machine is suspended; a lease must not.
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Listened:
    """To which vehicles the holder listens at a domain time, which is kept with their leases."""

    at: datetime
    vehicle_ids: tuple[str, ...]


def _listened_values(listened: Listened | None) -> dict[str, Any]:
    return {"at": listened.at if listened else None, "heard": list(listened.vehicle_ids) if listened else []}


@dataclass(slots=True)
class Lease:
    """The right to speak to one vehicle until a deadline. ``held`` never blocks.

    ``listened_until`` is the domain time until which the holder before is known to have listened, if there was one.
    """

    vehicle_id: str
    holder: str
    epoch: int
    deadline_s: float = field(default=0.0)
    listened_until: datetime | None = None

    def held(self) -> bool:
        """Return whether the deadline has not passed."""
        return _boottime_s() < self.deadline_s

    def drop(self) -> None:
        """Stop holding at once."""
        self.deadline_s = 0.0


async def acquire(conn: Connection, vehicle_ids: list[str], *, holder: str) -> list[Lease]:
    """Take the leases among ``vehicle_ids`` that are free; return those taken."""
    # The deadline counts from before the question: the database cannot have granted it earlier.
    asked_s = _boottime_s()
    cursor = await conn.execute(_SQL["acquire"], {"vehicle_ids": vehicle_ids, "holder": holder, "ttl_s": LEASE_TTL_S})
    return [
        Lease(row["vehicle_id"], holder, row["epoch"], asked_s + LEASE_TTL_S, row["listened_until"])
        for row in await cursor.fetchall()
    ]


async def renew(
    database: Database, leases: dict[str, Lease], *, holder: str, listened: Listened | None = None
) -> set[str]:
    """Extend those of ``leases`` that ``holder`` still holds; return the vehicles that another holder has taken.

    A deadline moves only when the new one is committed: a database that loses the renewal may give the lease
    away at the old one. What is not among ``leases`` runs out.
    """
    asked_s = _boottime_s()
    values = {"holder": holder, "ttl_s": LEASE_TTL_S, "vehicle_ids": sorted(leases), **_listened_values(listened)}
    async with database.transaction() as conn:
        rows = await (await conn.execute(_SQL["renew"], values)).fetchall()
    renewed = {row["vehicle_id"]: row["epoch"] for row in rows}
    lost = set()
    for vehicle_id, lease in leases.items():
        if renewed.get(vehicle_id) == lease.epoch:
            lease.deadline_s = asked_s + LEASE_TTL_S
        else:
            lease.drop()
            lost.add(vehicle_id)
    return lost


async def free_vehicles(conn: Connection, *, holder: str, limit: int) -> list[str]:
    """Return vehicles that no other gateway speaks to."""
    cursor = await conn.execute(_SQL["free_vehicles"], {"holder": holder, "limit": limit})
    return [row["vehicle_id"] for row in await cursor.fetchall()]


async def release_all(conn: Connection, *, holder: str, listened: Listened | None = None) -> None:
    """Give back everything, so that another gateway need not wait."""
    await conn.execute(_SQL["release"], {"holder": holder, **_listened_values(listened)})


@asynccontextmanager
async def fenced(database: Database, lease: Lease) -> AsyncIterator[Connection]:
    """Yield a transaction that raises ``LeaseLost``, and changes nothing, when the lease is not ours any more."""
    async with database.transaction() as conn:
        await fence(conn, lease)
        yield conn


async def fence(conn: Connection, lease: Lease) -> None:
    """Raise ``LeaseLost`` unless the lease is still ours in the database, to the end of this transaction."""
    values = {"vehicle_id": lease.vehicle_id, "holder": lease.holder, "epoch": lease.epoch}
    if await (await conn.execute(_SQL["fence"], values)).fetchone() is None:
        raise LeaseLost(f"the lease on {lease.vehicle_id} (epoch {lease.epoch}) has gone to another gateway")
