"""Solve in a process of its own: ``python -m routing.worker``, a request on stdin, an answer on stdout.

A solve holds the interpreter lock throughout, so whoever needs a plan starts this and may kill it.
The request is ``{"region": PATH, "problem": ..., "seconds": 5.0, "seed": null}``, PATH a packed region or a bundle;
the answer ``{"plan": ..., "violations": [{"rule", "subject", "message"}, ...]}`` with exit code 0, or
``{"error": "..."}`` with exit code 1.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from routing.errors import BadInput, RoutingError
from routing.formats.json import plan_to_json, problem_from_json
from routing.region.bundle import load_region
from routing.solve import solve
from routing.validate import validate

MAX_REQUEST_BYTES = 256 * 1024 * 1024
"""Longer requests are refused unread."""

MAX_SECONDS = 3_600.0


def answer(request: bytes) -> dict[str, Any]:
    """Return the answer to a request; raises ``RoutingError`` with a message for the person who asked."""
    if len(request) > MAX_REQUEST_BYTES:
        raise BadInput(f"request: longer than {MAX_REQUEST_BYTES // 2**20} MiB")
    try:
        data = json.loads(request)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"request: not JSON: {error}") from error
    if not isinstance(data, dict) or not {"region", "problem"} <= set(data):
        raise BadInput("request: must be an object with the keys 'region' and 'problem'")
    if not isinstance(data["region"], str) or "\0" in data["region"]:
        raise BadInput("request.region: must be the path of a packed region")
    seconds, seed = data.get("seconds", 5.0), data.get("seed")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_SECONDS:
        raise BadInput(f"request.seconds: must be a number from 0 to {MAX_SECONDS:.0f}")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise BadInput("request.seed: must be a whole number or null")
    problem = problem_from_json(data["problem"], load_region(Path(data["region"])))
    plan = solve(problem, seconds=float(seconds), seed=seed)
    violations = [asdict(violation) for violation in validate(problem, plan)]
    return {"plan": plan_to_json(plan), "violations": violations}


def main() -> int:
    """Answer one request; return the exit code."""
    # Native libraries that print must not spoil the answer: their stdout becomes stderr.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        reply, code = answer(sys.stdin.buffer.read(MAX_REQUEST_BYTES + 1)), 0
    except RoutingError as error:
        reply, code = {"error": str(error)}, 1
    except Exception as error:  # the parent gets a reason for every failure that leaves us running
        traceback.print_exc()
        reply, code = {"error": f"internal error: {type(error).__name__}: {error}"}, 1
    with out:
        json.dump(reply, out, ensure_ascii=False, allow_nan=False, default=str)
    return code


if __name__ == "__main__":
    sys.exit(main())
