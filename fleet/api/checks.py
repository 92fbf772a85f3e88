"""The ground crew's checks over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from fleet import ground_checks, missions
from fleet.api.context import Context, Ctx, Signed
from fleet.api.fields import Text
from fleet.db.database import Connection

router = APIRouter(prefix="/api/missions/{mission_id}/checks")


class CheckIn(BaseModel):
    """How one check stands; ``note`` says what is wrong."""

    model_config = ConfigDict(extra="forbid")

    check: str = Field(max_length=64)
    ok: bool
    note: Annotated[Text, Field(max_length=500)] | None = None


async def _all(ctx: Context, conn: Connection, mission: dict[str, Any]) -> dict[str, Any]:
    found = await ground_checks.standing(conn, mission, at=ctx.clock.now())
    rows = [
        {
            "check": one.check.name,
            "ja": one.check.ja,
            "en": one.check.en,
            "state": one.state,
            "ok": one.ok,
            "note": one.note,
            "checked_at": one.checked_at,
            "checked_by": one.checked_by,
            "until": one.until,
            "entry_id": one.entry_id,
        }
        for one in found
    ]
    return {"checks": rows, "complete": all(one.state == ground_checks.DONE for one in found)}


@router.get("")
async def listing(mission_id: str, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Return how each check before a mission stands."""
    user.require("viewer")
    async with ctx.database.transaction() as conn:
        return await _all(ctx, conn, await missions.get(conn, mission_id))


@router.post("")
async def say(mission_id: str, body: CheckIn, ctx: Ctx, user: Signed) -> dict[str, Any]:
    """Ground crew: a check is in order, or is not. Return how all stand then."""
    user.require("ground_crew")
    at, actor = ctx.clock.now(), user.user_id
    async with ctx.database.transaction() as conn:
        mission = await missions.locked(conn, mission_id)
        await ground_checks.say(conn, mission, body.check, ok=body.ok, at=at, actor=actor, note=body.note)
        return await _all(ctx, conn, mission)
