"""Orders: what customers ask for, and the states that an order goes through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from fleet import audit, custody
from fleet.db.database import Connection
from fleet.errors import BadRequest, Conflict, NotFound
from fleet.ids import new_id
from routing.cause import SOFT
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "orders.sql")

TRANSITIONS: Mapping[str, frozenset[str]] = {
    "received": frozenset({"planned", "failed", "cancelled"}),
    "planned": frozenset({"loaded", "received"}),
    "loaded": frozenset({"underway", "received", "unconfirmed"}),
    "underway": frozenset({"delivered", "received", "unconfirmed"}),
    "unconfirmed": frozenset({"delivered", "received", "failed"}),
    "delivered": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
"""Which state may follow which. A parcel that came back makes its order ``received`` again; an order that a
mission holds is let go by the mission, and only then fails or is cancelled. ``unconfirmed``: the parcel is not in the
vehicle any more and nobody has seen where it went; a person finds out, and nothing is sent again by itself."""

OUTCOMES = ("delivered", "found", "lost")
"""What may have become of an unconfirmed delivery."""
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
    new, _ = await receive_all(conn, [order], region_id=region_id, at=at, actor=actor)
    values = {"region_id": region_id, "refs": [order.external_ref]}
    row = await (await conn.execute(_SQL["by_refs"], values)).fetchone()
    if row is None:
        raise Conflict(f"order {order.external_ref!r} was not recorded; try again")
    return await get_shown(conn, row["order_id"]), new == 1


async def receive_all(
    conn: Connection, orders: Iterable[NewOrder], *, region_id: str, at: datetime, actor: str
) -> tuple[int, int]:
    """Take many orders in, all or none; return how many were new and how many known.

    Raises ``Conflict`` like ``receive``, naming every reference that is known with other content or is among
    ``orders`` twice.
    """
    by_ref: dict[str, NewOrder] = {}
    clashes = [o.external_ref for o in orders if by_ref.setdefault(o.external_ref, o) != o]
    rows = [asdict(order) | {"order_id": new_id("o")} for order in by_ref.values()]
    cursor = await conn.execute(_SQL["insert_all"], {"region_id": region_id, "at": at, "rows": Jsonb(rows)})
    taken = {row["external_ref"]: row["order_id"] for row in await cursor.fetchall()}
    cursor = await conn.execute(
        _SQL["by_refs"], {"region_id": region_id, "refs": [ref for ref in by_ref if ref not in taken]}
    )
    for known in await cursor.fetchall():
        wanted = asdict(by_ref[known["external_ref"]])
        if any(known[name] != value for name, value in wanted.items()):
            clashes.append(known["external_ref"])
    if clashes:
        more = f" and {len(clashes) - 10} more" if len(clashes) > 10 else ""
        shown = ", ".join(repr(ref) for ref in clashes[:10])
        raise Conflict(f"order {shown}{more} exists already with other content")
    await _record_received(conn, {order_id: by_ref[ref] for ref, order_id in taken.items()}, at=at, actor=actor)
    return len(taken), len(by_ref) - len(taken)


async def _record_received(conn: Connection, taken: Mapping[str, NewOrder], *, at: datetime, actor: str) -> None:
    """Begin the history and the custody of new orders, in as many round trips for one as for ten thousand."""
    if not taken:
        return
    events = [
        {"order_id": order_id, "at": at, "from_state": None, "to_state": "received", "cause": f"received by {actor}"}
        for order_id in taken
    ]
    async with conn.cursor() as cursor:
        await cursor.executemany(_SQL["insert_event"], events)
    await custody.hand_in(
        conn, {order_id: order.pickup_site for order_id, order in taken.items()}, at=at, moved_by=actor
    )
    await audit.record_each(conn, at=at, actor=actor, action="order.receive", kind="order", subject_ids=list(taken))


async def get(conn: Connection, order_id: str) -> dict[str, Any]:
    """Return one order; raises ``NotFound``."""
    row = await (await conn.execute(_SQL["get"], {"order_id": order_id})).fetchone()
    if row is None:
        raise NotFound(f"there is no order {order_id!r}")
    return row


async def get_shown(conn: Connection, order_id: str) -> dict[str, Any]:
    """Return one order with the open mission that carries it and its expected arrival; raises ``NotFound``."""
    row = await (await conn.execute(_SQL["get_shown"], {"order_id": order_id})).fetchone()
    if row is None:
        raise NotFound(f"there is no order {order_id!r}")
    return row


async def listing(
    conn: Connection, *, region_id: str, state: str | None = None, limit: int = 2000
) -> list[dict[str, Any]]:
    """Return the newest orders with the open mission that carries each and its arrival, oldest first."""
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
    conn: Connection,
    order_id: str,
    to_state: str,
    *,
    at: datetime,
    cause: str,
    reason: str | None = None,
    reason_cause: str | None = None,
) -> None:
    """Make a transition with its cause in one transaction; raises ``Conflict`` when it is not allowed.

    With a ``reason`` and no ``reason_cause`` of its own, the order keeps the one that it waited for.
    """
    row = await locked(conn, order_id)
    if to_state not in TRANSITIONS[row["state"]]:
        raise Conflict(f"order {row['external_ref']} is {row['state']} and cannot become {to_state}")
    values = {"order_id": order_id, "to_state": to_state, "reason": reason, "reason_cause": reason_cause, "at": at}
    await conn.execute(_SQL["set_state"], values)
    await _log(conn, order_id, row["state"], to_state, at=at, cause=cause)


async def explain(conn: Connection, order_id: str, reason: str, *, cause: str = "", at: datetime) -> None:
    """Write down why an order still waits; its state does not change.

    ``cause`` is a value of ``routing.cause.Cause``. A soft one, or none, leaves a hard one of an earlier plan as it
    is: an order that no drone can carry is in the end too late for all of them, which would explain nothing.
    """
    values = {
        "order_id": order_id,
        "reason": reason,
        "reason_cause": cause or None,
        "soft": not cause or cause in SOFT,
        "soft_causes": sorted(SOFT),
        "at": at,
    }
    await conn.execute(_SQL["set_reason"], values)


async def note(conn: Connection, order_id: str, words: str, *, at: datetime) -> None:
    """Write into an order's history what does not change its state."""
    await conn.execute(_SQL["note"], {"order_id": order_id, "words": words, "at": at})


async def fetch_from(conn: Connection, order_id: str, site_id: str, *, at: datetime, cause: str) -> None:
    """The parcel of an order that waits lies at another site now, and is fetched there."""
    await conn.execute(_SQL["fetch_from"], {"order_id": order_id, "site_id": site_id, "at": at})
    await note(conn, order_id, f"to be fetched at {site_id}: {cause}", at=at)


async def fail_overdue(conn: Connection, *, region_id: str, at: datetime) -> int:
    """Fail the orders whose time window closed while they waited; return how many."""
    overdue = await (await conn.execute(_SQL["overdue"], {"region_id": region_id, "at": at})).fetchall()
    for row in overdue:
        reason = f"the time window closed{': ' + row['reason'] if row['reason'] else ' before a vehicle was free'}"
        await move(conn, row["order_id"], "failed", at=at, cause="time window closed", reason=reason)
    return len(overdue)


async def resolve(conn: Connection, order_id: str, outcome: str, *, note: str, at: datetime, actor: str) -> None:
    """Say what has become of an unconfirmed delivery; ``note`` says how that is known.

    ``delivered``: the recipient has it. ``found``: it is on the shelf of its pickup site, and is planned again.
    ``lost``: it is gone. Raises ``BadRequest`` for another outcome, ``Conflict`` for an order that is not unconfirmed.
    """
    if outcome not in OUTCOMES:
        raise BadRequest(f"outcome: must be one of {', '.join(OUTCOMES)}, not {outcome!r}")
    row = await locked(conn, order_id)
    if row["state"] != "unconfirmed":
        raise Conflict(f"order {row['external_ref']} is {row['state']}; only an unconfirmed one is resolved")
    to_state, holder, words = {
        "delivered": ("delivered", custody.Holder("recipient", row["dropoff_site"]), None),
        "found": ("received", custody.Holder("shelf", row["pickup_site"]), f"found again: {note}"),
        "lost": ("failed", None, f"lost: {note}"),
    }[outcome]
    if holder is not None:
        await custody.hand_over(
            conn, order_id, to=holder, at=at, moved_by=actor, evidence="person", detail=f"{outcome}: {note}"
        )
    await move(conn, order_id, to_state, at=at, cause=f"resolved by {actor}: {outcome}, {note}", reason=words)
    detail = {"outcome": outcome, "note": note}
    await audit.record(conn, at=at, actor=actor, action="order.resolve", subject=("order", order_id), detail=detail)


async def cancel(conn: Connection, order_id: str, *, at: datetime, actor: str) -> None:
    """Cancel an order that waits; raises ``Conflict`` when a mission holds it already."""
    row = await locked(conn, order_id)
    if row["state"] != "received":
        raise Conflict(f"order {row['external_ref']} is {row['state']}; only a waiting order can be cancelled")
    await move(conn, order_id, "cancelled", at=at, cause=f"cancelled by {actor}", reason="cancelled")
    await audit.record(conn, at=at, actor=actor, action="order.cancel", subject=("order", order_id))


async def locked(conn: Connection, order_id: str) -> dict[str, Any]:
    """Return one order, and keep it as it is until the transaction ends; raises ``NotFound``."""
    row = await (await conn.execute(_SQL["lock"], {"order_id": order_id})).fetchone()
    if row is None:
        raise NotFound(f"there is no order {order_id!r}")
    return row


async def _log(
    conn: Connection, order_id: str, from_state: str | None, to_state: str, *, at: datetime, cause: str
) -> None:
    values = {"order_id": order_id, "at": at, "from_state": from_state, "to_state": to_state, "cause": cause}
    await conn.execute(_SQL["insert_event"], values)
