"""DO_JUMP items of the simulated autopilot's mission, with their counts, as PX4 1.16.1 follows them.

A jump is never the item under way: it is followed when the item before it is done, as often as its parameter 2 says,
and then passed. Counts outlive a hold and begin anew with another mission or when one is flown again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from simulators.missions import JUMP, Item

_MOST_IN_A_ROW = 10
"""Jumps that lead to jumps are followed so often, so that a ring of them ends."""


class Jumps:
    """How often each jump has been taken."""

    def __init__(self) -> None:
        self._taken: dict[int, int] = {}

    def reset(self) -> None:
        """Begin to count anew."""
        self._taken.clear()

    def after(self, items: Sequence[Item], seq: int, *, take: bool) -> int | None:
        """The item that follows ``seq``, ``None`` at the end; ``take`` counts the jumps on the way to it."""
        at = seq + 1
        if at < len(items) and items[at].command != JUMP:
            return at
        taken = dict(self._taken)
        for _ in range(_MOST_IN_A_ROW):
            if at >= len(items):
                return None
            item = items[at]
            if item.command != JUMP:
                break
            goal, times = _numbers(item)
            if taken.get(at, 0) < times and 0 <= goal < len(items):
                taken[at] = taken.get(at, 0) + 1
                at = goal
            else:
                at += 1
        if take:
            self._taken = taken
        return at if at < len(items) else None


def _numbers(item: Item) -> tuple[int, int]:
    """Where a jump leads and how often. PX4 keeps the count in 16 bits."""
    goal, times = (round(value) if math.isfinite(value) else -1 for value in item.params[:2])
    return goal, times & 0xFFFF
