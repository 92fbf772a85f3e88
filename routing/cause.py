"""What keeps an order from being served, as values that stay the same."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """What keeps a vehicle from an order. The values are stable: user interfaces translate them."""

    UNKNOWN_SITE = "unknown_site"
    SAME_SITE = "same_site"
    NO_VEHICLES = "no_vehicles"
    AWAY_PICKUP = "away_pickup"
    SITE_ACCEPTS = "site_accepts"
    TEMPERATURE = "temperature"
    MASS = "mass"
    VOLUME = "volume"
    PADS = "pads"
    PACKS = "packs"
    AIRSPACE = "airspace"
    NO_WAY = "no_way"
    WIND = "wind"
    ENERGY = "energy"
    PILOT_LIMIT = "pilot_limit"
    HORIZON = "horizon"
    WINDOW = "window"
    SHIFT = "shift"
    CAPACITY = "capacity"
    CROWDED = "crowded"


SOFT = frozenset(
    {Cause.WINDOW, Cause.SHIFT, Cause.HORIZON, Cause.CAPACITY, Cause.CROWDED, Cause.PACKS, Cause.PILOT_LIMIT}
)
"""Causes that lie in the hour or in what else is planned. The others lie in the order, the place or the machines:
an order that one of them has kept back will be late in the end too, but that is not why it is not served."""
