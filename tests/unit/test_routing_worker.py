"""The worker process: one request on stdin, one answer on stdout."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from routing.errors import BadInput
from routing.formats.json import plan_from_json, problem_to_json
from routing.solve import solve
from routing.validate import validate
from routing.worker import answer
from tests.problems import order, problem


def _run(request: bytes) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [sys.executable, "-m", "routing.worker"], input=request, capture_output=True, timeout=60, check=False
    )
    return done.returncode, json.loads(done.stdout), done.stderr.decode()


def test_the_process_answers_with_the_plan_that_solve_makes() -> None:
    made = problem([order("a"), order("b", "drop-1", mass_kg=4.0)])
    request = json.dumps({"problem": problem_to_json(made), "seconds": 1, "seed": 3})
    code, reply, errors = _run(request.encode())
    assert (code, reply["violations"], errors) == (0, [], "")
    plan = plan_from_json(reply["plan"])
    assert plan == solve(made, seed=3)
    assert validate(made, plan) == ()


def test_the_process_answers_with_an_error_that_names_the_place() -> None:
    assert _run(b'{"problem": {"region": 1}}')[:2] == (1, {"error": "problem.region: must be an object, not a number"})


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "key 'problem'"),
        (b'{"problem": {}, "seconds": "5"}', r"request\.seconds"),
        (b'{"problem": {}, "seconds": NaN}', r"request\.seconds"),
        (b'{"problem": {}, "seconds": 1e9}', r"request\.seconds"),
        (b'{"problem": {}, "seed": 0.5}', r"request\.seed"),
    ],
)
def test_a_malformed_request_is_refused(request_: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        answer(request_)
