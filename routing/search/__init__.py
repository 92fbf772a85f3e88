"""A vehicle routing engine over numbers: trips, mixed fleets, pickups and deliveries, windows and energy.

It knows no map and no calendar. ``routing.solve`` and the classic benchmark files are brought into its model.
"""

from __future__ import annotations

from routing.search.check import check_model
from routing.search.engine import search
from routing.search.model import AT_START, SearchModel, SearchResult, SearchRoute
from routing.search.single import Insertion, insert
from routing.search.warm import warm_up

__all__ = [
    "AT_START",
    "Insertion",
    "SearchModel",
    "SearchResult",
    "SearchRoute",
    "check_model",
    "insert",
    "search",
    "warm_up",
]
