"""``.sol`` files: routes by vehicle, and their cost where it is stated (CVRPLIB, PyVRP, SINTEF)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from routing.errors import BadInput
from routing.formats.vrp.data import MAX_BYTES, whole
from routing.formats.vrp.instance import Instance
from routing.search.model import SearchRoute

_ROUTE = re.compile(r"\s*Route\s*#?\s*\d+\s*:(.*)$", re.IGNORECASE)
_COST = re.compile(r"\s*Cost\s*:?\s+([-+.\deE]+)\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Solution:
    """Places of each vehicle's route, from the first vehicle on; ``0``, or another depot, between places is a reload.

    ``cost`` is what the file states, if it does, with ``decimals`` digits after the point.
    """

    routes: tuple[tuple[int, ...], ...]
    cost: float | None
    decimals: int = 0


def read_solution(path: Path) -> Solution:
    """Read a solution. Raises ``BadInput`` that names file and line."""
    where = str(path)
    routes: list[tuple[int, ...]] = []
    cost, decimals = None, 0
    for at, line in enumerate(read_text(path).splitlines(), 1):
        place = f"{where}: line {at}"
        if route := _ROUTE.match(line):
            # The numbers themselves mean nothing: published files begin at 0, or leave some out.
            routes.append(tuple(whole(word, place) for word in route[1].split()))
        elif stated := _COST.match(line):
            try:
                cost = float(stated[1])
            except ValueError:
                raise BadInput(f"{place}: the cost is not a number") from None
            decimals = len(stated[1].partition(".")[2])
    if not routes:
        raise BadInput(f"{where}: no routes")
    return Solution(tuple(routes), cost, decimals)


def solution_text(instance: Instance, routes: Sequence[SearchRoute], cost: float) -> str:
    """A ``.sol`` file of routes: a line for each vehicle, also the unused ones where vehicles differ."""
    named = instance.named(routes)
    if len(instance.model.count) == 1:
        named = [row for row in named if row]
    else:
        named += [[] for _ in range(len(instance.vehicle_class) - len(named))]
    lines = [f"Route #{number}: {' '.join(map(str, row))}".rstrip() for number, row in enumerate(named, 1)]
    return "\n".join([*lines, f"Cost: {printed_number(cost)}", ""])


def printed_number(value: float) -> str:
    """A cost without digits that mean nothing."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


def read_text(path: Path) -> str:
    """The text of a file; comments may be in any encoding. Raises ``BadInput`` where it is missing or too large."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"{path}: larger than {MAX_BYTES // 2**20} MiB")
        return path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
