"""Drafts the log from what happened: a line for each flight in stored samples, one for each mission of a robot.

Made by housekeeping in transactions that carry the place reached in the samples along, so that a crash loses none and
makes none twice, whoever else keeps house. Samples that come late (a spool that drains) lie in a silence that was
noted, and send the scan back to its beginning; flights found again are known by their time. What a person has
touched is left as it is.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
import structlog
from psycopg.types.json import Jsonb

from fleet import flight_log, flights, regions
from fleet.db.database import DATABASE_ERRORS, Connection, Database
from fleet.errors import FleetError
from fleet.flight_log import SERVICE, By
from fleet.flights import LOST_S, Flight, Mark, Scan, Turn
from routing.errors import RoutingError
from routing.geo import Position, distance_m
from routing.region.model import Region
from telemetry.clock import Clock
from telemetry.sqlfile import statements

_LOG = structlog.get_logger()
_SQL = statements("fleet.db.sql", "flight_log.sql")

INTERVAL_S = 10.0
"""Wall seconds between two rounds."""
VEHICLES_AT_ONCE = 50
"""Drones in one transaction; the others follow in the next."""
STRETCH = timedelta(hours=6)
"""Samples of one drone looked at in one transaction: 216,000 at ten a second."""
ROUNDS = 20
"""Transactions of one round of housekeeping; what is left is for the next."""
SETTLE_WALL_S = 3.0
"""Wall seconds that a sample may take from the vehicle into the store before the scan passes it."""
GAPS_KEPT = timedelta(days=7)
"""Domain time after which a silence is not expected to be filled any more."""
GAPS_AT_ONCE = 200
"""Silences of all drones that are looked at in a round; with more of them each is looked at less often."""
EVENTS = 20
"""Events of one source in a draft; the table of events and alarms has them all."""
AT_SITE_M = 60.0
"""A hub's pads are within this of its place (as for alarms)."""


async def run(database: Database, clock: Clock) -> None:
    """Draft until cancelled; any number of processes may."""
    while True:
        try:
            await round_once(database, clock)
        except DATABASE_ERRORS as error:
            _LOG.warning("the log waits: the database is away", error=str(error).strip())
        except psycopg.Error as error:
            # Such as a transaction that was in another's way: the next round finds what this one has left.
            _LOG.error("the log was not drafted", error=str(error).strip(), exc_info=error)
        await asyncio.sleep(INTERVAL_S)


async def round_once(database: Database, clock: Clock) -> int:
    """Draft what is to be drafted now; return how many lines were added or completed."""
    now = clock.now()
    horizon = now - timedelta(seconds=SETTLE_WALL_S * clock.speed)
    async with database.transaction() as conn:
        await conn.execute(_SQL["begin_scans"])
        await conn.execute(_SQL["begin_operations"])
        await conn.execute(_SQL["forget_gaps"], {"before": now - GAPS_KEPT})
        filled = await (await conn.execute(_SQL["filled_gaps"], {"at": now, "limit": GAPS_AT_ONCE})).fetchall()
    async with database.transaction() as conn:
        await _go_back(conn, filled)
    written = 0
    for _ in range(ROUNDS):
        async with database.transaction() as conn:
            more, drafted = await _scan(conn, horizon=horizon, at=now)
        written += drafted
        if not more:
            break
    async with database.transaction() as conn:
        written += await _operations(conn, at=now)
    return written


async def _go_back(conn: Connection, filled: Iterable[Mapping[str, Any]]) -> None:
    """Send scans back to silences that samples have filled since."""
    for gap in filled:
        await conn.execute(_SQL["lock_scan"], gap)
        if not (await conn.execute(_SQL["drop_gaps"], gap)).rowcount:
            continue
        await _keep(conn, gap["vehicle_id"], flights.scan_from_json(gap["state"]), scanned_to=gap["began_at"])
        _LOG.info("samples came late: flights are looked for again", vehicle=gap["vehicle_id"], since=gap["began_at"])


async def _scan(conn: Connection, *, horizon: datetime, at: datetime) -> tuple[bool, int]:
    """Look at one stretch of each of some drones; return whether there is more to look at, and the lines written."""
    values: dict[str, Any] = {
        "horizon": horizon,
        "lost": horizon - timedelta(seconds=LOST_S),
        "limit": VEHICLES_AT_ONCE,
    }
    claimed = await (await conn.execute(_SQL["claim_scans"], values)).fetchall()
    if not claimed:
        return False, 0
    by_id = {row["vehicle_id"]: row for row in claimed}
    untils = await _stretches(conn, claimed, horizon)
    written = 0
    for vehicle_id, turns in (await _turns(conn, claimed, untils)).items():
        row, until = by_id[vehicle_id], untils[vehicle_id]
        scan, ended, gaps = flights.follow(flights.scan_from_json(row["state"]), turns)
        if until >= horizon:
            scan, over = flights.settle(scan, horizon)
            ended += over
        for gap in gaps:
            await _note_gap(conn, vehicle_id, gap, at=at)
        for flight in ended:
            written += await _enter(conn, row, flight, at=at)
        # With nothing said there is no last sample; what may come later lies in a silence that will be noted.
        await _keep(conn, vehicle_id, scan, scanned_to=turns[-1].t if turns else until)
    return len(claimed) == VEHICLES_AT_ONCE or min(untils.values()) < horizon, written


async def _stretches(conn: Connection, claimed: list[dict[str, Any]], horizon: datetime) -> dict[str, datetime]:
    values = {
        "vehicle_ids": [row["vehicle_id"] for row in claimed],
        "since": [row["scanned_to"] for row in claimed],
        "horizon": horizon,
        "stretch": STRETCH,
    }
    rows = await (await conn.execute(_SQL["stretches"], values)).fetchall()
    return {row["vehicle_id"]: row["until"] for row in rows}


async def _turns(
    conn: Connection, claimed: list[dict[str, Any]], untils: Mapping[str, datetime]
) -> dict[str, list[Turn]]:
    ids = [row["vehicle_id"] for row in claimed]
    values = {
        "vehicle_ids": ids,
        "since": [row["scanned_to"] for row in claimed],
        "until": [untils[vehicle_id] for vehicle_id in ids],
        "gap": timedelta(seconds=flights.GAP_S),
    }
    found: dict[str, list[Turn]] = {vehicle_id: [] for vehicle_id in ids}
    for row in await (await conn.execute(_SQL["turns"], values)).fetchall():
        lat, lon = _degrees(row)
        found[row["vehicle_id"]].append(Turn(row["t"], row["airborne"], row["before_t"], lat, lon))
    return found


def _degrees(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    if row["lat_e7"] is None or row["lon_e7"] is None:
        return None, None
    return row["lat_e7"] / 1e7, row["lon_e7"] / 1e7


async def _keep(conn: Connection, vehicle_id: str, scan: Scan, *, scanned_to: datetime) -> None:
    values = {
        "vehicle_id": vehicle_id,
        "scanned_to": scanned_to,
        "airborne": scan.took_off is not None,
        "state": Jsonb(flights.scan_to_json(scan)),
    }
    await conn.execute(_SQL["set_scan"], values)


async def _note_gap(conn: Connection, vehicle_id: str, gap: flights.Gap, *, at: datetime) -> None:
    state = Jsonb(flights.scan_to_json(gap.before))
    values = {"vehicle_id": vehicle_id, "began_at": gap.began_at, "ended_at": gap.ended_at, "state": state, "at": at}
    await conn.execute(_SQL["note_gap"], values)


async def _enter(conn: Connection, vehicle: Mapping[str, Any], flight: Flight, *, at: datetime) -> int:
    """Write a flight down once: what was drafted of it before is completed, what a person has touched is left."""
    vehicle_id = vehicle["vehicle_id"]
    await flight_log.begin_writing(conn, vehicle_id)
    known = await flight_log.overlapping(conn, vehicle_id, flight.took_off.t, flight.landed.t)
    touched = [row for row in known if not row["untouched"]]
    if any(_is_same(row, flight) for row in touched):
        _LOG.info("a flight that a person has written down is left as it is", vehicle=vehicle_id, at=flight.took_off.t)
        return 0
    known = [row for row in known if row["untouched"]]
    if len(known) == 1 and (known[0]["began_at"], known[0]["ended_at"]) == (flight.took_off.t, flight.landed.t):
        return 0
    content = await _whole_or_bare(conn, vehicle, flight)
    content["events"] = [*(_shares_time(row) for row in touched), *content["events"]]
    if not known:
        drafted = By(SERVICE, at, "drafted")
        await flight_log.add(conn, vehicle_id=vehicle_id, kind="flight", content=content, by=drafted)
        return 1
    first, *others = known
    late = By(SERVICE, at, "samples that came later")
    await flight_log.revise(conn, first["entry_id"], content, revision=first["revision"], by=late)
    for other in others:
        await flight_log.revise(conn, other["entry_id"], {"void": True}, revision=other["revision"], by=late)
    return 1


def _is_same(row: Mapping[str, Any], flight: Flight) -> bool:
    """Whether a line and a flight share at least half of the shorter one: people round times, and samples are lost."""
    shared_s = (min(row["ended_at"], flight.landed.t) - max(row["began_at"], flight.took_off.t)).total_seconds()
    return bool(2 * shared_s >= min((row["ended_at"] - row["began_at"]).total_seconds(), flight.seconds))


def _shares_time(row: Mapping[str, Any]) -> dict[str, Any]:
    entry_id = row["entry_id"]
    return {
        "at": row["began_at"].isoformat(),
        "source": "log",
        "ja": f"人が書いた記録 {entry_id} と時間が一部重なっています：両方を確かめてください",
        "en": f"Shares time with entry {entry_id}, which a person has written: check both",
    }


async def _whole_or_bare(conn: Connection, vehicle: Mapping[str, Any], flight: Flight) -> dict[str, Any]:
    """Return a draft; where a region or mission cannot be read, its times alone: a person can fill in the rest."""
    try:
        async with conn.transaction():
            return await _draft(conn, vehicle, flight)
    except (FleetError, RoutingError, AttributeError, LookupError, TypeError, ValueError) as error:
        _LOG.error("a flight is drafted with its times alone", vehicle=vehicle["vehicle_id"], error=repr(error))
        times = {"takeoff_at": flight.took_off.t.isoformat(), "landing_at": flight.landed.t.isoformat()}
        return {**times, "mission_ids": [], "events": _unheard(flight)}


async def _draft(conn: Connection, vehicle: Mapping[str, Any], flight: Flight) -> dict[str, Any]:
    vehicle_id = vehicle["vehicle_id"]
    region = await regions.load(conn, vehicle["region_id"])
    values = {"vehicle_id": vehicle_id, "began_at": flight.took_off.t, "ended_at": flight.landed.t}
    missions = await (await conn.execute(_SQL["missions_between"], values)).fetchall()
    usual = await flight_log.particulars(conn, "aircraft", vehicle_id)
    took_off, landed = [await _placed(conn, vehicle_id, mark) for mark in (flight.took_off, flight.landed)]
    return {
        "takeoff_at": took_off.t.isoformat(),
        "landing_at": landed.t.isoformat(),
        "takeoff_place": place_name(region, took_off),
        "landing_place": place_name(region, landed),
        **_of_missions(missions, region),
        "airspace": usual.get("usual_airspace", ""),
        "method": usual.get("usual_method", ""),
        "events": [*_unheard(flight), *await happened(conn, vehicle_id, flight.took_off.t, flight.landed.t)],
    }


async def _placed(conn: Connection, vehicle_id: str, mark: Mark) -> Mark:
    """Return a mark with the nearest known place when its own sample said none."""
    if mark.lat is not None:
        return mark
    near = timedelta(seconds=30)
    values = {"vehicle_id": vehicle_id, "start": mark.t - near, "end": mark.t + near, "t": mark.t}
    row = await (await conn.execute(_SQL["position_near"], values)).fetchone()
    if row is None:
        return mark
    lat, lon = _degrees(row)
    return replace(mark, lat=lat, lon=lon)


def place_name(region: Region, mark: Mark) -> str:
    """Return where a mark lies: the site's name there, else the coordinates and the nearest site."""
    if mark.lat is None or mark.lon is None:
        return ""
    here = Position(mark.lat, mark.lon)
    away = {
        site.site_id: min(distance_m(here, place) for place in (site.position, *site.pads)) for site in region.sites
    }
    if not away:
        return f"{mark.lat:.6f}, {mark.lon:.6f}"
    nearest = region.site(min(away, key=lambda site_id: away[site_id]))
    away_m = away[nearest.site_id]
    if away_m <= AT_SITE_M:
        return f"{nearest.name_ja} ({nearest.site_id})"
    return f"{mark.lat:.6f}, {mark.lon:.6f} ({nearest.name_ja} {away_m:.0f} m)"


def _of_missions(missions: Iterable[Mapping[str, Any]], region: Region) -> dict[str, Any]:
    """What missions say of a flight or drive: whose it was, for what, and along which stops.

    Where control changed hands on the way it was several pilots', and a person says whose entry it is.
    """
    rows = list(missions)
    flown_by = (name for row in rows for name in (row["accepted_by"], *row["took_over"]))
    pilots = list(dict.fromkeys(name for name in flown_by if name))
    orders = [order for row in rows for stop in row["trip"].get("stops", ()) for order in stop["order_ids"]]
    names = {site.site_id: site.name_ja for site in region.sites}
    stops = [names.get(s["to_site"], s["to_site"]) for row in rows for s in row["trip"].get("stops", ())]
    return {
        "mission_ids": [row["mission_id"] for row in rows],
        "pilot_id": pilots[0] if len(pilots) == 1 else "",
        "purpose": f"輸送・宅配 / Delivery ({len(orders)})" if orders else "",
        "route": " → ".join(stop for stop, _ in itertools.groupby(stops)),
    }


def _unheard(flight: Flight) -> list[dict[str, Any]]:
    said = []
    if not flight.took_off.heard:
        said.append((flight.took_off, "離陸は受信されていません（最初の受信）", "The take-off was not heard"))
    if not flight.landed.heard:
        said.append((flight.landed, "着陸は受信されていません", "The landing was not heard"))
    return [{"at": mark.t.isoformat(), "source": "telemetry", "ja": ja, "en": en} for mark, ja, en in said]


_TURNED = {
    "held": ("途中で停止", "Held on the way"),
    "returning": ("引き返し", "Turned back"),
    "aborted": ("配達を終えずに終了", "Ended without all deliveries"),
    "failed": ("運航失敗", "The mission failed"),
}


async def happened(conn: Connection, vehicle_id: str, began_at: datetime, ended_at: datetime) -> list[dict[str, Any]]:
    """Return what may have touched safety in a period, in time order: alarms, turns of missions, words, commands.

    Each has ``at`` (ISO 8601), ``source`` and what it was in both languages.
    """
    values = {"vehicle_id": vehicle_id, "began_at": began_at, "ended_at": ended_at, "limit": EVENTS}

    async def rows(name: str) -> list[dict[str, Any]]:
        return await (await conn.execute(_SQL[name], values)).fetchall()

    found = [
        {"at": r["at"], "source": "mission", "ja": f"{_TURNED[r['to_state']][0]}：{r['cause']}",
         "en": f"{_TURNED[r['to_state']][1]}: {r['cause']}"}
        for r in await rows("turned_between")
    ]  # fmt: skip
    found += [{"at": r["t"], "source": "vehicle", "ja": r["text"], "en": r["text"]} for r in await rows("said_between")]
    found += [
        {"at": r["issued_at"], "source": "command", "ja": f"指令 {r['kind']}（{r['issuer']}）：{r['state']}",
         "en": f"Command {r['kind']} by {r['issuer']}: {r['state']}"}
        for r in await rows("asked_between")
    ]  # fmt: skip
    found += [
        {"at": r["at"], "source": "alarm", "ja": r["text_ja"], "en": r["text_en"]} for r in await rows("alarms_between")
    ]
    found.sort(key=lambda event: event["at"])
    return [{**event, "at": event["at"].isoformat()} for event in found]


async def _operations(conn: Connection, *, at: datetime) -> int:
    """Write ended missions of robots down."""
    reached = await (await conn.execute(_SQL["operations_to"])).fetchone()
    if reached is None:
        return 0  # somebody else is at it
    # Transactions end in another order than that of the times they carry.
    values = {"since": reached["scanned_to"] - timedelta(days=1), "limit": 200}
    rows = await (await conn.execute(_SQL["ended_operations"], values)).fetchall()
    written = 0
    for row in rows:
        # A drive has a beginning and an end as a flight has, told by the mission instead of by samples.
        drive = Flight(Mark(row["started_at"]), Mark(row["ended_at"]))
        content = await _whole_or_bare(conn, row, drive)
        entry = await flight_log.add(
            conn,
            vehicle_id=row["vehicle_id"],
            kind="operation",
            content=content,
            by=By(SERVICE, at, "drafted"),
            mission_id=row["mission_id"],
        )
        written += entry is not None
    if rows:
        await conn.execute(_SQL["set_operations_to"], {"scanned_to": rows[-1]["ended_at"]})
    return written
