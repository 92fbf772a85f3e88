"""The day's report: what was done, from what was stored, and nothing from what was planned."""

from __future__ import annotations

import asyncio
import platform
from importlib.metadata import version
from statistics import median
from typing import Any

from fleet import alarm_rate, regions
from fleet.db.database import Connection
from fleet.tracks import Track, closest, energy_wh, from_rows, legs_m, length_m, zone_violations
from fleet.version import VERSION
from hardware.profiles import load_profile
from routing.region.model import Region
from telemetry.clock import Clock
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "report.sql")

_LIBRARIES = ("mavsdk", "ortools", "paho-mqtt", "shapely", "fastapi", "psycopg")


async def of_day(conn: Connection, *, region_id: str, clock: Clock) -> dict[str, Any]:
    """Return the report of everything stored for a region.

    Distances, legs, energy and separation are measured on stored tracks while on a mission;
    ``seconds.simulated`` runs from the first departure to the last return; ``on_time`` counts deliveries
    within their window.
    """
    values = {"region_id": region_id, "now": clock.now()}

    async def rows(name: str) -> list[dict[str, Any]]:
        return await (await conn.execute(_SQL[name], values)).fetchall()

    orders, missions, samples = await rows("orders"), await rows("missions"), await rows("samples")
    server = (await rows("server"))[0]
    region = await regions.load(conn, region_id)
    tracks = from_rows(await rows("tracks"), region.frame)
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
        **await asyncio.to_thread(_measured, tracks, await rows("mission_times"), region),
        "alarms": await _alarms(conn, missions, clock),
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


async def _alarms(conn: Connection, missions: list[dict[str, Any]], clock: Clock) -> dict[str, Any] | None:
    """What sounded from the first departure to the last return, or to now while one is under way."""
    started = [row for row in missions if row["started_at"]]
    if not started:
        return None
    start, end = min(row["started_at"] for row in started), max(row["ended_at"] or clock.now() for row in started)
    return await alarm_rate.of_period(conn, start=start, end=end, operators=None, speed=clock.speed)


def _measured(tracks: list[Track], mission_rows: list[dict[str, Any]], region: Region) -> dict[str, Any]:
    """What the stored tracks show: distances, legs, energy, separation and zones."""
    by_kind: dict[str, list[Track]] = {kind: [t for t in tracks if t.kind == kind] for kind in ("drone", "robot")}
    near = closest(tracks)
    return {
        "distance_km": {
            kind: round(sum(length_m(t.east_m, t.north_m) for t in of) / 1000, 3) for kind, of in by_kind.items()
        },
        "median_leg_m": {kind: _median_leg_m(of, mission_rows) for kind, of in by_kind.items()},
        "energy_wh": {
            kind: round(sum(energy_wh(t, load_profile(t.type_id).battery_wh) for t in of), 1)
            for kind, of in by_kind.items()
        },
        "separation_min": {
            "horizontal_m": near.horizontal_m,
            "vertical_m": near.vertical_m,
            "vehicles": near.vehicles,
            "violations": near.violations,
        },
        "zone_violations": zone_violations(tracks, region),
    }


def _median_leg_m(tracks: list[Track], mission_rows: list[dict[str, Any]]) -> float | None:
    legs: list[float] = []
    for track in tracks:
        times = [
            (float(row["started_s"]), float(row["ended_s"]), [float(t) for t in row["released_s"]])
            for row in mission_rows
            if row["vehicle_id"] == track.vehicle_id
        ]
        legs += legs_m(track, times)
    return round(median(legs), 1) if legs else None
