"""Who else speaks as the robot, or speaks with it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping

from hardware.conditions import DUPLICATE_ID, SECOND_STATION, Conditions
from hardware.lines import Line, Lines
from hardware.vda5050.messages import State
from hardware.vda5050.route import is_ours

MOST_MESSAGES_HZ, MESSAGES_AHEAD = 20.0, 50
"""How fast the header ids of one robot grow at most; ids that lie elsewhere are another sender's."""
TAKING_TURNS_S = 40.0
"""Wall seconds in which two senders under one serial number show themselves (a state comes each 30 s at least), and
for which a condition stands after that."""
STRANGE_S = 10.0
"""Wall seconds for which a robot may drive an order before we must have been told of its mission."""
MISSIONS_KNOWN = 20
"""Missions whose orders are known to be ours; at the bound the oldest is forgotten."""


class Rivals:
    """Two robots with one serial number, and a second fleet control that gives orders to ours."""

    def __init__(self, *, serial: str, speed: float) -> None:
        self._serial = serial
        self._lines = Lines(
            per_s=MOST_MESSAGES_HZ * max(speed, 1.0),
            slack=MESSAGES_AHEAD,
            back=0,
            silent_s=TAKING_TURNS_S / 2,
            window_s=TAKING_TURNS_S,
        )
        self._conditions = Conditions()
        self._missions: deque[str] = deque(maxlen=MISSIONS_KNOWN)
        self._sent: tuple[str, int] | None = None
        self._strange: tuple[str, float] | None = None

    def standing(self, now: float) -> Mapping[str, str]:
        """Return the conditions that hold at a monotonic time, code to detail."""
        return self._conditions.standing(now)

    def line(self, state: State, now: float) -> Line:
        """Say whether a state is the robot's, or that of a second one with its serial number."""
        line = self._lines.take(state.header_id, now)
        if line is not Line.NEXT:
            self._see_two(now)
        return line

    def contradicted(self, now: float) -> None:
        """Note two messages with one header id and different times."""
        self._lines.rival(now)
        self._see_two(now)

    def expect(self, mission_id: str) -> None:
        """Take a mission's orders for ours from now on."""
        if mission_id not in self._missions:
            self._missions.append(mission_id)

    def sent(self, order_id: str, update_id: int) -> None:
        """Note what we send."""
        self._sent = order_id, update_id

    def look(self, state: State) -> None:
        """See whether the robot's order, or an update of it, is one that we did not send."""
        now = time.monotonic()
        if not state.order_active or not state.order_id:
            self._strange = None
            return
        if not any(is_ours(mission_id, state.order_id) for mission_id in self._missions):
            self._look_at_strange(state.order_id, now)
            return
        self._strange = None
        if self._sent is None or self._sent[0] != state.order_id:
            # Found under way: what it had then is believed to be ours.
            self._sent = state.order_id, state.order_update_id
        elif state.order_update_id > self._sent[1]:
            detail = (
                f"update {state.order_update_id} of order {state.order_id[:64]!r} is not ours: another fleet control"
            )
            self._conditions.see(SECOND_STATION, detail, until=now + TAKING_TURNS_S)

    def _look_at_strange(self, order_id: str, now: float) -> None:
        if self._strange is None or self._strange[0] != order_id:
            self._strange = order_id, now
        if self._missions or now - self._strange[1] >= STRANGE_S:
            detail = f"the robot drives order {order_id[:64]!r}, which is not ours: another fleet control"
            self._conditions.see(SECOND_STATION, detail, until=now + TAKING_TURNS_S)

    def _see_two(self, now: float) -> None:
        if self._lines.two(now):
            detail = f"two robots with serial number {self._serial!r} speak in turn: their header ids differ"
            self._conditions.see(DUPLICATE_ID, detail, until=now + TAKING_TURNS_S)
