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


class Airframe(StrEnum):
    """What a vehicle is built as: it decides which power model, which ways and which flight phases apply."""

    MULTIROTOR = "multirotor"
    VTOL = "vtol"
    SIDEWALK_ROBOT = "sidewalk_robot"
    ROAD_ROBOT = "road_robot"


class ReleaseBy(StrEnum):
    """How a drone lets a parcel go."""

    GRIPPER = "gripper"
    """It opens at the drop point."""
    WINCH = "winch"
    """It lowers the parcel on a line, whose hook opens on the ground."""


AMBIENT = "ambient"
"""The temperature class of goods that need none; the others are ``chilled`` and ``frozen``."""

TEMPERATURE_CLASSES = (AMBIENT, "chilled", "frozen")


@dataclass(frozen=True, slots=True)
class WeatherLimits:
    """The weather in which a type may set out: mean wind and gusts in m/s, rain in mm/h, the rest as named;
    ``None``: no limit."""

    max_wind_mps: float | None = None
    max_gust_mps: float | None = None
    max_rain_mm_h: float | None = None
    min_visibility_m: float | None = None
    min_temperature_c: float | None = None
    max_temperature_c: float | None = None


@dataclass(frozen=True, slots=True)
class VehicleType:
    """A vehicle type. Masses in kg, energies in Wh, speeds in m/s, times in s.

    ``empty_mass_kg`` includes the battery. ``cruise_power_w`` is at empty mass; planning scales it with
    the payload (``routing.energy``). ``max_airspeed_mps`` is a drone's greatest airspeed in level flight, which
    decides in how much wind it can hold a track.

    ``hover_power_w`` (0: as ``cruise_power_w``) is that of a VTOL on its rotors at empty mass; its ``cruise_power_w``
    is on the wing, which carries it from ``transition_s`` after take-off on. ``compartments``: parcels of so many
    orders at once (0: as many as mass and volume allow). ``capacity_at_c``: share of ``battery_wh`` at a temperature
    in degrees Celsius, linear between the points, ascending; empty: all of it. ``charge_s``: an empty pack until it
    is full. ``span_m``: greatest dimension, for the ground risk class. ``rtl_type``: PX4's ``RTL_TYPE``, which
    decides the way that a drone takes by itself. ``weather``: in which it may set out. ``release``: how a drone lets
    parcels go. ``width_m``, ``max_slope`` (rise over run) and ``max_kerb_m`` are a robot's.
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
    airframe: Airframe | None = None
    hover_power_w: float = 0.0
    transition_s: float = 0.0
    compartments: int = 0
    temperature_classes: tuple[str, ...] = (AMBIENT,)
    capacity_at_c: tuple[tuple[float, float], ...] = ()
    charge_s: float = 3_600.0
    span_m: float = 1.0
    rtl_type: int = 0
    width_m: float = 0.7
    max_slope: float = 0.2
    max_kerb_m: float = 0.05
    weather: WeatherLimits = WeatherLimits()
    release: ReleaseBy = ReleaseBy.GRIPPER

    @property
    def built_as(self) -> Airframe:
        """The airframe; where none is given, the usual one of the kind."""
        if self.airframe is not None:
            return self.airframe
        return Airframe.MULTIROTOR if self.kind is VehicleKind.DRONE else Airframe.SIDEWALK_ROBOT
