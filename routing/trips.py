"""What trips are to the solver: visits, their shapes before they have a time, and slots in time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from routing.plan import StopAction
from routing.problem import OrderRequest
from routing.travel import Way


class Visit(NamedTuple):
    """What a trip does for an order: its drop, or ``pickup``, where the parcel is fetched away from the home."""

    order_id: str
    pickup: bool = False


Visits = tuple[Visit, ...]
"""A trip: visits in their sequence. An order without a pickup in it is loaded at home, before departure."""

Tour = tuple[Visits, ...]
"""The trips of one vehicle."""

Tours = tuple[Tour, ...]
"""A tour for each vehicle, in the order of ``Problem.vehicles``."""

DELAY_WEIGHT = 0.1
"""What a second of waiting of an order's recipient costs, in seconds of travel."""

DROP_PENALTY_S = 36_000
"""What an unserved order of priority 0 costs, in seconds of travel: more than any trip."""

MAX_PRIORITY = 100

LAYERS = ((0, 1), (2, 1), (0, 3), (2, 3))
"""In which layers a drone may fly: on its way out, and on its way home. The first is the usual one; the way home
lies above the way out, so that those who come and those who go on one line are apart."""

LAYER_EXTRA_M = 5.0
"""Layers are the vertical separation and this much apart: samples of climbing flights lie up to 3 m from the line."""

HORIZON_S = 30 * 86_400
"""Plans reach this far ahead of the problem's start; a window's end beyond it is taken as here."""

ANY_TIME = (-HORIZON_S, 2 * HORIZON_S)

LOAD_TOLERANCE = 1e-6
"""A thousandth of a gram: sums of decimals are not exact in binary."""


def drop_penalty_s(order: OrderRequest) -> float:
    """Cost of not serving an order; each step of priority adds the same again (from 0 up to 100)."""
    if order.unserved_cost is not None:
        return order.unserved_cost
    return float(DROP_PENALTY_S * (1 + min(MAX_PRIORITY, max(0, order.priority))))


@dataclass(frozen=True, slots=True)
class LegShape:
    """One leg; seconds count from the trip's departure. ``leave_s``: when its stop is over."""

    to_site: str
    action: StopAction
    order_ids: tuple[str, ...]
    way: Way
    depart_s: int
    arrive_s: int
    leave_s: int
    energy_wh: float


@dataclass(frozen=True, slots=True, eq=False)
class TripShape:
    """A trip before it has a time.

    Departure must lie in ``[soonest_s, latest_s]`` (seconds from the problem's start) for all windows to be met, all
    parcels to be there, and the vehicle to be back in its shift. Its energy is no more than a full pack may give
    (``TripBook.usable_wh``), the best one where packs differ.
    """

    legs: tuple[LegShape, ...]
    energy_wh: float
    soonest_s: int
    latest_s: int

    @property
    def seconds(self) -> int:
        """From departure until it is back."""
        return self.legs[-1].arrive_s


@dataclass(frozen=True, slots=True)
class Slot:
    """When a trip departs, in seconds from the problem's start, and what it uses.

    ``layers`` is one of ``TripBook.layer_choices``; ``pad`` and ``landing_pad`` are indices into the pads of the
    vehicle's home, ``None`` for the vehicle's own; ``pack_id`` is the battery pack where the home has a ``Station``.
    """

    departure_s: int
    layers: int = 0
    pad: int | None = None
    landing_pad: int | None = None
    pack_id: str | None = None


def without(tour: Tour, order_id: str) -> Tour:
    """Return the tour without an order, and without the trip that it leaves empty."""
    shorter = (without_order(visits, order_id) for visits in tour)
    return tuple(visits for visits in shorter if visits)


def without_order(visits: Visits, order_id: str) -> Visits:
    """Return a trip without an order."""
    return tuple(visit for visit in visits if visit.order_id != order_id)


def order_ids(visits: Iterable[Visit]) -> tuple[str, ...]:
    """Orders of a trip in the sequence of their drops."""
    return tuple(visit.order_id for visit in visits if not visit.pickup)


def served(tours: Sequence[Tour]) -> set[str]:
    """Orders on any of the tours."""
    return {visit.order_id for tour in tours for visits in tour for visit in visits}
