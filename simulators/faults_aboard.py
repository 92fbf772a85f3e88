"""Faults of a simulated drone, for tests of what is done about them: at a planned time, or when told by a socket."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulators.autopilot import Autopilot
    from simulators.config import FaultConfig


class Fault(StrEnum):
    """What can go wrong; ``value`` means what stands behind it, 0 mends it again unless it says otherwise."""

    SATELLITES = "satellites"
    """So many are left (10: all): below 6 it does not arm, below 4 it has no fix."""
    BATTERY = "battery"
    """The charge drops to so many percent; what is gone stays gone."""
    BATTERY_FAILED = "battery_failed"
    """The battery says that it is empty, as after MAV_CMD_INJECT_FAILURE."""
    GUST = "gust"
    """The wind pushes it away with so many m/s, downwind."""
    GRIPPER_JAMS = "gripper_jams"
    """Gripper and winch do not let go: the command fails and the parcel stays."""
    MOTOR = "motor"
    """A motor is dead, and it comes down hard."""
    CLOCK = "clock"
    """Its clock is off by so many seconds."""


class FaultsAboard:
    """Applies faults to an autopilot; ``planned`` come by themselves, so many seconds after its take-off."""

    def __init__(self, pilot: Autopilot, planned: Sequence[FaultConfig] = ()) -> None:
        self._pilot = pilot
        self._planned = sorted(planned, key=lambda fault: fault.after_takeoff_s)
        self._took_off_s: float | None = None
        self.gripper_jams = False
        self.clock_off_s = 0.0
        self._do: dict[Fault, Callable[[float], None]] = {
            Fault.SATELLITES: self._satellites,
            Fault.BATTERY: self._battery,
            Fault.BATTERY_FAILED: self._battery_failed,
            Fault.GUST: self._gust,
            Fault.GRIPPER_JAMS: self._jam,
            Fault.MOTOR: self._motor,
            Fault.CLOCK: self._clock,
        }

    def apply(self, fault: Fault, value: float) -> None:
        """Let it happen, or mend it."""
        self._pilot.log("fault", fault=fault.value, value=value)
        self._do[fault](value)

    def tick(self) -> None:
        """Let happen what is planned for now."""
        if not self._planned:
            return
        pilot = self._pilot
        if self._took_off_s is None:
            self._took_off_s = None if pilot.landed else pilot.now_s
            return
        while self._planned and pilot.now_s - self._took_off_s >= self._planned[0].after_takeoff_s:
            fault = self._planned.pop(0)
            self.apply(fault.fault, fault.value)

    def _satellites(self, value: float) -> None:
        self._pilot.params.set("SIM_GPS_USED", value)

    def _battery(self, value: float) -> None:
        body = self._pilot.body
        body.energy_wh = min(body.energy_wh, body.kind.battery_wh * max(value, 0.0) / 100.0)
        self._pilot.crew.note_charge()

    def _battery_failed(self, value: float) -> None:
        self._pilot.battery_failed = bool(value)

    def _gust(self, value: float) -> None:
        body = self._pilot.body
        towards = math.radians(body.world.wind.from_deg + 180.0)
        body.blown_mps = (value * math.sin(towards), value * math.cos(towards))

    def _jam(self, value: float) -> None:
        self.gripper_jams = bool(value)

    def _motor(self, value: float) -> None:
        self._pilot.body.lame = bool(value)

    def _clock(self, value: float) -> None:
        self.clock_off_s = value
