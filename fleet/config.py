"""Settings of the service, from ``todoke.toml`` in its home, the environment and the command line."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fleet.errors import ConfigError
from telemetry.keeping import Limits

FILE_NAME = "todoke.toml"
PREFIX = "TODOKE_"
COMMAND_LINE = "the command line"
MIN_TOKEN = 16
_BROKER_SCHEMES = {"mqtt": 1883, "mqtts": 8883}
_LINE_BREAK = "\n  "


class Settings(BaseModel):
    """What can be set. Make it with ``load``; every field has the environment variable ``TODOKE_<FIELD>``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path
    api_host: Annotated[str, Field(min_length=1, max_length=253)] = "127.0.0.1"
    api_port: Annotated[int, Field(ge=0, le=65535)] = 8600
    database_url: str = ""
    broker_url: str = ""
    broker_ca: Path | None = None
    gateways: Annotated[int, Field(ge=1, le=64)] = 1
    apis: Annotated[int, Field(ge=1, le=16)] = 1
    speed: Annotated[float, Field(ge=0.1, le=100.0, allow_inf_nan=False)] = 1.0
    allow_real: bool = False
    language: Literal["ja", "en"] = "ja"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    metrics_token: Annotated[str, Field(max_length=256, repr=False)] = ""
    adsb_url: Annotated[str, Field(max_length=500)] = ""
    retention_samples_days: Annotated[int, Field(ge=1, le=36_500)] = 90
    retention_1s_days: Annotated[int, Field(ge=1, le=36_500)] = 365
    retention_1m_days: Annotated[int, Field(ge=1, le=36_500)] = 5 * 365
    retention_events_days: Annotated[int, Field(ge=1, le=36_500)] = 5 * 365

    @field_validator("metrics_token")
    @classmethod
    def _is_no_guess(cls, value: str) -> str:
        if value and (len(value) < MIN_TOKEN or not value.isascii() or not value.isprintable() or " " in value):
            raise ValueError(f"must be empty or at least {MIN_TOKEN} printable ASCII characters without spaces")
        return value

    @field_validator("adsb_url")
    @classmethod
    def _is_receiver(cls, value: str) -> str:
        if value and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname):
            raise ValueError("must be empty or like http://receiver:8080/data/aircraft.json")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in ("postgresql", "postgres"):
            raise ValueError("must be empty or like postgresql://user:password@host:5432/database")
        return value

    @field_validator("broker_url")
    @classmethod
    def _is_broker(cls, value: str) -> str:
        if value:
            Broker.parse(value)
        return value

    @model_validator(mode="after")
    def _no_simulated_time_for_real_vehicles(self) -> Self:
        if self.allow_real and self.speed != 1.0:
            raise ValueError("allow_real is for real vehicles, and those need speed 1.0")
        return self

    @model_validator(mode="after")
    def _finer_data_fall_first(self) -> Self:
        days = (self.retention_samples_days, self.retention_1s_days, self.retention_1m_days)
        if list(days) != sorted(days):
            raise ValueError(
                "retention_samples_days, retention_1s_days and retention_1m_days must be in rising order, "
                f"not {days[0]}, {days[1]} and {days[2]}: rollups are kept at least as long as what they sum up"
            )
        return self

    @property
    def retention(self) -> Limits:
        """How long each class of telemetry is kept."""
        return Limits(
            samples_days=self.retention_samples_days,
            rollups_1s_days=self.retention_1s_days,
            rollups_1m_days=self.retention_1m_days,
            events_days=self.retention_events_days,
        )

    @property
    def speed_is_given(self) -> bool:
        """Whether somebody asked for a speed, rather than it being the default."""
        return "speed" in self.model_fields_set


class Broker(BaseModel):
    """The address of an MQTT broker that is not ours."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int
    username: str
    password: str
    tls: bool

    @classmethod
    def parse(cls, url: str) -> Broker:
        """Read ``mqtt[s]://user:password@host[:port]``. Raises ``ValueError`` that shows the form."""
        example = "must be empty or like mqtts://user:password@host:8883"
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise ValueError(f"{example} (the port is no number up to 65535)") from error
        if parts.scheme not in _BROKER_SCHEMES or not parts.hostname:
            raise ValueError(example)
        return cls(
            host=parts.hostname,
            port=port or _BROKER_SCHEMES[parts.scheme],
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            tls=parts.scheme == "mqtts",
        )


def default_home(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder of data when none is named: ``todoke`` in the user's data folder."""
    environ = os.environ if environ is None else environ
    data = environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "todoke"


def load(overrides: Mapping[str, object] | None = None, *, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings: the command line (``overrides``) wins over the environment, and that over the file.

    An override of ``None`` was not given. Raises ``ConfigError`` that names the setting, where its value came
    from and what is allowed.
    """
    environ = os.environ if environ is None else environ
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    variables = _from_environment(environ)
    named = given.get("home") or variables.get("home") or default_home(environ)
    home = Path(str(named)).expanduser().absolute()
    file = home / FILE_NAME
    values: dict[str, object] = {}
    sources: dict[str, str] = {}
    for source, part in ((str(file), _from_file(file)), ("environment", variables), (COMMAND_LINE, given)):
        for name, value in part.items():
            values[name] = value
            sources[name] = f"{PREFIX}{name.upper()}" if source == "environment" else source
    try:
        return Settings.model_validate(values | {"home": home})
    except ValidationError as error:
        raise ConfigError(_explain(error, sources)) from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or value == "":
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name in Settings.model_fields:
            found[name] = value
        elif close := difflib.get_close_matches(name, Settings.model_fields, n=1, cutoff=0.85):
            # Other variables of the prefix belong to tests and tools; this one looks like a slip.
            raise ConfigError(f"{variable}: no such setting; did you mean {PREFIX}{close[0].upper()}?")
    return found


def _from_file(file: Path) -> dict[str, object]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not TOML: {error}") from error
    allowed = set(Settings.model_fields) - {"home"}
    for name in read:
        if name == "home":
            raise ConfigError(f"{file}: 'home' cannot be set in the file that lies in it; use {PREFIX}HOME")
        if name not in allowed:
            close = difflib.get_close_matches(name, allowed, n=1, cutoff=0.6)
            hint = f"did you mean '{close[0]}'?" if close else f"allowed: {', '.join(sorted(allowed))}"
            raise ConfigError(f"{file}: unknown setting '{name}'; {hint}")
    return read


def _explain(error: ValidationError, sources: Mapping[str, str]) -> str:
    lines = []
    for item in error.errors(include_url=False):
        name = str(item["loc"][0]) if item["loc"] else ""
        message = item["msg"].removeprefix("Value error, ")
        if name in sources:
            # The address of a database or broker holds a password.
            shown = "" if name.endswith(("_url", "_token")) else f" {item['input']!r}"
            lines.append(f"{name} (from {sources[name]}):{shown} {message}")
        else:  # about several settings
            found = [f"{each} from {source}" for each, source in sources.items() if each in message]
            lines.append(f"{message} ({', '.join(found)})")
    return "wrong settings:" + _LINE_BREAK + _LINE_BREAK.join(lines)
