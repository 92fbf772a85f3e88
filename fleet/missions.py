"""Missions: the executable form of trips, and the states that a mission goes through."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from fleet import (
    audit,
    clearance,
    contingency_journal,
    control,
    custody,
    drop_point,
    ground_checks,
    launch,
    orders,
    regions,
    unlock,
    vehicles,
)
from fleet.db.database import Connection
from fleet.errors import BadRequest, Conflict, NotFound
from fleet.execution import compile_mission, mission_to_json
from fleet.ids import new_id
from hardware.mission import StepKind
from hardware.profiles import load_profile
from routing.airspace import all_zones
from routing.deconflict import given_trip
from routing.geo import Position, distance_m
from routing.plan import Plan
from routing.problem import Problem
from telemetry import store
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "missions.sql")

TRANSITIONS: Mapping[str, frozenset[str]] = {
    "planned": frozenset({"loaded", "cancelled"}),
    "loaded": frozenset({"accepted", "cancelled"}),
    "accepted": frozenset({"starting", "cancelled"}),
    "starting": frozenset({"underway", "loaded", "failed"}),
    "underway": frozenset({"held", "returning", "completed", "aborted", "failed"}),
    "held": frozenset({"underway", "returning", "completed", "aborted", "failed"}),
    "returning": frozenset({"held", "underway", "completed", "aborted", "failed"}),
    "completed": frozenset(),
    "aborted": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
"""Which state may follow which. ``starting`` goes back to ``loaded`` when a start is refused: going is
deliberate, so a pilot accepts each attempt. Out of ``starting`` into the air it goes through ``underway`` alone
(``begin``), which takes the orders along."""

ENDED = frozenset(state for state, following in TRANSITIONS.items() if not following)
MOVING = frozenset({"starting", "underway", "held", "returning"})
MAX_START_ATTEMPTS = 5
ON_PAD_M = 5.0
"""A drone stands on its pad within this: pads are 12 m apart, and GPS is good to 3 m."""
PLACE_KNOWN_FOR = timedelta(minutes=2)
"""Where a drone has stood that said nothing for longer is not known: it may have been carried elsewhere."""


async def create_from_plan(
    conn: Connection, plan: Plan, problem: Problem, *, run_id: str, at: datetime, actor: str
) -> list[str]:
    """Turn an approved plan of ``problem`` into missions and bind its orders to them; return the missions' ids."""
    created = []
    fleet = {vehicle.vehicle_id: vehicle for vehicle in problem.vehicles}
    drops = await drop_point.of_region(conn, problem.region.region_id)
    for route in plan.routes:
        vehicle = await vehicles.get(conn, route.vehicle_id)
        if vehicle["retired_at"] is not None:
            raise Conflict(f"vehicle {route.vehicle_id!r} has been retired since the plan was made; ask for a new one")
        for ordinal, trip in enumerate(route.trips):
            mission_id = new_id("m")
            mission = compile_mission(
                mission_id,
                trip,
                load_profile(vehicle["type_id"]),
                problem.region,
                drops=drops,
                zones=all_zones(problem.region, problem.zones),
                permits=problem.permits,
                vehicle=fleet[route.vehicle_id],
            )
            await conn.execute(
                _SQL["insert"],
                {
                    "mission_id": mission_id,
                    "region_id": problem.region.region_id,
                    "run_id": run_id,
                    "vehicle_id": route.vehicle_id,
                    "ordinal": ordinal,
                    "trip": Jsonb({"mission": mission_to_json(mission), "stops": _stops(trip)}),
                    "planned_depart": trip.depart,
                    "planned_arrive": trip.arrive,
                    "at": at,
                },
            )
            await _log(conn, mission_id, None, "planned", at=at, cause=f"plan {run_id} approved by {actor}")
            trip_given = given_trip(trip, fleet[route.vehicle_id], problem.region, wind=problem.wind)
            # A trip's id is its own within one plan only; the next plan is given trips of several.
            await clearance.keep(conn, mission_id, replace(trip_given, trip_id=mission_id))
            for step_index, step in enumerate(mission.steps):
                for order_id in step.order_ids if step.kind is StepKind.RELEASE else ():
                    values = {"mission_id": mission_id, "order_id": order_id, "step": step_index}
                    await orders.move(conn, order_id, "planned", at=at, cause=f"on mission {mission_id}")
                    await conn.execute(_SQL["insert_order"], values)
            created.append(mission_id)
    return created


def _stops(trip: Any) -> list[dict[str, Any]]:
    return [
        {"to_site": leg.to_site, "order_ids": list(leg.order_ids), "arrive": leg.arrive, "leave": leg.leave}
        for leg in trip.legs
    ]


async def get(conn: Connection, mission_id: str) -> dict[str, Any]:
    """Return one mission; raises ``NotFound``."""
    row = await (await conn.execute(_SQL["get"], {"mission_id": mission_id})).fetchone()
    if row is None:
        raise NotFound(f"there is no mission {mission_id!r}")
    return row


async def locked(conn: Connection, mission_id: str) -> dict[str, Any]:
    """Return one mission, and keep it as it is until the transaction ends; raises ``NotFound``."""
    row = await (await conn.execute(_SQL["lock"], {"mission_id": mission_id})).fetchone()
    if row is None:
        raise NotFound(f"there is no mission {mission_id!r}")
    return row


async def close_order(conn: Connection, mission_id: str, order_id: str) -> None:
    """The mission carries the order no more."""
    await conn.execute(_SQL["close_order"], {"mission_id": mission_id, "order_id": order_id})


async def note(conn: Connection, mission_id: str, words: str, *, at: datetime) -> None:
    """Write into a mission's history what does not change its state."""
    await conn.execute(_SQL["note"], {"mission_id": mission_id, "words": words, "at": at})


async def listing(conn: Connection, *, region_id: str, limit: int = 500) -> list[dict[str, Any]]:
    """Return missions with their orders, newest first."""
    cursor = await conn.execute(_SQL["list_all"], {"region_id": region_id, "limit": limit})
    return await cursor.fetchall()


async def events(conn: Connection, mission_id: str) -> list[dict[str, Any]]:
    """Return a mission's transitions, oldest first."""
    return await (await conn.execute(_SQL["events"], {"mission_id": mission_id})).fetchall()


async def active(conn: Connection, vehicle_id: str) -> dict[str, Any] | None:
    """Return the mission that a vehicle is on, if any."""
    return await (await conn.execute(_SQL["active"], {"vehicle_id": vehicle_id})).fetchone()


async def next_accepted(conn: Connection, vehicle_id: str) -> dict[str, Any] | None:
    """Return the next mission of a vehicle whose launch a pilot has accepted, if any."""
    return await (await conn.execute(_SQL["next_accepted"], {"vehicle_id": vehicle_id})).fetchone()


async def open_times(conn: Connection, *, region_id: str) -> list[dict[str, Any]]:
    """Return when the missions that have not ended should be where, each vehicle's in sequence (``fleet.delays``)."""
    return await (await conn.execute(_SQL["open_times"], {"region_id": region_id})).fetchall()


async def left_with(conn: Connection, order_id: str) -> dict[str, Any] | None:
    """Return the ended mission that has left an order's parcel in its vehicle, if any."""
    return await (await conn.execute(_SQL["left_with"], {"order_id": order_id})).fetchone()


async def troubled(conn: Connection, vehicle_id: str) -> dict[str, Any] | None:
    """Return the last mission of a vehicle that was loaded, with ``attempts`` to start it and ``parcels_aboard``."""
    return await (await conn.execute(_SQL["troubled"], {"vehicle_id": vehicle_id})).fetchone()


async def carried(conn: Connection, mission_id: str) -> list[dict[str, Any]]:
    """Return a mission's orders: order_id, step of its release, open, state."""
    return await (await conn.execute(_SQL["orders"], {"mission_id": mission_id})).fetchall()


async def awaiting_unload(conn: Connection, *, region_id: str) -> list[dict[str, Any]]:
    """Return ended missions whose vehicles still hold parcels."""
    return await (await conn.execute(_SQL["awaiting_unload"], {"region_id": region_id})).fetchall()


async def move(
    conn: Connection,
    mission_id: str,
    to_state: str,
    *,
    at: datetime,
    cause: str,
    reason: str | None = None,
    actor: str | None = None,
) -> dict[str, Any]:
    """Make a transition with its cause in one transaction; raises ``Conflict`` when it is not allowed.

    Returns the row as it was before.
    """
    row = await locked(conn, mission_id)
    if to_state not in TRANSITIONS[row["state"]]:
        raise Conflict(f"mission {mission_id} is {row['state']} and cannot become {to_state}")
    values = {"mission_id": mission_id, "to_state": to_state, "at": at, "reason": reason, "actor": actor}
    await conn.execute(_SQL["set_state"], values)
    await _log(conn, mission_id, row["state"], to_state, at=at, cause=cause)
    return row


async def wait_for(conn: Connection, mission_id: str, words: str | None) -> None:
    """Tell what an accepted mission waits for; ``None``: for nothing any more."""
    await conn.execute(_SQL["wait_for"], {"mission_id": mission_id, "words": words})


async def load(
    conn: Connection, mission_id: str, *, at: datetime, actor: str, checks: Mapping[str, bool] | None = None
) -> None:
    """Ground crew: the parcels are in the vehicle; with the ``checks`` that are made with it (``ground_checks``).

    Raises ``Conflict`` while an earlier mission of the vehicle is not over or has left parcels in it, and when a
    drone is known to stand elsewhere than on the pad that the mission leaves from.
    """
    row = await locked(conn, mission_id)
    await _check_free(conn, row)
    await _check_place(conn, row, at=at)
    await move(conn, mission_id, "loaded", at=at, cause=f"loaded by {actor}")
    for item in await carried(conn, mission_id):
        await orders.move(conn, item["order_id"], "loaded", at=at, cause=f"loaded by {actor}")
        await custody.hand_over(
            conn,
            item["order_id"],
            to=custody.Holder("vehicle", row["vehicle_id"]),
            at=at,
            moved_by=actor,
            evidence="person",
            detail="loaded",
            mission_id=mission_id,
        )
    await unlock.prepare(conn, row, at=at)
    for name, ok in (checks or {}).items():
        await ground_checks.say(conn, row, name, ok=ok, at=at, actor=actor, audited=False)
    values: dict[str, Any] = {"subject": ("mission", mission_id), "detail": {"checks": dict(checks or {})}}
    await audit.record(conn, at=at, actor=actor, action="mission.load", **values)


async def _check_free(conn: Connection, row: dict[str, Any]) -> None:
    vehicle_id = row["vehicle_id"]
    values = {"vehicle_id": vehicle_id, "planned_depart": row["planned_depart"]}
    before = await (await conn.execute(_SQL["unfinished_before"], values)).fetchone()
    if before is not None:
        raise Conflict(f"{vehicle_id} is not free: mission {before['mission_id']} is {before['state']}")
    aboard = await (await conn.execute(_SQL["parcels_aboard"], values)).fetchone()
    if aboard is not None:
        raise Conflict(
            f"{vehicle_id} is not empty: {aboard['parcels']} parcels of mission {aboard['mission_id']} "
            f"({aboard['state']}) are to be unloaded first"
        )
    if (await vehicles.get(conn, vehicle_id))["retired_at"] is not None:
        raise Conflict(f"vehicle {vehicle_id!r} is retired; cancel the mission")


async def _check_place(conn: Connection, row: dict[str, Any], *, at: datetime) -> None:
    vehicle_id = row["vehicle_id"]
    if (await vehicles.get(conn, vehicle_id))["kind"] != "drone":
        return
    pad = Position(**row["trip"]["mission"]["steps"][0]["position"])
    for sample in await store.latest(conn, [vehicle_id]):
        if sample.lat_e7 is None or sample.lon_e7 is None or at - sample.t > PLACE_KNOWN_FOR:
            continue
        away_m = distance_m(Position(sample.lat_e7 / 1e7, sample.lon_e7 / 1e7), pad)
        if away_m > ON_PAD_M:
            raise Conflict(
                f"{vehicle_id} stands {away_m:.0f} m from the pad that mission {row['mission_id']} leaves from; "
                f"within {ON_PAD_M:.0f} m are needed: bring it there, or cancel the mission"
            )


async def accept(conn: Connection, mission_id: str, *, at: datetime, actor: str) -> None:
    """Pilot: accepts the launch by name; the gateway starts it.

    From then on this pilot controls the vehicle (``fleet.control``). Raises ``Conflict`` with all that keeps the
    mission from setting out (``fleet.launch``), and while another pilot controls the vehicle.
    """
    row = await locked(conn, mission_id)
    if "accepted" in TRANSITIONS[row["state"]]:
        region = await regions.load(conn, row["region_id"])
        found = await launch.obstacles(conn, row, region, at=at, accepting=True)
        if found:
            raise Conflict(f"mission {mission_id} may not set out: " + "; ".join(item.words for item in found))
    await move(conn, mission_id, "accepted", at=at, cause=f"launch accepted by {actor}", actor=actor)
    await control.gain(conn, row["vehicle_id"], at=at, actor=actor)
    await audit.record(conn, at=at, actor=actor, action="mission.accept", subject=("mission", mission_id))


async def cancel(conn: Connection, mission_id: str, *, at: datetime, actor: str) -> None:
    """Dispatcher: gives up a mission that has not started; its orders go back to planning.

    Parcels that are loaded already must be unloaded by the ground crew first.
    """
    row = await move(conn, mission_id, "cancelled", at=at, cause=f"cancelled by {actor}", reason="cancelled")
    if row["state"] == "planned":
        for item in await carried(conn, mission_id):
            await back_to_planning(conn, row, item["order_id"], at=at, cause="mission cancelled")
    await audit.record(conn, at=at, actor=actor, action="mission.cancel", subject=("mission", mission_id))


async def unload(
    conn: Connection, mission_id: str, *, at: datetime, actor: str, missing: Collection[str] = ()
) -> list[str]:
    """Ground crew: what came back undelivered is on the shelf again; its orders go back to planning.

    ``missing`` are the orders whose parcels are not in the vehicle although nobody has seen them handed over: they
    are unconfirmed until a person has found out (``orders.resolve``). Returns the orders that came back. Raises
    ``BadRequest`` for a missing order that the mission has no parcel of.
    """
    row = await locked(conn, mission_id)
    if row["state"] not in ENDED:
        raise Conflict(f"mission {mission_id} is {row['state']}; its parcels are on their way")
    vehicle = await vehicles.get(conn, row["vehicle_id"])
    back = [item["order_id"] for item in await carried(conn, mission_id) if item["open"]]
    if not back:
        raise Conflict(f"mission {mission_id} has no parcels left to unload")
    if strange := sorted(set(missing) - set(back)):
        raise BadRequest(f"missing: mission {mission_id} has no parcel of {', '.join(strange)} aboard")
    for order_id in dict.fromkeys(missing):
        await close_order(conn, mission_id, order_id)
        why = f"{row['vehicle_id']} came back without the parcel, and nobody saw it handed over"
        await orders.move(conn, order_id, "unconfirmed", at=at, cause=f"missed by {actor}", reason=why)
    back = [order_id for order_id in back if order_id not in set(missing)]
    for order_id in back:
        await custody.hand_over(
            conn,
            order_id,
            to=custody.Holder("shelf", vehicle["home_site"]),
            at=at,
            moved_by=actor,
            evidence="person",
            detail="came back undelivered, unloaded",
            mission_id=mission_id,
        )
        await back_to_planning(conn, row, order_id, at=at, cause=f"unloaded by {actor}")
    await audit.record(conn, at=at, actor=actor, action="mission.unload", subject=("mission", mission_id))
    return back


async def begin(conn: Connection, mission_id: str, *, at: datetime, cause: str) -> None:
    """The vehicle has begun: the mission and its orders are under way."""
    await move(conn, mission_id, "underway", at=at, cause=cause)
    for item in await carried(conn, mission_id):
        if item["open"] and item["state"] == "loaded":
            await orders.move(conn, item["order_id"], "underway", at=at, cause=f"{mission_id} began")


async def set_step(conn: Connection, mission_id: str, step: int) -> None:
    """Write down how far the vehicle is."""
    await conn.execute(_SQL["set_step"], {"mission_id": mission_id, "step": step})


async def start_attempts(conn: Connection, mission_id: str) -> int:
    """Return how often a start was tried."""
    row = await (await conn.execute(_SQL["start_attempts"], {"mission_id": mission_id})).fetchone()
    return int(row["attempts"]) if row else 0


async def back_to_planning(
    conn: Connection, mission: dict[str, Any], order_id: str, *, at: datetime, cause: str
) -> None:
    """The order waits again, and says why until another plan serves it."""
    ended = mission["state"] if mission["state"] in ENDED else "cancelled"
    why = f"not delivered by {mission['vehicle_id']}, whose mission was {ended}"
    if mission["reason"] and mission["reason"] != ended:
        why += f": {mission['reason']}"
    seen = await contingency_journal.why_undelivered(conn, mission["mission_id"], order_id)
    if seen is not None:
        why += f" ({seen})"
    await close_order(conn, mission["mission_id"], order_id)
    await orders.move(conn, order_id, "received", at=at, cause=cause, reason=why)


async def _log(
    conn: Connection, mission_id: str, from_state: str | None, to_state: str, *, at: datetime, cause: str
) -> None:
    values = {
        "mission_id": mission_id,
        "at": at,
        "from_state": from_state,
        "to_state": to_state,
        "cause": cause,
    }
    await conn.execute(_SQL["insert_event"], values)
