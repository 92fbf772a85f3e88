"""The table of alarms: for each code its urgency, words, cause, meaning, answers and times. Data, and its look-up.

What ISA-18.2 (section 6.6, rationalisation) asks of every alarm: why it comes, what happens when nobody answers,
what the answer is, how soon it is needed, and how soon after its cause it is raised. A condition that nobody has to
answer is an event and has no place here. The rows are in ``alarm_table.toml`` beside this file.
"""

from __future__ import annotations

import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from typing import Any

from telemetry.monitors.finding import Value


class Urgency(StrEnum):
    """How soon somebody has to answer."""

    URGENT = "urgent"
    """Now: harm is near, or nobody can see the vehicle."""
    HIGH = "high"
    """Within a minute: the vehicle does something that nobody wanted."""
    MEDIUM = "medium"
    """Soon: it will become worse or late."""


RANK: Mapping[Urgency, int] = {urgency: rank for rank, urgency in enumerate(Urgency)}
"""0 is the most urgent."""
SHELVE_MAX_MIN: Mapping[Urgency, int] = {Urgency.URGENT: 5, Urgency.HIGH: 30, Urgency.MEDIUM: 240}
"""Minutes of domain time for which an alarm may be shelved at once: what is urgent comes back soon."""

TEXT_MAX = 200
"""Characters of what a vehicle says that are shown."""
MOST = 1e15
"""No figure of a text is as large: one that is, or is no number, is not known."""


@dataclass(frozen=True, slots=True)
class Words:
    """One thing said in both languages; ``{name:.0f}`` takes a value of the finding."""

    ja: str
    en: str


@dataclass(frozen=True, slots=True)
class Definition:
    """One row of the table.

    ``texts`` are tried in order: the first is taken whose ``needs`` are all there. ``answers`` are keys of
    ``ANSWERS``, the likeliest first. ``raise_s`` and ``clear_s`` are domain seconds for which the condition lasts,
    or is over, before the alarm is raised or cleared. ``detection_s`` is the longest wall time, on a clock that is
    not sped up, from the first sample that shows it to the alarm; where no sample can show it at once,
    ``detection_note`` says from when it counts. ``suppressed_by`` are codes of the same source that, while they
    hold, explain this one or make it untellable: it then neither comes nor goes.
    """

    code: str
    source_kind: str
    urgency: Urgency
    title: Words
    texts: tuple[tuple[tuple[str, ...], Words], ...]
    cause: Words
    meaning: Words
    answers: tuple[str, ...]
    worse: Urgency | None = None
    raise_s: float = 1.5
    clear_s: float = 10.0
    detection_s: float = 2.0
    detection_note: Words | None = None
    shelvable: bool = True
    suppressed_by: frozenset[str] = frozenset()

    def urgency_of(self, *, worse: bool) -> Urgency:
        """Return the urgency of the case at hand."""
        return self.worse if worse and self.worse is not None else self.urgency

    def text(self, values: Mapping[str, Value]) -> Words:
        """Return what the alarm says with these values; what is missing or no number is a question mark."""
        told = clean(values)
        for needs, words in self.texts:
            if all(told.get(name) not in (None, "", 0) for name in needs):
                return Words(_FILLER.vformat(words.ja, (), told), _FILLER.vformat(words.en, (), told))
        return self.title

    def shelve_max_min(self, urgency: Urgency) -> int:
        """Return for how many minutes the alarm may be shelved; 0: not at all."""
        return SHELVE_MAX_MIN[urgency] if self.shelvable else 0


class _Filler(string.Formatter):
    def get_value(self, key: int | str, args: Any, kwargs: Mapping[str, Any]) -> Any:
        return kwargs.get(str(key))

    def format_field(self, value: Any, format_spec: str) -> str:
        if value is None:
            return "?"
        try:
            return str(format(value, format_spec))
        except (TypeError, ValueError):
            return str(value)


_FILLER = _Filler()


def clean(values: Mapping[str, Value]) -> dict[str, Value | None]:
    """Return values that any text, log and database takes: vehicles send what they like."""
    return {name: _clean(value) for name, value in values.items()}


def _clean(value: Value) -> Value | None:
    if isinstance(value, str):
        return "".join(c if c.isprintable() else " " for c in value[:TEXT_MAX])
    return value if -MOST < value < MOST else None


def definition(code: str) -> Definition:
    """Return the row of a code. One that the table does not know is high and says its name: better odd than silent."""
    return TABLE.get(code) or Definition(
        code, "vehicle", Urgency.HIGH, Words(code, code), (), Words("", ""), Words("", ""), ("map",)
    )


def _words(data: Mapping[str, str]) -> Words:
    return Words(data["ja"], data["en"])


def _row(code: str, data: Mapping[str, Any]) -> Definition:
    """Return one row as the file has it; a key that there is not raises ``TypeError``."""
    values = dict(data)
    texts = tuple((tuple(text.get("needs", ())), _words(text)) for text in values.pop("texts"))
    note, worse = values.pop("detection_note", None), values.pop("worse", None)
    return Definition(
        code=code,
        urgency=Urgency(values.pop("urgency")),
        worse=None if worse is None else Urgency(worse),
        texts=texts,
        answers=tuple(values.pop("answers")),
        suppressed_by=frozenset(values.pop("suppressed_by", ())),
        detection_note=None if note is None else _words(note),
        title=_words(values.pop("title")),
        cause=_words(values.pop("cause")),
        meaning=_words(values.pop("meaning")),
        **values,
    )


_FILE = tomllib.loads((resources.files("fleet") / "alarm_table.toml").read_text(encoding="utf-8"))

ANSWERS: Mapping[str, Words] = {name: _words(words) for name, words in _FILE["answers"].items()}
"""What a person can do about an alarm. The first six are one action in the console."""

TABLE: Mapping[str, Definition] = {code: _row(code, data) for code, data in _FILE["alarms"].items()}
"""The row of each code."""


def shown(row: Definition) -> dict[str, Any]:
    """Return one row for the API and the console."""
    both = {"title": row.title, "cause": row.cause, "meaning": row.meaning}
    texts = {
        f"{name}_{language}": getattr(words, language) for name, words in both.items() for language in ("ja", "en")
    }
    note = row.detection_note
    return {
        "code": row.code,
        "source_kind": row.source_kind,
        "urgency": row.urgency,
        "worse": row.worse,
        **texts,
        "answers": [{"answer": name, "ja": ANSWERS[name].ja, "en": ANSWERS[name].en} for name in row.answers],
        "raise_s": row.raise_s,
        "clear_s": row.clear_s,
        "detection_s": row.detection_s,
        "detection_note_ja": note.ja if note else None,
        "detection_note_en": note.en if note else None,
        "shelve_max_min": row.shelve_max_min(row.urgency),
        "suppressed_by": sorted(row.suppressed_by),
    }
