"""The register of vehicles: only what stands here is ever commanded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from fleet import audit, regions, signing_keys
from fleet.db.database import Connection
from fleet.errors import BadRequest, Conflict, NotFound
from hardware.errors import NotSupported
from hardware.mavlink.address import MavlinkAddress
from hardware.profiles import load_profile
from routing.errors import BadInput
from routing.problem import Category
from routing.region.model import Region
from routing.vehicle_type import VehicleKind
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "vehicles.sql")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class NewVehicle:
    """A vehicle to be registered.

    ``link`` is ``{"protocol": "mavlink", "bind": "127.0.0.1:14600"}`` (``MavlinkAddress`` has the forms of ``bind``)
    with optional ``peer``, ``system_id`` and ``key``, the name of the key with which it signs (``signing_keys``), or
    ``{"protocol": "vda5050", "manufacturer": ..., "serial": ...}``. ``pad`` is the index of
    the pad of the home site on which a drone stands; each has one of its own. ``category`` is that of its flights.
    """

    vehicle_id: str
    type_id: str
    home_site: str
    link: dict[str, Any]
    simulated: bool
    hardware_uid: str | None = None
    pad: int = 0
    category: Category = Category.LEVEL_4


def _check_link(link: dict[str, Any], kind: str, hardware_uid: str | None, *, simulated: bool) -> None:
    """Raise ``BadRequest`` unless a gateway could open this link."""
    protocol = link.get("protocol")
    if kind == "drone" and protocol == "mavlink":
        unknown = set(link) - {"protocol", "bind", "peer", "system_id", "key"}
        _check_mavlink(link, hardware_uid, simulated=simulated)
    elif kind == "robot" and protocol == "vda5050":
        for name in ("manufacturer", "serial"):
            value = link.get(name)
            if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", value):
                raise BadRequest(f"link.{name}: 1 to 64 letters, digits or _ . : - are needed")
        unknown = set(link) - {"protocol", "manufacturer", "serial"}
    else:
        raise BadRequest(f"link.protocol: a {kind} has 'mavlink' (drone) or 'vda5050' (robot), not {protocol!r}")
    if unknown:
        raise BadRequest(f"link: unknown keys {', '.join(sorted(unknown))}")


def _check_mavlink(link: dict[str, Any], hardware_uid: str | None, *, simulated: bool) -> None:
    bind, peer, system_id, key = (link.get(name) for name in ("bind", "peer", "system_id", "key"))
    if not isinstance(bind, str):
        raise BadRequest("link.bind: an address such as 127.0.0.1:14600 or tcp://127.0.0.1:5760 is needed")
    if not isinstance(peer, str | None):
        raise BadRequest("link.peer: an address such as 127.0.0.1:14580 is needed")
    if isinstance(system_id, bool) or not isinstance(system_id, int | None):
        raise BadRequest("link.system_id: a whole number from 1 to 255 is needed")
    if key is not None and (not isinstance(key, str) or not signing_keys.NAME.fullmatch(key)):
        raise BadRequest("link.key: the name of a key is needed, of 1 to 63 letters, digits or _ -")
    try:
        address = MavlinkAddress(bind=bind, peer=peer, system_id=system_id, hardware_uid=hardware_uid)
    except NotSupported as error:
        raise BadRequest(f"link: {error}") from error
    if simulated and not address.is_loopback:
        raise BadRequest("link.bind: a simulated vehicle is reached by UDP or TCP on 127.0.0.1 only")


def _check_home(region: Region, vehicle: NewVehicle, kind: VehicleKind) -> None:
    pad = vehicle.pad
    try:
        site = region.site(vehicle.home_site)
    except BadInput as error:
        raise BadRequest(f"home_site: {error}") from error
    if kind is VehicleKind.DRONE and not 0 <= pad < len(site.pads):
        raise BadRequest(f"pad: site {site.site_id} has {len(site.pads)} pads, counted from 0; there is no {pad}")
    if kind is VehicleKind.ROBOT and site.node is None:
        raise BadRequest(f"home_site: no way leads to site {site.site_id}; a robot cannot start there")


async def register(
    conn: Connection, vehicle: NewVehicle, *, region_id: str, at: datetime, actor: str
) -> dict[str, Any]:
    """Register a vehicle; the same registration again does nothing. Raises ``Conflict`` on another one.

    Raises ``BadRequest`` for a link that no gateway could open or a home that is not there, and ``BadInput`` for
    an unknown type.
    """
    if not _ID.fullmatch(vehicle.vehicle_id):
        raise BadRequest("vehicle_id: 1 to 63 letters, digits or . _ - are needed, beginning with a letter or digit")
    profile = load_profile(vehicle.type_id)
    _check_link(vehicle.link, profile.kind.value, vehicle.hardware_uid, simulated=vehicle.simulated)
    _check_home(await regions.load(conn, region_id), vehicle, profile.kind)
    values = {
        "vehicle_id": vehicle.vehicle_id,
        "region_id": region_id,
        "type_id": vehicle.type_id,
        "kind": profile.kind.value,
        "home_site": vehicle.home_site,
        "pad": vehicle.pad,
        "link": Jsonb(vehicle.link),
        "hardware_uid": vehicle.hardware_uid,
        "simulated": vehicle.simulated,
        "category": vehicle.category,
        "at": at,
    }
    try:
        row = await (await conn.execute(_SQL["insert"], values)).fetchone()
    except UniqueViolation as error:
        taken = "pad" if error.diag.constraint_name == "vehicle_pad" else "link"
        raise Conflict(f"{taken} of {vehicle.vehicle_id!r}: another vehicle has the same {taken}") from error
    if row is None:
        known = await get(conn, vehicle.vehicle_id)
        same = ("type_id", "home_site", "pad", "hardware_uid", "simulated", "category")
        if known["link"] != vehicle.link or any(known[name] != values[name] for name in same):
            raise Conflict(f"vehicle {vehicle.vehicle_id!r} is registered already with other data")
        if known["retired_at"] is not None:
            raise Conflict(f"vehicle {vehicle.vehicle_id!r} was retired; register it under another id")
        return known
    await audit.record(conn, at=at, actor=actor, action="vehicle.register", subject=("vehicle", vehicle.vehicle_id))
    return row


async def get(conn: Connection, vehicle_id: str) -> dict[str, Any]:
    """Return one vehicle; raises ``NotFound``."""
    row = await (await conn.execute(_SQL["get"], {"vehicle_id": vehicle_id})).fetchone()
    if row is None:
        raise NotFound(f"there is no vehicle {vehicle_id!r}")
    return row


async def active(conn: Connection, *, region_id: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
    """Return the vehicles that are not retired."""
    cursor = await conn.execute(_SQL["active"], {"region_id": region_id, "limit": limit})
    return await cursor.fetchall()


async def retire(conn: Connection, vehicle_id: str, *, at: datetime, actor: str) -> None:
    """Take a vehicle out of service: it is not planned for, loaded or commanded any more.

    Raises ``Conflict`` when it has been retired before, and while it is on a mission.
    """
    await get(conn, vehicle_id)
    if await (await conn.execute(_SQL["on_mission"], {"vehicle_id": vehicle_id})).fetchone() is not None:
        raise Conflict(f"vehicle {vehicle_id!r} is on a mission; retire it when that has ended")
    row = await (await conn.execute(_SQL["retire"], {"vehicle_id": vehicle_id, "at": at})).fetchone()
    if row is None:
        raise Conflict(f"vehicle {vehicle_id!r} is retired already")
    await audit.record(conn, at=at, actor=actor, action="vehicle.retire", subject=("vehicle", vehicle_id))
