"""Changes of a good plan that only one rule of the validator notices each: all of them, by rule."""

from __future__ import annotations

from tests.mutations import movement, orders, traffic
from tests.mutations.kit import MUTATIONS, good

__all__ = ["MUTATIONS", "good", "movement", "orders", "traffic"]
