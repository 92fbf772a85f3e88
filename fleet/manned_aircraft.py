"""Aircraft with people aboard, as receivers and people report them, and which flights come near to one.

Each report stands for ``EXPIRES_S`` unless it is repeated: an aircraft that nobody sees any more is not known to be
anywhere. A person may say how long and how far around a place ("helicopter near the school, ten minutes").
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from psycopg.types.json import Jsonb

from fleet import audit
from fleet.contingency_rules import limit
from fleet.db.database import Connection
from fleet.errors import BadRequest, NotFound
from fleet.predicted import Flight, places_of
from routing.geo import Position
from routing.region.model import Region
from telemetry.sqlfile import statements

_SQL = statements("fleet.db.sql", "aircraft.sql")

EXPIRES_S = 60.0
"""Domain seconds for which a report stands that is not repeated."""
LONGEST_S = 3_600.0
"""For at most so long is a report by hand believed: say it again."""
WIDEST_M = 20_000.0
FASTEST_MPS = 400.0
MAX_IDENT = 32
MOST = 500
"""Aircraft that are looked at in one region at once, those that expire last; far more than any sky holds."""
FORGET = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Aircraft:
    """One aircraft: where it was at ``observed_at``, and where it goes.

    ``alt_amsl_m`` ``None``: not known, so that it may be at any height; ``alt_error_m`` is what it may be off by.
    ``radius_m``: it is somewhere within. Without ``track_deg`` and ``speed_mps`` it is taken to stay there.
    """

    ident: str
    name: str
    lat: float
    lon: float
    observed_at: datetime
    expires_at: datetime
    alt_amsl_m: float | None = None
    alt_error_m: float = 0.0
    radius_m: float = 0.0
    track_deg: float | None = None
    speed_mps: float | None = None
    climb_mps: float | None = None

    def checked(self) -> Aircraft:
        """Return it; raises ``BadRequest`` naming what cannot be."""
        for name, low, high in (
            ("lat", -90.0, 90.0),
            ("lon", -180.0, 180.0),
            ("alt_amsl_m", -500.0, 20_000.0),
            ("alt_error_m", 0.0, 2_000.0),
            ("radius_m", 0.0, WIDEST_M),
            ("track_deg", 0.0, 360.0),
            ("speed_mps", 0.0, FASTEST_MPS),
            ("climb_mps", -100.0, 100.0),
        ):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise BadRequest(f"{name}: must be from {low:g} to {high:g}, not {value}")
        if not 1 <= len(self.ident) <= MAX_IDENT or not self.ident.isprintable():
            raise BadRequest(f"ident: 1 to {MAX_IDENT} printable characters are needed")
        valid_s = (self.expires_at - self.observed_at).total_seconds()
        if not 0.0 < valid_s <= LONGEST_S:
            raise BadRequest(f"valid_s: more than 0 and at most {LONGEST_S:g} seconds, not {valid_s:g}")
        return self


async def report(
    conn: Connection, aircraft: Sequence[Aircraft], *, region_id: str, source: str, actor: str
) -> list[dict[str, Any]]:
    """Keep what a receiver (``adsb``) or a ``person`` reports; return what has changed by it.

    An older report of the same aircraft changes nothing. Raises ``BadRequest`` for one that cannot be.
    """
    rows = [asdict(each.checked()) for each in {each.ident: each for each in aircraft}.values()]
    if not rows:
        return []
    values = {"region_id": region_id, "source": source, "actor": actor, "rows": Jsonb(rows)}
    return await (await conn.execute(_SQL["report"], values)).fetchall()


async def report_by_hand(conn: Connection, one: Aircraft, *, region_id: str, actor: str) -> dict[str, Any]:
    """Keep what a person has seen or been told, with a line in the audit. Raises ``BadRequest``."""
    rows = await report(conn, [one], region_id=region_id, source="person", actor=actor)
    if not rows:
        raise BadRequest(f"ident: {one.ident!r} is known from a receiver now, or newer; give it another name")
    subject = ("manned_aircraft", one.ident)
    detail = {"name": one.name, "lat": one.lat, "lon": one.lon, "radius_m": one.radius_m}
    await audit.record(conn, at=one.observed_at, actor=actor, action="aircraft.report", subject=subject, detail=detail)
    return rows[0]


async def listing(conn: Connection, *, region_id: str, at: datetime) -> list[dict[str, Any]]:
    """Return what is known of now."""
    values = {"region_id": region_id, "at": at, "limit": MOST}
    return await (await conn.execute(_SQL["present"], values)).fetchall()


async def remove(conn: Connection, ident: str, *, region_id: str, at: datetime, actor: str) -> None:
    """Say that an aircraft has gone; raises ``NotFound``."""
    if (await (await conn.execute(_SQL["remove"], {"region_id": region_id, "ident": ident})).fetchone()) is None:
        raise NotFound(f"there is no manned aircraft {ident!r}")
    await audit.record(conn, at=at, actor=actor, action="aircraft.remove", subject=("manned_aircraft", ident))


async def forget_old(conn: Connection, *, at: datetime) -> None:
    """Drop what has expired long ago."""
    await conn.execute(_SQL["forget_old"], {"before": at - FORGET})


@dataclass(frozen=True, slots=True)
class Encounter:
    """A flight and an aircraft that come near: in how many seconds, and how near then.

    ``vertical_m`` is ``None`` where the aircraft's height is not known; ``alt_amsl_m`` and ``alt_error_m`` are its.
    """

    ident: str
    name: str
    in_s: float
    horizontal_m: float
    vertical_m: float | None
    alt_amsl_m: float | None
    alt_error_m: float


def of_row(row: dict[str, Any]) -> Aircraft:
    """Return a row of the table as it is used here."""
    return Aircraft(**{name: row[name] for name in Aircraft.__dataclass_fields__})


def encounters(flight: Flight, aircraft: Iterable[Aircraft], region: Region, *, at: datetime) -> list[Encounter]:
    """Return the aircraft that a flight comes near to within the time that the rule looks ahead.

    Near is ``horizontal_m`` beyond the aircraft's radius, and ``vertical_m`` beyond what its altitude may be off by,
    both at the same second (``contingency_rules.toml``).
    """
    ahead_s = limit("aircraft_near", "ahead_s")
    times, ours = places_of(flight, region, at=at, ahead_s=ahead_s)
    if not len(times):
        return []
    found = []
    for one in aircraft:
        east, north = region.frame.to_local(Position(one.lat, one.lon))
        seconds = times + (at - one.observed_at).total_seconds()
        speed, track = one.speed_mps or 0.0, math.radians(one.track_deg or 0.0)
        moves = one.track_deg is not None
        dx = east + (speed * math.sin(track) * seconds if moves else 0.0) - ours[:, 0]
        dy = north + (speed * math.cos(track) * seconds if moves else 0.0) - ours[:, 1]
        horizontal = np.maximum(0.0, np.hypot(dx, dy) - one.radius_m)
        vertical = np.zeros_like(horizontal)
        if one.alt_amsl_m is not None:
            # Its climb is believed for as long as it is looked ahead, and no longer than its report stands.
            vertical = np.abs(one.alt_amsl_m + (one.climb_mps or 0.0) * np.minimum(seconds, ahead_s) - ours[:, 2])
        near = (horizontal < limit("aircraft_near", "horizontal_m")) & (
            vertical < limit("aircraft_near", "vertical_m") + one.alt_error_m
        )
        rows = np.flatnonzero(near)
        if len(rows):
            i = int(rows[np.argmin(horizontal[rows])])
            height = None if one.alt_amsl_m is None else float(vertical[i])
            found.append(
                Encounter(
                    one.ident,
                    one.name,
                    float(times[rows[0]]),
                    float(horizontal[i]),
                    height,
                    one.alt_amsl_m,
                    one.alt_error_m,
                )
            )
    return found
