"""The audit trail: who did what to which thing, written in the transaction that did it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from fleet.db.database import Connection
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "audit.sql")


async def record(
    conn: Connection,
    *,
    at: datetime,
    actor: str,
    action: str,
    subject: tuple[str, str],
    detail: dict[str, Any] | None = None,
) -> None:
    """Add one entry; ``subject`` is the kind and id of the thing."""
    kind, subject_id = subject
    await conn.execute(
        _SQL["insert"],
        {
            "at": at,
            "actor": actor,
            "action": action,
            "subject_kind": kind,
            "subject_id": subject_id,
            "detail": Jsonb(detail or {}),
        },
    )


async def record_each(
    conn: Connection, *, at: datetime, actor: str, action: str, kind: str, subject_ids: list[str]
) -> None:
    """Add one entry for each of many things of one kind."""
    rows = [
        {
            "at": at,
            "actor": actor,
            "action": action,
            "subject_kind": kind,
            "subject_id": subject_id,
            "detail": Jsonb({}),
        }
        for subject_id in subject_ids
    ]
    async with conn.cursor() as cursor:
        await cursor.executemany(_SQL["insert"], rows)


async def entries(conn: Connection, *, subject_id: str | None, limit: int = 200) -> list[dict[str, Any]]:
    """Return the newest entries, of one thing or of all."""
    cursor = await conn.execute(_SQL["list_all"], {"subject_id": subject_id, "limit": limit})
    return await cursor.fetchall()
