"""What must be right with a vehicle before it is armed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hardware.errors import Refused
from hardware.mavlink.autopilot import Autopilot
from hardware.mavlink.fence_items import inside
from hardware.mavlink.observer import Observer
from hardware.mavlink.translate import ItemPlan
from hardware.mission import Mission
from routing.errors import BadInput
from routing.geo import Position, distance_m
from routing.vehicle_type import VehicleType

HOME_DISTANCE_M = 5.0
HOME_HEIGHT_M = 3.0
"""How far the autopilot's home may lie from the surveyed pad; GPS and barometer differ by 1 m."""

ALONG_MISSION = (2, 4)
"""Values of RTL_TYPE with which a vehicle returns along the mission that it carries."""

MIN_RETURN_M = 10

FIX_3D = 3
"""GPS_FIX_TYPE_3D_FIX; better ones have greater numbers."""
LEAST_SATELLITES = 6
"""PX4's own demand (EKF2_REQ_NSATS): with fewer, one that fails leaves no position."""
CLOCK_OFF_S = 2.0
"""How far its date may be off: its log, its signatures and its Remote ID are compared with ours by the second."""
CHARGE_TOLERANCE_PCT = 2.0
"""Charge is told in whole percent, and a pack that has stood for a while on is not at 100; the reserve covers it."""

_SENSORS = {
    0x1: "gyroscope",
    0x2: "accelerometer",
    0x4: "compass",
    0x8: "barometer",
    0x10: "airspeed sensor",
    0x20: "satellite receiver",
    0x1000: "stabilisation",
    0x4000: "position control",
    0x8000: "motors",
    0x10000: "remote control",
    0x100000: "geofence",
    0x200000: "attitude and position estimate",
    0x2000000: "battery",
}
"""MAV_SYS_STATUS_SENSOR, of what a flight depends on."""

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Firmware:
    """Which firmware a profile is for: ``least`` that flies, and those ``tested`` with it."""

    least: Version = (0, 0, 0)
    tested: tuple[Version, ...] = ()

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Firmware:
        """Read a profile's ``[firmware]``; raises ``BadInput`` naming what is no version."""
        return cls(
            parse_version(table.get("least", "0.0.0")), tuple(parse_version(text) for text in table.get("tested", ()))
        )


def parse_version(text: object) -> Version:
    """Read a version as ``1.16.1``; raises ``BadInput``."""
    parts = text.split(".") if isinstance(text, str) else []
    if len(parts) != 3 or not all(part.isdecimal() and int(part) < 256 for part in parts):
        raise BadInput(f"firmware: a version is like 1.16.1, not {text!r}")
    return int(parts[0]), int(parts[1]), int(parts[2])


def version_text(version: Version) -> str:
    """Return a version as it is written."""
    return ".".join(map(str, version))


@dataclass(frozen=True, slots=True)
class Preflight:
    """What a start asks for: ``home`` is the surveyed pad with the ground's altitude (``None``: only the mission's
    first step is known), ``real``: no simulated vehicle, so that it is wrong when it leaves something out."""

    vehicle_type: VehicleType
    home: Position | None
    firmware: Firmware = Firmware()
    real: bool = True

    def problems(self, observer: Observer, plan: ItemPlan) -> tuple[str, ...]:
        """Return all that speaks against starting this mission now, in words for the crew beside the vehicle."""
        return (
            *_of_state(observer),
            *self._of_satellites(observer),
            *self._of_home(observer, plan.mission),
            *self._of_battery(observer, plan.mission),
            *self._of_clock(observer),
            *self._of_firmware(observer),
        )

    def _of_satellites(self, observer: Observer) -> Iterator[str]:
        gps = observer.gps
        if gps is None:
            if self.real:
                yield "it does not tell of its satellite receiver"
            return
        if gps.fix_type < FIX_3D:
            yield "its satellite receiver has no position in space"
        if gps.satellites is not None and gps.satellites < LEAST_SATELLITES:
            yield f"it sees {gps.satellites} satellites, at least {LEAST_SATELLITES} are needed"

    def _of_home(self, observer: Observer, mission: Mission) -> Iterator[str]:
        start, found = mission.steps[0].position, observer.home
        if found is None:
            if self.real:
                yield "it does not tell its home"
            return
        surveyed = self.home
        if (off_m := distance_m(found, start)) > HOME_DISTANCE_M:
            yield f"its home is {off_m:.0f} m from where the mission starts"
        elif surveyed is not None and (off_m := distance_m(found, surveyed)) > HOME_DISTANCE_M:
            yield f"its home is {off_m:.0f} m from its surveyed pad"
        if surveyed is not None and abs(found.alt_amsl_m - surveyed.alt_amsl_m) > HOME_HEIGHT_M:
            yield f"its home is {found.alt_amsl_m:.1f} m AMSL high, the site {surveyed.alt_amsl_m:.1f} m"
        # PX4 accepts a fence that does not contain home, and then flies without any.
        if mission.fence is not None and not inside(mission.fence, found):
            yield "its home lies outside the mission's fence"

    def _of_battery(self, observer: Observer, mission: Mission) -> Iterator[str]:
        kind, charge_pct = self.vehicle_type, observer.battery_pct
        reserve_pct = kind.reserve_fraction * 100
        if charge_pct is None:
            yield "it does not tell its battery's charge"
        elif charge_pct <= reserve_pct:
            yield f"its battery has {charge_pct} %, the reserve is {reserve_pct:.0f} %"
        elif mission.energy_wh is not None:
            needed_pct = mission.energy_wh / kind.battery_wh * 100 + reserve_pct
            if charge_pct + CHARGE_TOLERANCE_PCT < needed_pct:
                yield (
                    f"its battery has {charge_pct} %, the mission takes {mission.energy_wh:.0f} Wh, "
                    f"which is with the reserve {needed_pct:.0f} %"
                )

    def _of_clock(self, observer: Observer) -> Iterator[str]:
        # A simulated vehicle has a clock of its own.
        if self.real and observer.clock_off_s is not None and abs(observer.clock_off_s) > CLOCK_OFF_S:
            yield f"its clock is {observer.clock_off_s:+.0f} s off ours"

    def _of_firmware(self, observer: Observer) -> Iterator[str]:
        version = None if observer.version is None else observer.version.firmware
        if version is None:
            if self.real and self.firmware.least > (0, 0, 0):
                yield "it does not tell its firmware"
        elif version < self.firmware.least:
            yield (
                f"its firmware is {version_text(version)}, the profile asks for {version_text(self.firmware.least)} or "
                "newer"
            )


def _of_state(observer: Observer) -> Iterator[str]:
    if not observer.landed_known or not observer.on_ground:
        yield "it does not say that it stands on the ground"
    if ill := [words for bit, words in _SENSORS.items() if observer.ill & bit]:
        yield f"it says that it is not well: {', '.join(ill)}"


def return_parameters(mission: Mission, home: Position | None) -> dict[str, int | float]:
    """Return the parameters that a mission's straight way home needs beside the profile's; none without one.

    PX4 counts the altitude from its home, in whole metres here, so that a crew can set it. It climbs to it wherever
    it is (``RTL_CONE_ANG`` 0). Raises ``Refused`` when nobody knows how high home is.
    """
    if mission.return_alt_amsl_m is None:
        return {}
    if home is None:
        raise Refused("its mission has a return altitude, and the altitude of its home is not known")
    return {
        "RTL_RETURN_ALT": float(max(MIN_RETURN_M, math.ceil(mission.return_alt_amsl_m - home.alt_amsl_m))),
        "RTL_CONE_ANG": 0,
    }


async def check_parameters(autopilot: Autopilot, parameters: Mapping[str, int | float], *, may_set: bool) -> None:
    """Read the failsafe parameters of the profile; set those that differ if ``may_set``, and read again.

    A real vehicle is set up on the ground by its crew, not by us on the way to the sky. Raises
    ``Refused`` naming the parameters that differ.
    """
    wrong: list[str] = []
    for name, wanted in parameters.items():
        found = await autopilot.get_parameter(name, wanted)
        if not _same(found, wanted) and may_set:
            await autopilot.set_parameter(name, wanted)
            found = await autopilot.get_parameter(name, wanted)
        if not _same(found, wanted):
            wrong.append(f"{name} is {found:g} instead of {wanted:g}")
    if wrong:
        raise Refused(f"failsafe parameters differ from the profile: {'; '.join(wrong)}")


def _same(found: float, wanted: float) -> bool:
    return abs(found - wanted) <= 1e-6 * max(1.0, abs(wanted))
