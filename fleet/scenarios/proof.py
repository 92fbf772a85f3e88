"""Holds the database against the simulators' own logs: what was released, delivered, sent and stored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fleet.db.database import Connection
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "proof.sql")


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a vehicle's own log; a torn last line (the simulator was killed) is left out."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)


async def hold_against_logs(conn: Connection, log_dir: Path) -> dict[str, Any]:
    """Compare every vehicle's log with what is stored.

    ``differences`` names vehicles whose releases are not those recorded, and orders delivered twice.
    ``samples_lost`` counts positions that a vehicle sent after the first and before the last one stored and
    that are not stored.
    """
    differences: list[str] = []
    released = delivered = lost = sent = 0
    logs = await asyncio.to_thread(lambda: {path.stem: list(read_log(path)) for path in log_dir.glob("*.jsonl")})
    for vehicle_id, records in sorted(logs.items()):
        values = {"vehicle_id": vehicle_id}
        let_go = sum(record["event"] == "released" for record in records)
        recorded = len(await (await conn.execute(_SQL["releases"], values)).fetchall())
        if let_go != recorded:
            differences.append(f"{vehicle_id} released {let_go} times, {recorded} are recorded")
        released, delivered = released + let_go, delivered + recorded
        rows = await (await conn.execute(_SQL["sample_times"], values)).fetchall()
        stored = {row["vehicle_ms"] for row in rows}
        if stored:
            said = {r["vehicle_ms"] for r in records if r["event"] == "position"}
            first, last = min(stored), max(stored)
            said = {ms for ms in said if first <= ms <= last}
            sent, lost = sent + len(said), lost + len(said - stored)
    twice = await (await conn.execute(_SQL["delivered_twice"])).fetchall()
    differences += [f"order {row['order_id']} was delivered twice" for row in twice]
    return {
        "released": released,
        "delivered": delivered,
        "differences": differences,
        "samples_sent": sent,
        "samples_lost": lost,
    }
