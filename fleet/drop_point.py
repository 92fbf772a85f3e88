"""Drop points: how it is decided that one is clear below a drone, and whether robots ask for a code there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from fleet import audit, regions
from fleet.db.database import Connection
from fleet.errors import BadRequest, NotFound
from routing.errors import RoutingError
from routing.vehicle_type import VehicleKind, VehicleType
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "deliveries.sql")

GATE_S = 60.0
"""For how long a drone waits above a drop point that is not fenced to be told that it is clear. To hear a telephone,
look and answer takes a person some 30 s; as much again is for whoever has to walk to the window. Each such wait costs
a drone of the 1 kg class 20 Wh, a twentieth of what it may use."""


class DropClass(StrEnum):
    """How it is decided that a drop point is clear."""

    FENCED = "fenced"
    """Nobody can walk into it: it always is."""
    RECIPIENT = "recipient"
    """The recipient says so; a pilot who looks at the camera may, too."""
    CAMERA = "camera"
    """A pilot says so who looks at the camera; nobody else can."""


@dataclass(frozen=True, slots=True)
class DropPoint:
    """What is known of a drop point. ``unlock``: robots there ask for the recipient's code; ``set_at``: when this was
    entered."""

    site_id: str
    kind: DropClass = DropClass.RECIPIENT
    unlock: bool = False
    set_at: datetime | None = None

    @property
    def gated(self) -> bool:
        """Whether a drone waits above it to be told that it is clear."""
        return self.kind is not DropClass.FENCED


class DropPoints:
    """The drop points of a region. One that nobody has entered is the recipient's: unknown means no descent."""

    def __init__(self, known: Iterable[DropPoint]) -> None:
        self._known: Mapping[str, DropPoint] = {point.site_id: point for point in known}

    def __getitem__(self, site_id: str) -> DropPoint:
        """Return what is known of a site, for any site id."""
        return self._known.get(site_id) or DropPoint(site_id)


async def put(
    conn: Connection,
    *,
    region_id: str,
    site_id: str,
    kind: str,
    unlock: bool,
    at: datetime,
    actor: str,
    note: str = "",
) -> None:
    """Enter what a drop point is like. Raises ``NotFound`` for an unknown site, ``BadRequest`` for an unknown class.

    Missions that are planned already keep their waits; who may end one is decided by the class of that moment, but a
    fence counts for missions only that start after it was entered (``fleet.drop_gate``).
    """
    if kind not in frozenset(DropClass):
        raise BadRequest(f"class: must be one of {', '.join(DropClass)}, not {kind!r}")
    region = await regions.load(conn, region_id)
    try:
        region.site(site_id)
    except RoutingError as error:
        raise NotFound(str(error)) from error
    values = {"region_id": region_id, "site_id": site_id, "class": kind, "unlock": unlock, "note": note}
    await conn.execute(_SQL["put_point"], {**values, "at": at, "actor": actor})
    detail = {"class": kind, "unlock": unlock, "note": note}
    await audit.record(conn, at=at, actor=actor, action="drop_point.put", subject=("site", site_id), detail=detail)


async def entries(conn: Connection, *, region_id: str) -> list[dict[str, Any]]:
    """Return what was entered, by site, with who has set it and when."""
    return await (await conn.execute(_SQL["drop_points"], {"region_id": region_id})).fetchall()


async def of_region(conn: Connection, region_id: str) -> DropPoints:
    """Return the drop points of a region."""
    rows = await entries(conn, region_id=region_id)
    return DropPoints(DropPoint(row["site_id"], DropClass(row["class"]), row["unlock"], row["set_at"]) for row in rows)


def service_s(types: Iterable[VehicleType], *, gated: bool) -> float | None:
    """Return the time at a drop point that a plan has to cover; ``None``: what each type takes by itself.

    Above a gated one it is the longest service of the drones among ``types``, and the wait.
    """
    drones = [kind.service_s for kind in types if kind.kind is VehicleKind.DRONE]
    return max(drones) + GATE_S if gated and drones else None
