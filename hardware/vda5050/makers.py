"""What the robots of a maker do otherwise than the standard: a table in data (``makers.toml``)."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, dataclass, fields
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from hardware.errors import HardwareError

INSTANT_KEYS = ("actions", "instantActions", "both")
STATE_REQUESTS = ("listed", "unlisted", "unknown")


class BadMakers(HardwareError):
    """The table of makers is not as it must be; the message names the row and the key."""


@dataclass(frozen=True, slots=True)
class Quirks:
    """How one maker's robots are spoken to. ``source`` is where that is known from.

    ``wire_version`` is written into our headers. ``instant_key`` is the key of the list in ``instantActions``.
    ``connection_qos`` is the quality with which the robot publishes its connection. ``deviation_key`` is its name of
    ``allowedDeviationXY``. ``state_request``: whether it knows the request, and lists it in ``actionStates``
    (``listed``, ``unlisted``, ``unknown``). ``stitch_actions``: an update repeats the actions of its first node.
    ``shows_added_actions``: actions that come with an update appear in its state. ``emergency_stop`` and ``unlock`` are
    the types of the instant actions for that, empty where it offers none.
    """

    source: str
    wire_version: str
    instant_key: str
    connection_qos: int
    deviation_key: str
    state_request: str
    factsheet_request: bool
    stitch_actions: bool
    shows_added_actions: bool
    emergency_stop: str
    unlock: str


_KINDS = {field.name: {"str": str, "int": int, "bool": bool}[str(field.type)] for field in fields(Quirks)}
_MATCH = ("manufacturer", "version")


@lru_cache(maxsize=1000)
def quirks_of(manufacturer: str, version: str = "") -> Quirks:
    """Return how robots of a manufacturer are spoken to.

    ``version`` is what their headers say, empty while none has been heard.
    """
    for maker, prefix, quirks in _table():
        if maker in ("", manufacturer) and version.startswith(prefix):
            return quirks
    raise BadMakers("makers.toml: its last row must fit every robot")


@cache
def _table() -> tuple[tuple[str, str, Quirks], ...]:
    text = (resources.files(__package__) / "makers.toml").read_text(encoding="utf-8")
    return read_makers(tomllib.loads(text))


def read_makers(data: dict[str, Any]) -> tuple[tuple[str, str, Quirks], ...]:
    """Read the table: manufacturer, version prefix (each empty for any) and quirks of each row, in its sequence.

    Raises ``BadMakers`` naming the row and the key that is unknown, missing or of the wrong kind.
    """
    rows = data.get("maker")
    if not isinstance(rows, list) or not rows or any(key in rows[-1] for key in _MATCH):
        raise BadMakers("makers.toml: its last row [[maker]] must fit every robot")
    for number, row in enumerate(rows, 1):
        for key, value in row.items():
            if key not in _MATCH and key not in _KINDS:
                raise BadMakers(f"makers.toml, row {number}: {key} is no key of a maker")
            kind = _KINDS.get(key, str)
            if type(value) is not kind:
                raise BadMakers(f"makers.toml, row {number}: {key} must be a {kind.__name__}, not {value!r}")
        if "source" not in row:
            raise BadMakers(f"makers.toml, row {number}: source is missing")
    return tuple(_row(number, {**rows[-1], **row}) for number, row in enumerate(rows, 1))


def _row(number: int, row: dict[str, Any]) -> tuple[str, str, Quirks]:
    for field in fields(Quirks):
        if field.name not in row and field.default is MISSING:
            raise BadMakers(f"makers.toml, row {number}: {field.name} is missing, there and in the last row")
    for key, allowed in (("instant_key", INSTANT_KEYS), ("state_request", STATE_REQUESTS), ("connection_qos", (0, 1))):
        if row[key] not in allowed:
            raise BadMakers(f"makers.toml, row {number}: {key} must be one of {allowed}, not {row[key]!r}")
    quirks = Quirks(**{key: value for key, value in row.items() if key not in _MATCH})
    return row.get("manufacturer", ""), row.get("version", ""), quirks
