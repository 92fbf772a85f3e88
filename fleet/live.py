"""The live view: snapshots that gateways publish on the bus, conflated for whoever looks."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

import orjson

from fleet.alarms import Alarm, unheard
from hardware.link import VehicleState

TOPIC_PREFIX = "todoke/live/"
INTERVAL_S = 0.2
"""Wall seconds between two snapshots of a gateway."""
SILENT_S = 3.0
"""Wall seconds after which a vehicle of which no gateway speaks is shown as not connected."""
MAX_VEHICLES = 5000
"""Vehicles that a view keeps; at the bound new ones are not taken up: no fleet of one process is as large."""


def vehicle_snapshot(
    vehicle_id: str,
    state: VehicleState,
    mission: dict[str, Any] | None,
    *,
    gateway: str,
    alarms: Iterable[Alarm] = (),
) -> dict[str, Any]:
    """Return the live view of one vehicle, as the console receives it."""
    position = state.position
    trip = mission["trip"]["mission"]["steps"] if mission else []
    return {
        "vehicle_id": vehicle_id,
        "t": state.t,
        "connected": state.connected,
        "activity": state.activity.value,
        "mode": state.mode,
        "armed": state.armed,
        "on_ground": state.on_ground,
        "ready": state.ready,
        "lat": position.lat if position else None,
        "lon": position.lon if position else None,
        "alt_amsl_m": position.alt_amsl_m if position else None,
        "heading_deg": state.heading_deg,
        "speed_mps": state.speed_mps,
        "battery_pct": state.battery_pct,
        "mission_id": mission["mission_id"] if mission else None,
        "mission_state": mission["state"] if mission else None,
        "step": state.progress.step if mission else None,
        "steps": len(trip) if mission else None,
        "faults": list(state.faults),
        "alarms": [asdict(alarm) for alarm in alarms],
        "gateway": gateway,
    }


def encode_snapshot(gateway: str, t: datetime, vehicles: list[dict[str, Any]]) -> bytes:
    """Return a snapshot message for the bus."""
    return orjson.dumps({"gateway": gateway, "t": t, "vehicles": vehicles})


class LiveView:
    """The newest state of every vehicle, merged from the snapshots of all gateways.

    Who is blind must not look alive: a vehicle of which nothing has come for ``SILENT_S`` is not connected.
    """

    def __init__(self) -> None:
        self._vehicles: dict[str, dict[str, Any]] = {}
        self._heard_s: dict[str, float] = {}
        self._silent: set[str] = set()
        self._revision = 0

    @property
    def revision(self) -> int:
        """Grows with every change of what ``vehicles`` returns."""
        silent = {v for v, heard_s in self._heard_s.items() if time.monotonic() - heard_s > SILENT_S}
        if silent != self._silent:
            self._silent = silent
            self._revision += 1
        return self._revision

    def take(self, payload: bytes) -> None:
        """Merge one message from the bus; raises ``ValueError`` when it is malformed (nothing is changed)."""
        message = orjson.loads(payload)
        vehicles = message.get("vehicles") if isinstance(message, dict) else None
        if not isinstance(vehicles, list) or not all(
            isinstance(v, dict) and isinstance(v.get("vehicle_id"), str) for v in vehicles
        ):
            raise ValueError("a live snapshot without a list of vehicles")
        now_s = time.monotonic()
        for vehicle in vehicles:
            vehicle_id = vehicle["vehicle_id"]
            if vehicle_id in self._vehicles or len(self._vehicles) < MAX_VEHICLES:
                self._vehicles[vehicle_id] = vehicle
                self._heard_s[vehicle_id] = now_s
        self._revision += 1

    def vehicles(self) -> list[dict[str, Any]]:
        """Return the newest state of all vehicles, by id."""
        return [self._shown(vehicle_id) for vehicle_id in sorted(self._vehicles)]

    def get(self, vehicle_id: str) -> dict[str, Any] | None:
        """Return one vehicle's newest state, if it was ever seen."""
        return self._shown(vehicle_id) if vehicle_id in self._vehicles else None

    def _shown(self, vehicle_id: str) -> dict[str, Any]:
        vehicle = self._vehicles[vehicle_id]
        if time.monotonic() - self._heard_s[vehicle_id] > SILENT_S:
            alarms = unheard(vehicle, vehicle.get("t"))
            return {**vehicle, "connected": False, "ready": False, "alarms": alarms}
        return vehicle
