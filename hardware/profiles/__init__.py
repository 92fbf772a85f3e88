"""Vehicle profiles: data with the source of each figure, read as ``routing.vehicle_type.VehicleType``."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any

from routing.errors import BadInput
from routing.vehicle_type import TEMPERATURE_CLASSES, Airframe, ReleaseBy, VehicleKind, VehicleType, WeatherLimits

_DRONES = (Airframe.MULTIROTOR, Airframe.VTOL)
_TOP = ("kind", "name", "airframe", "release")
_FIGURES = {
    field.name: field for field in fields(VehicleType) if field.name not in ("type_id", *_TOP, "rtl_type", "weather")
}
_WEATHER = {field.name for field in fields(WeatherLimits)}


def profile_ids() -> tuple[str, ...]:
    """Return the ids of all profiles, sorted."""
    names = (entry.name for entry in resources.files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@cache
def profile_data(type_id: str) -> dict[str, Any]:
    """Return a profile's tables as read; raises ``BadInput`` naming the profiles there are."""
    if type_id not in profile_ids():
        raise BadInput(f"vehicle type {type_id!r} is not known; known types: {', '.join(profile_ids())}")
    return tomllib.loads((resources.files(__name__) / f"{type_id}.toml").read_text(encoding="utf-8"))


@cache
def load_profile(type_id: str) -> VehicleType:
    """Read a profile; raises ``BadInput`` naming the profile and the field that is missing or malformed."""
    return read_profile(type_id, profile_data(type_id))


def read_profile(type_id: str, data: Mapping[str, Any]) -> VehicleType:
    """Make a vehicle type of a profile's tables.

    ``kind``, ``name``, ``airframe`` and ``release`` stand at the top, all figures in ``[figures]`` by the names of
    ``VehicleType``; ``RTL_TYPE`` in ``[parameters]`` is ``rtl_type``. Raises ``BadInput`` naming the profile and the
    field.
    """
    where = f"profile {type_id}"
    if data.get("kind") not in list(VehicleKind):
        raise BadInput(f"{where}: kind must be one of {', '.join(VehicleKind)}, not {data.get('kind')!r}")
    kind = VehicleKind(data["kind"])
    fitting = [airframe for airframe in Airframe if (airframe in _DRONES) is (kind is VehicleKind.DRONE)]
    if data.get("airframe", fitting[0]) not in fitting:
        raise BadInput(f"{where}: airframe of a {kind} must be one of {', '.join(fitting)}, not {data['airframe']!r}")
    name = data.get("name")
    if not isinstance(name, str) or not name.strip():
        raise BadInput(f"{where}: name must be a text, not {name!r}")
    made = VehicleType(
        type_id=type_id,
        kind=kind,
        name=name,
        airframe=Airframe(data.get("airframe", fitting[0])),
        release=_release(where, kind, data.get("release", ReleaseBy.GRIPPER)),
        rtl_type=_rtl_type(where, _table(where, data, "parameters")),
        weather=_weather(where, _table(where, data, "weather")),
        **_figures(where, _table(where, data, "figures")),
    )
    for figure in ("hover_power_w", "transition_s"):
        if made.airframe is Airframe.VTOL and not getattr(made, figure) > 0:
            raise BadInput(f"{where}: {figure} of a VTOL must be more than 0")
    return made


def _table(where: str, data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = data.get(name, {})
    if not isinstance(table, Mapping):
        raise BadInput(f"{where}: {name} must be a table")
    return table


def _release(where: str, kind: VehicleKind, value: Any) -> ReleaseBy:
    if value not in list(ReleaseBy) or (kind is not VehicleKind.DRONE and value != ReleaseBy.GRIPPER):
        raise BadInput(f"{where}: release of a drone must be one of {', '.join(ReleaseBy)}, not {value!r}")
    return ReleaseBy(value)


def _rtl_type(where: str, parameters: Mapping[str, Any]) -> int:
    value = parameters.get("RTL_TYPE", 0)
    if type(value) is not int or not 0 <= value <= 5:
        raise BadInput(f"{where}: RTL_TYPE must be a whole number from 0 to 5, not {value!r}")
    return value


def _figures(where: str, table: Mapping[str, Any]) -> dict[str, Any]:
    for name in table:
        if name not in _FIGURES:
            raise BadInput(f"{where}: {name} is no figure of a vehicle type")
    for name, field in _FIGURES.items():
        if name not in table and field.default is MISSING:
            raise BadInput(f"{where}: figure {name} is missing")
    readers = {"temperature_classes": _temperature_classes, "capacity_at_c": _capacity_at_c}
    return {name: readers.get(name, _number)(f"{where}: {name}", value) for name, value in table.items()}


def _weather(where: str, table: Mapping[str, Any]) -> WeatherLimits:
    for name in table:
        if name not in _WEATHER:
            raise BadInput(f"{where}: {name} is no limit of the weather")
    read = {name: (_finite if name.endswith("_c") else _number) for name in table}
    return WeatherLimits(**{name: read[name](f"{where}: {name}", value) for name, value in table.items()})


def _number(where: str, value: Any) -> float | int:
    if not _is_finite(value) or value < 0:
        raise BadInput(f"{where} must be a number from 0 on, not {value!r}")
    return _finite(where, value)


def _finite(where: str, value: Any) -> float | int:
    if not _is_finite(value):
        raise BadInput(f"{where} must be a number, not {value!r}")
    number: float | int = value
    return number


def _temperature_classes(where: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(one in TEMPERATURE_CLASSES for one in value):
        raise BadInput(f"{where} must be a list of {', '.join(TEMPERATURE_CLASSES)}, not {value!r}")
    return tuple(value)


def _capacity_at_c(where: str, value: Any) -> tuple[tuple[float, float], ...]:
    rows: list[Any] = value if isinstance(value, list) else [None]
    for row in rows:
        if not isinstance(row, list) or len(row) != 2 or not all(_is_finite(part) for part in row):
            raise BadInput(f"{where} must be pairs of degrees and a share of capacity, not {value!r}")
        if not 0 <= row[1] <= 1:
            raise BadInput(f"{where}: the share at {row[0]:g} degrees must be from 0 to 1, not {row[1]!r}")
    if any(after[0] <= before[0] for before, after in pairwise(rows)):
        raise BadInput(f"{where}: degrees must ascend")
    return tuple((float(degrees), float(share)) for degrees, share in rows)


def _is_finite(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value)
