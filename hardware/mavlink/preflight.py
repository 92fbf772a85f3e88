"""What must be right with a vehicle before it is armed."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hardware.errors import Refused
from hardware.mavlink.autopilot import Autopilot
from hardware.mavlink.observer import Observer
from hardware.mavlink.translate import ItemPlan
from hardware.mission import Mission
from routing.geo import Position, distance_m
from routing.vehicle_type import VehicleType

HOME_DISTANCE_M = 5.0
HOME_HEIGHT_M = 3.0
"""How far the autopilot's home may lie from where the mission starts; GPS and barometer differ by 1 m."""

ALONG_MISSION = (2, 4)
"""Values of RTL_TYPE with which a vehicle returns along the mission that it carries."""

MIN_RETURN_M = 10


def problems(observer: Observer, plan: ItemPlan, vehicle_type: VehicleType, home: Position | None) -> tuple[str, ...]:
    """Return why the vehicle must not start this mission, in words for the crew beside it.

    ``home`` is the surveyed start with the ground's altitude; without it only the plan position is
    checked.
    """
    found: list[str] = []
    if not observer.landed_known or not observer.on_ground:
        found.append("it does not say that it stands on the ground")
    if observer.home is not None:
        off_m = distance_m(observer.home, plan.mission.steps[0].position)
        if off_m > HOME_DISTANCE_M:
            found.append(f"its home is {off_m:.0f} m from where the mission starts")
        if home is not None and abs(observer.home.alt_amsl_m - home.alt_amsl_m) > HOME_HEIGHT_M:
            found.append(f"its home is {observer.home.alt_amsl_m:.1f} m AMSL high, the site {home.alt_amsl_m:.1f} m")
    reserve_pct = vehicle_type.reserve_fraction * 100
    if observer.battery_pct is None:
        found.append("it does not tell its battery's charge")
    elif observer.battery_pct <= reserve_pct:
        found.append(f"its battery has {observer.battery_pct} %, the reserve is {reserve_pct:.0f} %")
    return tuple(found)


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
