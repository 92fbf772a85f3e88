"""Fixtures that start real things: a database server, a database of its own for each test, a broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from psycopg import AsyncConnection

from fleet.db.database import Database
from fleet.db.migrate import migrate
from fleet.embedded import EmbeddedBroker
from tests.api_kit import Api
from tests.fleet_kit import World
from tests.postgres import (
    TestServer,
    fresh_database,
    plain_role_database,
    running_server,
    server_dsn,
    server_has_timescaledb,
    template_database,
)

_LONGEST = {"test_recovery.py", "test_supervisor.py"}
"""Files whose few tests live through whole days: begun last, they would be waited for alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the workers take files in this order."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Dsn of a server on which databases may be made; one for the whole run."""
    with server_dsn() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def _migrated_template(postgres_server: str) -> Iterator[str]:
    with template_database(postgres_server) as dsn:
        yield dsn


@pytest.fixture
def empty_dsn(postgres_server: str) -> Iterator[str]:
    """Dsn of a database without a schema, dropped after the test."""
    with fresh_database(postgres_server) as dsn:
        yield dsn


@pytest.fixture
def dsn(postgres_server: str, _migrated_template: str) -> Iterator[str]:
    """Dsn of a migrated database of the test's own, dropped after it."""
    with fresh_database(postgres_server, template=_migrated_template) as copy:
        yield copy


@pytest.fixture
def plain_dsn(postgres_server: str) -> Iterator[str]:
    """Dsn of an empty database for a role that may make tables in it and no extensions."""
    with plain_role_database(postgres_server) as dsn:
        yield dsn


@pytest.fixture
async def native_dsn(plain_dsn: str) -> str:
    """Dsn of a migrated database with samples on native partitions, also where there is TimescaleDB."""
    await migrate(plain_dsn)
    return plain_dsn


@pytest.fixture(params=["as the server has it", "native"])
def either_dsn(request: pytest.FixtureRequest, postgres_server: str) -> str:
    """Dsn of a migrated database; where there is TimescaleDB the test runs on native partitions, too."""
    if request.param == "native" and not asyncio.run(server_has_timescaledb(postgres_server)):
        pytest.skip("the server has native partitions only, and the test runs on them as it is")
    if request.param == "native":
        plain: str = request.getfixturevalue("plain_dsn")
        asyncio.run(migrate(plain))
        return plain
    found: str = request.getfixturevalue("dsn")
    return found


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """The service's pool on the test's own database."""
    async with Database.open(dsn) as opened:
        yield opened


@pytest.fixture(scope="session")
def shared_dsn(postgres_server: str, _migrated_template: str) -> Iterator[str]:
    """Dsn of one migrated database for the tests that need no other of their own; see ``world``."""
    with fresh_database(postgres_server, template=_migrated_template) as copy:
        yield copy


@pytest.fixture
async def world(shared_dsn: str) -> AsyncIterator[World]:
    """The sample village in a database that holds nothing else: quicker than a database for each test."""
    async with Database.open(shared_dsn, timeout_s=5.0) as opened:
        fresh = World(opened)
        await fresh.empty()
        yield fresh


@pytest.fixture
async def api(world: World, tmp_path: Path) -> AsyncIterator[Api]:
    """The API on the village's database, in the test's own event loop."""
    async with Api.on(world, tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def _server_to_crash() -> Iterator[TestServer]:
    with running_server() as server:
        yield server


@pytest.fixture
async def crashing_server(_server_to_crash: TestServer) -> TestServer:
    """A server that the test may crash and start; its own database has just been migrated."""
    _server_to_crash.start()
    async with await AsyncConnection.connect(_server_to_crash.dsn, autocommit=True) as connection:
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await migrate(_server_to_crash.dsn)
    return _server_to_crash


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[EmbeddedBroker]:
    """An MQTT broker of the test's own; its ``username`` and ``password`` may use every topic."""
    async with EmbeddedBroker(tmp_path / "broker-home") as running:
        yield running
