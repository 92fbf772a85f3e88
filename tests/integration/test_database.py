"""The pool: transactions that are whole or not at all, bounded waits, and a server that goes away."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg.types.json import Jsonb
from psycopg_pool import PoolTimeout

from fleet.db.database import Database
from tests.postgres import TestServer

T = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)


async def _regions(database: Database) -> list[str]:
    async with database.transaction() as connection:
        rows = await connection.execute("SELECT region_id FROM region ORDER BY region_id")
        return [row["region_id"] for row in await rows.fetchall()]


async def _add_region(database: Database, region_id: str, *, fail: bool = False) -> None:
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO region VALUES (%s, '', '', 'hash', %s, %s)", (region_id, b"packed", T))
        if fail:
            raise RuntimeError("the caller changed its mind")


async def test_a_transaction_commits_at_its_end(database: Database) -> None:
    await _add_region(database, "kosuge")

    assert await _regions(database) == ["kosuge"]


async def test_an_exception_of_any_kind_undoes_the_whole_transaction(database: Database) -> None:
    with pytest.raises(RuntimeError, match="changed its mind"):
        await _add_region(database, "kosuge", fail=True)

    assert await _regions(database) == []


async def test_a_failed_transaction_leaves_the_connection_usable(dsn: str) -> None:
    async with Database.open(dsn, max_size=1) as database:
        with pytest.raises(psycopg.errors.UndefinedTable):
            async with database.transaction() as connection:
                await connection.execute("SELECT * FROM no_such_table")

        assert await _regions(database) == []


async def test_times_come_back_in_utc_and_in_json_as_iso_8601(database: Database) -> None:
    await _add_region(database, "kosuge")

    async with database.transaction() as connection:
        cursor = await connection.execute("SELECT imported_at, %s::jsonb AS detail FROM region", (Jsonb({"at": T}),))
        row = await cursor.fetchone()

    assert row is not None
    assert row["imported_at"] == T
    assert row["imported_at"].utcoffset() == T.utcoffset()
    assert row["detail"] == {"at": "2026-04-01T09:30:00+00:00"}


async def test_waiting_for_a_connection_ends_with_an_error(dsn: str) -> None:
    async with Database.open(dsn, max_size=1, timeout_s=0.2) as database, database.transaction():
        with pytest.raises(PoolTimeout):
            await _regions(database)


async def test_a_server_that_does_not_answer_is_an_error_at_opening() -> None:
    nobody_there = "host=127.0.0.1 port=1 user=todoke dbname=postgres"

    with pytest.raises(PoolTimeout):
        async with asyncio.timeout(20), Database.open(nobody_there, timeout_s=0.5):
            pass


async def test_a_restarted_server_is_not_noticed_by_the_caller(crashing_server: TestServer) -> None:
    async with Database.open(crashing_server.dsn, max_size=2) as database:
        await _add_region(database, "kosuge")
        crashing_server.crash()
        crashing_server.start()

        await _add_region(database, "otsuki")

        assert await _regions(database) == ["kosuge", "otsuki"]
