"""The planner process: takes planning runs one by one and solves each in a child process of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import structlog

from fleet import aircraft_feed, books, flight_drafts, housekeeping, metrics, observing, planning, regions
from fleet.changes import listen
from fleet.db.database import DATABASE_ERRORS, Database
from fleet.errors import FleetError
from fleet.ids import new_id
from fleet.runtime import Runtime
from routing.errors import RoutingError
from routing.formats.json import problem_to_json
from routing.problem import Problem
from telemetry.clock import Clock

_LOG = structlog.get_logger()

GRACE_S = 30.0
"""Wall seconds beyond the time asked after which a solve is killed: start-up, model and validation."""
MAX_ATTEMPTS = 3
POLL_S = 2.0
RETRY_S = 0.5
WORKER = (sys.executable, "-m", "routing.worker")
"""The program that solves: a request on its standard input, an answer on its standard output."""


_TABLES = {"planning_run", "*"}


async def run(runtime: Runtime, clock: Clock, stop: asyncio.Event) -> None:
    """Run the planner until ``stop``; a run that was under way is taken up again by the next planner."""
    holder = f"{runtime.name}/{new_id('life')}"
    wake = asyncio.Event()
    async with Database.open(runtime.dsn, max_size=4) as database, asyncio.TaskGroup() as group:
        work = [
            group.create_task(_work(database, clock, home=runtime.home, holder=holder, wake=wake)),
            group.create_task(housekeeping.run(database, clock, runtime.retention, running=runtime.running)),
            group.create_task(flight_drafts.run(database, clock)),
            group.create_task(aircraft_feed.run(runtime.adsb_url, database, clock)),
            group.create_task(books.run(database, runtime.home, clock)),
            group.create_task(listen(runtime.dsn, lambda table: wake.set() if table in _TABLES else None)),
        ]
        runtime.ready()
        await stop.wait()
        for task in work:
            task.cancel()


async def _work(database: Database, clock: Clock, *, home: Path, holder: str, wake: asyncio.Event) -> None:
    while True:
        try:
            async with database.transaction() as conn:
                claimed = await planning.claim(conn, holder=holder)
            if claimed is not None:
                with observing.timed(metrics.PLANNING_DURATION):
                    await _plan(database, clock, claimed, home=home, holder=holder)
                continue
        except DATABASE_ERRORS as error:
            _LOG.warning("database is away; trying again", error=str(error).strip())
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await wake.wait()
        wake.clear()


async def _plan(database: Database, clock: Clock, run_row: dict[str, Any], *, home: Path, holder: str) -> None:
    run_id = run_row["run_id"]
    try:
        if run_row["attempts"] > MAX_ATTEMPTS:
            raise FleetError(f"the planner was interrupted {MAX_ATTEMPTS} times over this run")
        async with database.transaction() as conn:
            problem, report = await planning.build_problem(conn, run_row, at=clock.now())
            await planning.record_problem(conn, run_id, problem, report=report)
        region = await asyncio.to_thread(regions.packed_file, home, problem.region)
        result = await solve_in_child(problem, region, seconds=run_row["seconds"], seed=run_row["seed"])
    except (FleetError, RoutingError) as error:
        result = {"error": str(error)}
    metrics.PLANNING_RUNS.inc(_outcome(result))
    _LOG.info("planned", run=run_id, error=result.get("error"), violations=len(result.get("violations") or []))
    await _record(database, clock, run_id, result, holder=holder)


def _outcome(result: dict[str, Any]) -> str:
    if result.get("error"):
        return "failed"
    return "invalid" if result.get("violations") else "planned"


async def _record(database: Database, clock: Clock, run_id: str, result: dict[str, Any], *, holder: str) -> None:
    """Store a result; a database that is away is waited for, since the solve has cost more than the wait."""
    while True:
        try:
            async with database.transaction() as conn:
                kept = await planning.finish(
                    conn,
                    run_id,
                    holder=holder,
                    at=clock.now(),
                    plan=result.get("plan"),
                    violations=result.get("violations") or [],
                    error=result.get("error"),
                )
        except DATABASE_ERRORS as error:
            _LOG.warning("database is away; keeping the plan", run=run_id, error=str(error).strip())
            await asyncio.sleep(RETRY_S)
            continue
        if not kept:
            _LOG.warning("another planner has taken the run over", run=run_id)
        return


async def solve_in_child(
    problem: Problem,
    region: Path,
    *,
    seconds: float,
    seed: int,
    worker: Sequence[str] = WORKER,
    grace_s: float = GRACE_S,
) -> dict[str, Any]:
    """Solve and validate in a process that can be killed: OR-Tools holds the interpreter for a whole solve.

    ``region`` is the file with the problem's packed region. Returns ``{"plan", "violations"}`` or ``{"error"}``;
    raises ``FleetError`` when the child does not answer within ``seconds`` and ``grace_s`` of wall time, or with
    something else.
    """
    child = await asyncio.create_subprocess_exec(
        *worker, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    request = orjson.dumps(
        {"region": str(region), "problem": problem_to_json(problem), "seconds": seconds, "seed": seed}
    )
    try:
        async with asyncio.timeout(seconds + grace_s):
            out, err = await child.communicate(request)
    except TimeoutError as error:
        raise FleetError(f"the solve took longer than {seconds + grace_s:.0f} s and was stopped") from error
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    try:
        result = orjson.loads(out)
    except orjson.JSONDecodeError as error:
        last = err.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise FleetError(f"the solver ended with code {child.returncode}: {last[0][:500]}") from error
    if not isinstance(result, dict) or not ({"plan", "error"} & set(result)):
        raise FleetError("the solver gave an answer without a plan or an error")
    return result
