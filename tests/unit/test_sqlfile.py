"""SQL files: statements by name, and clear errors for files that are not as they should be."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from telemetry.errors import TelemetryError
from telemetry.sqlfile import statements

_numbers = itertools.count()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Make a package whose ``some.sql`` has the text given; return its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[str] = []

    def make(text: str) -> str:
        name = f"sql_package_{next(_numbers)}"
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / "some.sql").write_text(text, encoding="utf-8")
        made.append(name)
        return name

    yield make
    for name in made:
        sys.modules.pop(name, None)


def test_each_statement_is_known_by_its_name_without_its_semicolon(package: Callable[[str], str]) -> None:
    name = package("-- About.\n\n-- name: first\nSELECT 1;\n\n-- name: second_2\nSELECT\n    2\n;\n")

    assert dict(statements(name, "some.sql")) == {"first": "SELECT 1", "second_2": "SELECT\n    2\n"}


def test_the_order_of_the_file_is_kept_and_comments_stay(package: Callable[[str], str]) -> None:
    name = package("-- name: z\n-- why\nSELECT 1;\n-- name: a\nSELECT 2;\n")

    assert list(statements(name, "some.sql").items()) == [("z", "-- why\nSELECT 1"), ("a", "SELECT 2")]


def test_a_name_used_twice_is_an_error_that_says_which(package: Callable[[str], str]) -> None:
    name = package("-- name: twice\nSELECT 1;\n-- name: twice\nSELECT 2;\n")

    with pytest.raises(TelemetryError, match=r"some\.sql: the name twice is used twice"):
        statements(name, "some.sql")


def test_a_statement_before_the_first_name_is_an_error(package: Callable[[str], str]) -> None:
    name = package("-- About.\nSELECT 0;\n-- name: first\nSELECT 1;\n")

    with pytest.raises(TelemetryError, match="text before the first"):
        statements(name, "some.sql")


def test_a_file_that_is_not_there_is_named(package: Callable[[str], str]) -> None:
    with pytest.raises(TelemetryError, match=r"other\.sql: no such SQL file"):
        statements(package(""), "other.sql")


@pytest.mark.parametrize("filename", ["store.sql", "history.sql", "keeping.sql", "listening.sql"])
def test_the_files_of_telemetry_can_be_read(filename: str) -> None:
    found = statements("telemetry.sql", filename)

    assert found
    assert all(";" not in statement for statement in found.values())
