"""Keys of vehicles: made once, read by the service's user only, and never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleet import signing_keys
from fleet.cli import app
from fleet.errors import BadRequest, Conflict, StartFailed


def test_a_key_is_made_once_and_read_back(tmp_path: Path) -> None:
    file = signing_keys.make(tmp_path, "drone-1")

    assert len(signing_keys.read(tmp_path, "drone-1")) == 32
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(Conflict, match="already"):
        signing_keys.make(tmp_path, "drone-1")


def test_two_keys_differ(tmp_path: Path) -> None:
    for name in ("a", "b"):
        signing_keys.make(tmp_path, name)

    assert signing_keys.read(tmp_path, "a") != signing_keys.read(tmp_path, "b")


@pytest.mark.parametrize("name", ["", "../broker", "a/b", ".hidden", "a" * 64])
def test_a_name_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadRequest, match="key"):
        signing_keys.read(tmp_path, name)


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    signing_keys.make(tmp_path, "drone-1").chmod(0o640)

    with pytest.raises(StartFailed, match="other users can read"):
        signing_keys.read(tmp_path, "drone-1")


@pytest.mark.parametrize("text", ["", "00" * 31, "zz" * 32, "00" * 33])
def test_a_malformed_key_is_named_and_not_shown(tmp_path: Path, text: str) -> None:
    file = signing_keys.make(tmp_path, "drone-1")
    file.write_text(text)

    with pytest.raises(StartFailed, match="64 hexadecimal digits") as refused:
        signing_keys.read(tmp_path, "drone-1")
    assert not text or text not in str(refused.value)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match=r"'drone-2'.*cannot be read"):
        signing_keys.read(tmp_path, "drone-2")


def test_the_command_makes_a_key_and_shows_where_it_is_not_what(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["vehicle", "key", "drone-1", "--home", str(tmp_path)])

    assert result.exit_code == 0
    assert "drone-1.key" in result.output
    assert signing_keys.read(tmp_path, "drone-1").hex() not in result.output
    assert os.path.exists(signing_keys.file_of(tmp_path, "drone-1"))
