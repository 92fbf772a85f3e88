"""The configuration file of the drone simulators (our own autopilot and PX4 SITL read the same one)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from hardware.profiles import load_profile
from routing.errors import BadInput
from routing.vehicle_type import VehicleKind
from simulators.faults_aboard import Fault

_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
_Endpoint = Annotated[str, StringConstraints(pattern=r"^[^\s:]+:\d{1,5}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class HomeConfig(_Strict):
    """Where a drone stands when it is switched on."""

    lat: float = Field(ge=-85, le=85)
    lon: float = Field(ge=-180, le=180)
    alt_amsl_m: float = Field(ge=-500, le=9000)


class FaultConfig(_Strict):
    """What goes wrong by itself, so many seconds of vehicle time after the first take-off."""

    after_takeoff_s: float = Field(ge=0, le=86_400)
    fault: Fault
    value: float = 1.0


class DroneConfig(_Strict):
    """One drone. ``send_to`` is the ground station's UDP address, ``bind`` the drone's own.

    ``payload_kg`` is on board at the start and after each landing at home; ``params`` override the
    autopilot's defaults. ``instance`` is PX4's instance number and is used with PX4 SITL only; ``firmware`` (the
    version that it says it has) and ``faults`` are the light autopilot's only.
    """

    vehicle_id: _Name
    system_id: int = Field(ge=1, le=254)
    hardware_uid: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{16}$")] = "0" * 16
    type_id: str = "multirotor_1kg"
    home: HomeConfig
    heading_deg: float = Field(default=0.0, ge=0, le=360)
    send_to: _Endpoint = "127.0.0.1:14550"
    bind: _Endpoint = "127.0.0.1:0"
    battery_pct: float = Field(default=100.0, ge=0, le=100)
    payload_kg: float = Field(default=0.0, ge=0, le=1000)
    params: dict[str, float] = Field(default_factory=dict)
    instance: int | None = Field(default=None, ge=0, le=254)
    firmware: Annotated[str, StringConstraints(pattern=r"^\d{1,3}\.\d{1,3}\.\d{1,3}$")] = "1.16.1"
    faults: tuple[FaultConfig, ...] = Field(default=(), max_length=100)

    @field_validator("type_id")
    @classmethod
    def _is_a_drone(cls, type_id: str) -> str:
        try:
            kind = load_profile(type_id).kind
        except BadInput as error:
            raise ValueError(str(error)) from error
        if kind is not VehicleKind.DRONE:
            raise ValueError(f"{type_id} is not a drone")
        return type_id


class SimulationConfig(_Strict):
    """A whole simulation. ``speed`` is how many seconds of vehicle time pass in a wall second.

    With both anchors, domain time is ``anchor_domain + speed * (wall - anchor_wall)``; without them it
    starts at the wall time of the start. ``control`` is a UDP address on which faults are ordered
    (``simulators.control``).
    """

    speed: float = Field(default=1.0, gt=0, le=100)
    seed: int = 0
    log_dir: Path
    anchor_wall: datetime | None = None
    anchor_domain: datetime | None = None
    region: Path | None = None
    wind_mps: float = Field(default=0.0, ge=0, le=40)
    wind_from_deg: float = Field(default=270.0, ge=0, le=360)
    control: _Endpoint | None = None
    drones: tuple[DroneConfig, ...] = Field(min_length=1, max_length=200)

    @field_validator("anchor_wall", "anchor_domain")
    @classmethod
    def _has_a_zone(cls, moment: datetime | None) -> datetime | None:
        if moment is not None and moment.tzinfo is None:
            raise ValueError("needs a time zone, as in 2026-01-01T00:00:00+00:00")
        return moment

    @model_validator(mode="after")
    def _is_consistent(self) -> SimulationConfig:
        if (self.anchor_wall is None) != (self.anchor_domain is None):
            raise ValueError("anchor_wall and anchor_domain must be given together")
        ids = [drone.vehicle_id for drone in self.drones]
        twice = sorted({vehicle_id for vehicle_id in ids if ids.count(vehicle_id) > 1})
        if twice:
            raise ValueError(f"vehicle_id given twice: {', '.join(twice)}")
        return self


def read_config(path: Path) -> SimulationConfig:
    """Read a configuration file; raises ``BadInput`` naming the file and each wrong key."""
    try:
        return SimulationConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        details = "; ".join(_describe(entry) for entry in error.errors())
        raise BadInput(f"{path}: {details}") from error


def _describe(entry: Any) -> str:
    place = ".".join(str(part) for part in entry["loc"]) or "file"
    return f"{place}: {entry['msg']}"
