"""PX4's flight modes: ``custom_mode`` of HEARTBEAT, main mode in bits 16 to 23, sub mode above.

After PX4 ``src/modules/commander/px4_custom_mode.h``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

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
_NONE = "MODE0"
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


@lru_cache(maxsize=256)
def name_of(custom_mode: int) -> str:
    """Return the name of a heartbeat's mode."""
    return Mode((custom_mode >> 16) & 0xFF, (custom_mode >> 24) & 0xFF).name


HOLD = Mode(_AUTO, 3)
MISSION = Mode(_AUTO, 4)
RETURN = Mode(_AUTO, 5)
LAND = Mode(_AUTO, 6)


def activity(heartbeat: Heartbeat, *, on_ground: bool) -> Activity:
    """Return what a vehicle is doing. On the ground and disarmed it is idle, whatever its mode."""
    if heartbeat.system_status >= _TERMINATED_STATUS:
        return Activity.FAULT
    return activity_in(name_of(heartbeat.custom_mode), armed=heartbeat.armed, on_ground=on_ground)


def activity_in(mode: str, *, armed: bool, on_ground: bool) -> Activity:
    """Return what a vehicle in the mode of this name (``Mode.name``) is doing, as far as these tell it."""
    main, _, sub = mode.partition(".")
    if main == _MAIN[10]:
        return Activity.FAULT
    if not armed:
        return Activity.IDLE if on_ground else Activity.FAULT
    if main == _NONE:
        return Activity.UNKNOWN
    return _AUTO_ACTIVITY.get(sub, Activity.UNKNOWN) if main == _MAIN[_AUTO] else Activity.MANUAL
