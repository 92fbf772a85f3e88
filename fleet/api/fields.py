"""Kinds of values in requests, each refused by name where the service could not keep it."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, StringConstraints

YEARS = range(2000, 2200)


def _without_controls(text: str) -> str:
    # PostgreSQL keeps no NUL, and the others spoil lists, logs and labels.
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("must not hold line breaks or control characters")
    return text


def _within_reason(moment: datetime) -> datetime:
    # At the ends of the calendar a time zone or a sum leads out of it.
    if moment.year not in YEARS:
        raise ValueError(f"must be in the years {YEARS.start} to {YEARS.stop - 1}")
    return moment


Text = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_without_controls)]
"""One line of text, without space around it."""

Moment = Annotated[AwareDatetime, AfterValidator(_within_reason)]
"""A time with its zone."""
