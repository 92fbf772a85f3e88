"""A diversion goes on after its gateway has ended: nobody but a gateway sees a drone land where it was sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fleet import commands, contingency_journal
from fleet.command_kinds import MOVES
from fleet.db.database import Connection

RULE = "rule: diversion goes on"
"""Who gives a command that no person gave."""


async def tell_again(
    conn: Connection, before: Mapping[str, Any], *, key: str, elsewhere: bool, at: datetime, speed: float
) -> bool:
    """Send a drone once more where a command ``before`` has sent it; ``elsewhere``: to the nearest site in reach.

    A drone that is there already comes down. Returns ``False`` where a person has said otherwise since.
    """
    vehicle_id = before["vehicle_id"]
    await commands.one_at_a_time(conn, vehicle_id)
    word = await contingency_journal.word_of_person(conn, before["mission_id"])
    if word is not None and word.kind in MOVES and word.at > before["issued_at"]:
        return False
    given = await commands.issue(
        conn,
        vehicle_id=vehicle_id,
        kind="abort" if elsewhere else "divert",
        key=key,
        issuer=RULE,
        at=at,
        speed=speed,
        params={} if elsewhere else {"site_id": before["sent_to"]},
    )
    await commands.confirm(conn, given["command_id"], actor=RULE, at=at, speed=speed)
    return True
