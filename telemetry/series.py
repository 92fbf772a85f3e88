"""A quantity of one vehicle over time, for a chart: the lowest and the highest of each stretch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection, sql
from psycopg.rows import tuple_row

from telemetry.downsample import WIDTHS_S, aligned
from telemetry.history import check_range
from telemetry.sqlfile import statements
from telemetry.track import Resolution, finest

_SQL = statements("telemetry.sql", "history.sql")


@dataclass(frozen=True, slots=True)
class Field:
    """A quantity that can be drawn: its column in samples and rollups, what to divide by, and its unit.

    ``upside_down``: the column counts downwards (velocity down), the quantity upwards.
    """

    column: str
    scale: float
    unit: str
    upside_down: bool = False


FIELDS: Mapping[str, Field] = {
    "alt_amsl": Field("alt_amsl_cm", 100, "m"),
    "alt_home": Field("alt_home_cm", 100, "m"),
    "speed": Field("speed_cms", 100, "m/s"),
    "climb": Field("vel_d_cms", 100, "m/s", upside_down=True),
    "battery": Field("battery_pct_x10", 10, "%"),
    "voltage": Field("voltage_mv", 1000, "V"),
    "current": Field("current_ca", 100, "A"),
    "link": Field("link_pct_x10", 10, "%"),
    "wind": Field("wind_cms", 100, "m/s"),
}
"""Speed is over the ground, wind as the vehicle estimates it, link the share of its messages that arrived."""

_COMPUTED = {
    "speed_cms": sql.SQL("sqrt(vel_n_cms::float8 * vel_n_cms + vel_e_cms::float8 * vel_e_cms)"),
    "wind_cms": sql.SQL("sqrt(wind_n_cms::float8 * wind_n_cms + wind_e_cms::float8 * wind_e_cms)"),
}


@dataclass(frozen=True, slots=True)
class Stretch:
    """The lowest and the highest value of a stretch of time that begins at ``t``."""

    t: datetime
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Series:
    """Stretches of ``width_s`` in time order; one in which nothing was said is not there."""

    stretches: list[Stretch]
    width_s: float
    resolution: Resolution


async def series(
    connection: AsyncConnection[Any], vehicle_id: str, field: str, start: datetime, end: datetime, max_points: int
) -> Series:
    """Return the lowest and highest value of ``field`` in at most ``max_points`` + 1 stretches of equal width.

    Stretches lie on whole multiples of their width, the first one around ``start``, the last around ``end``: so the
    answer is the same whether it comes from samples or from rollups. Raises ``ValueError`` for a field that is not
    among ``FIELDS``, ``max_points`` below 2, or a range that ends before it starts or is too long.
    """
    if field not in FIELDS:
        raise ValueError(f"field: must be one of {', '.join(FIELDS)}, not {field!r:.40}")
    if max_points < 2:
        raise ValueError(f"max_points must be at least 2, not {max_points}")
    check_range(start, end)
    width_s = _width_s((end - start).total_seconds() / max_points)
    if width_s < 60 and (there := await finest(connection, vehicle_id, start, end)) != "samples":
        width_s = max(width_s, 60 if there == "1m" else 1)
    resolution: Resolution = "samples" if width_s < 1 else "1s" if width_s < 60 else "1m"
    width = timedelta(seconds=width_s)
    high, low = aligned(end, start, width_s)  # outwards
    async with connection.cursor(row_factory=tuple_row, binary=True) as cursor:
        await cursor.execute(
            _statement(FIELDS[field], resolution),
            {"vehicle_id": vehicle_id, "start": low, "end": high, "width": width},
        )
        rows = await cursor.fetchall()
    return Series([_stretch(FIELDS[field], *row) for row in rows], width_s, resolution)


def _width_s(least_s: float) -> float:
    for width_s in WIDTHS_S:
        if width_s >= least_s:
            return width_s
    raise ValueError("the range is too long for so few points")


def _statement(field: Field, resolution: Resolution) -> sql.Composed:
    value = _COMPUTED.get(field.column, sql.Identifier(field.column))
    lowest, highest = (sql.Identifier(f"{which}_{field.column}") for which in ("min", "max"))
    return sql.SQL(_SQL[f"series_{resolution}"]).format(value=value, lowest=lowest, highest=highest)


def _stretch(field: Field, t: datetime, lowest: float, highest: float) -> Stretch:
    if field.upside_down:
        lowest, highest = -highest, -lowest
    return Stretch(t, lowest / field.scale, highest / field.scale)
