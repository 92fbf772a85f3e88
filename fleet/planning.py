"""Planning runs: a problem from what is waiting, a plan from the solver, a decision by a dispatcher."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from fleet import audit, clearance, drop_point, grounding, missions, orders, regions, vehicles, weather, workload
from fleet.db.database import Connection
from fleet.errors import BadRequest, Conflict, NotFound
from fleet.ids import new_id
from hardware.profiles import load_profile
from routing.formats.json import plan_from_json, problem_from_json, problem_hash, problem_to_json
from routing.plan import Plan, Route, Trip
from routing.problem import Category, FleetVehicle, OrderRequest, Policy, Problem
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "planning.sql")
_MISSIONS = statements("fleet.db.sql", "missions.sql")

CLAIM_TTL_S = 60.0
"""Wall seconds beyond the solve after which a planner that says nothing is taken for dead."""
LEAD_TIME_S = 30.0
"""Domain seconds between a plan and its first departure: approval, loading and acceptance take time."""
MAX_SECONDS = 300.0
_WEATHER = ("wind_from_deg", "wind_mps", "gust_mps", "temperature_c", "reported_by")


async def request(
    conn: Connection, *, region_id: str, at: datetime, actor: str, seconds: float = 5.0, seed: int = 1
) -> dict[str, Any]:
    """Queue a planning run. Raises ``Conflict`` while another one is open: two would plan the same orders."""
    if not 0 < seconds <= MAX_SECONDS:
        raise BadRequest(f"seconds: more than 0 and at most {MAX_SECONDS:.0f} are allowed, not {seconds}")
    # Serialises requests of one region; released with the transaction.
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('planning:' || %s, 0))", [region_id])
    other = await (await conn.execute(_SQL["open_run"], {"region_id": region_id})).fetchone()
    if other is not None:
        raise Conflict(f"planning run {other['run_id']} is open; decide on it first")
    values = {
        "run_id": new_id("p"),
        "region_id": region_id,
        "requested_by": actor,
        "at": at,
        "seconds": seconds,
        "seed": seed,
    }
    row = await (await conn.execute(_SQL["insert"], values)).fetchone()
    if row is None:
        raise Conflict("the planning run was not recorded; try again")
    await audit.record(conn, at=at, actor=actor, action="plan.request", subject=("plan", row["run_id"]))
    return row


async def get(conn: Connection, run_id: str) -> dict[str, Any]:
    """Return one run; raises ``NotFound``."""
    row = await (await conn.execute(_SQL["get"], {"run_id": run_id})).fetchone()
    if row is None:
        raise NotFound(f"there is no planning run {run_id!r}")
    return row


async def listing(conn: Connection, *, region_id: str, limit: int = 50) -> list[dict[str, Any]]:
    """Return the newest runs; only one that waits for a decision comes with its plan."""
    return await (await conn.execute(_SQL["list_all"], {"region_id": region_id, "limit": limit})).fetchall()


async def claim(conn: Connection, *, holder: str) -> dict[str, Any] | None:
    """Take the next queued run, or one whose planner has died."""
    return await (await conn.execute(_SQL["claim"], {"holder": holder, "ttl_s": CLAIM_TTL_S})).fetchone()


async def build_problem(
    conn: Connection, run: dict[str, Any], *, at: datetime
) -> tuple[Problem, dict[str, Any] | None]:
    """Return the problem of what waits now, for the vehicles that are or will be free, and the weather report that
    it goes by (``None``: none is young enough)."""
    region_id = run["region_id"]
    await orders.fail_overdue(conn, region_id=region_id, at=at)
    waiting = await orders.waiting(conn, region_id=region_id, at=at)
    busy = await (await conn.execute(_MISSIONS["busy_until"], {"region_id": region_id})).fetchall()
    ended = await (await conn.execute(_MISSIONS["last_ended"], {"region_id": region_id})).fetchall()
    free_from = {row["vehicle_id"]: row["planned_arrive"] for row in busy}
    back_since = {row["vehicle_id"]: row["ended_at"] for row in ended}
    start = at + timedelta(seconds=LEAD_TIME_S)
    fleet = []
    grounded = await grounding.vehicles_of(conn, region_id=region_id)
    for row in await vehicles.active(conn, region_id=region_id):
        if row["vehicle_id"] in grounded:
            continue
        profile = load_profile(row["type_id"])
        last = max(filter(None, (free_from.get(row["vehicle_id"]), back_since.get(row["vehicle_id"]))), default=at)
        available = max(start, last + timedelta(seconds=profile.turnaround_s)) if last != at else start
        category = Category(row["category"])
        home, pad = row["home_site"], row["pad"]
        fleet.append(FleetVehicle(row["vehicle_id"], profile, home, available, pad, category=category))
    wind, temperature_c, report = await weather.for_planning(conn, region_id=region_id, at=at)
    drops = await drop_point.of_region(conn, region_id)
    types = [vehicle.type for vehicle in fleet]
    problem = Problem(
        region=await regions.load(conn, region_id),
        orders=tuple(
            OrderRequest(
                order_id=row["order_id"],
                pickup_site=row["pickup_site"],
                dropoff_site=row["dropoff_site"],
                mass_kg=row["mass_kg"],
                volume_l=row["volume_l"],
                earliest=row["earliest"],
                latest=row["latest"],
                priority=row["priority"],
                service_s=drop_point.service_s(types, gated=drops[row["dropoff_site"]].gated),
            )
            for row in waiting
        ),
        vehicles=tuple(fleet),
        start=start,
        seed=run["seed"],
        wind=wind,
        temperature_c=temperature_c,
        given=await clearance.given(conn, region_id=region_id, at=at),
        policy=Policy(contingency=True),
        airborne=await workload.airborne_limits(conn, fleet, region_id=region_id),
    )
    return problem, report


async def record_problem(
    conn: Connection, run_id: str, problem: Problem, *, report: dict[str, Any] | None = None
) -> None:
    """Store what the run is to solve and the weather report that it goes by, before it is solved."""
    told = report and {name: report[name] for name in _WEATHER} | {"observed_at": report["observed_at"].isoformat()}
    values = {
        "run_id": run_id,
        "problem": Jsonb(problem_to_json(problem)),
        "problem_hash": problem_hash(problem),
        "weather": Jsonb(told) if told else None,
    }
    await conn.execute(_SQL["set_problem"], values)


async def finish(
    conn: Connection,
    run_id: str,
    *,
    holder: str,
    at: datetime,
    plan: dict[str, Any] | None,
    violations: list[Any],
    error: str | None,
) -> bool:
    """Record the result; return False when another planner has taken the run over meanwhile."""
    passed = plan is not None and not violations and error is None
    values = {
        "run_id": run_id,
        "holder": holder,
        "at": at,
        "state": "proposed" if passed else "failed",
        "plan": Jsonb(plan) if plan is not None else None,
        "violations": Jsonb(violations),
        "error": error or ("the plan did not pass the validator" if violations else None),
    }
    return await (await conn.execute(_SQL["finish"], values)).fetchone() is not None


async def approve(conn: Connection, run_id: str, *, at: datetime, actor: str) -> list[str]:
    """Dispatcher: turn a proposed plan into missions. Orders that can never be served fail with the reason.

    Raises ``Conflict`` when the plan is not proposed, or can no longer be carried out as it stands.
    """
    run = await _locked(conn, run_id)
    if run["state"] != "proposed":
        raise Conflict(f"planning run {run_id} is {run['state']}; only a proposed plan can be approved")
    plan = plan_from_json(run["plan"])
    stale = await _why_stale(conn, plan, at=at)
    if stale is not None:
        raise Conflict(f"plan {run_id} is out of date: {stale}; reject it and ask for a new one")
    await conn.execute(_SQL["decide"], {"run_id": run_id, "state": "approved", "actor": actor, "at": at})
    region = await regions.load(conn, run["region_id"])
    problem = problem_from_json(run["problem"], region)
    await _check_gates(conn, plan, problem, run_id=run_id)
    created = await missions.create_from_plan(conn, plan, problem, run_id=run_id, at=at, actor=actor)
    for unserved in plan.unserved:
        row = await orders.get(conn, unserved.order_id)
        if row["state"] != "received":
            continue
        if unserved.final:
            await orders.move(
                conn,
                unserved.order_id,
                "failed",
                at=at,
                cause=f"plan {run_id}",
                reason=unserved.reason,
                reason_cause=unserved.cause or None,
            )
        else:
            await orders.explain(conn, unserved.order_id, unserved.reason, cause=unserved.cause, at=at)
    detail = {"missions": created, "unserved": len(plan.unserved)}
    await audit.record(conn, at=at, actor=actor, action="plan.approve", subject=("plan", run_id), detail=detail)
    return created


async def reject(conn: Connection, run_id: str, *, at: datetime, actor: str) -> None:
    """Dispatcher: discard a proposed plan; its orders go on waiting."""
    run = await _locked(conn, run_id)
    if run["state"] != "proposed":
        raise Conflict(f"planning run {run_id} is {run['state']}; only a proposed plan can be rejected")
    await conn.execute(_SQL["decide"], {"run_id": run_id, "state": "rejected", "actor": actor, "at": at})
    await audit.record(conn, at=at, actor=actor, action="plan.reject", subject=("plan", run_id))


async def withdraw_stale(conn: Connection, *, at: datetime) -> list[str]:
    """Fail the proposals that can no longer be carried out, so that new ones may be asked for; return their ids."""
    withdrawn = []
    for run in await (await conn.execute(_SQL["proposed"])).fetchall():
        stale = await _why_stale(conn, plan_from_json(run["plan"]), at=at)
        if stale is not None:
            error = f"not decided on in time: {stale}"
            await conn.execute(_SQL["withdraw"], {"run_id": run["run_id"], "error": error})
            withdrawn.append(str(run["run_id"]))
    return withdrawn


async def _why_stale(conn: Connection, plan: Plan, *, at: datetime) -> str | None:
    """Return why a plan cannot be carried out any more, or None: what it serves must wait, and arrive in time.

    A trip whose departure has passed leaves now, and what follows it on the route may be late too.
    """
    trips = [trip for route in plan.routes for trip in route.trips]
    order_ids = [order_id for trip in trips for order_id in trip.order_ids]
    cursor = await conn.execute(_SQL["order_windows"], {"order_ids": order_ids})
    rows = {row["order_id"]: row for row in await cursor.fetchall()}
    for order_id in order_ids:
        if rows[order_id]["state"] != "received":
            return f"order {rows[order_id]['external_ref']} is {rows[order_id]['state']}"
    for route in plan.routes:
        profile = load_profile((await vehicles.get(conn, route.vehicle_id))["type_id"])
        for trip, late in _delays(route, at=at, turnaround=timedelta(seconds=profile.turnaround_s)):
            for order_id, arrive in ((order_id, leg.arrive) for leg in trip.legs for order_id in leg.order_ids):
                if late and arrive + late > rows[order_id]["latest"]:
                    return f"order {rows[order_id]['external_ref']} would arrive too late"
    return None


async def _check_gates(conn: Connection, plan: Plan, problem: Problem, *, run_id: str) -> None:
    """Raise ``Conflict`` when a drone has to wait above a drop point now and its plan has no time for that."""
    drops = await drop_point.of_region(conn, problem.region.region_id)
    types = {vehicle.vehicle_id: vehicle.type for vehicle in problem.vehicles}
    planned = {order.order_id: order.service_s for order in problem.orders}
    for route in plan.routes:
        for leg in (leg for trip in route.trips for leg in trip.legs if leg.order_ids):
            needed = drop_point.service_s([types[route.vehicle_id]], gated=drops[leg.to_site].gated)
            if needed is not None and max(planned[order_id] or 0.0 for order_id in leg.order_ids) < needed:
                raise Conflict(
                    f"plan {run_id} is out of date: drop point {leg.to_site} is no longer fenced, and "
                    f"{route.vehicle_id} has no time to wait there; reject it and ask for a new one"
                )


def _delays(route: Route, *, at: datetime, turnaround: timedelta) -> Iterator[tuple[Trip, timedelta]]:
    """Yield each trip with how late it would be if the first left ``at`` this moment at the earliest."""
    free_at = at
    for trip in route.trips:
        late = max(free_at - trip.depart, timedelta())
        free_at = trip.arrive + late + turnaround
        yield trip, late


async def _locked(conn: Connection, run_id: str) -> dict[str, Any]:
    row = await (await conn.execute(_SQL["lock"], {"run_id": run_id})).fetchone()
    if row is None:
        raise NotFound(f"there is no planning run {run_id!r}")
    return row
