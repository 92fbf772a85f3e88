"""Long books: what is asked again and again finds its rows by an index."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from telemetry.sqlfile import statements
from tests.fleet_kit import World

FILL = (
    # Two years with a thing every few minutes, written without looking whether what it refers to is there.
    "SET LOCAL session_replication_role = replica",
    """INSERT INTO audit (at, actor, action, subject_kind, subject_id)
        SELECT %(at)s - i * interval '5 min', 'x', 'x', 'vehicle', 'v-' || i %% 200 FROM generate_series(0, 20000) i""",
    """INSERT INTO command (command_id, idempotency_key, vehicle_id, mission_id, kind, issuer, issued_at, state,
            expires_at, sent_at)
        SELECT 'c-' || i, i, 'v-' || i %% 200, 'm-' || i, 'hold', 'x', %(at)s - i * interval '5 min', 'done', %(at)s,
            %(at)s - i * interval '5 min' FROM generate_series(0, 20000) i""",
    """INSERT INTO delivery_order (order_id, region_id, external_ref, state, pickup_site, dropoff_site, recipient,
            mass_kg, volume_l, earliest, latest, created_at, changed_at)
        SELECT 'o-' || i, 'r', i, CASE WHEN i < 20 THEN 'received' ELSE 'delivered' END, '', '', '', 1, 1, %(at)s,
            %(at)s + interval '1 h', %(at)s, %(at)s - i * interval '5 min' FROM generate_series(0, 20000) i""",
    """INSERT INTO mission (mission_id, region_id, run_id, vehicle_id, ordinal, state, trip, planned_depart,
            planned_arrive, started_at, ended_at, changed_at)
        SELECT 'm-' || i, 'r', 'p-' || i, 'v-' || i %% 200, 0, CASE WHEN i < 20 THEN 'planned' ELSE 'completed' END,
            '{}', t, t, t, CASE WHEN i >= 20 THEN t END, t
        FROM generate_series(0, 20000) i, LATERAL (SELECT %(at)s - i * interval '5 min') AS moment (t)""",
    """INSERT INTO custody (order_id, at, holder_kind, holder_id, moved_by, mission_id, evidence, detail)
        SELECT 'o-' || i, %(at)s - i * interval '5 min', 'shelf', 'hub-1', 'x', 'm-' || i, 'person', ''
        FROM generate_series(0, 20000) i""",
    "ANALYZE audit, command, delivery_order, mission, custody",
)  # fmt: skip
ASKED = [
    ("incidents.sql", "people", {"audit", "command"}), ("incidents.sql", "commands", {"command"}),
    ("incidents.sql", "custody", {"custody"}), ("incidents.sql", "audit", {"audit"}),
    ("flight_log.sql", "asked_between", {"command"}), ("commands.sql", "latest_of_vehicle", {"command"}),
    ("commands.sql", "list_all", {"command"}), ("books.sql", "states", {"delivery_order", "mission"}),
    ("contingency.sql", "word_of_person", {"command"}), ("deliveries.sql", "gate_command", {"command"}),
]  # fmt: skip


def _scanned(plan: Mapping[str, Any]) -> set[str]:
    """The tables that a plan reads from one end to the other."""
    found = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set()
    return found.union(*(_scanned(each) for each in plan.get("Plans", ())))


@pytest.fixture
async def filled(world: World) -> World:
    async with world.database.transaction() as conn:
        for statement in FILL:
            values = {"at": world.at} if "%(" in statement else None
            await conn.execute(statement.encode(), values)
    return world


async def test_what_is_asked_of_long_books_is_found_by_an_index(filled: World) -> None:
    low = filled.at - timedelta(days=30)
    values = {
        "vehicle_ids": ["v-1"], "vehicle_id": "v-1", "accepted_by": ["x"], "incident_id": "i-1", "limit": 100,
        "mission_id": "m-20", "step": 1,
        "low": low, "high": low + timedelta(hours=1), "began_at": low, "ended_at": low + timedelta(hours=1),
        "since": filled.at - timedelta(days=1),
    }  # fmt: skip
    read_whole = {}
    for file, name, tables in ASKED:
        statement = f"EXPLAIN (FORMAT JSON) {statements('fleet.db.sql', file)[name]}".encode()
        async with filled.database.transaction() as conn:
            row = await (await conn.execute(statement, values)).fetchone()
        assert row is not None
        read_whole[name] = _scanned(row["QUERY PLAN"][0]["Plan"]) & tables

    assert read_whole == {name: set() for _, name, _ in ASKED}
