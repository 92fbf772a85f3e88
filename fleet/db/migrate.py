"""The one sequence of migrations: numbered files of the service and of telemetry, applied once each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.errors import Diagnostic
from psycopg.rows import TupleRow, tuple_row

from fleet.errors import SchemaError

_LOG = structlog.get_logger()
_FILE = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")
_LOCK_KEY = 0x746F646F6B65  # "todoke"
_LOCK_WAIT_S = 120

_CREATE_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migration (
    number integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_wall timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file; ``name`` is the file's name."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Hash of the text, by which a change after the fact is seen."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Applied:
    number: int
    name: str
    sha256: str


def shipped_folders() -> tuple[Traversable, ...]:
    """Return the folders in which this code's migrations are."""
    return (
        resources.files("fleet") / "db" / "migrations",
        resources.files("telemetry") / "sql" / "migrations",
    )


def read_migrations(folders: Sequence[Traversable]) -> list[Migration]:
    """Read the ``NNNN_name.sql`` files of all folders as one sequence, sorted by number.

    Raises ``SchemaError`` when a ``.sql`` file has another kind of name or a number is used twice.
    """
    found: dict[int, Migration] = {}
    for folder in folders:
        for entry in folder.iterdir():
            if not entry.name.endswith(".sql"):
                continue
            match = _FILE.match(entry.name)
            if match is None:
                raise SchemaError(f"migration {entry.name!r}: the name must be like 0003_some_words.sql")
            number = int(match[1])
            if number in found:
                raise SchemaError(f"migrations {found[number].name} and {entry.name}: number used twice")
            found[number] = Migration(number, entry.name, entry.read_text(encoding="utf-8"))
    return [found[number] for number in sorted(found)]


def _pending(shipped: Sequence[Migration], applied: Sequence[_Applied]) -> list[Migration]:
    """Return what is still to be applied; raises ``SchemaError`` when database and code contradict."""
    by_number = {migration.number: migration for migration in shipped}
    for row in applied:
        known = by_number.get(row.number)
        if known is None:
            raise SchemaError(f"the database is newer than this code: it has {row.name}; update the service")
        if (known.name, known.sha256) != (row.name, row.sha256):
            raise SchemaError(
                f"migration {known.name} was changed after it had been applied (as {row.name}); "
                "restore the file and put the change into a new migration"
            )
    done = {row.number for row in applied}
    pending = [migration for migration in shipped if migration.number not in done]
    if done and pending and pending[0].number < max(done):
        raise SchemaError(
            f"migration {pending[0].name} comes before {max(done):04}, which has been applied; "
            "give it a number at the end of the sequence"
        )
    return pending


def _log_warning(said: Diagnostic) -> None:
    if said.severity_nonlocalized == "WARNING":
        _LOG.warning("migration_warning", message=said.message_primary, hint=said.message_hint)


async def _applied(connection: AsyncConnection[Any]) -> list[_Applied]:
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute("SELECT number, name, sha256 FROM schema_migration ORDER BY number")
        return [_Applied(*row) for row in await cursor.fetchall()]


async def _apply(connection: AsyncConnection[TupleRow], migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO schema_migration (number, name, sha256) VALUES (%s, %s, %s)",
                (migration.number, migration.name, migration.sha256),
            )
    except psycopg.Error as error:
        raise SchemaError(f"migration {migration.name} failed and changed nothing: {error}") from error


@cache
def _shipped() -> tuple[Migration, ...]:
    return tuple(read_migrations(shipped_folders()))


async def unapplied(connection: AsyncConnection[Any]) -> list[str]:
    """Return the names of this code's migrations that the database does not have. Raises ``SchemaError``."""
    try:
        return [migration.name for migration in _pending(_shipped(), await _applied(connection))]
    except psycopg.errors.UndefinedTable as error:
        raise SchemaError("the database has no schema yet; start the service once") from error


async def migrate(dsn: str, *, folders: Sequence[Traversable] | None = None) -> list[str]:
    """Bring the database to this code's schema; return the names of the migrations applied, in order.

    Each migration is a transaction of its own. Processes that call this at once wait for one another
    (two minutes at most), and each migration is applied by one of them. What a migration warns of is logged.

    Raises ``SchemaError`` when the files or the database do not fit, and ``psycopg.OperationalError``
    when the database does not answer.
    """
    shipped = read_migrations(shipped_folders() if folders is None else folders)
    connection = await AsyncConnection.connect(
        dsn, autocommit=True, connect_timeout=10, options="-c timezone=UTC -c statement_timeout=0"
    )
    connection.add_notice_handler(_log_warning)
    async with connection:
        try:
            await connection.execute(f"SET lock_timeout = '{_LOCK_WAIT_S}s'")
            await connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK_KEY,))
        except psycopg.errors.LockNotAvailable as error:
            raise SchemaError(
                f"another process has been migrating this database for {_LOCK_WAIT_S} s; look at it first"
            ) from error
        # The lock is the session's: it goes with the connection, also when this process dies.
        await connection.execute(_CREATE_LEDGER)
        pending = _pending(shipped, await _applied(connection))
        for migration in pending:
            await _apply(connection, migration)
    return [migration.name for migration in pending]
