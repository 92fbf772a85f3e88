"""A real PostgreSQL server for tests, and databases on it that are copies of a migrated template."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from fleet.db.migrate import migrate
from fleet.embedded import EmbeddedPostgres
from tests.homes import service_home

EXTERNAL_SERVER = "TODOKE_TEST_DATABASE_URL"
STEP_TIMEOUT_S = 150.0

_Result = TypeVar("_Result")


class TestServer:
    """The embedded server on a loop of its own, so that it outlives the loop of a single test.

    The calls block: a test that stops the server wants nothing else to happen meanwhile.
    """

    __test__ = False  # not a test class, whatever its name says

    def __init__(self, home: Path) -> None:
        self._postgres = EmbeddedPostgres(home, for_tests=True)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="test-postgres", daemon=True)

    def _run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(STEP_TIMEOUT_S)

    @property
    def dsn(self) -> str:
        """The address of an empty database whose owner may make others."""
        return self._postgres.dsn

    def open(self) -> None:
        """Make a server in the home, and start it."""
        self._thread.start()
        self._run(self._postgres.__aenter__())

    def close(self) -> None:
        """Stop the server for good."""
        try:
            self._run(self._postgres.__aexit__(None, None, None))
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()

    def crash(self) -> None:
        """End the server at once, as a crash would: connections break, and what was committed stays."""
        self._run(self._crash())

    async def _crash(self) -> None:
        child, self._postgres.child = self._postgres.child, None
        assert child is not None
        await child.stop((signal.SIGQUIT, 10.0))  # immediate shutdown: no farewell, recovery at the start

    def start(self) -> None:
        """Start the server again where it was, if it is not running."""
        if self._postgres.child is None:
            self._run(self._postgres.start())


@contextmanager
def running_server() -> Iterator[TestServer]:
    """Yield a server that is gone, with its files, at the end."""
    with service_home() as home:
        server = TestServer(home)
        server.open()
        try:
            yield server
        finally:
            server.close()


@contextmanager
def server_dsn() -> Iterator[str]:
    """Yield the server to test on: ``TODOKE_TEST_DATABASE_URL`` (a superuser's), or one of our own."""
    if external := os.environ.get(EXTERNAL_SERVER):
        yield external
        return
    with running_server() as server:
        yield server.dsn


async def server_has_timescaledb(dsn: str) -> bool:
    """Return whether a server has the extension, and its library loaded."""
    async with await psycopg.AsyncConnection.connect(dsn, connect_timeout=10) as connection:
        row = await (
            await connection.execute(
                """SELECT current_setting('shared_preload_libraries') LIKE '%timescaledb%'
                AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')"""
            )
        ).fetchone()
    return bool(row and row[0])


def _execute(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        connection.execute(statement.encode())


@contextmanager
def fresh_database(server: str, *, template: str | None = None) -> Iterator[str]:
    """Yield a new database's dsn, dropped at the end. ``template`` is the dsn of the one to copy."""
    name = f"todoke_test_{os.getpid()}_{secrets.token_hex(4)}"
    source = "template0" if template is None else conninfo_to_dict(template)["dbname"]
    _execute(server, f'CREATE DATABASE "{name}" TEMPLATE "{source}"')
    try:
        yield make_conninfo(server, dbname=name)
    finally:
        _execute(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@contextmanager
def template_database(server: str) -> Iterator[str]:
    """Yield the dsn of a migrated database that nobody connects to, so that it can be copied."""
    with fresh_database(server) as dsn:
        asyncio.run(migrate(dsn))
        name = conninfo_to_dict(dsn)["dbname"]
        # TimescaleDB's workers would come back to it at any time, just when it is copied.
        _execute(server, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        _execute(server, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        yield dsn


@contextmanager
def plain_role_database(server: str) -> Iterator[str]:
    """Yield the dsn of an empty database for a role that may make tables and functions in it, and no more."""
    role, password = f"todoke_plain_{os.getpid()}_{secrets.token_hex(4)}", secrets.token_hex(8)
    _execute(server, f"CREATE ROLE \"{role}\" LOGIN PASSWORD '{password}'")
    try:
        with fresh_database(server) as dsn:
            _execute(dsn, f'GRANT CREATE ON SCHEMA public TO "{role}"')
            yield make_conninfo(dsn, user=role, password=password)
    finally:
        _execute(server, f'DROP ROLE "{role}"')
