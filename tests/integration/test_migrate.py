"""Migrations on a real server: each once, whole or not at all, and a clear word when things do not fit."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fleet.db.migrate import migrate, read_migrations, shipped_folders
from fleet.errors import SchemaError


async def _query(dsn: str, sql: str) -> list[tuple[Any, ...]]:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        cursor = await connection.execute(sql.encode())
        return await cursor.fetchall() if cursor.description else []


async def _tables(dsn: str) -> set[str]:
    rows = await _query(dsn, "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')")
    return {name for (name,) in rows}


async def _recorded(dsn: str) -> list[str]:
    return [name for (name,) in await _query(dsn, "SELECT name FROM schema_migration ORDER BY number")]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders with three migrations that make the tables one, two and three."""
    service, telemetry = tmp_path / "service", tmp_path / "telemetry"
    service.mkdir()
    telemetry.mkdir()
    (service / "0001_one.sql").write_text("CREATE TABLE one (n integer);")
    (telemetry / "0002_two.sql").write_text("-- 100 % of it\nCREATE TABLE two AS SELECT n FROM one;")
    (service / "0003_three.sql").write_text("CREATE TABLE three (n integer); INSERT INTO three VALUES (3);")
    return service, telemetry


async def test_an_empty_database_gets_the_whole_schema(empty_dsn: str) -> None:
    applied = await migrate(empty_dsn)

    assert applied == [migration.name for migration in read_migrations(shipped_folders())]
    assert applied[:2] == ["0001_core.sql", "0002_samples.sql"]
    assert {"delivery_order", "mission", "custody", "sample", "sample_batch"} <= await _tables(empty_dsn)


async def test_a_second_run_does_nothing(empty_dsn: str) -> None:
    await migrate(empty_dsn)

    assert await migrate(empty_dsn) == []


async def test_both_folders_are_one_sequence_in_the_order_of_their_numbers(
    empty_dsn: str, folders: tuple[Path, Path]
) -> None:
    applied = await migrate(empty_dsn, folders=folders)

    assert applied == ["0001_one.sql", "0002_two.sql", "0003_three.sql"]
    assert await _recorded(empty_dsn) == applied
    assert {"one", "two", "three"} <= await _tables(empty_dsn)


async def test_only_what_is_new_is_applied(empty_dsn: str, folders: tuple[Path, Path]) -> None:
    await migrate(empty_dsn, folders=folders)
    (folders[1] / "0004_four.sql").write_text("CREATE TABLE four (n integer)")

    assert await migrate(empty_dsn, folders=folders) == ["0004_four.sql"]
    assert await _query(empty_dsn, "SELECT n FROM three") == [(3,)]


async def test_a_migration_that_fails_leaves_nothing_behind_and_those_before_it_stay(
    empty_dsn: str, folders: tuple[Path, Path]
) -> None:
    (folders[0] / "0003_three.sql").write_text("CREATE TABLE three (n integer); SELECT 1 / 0;")

    with pytest.raises(SchemaError, match=r"0003_three\.sql failed.*division by zero"):
        await migrate(empty_dsn, folders=folders)

    assert "three" not in await _tables(empty_dsn)
    assert await _recorded(empty_dsn) == ["0001_one.sql", "0002_two.sql"]
    (folders[0] / "0003_three.sql").write_text("CREATE TABLE three (n integer)")
    assert await migrate(empty_dsn, folders=folders) == ["0003_three.sql"]


async def test_a_file_that_was_changed_after_it_was_applied_is_named(
    empty_dsn: str, folders: tuple[Path, Path]
) -> None:
    await migrate(empty_dsn, folders=folders)
    (folders[1] / "0002_two.sql").write_text("CREATE TABLE two (other integer)")
    (folders[0] / "0004_four.sql").write_text("CREATE TABLE four (n integer)")

    with pytest.raises(SchemaError, match=r"0002_two\.sql was changed"):
        await migrate(empty_dsn, folders=folders)

    assert "four" not in await _tables(empty_dsn)


async def test_line_ends_are_no_change(empty_dsn: str, folders: tuple[Path, Path]) -> None:
    await migrate(empty_dsn, folders=folders)
    file = folders[1] / "0002_two.sql"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))

    assert await migrate(empty_dsn, folders=folders) == []


async def test_a_file_that_was_renamed_after_it_was_applied_is_named(
    empty_dsn: str, folders: tuple[Path, Path]
) -> None:
    await migrate(empty_dsn, folders=folders)
    (folders[1] / "0002_two.sql").rename(folders[1] / "0002_renamed.sql")

    with pytest.raises(SchemaError, match=r"0002_renamed\.sql.*0002_two\.sql"):
        await migrate(empty_dsn, folders=folders)


async def test_a_database_newer_than_the_code_is_refused(empty_dsn: str, folders: tuple[Path, Path]) -> None:
    await migrate(empty_dsn, folders=folders)
    (folders[0] / "0003_three.sql").unlink()

    with pytest.raises(SchemaError, match=r"newer than this code.*0003_three\.sql"):
        await migrate(empty_dsn, folders=folders)


async def test_a_number_used_twice_is_refused_before_anything_is_done(
    empty_dsn: str, folders: tuple[Path, Path]
) -> None:
    (folders[1] / "0003_other.sql").write_text("SELECT 1")

    with pytest.raises(SchemaError, match=r"number used twice"):
        await migrate(empty_dsn, folders=folders)

    assert "one" not in await _tables(empty_dsn)


async def test_a_number_before_those_applied_is_refused(empty_dsn: str, folders: tuple[Path, Path]) -> None:
    (folders[1] / "0002_two.sql").rename(folders[1] / "0004_two.sql")
    await migrate(empty_dsn, folders=folders)
    (folders[1] / "0002_late.sql").write_text("SELECT 1")

    with pytest.raises(SchemaError, match=r"0002_late\.sql comes before 0004"):
        await migrate(empty_dsn, folders=folders)


@pytest.mark.parametrize("name", ["1_one.sql", "0004-four.sql", "0004_Four.sql", "draft.sql"])
def test_a_file_with_another_kind_of_name_is_refused(folders: tuple[Path, Path], name: str) -> None:
    (folders[0] / name).write_text("SELECT 1")

    with pytest.raises(SchemaError, match="must be like"):
        read_migrations(folders)


async def test_of_several_at_once_each_migration_is_applied_by_one(empty_dsn: str) -> None:
    async with asyncio.timeout(60):
        applied = await asyncio.gather(*(migrate(empty_dsn) for _ in range(8)))

    assert sorted(name for names in applied for name in names) == await _recorded(empty_dsn)


async def test_a_database_that_is_away_is_an_operational_error() -> None:
    with pytest.raises(psycopg.OperationalError):
        await migrate("host=127.0.0.1 port=1 user=todoke dbname=postgres")
