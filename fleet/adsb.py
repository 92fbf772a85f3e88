"""Reads what an ADS-B receiver sees: the ``aircraft.json`` of readsb, dump1090-fa and tar1090.

Format: README-json.md of readsb. Of each aircraft ``hex`` (ICAO address, ``~`` before it where it is none), ``flight``
(call sign), ``lat``, ``lon``, ``seen_pos`` (seconds since that position), ``alt_geom`` (feet over the ellipsoid),
``alt_baro`` (feet by the standard atmosphere, or "ground"), ``gs`` (knots), ``track`` (degrees), ``geom_rate`` and
``baro_rate`` (feet a minute), ``category`` (A0 to D7). ``now`` is when the receiver wrote the file, as Unix time. All
but ``hex`` may be missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from fleet.errors import BadRequest
from fleet.manned_aircraft import EXPIRES_S, MOST, Aircraft
from routing.errors import BadInput
from routing.geo import Position
from routing.geoid import ellipsoid_to_amsl
from routing.region.model import Region

FOOT_M = 0.3048
KNOT_MPS = 0.514444
BARO_ERROR_M = 300.0
"""What a pressure altitude may be off from AMSL by: 36 hPa from the standard's 1,013, and the encoder."""
GEOM_ERROR_M = 50.0
"""GNSS height of a transponder, with its quantisation of 25 ft."""
AROUND_M = 20_000.0
"""Aircraft farther than this from the region's middle beyond its own size are left out: two minutes of a jet."""
HIGHEST_OVER_M = 3_000.0
"""Aircraft higher than this over the region's highest ground are left out."""
MAX_ENTRIES = 5_000
"""Entries of one file that are looked at: no receiver sees so many; at the bound the rest is left out and counted."""
OLD_POSITION_S = 30.0
UNMANNED = "B6"
"""The category of unmanned aircraft."""


@dataclass(frozen=True, slots=True)
class Received:
    """One file: when the receiver wrote it (Unix time), what is near, and how many entries were of no use."""

    written_s: float
    aircraft: tuple[Aircraft, ...]
    unused: int


def read(data: bytes, region: Region, *, at: datetime, speed: float = 1.0) -> Received:
    """Return what of a file is near a region, the nearest first; raises ``BadRequest`` for what is no such file.

    ``at`` is domain time, on a clock ``speed`` times as fast as the receiver's.
    """
    try:
        whole = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"aircraft.json: no JSON: {error}") from error
    entries = whole.get("aircraft") if isinstance(whole, dict) else None
    written_s = _number(whole, "now") if isinstance(whole, dict) else None
    if not isinstance(entries, list) or written_s is None:
        raise BadRequest("aircraft.json: 'now' and a list 'aircraft' are needed: is this the address of a receiver?")
    ground = region.terrain
    height_m = (ground.heights.shape[0] - 1) * ground.step_m
    middle = (ground.west_m + ground.east_m) / 2, ground.north_m - height_m / 2
    reach_m = math.hypot(ground.east_m - ground.west_m, height_m) / 2 + AROUND_M
    top_m = float(ground.heights.max()) + HIGHEST_OVER_M
    near, unused = [], max(0, len(entries) - MAX_ENTRIES)
    for entry in entries[:MAX_ENTRIES]:
        one = _aircraft(entry, region, at, speed) if isinstance(entry, dict) else None
        if one is None:
            unused += 1
            continue
        away_m = math.dist(region.frame.to_local(Position(one.lat, one.lon)), middle)
        if away_m <= reach_m and (one.alt_amsl_m is None or one.alt_amsl_m <= top_m):
            near.append((away_m, one))
    near.sort(key=lambda pair: pair[0])
    return Received(written_s, tuple(one for _, one in near[:MOST]), unused)


def _aircraft(entry: Mapping[str, Any], region: Region, at: datetime, speed: float) -> Aircraft | None:
    """Return one entry; ``None`` for what has no place, stands on the ground, is unmanned, or is malformed."""
    ident, lat, lon = entry.get("hex"), _number(entry, "lat"), _number(entry, "lon")
    age_s = _number(entry, "seen_pos") or 0.0
    if not isinstance(ident, str) or lat is None or lon is None or entry.get("alt_baro") == "ground":
        return None
    if not 0.0 <= age_s <= OLD_POSITION_S or entry.get("category") == UNMANNED or abs(lat) > 89.0 or abs(lon) > 180.0:
        return None
    alt_m, error_m = _altitude(entry, region, lat, lon)
    flight = entry.get("flight")
    knots, track = _number(entry, "gs"), _number(entry, "track")
    rate = _number(entry, "geom_rate") or _number(entry, "baro_rate")
    observed = at - timedelta(seconds=age_s * speed)
    try:
        return Aircraft(
            ident=ident.strip().lower(),
            name=(flight.strip() if isinstance(flight, str) and flight.isprintable() else "")[:32] or ident.strip(),
            lat=lat,
            lon=lon,
            observed_at=observed,
            expires_at=observed + timedelta(seconds=EXPIRES_S * max(1.0, speed)),
            alt_amsl_m=alt_m,
            alt_error_m=error_m,
            track_deg=None if track is None else track % 360.0,
            speed_mps=None if knots is None else knots * KNOT_MPS,
            climb_mps=None if rate is None else rate * FOOT_M / 60.0,
        ).checked()
    except BadRequest:
        return None


def _altitude(entry: Mapping[str, Any], region: Region, lat: float, lon: float) -> tuple[float | None, float]:
    """Return the altitude AMSL and what it may be off by: by satellite where it says one, else by pressure."""
    geometric, barometric = _number(entry, "alt_geom"), _number(entry, "alt_baro")
    if geometric is not None:
        try:
            east, north = region.frame.to_local(Position(lat, lon))
            return float(ellipsoid_to_amsl(region, geometric * FOOT_M, east, north)), GEOM_ERROR_M
        except BadInput:
            # Without a geoid model it may be as far off as the geoid is high.
            pass
    return (None, 0.0) if barometric is None else (barometric * FOOT_M, BARO_ERROR_M)


def _number(entry: Mapping[str, Any], name: str) -> float | None:
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
