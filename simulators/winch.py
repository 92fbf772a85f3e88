"""The winch of a simulated drone: a line that goes down and up, with a parcel on a hook that opens on the ground.

PX4 passes DO_WINCH on to whatever winch is there and neither waits for it nor acknowledges it: who wants the line
down hovers for so long.
"""

from __future__ import annotations

import math
from collections.abc import Callable

RELATIVE_LENGTH, RETRACT = 1, 6
"""WINCH_ACTIONS of MAVLink that it knows; others are ignored."""
_RETRACT_MPS = 0.5


class Winch:
    """``height_m`` says how high the drone is; ``laid_down(seq)`` is called when a parcel stands on the ground."""

    def __init__(self, *, height_m: Callable[[], float], laid_down: Callable[[int | None], None]) -> None:
        self.out_m = 0.0
        self._height_m = height_m
        self._laid_down = laid_down
        self._goal_m = 0.0
        self._rate_mps = _RETRACT_MPS
        self._hangs = True
        self._seq: int | None = None

    @property
    def turns(self) -> bool:
        """Whether the line is on its way."""
        return self.out_m != self._goal_m

    def command(self, action: int, length_m: float, rate_mps: float, *, seq: int | None = None) -> None:
        """Take a DO_WINCH: ``length_m`` more line (less, if negative), or all of it up."""
        if action == RELATIVE_LENGTH and math.isfinite(length_m):
            self._goal_m = max(0.0, self.out_m + length_m)
            self._rate_mps = abs(rate_mps) if math.isfinite(rate_mps) and rate_mps else _RETRACT_MPS
        elif action == RETRACT:
            self._goal_m, self._rate_mps = 0.0, _RETRACT_MPS
        else:
            return
        self._seq = seq

    def hook_on(self) -> None:
        """The ground crew hangs the next parcel on."""
        self._hangs, self.out_m, self._goal_m = True, 0.0, 0.0

    def tick(self, dt: float, *, jammed: bool) -> None:
        """Let the line go on for ``dt`` seconds; a parcel at the ground comes off its hook."""
        if jammed:
            return
        left = self._goal_m - self.out_m
        self.out_m += math.copysign(min(abs(left), self._rate_mps * dt), left)
        if left > 0 and self._hangs and self.out_m >= self._height_m():
            self._hangs = False
            self._laid_down(self._seq)
        elif left < 0 and self.out_m == 0.0:
            # Another parcel may hang on the next line.
            self._hangs = True
