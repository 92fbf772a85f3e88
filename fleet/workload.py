"""How many aircraft one remote pilot may have in the air at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleet import audit, users
from fleet.db.database import Connection
from fleet.errors import BadRequest
from routing.problem import AirborneLimit, Category, FleetVehicle
from routing.vehicle_type import VehicleKind
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "launch.sql")


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``most`` aircraft of a category by one pilot, and what says so."""

    category: Category
    most: int
    source: str


_GUIDELINE = "guideline of Japan's civil aviation bureau, 28 March 2025"
USUAL = {
    Category.LEVEL_3: Limit(Category.LEVEL_3, 5, _GUIDELINE),
    Category.LEVEL_3_5: Limit(Category.LEVEL_3_5, 5, _GUIDELINE),
    Category.LEVEL_4: Limit(Category.LEVEL_4, 1, "no permit's figure has been entered"),
}
"""Where nothing else is entered. The guideline says nothing of Level 4: there it is what the permit says."""
MOST = 100


async def limits(conn: Connection, *, region_id: str) -> dict[Category, Limit]:
    """Return the limit of each category in a region."""
    rows = await (await conn.execute(_SQL["limits"], {"region_id": region_id})).fetchall()
    entered = {Category(row["category"]): row for row in rows}
    return USUAL | {category: Limit(category, row["most"], row["source"]) for category, row in entered.items()}


async def set_limit(
    conn: Connection, *, region_id: str, category: str, most: int, source: str, at: datetime, actor: str
) -> dict[str, Any]:
    """Enter what a permit or a new guideline says; raises ``BadRequest``."""
    if category not in list(Category):
        raise BadRequest(f"category: must be one of {', '.join(Category)}, not {category!r}")
    if not 0 <= most <= MOST:
        raise BadRequest(f"most: must be from 0 to {MOST}, not {most}")
    values = {"region_id": region_id, "category": category, "most": most, "source": source, "at": at, "actor": actor}
    row = await (await conn.execute(_SQL["set_limit"], values)).fetchone()
    assert row is not None
    await audit.record(
        conn, at=at, actor=actor, action="pilot_limit.set", subject=("region", region_id),
        detail={"category": category, "most": most, "source": source},
    )  # fmt: skip
    return row


async def airborne_limits(
    conn: Connection, fleet: Iterable[FleetVehicle], *, region_id: str
) -> tuple[AirborneLimit, ...]:
    """Return what planning has to keep to: of each category as many in the air as the pilots that are signed in may
    have, where the fleet has more. Without a pilot it is planned for one: somebody must come before anything flies."""
    pilots = max(1, await users.pilots_signed_in(conn))
    drones = Counter(each.category for each in fleet if each.type.kind is VehicleKind.DRONE)
    found = await limits(conn, region_id=region_id)
    binding = ((category, found[category].most * pilots) for category in drones)
    return tuple(AirborneLimit(category, most) for category, most in binding if most < drones[category])


async def airborne(conn: Connection, *, pilot: str, category: str, region_id: str, but: str) -> list[str]:
    """Return the drones of a category in the air that a pilot controls, without that of the mission ``but``.

    Where nobody controls one, it is its launch's pilot's.
    """
    values = {"region_id": region_id, "pilot": pilot, "category": category, "mission_id": but}
    return [row["vehicle_id"] for row in await (await conn.execute(_SQL["airborne_of"], values)).fetchall()]


async def full(conn: Connection, vehicle: Mapping[str, Any], *, pilot: str, but: str) -> str | None:
    """Return in words why a pilot may have no further drone like ``vehicle`` in the air; ``None`` where it is possible.

    ``but`` is the mission that is in question.
    """
    region_id, category = vehicle["region_id"], Category(vehicle["category"])
    limit = (await limits(conn, region_id=region_id))[category]
    up = await airborne(conn, pilot=pilot, category=category, region_id=region_id, but=but)
    if len(up) < limit.most:
        return None
    return f"{pilot} has {', '.join(up) or 'none'} in the air and may have {limit.most} of {category} ({limit.source})"
