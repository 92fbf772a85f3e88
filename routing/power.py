"""What a drone draws in flight, by mass, airspeed and climb: momentum theory for rotors, a drag polar for a wing.

Calibrated by the few figures that profiles have: power in hover and in cruise at empty mass, and the cruise speed.
How far it is off published measurements is worked out in ``tests/benchmarks/energy.py``.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from routing.movement import GRAVITY_MPS2
from routing.vehicle_type import Airframe, VehicleType

HOVER_EFFICIENCY = 0.5
"""Ideal power of hovering (thrust times induced velocity of actuator discs) over electrical power. It is 0.45 for DJI's
Matrice 100 and 600, 0.51 for the FlyCart 30 and 0.55 for the Matrice 300, of their published masses, propeller
diameters, battery energies and hover times. With it, hover power says how fast the rotors' wake is, which no
profile does."""

DRIVE_EFFICIENCY = 0.8
"""Shaft power over electrical power: motors and controllers."""

INDUCED_FACTOR = 1.15
"""Induced power over that of ideal discs (Leishman, Principles of Helicopter Aerodynamics, 2nd ed., section 2.4)."""

PROFILE_GROWTH = 4.65
"""Growth of the blades' profile power with the square of the advance ratio (Leishman, section 5.4.2)."""

TIP_PER_WAKE = 14.0
"""Tip speed over induced velocity in hover: ``sqrt(2 / C_T)`` at a thrust coefficient of 0.01, as small propellers
have (Leishman, section 2.3)."""

WING_INDUCED_SHARE = 0.4
"""Share of a wing's drag in cruise that is induced by lift. It is one half at the speed of best range (Anderson,
Introduction to Flight, section 6.7), and operators fly somewhat faster."""

PROPULSIVE_EFFICIENCY = 0.6
"""Thrust power over electrical power of a wing's propeller, motor and controller."""

_ROUNDS = 30
_CALIBRATION_ROUNDS = 60
_STEEPEST_DRAG = 4.0

Array = npt.NDArray[np.float64]


def hover_w(vehicle_type: VehicleType, payload_kg: npt.ArrayLike) -> Array:
    """Electrical power in hover, in W: it grows with mass to the power 1.5.

    Induced power is ``T^1.5 / sqrt(2 rho A)`` (Leishman, section 2.2); profile power goes with the cube of the rotor
    speed, and thrust with its square.
    """
    loaded = 1.0 + np.asarray(payload_kg, dtype=np.float64) / vehicle_type.empty_mass_kg
    return _hover_empty_w(vehicle_type) * loaded * np.sqrt(loaded)


def rotor_w(
    vehicle_type: VehicleType, payload_kg: npt.ArrayLike, airspeed_mps: npt.ArrayLike, climb_mps: npt.ArrayLike
) -> Array:
    """Electrical power on rotors, in W, at an airspeed and rate of climb; arrays are broadcast against one another.

    Induced velocity solves Glauert's ``v = v_h^2 / sqrt(V_t^2 + (V_n + v)^2)`` with the disc tilted by drag (Leishman,
    section 2.14); to it comes the power of drag and climb, and of the blades' profile, which grows with the advance
    ratio. Drag goes with the square of the airspeed, and in proportion to mass, as with the constant lift over drag
    of D'Andrea (2014): makers' ranges by payload show it. A descent is reckoned as level flight: nothing is won back.
    """
    # D'Andrea, R. (2014): Can drones deliver? IEEE Trans. Autom. Sci. Eng. 11(3), 647-648.
    loaded = 1.0 + np.asarray(payload_kg, dtype=np.float64) / vehicle_type.empty_mass_kg
    return _rotor_w(vehicle_type, loaded, airspeed_mps, climb_mps, _drag_over_weight(vehicle_type))


def wing_w(
    vehicle_type: VehicleType, payload_kg: npt.ArrayLike, airspeed_mps: npt.ArrayLike, climb_mps: npt.ArrayLike
) -> Array:
    """Electrical power on the wing, in W: a parabolic drag polar, ``D = a V^2 + b m^2 / V^2`` (Anderson, section 6.3),
    and the weight's share in a climb; a descent is reckoned as level flight."""
    loaded = 1.0 + np.asarray(payload_kg, dtype=np.float64) / vehicle_type.empty_mass_kg
    relative = np.asarray(airspeed_mps, dtype=np.float64) / vehicle_type.cruise_speed_mps
    level = (1.0 - WING_INDUCED_SHARE) * relative**3 + WING_INDUCED_SHARE * loaded**2 / relative
    weight_n = vehicle_type.empty_mass_kg * GRAVITY_MPS2 * loaded
    climbing = weight_n * np.maximum(np.asarray(climb_mps, dtype=np.float64), 0.0) / PROPULSIVE_EFFICIENCY
    return np.asarray(vehicle_type.cruise_power_w * level + climbing)


def induced_mps(hover_squared: Array, along: Array, through: Array) -> Array:
    """Induced velocity in m/s of discs that induce the root of ``hover_squared`` in hover, in air that moves ``along``
    and ``through`` them (not negative): ``v^2 (V_t^2 + (V_n + v)^2) = v_h^4``, by Newton's method from above.

    The left side is convex and rising, so that each step stays above.
    """
    wake = np.sqrt(hover_squared + 0.0 * along)
    for _ in range(_ROUNDS):
        inflow = through + wake
        square = along * along + inflow * inflow
        error = wake * wake * square - hover_squared * hover_squared
        wake = wake - error / (2.0 * wake * square + 2.0 * wake * wake * inflow)
        if float(np.max(error, initial=0.0)) <= 1e-12 * float(np.max(hover_squared, initial=1.0)) ** 2:
            break
    return wake


def _hover_empty_w(vehicle_type: VehicleType) -> float:
    return vehicle_type.hover_power_w or vehicle_type.cruise_power_w


def _rotor_w(
    vehicle_type: VehicleType, loaded: Array, airspeed_mps: npt.ArrayLike, climb_mps: npt.ArrayLike, drag: float
) -> Array:
    hover = _hover_empty_w(vehicle_type)
    weight_n = vehicle_type.empty_mass_kg * GRAVITY_MPS2
    wake_mps = HOVER_EFFICIENCY * hover / weight_n
    induced_w = INDUCED_FACTOR * HOVER_EFFICIENCY / DRIVE_EFFICIENCY * hover
    airspeed = np.asarray(airspeed_mps, dtype=np.float64)
    climb = np.maximum(np.asarray(climb_mps, dtype=np.float64), 0.0)
    # Drag tilts the disc: all forces are multiples of the weight with its load.
    pull = drag * (airspeed / vehicle_type.cruise_speed_mps) ** 2
    thrust = np.sqrt(1.0 + pull * pull)
    cosine, sine = 1.0 / thrust, pull / thrust
    along = airspeed * cosine - climb * sine
    through = airspeed * sine + climb * cosine
    wake = induced_mps(wake_mps * wake_mps * loaded * thrust, along, through)
    advance = airspeed / (TIP_PER_WAKE * wake_mps * np.sqrt(loaded * thrust))
    profile_w = (hover - induced_w) * (loaded * thrust) ** 1.5 * (1.0 + PROFILE_GROWTH * advance * advance)
    pushing_w = weight_n * loaded * (pull * airspeed + climb) / DRIVE_EFFICIENCY
    return np.asarray(induced_w * loaded * thrust * wake / wake_mps + pushing_w + profile_w)


@lru_cache(maxsize=256)
def _drag_over_weight(vehicle_type: VehicleType) -> float:
    """Drag over weight at cruise speed with which the cruise power comes out at empty mass, by bisection.

    Zero where the profile's cruise power is less than rotors need without any drag: then it is overruled. A VTOL on
    its rotors does not cruise.
    """
    if vehicle_type.built_as is Airframe.VTOL:
        return 0.0
    low, high = 0.0, _STEEPEST_DRAG
    for _ in range(_CALIBRATION_ROUNDS):
        middle = (low + high) / 2.0
        drawn = float(_rotor_w(vehicle_type, np.ones(()), vehicle_type.cruise_speed_mps, 0.0, middle))
        low, high = (middle, high) if drawn < vehicle_type.cruise_power_w else (low, middle)
    return low
