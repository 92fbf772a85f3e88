"""Deliveries: what a vehicle has released, and what people say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleet import audit, custody, delivery_evidence, drop_gate, missions, orders
from fleet.db.database import Connection
from fleet.delivery_evidence import NOT_RECEIVED, RELEASED_ELSEWHERE
from fleet.errors import Conflict
from routing.geo import Position
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "deliveries.sql")


@dataclass(frozen=True, slots=True)
class Told:
    """How a hand-over is known: by which class of evidence, and by whom or what in words."""

    evidence: str
    detail: str


async def deliver(
    conn: Connection,
    mission_id: str,
    *,
    vehicle_id: str,
    step: int,
    to_site: str,
    at: datetime,
    told: Told,
    position: Position | None,
    elsewhere: str | None = None,
) -> list[str]:
    """Record what was released at a step, once however often it is told; return the orders delivered now.

    All evidence is kept, also what comes when the order is delivered already. ``elsewhere``: how the release lies
    outside of its limits. Raises ``Conflict`` when the mission has ended: what it has left is for the ground crew to
    unload.
    """
    row = await missions.locked(conn, mission_id)
    if row["state"] in missions.ENDED:
        raise Conflict(f"mission {mission_id} is {row['state']}; nothing more is delivered on it")
    delivered = []
    for item in await missions.carried(conn, mission_id):
        if item["step"] != step:
            continue
        order_id = item["order_id"]
        sign: dict[str, Any] = {"given_by": vehicle_id, "at": at, "mission_id": mission_id, "step": step}
        new = await delivery_evidence.add(conn, order_id, evidence=told.evidence, detail=told.detail, **sign)
        if elsewhere is not None and new:
            await delivery_evidence.add(
                conn, order_id, evidence=told.evidence, detail=elsewhere, finding=RELEASED_ELSEWHERE, **sign
            )
        to = custody.Holder("recipient", to_site)
        if item["open"] and await _hand_over(
            conn, row, item, to=to, told=told, moved_by=vehicle_id, at=at, position=position
        ):
            delivered.append(order_id)
        if elsewhere is not None and new:
            await orders.note(conn, order_id, f"{RELEASED_ELSEWHERE}: {elsewhere}", at=at)
    if elsewhere is not None and delivered:
        await missions.note(conn, mission_id, f"{RELEASED_ELSEWHERE} at step {step}: {elsewhere}", at=at)
    return delivered


async def _hand_over(
    conn: Connection,
    mission: Mapping[str, Any],
    item: Mapping[str, Any],
    *,
    to: custody.Holder,
    told: Told,
    moved_by: str,
    at: datetime,
    position: Position | None = None,
) -> bool:
    order_id, mission_id = item["order_id"], mission["mission_id"]
    if item["state"] == "loaded":
        # The start was not seen (the service was down), but the vehicle is past the drop.
        await orders.move(conn, order_id, "underway", at=at, cause=f"{mission_id} began unseen")
    handed_over = await custody.hand_over(
        conn,
        order_id,
        to=to,
        at=at,
        moved_by=moved_by,
        evidence=told.evidence,
        detail=told.detail,
        mission_id=mission_id,
        position=position,
    )
    if handed_over:
        await orders.move(conn, order_id, "delivered", at=at, cause=f"handed over by {moved_by}: {told.detail}")
        await missions.close_order(conn, mission_id, order_id)
    return handed_over


async def receipt(
    conn: Connection, order_id: str, *, received: bool, by: str, note: str, at: datetime, audited: bool = True
) -> dict[str, Any]:
    """Somebody says whether the recipient has the parcel; return the order as it is then.

    It is evidence by a person. An unconfirmed delivery is resolved by it; one that is on a vehicle still is delivered
    once the vehicle has come to its drop-off, and was let down where it waits above it. ``not received`` changes no
    state: it is a finding for a dispatcher.
    Raises ``Conflict`` when nothing can have been handed over yet.
    """
    carrying = await carrier(conn, order_id)
    if carrying is not None:
        # First, as those do who record a release: two that wait for one another end in an error.
        await missions.locked(conn, carrying["mission_id"])
    row = await orders.locked(conn, order_id)
    detail = note or ("received" if received else "not received")
    if received and row["state"] == "unconfirmed":
        await orders.resolve(conn, order_id, "delivered", note=f"{by}: {detail}", at=at, actor=by)
    elif received and row["state"] == "underway":
        await _taken(conn, row, carrying, by=by, detail=detail, at=at)
    elif row["state"] not in {"delivered", "unconfirmed"}:
        raise Conflict(f"order {row['external_ref']} is {row['state']}; nothing has been handed over yet")
    await delivery_evidence.add(
        conn,
        order_id,
        evidence="person",
        given_by=by,
        detail=detail,
        at=at,
        finding=None if received else NOT_RECEIVED,
    )
    if not received:
        await orders.note(conn, order_id, f"{NOT_RECEIVED}: {by} says so: {detail}", at=at)
    if audited:
        told = {"received": received, "note": note}
        await audit.record(conn, at=at, actor=by, action="order.receipt", subject=("order", order_id), detail=told)
    return await orders.get(conn, order_id)


async def carrier(conn: Connection, order_id: str) -> dict[str, Any] | None:
    """Return the open mission that carries an order: mission_id, region_id, vehicle_id, kind (of the vehicle), state,
    at_step (where it is), step (of the order's release), release (that step as it is stored); ``None`` without one."""
    return await (await conn.execute(_SQL["carried_now"], {"order_id": order_id})).fetchone()


async def _taken(
    conn: Connection,
    order: Mapping[str, Any],
    carrying: Mapping[str, Any] | None,
    *,
    by: str,
    detail: str,
    at: datetime,
) -> None:
    """Deliver what somebody has, although the vehicle has not said that it has handed it over."""
    on_its_way = carrying is not None and carrying["state"] in {"underway", "held"}
    if carrying is None or not on_its_way or carrying["at_step"] < carrying["step"]:
        raise Conflict(f"order {order['external_ref']} is on its way; its vehicle has not come to the drop-off yet")
    if carrying["release"].get("gate_s") and not await drop_gate.was_let_down(
        conn, carrying["mission_id"], carrying["step"]
    ):
        raise Conflict(f"order {order['external_ref']} is aboard still: nobody has let its drone down")
    to = custody.Holder("recipient", order["dropoff_site"])
    await _hand_over(conn, carrying, order, to=to, told=Told("person", detail), moved_by=by, at=at)
