"""Planning runs: one at a time, claimed by one planner, decided once, and never carried out when out of date."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from fleet import housekeeping, planner, planning, regions, vehicles
from fleet.db.database import Database
from fleet.errors import BadRequest, Conflict, FleetError, NotFound
from telemetry.clock import Clock
from tests import problems
from tests.fleet_kit import World, until


async def _claim(world: World, holder: str) -> dict[str, Any] | None:
    async with world.database.transaction() as conn:
        return await planning.claim(conn, holder=holder)


async def _finish(world: World, run_id: str, holder: str, **result: Any) -> bool:
    values: dict[str, Any] = {"plan": None, "violations": [], "error": None} | result
    async with world.database.transaction() as conn:
        return await planning.finish(conn, run_id, holder=holder, at=world.at, **values)


async def _run(world: World, run_id: str) -> dict[str, Any]:
    async with world.database.transaction() as conn:
        return await planning.get(conn, run_id)


async def _reject(world: World, run_id: str) -> None:
    async with world.database.transaction() as conn:
        await planning.reject(conn, run_id, at=world.at, actor="dispatcher")


def _clock(world: World, speed: float = 1.0) -> Clock:
    """A clock that stands at the world's moment, as far as a test goes on."""
    real = Clock.real().now()
    return Clock(real, world.at, speed)


def _packed(home: Path) -> Path:
    """The file of the region that ``problems`` are about."""
    return regions.packed_file(home, problems.village(1))


@asynccontextmanager
async def _planner(world: World, clock: Clock, home: Path) -> AsyncIterator[None]:
    """Run the planner's work, by the real child process, inside."""
    working = asyncio.create_task(
        planner._work(world.database, clock, home=home, holder="planner/1", wake=asyncio.Event())
    )
    try:
        yield
    finally:
        working.cancel()
        await asyncio.wait([working], timeout=10)


async def test_a_second_run_is_refused_while_one_is_open(world: World) -> None:
    await world.drone()
    await world.order("A1")
    first = await world.request()
    async with world.refused(Conflict, f"{first} is open"):
        await world.request()
    await _claim(world, "planner/1")
    async with world.refused(Conflict, f"{first} is open"):
        await world.request()
    await _finish(world, first, "planner/1", error="no")

    assert await world.request() != first


async def test_of_many_that_ask_at_once_one_gets_a_run(world: World) -> None:
    asked = await asyncio.gather(*(world.request() for _ in range(5)), return_exceptions=True)

    assert sum(isinstance(answer, str) for answer in asked) == 1
    assert sum(isinstance(answer, Conflict) for answer in asked) == 4


@pytest.mark.parametrize("seconds", [0.0, -1.0, 301.0, float("nan"), float("inf")])
async def test_a_search_takes_a_sensible_time(world: World, seconds: float) -> None:
    async with world.refused(BadRequest, "seconds:"), world.database.transaction() as conn:
        await planning.request(conn, region_id=world.region.region_id, at=world.at, actor="dispatcher", seconds=seconds)


async def test_of_many_planners_one_claims_a_run(world: World) -> None:
    run_id = await world.request()

    claims = await asyncio.gather(*(_claim(world, f"planner-{n}/x") for n in range(5)))

    (claim,) = [claim for claim in claims if claim]
    assert (claim["run_id"], claim["state"], claim["attempts"]) == (run_id, "running", 1)


async def test_a_run_is_left_alone_for_as_long_as_it_may_take(world: World) -> None:
    async with world.database.transaction() as conn:
        await planning.request(conn, region_id=world.region.region_id, at=world.at, actor="dispatcher", seconds=300.0)
    await _claim(world, "planner-1/a")

    row = await world.one("SELECT claim_expires_wall - clock_timestamp() AS left FROM planning_run")

    assert row["left"] > timedelta(seconds=300 + planner.GRACE_S)
    assert await _claim(world, "planner-2/b") is None


async def test_the_run_of_a_planner_that_died_is_taken_over_and_its_late_answer_is_ignored(world: World) -> None:
    run_id = await world.request()
    await _claim(world, "planner-1/a")
    await world.write("UPDATE planning_run SET claim_expires_wall = clock_timestamp() - interval '1 s'")

    taken = await _claim(world, "planner-2/b")

    assert taken is not None
    assert (taken["run_id"], taken["attempts"]) == (run_id, 2)
    assert not await _finish(world, run_id, "planner-1/a", error="late")
    assert (await _run(world, run_id))["state"] == "running"
    assert await _finish(world, run_id, "planner-2/b", error="in time")
    assert (await _run(world, run_id))["error"] == "in time"


async def test_the_next_life_of_a_planner_takes_its_run_up_at_once(world: World) -> None:
    run_id = await world.request()
    await _claim(world, "planner-1/a")

    taken = await _claim(world, "planner-1/b")

    assert taken is not None
    assert taken["run_id"] == run_id


async def test_a_plan_that_breaks_a_rule_is_never_proposed(world: World) -> None:
    run_id = await world.request()
    await _claim(world, "planner/1")

    await _finish(world, run_id, "planner/1", plan={"routes": []}, violations=[{"rule": "zone.enter"}])

    row = await _run(world, run_id)
    assert (row["state"], row["error"]) == ("failed", "the plan did not pass the validator")
    async with world.refused(Conflict, "is failed"):
        await world.approve(run_id)


async def test_an_approved_plan_becomes_missions_once(world: World) -> None:
    await world.drone()
    order_id = await world.order("A1")
    run_id = await world.propose()

    (mission_id,) = await world.approve(run_id)

    async with world.refused(Conflict, "is approved; only a proposed plan"):
        await world.approve(run_id)
    async with world.refused(Conflict, "is approved; only a proposed plan"):
        await _reject(world, run_id)
    assert await world.order_state(order_id) == "planned"
    row = await _run(world, run_id)
    assert (row["state"], row["decided_by"], row["decided_at"]) == ("approved", "dispatcher", world.at)
    carried = await world.carried(mission_id)
    assert [item["order_id"] for item in carried] == [order_id]


async def test_of_many_that_approve_at_once_one_does(world: World) -> None:
    await world.drone()
    await world.order("A1")
    run_id = await world.propose()

    outcomes = await asyncio.gather(*(world.approve(run_id) for _ in range(4)), return_exceptions=True)

    assert sum(isinstance(outcome, list) for outcome in outcomes) == 1
    assert len(await world.rows("SELECT * FROM mission")) == 1


async def test_a_rejected_plan_changes_no_order(world: World) -> None:
    await world.drone()
    order_id = await world.order("A1")
    run_id = await world.propose()

    await _reject(world, run_id)

    assert await world.order_state(order_id) == "received"
    assert await world.rows("SELECT * FROM mission") == []
    async with world.refused(Conflict, "is rejected"):
        await world.approve(run_id)


async def test_what_can_never_be_served_fails_and_the_rest_waits_with_the_reason(world: World) -> None:
    await world.drone()
    never = await world.order("A1", mass_kg=500.0)
    not_now = await world.order("A2", latest=world.at + timedelta(seconds=40))
    run_id = await world.propose()

    await world.approve(run_id)

    rows = {row["order_id"]: row for row in await world.rows("SELECT * FROM delivery_order")}
    assert rows[never]["state"] == "failed"
    assert "kg" in rows[never]["reason"]
    assert rows[not_now]["state"] == "received"
    assert rows[not_now]["reason"]


async def test_overdue_orders_fail_when_a_problem_is_made(world: World) -> None:
    await world.drone()
    order_id = await world.order("A1")
    world.later(3 * 3600)

    await world.propose()

    assert await world.order_state(order_id) == "failed"


async def test_a_plan_that_would_come_too_late_is_refused(world: World) -> None:
    await world.drone()
    order_id = await world.order("A1", latest=world.at + timedelta(minutes=15))
    run_id = await world.propose()
    world.later(14 * 60)

    async with world.refused(Conflict, "out of date: order A1 would arrive too late"):
        await world.approve(run_id)

    assert await world.order_state(order_id) == "received"


async def test_a_plan_that_is_late_and_still_in_time_is_carried_out(world: World) -> None:
    await world.drone()
    await world.order("A1")
    run_id = await world.propose()
    world.later(30 * 60)

    assert len(await world.approve(run_id)) == 1


async def test_a_delay_of_the_first_trip_counts_for_the_second(world: World) -> None:
    await world.drone()
    await world.order("A1", mass_kg=0.8)
    await world.order("A2", mass_kg=0.8)
    run_id = await world.propose()
    trips = (await _run(world, run_id))["plan"]["routes"][0]["trips"]
    assert len(trips) == 2
    second = trips[1]["legs"][0]
    await world.write(
        "UPDATE delivery_order SET latest = %(latest)s WHERE order_id = %(id)s",
        latest=second["arrive"], id=second["order_ids"][0],
    )  # fmt: skip
    world.later(planning.LEAD_TIME_S + 60)

    async with world.refused(Conflict, "would arrive too late"):
        await world.approve(run_id)


async def test_a_plan_with_an_order_cancelled_meanwhile_is_refused(world: World) -> None:
    await world.drone()
    order_id = await world.order("A1")
    run_id = await world.propose()
    await world.write("UPDATE delivery_order SET state = 'cancelled' WHERE order_id = %(id)s", id=order_id)

    async with world.refused(Conflict, "order A1 is cancelled"):
        await world.approve(run_id)


async def test_a_plan_for_a_vehicle_retired_meanwhile_is_refused(world: World) -> None:
    await world.drone()
    await world.order("A1")
    run_id = await world.propose()
    async with world.database.transaction() as conn:
        await vehicles.retire(conn, "drone-1", at=world.at, actor="admin")

    async with world.refused(Conflict, "has been retired"):
        await world.approve(run_id)


async def test_vehicles_are_planned_for_when_they_are_back_and_turned_around(world: World) -> None:
    await world.drone()
    await world.order("A1")
    (mission_id,) = await world.missions()
    arrive = (await world.mission(mission_id))["planned_arrive"]
    await world.order("A2")
    await world.request()
    run = await _claim(world, "planner/1")
    assert run is not None

    async with world.database.transaction() as conn:
        problem, _ = await planning.build_problem(conn, run, at=world.at)

    (drone,) = problem.vehicles
    assert drone.available_from == arrive + timedelta(seconds=drone.type.turnaround_s)
    assert [order.mass_kg for order in problem.orders] == [0.3]


async def test_plans_go_on_being_made_while_missions_of_earlier_ones_are_open(world: World) -> None:
    await world.drone()
    for n in range(3):
        await world.order(f"A{n}", latest=world.at + timedelta(hours=6))
        assert len(await world.missions()) == 1


async def test_housekeeping_withdraws_a_proposal_that_nobody_decided_on(world: World) -> None:
    await world.drone()
    order_id = await world.order("A1", latest=world.at + timedelta(minutes=15))
    run_id = await world.propose()
    await housekeeping.round_once(world.database, _clock(world))
    assert (await _run(world, run_id))["state"] == "proposed"
    world.later(20 * 60)

    await housekeeping.round_once(world.database, _clock(world))

    row = await _run(world, run_id)
    assert row["state"] == "failed"
    assert "order A1 is failed" in row["error"]
    assert await world.order_state(order_id) == "failed"
    await world.request()


async def test_unknown_runs_are_not_found(world: World) -> None:
    for deed in (_run(world, "p-none"), world.approve("p-none"), _reject(world, "p-none")):
        async with world.refused(NotFound, "p-none"):
            await deed


async def test_the_planner_solves_a_run_in_a_child_and_proposes_it(world: World, tmp_path: Path) -> None:
    await world.drone()
    order_id = await world.order("A1")
    run_id = await world.request()
    await world.write("UPDATE planning_run SET seconds = 0.1")

    async with _planner(world, _clock(world), tmp_path):
        await until(lambda: _is(world, run_id, "proposed", "failed"), within_s=60)

    row = await _run(world, run_id)
    assert (row["state"], row["violations"], row["error"]) == ("proposed", [], None)
    (route,) = row["plan"]["routes"]
    assert route["trips"][0]["legs"][0]["order_ids"] == [order_id]
    assert len(row["problem_hash"]) == 64
    assert [order["order_id"] for order in row["problem"]["orders"]] == [order_id]


async def _is(world: World, run_id: str, *states: str) -> bool:
    return (await _run(world, run_id))["state"] in states


async def test_a_run_that_cannot_be_made_a_problem_of_fails_with_the_reason(world: World, tmp_path: Path) -> None:
    await world.drone()
    await world.write("UPDATE vehicle SET type_id = 'zeppelin'")
    run_id = await world.request()

    async with _planner(world, _clock(world), tmp_path):
        await until(lambda: _is(world, run_id, "failed"))

    assert "'zeppelin' is not known" in (await _run(world, run_id))["error"]


async def test_a_run_over_which_planners_die_is_given_up(world: World, tmp_path: Path) -> None:
    run_id = await world.request()
    for n in range(planner.MAX_ATTEMPTS):
        await _claim(world, f"planner/{n}")

    async with _planner(world, _clock(world), tmp_path):
        await until(lambda: _is(world, run_id, "failed"))

    assert "interrupted 3 times" in (await _run(world, run_id))["error"]


async def test_a_plan_waits_for_a_database_that_is_away_when_it_is_ready(world: World) -> None:
    run_id = await world.request()
    await _claim(world, "planner/1")
    plan = {"routes": [], "unserved": [], "cost": 0.0}
    async with Database.open(world.database.dsn, max_size=1, timeout_s=0.2) as busy:
        async with busy.transaction():
            recording = asyncio.create_task(
                planner._record(busy, _clock(world), run_id, {"plan": plan}, holder="planner/1")
            )
            done, _ = await asyncio.wait([recording], timeout=0.5)
            assert not done
        await asyncio.wait_for(recording, 10)

    assert (await _run(world, run_id))["state"] == "proposed"


async def test_the_solver_answers_from_a_process_of_its_own(tmp_path: Path) -> None:
    problem = problems.problem([problems.order("a"), problems.order("b", "drop-2")])

    result = await asyncio.wait_for(planner.solve_in_child(problem, _packed(tmp_path), seconds=0.1, seed=1), 60)

    assert result["violations"] == []
    served = [o for r in result["plan"]["routes"] for t in r["trips"] for leg in t["legs"] for o in leg["order_ids"]]
    assert sorted(served) == ["a", "b"]


async def test_a_problem_that_makes_no_sense_comes_back_as_an_error(tmp_path: Path) -> None:
    problem = problems.problem([problems.order("a"), problems.order("a")])

    result = await asyncio.wait_for(planner.solve_in_child(problem, _packed(tmp_path), seconds=0.1, seed=1), 60)

    assert "order" in result["error"]
    assert "plan" not in result


@pytest.mark.parametrize(
    ("program", "match"),
    [
        ("import time; print('{', flush=True); time.sleep(600)", "took longer than 1 s and was stopped"),
        ("import sys; sys.exit('out of memory')", "ended with code 1: out of memory"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended with code -11: no message"),
        ("print('not JSON')", "ended with code 0"),
        ("print('[1, 2]')", "without a plan or an error"),
        ("print('{}')", "without a plan or an error"),
    ],
)
async def test_a_child_that_hangs_or_breaks_is_an_error_in_bounded_time(
    tmp_path: Path, program: str, match: str
) -> None:
    worker = (sys.executable, "-S", "-c", program)

    with pytest.raises(FleetError, match=match):
        await asyncio.wait_for(
            planner.solve_in_child(
                problems.problem([]), _packed(tmp_path), seconds=0.2, seed=1, worker=worker, grace_s=0.8
            ),
            20,
        )


async def test_a_child_is_killed_when_the_planner_stops(tmp_path: Path) -> None:
    program = "import json, os, sys, time; print(os.getpid(), file=sys.stderr, flush=True); time.sleep(600)"
    worker = (sys.executable, "-S", "-c", program)
    solving = asyncio.create_task(
        planner.solve_in_child(problems.problem([]), _packed(tmp_path), seconds=60, seed=1, worker=worker)
    )
    child: list[int] = []

    async def started() -> bool:
        child.extend(_children_running(program))
        return bool(child)

    await until(started)
    solving.cancel()
    await asyncio.wait([solving], timeout=10)

    assert _children_running(program) == []


def _children_running(program: str) -> list[int]:
    return [
        process.pid
        for process in psutil.Process().children()
        if process.status() != psutil.STATUS_ZOMBIE and program in process.cmdline()
    ]
