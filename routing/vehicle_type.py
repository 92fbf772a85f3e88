"""What a type of vehicle can do: the figures of a profile that planning and simulation need."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

ROBOT_SPEED_LIMIT_MPS = 6.0 / 3.6
"""6 km/h: a remotely operated small vehicle must not be able to go faster (Japan, Road Traffic Act)."""


class VehicleKind(StrEnum):
    """How a vehicle moves."""

    DRONE = "drone"
    ROBOT = "robot"


@dataclass(frozen=True, slots=True)
class VehicleType:
    """A vehicle type. Masses in kg, energies in Wh, speeds in m/s, times in s.

    ``empty_mass_kg`` includes the battery. ``cruise_power_w`` is at empty mass; planning scales it with
    the payload (``routing.energy``). ``max_airspeed_mps`` is a drone's greatest airspeed in level flight, which
    decides in how much wind it can hold a track.
    """

    type_id: str
    kind: VehicleKind
    name: str
    empty_mass_kg: float
    payload_kg: float
    payload_l: float
    cruise_speed_mps: float
    climb_speed_mps: float
    descent_speed_mps: float
    acceleration_mps2: float
    battery_wh: float
    cruise_power_w: float
    idle_power_w: float
    reserve_fraction: float
    lost_link_s: float
    turnaround_s: float
    service_s: float
    max_airspeed_mps: float = 15.0
