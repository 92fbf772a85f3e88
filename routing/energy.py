"""What a movement costs in battery energy."""

from __future__ import annotations

import math

from routing.motion import Movement
from routing.vehicle_type import VehicleKind, VehicleType

GRAVITY_MPS2 = 9.80665
"""Standard gravity (ISO 80000-3)."""

CLIMB_EFFICIENCY = 0.6
"""Share of battery energy that becomes height in a climb of a multirotor: propeller, motor and controller."""

PARASITIC_SHARE = 0.15
"""Share of a multirotor's cruise power that goes into the drag of its body; it grows with the cube of the airspeed
(Leishman, section 5.4)."""

DRIVE_EFFICIENCY = 0.6
"""The same for a robot's geared wheel drive. Nothing is won back downhill, for either."""


def rotor_power_w(vehicle_type: VehicleType, payload_kg: float) -> float:
    """Electrical power in hover and cruise with a payload, in W.

    Momentum theory: induced power is ``T^1.5 / sqrt(2 rho A)`` (Leishman, Principles of Helicopter
    Aerodynamics, section 2.2), so it grows with mass to the power 1.5. The same factor is put on the whole
    of the cruise power, which overstates its parasitic part a little.
    """
    load = 1.0 + payload_kg / vehicle_type.empty_mass_kg
    return vehicle_type.cruise_power_w * load * math.sqrt(load)


def rolling_power_w(vehicle_type: VehicleType, payload_kg: float) -> float:
    """Electrical power of a robot on the level, in W: what it needs standing, and rolling resistance,
    which is proportional to mass (``P = c_rr m g v``)."""
    rolling_w = max(0.0, vehicle_type.cruise_power_w - vehicle_type.idle_power_w)
    return vehicle_type.idle_power_w + rolling_w * (1.0 + payload_kg / vehicle_type.empty_mass_kg)


def movement_wh(vehicle_type: VehicleType, payload_kg: float, movement: Movement) -> float:
    """Energy of one movement in Wh: power at the mass carried for its time, the height climbed (``m g h`` over the
    efficiency), and for a drone the drag of more airspeed than in cruise (``Movement.push_s``)."""
    drone = vehicle_type.kind is VehicleKind.DRONE
    power_w = (rotor_power_w if drone else rolling_power_w)(vehicle_type, payload_kg)
    efficiency = CLIMB_EFFICIENCY if drone else DRIVE_EFFICIENCY
    lift_j = (vehicle_type.empty_mass_kg + payload_kg) * GRAVITY_MPS2 * movement.climb_m / efficiency
    drag_j = PARASITIC_SHARE * vehicle_type.cruise_power_w * movement.push_s if drone else 0.0
    return (power_w * movement.duration_s + lift_j + drag_j) / 3600.0


def service_wh(vehicle_type: VehicleType, payload_kg: float, seconds: float) -> float:
    """Energy while parcels are handed over, in Wh: a drone hovers with them, a robot stands."""
    if vehicle_type.kind is VehicleKind.DRONE:
        return rotor_power_w(vehicle_type, payload_kg) * seconds / 3600.0
    return vehicle_type.idle_power_w * seconds / 3600.0


def usable_wh(vehicle_type: VehicleType) -> float:
    """Energy that a trip may use: the battery less its reserve."""
    return vehicle_type.battery_wh * (1.0 - vehicle_type.reserve_fraction)
