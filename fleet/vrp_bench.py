"""Classic vehicle routing instances, solved and judged one after the other."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fleet.errors import BadRequest
from fleet.vrp_peer import solve_with_pyvrp
from routing.errors import BadInput, RoutingError
from routing.formats.vrp.instance import Instance
from routing.formats.vrp.load import Reference, load_instance
from routing.formats.vrp.rules import Objective, Rounding
from routing.formats.vrp.solution import solution_text
from routing.search import search
from routing.search.model import SearchRoute
from routing.validate.routes import RouteReport, judge_routes

Watch = Callable[[str, float | None], None]
"""Called with the instance at work and its best cost so far, as printed (``None``: none yet)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """How long and how each instance is solved; ``None`` for rule and objective is what its file says.

    ``iterations`` of the search instead of ``seconds`` give the same routes for the same seed; PyVRP has the seconds.
    """

    seconds: float = 10.0
    iterations: int | None = None
    workers: int | None = None
    seed: int = 0
    peer: bool = False
    rounding: Rounding | None = None
    objective: Objective | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """A line of the list that is written. Costs are as they are published for the kind of file.

    ``gap_pct`` compares with the best known solution: distances, or with vehicles first and another number of them,
    those numbers (``gap_of``). ``best_known_confirmed``: the routes beside the file were recomputed to that cost.
    ``error`` says why there is no cost, or why it is not to be trusted; ``notes``, what was read past.
    """

    name: str
    file: str
    kind: str | None = None
    cost: float | None = None
    best_known: float | None = None
    gap_pct: float | None = None
    gap_of: str | None = None
    peer_cost: float | None = None
    peer_gap_pct: float | None = None
    seconds: float | None = None
    feasible: bool = False
    vehicles: int | None = None
    best_known_vehicles: int | None = None
    peer_vehicles: int | None = None
    customers: int | None = None
    rounding: str | None = None
    objective: str | None = None
    best_known_confirmed: bool = False
    peer_error: str | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None


def bench(
    files: Sequence[Path], options: BenchOptions, *, sol_folder: Path | None = None, watch: Watch
) -> Iterator[BenchResult]:
    """Solve each file; one that cannot be read, or is not solved, is a result with an error.

    Writes ``.sol`` files of feasible routes into ``sol_folder``.
    """
    names = _solution_names(files)
    for path in files:
        watch(path.stem, None)
        try:
            instance, reference = load_instance(path, rounding=options.rounding, objective=options.objective)
        except RoutingError as error:
            yield BenchResult(name=path.stem, file=str(path), error=str(error))
            continue
        try:
            result, routes = _solved(instance, reference, path, options, watch)
        except RoutingError as error:
            yield BenchResult(name=path.stem, file=str(path), kind=instance.kind, error=f"{path}: {error}")
            continue
        if sol_folder is not None and result.feasible and result.cost is not None:
            _write(sol_folder / names[path], solution_text(instance, routes, result.cost))
        yield result


def write_results(path: Path, results: Sequence[BenchResult]) -> None:
    """Write the list as JSON, whole or not at all."""
    _write(path, json.dumps([asdict(result) for result in results], indent=1, ensure_ascii=False) + "\n")


def _write(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise BadRequest(f"{path} cannot be written: {error.strerror}") from error


def _solution_names(files: Sequence[Path]) -> dict[Path, str]:
    """A file name for each: that of the instance, with its folder's where two are called the same."""
    stems = [path.stem for path in files]
    return {
        path: f"{path.stem}.sol" if stems.count(path.stem) == 1 else f"{path.parent.name}-{path.name}.sol"
        for path in files
    }


def _solved(
    instance: Instance, reference: Reference | None, path: Path, options: BenchOptions, watch: Watch
) -> tuple[BenchResult, tuple[SearchRoute, ...]]:
    began = time.monotonic()
    found = search(
        instance.model,
        seconds=None if options.iterations else options.seconds,
        iterations=options.iterations,
        seed=options.seed,
        workers=options.workers,
        on_better=lambda _, cost: watch(path.stem, cost / instance.unit),
    )
    seconds = time.monotonic() - began
    report = judge_routes(instance.model, found.routes)
    peer, peer_error = _peer(instance, options) if options.peer else (None, None)
    best = (reference.cost, reference.vehicles) if reference else None
    ours, theirs = _measured(instance, report), _measured(instance, peer)
    gap, gap_of = _gap(instance.objective, ours, best)
    result = BenchResult(
        name=instance.name,
        file=str(path),
        kind=instance.kind,
        cost=ours[0] if ours else None,
        best_known=reference.cost if reference else None,
        gap_pct=gap,
        gap_of=gap_of,
        peer_cost=theirs[0] if theirs else None,
        peer_gap_pct=_gap(instance.objective, theirs, best)[0],
        seconds=round(seconds, 3),
        feasible=not report.violations,
        vehicles=ours[1] if ours else None,
        best_known_vehicles=reference.vehicles if reference else None,
        peer_vehicles=theirs[1] if theirs else None,
        customers=instance.customers,
        rounding=instance.rounding.value,
        objective=instance.objective.value,
        best_known_confirmed=reference is not None and reference.confirmed,
        peer_error=peer_error,
        notes=instance.notes,
        error=_doubt(report, found.cost, found.feasible, seconds),
    )
    return result, found.routes


def _peer(instance: Instance, options: BenchOptions) -> tuple[RouteReport | None, str | None]:
    """How the peer's routes are judged, or why there are none."""
    try:
        routes = solve_with_pyvrp(instance, seconds=options.seconds, seed=options.seed)
    except BadInput as error:
        return None, str(error)
    report = judge_routes(instance.model, routes)
    return report, _broken(report) if report.violations else None


def _measured(instance: Instance, report: RouteReport | None) -> tuple[float, int] | None:
    """Cost as printed and used vehicles, of routes that break no rule."""
    if report is None or report.violations:
        return None
    return round(instance.printed(report.cost, report.vehicles), 4), report.vehicles


def _gap(
    objective: Objective, ours: tuple[float, int] | None, best: tuple[float, int] | None
) -> tuple[float | None, str | None]:
    if ours is None or best is None or not best[0] or not best[1]:
        return None, None
    if objective is Objective.VEHICLES and ours[1] != best[1]:
        return round(100.0 * (ours[1] / best[1] - 1.0), 4), "vehicles"
    return round(100.0 * (ours[0] / best[0] - 1.0), 4), "cost"


def _doubt(report: RouteReport, cost: float, feasible: bool, seconds: float) -> str | None:
    """Why a result is not what the search says it is; ``None`` where it is."""
    if not feasible:
        return f"no routes for all customers were found in {seconds:.1f} s"
    if report.violations:
        return _broken(report)
    if not math.isclose(report.cost, cost, rel_tol=1e-6, abs_tol=1e-6):
        return f"the search counts a cost of {cost:.6g}, the validator {report.cost:.6g}"
    return None


def _broken(report: RouteReport) -> str:
    first = report.violations[0]
    return f"{len(report.violations)} rules broken, first {first.rule}, {first.subject}: {first.message}"
