"""Whether a vehicle that is heard also hears us: asked for its version now and then, and counted by its answers."""

from __future__ import annotations

from dataclasses import dataclass

QUIET_S = 3.0
"""Wall time without any answer to us after which the vehicle is asked."""
ASK_EVERY_S = 0.7
UNANSWERED = 6
"""Questions in a row without an answer that show that it does not hear us: about 7 s, before a vehicle's usual
lost-link time of 10 s is over. At 20 % loss in each direction that is seen wrongly once in some 20 minutes."""
THEN_EVERY_S = 3.0
"""How often one that does not answer is asked on."""


@dataclass(slots=True)
class Contact:
    """Questions and answers of one vehicle; all times are monotonic wall time."""

    quiet_since: float = 0.0
    asked: int = 0
    ask_next_at: float = 0.0

    @property
    def one_way(self) -> bool:
        """Whether so many questions went unanswered that the vehicle does not hear us."""
        return self.asked > UNANSWERED

    def answered(self, now: float) -> None:
        """Take an answer of the vehicle to anything of ours."""
        self.quiet_since, self.asked = now, 0
        self.ask_next_at = now + QUIET_S

    def begin(self, now: float, *, at_once: bool = False) -> None:
        """Begin anew; ``at_once``: ask now, else after ``QUIET_S``."""
        self.answered(now)
        if at_once:
            self.ask_next_at = now

    def due(self, now: float) -> bool:
        """Whether to ask now; if so, the question counts as asked."""
        if now < self.ask_next_at:
            return False
        self.asked += 1
        self.ask_next_at = now + (ASK_EVERY_S if self.asked <= UNANSWERED else THEN_EVERY_S)
        return True
