"""What a robot knows to be in its compartment."""

from __future__ import annotations

from typing import Any

from routing.vehicle_type import VehicleType
from simulators.robot_actions import LOAD_POSITION
from simulators.robot_messages import Action

MAX_LOADS = 100
"""Loads that it can tell apart; picking up more fails."""


class Cargo:
    """Loads as ``pick`` and ``drop`` change them.

    People also load it by hand, unseen: until the first ``pick`` the robot cannot tell whether it is empty,
    and by section 6.10.6 ``loads`` is then left out of the state. ``unseen_kg`` is what it weighs.
    """

    def __init__(self, profile: VehicleType, *, unseen_kg: float) -> None:
        self._payload_kg = profile.payload_kg
        self._unseen_kg = unseen_kg
        self.loads: list[dict[str, Any]] | None = None

    @property
    def mass_kg(self) -> float:
        """Everything on board."""
        return self._unseen_kg + sum(float(load.get("weight", 0.0)) for load in self.loads or ())

    def refusal(self, action: Action) -> str | None:
        """Say why a ``pick`` fails, ``None`` when it does not."""
        weight_kg = float(action.parameter("weight") or 0.0)
        if self.mass_kg + weight_kg > self._payload_kg:
            return f"{self.mass_kg + weight_kg:.1f} kg are more than the {self._payload_kg:g} kg it may carry"
        if len(self.loads or ()) >= MAX_LOADS:
            return f"{MAX_LOADS} loads are in it already"
        return None

    def pick(self, action: Action) -> None:
        """Take in what a finished ``pick`` says."""
        load: dict[str, Any] = {"loadPosition": LOAD_POSITION}
        for key in ("loadId", "loadType"):
            if action.parameter(key) is not None:
                load[key] = str(action.parameter(key))
        if action.parameter("weight") is not None:
            load["weight"] = float(action.parameter("weight"))
        self.loads = [*(self.loads or ()), load]

    def drop(self, action: Action) -> None:
        """Let go of the load that a finished ``drop`` names, or of the oldest."""
        load_id = action.parameter("loadId")
        for load in self.loads or ():
            if load_id is None or load.get("loadId") == str(load_id):
                self.loads = [each for each in self.loads or () if each is not load]
                return
