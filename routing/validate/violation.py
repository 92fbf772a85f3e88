"""What a rule of the validator says about a plan."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule. ``subject`` is the order, vehicle, trip or leg (``trip/leg number``) that breaks it."""

    rule: str
    subject: str
    message: str
