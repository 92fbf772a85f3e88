"""The live view: snapshots that gateways publish on the bus, conflated for whoever looks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from hardware.link import VehicleState

TOPIC_PREFIX = "todoke/live/"
INTERVAL_S = 0.2
"""Wall seconds between two snapshots of a gateway."""


def vehicle_snapshot(
    vehicle_id: str, state: VehicleState, mission: dict[str, Any] | None, *, gateway: str
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
        "gateway": gateway,
    }


def encode_snapshot(gateway: str, t: datetime, vehicles: list[dict[str, Any]]) -> bytes:
    """Return a snapshot message for the bus."""
    return orjson.dumps({"gateway": gateway, "t": t, "vehicles": vehicles})


class LiveView:
    """The newest state of every vehicle, merged from the snapshots of all gateways."""

    def __init__(self) -> None:
        self._vehicles: dict[str, dict[str, Any]] = {}
        self.revision = 0

    def take(self, payload: bytes) -> None:
        """Merge one message from the bus; raises ``ValueError`` when it is malformed (nothing is changed)."""
        message = orjson.loads(payload)
        vehicles = message.get("vehicles") if isinstance(message, dict) else None
        if not isinstance(vehicles, list) or not all(
            isinstance(v, dict) and isinstance(v.get("vehicle_id"), str) for v in vehicles
        ):
            raise ValueError("a live snapshot without a list of vehicles")
        for vehicle in vehicles:
            self._vehicles[vehicle["vehicle_id"]] = vehicle
        self.revision += 1

    def vehicles(self) -> list[dict[str, Any]]:
        """Return the newest state of all vehicles, by id."""
        return [self._vehicles[vehicle_id] for vehicle_id in sorted(self._vehicles)]

    def get(self, vehicle_id: str) -> dict[str, Any] | None:
        """Return one vehicle's newest state, if it was ever seen."""
        return self._vehicles.get(vehicle_id)
