"""``todoke bench vrp``: the search on classic instances, beside their best known solutions."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from fleet.errors import BadRequest
from routing.formats.vrp.rules import Objective, Rounding

if TYPE_CHECKING:
    from fleet.vrp_bench import BenchResult

bench_app = typer.Typer(help="The planner's search, measured.", no_args_is_help=True)

# A table needs more room than what is assumed where the output is no terminal.
_out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 130)

FAILED = 1
"""Exit status when a file could not be read, or was not solved by the validator's judgement."""


@bench_app.callback()
def benchmarks() -> None:
    """The planner's search, measured."""


@bench_app.command("vrp")
def bench_vrp(
    places: Annotated[list[Path], typer.Argument(metavar="FILE_OR_FOLDER...", help="Instances, or folders of them.")],
    seconds: Annotated[float, typer.Option(min=0.1, help="For each instance.")] = 10.0,
    iterations: Annotated[
        int | None, typer.Option(min=1, help="So much work instead of seconds: the same routes for the same seed.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Searches at once; all cores by default.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    peer: Annotated[str | None, typer.Option(help="Solve with this too, on one core: pyvrp.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results into this file.")] = None,
    sol: Annotated[Path | None, typer.Option("--sol", help="Write the routes as .sol files into this folder.")] = None,
    rounding: Annotated[
        Rounding | None,
        typer.Option(help="How distances are rounded; as is usual for the file, or as its .sol shows, by default."),
    ] = None,
    objective: Annotated[
        Objective | None,
        typer.Option(help="Distance, or vehicles first; what the best known solution minimises by default."),
    ] = None,
) -> None:
    """Solve classic vehicle routing instances: VRPLIB, Solomon, Homberger, Li-Lim.

    The exit status is 1 when an instance could not be read or was not solved.
    """
    # The search is compiled code, which no other command should wait for.
    from fleet.vrp_bench import BenchOptions, bench, write_results
    from fleet.vrp_peer import load_pyvrp
    from routing.formats.vrp.load import find_instances

    if peer not in (None, "pyvrp"):
        raise BadRequest(f"--peer {peer!r}: the only peer is pyvrp")
    if peer:
        load_pyvrp()
    files = find_instances(places)
    if not files:
        raise BadRequest(f"no instances (.vrp, .txt) in {', '.join(map(str, places))}")
    if json_file is not None:
        write_results(json_file, [])
    if sol is not None:
        try:
            sol.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadRequest(f"--sol: {sol} cannot be made: {error.strerror}") from error
    options = BenchOptions(
        seconds=seconds,
        iterations=iterations,
        workers=workers,
        seed=seed,
        peer=peer is not None,
        rounding=rounding,
        objective=objective,
    )
    results: list[BenchResult] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=_out, transient=True) as progress:
        task = progress.add_task("", total=len(files))

        def watch(name: str, cost: float | None) -> None:
            progress.update(task, description=name if cost is None else f"{name} {_number(cost)}")

        for result in bench(files, options, sol_folder=sol, watch=watch):
            results.append(result)
            progress.advance(task)
            if json_file is not None:
                write_results(json_file, results)
            if result.error:
                progress.console.print(f"[red]Failed[/red] {result.name}: ", end="")
                progress.console.print(result.error, markup=False)
            elif not progress.console.is_terminal:
                progress.console.print(f"{len(results)}/{len(files)} {result.name} {_number(result.cost)}")
    _show(results, peer)
    if any(result.error for result in results):
        raise typer.Exit(FAILED)


def _show(results: Sequence[BenchResult], peer: str | None) -> None:
    right = ("vehicles", "cost", "best known", "gap %", *(("peer", "peer gap %") if peer else ()), "s")
    table = Table("instance", "kind", *(Column(title, justify="right") for title in right), "feasible")
    for result in results:
        theirs = (_number(result.peer_cost), _number(result.peer_gap_pct, 2)) if peer else ()
        table.add_row(
            result.name,
            result.kind or "?",
            "-" if result.vehicles is None else str(result.vehicles),
            _number(result.cost),
            _number(result.best_known),
            _number(result.gap_pct, 2),
            *theirs,
            _number(result.seconds, 1),
            "yes" if result.feasible else "no",
        )
    _out.print(table)
    for kind in dict.fromkeys(result.kind for result in results if result.kind):
        of_kind = [result for result in results if result.kind == kind]
        told = f"{kind}: mean gap {_mean([result.gap_pct for result in of_kind])}"
        _out.print(told + (f", {peer} {_mean([result.peer_gap_pct for result in of_kind])}" if peer else ""))


def _mean(gaps: Sequence[float | None]) -> str:
    known = [gap for gap in gaps if gap is not None]
    return f"{sum(known) / len(known):.2f} % ({len(known)} of {len(gaps)})" if known else "unknown"


def _number(value: float | None, digits: int | None = None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}".removesuffix(".00") if digits is None else f"{value:.{digits}f}"
