"""What a rule of the validator says about a plan."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from routing.geo import Position


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule. ``subject`` is the order, vehicle, trip or leg (``trip/leg number``) that breaks it.

    ``size``: by how much, in ``unit``; None where a thing is or is not. ``vehicle_id``, ``at`` and ``place`` are
    filled in from the subject where the rule itself does not know better (``validate.locate``): the vehicle, the
    departure of a leg or trip or the arrival of an order, and the end of a leg or the start of a trip.
    """

    rule: str
    subject: str
    message: str
    vehicle_id: str | None = None
    at: datetime | None = None
    place: Position | None = None
    size: float | None = None
    unit: str = ""
