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


async def listen(dsn: str, on_change: Callable[[str], None]) -> None:
    """Call ``on_change`` with the table's name after each change; for ever, across restarts of the database.

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
                        on_change(notification.payload)
                    async with asyncio.timeout(ANSWER_S):
                        await conn.execute("SELECT 1")
        except (psycopg.Error, OSError) as error:
            _LOG.warning("database is away; listening again", error=str(error).strip())
            await asyncio.sleep(RETRY_S)
