"""Where one vehicle was, with as many points as can be drawn and no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from psycopg import AsyncConnection, sql
from psycopg.rows import class_row, scalar_row

from telemetry.downsample import WIDTHS_S, aligned, largest_triangles
from telemetry.history import check_range
from telemetry.sqlfile import statements

Resolution = Literal["samples", "1s", "1m"]
"""What an answer was made of: samples, or rollups of a second or a minute when the samples are gone."""

MOST_ROWS = 10_000
"""Up to so many places are all looked at; of more, a few of each stretch of time."""
MOST_LOOKS = 2_000
"""Places looked up one by one in old rollups: about 20 us each."""
_METRES_PER_DEGREE = 111_320.0
_SQL = statements("telemetry.sql", "history.sql")


@dataclass(frozen=True, slots=True)
class TrackPoint:
    """Where a vehicle was at a moment, in the scaled integers of a sample. ``alt_home_cm`` is over its take-off."""

    t: datetime
    lat_e7: int
    lon_e7: int
    alt_amsl_cm: int | None
    alt_home_cm: int | None
    battery_pct_x10: int | None


@dataclass(frozen=True, slots=True)
class Track:
    """A track in time order, and the coarsest resolution of what it was made of."""

    points: list[TrackPoint]
    resolution: Resolution


@dataclass(frozen=True, slots=True)
class _Stored:
    """``whole``: samples of the whole period are there; ``samples_from``: from when on they are, if not from ever.

    ``continuous``: the database keeps rollups of samples that are there, too.
    """

    whole: bool
    samples_from: datetime | None
    continuous: bool


async def track(
    connection: AsyncConnection[Any], vehicle_id: str, start: datetime, end: datetime, max_points: int
) -> Track:
    """Return where a vehicle was with ``start <= t < end``: at most ``max_points`` places, none in a gap.

    Places are stored samples that say a position, never means. Where there are more, the largest triangles stay
    (``telemetry.downsample``): of all, up to ``MOST_ROWS``; of a longer track, of the last samples of as many or up to
    2.5 times as many equal stretches of time, so that the cost does not grow with the samples. Where retention has
    dropped the samples, the last places of the seconds or minutes that are still there stand in. Raises
    ``ValueError`` for ``max_points`` below 2 or a range that ends before it starts.
    """
    if max_points < 2:
        raise ValueError(f"max_points must be at least 2, not {max_points}")
    check_range(start, end)
    stored = await _stored(connection, vehicle_id, start, end)
    if stored.whole or stored.samples_from is None:
        return Track(await _of_samples(connection, vehicle_id, start, end, max_points, stored), "samples")
    middle = min(end, stored.samples_from)
    coarse: Resolution = "1s" if await _has_seconds(connection, vehicle_id, start, middle) else "1m"
    points = await _few(connection, vehicle_id, start, middle, max_points, coarse)
    if points is None:
        points = await _looked_up(connection, vehicle_id, start, middle, max(max_points, MOST_LOOKS), coarse)
    points += await _of_samples(connection, vehicle_id, middle, end, max_points, stored)
    return Track(_thinned(points, max_points), coarse)


async def finest(connection: AsyncConnection[Any], vehicle_id: str, start: datetime, end: datetime) -> Resolution:
    """Return the finest resolution in which a vehicle's whole period is stored."""
    stored = await _stored(connection, vehicle_id, start, end)
    if stored.whole:
        return "samples"
    return "1s" if await _has_seconds(connection, vehicle_id, start, end) else "1m"


async def _stored(connection: AsyncConnection[Any], vehicle_id: str, start: datetime, end: datetime) -> _Stored:
    async with connection.cursor(row_factory=class_row(_Stored)) as cursor:
        await cursor.execute(_SQL["kept_as"], {"vehicle_id": vehicle_id, "start": start, "end": end})
        [stored] = await cursor.fetchall()
    return stored


async def _has_seconds(connection: AsyncConnection[Any], vehicle_id: str, start: datetime, end: datetime) -> bool:
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(_SQL["has_seconds"], {"vehicle_id": vehicle_id, "start": start, "end": end})
        return bool(await cursor.fetchone())


async def _of_samples(
    connection: AsyncConnection[Any], vehicle_id: str, start: datetime, end: datetime, most: int, stored: _Stored
) -> list[TrackPoint]:
    """Places from samples, the same whether the database keeps rollups, from which the stretches are read quicker."""
    points = await _few(connection, vehicle_id, start, end, most, "samples")
    if points is None:
        longest_s = (end - start).total_seconds() / most
        width_s = max((width for width in WIDTHS_S if 1 <= width <= longest_s), default=None)
        if width_s is None:
            points = await _looked_up(connection, vehicle_id, start, end, most, "samples")
        else:
            points = await _of_stretches(connection, vehicle_id, start, end, width_s, stored)
    return _thinned(points, most)


async def _few(
    connection: AsyncConnection[Any], vehicle_id: str, start: datetime, end: datetime, most: int, source: Resolution
) -> list[TrackPoint] | None:
    """All places, or ``None`` when there are more than are looked at."""
    limit = max(most, MOST_ROWS)
    span: dict[str, object] = {"vehicle_id": vehicle_id, "start": start, "end": end}
    async with connection.cursor(row_factory=scalar_row, binary=True) as cursor:
        await cursor.execute(_from("places_up_to", source), span | {"limit": limit + 1})
        number = await cursor.fetchone() or 0
    if number > limit:
        return None
    return await _points(connection, _from("track_all", source), span | {"limit": limit})


async def _of_stretches(
    connection: AsyncConnection[Any],
    vehicle_id: str,
    start: datetime,
    end: datetime,
    width_s: float,
    stored: _Stored,
) -> list[TrackPoint]:
    """The last place of each stretch that begins at a multiple of its width, and of what is left at both ends."""
    low, high = aligned(start, end, width_s)
    points = await _looked_up(connection, vehicle_id, start, low, 1, "samples")
    if stored.continuous:
        name = "track_1m" if width_s >= 60 else "track_1s"
        span = {"vehicle_id": vehicle_id, "start": low, "end": high, "width_s": float(width_s)}
        points += await _points(connection, sql.SQL(_SQL[name]).format(), span)
    else:
        stretches = round((high - low).total_seconds() / width_s)
        points += await _looked_up(connection, vehicle_id, low, high, stretches, "samples")
    return points + await _looked_up(connection, vehicle_id, high, end, 1, "samples")


async def _looked_up(
    connection: AsyncConnection[Any], vehicle_id: str, start: datetime, end: datetime, looks: int, source: Resolution
) -> list[TrackPoint]:
    """The last place of each of as many equal stretches."""
    if end <= start:
        return []
    span: dict[str, object] = {"vehicle_id": vehicle_id, "start": start, "end": end}
    width_s = (end - start).total_seconds() / looks
    return await _points(connection, _from("track_buckets", source), span | {"buckets": looks, "width_s": width_s})


async def _points(
    connection: AsyncConnection[Any], statement: sql.Composed, values: Mapping[str, object]
) -> list[TrackPoint]:
    async with connection.cursor(row_factory=class_row(TrackPoint), binary=True) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchall()


def _thinned(points: list[TrackPoint], most: int) -> list[TrackPoint]:
    return [points[i] for i in largest_triangles(_as_line(points), most)] if len(points) > most else points


def _from(name: str, source: Resolution) -> sql.Composed:
    places = sql.SQL(_SQL[f"places_{source}"])
    return sql.SQL(_SQL[name]).format(places=places)


def _as_line(points: list[TrackPoint]) -> npt.NDArray[np.float64]:
    """East, north and up in metres, and time, in which the mean speed makes metres of seconds.

    Time is there so that a turn back on the same line is a corner, too. An altitude that is not said counts as 0.
    """
    rows = [(p.lat_e7, p.lon_e7, p.alt_amsl_cm or 0, p.t.timestamp()) for p in points]
    lat, lon, alt, t_s = np.array(rows, dtype=np.float64).T
    north = (lat - lat[0]) / 1e7 * _METRES_PER_DEGREE
    east = (lon - lon[0]) / 1e7 * _METRES_PER_DEGREE * np.cos(np.radians(lat[0] / 1e7))
    line = np.column_stack((east, north, alt / 100.0, np.zeros(len(points))))
    length_m = float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())
    line[:, 3] = (t_s - t_s[0]) * length_m / max(t_s[-1] - t_s[0], 1e-6)
    return line
