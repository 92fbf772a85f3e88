"""Plans for the classic sets beside PyVRP's: mean gap to the best known, same wall time, one after the other.

The instances are not those that the search was tuned on. ``VRP_SECONDS=60`` measures at 60 s instead of 10,
``VRP_INSTANCES=2`` only the first two of each set, ``VRP_WORKERS`` sets the search's threads. PyVRP has one.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from fleet.vrp_peer import solve_with_pyvrp
from routing.errors import BadInput
from routing.formats.vrp.instance import Instance
from routing.formats.vrp.load import load_instance
from routing.formats.vrp.rules import Objective
from routing.search import SearchRoute, search, warm_up
from routing.validate.routes import judge_routes
from tests.benchmarks.figures import Figure
from tests.shared_data import SHARED

_AIMED = {
    "mtvrptwr": ("C202R0.5", "R211R0.25", "RC204R0.75", "C2_2_10R0.5", "R2_2_08R0.25", "RC2_2_04R0.75"),
    "hfvrp": ("X115-HVRP", "X209-FSMFD", "X266-HD", "X344-FSMD", "X491-FSMF", "X766-FSMD"),
    "mdvrptw": ("PR11A", "PR14A", "PR17A", "PR20A", "PR24A"),
}
_BESIDE = {
    "lilim_100": ("lc103", "lr104", "lrc103"),
    "solomon": ("C105", "R106", "RC105"),
    "cvrp_x": ("X-n120-k6", "X-n284-k15", "X-n573-k30"),
}


@dataclass(frozen=True, slots=True)
class _Pair:
    """Gaps in per cent; infinite where no feasible routes were found."""

    ours: float
    peer: float


def _gap(instance: Instance, routes: Sequence[SearchRoute], best: float) -> float:
    report = judge_routes(instance.model, routes)
    served = {visit >> 1 for route in routes for trip in route.trips for visit in trip}
    if report.violations or len(served) < instance.customers:
        return math.inf
    return 100 * (instance.printed(report.cost, report.vehicles) / best - 1)


def _measured(path: Path, seconds: float, workers: int | None) -> _Pair | None:
    instance, reference = load_instance(path, objective=Objective.DISTANCE)
    if reference is None:
        return None
    ours = search(instance.model, seconds=seconds, workers=workers).routes
    try:
        peer = _gap(instance, solve_with_pyvrp(instance, seconds=seconds), reference.cost)
    except BadInput as error:
        print(f"  {path.stem}: no peer: {error}", flush=True)
        peer = math.inf
    pair = _Pair(_gap(instance, ours, reference.cost), peer)
    print(f"  {path.parent.name}/{path.stem}: ours {pair.ours:.2f} %, PyVRP {pair.peer:.2f} %", flush=True)
    return pair


def _found(folder: str, names: Sequence[str]) -> list[Path]:
    base = SHARED / "vrp" / folder
    return [path for name in names for path in (base / f"{name}.vrp", base / f"{name}.txt") if path.is_file()]


def measure() -> list[Figure]:
    """Mean gaps by set; with an aim for the sets that are like this work: no more than PyVRP's."""
    seconds = float(os.environ.get("VRP_SECONDS", "10"))
    most = int(os.environ.get("VRP_INSTANCES", "99"))
    workers = int(os.environ["VRP_WORKERS"]) if "VRP_WORKERS" in os.environ else None
    warm_up()
    figures = []
    for name, instances in {**_AIMED, **_BESIDE}.items():
        pairs = [_measured(path, seconds, workers) for path in _found(name, instances)[:most]]
        both = [pair for pair in pairs if pair and math.isfinite(pair.ours) and math.isfinite(pair.peer)]
        lost = sum(1 for pair in pairs if pair and math.isinf(pair.ours))
        if both:
            ours, peer = fmean(pair.ours for pair in both), fmean(pair.peer for pair in both)
            text = f"{name}: mean gap at {seconds:g} s over {len(both)} instances"
            figures.append(Figure(text, ours, "%", "PyVRP", peer))
            aim = "<= 0" if name in _AIMED else ""
            figures.append(
                Figure(f"{name}: gap, ours less PyVRP's, at {seconds:g} s", ours - peer, "% points", aim=aim)
            )
        figures.append(Figure(f"{name}: instances without feasible routes", lost, "", aim="<= 0"))
    return figures
