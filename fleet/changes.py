"""What has changed in the database, told by the database itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
import structlog

_LOG = structlog.get_logger()
RETRY_S = 0.5
ANSWER_S = 10.0
"""Wall seconds in which the database answers, or the connection is taken for dead."""


async def listen(
    dsn: str, on_change: Callable[[str], None], on_vehicle: Callable[[str, str], None] | None = None
) -> None:
    """Call ``on_change`` with the table's name after each change; for ever, across restarts of the database.

    ``on_vehicle`` is called instead, with the vehicle's id too, after a change of what is one vehicle's.

    After a reconnect it calls ``on_change("*")``, since changes may have been missed meanwhile.
    """
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(dsn, autocommit=True, connect_timeout=5) as conn:
                async with asyncio.timeout(ANSWER_S):
                    await conn.execute("LISTEN todoke_changed")
                on_change("*")
                # A connection that has died silently shows when it is asked something.
                while True:
                    async for notification in conn.notifies(timeout=15.0):
                        table, _, vehicle_id = notification.payload.partition(" ")
                        if vehicle_id and on_vehicle is not None:
                            on_vehicle(table, vehicle_id)
                        else:
                            on_change(table)
                    async with asyncio.timeout(ANSWER_S):
                        await conn.execute("SELECT 1")
        except (psycopg.Error, OSError) as error:
            _LOG.warning("database is away; listening again", error=str(error).strip())
            await asyncio.sleep(RETRY_S)
