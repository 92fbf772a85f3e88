"""The audit trail over HTTP."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from fleet import audit as trail
from fleet.api.context import Ctx, Signed

router = APIRouter(prefix="/api")


@router.get("/audit")
async def audit(ctx: Ctx, user: Signed, subject_id: str | None = None) -> dict[str, Any]:
    """Return who did what, newest first."""
    user.require("administrator")
    async with ctx.database.transaction() as conn:
        return {"entries": await trail.entries(conn, subject_id=subject_id)}
