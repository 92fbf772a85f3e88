"""Flight modes of the simulated autopilot and PX4's numbers for them."""

from __future__ import annotations

from enum import Enum


class Mode(Enum):
    """A flight mode: PX4's main mode, sub mode, and the name used in logs."""

    MANUAL = (1, 0, "MANUAL")
    ALTCTL = (2, 0, "ALTCTL")
    POSCTL = (3, 0, "POSCTL")
    TAKEOFF = (4, 2, "AUTO.TAKEOFF")
    LOITER = (4, 3, "AUTO.LOITER")
    MISSION = (4, 4, "AUTO.MISSION")
    RTL = (4, 5, "AUTO.RTL")
    LAND = (4, 6, "AUTO.LAND")
    ACRO = (5, 0, "ACRO")
    OFFBOARD = (6, 0, "OFFBOARD")
    STABILIZED = (7, 0, "STABILIZED")

    @property
    def custom_mode(self) -> int:
        """The ``custom_mode`` of HEARTBEAT: main mode in bits 16 to 23, sub mode in bits 24 to 31."""
        return self.value[0] << 16 | self.value[1] << 24

    @property
    def label(self) -> str:
        """The name used in logs, as PX4 names it."""
        return self.value[2]

    @property
    def auto(self) -> bool:
        """Whether the autopilot flies by itself in this mode."""
        return int(self.value[0]) == 4

    @property
    def spoken(self) -> str:
        """The name that PX4 uses in words."""
        return _SPOKEN.get(self.label, self.label.removeprefix("AUTO.").title())


_SPOKEN = {"ALTCTL": "Altitude", "POSCTL": "Position", "AUTO.LOITER": "Hold", "AUTO.RTL": "Return"}


def mode_from(main: int, sub: int) -> Mode | None:
    """Return the mode of PX4's numbers; AUTO without a sub mode is MISSION, as in PX4."""
    if main == 4 and sub == 0:
        return Mode.MISSION
    for mode in Mode:
        numbers = (int(mode.value[0]), int(mode.value[1]))
        if numbers == (main, sub) or (numbers[0] == main and not mode.auto):
            return mode
    return None
