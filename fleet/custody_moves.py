"""Moves of parcels by hand: from shelf to shelf, and out of a vehicle that does not come home."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fleet import audit, custody, missions, orders, regions, vehicles
from fleet.custody import Holder
from fleet.db.database import Connection
from fleet.errors import BadRequest, Conflict
from routing.errors import RoutingError

TO = ("shelf", "vehicle")
"""Where a person may bring a parcel. To the recipient it goes by a receipt (``fleet.deliveries``)."""


async def move(
    conn: Connection, order_id: str, *, to: Holder, note: str, at: datetime, actor: str
) -> list[dict[str, Any]]:
    """Ground crew: the parcel of an order is now on the shelf of another site, or in another vehicle; return its chain.

    A parcel on a shelf whose order waits may go to another shelf: it is fetched there from then on. One that an ended
    mission has left in a vehicle may go to a shelf, and its order waits again, or into another vehicle that is on no
    mission, which brings it in. Raises ``BadRequest`` for a place that there is not, ``Conflict`` for any other move:
    parcels are loaded with their mission.
    """
    order = await orders.get(conn, order_id)
    mission = await missions.left_with(conn, order_id)
    if mission is not None:
        await missions.locked(conn, mission["mission_id"])
    order = await orders.locked(conn, order_id)
    holder = await custody.current(conn, order_id)
    if holder == to:
        raise Conflict(f"the parcel of order {order['external_ref']} is there already")
    await _check_place(conn, order, to)
    if order["state"] == "received" and to.kind == "shelf":
        await orders.fetch_from(conn, order_id, to.holder_id, at=at, cause=f"moved by {actor}: {note}")
    elif mission is None:
        raise Conflict(
            f"order {order['external_ref']} is {order['state']}: by hand a parcel is moved from shelf to shelf "
            "while its order waits, or out of a vehicle whose mission has ended"
        )
    elif to.kind == "vehicle" and await missions.active(conn, to.holder_id) is not None:
        raise Conflict(f"vehicle {to.holder_id!r} is on a mission and takes no other parcel")
    await custody.hand_over(
        conn,
        order_id,
        to=to,
        at=at,
        moved_by=actor,
        evidence="person",
        detail=note,
        mission_id=mission["mission_id"] if mission else None,
    )
    if mission is not None and to.kind == "shelf":
        await missions.back_to_planning(conn, mission, order_id, at=at, cause=f"brought in by {actor}: {note}")
        if to.holder_id != order["pickup_site"]:
            await orders.fetch_from(conn, order_id, to.holder_id, at=at, cause=f"brought in by {actor}: {note}")
    detail = {"to": f"{to.kind}:{to.holder_id}", "note": note}
    await audit.record(conn, at=at, actor=actor, action="order.custody", subject=("order", order_id), detail=detail)
    return await custody.chain(conn, order_id)


async def _check_place(conn: Connection, order: Mapping[str, Any], to: Holder) -> None:
    if to.kind not in TO:
        raise BadRequest(f"to.kind: must be one of {', '.join(TO)}, not {to.kind!a:.80}")
    if to.kind == "vehicle":
        vehicle = await vehicles.get(conn, to.holder_id)
        if vehicle["region_id"] != order["region_id"] or vehicle["retired_at"] is not None:
            raise BadRequest(f"to.id: vehicle {to.holder_id!r} is not one of this region's fleet")
        return
    region = await regions.load(conn, order["region_id"])
    try:
        region.site(to.holder_id)
    except RoutingError as error:
        raise BadRequest(f"to.id: {error}") from error
    if to.holder_id == order["dropoff_site"]:
        raise BadRequest("to.id: that is where the recipient gets it; say who has received it instead")
