"""Orders: what customers ask for, and the states that an order goes through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from fleet import audit, custody
from fleet.db.database import Connection
from fleet.errors import Conflict, NotFound
from fleet.ids import new_id
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "orders.sql")

TRANSITIONS: Mapping[str, frozenset[str]] = {
    "received": frozenset({"planned", "failed", "cancelled"}),
    "planned": frozenset({"loaded", "received", "cancelled"}),
    "loaded": frozenset({"underway", "received"}),
    "underway": frozenset({"delivered", "received"}),
    "delivered": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
"""Which state may follow which. A parcel that came back makes its order ``received`` again."""

CLOSED = frozenset(state for state, following in TRANSITIONS.items() if not following)


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order as it comes in; ``external_ref`` is the customer's or the shop's own number."""

    external_ref: str
    pickup_site: str
    dropoff_site: str
    recipient: str
    goods: str
    mass_kg: float
    volume_l: float
    earliest: datetime
    latest: datetime
    priority: int = 0


async def receive(
    conn: Connection, order: NewOrder, *, region_id: str, at: datetime, actor: str
) -> tuple[dict[str, Any], bool]:
    """Take an order in; return its row and whether it is new.

    The same reference with the same content is the same order, sent twice. Raises ``Conflict`` when the
    content differs. The parcel is on the shelf of the pickup site from here on.
    """
    values = asdict(order) | {"order_id": new_id("o"), "region_id": region_id, "at": at}
    row = await (await conn.execute(_SQL["insert"], values)).fetchone()
    if row is None:
        cursor = await conn.execute(_SQL["by_ref"], {"region_id": region_id, "external_ref": order.external_ref})
        known = await cursor.fetchone()
        if known is None or any(known[name] != value for name, value in asdict(order).items()):
            raise Conflict(f"order {order.external_ref!r} exists already with other content")
        return known, False
    await _log(conn, row["order_id"], None, "received", at=at, cause=f"received by {actor}")
    await custody.hand_over(
        conn,
        row["order_id"],
        to=custody.Holder("shelf", order.pickup_site),
        at=at,
        moved_by=actor,
        evidence="person",
        detail="handed in with the order",
    )
    await audit.record(conn, at=at, actor=actor, action="order.receive", subject=("order", row["order_id"]))
    return row, True


async def receive_all(
    conn: Connection, orders: Iterable[NewOrder], *, region_id: str, at: datetime, actor: str
) -> tuple[int, int]:
    """Take a file in, whole or not at all; return how many were new and how many known."""
    new = known = 0
    for order in orders:
        _, is_new = await receive(conn, order, region_id=region_id, at=at, actor=actor)
        new, known = new + is_new, known + (not is_new)
    return new, known


async def get(conn: Connection, order_id: str) -> dict[str, Any]:
    """Return one order; raises ``NotFound``."""
    row = await (await conn.execute(_SQL["get"], {"order_id": order_id})).fetchone()
    if row is None:
        raise NotFound(f"there is no order {order_id!r}")
    return row


async def listing(
    conn: Connection, *, region_id: str, state: str | None = None, limit: int = 2000
) -> list[dict[str, Any]]:
    """Return orders with the open mission that carries each, oldest first."""
    cursor = await conn.execute(_SQL["list_all"], {"region_id": region_id, "state": state, "limit": limit})
    return await cursor.fetchall()


async def waiting(conn: Connection, *, region_id: str, at: datetime, limit: int = 2000) -> list[dict[str, Any]]:
    """Return orders that planning may serve now."""
    cursor = await conn.execute(_SQL["waiting"], {"region_id": region_id, "at": at, "limit": limit})
    return await cursor.fetchall()


async def events(conn: Connection, order_id: str) -> list[dict[str, Any]]:
    """Return an order's transitions, oldest first."""
    return await (await conn.execute(_SQL["events"], {"order_id": order_id})).fetchall()


async def move(
    conn: Connection, order_id: str, to_state: str, *, at: datetime, cause: str, reason: str | None = None
) -> None:
    """Make a transition with its cause in one transaction; raises ``Conflict`` when it is not allowed."""
    row = await (await conn.execute(_SQL["lock"], {"order_id": order_id})).fetchone()
    if row is None:
        raise NotFound(f"there is no order {order_id!r}")
    if to_state not in TRANSITIONS[row["state"]]:
        raise Conflict(f"order {row['external_ref']} is {row['state']} and cannot become {to_state}")
    values = {"order_id": order_id, "to_state": to_state, "reason": reason, "at": at}
    await conn.execute(_SQL["set_state"], values)
    await _log(conn, order_id, row["state"], to_state, at=at, cause=cause)


async def explain(conn: Connection, order_id: str, reason: str, *, at: datetime) -> None:
    """Write down why an order still waits; its state does not change."""
    await conn.execute(_SQL["set_reason"], {"order_id": order_id, "reason": reason, "at": at})


async def fail_overdue(conn: Connection, *, region_id: str, at: datetime) -> int:
    """Fail the orders whose time window closed while they waited; return how many."""
    overdue = await (await conn.execute(_SQL["overdue"], {"region_id": region_id, "at": at})).fetchall()
    for row in overdue:
        reason = row["reason"] or "the time window closed before a vehicle was free"
        await move(conn, row["order_id"], "failed", at=at, cause="time window closed", reason=reason)
    return len(overdue)


async def cancel(conn: Connection, order_id: str, *, at: datetime, actor: str) -> None:
    """Cancel an order that waits; raises ``Conflict`` when a mission holds it already."""
    row = await get(conn, order_id)
    if row["state"] != "received":
        raise Conflict(f"order {row['external_ref']} is {row['state']}; only a waiting order can be cancelled")
    await move(conn, order_id, "cancelled", at=at, cause=f"cancelled by {actor}", reason="cancelled")
    await audit.record(conn, at=at, actor=actor, action="order.cancel", subject=("order", order_id))


async def _log(
    conn: Connection, order_id: str, from_state: str | None, to_state: str, *, at: datetime, cause: str
) -> None:
    values = {"order_id": order_id, "at": at, "from_state": from_state, "to_state": to_state, "cause": cause}
    await conn.execute(_SQL["insert_event"], values)
