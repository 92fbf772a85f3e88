"""A plan as a file, with the problem that it answers, so that it can be checked and planned anew elsewhere."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.errors import BadRequest
from routing.errors import RoutingError
from routing.formats.json import plan_from_json, plan_to_json, problem_from_json, problem_to_json
from routing.plan import Plan
from routing.problem import Problem
from routing.region.model import Region

FORMAT = "todoke-plan/1"

MAX_BYTES = 256 * 1024 * 1024
"""Larger files are refused unread."""


@dataclass(frozen=True, slots=True)
class PlanFile:
    """What a plan file holds, before its region is known. ``region`` is the region's name."""

    file: Path
    region: str
    problem: Any
    plan: Any

    def open(self, region: Region) -> tuple[Problem, Plan]:
        """Return problem and plan for the region they were made for; raises ``BadRequest`` naming what is wrong."""
        try:
            return problem_from_json(self.problem, region), plan_from_json(self.plan)
        except RoutingError as error:
            raise BadRequest(f"{self.file}: {error}") from error


def read_plan(file: Path) -> PlanFile:
    """Read a plan file; raises ``BadRequest`` when it is missing, huge or something else."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise BadRequest(f"{file}: larger than {MAX_BYTES // 2**20} MiB")
        data = json.loads(file.read_bytes())
    except OSError as error:
        raise BadRequest(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"{file}: not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise BadRequest(f"{file}: not a plan file; its 'format' must be {FORMAT!r}")
    if missing := {"region", "problem", "plan"} - set(data):
        raise BadRequest(f"{file}: {', '.join(sorted(missing))} missing")
    if not isinstance(data["region"], str):
        raise BadRequest(f"{file}: region: must be a name")
    return PlanFile(file, data["region"], data["problem"], data["plan"])


def write_plan(file: Path, problem: Problem, plan: Plan) -> None:
    """Write a plan with its problem, whole or not at all; raises ``BadRequest`` when the file cannot be written."""
    data = {
        "format": FORMAT,
        "region": problem.region.region_id,
        "problem": problem_to_json(problem),
        "plan": plan_to_json(plan),
    }
    write_whole(file, json.dumps(data, ensure_ascii=False, allow_nan=False, indent=1))


def write_whole(file: Path, text: str) -> None:
    """Write a file that is never seen half written; raises ``BadRequest`` when it cannot be written."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise BadRequest(f"{file} cannot be written: {error.strerror}") from error
