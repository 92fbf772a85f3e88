"""The day's report: what was done, from what was stored, and nothing from what was planned."""

from __future__ import annotations

import asyncio
import platform
from importlib.metadata import version
from typing import Any

import numpy as np

from fleet.db.database import Connection
from fleet.version import VERSION
from routing.geo import EARTH_RADIUS_M
from telemetry.clock import Clock
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "report.sql")

_LIBRARIES = ("mavsdk", "ortools", "paho-mqtt", "shapely", "fastapi", "psycopg")
_NOISE_M = 0.5
"""Movements between two samples below this are receiver noise and are not driven or flown."""


async def of_day(conn: Connection, *, region_id: str, clock: Clock) -> dict[str, Any]:
    """Return the report of everything stored for a region.

    ``distance_km`` is summed over stored tracks while on a mission; ``seconds.simulated`` runs from the first
    departure to the last return; ``on_time`` counts deliveries within their window.
    """
    values = {"region_id": region_id, "now": clock.now()}

    async def rows(name: str) -> list[dict[str, Any]]:
        return await (await conn.execute(_SQL[name], values)).fetchall()

    orders, missions, samples = await rows("orders"), await rows("missions"), await rows("samples")
    server = (await rows("server"))[0]
    batteries = [float(row["battery_min_pct"]) for row in samples if row["battery_min_pct"] is not None]
    return {
        "region": region_id,
        "orders": _orders(orders),
        "deliveries": _deliveries(orders, await rows("custody")),
        "missions": _missions(missions),
        "battery_min_pct": min(batteries, default=None),
        "samples": {
            "stored": sum(row["stored"] for row in samples),
            "by_vehicle": {row["vehicle_id"]: row["stored"] for row in samples},
        },
        "seconds": _seconds(missions, clock),
        "distance_km": await asyncio.to_thread(_distances_km, await rows("tracks")),
        "commands": {f"{row['kind']} {row['state']}": row["number"] for row in await rows("commands")},
        "versions": {
            "todoke": VERSION,
            "python": platform.python_version(),
            "postgresql": server["postgresql"],
            **{name: version(name) for name in _LIBRARIES},
        },
    }


def _orders(rows: list[dict[str, Any]]) -> dict[str, Any]:
    delivered = [row for row in rows if row["state"] == "delivered"]
    return {
        "total": len(rows),
        "delivered": len(delivered),
        "on_time": sum(row["delivered_at"] <= row["latest"] for row in delivered),
        "failed": [
            {"id": row["order_id"], "ref": row["external_ref"], "reason": row["reason"]}
            for row in rows
            if row["state"] in {"failed", "cancelled"}
        ],
        "open": sum(row["state"] not in {"delivered", "failed", "cancelled"} for row in rows),
        "by_mode": {mode: sum(row["mode"] == mode for row in delivered) for mode in ("drone", "robot")},
    }


def _deliveries(orders: list[dict[str, Any]], custody: list[dict[str, Any]]) -> list[dict[str, Any]]:
    chains: dict[str, list[dict[str, Any]]] = {}
    for row in custody:
        chains.setdefault(row["order_id"], []).append(
            {
                "at": row["at"].isoformat(),
                "holder": f"{row['holder_kind']}:{row['holder_id']}",
                "moved_by": row["moved_by"],
                "evidence": row["evidence"],
                "detail": row["detail"],
            }
        )
    return [
        {
            "id": row["order_id"],
            "ref": row["external_ref"],
            "state": row["state"],
            "mode": row["mode"],
            "evidence": row["evidence"],
            "custody": chains.get(row["order_id"], []),
        }
        for row in orders
    ]


def _missions(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "total": len(rows),
        "completed": sum(row["state"] == "completed" for row in rows),
        "not_completed": [
            {
                "id": row["mission_id"],
                "vehicle": row["vehicle_id"],
                "state": row["state"],
                "reason": row["reason"],
            }
            for row in rows
            if row["state"] != "completed"
        ],
    }


def _seconds(missions: list[dict[str, Any]], clock: Clock) -> dict[str, float | None]:
    started = [row["started_at"] for row in missions if row["started_at"]]
    ended = [row["ended_at"] for row in missions if row["ended_at"] and row["started_at"]]
    if not started or not ended:
        return {"simulated": None, "wall": None}
    simulated = (max(ended) - min(started)).total_seconds()
    return {"simulated": round(simulated, 1), "wall": round(clock.wall_seconds(simulated), 1)}


def _distances_km(rows: list[dict[str, Any]]) -> dict[str, float]:
    total = {"drone": 0.0, "robot": 0.0}
    by_vehicle: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row in rows:
        by_vehicle.setdefault((row["vehicle_id"], row["kind"]), []).append((row["lat_e7"], row["lon_e7"]))
    for (_, kind), points in by_vehicle.items():
        total[kind] += _track_length_m(np.radians(np.asarray(points, dtype=np.float64) / 1e7)) / 1000
    return {kind: round(km, 3) for kind, km in total.items()}


def _track_length_m(track_rad: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """Length of a track of (lat, lon) in radians, shape (n, 2): equirectangular between neighbours.

    Points closer than the noise to the last one kept are skipped, so that standing still adds nothing.
    """
    length_m, last = 0.0, track_rad[0]
    for point in track_rad[1:]:
        north = point[0] - last[0]
        east = (point[1] - last[1]) * np.cos(last[0])
        step_m = float(EARTH_RADIUS_M * np.hypot(north, east))
        if step_m >= _NOISE_M:
            length_m += step_m
            last = point
    return length_m
