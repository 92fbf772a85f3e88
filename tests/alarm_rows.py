"""Changes of alarms written straight into the database, for tests of those who read them."""

from __future__ import annotations

from datetime import datetime

from fleet.db.database import Connection

_ALARM = """INSERT INTO alarm (alarm_id, source_kind, source_id, code, urgency, state, standing, text_ja, text_en,
        since, shown_at, raised_at, changed_at)
    VALUES (%(alarm_id)s, 'vehicle', %(source_id)s, 'silent', 'urgent', 'unacknowledged', true, '応答なし', 'Silent',
        %(at)s, %(at)s, %(at)s, %(at)s)
    ON CONFLICT DO NOTHING"""
_EVENT = """INSERT INTO alarm_event (alarm_id, at, event, state, standing, urgency, text_ja, text_en, since, actor,
        cause)
    VALUES (%(alarm_id)s, %(at)s, %(event)s, %(state)s, %(standing)s, 'urgent', '応答なし', 'Silent', %(at)s,
        'gateway-1', %(cause)s)
    RETURNING event_id"""
_CHANGED = "UPDATE alarm SET changed_at = %(at)s WHERE alarm_id = %(alarm_id)s"


async def write_event(
    conn: Connection, at: datetime, cause: str = "", *, vehicle_id: str = "drone-1", cleared: bool = False
) -> int:
    """Write one change of a vehicle's alarm ``silent`` at ``at``, and return its id; listeners are notified."""
    values = {"alarm_id": f"a-{vehicle_id}", "source_id": vehicle_id, "at": at, "cause": cause}
    event = {"event": "clear", "state": "returned", "standing": False} if cleared else {}
    await conn.execute(_ALARM, values)
    standing = {"event": "raise", "state": "unacknowledged", "standing": True} | event
    row = await (await conn.execute(_EVENT, values | standing)).fetchone()
    await conn.execute(_CHANGED, values)
    assert row is not None
    return int(row["event_id"])
