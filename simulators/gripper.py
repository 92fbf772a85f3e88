"""The parcel gripper of a simulated drone (PX4's payload deliverer)."""

from __future__ import annotations

from collections.abc import Callable

RELEASE, GRAB = 0, 1
_SECONDS = 1.0

ACCEPTED, TEMPORARILY_REJECTED, DENIED, FAILED, IN_PROGRESS, CANCELLED = 0, 1, 2, 4, 5, 6

Answer = Callable[[int, "tuple[int, int] | None"], None]
"""Sends a COMMAND_ACK for DO_GRIPPER with a MAV_RESULT to a partner (``None``: the autopilot itself)."""


class Gripper:
    """Opens and closes in a second of vehicle time and acknowledges as PX4 does.

    IN_PROGRESS at once, ACCEPTED when done; an action already satisfied is ACCEPTED at once; the same
    action while it runs is TEMPORARILY_REJECTED; another one cancels it. ``done(action, seq)`` is called
    at each completed action, with the mission item that caused it or ``None``; while it is ``jammed`` it fails.
    """

    def __init__(
        self, *, answer: Answer, done: Callable[[int, int | None], None], jammed: Callable[[], bool] = lambda: False
    ) -> None:
        self.state = GRAB
        self._answer = answer
        self._done = done
        self._jammed = jammed
        self._action: int | None = None
        self._since_s = 0.0
        self._now_s = 0.0
        self._partner: tuple[int, int] | None = None
        self._seq: int | None = None

    @property
    def busy(self) -> bool:
        """Whether an action is under way."""
        return self._action is not None

    def command(self, action: int, *, seq: int | None = None, partner: tuple[int, int] | None = None) -> None:
        """Take a DO_GRIPPER, from a mission item (``seq``) or from a ``partner`` (system, component)."""
        if self._action is not None:
            if action == self._action:
                self._answer(TEMPORARILY_REJECTED, partner)
                return
            self._answer(CANCELLED, self._partner)
            self._action = None
        if action not in (RELEASE, GRAB):
            self._answer(DENIED, partner)
        elif action == self.state:
            self._answer(ACCEPTED, partner)
            self._done(action, seq)
        else:
            self._action, self._since_s = action, self._now_s
            self._partner, self._seq = partner, seq
            self._answer(IN_PROGRESS, partner)

    def close_on_parcel(self) -> None:
        """The ground crew loads a parcel."""
        self.state, self._action = GRAB, None

    def tick(self, now_s: float) -> None:
        """Complete an action whose time has come."""
        self._now_s = now_s
        if self._action is None or now_s - self._since_s < _SECONDS:
            return
        action, self._action = self._action, None
        if self._jammed():
            self._answer(FAILED, self._partner)
            return
        self.state = action
        self._answer(ACCEPTED, self._partner)
        self._done(action, self._seq)
