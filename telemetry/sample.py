"""One telemetry record, in the scaled integers in which vehicles send it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Sample:
    """What one vehicle said of itself at one moment.

    ``seq`` counts the samples of one link session and makes a gap visible; ``t`` is the domain time of
    reception and ``vehicle_ms`` the vehicle's own clock (MAVLink ``time_boot_ms``; for a robot the
    message time in ms since the Unix epoch), by which a log of the vehicle can be held against the
    store. Scaled integers: ``lat_e7``/``lon_e7`` 1e-7 degrees, ``alt_amsl_cm`` centimetres AMSL,
    velocities and wind (estimated by the vehicle; where the air moves to) cm/s north/east/down, ``heading_cdeg``,
    ``roll_cdeg``, ``pitch_cdeg`` 0.01 degrees (attitude after MAVLink ATTITUDE), ``battery_pct_x10`` 0.1 percent,
    ``current_ca`` 10 mA, ``link_pct_x10`` 0.1 percent of the vehicle's messages that arrived lately, ``step`` how far
    it is in the mission ``mission_id``. ``alt_amsl_cm`` is over mean sea level as the receiver's geoid has it (EGM96
    for PX4), ``alt_home_cm`` over the place of take-off.
    ``None`` is "not said", never a default. Fields that only some types have go to ``extra``.
    """

    vehicle_id: str
    t: datetime
    seq: int
    vehicle_ms: int
    lat_e7: int | None = None
    lon_e7: int | None = None
    alt_amsl_cm: int | None = None
    alt_home_cm: int | None = None
    vel_n_cms: int | None = None
    vel_e_cms: int | None = None
    vel_d_cms: int | None = None
    heading_cdeg: int | None = None
    battery_pct_x10: int | None = None
    voltage_mv: int | None = None
    current_ca: int | None = None
    roll_cdeg: int | None = None
    pitch_cdeg: int | None = None
    wind_n_cms: int | None = None
    wind_e_cms: int | None = None
    link_pct_x10: int | None = None
    mode: str | None = None
    armed: bool | None = None
    on_ground: bool | None = None
    step: int | None = None
    mission_id: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
