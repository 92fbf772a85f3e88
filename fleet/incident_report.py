"""The draft of an incident's report: a timeline, figures and tracks from what is stored; nothing of it is stored.

Times are domain time. It is made anew whenever it is read, so that samples which come late are in it; the bundle
(``incident_bundle``) fixes it with hashes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleet import flight_log, incidents, log_view, regions, vehicles
from fleet.db.database import Connection
from fleet.incident_law import CLASSES, GRADES
from routing.geo import LocalFrame, Position
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "incidents.sql")

MAX_OF_EACH = 1000
"""Rows of one source in the timeline; the bundle has all."""
MAX_VEHICLES = 50
"""Vehicles whose samples are measured and drawn; the bundle has all."""
MEASURED = timedelta(hours=24)
"""The last part of a long incident that is measured and drawn."""
MEASURED_IN_ALL = timedelta(hours=100)
"""Of all vehicles together: 3.6 million samples at ten a second, read in some seconds."""
MAX_POINTS = 400
"""Points of one drawn track."""
NEAR_BEFORE, NEAR_AFTER = timedelta(hours=2), timedelta(minutes=10)
"""How far around the opening of an incident distances between drones are measured."""
NEAR_PIECE = timedelta(minutes=5)
"""Read at once, newest first."""
NEAR_ROWS = 300_000
"""Points after which no further piece is read; what is left out is said."""
GAP_S = 5.0
"""Where a drone was in a longer silence is not known."""

Row = Mapping[str, Any]
_Word = Callable[[Row], tuple[str, str]]


async def draft(conn: Connection, incident: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Return the draft of an incident's report as plain data.

    ``figures`` are by vehicle, with ``track`` thinned to ``MAX_POINTS``; ``timeline`` holds ``at, source, vehicle_id,
    ja, en``; ``left_out`` says what did not fit.
    """
    low, high = incidents.period(incident, now)
    values: dict[str, Any] = {
        "incident_id": incident["incident_id"], "region_id": incident["region_id"],
        "vehicle_ids": incident["vehicle_ids"], "low": low, "high": high, "limit": MAX_OF_EACH + 1,
        "since": flight_log.ALWAYS[0], "until": flight_log.ALWAYS[1],
    }  # fmt: skip
    timeline, left_out = await _timeline(conn, values)
    missions = await _rows(conn, "missions", values)
    accepted_by = [row["accepted_by"] for row in missions if row["accepted_by"]]
    since = max(low, high - MEASURED)
    if since > low:
        left_out.append(f"figures before {since.isoformat()}")
    most = max(1, min(MAX_VEHICLES, int(MEASURED_IN_ALL / (high - since))))
    measured = incident["vehicle_ids"][:most]
    if len(incident["vehicle_ids"]) > most:
        left_out.append(f"figures of {len(incident['vehicle_ids']) - most} vehicles")
    closest = await _closest(conn, incident, low, high)
    if not closest["whole"]:
        left_out.append(f"distances between drones before {closest['start'].isoformat()}")
    return {
        "incident": _shown(incident),
        "grade": grade(incident["content"]["classes"]),
        "period": {"start": low, "end": high, "goes_on": incident["ended_at"] is None},
        "made_at": now,
        "people": await _rows(conn, "people", values | {"accepted_by": accepted_by}),
        "missions": [{k: v for k, v in row.items() if k != "trip"} for row in missions[:MAX_OF_EACH]],
        "figures": [await _figures(conn, vehicle_id, since, high) for vehicle_id in measured],
        "closest": closest,
        "timeline": timeline,
        "left_out": left_out,
    }


def grade(classes: list[str]) -> str:
    """Return the gravest grade of some classes; nothing classified yet is "other"."""
    grades = {CLASSES[name].grade for name in classes}
    return next((name for name in GRADES if name in grades), "other")


def _shown(incident: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in incident.items() if k != "idempotency_key"}


async def _rows(conn: Connection, name: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return await (await conn.execute(_SQL[name], values)).fetchall()


def _asked(row: Row) -> tuple[str, str]:
    return f"{row['kind']}（{row['issuer']}）", f"{row['kind']} by {row['issuer']}"


def _sent(row: Row) -> tuple[str, str]:
    return f"{row['kind']} を機体へ送信", f"{row['kind']} sent to the vehicle"


def _finished(row: Row) -> tuple[str, str]:
    outcome = f"{row['state']} {row['outcome'] or ''}".rstrip()
    return f"{row['kind']} の結果：{outcome}", f"{row['kind']}: {outcome}"


def _turn(row: Row) -> tuple[str, str]:
    text = f"{row['mission_id']}: {row['from_state'] or '-'} → {row['to_state']} ({row['cause']})"
    return text, text


def _custody(row: Row) -> tuple[str, str]:
    text = f"{row['order_id']} → {row['holder_kind']}:{row['holder_id']} ({row['moved_by']}, {row['evidence']})"
    return text, text


def _alarm(row: Row) -> tuple[str, str]:
    by = f" ({row['actor']})"
    return f"{row['event']}{by}：{row['text_ja']}", f"{row['event']}{by}: {row['text_en']}"


def _said(row: Row) -> tuple[str, str]:
    text = f"[{row['kind']}/{row['severity']}] {row['text']}"
    return text, text


def _gap(row: Row) -> tuple[str, str]:
    seconds = (row["ended_at"] - row["began_at"]).total_seconds()
    return (
        f"受信の空白 {seconds:.1f} 秒（{row['cause']}）",
        f"Nothing stored for {seconds:.1f} s ({row['cause']})",
    )


def _weather(row: Row) -> tuple[str, str]:
    wind = f"{row['wind_from_deg']:.0f}° {row['wind_mps']:.1f} m/s, {row['gust_mps']:.1f} m/s"
    return f"風 {wind}（突風）（{row['reported_by']}）", f"Wind {wind} in gusts ({row['reported_by']})"


def _deed(row: Row) -> tuple[str, str]:
    text = f"{row['actor']}: {row['action']} {row['subject_kind']} {row['subject_id']}"
    return text, text


_SOURCES: Mapping[str, tuple[str, Mapping[str, _Word]]] = {
    "commands": ("command", {"issued_at": _asked, "sent_at": _sent, "finished_at": _finished}),
    "mission_events": ("mission", {"at": _turn}),
    "custody": ("custody", {"at": _custody}),
    "alarm_events": ("alarm", {"at": _alarm}),
    "vehicle_events": ("vehicle", {"at": _said}),
    "gaps": ("gap", {"began_at": _gap}),
    "weather": ("weather", {"observed_at": _weather}),
    "audit": ("audit", {"at": _deed}),
}
"""What each source is called, and what is told of its times."""
_TOLD_ELSEWHERE = ("command.", "mission.", "log.")
"""Entries of the audit trail that the timeline has from their own source, or that are about papers."""


async def _timeline(conn: Connection, values: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    read = {name: await _rows(conn, name, values) for name in _SOURCES}
    return await asyncio.to_thread(_told, read)


def _told(read: Mapping[str, list[dict[str, Any]]]) -> tuple[list[dict[str, Any]], list[str]]:
    found: list[dict[str, Any]] = []
    left_out: list[str] = []
    for name, rows in read.items():
        source, told = _SOURCES[name]
        if len(rows) > MAX_OF_EACH:
            first = next(iter(told))
            left_out.append(f"{name} after {rows[MAX_OF_EACH - 1][first].isoformat()}")
        for row in rows[:MAX_OF_EACH]:
            if str(row.get("action", "")).startswith(_TOLD_ELSEWHERE):
                continue
            vehicle_id = row.get("vehicle_id") or (row["subject_id"] if row.get("subject_kind") == "vehicle" else "")
            for time, word in told.items():
                if row[time] is not None:
                    ja, en = word(row)
                    found.append({"at": row[time], "source": source, "vehicle_id": vehicle_id, "ja": ja, "en": en})
    return sorted(found, key=lambda event: event["at"]), left_out


async def _figures(conn: Connection, vehicle_id: str, low: datetime, high: datetime) -> dict[str, Any]:
    values = {"vehicle_id": vehicle_id, "low": low, "high": high}
    (measured,) = await _rows(conn, "figures", values)
    (silence,) = await _rows(conn, "longest_silence", values)
    step_s = max(1.0, (high - low).total_seconds() / MAX_POINTS)
    points = await _rows(conn, "points", values | {"step_s": step_s})
    vehicle = await vehicles.get(conn, vehicle_id)
    head = log_view.head(vehicle, await flight_log.particulars(conn, "aircraft", vehicle_id))
    floats = {k: float(v) if v is not None and k.endswith(_MEASURES) else v for k, v in measured.items()}
    return {
        "vehicle_id": vehicle_id,
        "kind": vehicle["kind"],
        "type_id": vehicle["type_id"],
        "simulated": vehicle["simulated"],
        "particulars": head,
        **{k: round(v, 2) if isinstance(v, float) else v for k, v in floats.items()},
        "longest_silence_s": silence["silence"].total_seconds() if silence["silence"] is not None else None,
        "track": [_point(row) for row in points],
    }


_MEASURES = ("_mps", "_m", "_pct", "_v", "_deg")


def _point(row: Row) -> dict[str, Any]:
    return {
        "t": row["t"],
        "lat": row["lat_e7"] / 1e7,
        "lon": row["lon_e7"] / 1e7,
        "height_m": None if row["alt_home_cm"] is None else row["alt_home_cm"] / 100,
        "battery_pct": None if row["battery_pct_x10"] is None else row["battery_pct_x10"] / 10,
        "speed_mps": None if row["speed_mps"] is None else round(row["speed_mps"], 2),
    }


async def _closest(conn: Connection, incident: Mapping[str, Any], low: datetime, high: datetime) -> dict[str, Any]:
    """Return how close any drone in the air came to a drone of the incident, and in which period that was measured.

    ``start`` to ``end`` is what was measured; it is ``whole`` unless there were too many points for the time before.
    """
    low = max(low, min(incident["opened_at"], high) - NEAR_BEFORE)
    high = max(low, min(high, incident["opened_at"] + NEAR_AFTER))
    drones = [row["vehicle_id"] for row in await _rows(conn, "drones", {"region_id": incident["region_id"]})]
    ours = set(incident["vehicle_ids"]).intersection(drones)
    frame = (await regions.load(conn, incident["region_id"])).frame
    nearest: list[dict[str, Any]] = []
    since, points = high, 0
    while since > low and points < NEAR_ROWS:
        until, since = since, max(low, since - NEAR_PIECE)
        # A little more, for what lies between the last point of one piece and the first of the next.
        piece = {"low": since - timedelta(seconds=GAP_S), "high": until}
        rows = await _rows(conn, "in_the_air", {**piece, "vehicle_ids": sorted(ours)})
        if rows:
            rows += await _rows(conn, "in_the_air", {**piece, "vehicle_ids": sorted(set(drones) - ours)})
            found = await asyncio.to_thread(_nearest, rows, ours, frame)
            nearest += [found] if found else []
        points += len(rows)
    best = min(nearest, key=lambda found: found["distance_m"], default=None)
    return {"start": since, "end": high, "nearest": best, "whole": since <= low}


def _nearest(rows: list[dict[str, Any]], ours: set[str], frame: LocalFrame) -> dict[str, Any] | None:
    """Return the moment at which two drones in the air were nearest to one another in space.

    ``rows`` are points by vehicle and time.
    """
    t_s = np.arange(np.ceil(min(r["t_s"] for r in rows)), np.floor(max(r["t_s"] for r in rows)) + 1)
    tracks = {
        vehicle_id: _each_second(list(group), t_s, frame)
        for vehicle_id, group in itertools.groupby(rows, lambda r: r["vehicle_id"])
    }
    if len(tracks) < 2 or not len(t_s):
        return None
    ids, places = list(tracks), np.stack(list(tracks.values()))
    best: dict[str, Any] | None = None
    for i in (i for i, vehicle_id in enumerate(ids) if vehicle_id in ours):
        apart = places - places[i]
        away_m = np.sqrt((apart**2).sum(axis=1))
        away_m[i] = np.nan
        away_m[np.isnan(away_m)] = np.inf
        j, at = np.unravel_index(int(np.argmin(away_m)), away_m.shape)
        if away_m[j, at] < (best["distance_m"] if best else np.inf):
            best = {
                "vehicles": sorted((ids[i], ids[j])),
                "at": datetime.fromtimestamp(float(t_s[at]), tz=UTC),
                "distance_m": round(float(away_m[j, at]), 1),
                "horizontal_m": round(float(np.hypot(apart[j, 0, at], apart[j, 1, at])), 1),
                "vertical_m": round(abs(float(apart[j, 2, at])), 1),
            }
    return best


def _each_second(rows: list[dict[str, Any]], t_s: NDArray[np.float64], frame: LocalFrame) -> NDArray[np.float64]:
    """Return east, north and height in metres at each time, NaN where nobody knows: shape (3, times)."""
    known = np.asarray([(r["t_s"], r["lat_e7"], r["lon_e7"], r["alt_amsl_cm"]) for r in rows], dtype=float).T
    # Metres per degree: the frame is linear.
    east_m, north_m = frame.to_local(Position(frame.origin.lat + 1.0, frame.origin.lon + 1.0))
    places = (known[2] * 1e-7 * east_m, known[1] * 1e-7 * north_m, known[3] / 100)
    track = np.stack([np.interp(t_s, known[0], each, left=np.nan, right=np.nan) for each in places])
    after = np.searchsorted(known[0], t_s).clip(1, max(1, len(rows) - 1))
    silence_s = np.diff(known[0], append=np.inf)[after - 1]
    track[:, silence_s > GAP_S] = np.nan
    return track
