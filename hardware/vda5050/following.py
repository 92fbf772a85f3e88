"""Which of a mission's orders a robot is on, and how far it is in the mission."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

from hardware.link import Progress, Release
from hardware.mission import Mission
from hardware.vda5050.messages import State
from hardware.vda5050.route import (
    Route,
    carries,
    is_ours,
    reached_index,
    rest_of,
    rest_route,
    resume_return,
    return_attempt,
)
from hardware.vda5050.translate import progress_of, return_progress

_node_key = attrgetter("sequence_id", "node_id")
_action_key = attrgetter("action_id", "action_status", "action_type")


def _told(state: State) -> object:
    """All of a state on which progress depends."""
    return (
        state.order_id,
        state.last_node_id,
        state.last_node_sequence_id,
        state.driving,
        tuple(map(_node_key, state.node_states)),
        bool(state.edge_states),
        tuple(map(_action_key, state.action_states)),
    )


class Following:
    """The mission that a robot should carry, its route, and the other route it may be on: the rest, or the way back.

    ``on`` is the route that the robot is on by its last state, of those three; ``None`` when it is on none of them.
    ``cancelling`` is set while we cancel its order ourselves, ``homing`` when that is to call it home. ``note`` is told
    what the robot lost or gave up.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self.mission: Mission | None = None
        self.route: Route | None = None
        self.other: Route | None = None
        self.progress = Progress()
        self.on: Route | None = None
        self.cancelling = self.homing = False
        self._note = note
        self._releases: tuple[Release, ...] = ()
        # What the robot said when the progress was found out: the same words say the same again.
        self._told: object = None

    def expect(self, mission: Mission, route: Route) -> bool:
        """Set the mission; returns whether it is another one. What is known of the same mission is kept."""
        new = self.mission is None or self.mission.mission_id != mission.mission_id
        if new:
            self._releases = ()
            self.other = None
            self.cancelling = self.homing = False
        self.mission, self.route, self._told = mission, route, None
        return new

    def current(self, state: State) -> Route | None:
        """Return the route that a state is of: that of the mission, the rest of it or its way back."""
        for route in (self.route, self.other):
            if route is not None and carries(route, state):
                return route
        return None

    def returning(self, state: State) -> bool:
        """Whether the robot's order is the way back."""
        return self.mission is not None and return_attempt(self.mission.mission_id, state.order_id) is not None

    def take(self, state: State, *, shows_added_actions: bool = True) -> Progress:
        """Take a state and return the progress."""
        told = _told(state)
        if told != self._told:
            self.progress = self._follow(state, shows_added_actions)
            self.on = self.current(state)
            self._releases = self.progress.releases
            self._told = told
        return self.progress

    def _follow(self, state: State, shows_added_actions: bool) -> Progress:
        mission, route = self.mission, self.route
        if mission is None or route is None:
            return Progress()
        rest = rest_of(mission.mission_id, state.order_id)
        if return_attempt(mission.mission_id, state.order_id) is not None:
            if self.other is None or self.other.order_id != state.order_id:
                self.other = resume_return(route, state)
            return return_progress(mission, self.other, state, self._releases)
        if rest is not None:
            if self.other is None or self.other.order_id != state.order_id:
                self.other = rest_route(route, order_id=state.order_id, skipped=rest[0])
            route = self.other or route
        return progress_of(mission, route, state, self._releases, shows_added_actions=shows_added_actions)

    def watch(self, before: State | None, state: State) -> None:
        """Note an order of ours that the robot dropped by itself: restarted, switched or cancelled."""
        if self.mission is None or before is None:
            return
        if (before.order_id == state.order_id and state.order_active) or not before.order_active:
            return
        mission_id = self.mission.mission_id
        if not is_ours(mission_id, before.order_id):
            return
        if not is_ours(mission_id, state.order_id):
            self._note(f"the robot lost order {before.order_id}: it reports order {state.order_id!r}")
        elif state.order_id == before.order_id and not state.order_active and not self.cancelling:
            route = self.current(state)
            if route is None or reached_index(route, state) < route.last:
                self._note(f"the robot gave up order {state.order_id} at node {state.last_node_id!r}")
