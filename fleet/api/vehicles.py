"""Vehicles and their telemetry over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from fleet import command_preview, commands, missions, regions, vehicles, way_home
from fleet.alarm_table import Words
from fleet.api.context import Context, Ctx, Signed
from fleet.command_kinds import STOPS, kind_of
from fleet.db.database import DATABASE_ERRORS
from fleet.errors import FleetError, NotFound
from hardware.vda5050.makers import quirks_of
from routing.problem import Category
from telemetry import store

_LOG = structlog.get_logger()

router = APIRouter(prefix="/api/vehicles")


class VehicleIn(BaseModel):
    """A vehicle to register."""

    model_config = ConfigDict(extra="forbid")

    vehicle_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    type_id: str = Field(max_length=64)
    home_site: str = Field(max_length=200)
    pad: int = Field(default=0, ge=0, le=1000)
    link: dict[str, Any]
    simulated: bool
    hardware_uid: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{1,36}$")
    category: Category = Category.LEVEL_4


class PreviewIn(BaseModel):
    """What a command would be."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(max_length=32)
    params: dict[str, Any] = Field(default_factory=dict, max_length=8)


class CommandIn(PreviewIn):
    """An instruction to a vehicle."""

    idempotency_key: str = Field(min_length=1, max_length=128)


@router.get("")
async def listing(ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return the registered vehicles with what is known of them now."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        rows = await vehicles.active(conn, region_id=await ctx.region_id(conn))
    ctx.live.look_for_silence()
    return {"vehicles": [_shown(ctx, row) for row in rows]}


def _shown(ctx: Context, row: dict[str, Any]) -> dict[str, Any]:
    """Return a vehicle as a list has it; ``emergency_stop``: its maker offers a channel for a real one."""
    link = row["link"]
    offers = link.get("protocol") == "vda5050" and quirks_of(str(link.get("manufacturer", ""))).emergency_stop != ""
    return {**row, "emergency_stop": offers, "live": ctx.live.get(row["vehicle_id"])}


@router.post("", status_code=201)
async def register(body: VehicleIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Register a vehicle."""
    user.require("administrator")
    async with ctx.database.transaction() as conn:
        region_id = await ctx.region_id(conn)
        new = vehicles.NewVehicle(**body.model_dump())
        return await vehicles.register(conn, new, region_id=region_id, at=ctx.clock.now(), actor=user.user_id)


@router.get("/{vehicle_id}/sample")
async def latest_sample(vehicle_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return the newest stored sample."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        await vehicles.get(conn, vehicle_id)
        found = await store.latest(conn, [vehicle_id])
    if not found:
        raise NotFound(f"no sample of {vehicle_id} is stored yet")
    return asdict(found[0])


@router.get("/{vehicle_id}/way-home")
async def own_way_home(vehicle_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return where a drone on a mission will fly by itself from where it was last heard, and when it lands."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        row = await vehicles.get(conn, vehicle_id)
        mission = await missions.active(conn, vehicle_id)
        region = await regions.load(conn, row["region_id"])
        way = None if mission is None else await way_home.of_mission(conn, mission["mission_id"], region)
    if way is None:
        raise NotFound(f"{vehicle_id} is on no mission from which it would come home by itself")
    return {
        "mission_id": way.mission_id,
        "seen_at": way.seen_at,
        "lands_at": way.lands_at,
        "lands_on": asdict(way.lands_on),
        "path": [[p.at, p.position.lat, p.position.lon, p.position.alt_amsl_m] for p in way.track],
    }


@router.post("/{vehicle_id}/commands", status_code=202)
async def command(vehicle_id: str, body: CommandIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Give a command: what stops is sent at once, what takes two steps waits for its confirmation."""
    user.require("pilot")
    # Nothing keeps a stop waiting.
    said = None if body.kind in STOPS else await _preview(ctx, vehicle_id, body)
    async with ctx.database.transaction() as conn:
        row = await commands.issue(
            conn,
            vehicle_id=vehicle_id,
            kind=body.kind,
            key=body.idempotency_key,
            issuer=user.user_id,
            at=ctx.clock.now(),
            speed=ctx.clock.speed,
            params=body.params,
            preview=said,
        )
    return commands.shown(row)


@router.post("/{vehicle_id}/commands/preview")
async def preview(vehicle_id: str, body: PreviewIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Say what a command would do to this vehicle now; nothing is given."""
    user.require("pilot")
    said, kind = await _preview(ctx, vehicle_id, body), kind_of(body.kind)
    return {
        "kind": kind.name,
        "steps": kind.steps,
        "description_ja": kind.ja,
        "description_en": kind.en,
        "preview_ja": said.ja if said else None,
        "preview_en": said.en if said else None,
    }


async def _preview(ctx: Context, vehicle_id: str, body: PreviewIn) -> Words | None:
    """Return what a command would do; that nobody can tell is no reason not to give it."""
    ctx.live.look_for_silence()
    try:
        async with ctx.database.transaction() as conn:
            return await command_preview.preview(
                conn,
                vehicle_id=vehicle_id,
                kind=body.kind,
                params=body.params,
                live=ctx.live.get(vehicle_id),
                at=ctx.clock.now(),
                speed=ctx.clock.speed,
            )
    except (FleetError, *DATABASE_ERRORS):
        raise
    except Exception:
        # Whatever the words for it stumble over, the command itself is not to fail by it.
        _LOG.exception("a command has no preview", vehicle=vehicle_id, kind=body.kind)
        return None
