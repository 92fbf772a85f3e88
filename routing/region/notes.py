"""What an import took, left out and had to assume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

Progress = Callable[[str, float, float], None]
"""Called with the name of a step, how much of it is done, and how much there is in all."""

MAX_WARNINGS = 50
"""Warnings kept; the ones after that are counted as one line."""


@dataclass(slots=True)
class ImportNotes:
    """Filled while a region is imported, for the user to read afterwards.

    ``counts`` is what was taken, ``skipped`` what was not and why (a reason is a short phrase that can stand
    after a number), ``warnings`` whole sentences about what was assumed or repaired.
    """

    counts: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)

    def skip(self, reason: str, number: int = 1) -> None:
        """Count something that was left out."""
        if number:
            self.skipped[reason] += number

    def warn(self, text: str) -> None:
        """Keep a sentence for the user; at the bound further ones are only counted."""
        if text in self.warnings:
            return
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(text)
        else:
            self.skip("further warnings")


def silent(step: str, done: float, total: float) -> None:
    """Show no progress."""
