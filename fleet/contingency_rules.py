"""The rules for contingencies: what is done by itself when something goes wrong. Data, and its look-up.

The rows are in ``contingency_rules.toml`` beside this file; a rule that cannot be stops the service at its start.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from importlib import resources
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fleet.alarm_table import TABLE, Urgency
from fleet.errors import ConfigError
from hardware.link import Activity
from routing.vehicle_type import VehicleKind


class Response(StrEnum):
    """What a rule does. How its parameter is chosen is in ``fleet.contingency_choice``."""

    NONE = "none"
    """Nothing by itself: it is written down and people are told."""
    HOLD = "hold"
    HOLD_CLEAR = "hold_clear"
    """Hold, where that place is clear of what comes."""
    RETURN = "return"
    RETURN_CLEAR = "return_clear"
    """Come home, where its own way there is clear of closed areas."""
    LAND = "land"
    NEAREST_SITE = "nearest_site"
    """Be diverted to the nearest site that its energy reaches, clear of closed areas."""
    OTHER_ALTITUDE = "other_altitude"
    """Hold at another altitude: over the terrain's least height, under the ceiling, apart from what comes."""
    SKIP = "skip"
    """Go on without the delivery that it waits at."""
    REPLAN = "replan"
    """Ask for a new plan."""


LIMITS: Mapping[str, frozenset[str]] = {
    "path_conflict": frozenset({"ahead_s"}),
    "aircraft_near": frozenset({"horizontal_m", "vertical_m", "ahead_s"}),
    "weather_old": frozenset({"old_s"}),
    "in_road": frozenset({"stands_s"}),
    "recipient_absent": frozenset({"waits_s"}),
    "medical_late": frozenset({"priority_from", "ahead_s"}),
}
"""The figures by which a trigger's finding is made, and which its rule must state."""
OF_ORDERS = frozenset({"medical_late"})
"""Triggers about an order, not about a vehicle."""

Seconds = Annotated[float, Field(ge=0.0, le=86_400.0, allow_inf_nan=False)]
Figure = Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]
Words = Annotated[str, Field(min_length=1, max_length=200)]


class Rule(BaseModel):
    """One rule.

    ``trigger`` is the code of a finding, which has to hold for ``holds_s``; an occurrence is over when it has not for
    ``clear_s``. It is about ``vehicles`` of these kinds, while their activity is one of ``activities`` (empty: any),
    and only in the air where it is about ``flying``. The first of ``responses`` that can be done is done, after
    ``ask_pilot_s`` in which a pilot may do otherwise (0: at once); one that fails is tried ``repeats`` times more,
    every ``repeat_s``. A person's newer command stands, unless ``safety_over_pilot``. ``limits`` are figures of the
    trigger's finding, ``words`` what it looks for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule_id: str
    trigger: str
    vehicles: tuple[VehicleKind, ...]
    activities: tuple[Activity, ...] = ()
    flying: bool = False
    holds_s: Seconds
    clear_s: Seconds = 30.0
    responses: tuple[Response, ...] = Field(min_length=1)
    ask_pilot_s: Seconds = 0.0
    repeats: int = Field(default=0, ge=0, le=100)
    repeat_s: Seconds = 30.0
    urgency: Urgency
    safety_over_pilot: bool = False
    ja: Words
    en: Words
    source: Words
    limits: Mapping[str, Figure] = Field(default_factory=dict)
    words: tuple[Words, ...] = ()

    @model_validator(mode="after")
    def _fits_its_trigger(self) -> Self:
        if self.trigger not in TABLE:
            raise ValueError(f"trigger: {self.trigger!r} is no finding that the table of alarms knows")
        needed = LIMITS.get(self.trigger, frozenset())
        if set(self.limits) != needed:
            raise ValueError(f"limits: {self.trigger} needs {', '.join(sorted(needed)) or 'none'}")
        if (self.trigger in OF_ORDERS) == bool(self.vehicles):
            raise ValueError("vehicles: needed for findings of vehicles, and for no other")
        if Response.NONE in self.responses and len(self.responses) > 1:
            raise ValueError("responses: 'none' stands alone")
        if Response.REPLAN in self.responses and self.trigger not in OF_ORDERS:
            raise ValueError("responses: 'replan' is for rules about orders")
        return self

    @property
    def acts(self) -> bool:
        """Whether it does anything by itself."""
        return self.responses != (Response.NONE,)

    @property
    def issuer(self) -> str:
        """Who gives its commands."""
        return f"rule: {self.rule_id}"


def read(text: str) -> dict[str, Rule]:
    """Return the rules of a file by their ids; raises ``ConfigError`` that names the rule and the field."""
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"contingency rules: not TOML: {error}") from error
    rules = data.get("rules")
    if set(data) != {"rules"} or not isinstance(rules, dict):
        raise ConfigError("contingency rules: one table 'rules' is needed, and nothing else")
    found, wrong = {}, []
    for rule_id, row in rules.items():
        try:
            found[rule_id] = Rule.model_validate({**row, "rule_id": rule_id} if isinstance(row, dict) else row)
        except ValidationError as error:
            wrong += [f"rule {rule_id}: {_said(item)}" for item in error.errors(include_url=False)]
    if wrong:
        raise ConfigError("contingency rules are wrong:\n  " + "\n  ".join(wrong))
    return found


def _said(item: Any) -> str:
    where = ".".join(map(str, item["loc"]))
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


RULES: Mapping[str, Rule] = read((resources.files("fleet") / "contingency_rules.toml").read_text(encoding="utf-8"))
"""The rules of the service."""


def limit(trigger: str, name: str, rules: Mapping[str, Rule] = RULES) -> float:
    """Return a figure by which a trigger's finding is made: the strictest, where several rules state it."""
    return min(rule.limits[name] for rule in rules.values() if rule.trigger == trigger)
