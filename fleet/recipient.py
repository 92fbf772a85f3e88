"""What a recipient sees and may say without an account, over a link to one order.

A link's token is 128 random bits; its hash is kept, and it ends a day after the order's time window. Whoever holds it
learns when what comes, and nothing about a person.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fleet import audit, delays, deliveries, delivery_evidence, drop_gate, drop_point, missions, orders, unlock
from fleet.db.database import Connection
from fleet.drop_point import DropClass
from fleet.errors import Conflict, NotFound
from hardware.link import WaitFor
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "deliveries.sql")

KEPT_FOR = timedelta(days=1)
"""A link works so long after the end of the order's time window."""
EARLY, LATE = timedelta(minutes=2), timedelta(minutes=5)
"""The arrival that is told: so much before and after the one expected now. Plans are kept to some 3 %, a minute in half
an hour; later than planned is what happens more often."""
SAY_CLEAR_BEFORE = drop_gate.VALID_FOR
"""The place is asked for when the drone is expected within this: what is said earlier would be void at its arrival."""


class Refused(Conflict):
    """What the recipient asks for is not possible now; ``code`` says why, for a text in the recipient's language."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


@dataclass(frozen=True, slots=True)
class Coming:
    """How an order comes: the mission that carries it (``deliveries.carrier``), the vehicle's live snapshot and when it
    is expected; ``None`` where that is not known or not so."""

    carrier: Mapping[str, Any] | None
    live: Mapping[str, Any] | None
    expected: datetime | None

    @property
    def on_its_way(self) -> bool:
        """Whether the vehicle has set out with it and delivers yet."""
        return self.carrier is not None and self.carrier["state"] in drop_gate.ON_ITS_WAY

    def waits_for(self, what: WaitFor) -> bool:
        """Whether the vehicle stands at the drop-off and waits for a decision."""
        live, carrier = self.live, self.carrier
        if carrier is None or live is None or not live.get("connected"):
            return False
        waits = live.get("waits") or {}
        here = live.get("mission_id") == carrier["mission_id"] and waits.get("step") == carrier["step"]
        return here and waits.get("what") == what

    @property
    def arrived(self) -> bool:
        """Whether it waits for anything at the drop-off."""
        return self.waits_for(WaitFor.DROP_CLEAR) or self.waits_for(WaitFor.UNLOCK)


async def new_link(conn: Connection, order_id: str, *, at: datetime, actor: str) -> tuple[str, datetime]:
    """Return a token for an order and when it ends; it is shown this once, and the links before it end now.

    Raises ``NotFound``, and ``Conflict`` when the link would have ended already.
    """
    order = await orders.get(conn, order_id)
    expires_at = order["latest"] + KEPT_FOR
    if expires_at <= at:
        raise Conflict(f"the time window of order {order['external_ref']} ended more than a day ago")
    token = secrets.token_urlsafe(16)
    await conn.execute(_SQL["withdraw_links"], {"order_id": order_id, "at": at})
    values = {"token_hash": _digest(token), "order_id": order_id, "at": at, "actor": actor, "expires_at": expires_at}
    await conn.execute(_SQL["insert_link"], values)
    await audit.record(conn, at=at, actor=actor, action="order.recipient_link", subject=("order", order_id))
    return token, expires_at


async def order_of(conn: Connection, token: str, *, at: datetime) -> dict[str, Any]:
    """Return a link's order (``orders.get_shown``); raises ``NotFound`` for one that is wrong, replaced or over."""
    digest = _digest(token)
    row = await (await conn.execute(_SQL["link"], {"token_hash": digest})).fetchone()
    # The index finds by the hash, which tells nothing of the token; compared in constant time all the same.
    known = row is not None and hmac.compare_digest(bytes(row["token_hash"]), digest)
    if row is None or not known or row["withdrawn_at"] is not None or at >= row["expires_at"]:
        raise NotFound("this link is wrong, was replaced by another one, or its time is over")
    return await orders.get_shown(conn, row["order_id"])


async def coming(
    conn: Connection, order: Mapping[str, Any], live: Callable[[str], Mapping[str, Any] | None], *, at: datetime
) -> Coming:
    """Return how an order comes; ``live`` returns the newest snapshot of a vehicle by its id."""
    carrier = await deliveries.carrier(conn, order["order_id"])
    if carrier is None:
        return Coming(None, None, None)
    found = Coming(carrier, live(carrier["vehicle_id"]), None)
    if order["eta"] is None or carrier["state"] == "returning":
        return found
    late = await delays.of_region(conn, region_id=carrier["region_id"], now=at)
    expected = at if found.arrived else max(order["eta"] + late.get(carrier["mission_id"], timedelta()), at)
    return Coming(carrier, found.live, expected)


async def asks(conn: Connection, order: Mapping[str, Any], how: Coming, *, at: datetime) -> list[str]:
    """Return what is asked of the recipient now: ``clear``, ``code`` (have it shown), ``unlock``, ``received``."""
    found = []
    if await _why_not_clear(conn, how, at=at) is None and not await _has_said(conn, how, at=at):
        found.append("clear")
    code = await unlock.state(conn, order["order_id"])
    if code is not None and code["used_at"] is None:
        found += ["code"] if code["drawn_at"] is None else []
        found += ["unlock"] if how.waits_for(WaitFor.UNLOCK) else []
    if order["state"] in {"delivered", "unconfirmed"}:
        known = await delivery_evidence.of_order(conn, order["order_id"])
        found += [] if any(row["evidence"] == "person" for row in known) else ["received"]
    return found


async def say_clear(conn: Connection, order: Mapping[str, Any], how: Coming, *, clear: bool, at: datetime) -> None:
    """The recipient says whether the drop point is clear. Raises ``Refused`` when nobody asks."""
    refused = await _why_not_clear(conn, how, at=at)
    if refused is not None:
        raise refused
    assert how.carrier is not None
    mission_id, step = how.carrier["mission_id"], how.carrier["step"]
    mission = await missions.get(conn, mission_id)
    said_by = f"recipient of order {order['external_ref']}"
    await drop_gate.say(conn, mission, step, clear=clear, said_as="recipient", said_by=said_by, at=at)
    subject, detail = ("order", str(order["order_id"])), {"clear": clear, "mission": mission_id, "step": step}
    await audit.record(conn, at=at, actor="recipient", action="drop_point.say", subject=subject, detail=detail)


async def _has_said(conn: Connection, how: Coming, *, at: datetime) -> bool:
    """Whether what was said last is still good when the vehicle comes, or has been acted on."""
    assert how.carrier is not None
    rows = await drop_gate.confirmations(conn, how.carrier["mission_id"], how.carrier["step"])
    if not rows:
        return False
    used = rows[0]["used_at"] is not None and not how.waits_for(WaitFor.DROP_CLEAR)
    return used or (rows[0]["used_at"] is None and rows[0]["valid_until"] > max(at, how.expected or at))


async def _why_not_clear(conn: Connection, how: Coming, *, at: datetime) -> Refused | None:
    carrier = how.carrier
    if carrier is None or not how.on_its_way:
        return Refused("not_on_its_way", "no drone is on its way to you now")
    if not carrier["release"].get("gate_s"):
        return Refused("nothing_asked", "nobody has to say whether your drop point is clear")
    mission = await missions.get(conn, carrier["mission_id"])
    site_id = drop_gate.site_of(mission, carrier["step"])
    if (await drop_point.of_region(conn, carrier["region_id"]))[site_id].kind is not DropClass.RECIPIENT:
        return Refused("nothing_asked", "the pilot looks at the drop point; nothing is needed from you")
    if carrier["at_step"] > carrier["step"]:
        return Refused("gone", "the drone has gone on")
    near = how.expected is not None and how.expected - at <= SAY_CLEAR_BEFORE
    if not near and not how.waits_for(WaitFor.DROP_CLEAR):
        return Refused("too_early", "the drone is not near yet; look and say so when it is")
    return None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
