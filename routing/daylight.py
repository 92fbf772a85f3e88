"""Sunrise and sunset."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

_HORIZON_DEG = 90.833
"""Zenith distance of the sun's middle at sunrise: refraction and the sun's radius."""


def sunlight(day: date, lat: float, lon: float) -> tuple[datetime, datetime] | None:
    """Return sunrise and sunset in UTC of a day at a place (the day by its mean solar time); ``None``: none on it.

    Raises nothing; a day without a night lasts from midnight to midnight. After NOAA, Global Monitoring Division,
    "General Solar Position Calculations" (fractional year, equation of time, declination, hour angle): within three
    minutes of the almanac between 60 degrees south and north.
    """
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    days = 366 if day.year % 4 == 0 and (day.year % 100 != 0 or day.year % 400 == 0) else 365
    noon_shift_h = lon / 15.0
    year = 2.0 * math.pi / days * (day.timetuple().tm_yday - 1 - noon_shift_h / 24.0)
    equation_min = 229.18 * (
        0.000075
        + 0.001868 * math.cos(year)
        - 0.032077 * math.sin(year)
        - 0.014615 * math.cos(2 * year)
        - 0.040849 * math.sin(2 * year)
    )
    declination = (
        0.006918
        - 0.399912 * math.cos(year)
        + 0.070257 * math.sin(year)
        - 0.006758 * math.cos(2 * year)
        + 0.000907 * math.sin(2 * year)
        - 0.002697 * math.cos(3 * year)
        + 0.00148 * math.sin(3 * year)
    )
    latitude = math.radians(lat)
    cosine = math.cos(math.radians(_HORIZON_DEG)) / (math.cos(latitude) * math.cos(declination))
    cosine -= math.tan(latitude) * math.tan(declination)
    noon = start + timedelta(minutes=720.0 - 4.0 * lon - equation_min)
    if cosine > 1.0:
        return None
    if cosine < -1.0:
        return noon - timedelta(hours=12), noon + timedelta(hours=12)
    half = timedelta(minutes=4.0 * math.degrees(math.acos(cosine)))
    return noon - half, noon + half


def is_daylight(begin: datetime, end: datetime, lat: float, lon: float) -> bool:
    """Whether the sun is up at a place all the time from ``begin`` to ``end``."""
    now = begin
    solar_day = (begin.astimezone(UTC) + timedelta(hours=lon / 15.0)).date()
    for offset in (-1, 0, 1, 2):
        light = sunlight(solar_day + timedelta(days=offset), lat, lon)
        # Where the night is missing, one day's light goes on in the next one's, to a minute of its noon.
        joint = timedelta(minutes=1 if now > begin else 0)
        if light is not None and light[0] - joint <= now <= light[1]:
            now = light[1]
            if now >= end:
                return True
    return False
