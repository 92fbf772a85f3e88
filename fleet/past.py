"""The fleet at one moment of the past, put together from samples, missions and alarms as they were stored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fleet import live
from fleet.conditions import ON_MISSION
from hardware.link import Activity, Progress, VehicleState
from hardware.mavlink.modes import activity_in
from routing.geo import Position
from telemetry.sample import Sample

ACTIVE = ON_MISSION
"""States of a mission in which a vehicle carries it out."""
HEARD_S = 15.0
"""Domain seconds for which a sample says where a vehicle is; of an older one it is shown as not connected."""
_MODES = frozenset({"AUTOMATIC", "SEMIAUTOMATIC"})
"""Operating modes in which a robot takes orders (VDA 5050 2.1, 6.10.6)."""


@dataclass(slots=True)
class _Vehicle:
    sample: Sample | None = None
    mission: dict[str, Any] | None = None
    alarms: dict[str, dict[str, Any]] = field(default_factory=dict)
    connected: bool = False
    shown: dict[str, Any] | None = None
    touched: bool = True


class Past:
    """The newest that was known of each vehicle; ``kinds`` is what each is, ``drone`` or ``robot``."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = kinds
        self._vehicles: dict[str, _Vehicle] = {}

    def take_sample(self, sample: Sample) -> None:
        """Take what a vehicle said."""
        vehicle = self._of(sample.vehicle_id)
        vehicle.sample, vehicle.touched = sample, True

    def take_mission(self, row: Mapping[str, Any]) -> None:
        """Take a change of the mission that a vehicle was on: vehicle_id, mission_id, state, steps."""
        vehicle = self._of(row["vehicle_id"])
        vehicle.mission, vehicle.touched = dict(row) if row["state"] in ACTIVE else None, True

    def take_alarm(self, row: Mapping[str, Any]) -> None:
        """Take a change of an alarm, as ``alarm_store.since`` has it."""
        if row["source_kind"] != "vehicle":
            return
        vehicle = self._of(row["source_id"])
        vehicle.alarms.pop(row["alarm_id"], None)
        if row["standing"]:
            vehicle.alarms[row["alarm_id"]] = _shown_alarm(row)
        vehicle.touched = True

    def changed(self, at: datetime) -> list[dict[str, Any]]:
        """Return the vehicles that look otherwise at ``at`` than when they were last returned, by id."""
        before = at - timedelta(seconds=HEARD_S)
        found = []
        for vehicle_id in sorted(self._vehicles):
            vehicle = self._vehicles[vehicle_id]
            connected = vehicle.sample is not None and vehicle.sample.t >= before
            if vehicle.touched or connected != vehicle.connected:
                vehicle.touched, vehicle.connected = False, connected
                found.append(self._view(vehicle_id, vehicle))
        return found

    def _of(self, vehicle_id: str) -> _Vehicle:
        return self._vehicles.setdefault(vehicle_id, _Vehicle())

    def _view(self, vehicle_id: str, vehicle: _Vehicle) -> dict[str, Any]:
        state = VehicleState()
        if vehicle.sample is not None:
            robot = self._kinds.get(vehicle_id) == "robot"
            state = _state(vehicle.sample, vehicle.mission, robot=robot, connected=vehicle.connected)
        view = live.vehicle_snapshot(vehicle_id, state, None, gateway="")
        mission = vehicle.mission
        if mission is not None:
            view |= {"mission_id": mission["mission_id"], "mission_state": mission["state"]}
            view |= {"step": state.progress.step, "steps": mission["steps"]}
        return view | {"alarms": list(vehicle.alarms.values())}


def _state(sample: Sample, mission: Mapping[str, Any] | None, *, robot: bool, connected: bool) -> VehicleState:
    """The state of which a sample is what was kept."""
    armed, on_ground = bool(sample.armed), sample.on_ground is not False
    return VehicleState(
        t=sample.t,
        connected=connected,
        activity=_robot_activity(sample, mission) if robot else _drone_activity(sample, armed, on_ground),
        mode=sample.mode or "",
        armed=armed,
        on_ground=on_ground,
        position=_position(sample),
        heading_deg=None if sample.heading_cdeg is None else sample.heading_cdeg / 100,
        speed_mps=_speed_mps(sample),
        battery_pct=None if sample.battery_pct_x10 is None else sample.battery_pct_x10 / 10,
        progress=Progress(sample.mission_id, sample.step or 0),
        faults=tuple(_texts(sample.extra.get("errors"))),
    )


def _drone_activity(sample: Sample, armed: bool, on_ground: bool) -> Activity:
    return Activity.UNKNOWN if sample.mode is None else activity_in(sample.mode, armed=armed, on_ground=on_ground)


def _robot_activity(sample: Sample, mission: Mapping[str, Any] | None) -> Activity:
    if sample.extra.get("operatingMode", "AUTOMATIC") not in _MODES:
        return Activity.MANUAL
    if "eStop" in sample.extra:
        return Activity.FAULT
    if sample.extra.get("paused"):
        return Activity.HOLD
    if mission is None:
        return Activity.IDLE
    return Activity.RETURN if mission["state"] == "returning" else Activity.MISSION


def _position(sample: Sample) -> Position | None:
    if sample.lat_e7 is None or sample.lon_e7 is None:
        return None
    return Position(sample.lat_e7 / 1e7, sample.lon_e7 / 1e7, (sample.alt_amsl_cm or 0) / 100)


def _speed_mps(sample: Sample) -> float | None:
    if sample.vel_n_cms is None or sample.vel_e_cms is None:
        return None
    return math.hypot(sample.vel_n_cms, sample.vel_e_cms) / 100


def _texts(found: object) -> Iterable[str]:
    return [text for text in found if isinstance(text, str)] if isinstance(found, list) else ()


def _shown_alarm(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("code", "key", "urgency", "state", "text_ja", "text_en", "since", "alarm_id", "shelved_until")
    return {name: row[name] for name in names}
