"""Vehicle profiles: data with the source of each figure, read as ``routing.vehicle_type.VehicleType``."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from routing.errors import BadInput
from routing.vehicle_type import VehicleKind, VehicleType


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
    """Read a profile; raises ``BadInput`` naming the profile and the missing or malformed figure."""
    data = profile_data(type_id)
    try:
        return VehicleType(type_id=type_id, kind=VehicleKind(data["kind"]), name=data["name"], **data["figures"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"profile {type_id}: missing or malformed figure: {error}") from error
