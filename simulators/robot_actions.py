"""The actions of a robot: what it can do, in which sequence, how each one stands (sections 6.8 to 6.12)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from routing.vehicle_type import VehicleType
from simulators.robot_messages import Action, Rejection

LOAD_POSITION = "compartment"
MAX_DURATION_S = 86_400.0
MAX_INSTANT_STATES = 200
"""Finished instant actions kept in the state while no new order comes; the oldest go first."""


class Status(StrEnum):
    """``actionStatus`` of section 6.11."""

    WAITING = "WAITING"
    INITIALIZING = "INITIALIZING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Capability:
    """An action type that the robot offers: where it may be asked for, and its parameters for the factsheet.

    A parameter is its key, its ``valueDataType`` and what it is for; all are optional.
    """

    scopes: tuple[str, ...]
    description: str
    parameters: tuple[tuple[str, str, str], ...] = ()


_DURATION = ("duration", "FLOAT", "s")
CAPABILITIES: dict[str, Capability] = {
    "drop": Capability(
        ("NODE",),
        "Opens the compartment for the dwell time so that the parcel can be taken out",
        (
            ("dwell", "FLOAT", "s that the compartment stays open"),
            ("lhd", "STRING", "load handling device; only 'compartment'"),
            ("stationType", "STRING", "informative"),
            ("stationName", "STRING", "informative"),
            ("loadType", "STRING", "informative"),
            ("loadId", "STRING", "which load leaves the robot"),
        ),
    ),
    "pick": Capability(
        ("NODE",),
        "Opens the compartment for the dwell time so that a parcel can be put in",
        (
            ("dwell", "FLOAT", "s that the compartment stays open"),
            ("lhd", "STRING", "load handling device; only 'compartment'"),
            ("stationType", "STRING", "informative"),
            ("stationName", "STRING", "informative"),
            ("loadType", "STRING", "kind of load, reported in the state"),
            ("loadId", "STRING", "identity of the load, reported in the state"),
            ("weight", "FLOAT", "kg, reported in the state"),
        ),
    ),
    "wait": Capability(("NODE", "EDGE"), "Waits", (_DURATION,)),
    "waitForTrigger": Capability(
        ("NODE",), "Waits until a person presses the button", (("triggerType", "STRING", "informative"),)
    ),
    "unlockCompartment": Capability(
        ("INSTANT",),
        "Triggers a waitForTrigger under way, as the button does: the compartment may be opened",
        (("actionId", "STRING", "the waitForTrigger that is meant; any under way when absent"),),
    ),
    "emergencyStop": Capability(("INSTANT",), "Cuts the drives; a person at the robot puts them on again"),
    "startPause": Capability(("INSTANT",), "Stops driving and pauses actions"),
    "stopPause": Capability(("INSTANT",), "Goes on driving and with actions"),
    "cancelOrder": Capability(("INSTANT",), "Brakes at once, cancels all actions and deletes the order"),
    "stateRequest": Capability(("INSTANT",), "Sends the state"),
    "factsheetRequest": Capability(("INSTANT",), "Sends the factsheet"),
}


def duration_s(action: Action, profile: VehicleType, *, trigger_after_s: float | None) -> float:
    """Return how long an action of an order runs; raises ``Rejection`` for a parameter out of range."""
    if action.action_type == "waitForTrigger":
        return math.inf if trigger_after_s is None else trigger_after_s
    opens = action.action_type in ("drop", "pick")
    for key in ("dwell", "duration"):
        value = action.parameter(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_DURATION_S:
            text = f"{key} must be a number of seconds from 0 to {MAX_DURATION_S:g}, not {value!r:.80}"
            raise Rejection("orderError", text, (("actionId", action.action_id), ("actionParameter", key)))
        return float(value)
    return profile.service_s if opens else 0.0


def check_action(action: Action, scope: str, profile: VehicleType) -> None:
    """Raise ``Rejection`` with ``orderError`` unless the robot can do the action there (section 6.6.4.2)."""
    capability = CAPABILITIES.get(action.action_type)
    if capability is None or scope not in capability.scopes:
        known = ", ".join(sorted(name for name, can in CAPABILITIES.items() if scope in can.scopes))
        text = f"{scope.lower()} action {action.action_type!r} is not supported; supported: {known}"
        raise Rejection("orderError", text, (("actionId", action.action_id), ("field", "actionType")))
    duration_s(action, profile, trigger_after_s=None)
    if action.parameter("lhd") not in (None, LOAD_POSITION):
        text = f"lhd must be {LOAD_POSITION!r}"
        raise Rejection("orderError", text, (("actionId", action.action_id), ("actionParameter", "lhd")))
    weight = action.parameter("weight")
    if action.action_type == "pick" and weight is not None:
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 <= weight <= profile.payload_kg:
            text = f"weight must be 0 to {profile.payload_kg:g} kg"
            references = (("actionId", action.action_id), ("actionParameter", "weight"))
            raise Rejection("orderError", text, references)


@dataclass(slots=True, eq=False)
class Tracked:
    """An action on the robot. ``sequence_id`` is its node's or edge's, ``None`` for an instant action."""

    action: Action
    scope: str
    sequence_id: int | None
    remaining_s: float = 0.0
    status: Status = Status.WAITING
    result: str | None = None

    @property
    def done(self) -> bool:
        """Whether it is FINISHED or FAILED."""
        return self.status in (Status.FINISHED, Status.FAILED)

    @property
    def active(self) -> bool:
        """Whether it was begun and is not done."""
        return self.status in (Status.INITIALIZING, Status.RUNNING, Status.PAUSED)

    def report(self) -> dict[str, object]:
        """Return its ``actionState``."""
        state: dict[str, object] = {
            "actionId": self.action.action_id,
            "actionType": self.action.action_type,
            "actionStatus": self.status.value,
        }
        if self.result is not None:
            state["resultDescription"] = self.result
        return state


@dataclass(slots=True)
class ActionEngine:
    """Runs the actions of an order by their blocking types (section 6.12, figure 17).

    ``on_change`` is called after every change of a status, with the action; ``failure`` when an action has
    run its time, and says why it failed, ``None`` when it did not.
    """

    on_change: Callable[[Tracked], None]
    failure: Callable[[Tracked], str | None]
    all: list[Tracked] = field(default_factory=list)
    paused: bool = False
    _triggered: deque[Tracked] = field(default_factory=deque)
    _running: list[Tracked] = field(default_factory=list)

    def reset(self) -> None:
        """Forget everything but instant actions still running, as a new order demands (section 6.10.6)."""
        self.all = [item for item in self.all if item.scope == "INSTANT" and not item.done]
        self._triggered.clear()
        self._running.clear()

    def add(self, items: Iterable[Tracked]) -> None:
        """Take actions in; they wait for their trigger."""
        self.all.extend(items)
        spent = [item for item in self.all if item.scope == "INSTANT" and item.done]
        for item in spent[: max(0, len(spent) - MAX_INSTANT_STATES)]:
            self.all.remove(item)

    def drop_sequence_after(self, sequence_id: int) -> None:
        """Forget the actions of a horizon that an update replaces."""
        self.all = [item for item in self.all if item.sequence_id is None or item.sequence_id <= sequence_id]

    def trigger(self, scope: str, sequence_id: int) -> None:
        """Queue the actions of a node that was reached or an edge that was entered."""
        self._triggered.extend(
            item
            for item in self.all
            if item.scope == scope and item.sequence_id == sequence_id and item.status is Status.WAITING
        )

    def leave_edge(self, sequence_id: int) -> None:
        """End the actions of an edge: they are active only while the robot is on it."""
        for item in self.all:
            if item.scope == "EDGE" and item.sequence_id == sequence_id and not item.done:
                self.finish(item, "the edge was left")

    def finish(self, item: Tracked, result: str) -> None:
        """Set an action FINISHED."""
        self._set(item, Status.FINISHED, result)

    def fail(self, item: Tracked, result: str) -> None:
        """Set an action FAILED."""
        self._set(item, Status.FAILED, result)

    def run(self, item: Tracked) -> None:
        """Set an action RUNNING."""
        self._set(item, Status.RUNNING, None)

    def _set(self, item: Tracked, status: Status, result: str | None) -> None:
        item.status, item.result = status, result
        if item.done:
            if item in self._running:
                self._running.remove(item)
            if item in self._triggered:
                self._triggered.remove(item)
        self.on_change(item)

    def cancel(self) -> None:
        """Fail every action of the order that is not done; all of them can be interrupted."""
        for item in self.all:
            if item.scope != "INSTANT" and not item.done:
                self.fail(item, "the order was cancelled")

    def pause(self) -> None:
        """Pause the actions that run; none begins until ``resume``."""
        self.paused = True
        for item in self._running:
            self._set(item, Status.PAUSED, None)

    def resume(self) -> None:
        """Go on with paused actions."""
        self.paused = False
        for item in self._running:
            self._set(item, Status.RUNNING, None)

    @property
    def forbids_driving(self) -> bool:
        """Whether a SOFT or HARD action runs or is due."""
        return any(item.action.blocking_type != "NONE" for item in (*self._running, *self._triggered))

    @property
    def order_done(self) -> bool:
        """Whether every action of the order is FINISHED or FAILED."""
        return all(item.done for item in self.all if item.scope != "INSTANT")

    def press_button(self, action_id: str | None = None) -> bool:
        """Trigger what waits for a person at the robot, or one action of it; returns whether something did."""
        waiting = [
            item
            for item in self._running
            if item.action.action_type == "waitForTrigger" and action_id in (None, item.action.action_id)
        ]
        for item in waiting:
            item.remaining_s = 0.0
        return bool(waiting)

    def step(self, dt_s: float, *, standing: bool) -> None:
        """Let time pass for running actions and begin those whose turn it is."""
        if self.paused or not (self._running or self._triggered):
            return
        for item in tuple(self._running):
            item.remaining_s -= dt_s
            if item.remaining_s <= 1e-9:
                why = self.failure(item)
                if why is None:
                    self.finish(item, _RESULTS.get(item.action.action_type, "done"))
                else:
                    self.fail(item, why)
        while self._triggered and self._may_begin(self._triggered[0], standing=standing):
            item = self._triggered.popleft()
            self._running.append(item)
            self.run(item)

    def _may_begin(self, item: Tracked, *, standing: bool) -> bool:
        if any(other.action.blocking_type == "HARD" for other in self._running):
            return False
        if item.action.blocking_type == "NONE":
            return True
        return standing and (item.action.blocking_type == "SOFT" or not self._running)


_RESULTS = {
    "drop": "compartment opened and closed",
    "pick": "compartment opened and closed",
    "wait": "waited",
    "waitForTrigger": "triggered",
}
