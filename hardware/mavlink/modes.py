"""PX4's flight modes: ``custom_mode`` of HEARTBEAT, main mode in bits 16 to 23, sub mode above.

After PX4 ``src/modules/commander/px4_custom_mode.h``.
"""

from __future__ import annotations

from dataclasses import dataclass

from hardware.link import Activity
from hardware.mavlink.messages import Heartbeat

_AUTO = 4
_MAIN = {
    1: "MANUAL",
    2: "ALTCTL",
    3: "POSCTL",
    4: "AUTO",
    5: "ACRO",
    6: "OFFBOARD",
    7: "STABILIZED",
    9: "SIMPLE",
    10: "TERMINATION",
}
_AUTO_SUB = {
    1: "READY",
    2: "TAKEOFF",
    3: "LOITER",
    4: "MISSION",
    5: "RTL",
    6: "LAND",
    8: "FOLLOW_TARGET",
    9: "PRECLAND",
    10: "VTOL_TAKEOFF",
}
_AUTO_ACTIVITY = {
    "READY": Activity.IDLE,
    "TAKEOFF": Activity.TAKEOFF,
    "VTOL_TAKEOFF": Activity.TAKEOFF,
    "LOITER": Activity.HOLD,
    "MISSION": Activity.MISSION,
    "RTL": Activity.RETURN,
    "LAND": Activity.LAND,
    "PRECLAND": Activity.LAND,
}
_TERMINATED_STATUS = 8


@dataclass(frozen=True, slots=True)
class Mode:
    """A flight mode of PX4 by its main and sub mode, as DO_SET_MODE takes them."""

    main: int
    sub: int = 0

    @classmethod
    def of(cls, heartbeat: Heartbeat) -> Mode:
        """Return the mode that a heartbeat tells."""
        return cls((heartbeat.custom_mode >> 16) & 0xFF, (heartbeat.custom_mode >> 24) & 0xFF)

    @property
    def name(self) -> str:
        """The mode as PX4 calls it, for example ``AUTO.MISSION``."""
        main = _MAIN.get(self.main, f"MODE{self.main}")
        if self.main != _AUTO:
            return main
        return f"{main}.{_AUTO_SUB.get(self.sub, self.sub)}"


HOLD = Mode(_AUTO, 3)
MISSION = Mode(_AUTO, 4)
RETURN = Mode(_AUTO, 5)
LAND = Mode(_AUTO, 6)


def activity(heartbeat: Heartbeat, *, on_ground: bool) -> Activity:
    """Return what a vehicle is doing. On the ground and disarmed it is idle, whatever its mode."""
    mode = Mode.of(heartbeat)
    if heartbeat.system_status >= _TERMINATED_STATUS or mode.main == 10:
        return Activity.FAULT
    if not heartbeat.armed:
        return Activity.IDLE if on_ground else Activity.FAULT
    if mode.main == 0:
        return Activity.UNKNOWN
    if mode.main != _AUTO:
        return Activity.MANUAL
    return _AUTO_ACTIVITY.get(_AUTO_SUB.get(mode.sub, ""), Activity.UNKNOWN)
