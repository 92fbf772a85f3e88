"""The command ``todoke``: quick to answer, and every command where its list says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleet.cli import app
from fleet.cli_lazy import COMMANDS, load_command

HEAVY = {"numpy", "scipy", "numba", "ortools", "matplotlib", "shapely", "psycopg", "fastapi", "mavsdk"}
ASK = """
import json, sys
from fleet.cli import app
try:
    app(["--help"], prog_name="todoke")
except SystemExit as end:
    assert not end.code
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_help_waits_for_nothing_heavy() -> None:
    asked = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    *shown, imported = asked.stdout.splitlines()

    assert set(json.loads(imported)) & HEAVY == set()
    for name in ("serve", "status", *COMMANDS):
        assert any(f" {name} " in line for line in shown), name


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_where_the_list_says_and_does_what_it_says(name: str) -> None:
    said = (load_command(name).help or "").partition("\n\n")[0]

    assert COMMANDS[name][1] == " ".join(said.split())
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert f"todoke {name}" in result.output or f" {name} " in result.output


def test_a_slip_is_answered_with_what_it_may_have_meant() -> None:
    result = CliRunner().invoke(app, ["coverag"])

    assert result.exit_code == 2
    assert "coverage" in result.output


def test_commands_of_commands_are_found() -> None:
    result = CliRunner().invoke(app, ["region", "import", "--help"])

    assert result.exit_code == 0
    assert "--osm" in result.output
