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
    velocities cm/s north/east/down, ``heading_cdeg`` 0.01 degrees, ``battery_pct_x10`` 0.1 percent.
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
    mode: str | None = None
    armed: bool | None = None
    on_ground: bool | None = None
    step: int | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
