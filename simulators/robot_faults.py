"""What may happen to a simulated robot on its way: it gets stuck, tips over, or something stands before it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Trouble(StrEnum):
    """What happens. Only a robot that tips over says so itself."""

    STUCK = "stuck"
    """Its wheels turn and it does not move: it reports that it drives, at a speed of 0."""
    TIPPED = "tipped"
    """It lies on its side: a FATAL error."""
    OBSTACLE = "obstacle"
    """Something stands in its protective field: it waits and reports the violation."""


class FaultConfig(BaseModel):
    """One trouble: when it begins and how long it lasts (for good, when ``lasts_s`` is null).

    It begins ``after_s`` seconds of domain time after the simulator did, or where the robot is ``past_m`` beyond the
    node ``at_node``, which may be in the middle of a road.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: Trouble
    at_node: str | None = None
    past_m: Annotated[float, Field(ge=0, le=1e4)] = 0.0
    after_s: Annotated[float, Field(ge=0)] | None = None
    lasts_s: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _begins_somehow(self) -> Self:
        if (self.at_node is None) == (self.after_s is None):
            raise ValueError("a fault begins at_node or after_s, one of them")
        return self


@dataclass(slots=True)
class _Planned:
    config: FaultConfig
    began_s: float | None = None
    over: bool = False


@dataclass(slots=True)
class Faults:
    """The troubles of one robot. Each comes once."""

    planned: list[_Planned] = field(default_factory=list)
    now_s: float = 0.0
    _node: str = ""
    _node_at: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, configs: tuple[FaultConfig, ...]) -> Faults:
        """Return the troubles of a configuration."""
        return cls([_Planned(config) for config in configs])

    def begin(self, kind: Trouble) -> None:
        """Let something happen with the next step, for good."""
        self.planned.append(_Planned(FaultConfig(kind=kind, after_s=self.now_s)))

    def end(self) -> None:
        """Let everything be well again, as after somebody has helped."""
        for each in self.planned:
            each.over = each.over or each.began_s is not None

    def step(self, dt_s: float, *, node: str, at: tuple[float, float]) -> tuple[frozenset[Trouble], frozenset[Trouble]]:
        """Let time pass for a robot whose last node is ``node``; return what holds now and what has just begun."""
        self.now_s += dt_s
        if node != self._node:
            self._node, self._node_at = node, at
        begun = set()
        for each in self.planned:
            if each.began_s is None and self._begins(each.config, at):
                each.began_s = self.now_s
                begun.add(each.config.kind)
            lasts_s = each.config.lasts_s
            if each.began_s is not None and lasts_s is not None and self.now_s - each.began_s >= lasts_s:
                each.over = True
        return self.active, frozenset(begun)

    @property
    def active(self) -> frozenset[Trouble]:
        """What is wrong now."""
        return frozenset(each.config.kind for each in self.planned if each.began_s is not None and not each.over)

    def _begins(self, config: FaultConfig, at: tuple[float, float]) -> bool:
        if config.after_s is not None:
            return self.now_s >= config.after_s
        return config.at_node == self._node and math.dist(at, self._node_at) >= config.past_m
