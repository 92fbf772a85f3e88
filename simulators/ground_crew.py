"""What people and batteries do to a simulated drone: battery swap, loading, release, PX4's drain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulators import missions
from simulators.gripper import GRAB, RELEASE
from simulators.missions import Item
from simulators.winch import RELATIVE_LENGTH

if TYPE_CHECKING:
    from simulators.autopilot import Autopilot

_SWAP_AFTER_S = 5.0
_SWAP_WITHIN_M = 10.0


class GroundCrew:
    """Turns a drone round at home: 5 s after disarming there it has a full battery and its payload."""

    def __init__(self, pilot: Autopilot, payload_kg: float) -> None:
        self._pilot = pilot
        self._payload_kg = payload_kg
        self._disarmed_s: float | None = None
        self._drained = pilot.body.battery_fraction
        pilot.body.payload_kg = payload_kg

    def note_disarmed(self) -> None:
        """The drone was disarmed just now."""
        self._disarmed_s = self._pilot.now_s

    def step(self) -> None:
        """Swap the battery and load when it is time; a crashed drone or one elsewhere stays as it is."""
        pilot, body = self._pilot, self._pilot.body
        if self._disarmed_s is None or pilot.armed or not pilot.landed:
            return
        if pilot.now_s - self._disarmed_s < _SWAP_AFTER_S:
            return
        self._disarmed_s = None
        if pilot.crashed or body.east_m**2 + body.north_m**2 > _SWAP_WITHIN_M**2:
            return
        body.energy_wh = body.kind.battery_wh
        pilot.battery_failed = False
        body.payload_kg = self._payload_kg
        pilot.gripper.close_on_parcel()
        pilot.winch.hook_on()
        pilot.log("turnaround", payload_kg=body.payload_kg)

    def note_charge(self) -> None:
        """The charge was changed by a fault."""
        self._drained = self._pilot.body.battery_fraction

    def drain(self, seconds: float) -> None:
        """PX4's battery simulator where ``SIM_BAT_DRAIN`` is set: linear in time while armed."""
        pilot = self._pilot
        whole_s = float(pilot.params["SIM_BAT_DRAIN"])
        if whole_s <= 0.0 or not pilot.armed:
            self._drained = pilot.body.battery_fraction
            return
        floor = float(pilot.params["SIM_BAT_MIN_PCT"]) / 100.0
        self._drained = max(min(floor, self._drained), self._drained - seconds / whole_s)
        pilot.body.energy_wh = self._drained * pilot.body.kind.battery_wh

    def gripped(self, action: int, seq: int | None) -> None:
        """The gripper has done an action: a release takes its share of the payload off.

        A mission with several releases drops equal shares; a release by command drops everything.
        """
        pilot, body = self._pilot, self._pilot.body
        if action == GRAB:
            pilot.log("grabbed", seq=seq)
            return
        releases = sum(_lets_go(item) for item in pilot.store.items[missions.MISSION])
        share = self._payload_kg / releases if seq is not None and releases else self._payload_kg
        body.payload_kg = max(0.0, body.payload_kg - share)
        place = body.position()
        pilot.log("released", seq=seq, lat=place.lat, lon=place.lon, alt_m=round(place.alt_amsl_m, 2))

    def laid_down(self, seq: int | None) -> None:
        """The winch has laid a parcel down."""
        self.gripped(RELEASE, seq)


def _lets_go(item: Item) -> bool:
    """Whether a mission item lets a parcel go: the gripper opens, or the line goes down."""
    if item.command == missions.GRIPPER:
        return round(item.params[1]) == RELEASE
    return item.command == missions.WINCH and round(item.params[1]) == RELATIVE_LENGTH and item.params[2] > 0
