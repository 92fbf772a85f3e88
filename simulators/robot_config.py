"""What a robot simulator is told: its time, its broker, its robots."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from hardware.profiles import load_profile
from routing.errors import BadInput
from routing.vehicle_type import VehicleKind
from simulators.robot_faults import FaultConfig


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time needs its zone, as in 2026-04-01T00:00:00Z")
    return moment.astimezone(UTC)


def _robot_type(type_id: str) -> str:
    try:
        profile = load_profile(type_id)
    except BadInput as error:
        raise ValueError(str(error)) from error
    if profile.kind is not VehicleKind.ROBOT:
        raise ValueError(f"{type_id} is a {profile.kind}, not a robot")
    return type_id


Moment = Annotated[datetime, AfterValidator(_aware)]
# Section 6.3: the characters that a level of a topic may have.
TopicLevel = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
Metres = Annotated[float, Field(ge=-1e6, le=1e6)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BrokerConfig(_Part):
    """Where the MQTT broker is."""

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(ge=1, le=65535)
    username: str | None = None
    password: str | None = Field(default=None, repr=False)


class RobotConfig(_Part):
    """One robot. Coordinates are metres east and north of the map's origin; ``theta`` is from east, rad.

    ``load_kg`` is what it carries without knowing; ``trigger_after_s`` is when a person presses its button
    during ``waitForTrigger`` (never, when it is null). ``username`` and ``password`` are its own at the
    broker, where robots do not share those of ``broker``. ``client_id`` is its name at the broker where that is not
    made of manufacturer and serial: two robots that were given one serial number by mistake. ``faults`` is what
    happens to it.
    """

    vehicle_id: str = Field(pattern=r"^[^/\x00]{1,128}$")
    manufacturer: TopicLevel = "todoke-sim"
    serial: TopicLevel
    type_id: Annotated[str, AfterValidator(_robot_type)]
    map_id: str = Field(min_length=1)
    x: Metres
    y: Metres
    theta: Annotated[float, Field(ge=-math.pi, le=math.pi)] = 0.0
    node_id: str = ""
    battery_pct: Annotated[float, Field(ge=0, le=100)] = 100.0
    load_kg: Annotated[float, Field(ge=0)] = 0.0
    trigger_after_s: Annotated[float, Field(ge=0)] | None = None
    username: str | None = None
    password: str | None = Field(default=None, repr=False)
    client_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")] | None = None
    faults: Annotated[tuple[FaultConfig, ...], Field(max_length=20)] = ()

    @property
    def name_at_broker(self) -> str:
        """The MQTT client id."""
        return self.client_id or f"{self.manufacturer}-{self.serial}"


class SimulatorConfig(_Part):
    """All of it. Intervals are seconds of domain time.

    ``state_interval_s`` and ``visualization_interval_s`` hold while driving; ``state_max_interval_s``
    always, and the standard wants at most 30.
    """

    speed: Annotated[float, Field(gt=0, le=100)] = 1.0
    seed: int = 1
    log_dir: Path
    anchor_wall: Moment
    anchor_domain: Moment | None = None
    state_interval_s: Annotated[float, Field(ge=0.1, le=30)] = 1.0
    state_max_interval_s: Annotated[float, Field(ge=0.1, le=30)] = 15.0
    visualization_interval_s: Annotated[float, Field(ge=0.1, le=3600)] = 1.0
    broker: BrokerConfig
    robots: Annotated[tuple[RobotConfig, ...], Field(min_length=1, max_length=200)]

    def broker_of(self, robot: RobotConfig) -> BrokerConfig:
        """Return the broker as ``robot`` signs in to it."""
        if robot.username is None:
            return self.broker
        return self.broker.model_copy(update={"username": robot.username, "password": robot.password})

    @model_validator(mode="after")
    def _names_are_unique(self) -> SimulatorConfig:
        # The same serial number under another name at the broker is a mistake that people make, and may be tried.
        for what, attribute in (("vehicle_id", "vehicle_id"), ("serial", "name_at_broker")):
            names = [getattr(robot, attribute) for robot in self.robots]
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"robots: {what} used twice: {', '.join(sorted(twice))}")
        return self


def _explain(path: Path, error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        key = ".".join(str(part) for part in problem["loc"]) or "configuration"
        lines.append(f"{path}: {key}: {problem['msg']}")
    return "\n".join(lines)


def load_config(path: Path) -> SimulatorConfig:
    """Read a configuration; raises ``BadInput`` that names the file and every key that is wrong."""
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BadInput(f"{path}: not JSON: {error}") from error
    try:
        return SimulatorConfig.model_validate(data)
    except ValidationError as error:
        raise BadInput(_explain(path, error)) from error
