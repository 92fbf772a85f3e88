"""What several rules ask for alike, and is worked out once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_Found = TypeVar("_Found")

MOST = 20_000
"""Answers kept; at the bound all are forgotten."""


class Memo:
    """Answers about the parts of one object, the last that was asked about: a problem, or a region.

    Objects are told apart by their identity, which is quick; they are kept with the answers, so that it stays theirs.
    """

    def __init__(self) -> None:
        self._kept: tuple[object, dict[tuple[int, object], tuple[object, Any]]] = (None, {})

    def get(self, whole: object, part: object, work: Callable[[], _Found], kind: object = None) -> _Found:
        """Return what ``work`` answers, or has answered before about the same part of the same whole."""
        of, answers = self._kept
        if of is not whole or len(answers) >= MOST:
            answers = {}
            self._kept = (whole, answers)
        key = (id(part), kind)
        if key not in answers:
            answers[key] = (part, work())
        found: _Found = answers[key][1]
        return found
