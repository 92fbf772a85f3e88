"""Parameters of the simulated autopilot, with PX4's names, types and defaults."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

INT32 = 6
"""MAV_PARAM_TYPE_INT32."""
REAL32 = 9
"""MAV_PARAM_TYPE_REAL32."""

_INTEGERS: dict[str, int] = {
    "BAT1_N_CELLS": 12,
    "CBRK_SUPPLY_CHK": 0,
    "COM_DL_LOSS_T": 10,
    "COM_LOW_BAT_ACT": 3,
    "COM_RC_IN_MODE": 1,
    "GF_ACTION": 2,
    "MAV_COMP_ID": 1,
    "MAV_SYS_ID": 1,
    "MAV_TYPE": 2,
    "MIS_TKO_LAND_REQ": 0,
    "NAV_DLL_ACT": 0,
    "PD_GRIPPER_TYPE": 0,
    "RTL_CONE_ANG": 45,
    "RTL_TYPE": 0,
    "SDLOG_MODE": -1,
    "SIM_GPS_USED": 10,
    "SYS_AUTOSTART": 10040,
    "SYS_FAILURE_EN": 1,
}
_REALS: dict[str, float] = {
    "BAT_CRIT_THR": 0.07,
    "BAT_EMERGEN_THR": 0.05,
    "BAT_LOW_THR": 0.15,
    "COM_ARM_BAT_MIN": -1.0,
    "COM_DISARM_LAND": 2.0,
    "COM_DISARM_PRFLT": 10.0,
    "COM_FAIL_ACT_T": 5.0,
    "COM_RC_LOSS_T": 0.5,
    "FW_AIRSPD_TRIM": 15.0,
    "GF_MAX_HOR_DIST": 0.0,
    "GF_MAX_VER_DIST": 0.0,
    "MIS_DIST_1WP": 10000.0,
    "MIS_COMMAND_TOUT": 0.0,
    "MIS_TAKEOFF_ALT": 2.5,
    "MPC_ACC_HOR": 3.0,
    "MPC_LAND_ALT1": 10.0,
    "MPC_LAND_ALT2": 5.0,
    "MPC_LAND_SPEED": 0.7,
    "MPC_TKO_SPEED": 1.5,
    "MPC_XY_CRUISE": 5.0,
    "MPC_XY_VEL_MAX": 12.0,
    "MPC_Z_VEL_MAX_DN": 1.5,
    "MPC_Z_VEL_MAX_UP": 3.0,
    "NAV_ACC_RAD": 2.0,
    "NAV_FW_ALT_RAD": 10.0,
    "NAV_LOITER_RAD": 80.0,
    "NAV_MC_ALT_RAD": 0.8,
    "RTL_DESCEND_ALT": 10.0,
    "RTL_LAND_DELAY": 0.0,
    "RTL_MIN_DIST": 10.0,
    "RTL_RETURN_ALT": 30.0,
    "SIM_BAT_DRAIN": 0.0,
    "SIM_BAT_MIN_PCT": 0.0,
}
"""As read from a PX4 v1.16.1 SITL quadrotor. ``SIM_BAT_DRAIN`` 0 is this simulator's own: the battery
then follows the energy model."""


class Parameters:
    """Named values in PX4's order (sorted); changes are handed to ``on_change`` to be kept."""

    def __init__(self, overrides: Mapping[str, float], on_change: Callable[[], None] | None = None) -> None:
        """Start from the defaults; ``overrides`` that name no parameter raise ``KeyError``."""
        self._values: dict[str, int | float] = dict(sorted({**_INTEGERS, **_REALS}.items()))
        self._base: dict[str, int | float] = {}
        self._on_change = on_change
        for name, value in overrides.items():
            self._values[name] = self._coerce(name, value)
        self._base = dict(self._values)
        self.names: tuple[str, ...] = tuple(self._values)

    def _coerce(self, name: str, value: float) -> int | float:
        if isinstance(self._values[name], int):
            return int(value)
        return float(struct.unpack("<f", struct.pack("<f", value))[0])

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __getitem__(self, name: str) -> int | float:
        return self._values[name]

    def kind(self, name: str) -> int:
        """The MAV_PARAM_TYPE of a parameter."""
        return INT32 if isinstance(self._values[name], int) else REAL32

    def set(self, name: str, value: float) -> None:
        """Change a value; raises ``KeyError`` for an unknown name."""
        self._values[name] = self._coerce(name, value)
        if self._on_change:
            self._on_change()

    def changed(self) -> dict[str, int | float]:
        """What differs from the configured start values, to be kept over a restart."""
        return {name: value for name, value in self._values.items() if value != self._base[name]}

    def to_wire(self, name: str) -> float:
        """The ``param_value`` of a message: the bytes of the value, read as a float (ENCODE_BYTEWISE)."""
        value = self._values[name]
        if isinstance(value, int):
            return float(struct.unpack("<f", struct.pack("<i", value))[0])
        return value

    def from_wire(self, name: str, value: float, kind: int) -> int | float | None:
        """Read a ``param_value``; ``None`` when the type sent is not the parameter's or it is not finite."""
        if kind != self.kind(name):
            return None
        if kind == INT32:
            return int(struct.unpack("<i", struct.pack("<f", value))[0])
        return value if value - value == 0 else None
