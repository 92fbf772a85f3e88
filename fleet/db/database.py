"""Connections to PostgreSQL: a bounded pool, and transactions that are whole or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import psycopg
from psycopg import AsyncConnection, errors
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_dumps
from psycopg_pool import AsyncConnectionPool, PoolTimeout

Connection = AsyncConnection[DictRow]

DATABASE_ERRORS = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    PoolTimeout,
    # To psycopg these are internal errors; they are a database that only reads for now, or that has thrown us out.
    errors.ReadOnlySqlTransaction,
    errors.IdleInTransactionSessionTimeout,
    errors.TransactionTimeout,
    errors.InFailedSqlTransaction,
)
"""The database is away, restarting, overloaded or takes nothing now; what was asked may be tried again."""


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
            # No statement of ours runs long enough to be worth compiling, which takes 0.1 s for those over many days.
            "options": "-c timezone=UTC -c statement_timeout=30000 -c lock_timeout=10000 -c jit=off",
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
        before = _cancellations()
        async with self._pool.connection() as connection:
            _heed_cancellation(before)
            async with connection.transaction():
                yield connection
        _heed_cancellation(before)


def _cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task else 0


def _heed_cancellation(before: int) -> None:
    # The pool waits with wait_for, which in Python 3.11 swallows a cancellation that meets the connection waited
    # for: a loop that was told to end would go on for ever.
    if _cancellations() > before:
        raise asyncio.CancelledError
