"""Connections to PostgreSQL: a bounded pool, and transactions that are whole or not at all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_dumps
from psycopg_pool import AsyncConnectionPool

Connection = AsyncConnection[DictRow]


def _encode(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not JSON")


set_json_dumps(lambda value: json.dumps(value, default=_encode, ensure_ascii=False))


class Database:
    """A pool of at most ``max_size`` connections; waiting for one is bounded by ``timeout_s``."""

    def __init__(self, pool: AsyncConnectionPool[Connection], dsn: str) -> None:
        self._pool = pool
        self.dsn = dsn

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str, *, max_size: int = 8, timeout_s: float = 10.0) -> AsyncIterator[Database]:
        """Connect, and close at the end. Raises ``psycopg_pool.PoolTimeout`` when no server answers."""
        kwargs: dict[str, Any] = {
            "row_factory": dict_row,
            "autocommit": True,
            "options": "-c timezone=UTC -c statement_timeout=30000 -c lock_timeout=10000",
        }
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            dsn,
            min_size=1,
            max_size=max_size,
            timeout=timeout_s,
            kwargs=kwargs,
            open=False,
            # A connection that a restarted server has dropped is replaced before use, not discovered in use.
            check=AsyncConnectionPool.check_connection,
        )
        await pool.open(wait=True, timeout=timeout_s)
        try:
            yield cls(pool, dsn)
        finally:
            await pool.close(timeout=5.0)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Yield a connection in a transaction: committed at the end, rolled back on any exception."""
        async with self._pool.connection() as connection, connection.transaction():
            yield connection
