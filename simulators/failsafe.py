"""What the simulated autopilot does by itself when link, battery, position or fence fail (PX4's rules)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from simulators.fence import Fence
from simulators.modes import Mode

if TYPE_CHECKING:
    from simulators.autopilot import Autopilot

_EMERGENCY, _CRITICAL, _INFO = 0, 2, 6
_HEARTBEAT_GRACE_S = 2.5
"""PX4 calls a ground station silent this long after its last heartbeat; COM_DL_LOSS_T counts from then."""
_LINK_MODES = {1: Mode.LOITER, 2: Mode.RTL, 3: Mode.LAND}
FIX_SATELLITES, ARMING_SATELLITES = 4, 6
"""Satellites that PX4 wants for a position and for arming (EKF2_REQ_NSATS)."""
_FENCE_MODES = {2: Mode.LOITER, 3: Mode.RTL, 5: Mode.LAND}
_POSITION_LOST_S = 5.0


class Failsafes:
    """Watches for failures and takes the actions that the parameters ask for, in vehicle time.

    Actions on link and battery are preceded by ``COM_FAIL_ACT_T`` seconds of HOLD. A mode that a failsafe took
    stays when its cause goes; a mode change by the ground station ends it.
    """

    def __init__(self, pilot: Autopilot) -> None:
        self._pilot = pilot
        self.active = False
        self.gcs_heard_s: float | None = None
        self.link_lost = True
        self.gps_lost = False
        self.fence = Fence()
        self.fence_ignored = False
        self._pending: tuple[float, Mode, str] | None = None
        self._battery_level = 0
        self._breached = False
        self._gps_lost_s = 0.0

    def heard_gcs(self) -> None:
        """A ground station's heartbeat came in."""
        self.gcs_heard_s = self._pilot.now_s
        if self.link_lost:
            self.link_lost = False
            if self._pilot.now_s > 1.0:
                self._pilot.text(_INFO, "GCS connection regained")
                self._pilot.log("link_regained")

    def set_fence(self, fence: Fence) -> None:
        """Take a new fence. One that does not contain home is reported once and ignored, as in PX4."""
        self.fence, self._breached = fence, False
        home = self._pilot.home_position
        self.fence_ignored = home is not None and not fence.allows(home[0], home[1])
        if self.fence_ignored:
            self._pilot.text(_CRITICAL, "Geofence invalid, doesn't contain Home position")

    def mode_changed_by_user(self) -> None:
        """A mode chosen by the ground station ends a failsafe."""
        self._pending = None
        self.active = False

    def check(self) -> None:
        """Look for failures; called several times a second of vehicle time."""
        self._check_link()
        self._check_battery()
        self._check_gps()
        self._check_fence()
        if self._pending is not None and self._pilot.now_s >= self._pending[0]:
            self._take(self._pending[1], self._pending[2])

    def _flying(self) -> bool:
        return self._pilot.armed and not self._pilot.landed

    def _take(self, mode: Mode, cause: str) -> None:
        pilot = self._pilot
        self.active, self._pending = True, None
        pilot.log("failsafe", cause=cause, action=mode.label)
        pilot.text(_CRITICAL, "Failsafe activated")
        pilot.enter_mode(mode, f"failsafe: {cause}")

    def _take_after_hold(self, mode: Mode, cause: str) -> None:
        """Hold for ``COM_FAIL_ACT_T`` seconds first; a hold already under way is not prolonged."""
        pilot, delay_s = self._pilot, float(self._pilot.params["COM_FAIL_ACT_T"])
        if self._pending is not None:
            self._pending = (self._pending[0], mode, cause)
        elif self.active or mode is Mode.LOITER or delay_s <= 0.0:
            self._take(mode, cause)
        else:
            self.active = True
            self._pending = (pilot.now_s + delay_s, mode, cause)
            pilot.log("failsafe", cause=cause, action=Mode.LOITER.label)
            pilot.text(_CRITICAL, f"Failsafe activated: entering Hold for {delay_s:.0f} seconds")
            pilot.enter_mode(Mode.LOITER, f"failsafe: {cause}")

    def _check_link(self) -> None:
        pilot = self._pilot
        if self.link_lost or self.gcs_heard_s is None:
            return
        if pilot.now_s - self.gcs_heard_s <= float(pilot.params["COM_DL_LOSS_T"]) + _HEARTBEAT_GRACE_S:
            return
        self.link_lost = True
        pilot.log("link_lost")
        mode = _LINK_MODES.get(int(pilot.params["NAV_DLL_ACT"]))
        if mode is not None and self._flying() and pilot.mode not in (Mode.RTL, Mode.LAND):
            self._take_after_hold(mode, "data link lost")

    def battery_warning(self) -> int:
        """0 none, 1 low, 2 critical, 3 emergency, by the thresholds in the parameters."""
        left = self._pilot.battery_fraction
        names = ("BAT_EMERGEN_THR", "BAT_CRIT_THR", "BAT_LOW_THR")
        for level, name in zip((3, 2, 1), names, strict=True):
            if left < float(self._pilot.params[name]):
                return level
        return 0

    def _check_battery(self) -> None:
        pilot, level = self._pilot, self.battery_warning()
        if not pilot.armed:
            self._battery_level = 0
            return
        if level <= self._battery_level:
            return
        self._battery_level = level
        pilot.text(_EMERGENCY, ("Low battery", "Critical battery", "Emergency battery level")[level - 1])
        act = int(pilot.params["COM_LOW_BAT_ACT"])
        if not self._flying() or pilot.mode is Mode.LAND:
            return
        if (act == 2 and level >= 2) or (act == 3 and level == 3):
            self._take_after_hold(Mode.LAND, "battery")
        elif act == 3 and level == 2 and pilot.mode is not Mode.RTL:
            self._take_after_hold(Mode.RTL, "battery")

    def _check_gps(self) -> None:
        pilot, lost = self._pilot, int(self._pilot.params["SIM_GPS_USED"]) < FIX_SATELLITES
        if lost and not self.gps_lost:
            self._gps_lost_s = pilot.now_s
            pilot.log("gps_lost")
        elif lost and self._flying() and pilot.mode is not Mode.LAND:
            if pilot.now_s - self._gps_lost_s > _POSITION_LOST_S:
                self._take(Mode.LAND, "position lost")
        elif self.gps_lost and not lost:
            pilot.log("gps_regained")
            if self._flying() and self.active and pilot.mode is Mode.LAND:
                self.active = False
                pilot.enter_mode(Mode.LOITER, "position regained")
        self.gps_lost = lost

    def _check_fence(self) -> None:
        pilot, action = self._pilot, int(self._pilot.params["GF_ACTION"])
        if not self._flying() or self.fence_ignored or action == 0:
            return
        lat, lon, alt_m = pilot.body.estimate()
        breached = not self.fence.allows(lat, lon) or self._too_far(alt_m)
        if breached and not self._breached:
            pilot.text(_CRITICAL, "Geofence violation")
            pilot.log("fence_breach")
            mode = _FENCE_MODES.get(action)
            if mode is not None and pilot.mode is not Mode.LAND:
                self._take(mode, "geofence violation")
        self._breached = breached

    def _too_far(self, alt_m: float) -> bool:
        pilot = self._pilot
        far_m, high_m = float(pilot.params["GF_MAX_HOR_DIST"]), float(pilot.params["GF_MAX_VER_DIST"])
        home_e, home_n = pilot.home_local
        away = math.hypot(pilot.body.east_m - home_e, pilot.body.north_m - home_n)
        return (0.0 < far_m < away) or (0.0 < high_m < alt_m - pilot.home_alt_m)
