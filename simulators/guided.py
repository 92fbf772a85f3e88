"""Flying where the ground station says: reposition, another altitude, another speed, as PX4 1.16.1 takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulators.modes import Mode

if TYPE_CHECKING:
    from simulators.autopilot import Autopilot

_CRITICAL, _INFO = 2, 6


class Guided:
    """Commands that set the target of a hold."""

    def __init__(self, pilot: Autopilot) -> None:
        self._pilot = pilot

    def reposition(self, place: tuple[float, float] | None, alt_m: float | None, speed_mps: float | None) -> bool:
        """Hold elsewhere; without a place, where it was holding or going to hold.

        A place outside the fence is accepted, said, and not flown to, as in PX4.
        """
        pilot = self._pilot
        held = pilot.targets.hold if pilot.mode is Mode.LOITER else None
        if not pilot.set_mode(Mode.LOITER, "reposition"):
            return False
        if not pilot.armed or pilot.landed:
            return True
        if place is not None and not pilot.failsafes.fence_ignored and not pilot.failsafes.fence.allows(*place):
            pilot.text(_CRITICAL, "Reposition is outside geofence")
            return True
        body = pilot.body
        east_m, north_m = body.local(*place) if place else (held or (body.east_m, body.north_m))[:2]
        pilot.targets.hold = (east_m, north_m, body.alt_m if alt_m is None else alt_m)
        pilot.targets.hold_speed_mps = speed_mps
        # A reposition without a speed is flown at the cruise speed, whatever was set before.
        pilot.targets.speed_mps = None
        return True

    def change_speed(self, speed_mps: float, *, of_air: bool) -> None:
        """Set the cruise speed of the mode under way, from the next target on if it is to be reset (0 or less).

        Airspeed is for wings: on rotors it changes nothing.
        """
        pilot, value = self._pilot, speed_mps if speed_mps > 0.0 else None
        if pilot.wing is not None and pilot.wing.on_wing:
            pilot.wing.cruise_mps = value
            return
        if of_air or value is None:
            return
        pilot.targets.speed_mps = value
        pilot.targets.hold_speed_mps = None
        if pilot.mission.active:
            pilot.mission.cruise_mps = value

    def takeoff(self, alt_amsl_m: float | None) -> bool:
        """Choose the take-off mode, to an altitude or ``MIS_TAKEOFF_ALT`` above home; in the air only upwards."""
        pilot = self._pilot
        if not pilot.landed and alt_amsl_m is not None and pilot.body.alt_m >= alt_amsl_m:
            pilot.text(_CRITICAL, "Already higher than takeoff altitude")
            return pilot.set_mode(Mode.LOITER)
        return pilot.take_off_to(alt_amsl_m)
