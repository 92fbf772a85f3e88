"""The errors that a robot shows in its state (VDA 5050 2.1.0, section 6.10.5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MAX_ERRORS = 20
"""Errors in one state; the oldest warning goes first."""


@dataclass(frozen=True, slots=True)
class RobotError:
    """One error. ``level`` is WARNING or FATAL.

    ``until_update`` says that an accepted update ends it, not only a new order.
    """

    kind: str
    description: str
    level: str = "WARNING"
    references: tuple[tuple[str, str], ...] = ()
    until_update: bool = False

    def report(self) -> dict[str, Any]:
        """Return it as the state's ``error``."""
        return {
            "errorType": self.kind,
            "errorLevel": self.level,
            "errorDescription": self.description,
            "errorReferences": [{"referenceKey": key, "referenceValue": value} for key, value in self.references],
        }


@dataclass(slots=True)
class ErrorList:
    """The active errors, oldest first."""

    active: list[RobotError] = field(default_factory=list)

    @property
    def fatal(self) -> bool:
        """Whether one of them needs a person, so that the robot stands."""
        return any(error.level == "FATAL" for error in self.active)

    def add(self, error: RobotError) -> bool:
        """Add an error; returns whether it is a new one."""
        if error in self.active:
            return False
        self.active.append(error)
        if len(self.active) > MAX_ERRORS:
            warnings = (each for each in self.active if each.level != "FATAL")
            self.active.remove(next(warnings, self.active[0]))
        return True

    def clear(self, kind: str) -> None:
        """Take out the errors of one kind."""
        self.active = [error for error in self.active if error.kind != kind]

    def order_accepted(self, *, update: bool) -> None:
        """Take out the warnings that an accepted order, or only an update of it, ends (section 6.6.4)."""
        self.active = [error for error in self.active if error.level == "FATAL" or (update and not error.until_update)]
