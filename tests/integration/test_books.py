"""The books as numbers: what the metrics of the whole service say."""

from __future__ import annotations

import math
from datetime import timedelta

from fleet import leases, metrics
from fleet.books import Books
from tests.fleet_kit import World

ALARM = """INSERT INTO alarm (alarm_id, source_kind, source_id, code, urgency, state, standing, text_ja, text_en,
    since, shown_at, raised_at, changed_at, ended_at)
VALUES (%(alarm_id)s, 'vehicle', 'drone-1', %(code)s, 'high', %(state)s, %(state)s <> 'normal', '', '',
    %(at)s, %(at)s, %(at)s, %(at)s, %(ended)s)"""


def value(name: str, **labels: str) -> float | None:
    return metrics.REGISTRY.get_sample_value(name, labels)


async def test_the_books_are_counted_by_state(world: World) -> None:
    books = Books()
    await world.drone()
    await world.drone("drone-2", port=14601, pad=1)
    order_id = await world.order("A1")
    await world.order("A2")
    async with world.database.transaction() as conn:
        await leases.acquire(conn, ["drone-1"], holder="gateway-1/a")

    await books.count(world.database, at=world.at)
    before = value("todoke_orders", state="received")
    await world.write("UPDATE delivery_order SET state = 'cancelled' WHERE order_id = %(id)s", id=order_id)
    await books.count(world.database, at=world.at)

    assert before == 2
    assert (value("todoke_orders", state="received"), value("todoke_orders", state="cancelled")) == (1, 1)
    assert value("todoke_vehicles_registered") == 2
    assert value("todoke_leases_held") == 1
    assert value("todoke_planning_queue_length") == 0

    await world.write("UPDATE delivery_order SET state = 'cancelled'")
    await world.request()
    await books.count(world.database, at=world.at)

    assert value("todoke_orders", state="received") == 0, "a state that no order is in any more is 0, not what it was"
    assert value("todoke_planning_queue_length") == 1


async def test_what_is_not_known_any_more_is_not_shown_as_it_was(world: World) -> None:
    books = Books()
    await world.order("A1")
    await books.count(world.database, at=world.at)
    read = value("todoke_books_read_timestamp_seconds")

    books.unknown()

    assert math.isnan(value("todoke_orders", state="received") or 0.0)
    assert math.isnan(value("todoke_leases_held") or 0.0)
    assert value("todoke_books_read_timestamp_seconds") == read
    await books.count(world.database, at=world.at)
    assert value("todoke_orders", state="received") == 1


async def test_alarms_are_counted_by_urgency_until_they_are_over(world: World) -> None:
    books = Books()
    await world.write(ALARM, alarm_id="a", code="silent", state="unacknowledged", ended=None, at=world.at)
    await world.write(ALARM, alarm_id="b", code="stuck", state="normal", ended=world.at, at=world.at)

    await books.count(world.database, at=world.at)

    assert value("todoke_alarms_open", urgency="high") == 1


async def test_what_is_over_is_counted_for_a_day(world: World) -> None:
    books = Books()
    order_id = await world.order("A1")
    await world.write("UPDATE delivery_order SET state = 'cancelled' WHERE order_id = %(id)s", id=order_id)

    counted = []
    for hours in (23, 25):
        await books.count(world.database, at=world.at + timedelta(hours=hours))
        counted.append(value("todoke_orders", state="cancelled"))

    assert counted == [1, 0]
