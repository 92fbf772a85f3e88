"""The worker process: one request on stdin, one answer on stdout."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from routing.errors import BadInput
from routing.formats.json import plan_from_json, problem_to_json
from routing.region.bundle import pack
from routing.solve import solve
from routing.validate import validate
from routing.worker import answer
from tests.problems import order, problem, village


def _run(request: bytes) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [sys.executable, "-m", "routing.worker"], input=request, capture_output=True, timeout=60, check=False
    )
    return done.returncode, json.loads(done.stdout), done.stderr.decode()


@pytest.fixture
def region_file(tmp_path: Path) -> Path:
    file = tmp_path / "region.packed"
    file.write_bytes(pack(village(1)))
    return file


def test_the_process_answers_with_the_plan_that_solve_makes(region_file: Path) -> None:
    made = problem([order("a"), order("b", "drop-1", mass_kg=4.0)])
    request = json.dumps({"region": str(region_file), "problem": problem_to_json(made), "seconds": 1, "seed": 3})
    code, reply, errors = _run(request.encode())
    assert (code, reply["violations"], errors) == (0, [], "")
    plan = plan_from_json(reply["plan"])
    assert plan == solve(made, seed=3)
    assert validate(made, plan) == ()


def test_the_process_answers_with_an_error_that_names_the_place(region_file: Path) -> None:
    request = json.dumps({"region": str(region_file), "problem": {"region_hash": 1}})
    assert _run(request.encode())[:2] == (1, {"error": "problem.region_hash: must be text, not a number"})


def test_a_plan_is_made_for_the_region_that_the_problem_means_or_not_at_all(region_file: Path) -> None:
    data = problem_to_json(problem([order("a")], region=village(2)))
    with pytest.raises(BadInput, match="is not region 'sugigase' as given"):
        answer(json.dumps({"region": str(region_file), "problem": data}).encode())


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "keys 'region' and 'problem'"),
        (b'{"region": 1, "problem": {}}', r"request\.region"),
        (b'{"region": "/no/such", "problem": {}}', "/no/such: no such region"),
        (b'{"region": "x", "problem": {}, "seconds": "5"}', r"request\.seconds"),
        (b'{"region": "x", "problem": {}, "seconds": NaN}', r"request\.seconds"),
        (b'{"region": "x", "problem": {}, "seconds": 1e9}', r"request\.seconds"),
        (b'{"region": "x", "problem": {}, "seed": 0.5}', r"request\.seed"),
    ],
)
def test_a_malformed_request_is_refused(request_: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        answer(request_)
