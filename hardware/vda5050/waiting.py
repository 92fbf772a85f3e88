"""For which decision of a person a robot stands still by itself."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from hardware.link import Wait, WaitFor
from hardware.vda5050.messages import State
from hardware.vda5050.route import AT_NODE_M, Crossing, Route, reached_index, released_index

_ACTIVE = ("INITIALIZING", "RUNNING")


def at_end_of_base(route: Route, state: State) -> bool:
    """Whether a robot stands at a decision point beyond which nothing is released."""
    reached = reached_index(route, state)
    return bool(state.node_states) and not state.driving and 0 <= released_index(route, state) == reached


def kerb_of(route: Route, state: State, pose_m: tuple[float, float] | None) -> Crossing | None:
    """Return the crossing at whose kerb a robot stands and waits, ``None`` when it does not.

    It stands there when its last node is the kerb's, it is within the deviation of that node, does not drive, and all
    it had to do there is done.
    """
    reached = reached_index(route, state)
    crossing = route.crossing_from(reached)
    if crossing is None or state.driving or released_index(route, state) > reached:
        return None
    node = route.nodes[reached]
    if state.last_node_id != node.node_id or pose_m is None:
        return None
    if math.dist(pose_m, node.xy_m) > max(AT_NODE_M, node.deviation_m or 0.0):
        return None
    for drop in node.drops:
        actions = (state.action(drop.action_id), state.action(drop.trigger_id or ""))
        if any(action is not None and not action.over for action in actions):
            return None
    return crossing


def trigger_waited_for(route: Route, state: State) -> int | None:
    """Return the step of the hand-over whose trigger a robot waits for, ``None`` when it waits for none."""
    for drop in route.drops:
        action = None if drop.trigger_id is None else state.action(drop.trigger_id)
        if action is not None and action.action_status in _ACTIVE and not state.driving:
            return drop.step
    return None


class Waiting:
    """Follows what a robot waits for, and since when.

    ``lost`` is set when its connection came back after its lost-link time and it stands where its base ended: it then
    waits for ``resume``, until somebody gives it, or it is on another order, or has more of its way released.
    """

    def __init__(self, *, trigger_s: float) -> None:
        self._trigger = timedelta(seconds=trigger_s)
        self._wait: Wait | None = None
        self._lost: tuple[str, int] | None = None

    @property
    def lost(self) -> bool:
        """Whether it waits for ``resume``."""
        return self._lost is not None

    def resumed(self) -> None:
        """Take the pilot's word that it may go on."""
        self._lost = None

    def found(self, route: Route | None, state: State) -> None:
        """Judge the first state after a break that was longer than the robot's lost-link time.

        At a kerb it would stand without a break too, and goes on when the crossing is released.
        """
        if route is not None and at_end_of_base(route, state) and not route.crossing_from(reached_index(route, state)):
            self._lost = state.order_id, released_index(route, state)

    def look(self, route: Route | None, state: State, pose_m: tuple[float, float] | None, now: datetime) -> Wait | None:
        """Return what the robot waits for in a state; ``since`` is when that was first seen."""
        if state.driving and self._lost is None:
            self._wait = None
            return None
        if self._lost is not None and (route is None or self._lost != (state.order_id, released_index(route, state))):
            self._lost = None
        wait = None if route is None else self._due(route, state, pose_m, now)
        kept = self._wait
        if wait is not None and kept is not None and _same(wait, kept):
            wait = kept
        self._wait = wait
        return wait

    def _due(self, route: Route, state: State, pose_m: tuple[float, float] | None, now: datetime) -> Wait | None:
        at, node = route.step_at(reached_index(route, state)), state.last_node_id
        if self._lost is not None:
            return Wait(WaitFor.RESUME, at, now, node)
        stopped = state.paused or state.safety_state.e_stop != "NONE" or any(error.fatal for error in state.errors)
        if stopped or not state.commandable:
            return None
        step = trigger_waited_for(route, state)
        if step is not None:
            return Wait(WaitFor.UNLOCK, step, now, node, now + self._trigger)
        if kerb_of(route, state, pose_m) is not None:
            return Wait(WaitFor.CROSSING, at, now, node)
        return None


def _same(a: Wait, b: Wait) -> bool:
    return (a.what, a.step, a.node) == (b.what, b.step, b.node)
