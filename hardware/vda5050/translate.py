"""What a robot's messages mean in the terms common to all vehicles. Pure functions but for the filter."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from hardware.link import Activity, Progress, Release
from hardware.mission import Mission
from hardware.vda5050.messages import (
    AgvPosition,
    BatteryState,
    ErrorState,
    Order,
    State,
    Velocity,
    loads_in,
    number_in,
)
from hardware.vda5050.route import Route, carries, reached_index, return_attempt
from routing.geo import LocalFrame, Position
from telemetry.sample import Sample

FAULT_LIMIT = 10
ERROR_LIMIT, ERROR_LENGTH = 5, 200
"""Errors kept with a sample, and characters of each."""
ID_LENGTH = 128
ORDER_ERRORS = frozenset(("validationError", "orderError", "orderUpdateError", "noRouteError", "orderActionError"))
"""Types of errors by which robots reject an order (6.6.4), for those that give no reference to it."""
LATE_LIMIT = 3
"""So many late messages in a row, each with a growing header id, are a robot whose clock was set back."""


@dataclass(slots=True)
class HeaderFilter:
    """Tells new messages of a topic from duplicates and late ones, by header id and timestamp.

    Header ids grow by 1. A lower one with a newer time is a robot that has restarted.
    """

    _last: tuple[int, datetime] | None = None
    _late: tuple[int, int] = (0, -1)

    def accept(self, header_id: int, timestamp: datetime) -> bool:
        """Return whether the message is newer than all accepted before."""
        new = (header_id, timestamp)
        if self._last is None or new[0] > self._last[0] or (new[0] < self._last[0] and new[1] > self._last[1]):
            self._take(new)
            return True
        if new[0] == self._last[0]:
            return False
        count, last_late = self._late
        self._late = (count + 1 if new[0] > last_late else 1, new[0])
        if self._late[0] >= LATE_LIMIT:
            self._take(new)
            return True
        return False

    def contradicts(self, header_id: int, timestamp: datetime) -> bool:
        """Return whether the last message accepted had this id and another time: its sender is another."""
        return self._last is not None and self._last[0] == header_id and self._last[1] != timestamp

    def reset(self) -> None:
        """Forget the past: the robot has announced that it came online anew."""
        self._last = None
        self._late = (0, -1)

    def _take(self, new: tuple[int, datetime]) -> None:
        self._last = new
        self._late = (0, -1)


def heading_deg(theta: float) -> float:
    """Compass heading, degrees clockwise from north, of an angle counter-clockwise from east (radians)."""
    return (90.0 - math.degrees(theta)) % 360.0


def position_of(pose: AgvPosition, frame: LocalFrame, map_id: str | None) -> Position | None:
    """Return the position, ``None`` when it is not initialised or on another map. The altitude is 0."""
    if not pose.position_initialized or (map_id is not None and pose.map_id != map_id):
        return None
    return frame.to_global(pose.x, pose.y)


def speed_mps(velocity: Velocity | None) -> float | None:
    """Return the speed over ground, ``None`` when the robot does not say it."""
    if velocity is None or velocity.vx is None:
        return None
    return math.hypot(velocity.vx, velocity.vy or 0.0)


def percent_x10(battery: BatteryState) -> int:
    """Return the charge in 0.1 percent, within 0 and 1000."""
    return min(max(round(battery.battery_charge * 10), 0), 1000)


def mode_of(state: State) -> str:
    """Summarise operating mode, driving and pause, as shown to people."""
    doing = "paused" if state.paused else "driving" if state.driving else "standing"
    return f"{state.operating_mode} {doing}"


def activity_of(state: State, *, returning: bool) -> Activity:
    """Return what the robot is doing; ``returning`` when its order is the way back or is being cancelled."""
    if not state.commandable:
        return Activity.MANUAL
    if any(error.fatal for error in state.errors) or state.safety_state.e_stop in ("MANUAL", "REMOTE"):
        return Activity.FAULT
    if state.paused:
        return Activity.HOLD
    if returning:
        return Activity.RETURN
    return Activity.MISSION if state.order_active else Activity.IDLE


def faults_of(state: State, own: Iterable[str]) -> tuple[str, ...]:
    """Return what is wrong, newest last: the link's own findings, then the robot's words."""
    faults = list(own)
    if state.safety_state.e_stop != "NONE":
        faults.append(f"emergency stop: {state.safety_state.e_stop}")
    if state.safety_state.field_violation:
        faults.append("protective field violated")
    if state.agv_position is not None and not state.agv_position.position_initialized:
        faults.append("position is not initialised")
    faults += [
        f"action {action.action_type or ''} {action.action_id} failed: {action.result_description or '?'}"
        for action in state.action_states
        if action.action_status == "FAILED" and not action.instant
    ]
    faults += [error.words() for error in state.errors]
    return tuple(faults[-FAULT_LIMIT:])


def progress_of(
    mission: Mission, route: Route, state: State, known: Sequence[Release], *, shows_added_actions: bool = True
) -> Progress:
    """Return how far the robot is in the mission, from its state and the releases known before.

    A hand-over counts when the robot reports its action FINISHED; or, ``inferred``, when it never lists
    the action and has reached a later node: a HARD action keeps it at its node until it is over. Of a robot that does
    not show actions that come with an update, the end of the order says as much of those at its last node.
    """
    if not carries(route, state):
        return Progress(releases=tuple(known))
    reached = reached_index(route, state)
    ended = not shows_added_actions and reached == route.last and not state.order_active and not state.driving
    releases = {release.step: release for release in known}
    for drop in route.drops:
        action = state.action(drop.action_id)
        if action is not None and action.action_status == "FINISHED":
            detail = f"action {drop.action_id} FINISHED in state {state.header_id}"
            releases.setdefault(drop.step, Release(drop.step, "sensor", detail))
        elif action is None and (ended or reached > route.step_nodes[drop.step]):
            detail = f"node {state.last_node_id} reached after it in state {state.header_id}"
            releases.setdefault(drop.step, Release(drop.step, "inferred", detail))
    return Progress(
        mission_id=mission.mission_id,
        step=_step(mission, route, state, reached, releases),
        releases=tuple(releases[index] for index in sorted(releases)),
        finished=not state.node_states
        and not state.driving
        and reached == route.last
        and all(drop.step in releases for drop in route.drops),
    )


def _step(mission: Mission, route: Route, state: State, reached: int, released: Container[int]) -> int:
    """Return the first step that is neither reached nor over."""
    ahead = bisect_right(route.step_nodes, reached)
    for drop in route.drops:
        if drop.step >= ahead:
            break
        if drop.step not in released:
            action = state.action(drop.action_id)
            if action is None or action.action_status != "FAILED":
                return drop.step
    return min(ahead, len(mission.steps) - 1)


def return_progress(mission: Mission, back: Route | None, state: State, known: Sequence[Release]) -> Progress:
    """Return the progress of a mission that was given up: finished when the robot is back."""
    if return_attempt(mission.mission_id, state.order_id) is None:
        return Progress(releases=tuple(known))
    home = (
        back is not None
        and carries(back, state)
        and not state.node_states
        and not state.driving
        and reached_index(back, state) == back.last
    )
    return Progress(
        mission_id=mission.mission_id, step=0, releases=tuple(known), finished=home and not state.order_active
    )


def rejection(state: State, order: Order, before: Iterable[ErrorState]) -> str | None:
    """Return the robot's words when it has rejected an order message, else ``None``.

    ``before`` holds the errors that were present when it was sent: robots keep reporting a rejection
    until they accept another order (6.6.4), and those of earlier messages are not about this one.
    """
    old = set(before)
    for error in state.errors:
        if error.refers_to("headerId", str(order.header_id)) and error.refers_to("orderId", order.order_id):
            return error.words()
        if error in old:
            continue
        about = {ref.reference_value for ref in error.error_references if ref.reference_key == "orderId"}
        if order.order_id in about or (not about and error.error_type in ORDER_ERRORS):
            return error.words()
    return None


def sample_of(
    state: State,
    *,
    vehicle_id: str,
    position: Position | None,
    seq: int,
    t: datetime,
    progress: Progress,
    link_permille: int | None = None,
) -> Sample | None:
    """Make the telemetry record of a state message, ``None`` when it has no valid position."""
    pose = state.agv_position
    if pose is None or position is None:
        return None
    east, north = _velocity_cms(pose.theta, state.velocity)
    battery = state.battery_state
    voltage = None if battery is None else battery.battery_voltage
    return Sample(
        vehicle_id=vehicle_id,
        t=t,
        seq=seq,
        vehicle_ms=state.vehicle_ms,
        lat_e7=round(position.lat * 1e7),
        lon_e7=round(position.lon * 1e7),
        vel_n_cms=north,
        vel_e_cms=east,
        heading_cdeg=round(heading_deg(pose.theta) * 100) % 36_000,
        battery_pct_x10=None if battery is None else percent_x10(battery),
        voltage_mv=None if voltage is None else round(voltage * 1000),
        link_pct_x10=link_permille,
        mode=mode_of(state),
        step=None if progress.mission_id is None else progress.step,
        mission_id=progress.mission_id,
        extra=_extra(state, pose),
    )


def _extra(state: State, pose: AgvPosition) -> dict[str, object]:
    """What only robots say; texts of a robot's own are cut, so that a sample stays small."""
    extra: dict[str, object] = {
        "driving": state.driving,
        "paused": state.paused,
        "orderId": state.order_id[:ID_LENGTH],
        "lastNodeId": state.last_node_id[:ID_LENGTH],
        "headerId": state.header_id,
        "operatingMode": state.operating_mode,
    }
    if state.errors:
        extra["errors"] = [error.words()[:ERROR_LENGTH] for error in state.errors[:ERROR_LIMIT]]
        extra["errorCount"] = len(state.errors)
    if state.loads is not None:
        extra["loads"] = loads_in(state.loads)
    safety, battery = state.safety_state, state.battery_state
    if safety.e_stop != "NONE":
        extra["eStop"] = safety.e_stop[:ID_LENGTH]
    if safety.field_violation:
        extra["fieldViolation"] = True
    if pose.localization_score is not None:
        extra["localizationScore"] = number_in(pose.localization_score)
    if state.distance_since_last_node is not None:
        extra["distanceSinceLastNode"] = number_in(state.distance_since_last_node)
    if battery is not None and battery.reach is not None:
        extra["reach"] = number_in(battery.reach)
    return extra


def _velocity_cms(theta: float, velocity: Velocity | None) -> tuple[int | None, int | None]:
    """East and north in cm/s of a velocity in the robot's axes."""
    if velocity is None or velocity.vx is None:
        return None, None
    vx, vy = velocity.vx, velocity.vy or 0.0
    east = vx * math.cos(theta) - vy * math.sin(theta)
    north = vx * math.sin(theta) + vy * math.cos(theta)
    return round(east * 100), round(north * 100)
