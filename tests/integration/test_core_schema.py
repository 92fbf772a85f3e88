"""What the schema itself holds against, whatever the code above it does wrong."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import errors
from psycopg.types.json import Jsonb

from fleet.db.database import Database

T = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)

_ROWS: dict[str, dict[str, Any]] = {
    "region": {
        "region_id": "kosuge",
        "name_ja": "小菅",
        "name_en": "Kosuge",
        "bundle_hash": "h",
        "bundle": b"packed",
        "imported_at": T,
    },
    "vehicle": {
        "vehicle_id": "drone-1",
        "region_id": "kosuge",
        "type_id": "multirotor_1kg",
        "kind": "drone",
        "home_site": "hub",
        "link": Jsonb({"protocol": "mavlink", "bind": "127.0.0.1:14600"}),
        "simulated": True,
        "registered_at": T,
    },
    "delivery_order": {
        "order_id": "order-1",
        "region_id": "kosuge",
        "external_ref": "shop-1",
        "state": "received",
        "pickup_site": "hub",
        "dropoff_site": "drop",
        "recipient": "Sato",
        "mass_kg": 0.5,
        "volume_l": 2.0,
        "earliest": T,
        "latest": T + timedelta(hours=1),
        "created_at": T,
        "changed_at": T,
    },
    "planning_run": {
        "run_id": "run-1",
        "region_id": "kosuge",
        "state": "approved",
        "requested_by": "dispatcher",
        "requested_at": T,
        "seconds": 1.0,
        "seed": 0,
    },
    "mission": {
        "mission_id": "mission-1",
        "region_id": "kosuge",
        "run_id": "run-1",
        "vehicle_id": "drone-1",
        "ordinal": 0,
        "state": "planned",
        "trip": Jsonb({}),
        "planned_depart": T,
        "planned_arrive": T + timedelta(minutes=10),
        "changed_at": T,
    },
    "mission_order": {"mission_id": "mission-1", "order_id": "order-1", "step": 1},
    "custody": {
        "order_id": "order-1",
        "at": T,
        "holder_kind": "recipient",
        "holder_id": "drop",
        "moved_by": "vehicle:drone-1",
        "evidence": "sensor",
        "detail": "gripper acknowledged",
    },
    "command": {
        "command_id": "command-1",
        "idempotency_key": "key-1",
        "vehicle_id": "drone-1",
        "kind": "hold",
        "issuer": "pilot",
        "issued_at": T,
        "state": "pending",
        "expires_at": T + timedelta(seconds=10),
    },
    "app_user": {"user_id": "pilot", "display_name": "Pilot", "role": "pilot", "created_at": T},
    "service_clock": {"anchor_wall": T, "anchor_domain": T, "speed": 1.0},
}


_SECOND: dict[str, dict[str, Any]] = {
    "delivery_order": {"order_id": "order-2", "external_ref": "shop-2"},
    "vehicle": {"vehicle_id": "drone-2", "link": Jsonb({"n": 2})},
    "planning_run": {"run_id": "run-2"},
    "mission": {"mission_id": "mission-2", "ordinal": 1},
}
"""What makes a second row of a table another one."""


async def _insert(database: Database, table: str, **changes: Any) -> None:
    row = _ROWS[table] | changes
    places = ", ".join(f"%({column})s" for column in row)
    statement = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})"
    async with database.transaction() as connection:
        await connection.execute(statement.encode(), row)


async def _update(database: Database, statement: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(statement.encode())


async def _count(database: Database, table: str) -> int:
    async with database.transaction() as connection:
        cursor = await connection.execute(f"SELECT count(*) AS n FROM {table}".encode())
        row = await cursor.fetchone()
    assert row is not None
    return int(row["n"])


@pytest.fixture
async def stocked(database: Database) -> Database:
    """A database with a region, a drone, an order, a planning run and a mission."""
    for table in ("region", "vehicle", "delivery_order", "planning_run", "mission"):
        await _insert(database, table)
    return database


async def test_an_order_is_delivered_once(stocked: Database) -> None:
    await _insert(stocked, "custody")

    with pytest.raises(errors.UniqueViolation, match="custody_delivered_once"):
        await _insert(stocked, "custody", evidence="person", moved_by="user:pilot")

    assert await _count(stocked, "custody") == 1


async def test_of_two_that_deliver_an_order_at_once_one_succeeds(stocked: Database) -> None:
    outcomes = await asyncio.gather(
        *(_insert(stocked, "custody", moved_by=f"gateway-{n}") for n in range(4)), return_exceptions=True
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType"] + ["UniqueViolation"] * 3
    assert await _count(stocked, "custody") == 1


async def test_a_parcel_may_change_hands_as_often_as_it_does_before(stocked: Database) -> None:
    for holder_kind, holder_id in [("shelf", "hub"), ("vehicle", "drone-1"), ("shelf", "hub")]:
        await _insert(stocked, "custody", holder_kind=holder_kind, holder_id=holder_id)

    assert await _count(stocked, "custody") == 3


@pytest.mark.parametrize("first", ["starting", "underway", "held", "returning"])
@pytest.mark.parametrize("second", ["starting", "underway", "held", "returning"])
async def test_a_vehicle_has_one_active_mission(stocked: Database, first: str, second: str) -> None:
    await _update(stocked, f"UPDATE mission SET state = '{first}'")

    with pytest.raises(errors.UniqueViolation, match="mission_active"):
        await _insert(stocked, "mission", mission_id="mission-2", ordinal=1, state=second)


async def test_the_next_mission_may_start_when_the_first_has_ended(stocked: Database) -> None:
    await _update(stocked, "UPDATE mission SET state = 'underway'")
    await _insert(stocked, "mission", mission_id="mission-2", ordinal=1, state="accepted")
    await _update(stocked, "UPDATE mission SET state = 'completed' WHERE mission_id = 'mission-1'")

    await _update(stocked, "UPDATE mission SET state = 'starting' WHERE mission_id = 'mission-2'")

    assert await _count(stocked, "mission") == 2


async def test_an_order_rides_on_one_open_mission(stocked: Database) -> None:
    await _insert(stocked, "mission", mission_id="mission-2", ordinal=1)
    await _insert(stocked, "mission_order")

    with pytest.raises(errors.UniqueViolation, match="mission_order_open"):
        await _insert(stocked, "mission_order", mission_id="mission-2")


async def test_an_order_may_ride_again_when_its_mission_has_closed(stocked: Database) -> None:
    await _insert(stocked, "mission", mission_id="mission-2", ordinal=1)
    await _insert(stocked, "mission_order")
    await _update(stocked, "UPDATE mission_order SET open = false")

    await _insert(stocked, "mission_order", mission_id="mission-2")

    assert await _count(stocked, "mission_order WHERE open") == 1


async def test_a_trip_of_a_plan_becomes_one_mission(stocked: Database) -> None:
    with pytest.raises(errors.UniqueViolation, match="mission_run_id_vehicle_id_ordinal"):
        await _insert(stocked, "mission", mission_id="mission-2")


async def test_an_order_sent_in_twice_is_one_order(stocked: Database) -> None:
    with pytest.raises(errors.UniqueViolation, match="external_ref"):
        await _insert(stocked, "delivery_order", order_id="order-2")


async def test_a_command_given_twice_with_one_key_is_one_command(stocked: Database) -> None:
    await _insert(stocked, "command")

    with pytest.raises(errors.UniqueViolation, match="idempotency_key"):
        await _insert(stocked, "command", command_id="command-2")


async def test_the_keys_of_two_issuers_do_not_meet(stocked: Database) -> None:
    await _insert(stocked, "command")

    await _insert(stocked, "command", command_id="command-2", issuer="rule:geofence")

    assert await _count(stocked, "command") == 2


async def test_two_vehicles_never_have_one_link(stocked: Database) -> None:
    with pytest.raises(errors.UniqueViolation, match="vehicle_link"):
        await _insert(stocked, "vehicle", vehicle_id="drone-2")


async def test_the_link_of_a_retired_vehicle_is_free(stocked: Database) -> None:
    await _update(stocked, "UPDATE vehicle SET retired_at = registered_at")

    await _insert(stocked, "vehicle", vehicle_id="drone-2")

    assert await _count(stocked, "vehicle") == 2


async def test_there_is_one_clock(database: Database) -> None:
    await _insert(database, "service_clock")

    with pytest.raises(errors.UniqueViolation):
        await _insert(database, "service_clock", speed=2.0)
    with pytest.raises(errors.CheckViolation):
        await _insert(database, "service_clock", one=False)


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("delivery_order", {"state": "lost"}),
        ("delivery_order", {"mass_kg": 0.0}),
        ("delivery_order", {"volume_l": -1.0}),
        ("delivery_order", {"latest": T}),
        ("vehicle", {"vehicle_id": "../drone"}),
        ("vehicle", {"vehicle_id": ""}),
        ("vehicle", {"kind": "boat"}),
        ("planning_run", {"state": "maybe"}),
        ("mission", {"state": "lost"}),
        ("custody", {"holder_kind": "dog"}),
        ("custody", {"evidence": "hope"}),
        ("command", {"kind": "explode"}),
        ("command", {"state": "forgotten"}),
        ("app_user", {"user_id": "Pilot One"}),
        ("app_user", {"role": "king"}),
        ("service_clock", {"speed": 0.0}),
    ],
)
async def test_values_outside_the_domain_are_refused(stocked: Database, table: str, changes: dict[str, Any]) -> None:

    with pytest.raises(errors.CheckViolation):
        await _insert(stocked, table, **(_SECOND.get(table, {}) | changes))


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("vehicle", {"vehicle_id": "drone-2", "link": Jsonb({"n": 2}), "region_id": "atlantis"}),
        ("delivery_order", {"order_id": "o2", "external_ref": "r2", "region_id": "atlantis"}),
        ("mission", {"mission_id": "mission-2", "ordinal": 1, "vehicle_id": "drone-9"}),
        ("mission", {"mission_id": "mission-2", "ordinal": 1, "run_id": "run-9"}),
        ("mission_order", {"order_id": "order-9"}),
        ("mission_order", {"mission_id": "mission-9"}),
        ("custody", {"order_id": "order-9"}),
        ("command", {"vehicle_id": "drone-9"}),
    ],
)
async def test_nothing_refers_to_what_is_not_there(stocked: Database, table: str, changes: dict[str, Any]) -> None:
    with pytest.raises(errors.ForeignKeyViolation):
        await _insert(stocked, table, **changes)


@pytest.mark.parametrize("table", ["region", "vehicle", "delivery_order", "planning_run", "mission"])
async def test_what_has_a_history_cannot_be_deleted(stocked: Database, table: str) -> None:
    await _insert(stocked, "mission_order")

    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        await _update(stocked, f"DELETE FROM {table}")
