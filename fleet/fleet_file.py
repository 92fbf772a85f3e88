"""A fleet as a file, for planning without a service: TOML with vehicles, batteries, limits, permits and weather."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from fleet.errors import BadRequest
from hardware.profiles import load_profile
from routing.errors import BadInput
from routing.problem import AirborneLimit, Category, FleetVehicle, OrderRequest, Pack, Permit, Policy, Problem, Station
from routing.region.model import Region
from routing.vehicle_type import VehicleKind
from routing.wind import CALM, Wind

MAX_BYTES = 4 * 1024 * 1024
"""Larger files are refused unread."""

MAX_VEHICLES = 2_000


@dataclass(frozen=True, slots=True)
class Fleet:
    """What a fleet file says, for one region and start."""

    vehicles: tuple[FleetVehicle, ...]
    stations: tuple[Station, ...]
    airborne: tuple[AirborneLimit, ...]
    permits: tuple[Permit, ...]
    policy: Policy
    wind: Wind
    temperature_c: float
    max_trips_per_vehicle: int

    def problem(self, region: Region, orders: Iterable[OrderRequest], *, start: datetime, seed: int = 0) -> Problem:
        """The planning problem of this fleet and orders."""
        return Problem(
            region=region,
            orders=tuple(orders),
            vehicles=self.vehicles,
            start=start,
            seed=seed,
            max_trips_per_vehicle=self.max_trips_per_vehicle,
            wind=self.wind,
            stations=self.stations,
            airborne=self.airborne,
            permits=self.permits,
            policy=self.policy,
            temperature_c=self.temperature_c,
        )


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Vehicles(_Table):
    id: Annotated[str, Field(min_length=1, max_length=64)]
    type: str
    home: str
    count: Annotated[int, Field(ge=1, le=MAX_VEHICLES)] = 1
    pad: int | Literal["own", "any"] = "own"
    available_from: AwareDatetime | None = None
    shift_end: AwareDatetime | None = None
    battery_health: Annotated[float, Field(gt=0, le=1)] = 1.0
    category: Category = Category.LEVEL_4


class _Station(_Table):
    site: str
    type: str
    packs: Annotated[int, Field(ge=1, le=10_000)]
    chargers: Annotated[int, Field(ge=0, le=10_000)]
    health: Annotated[float, Field(gt=0, le=1)] = 1.0


class _FleetFile(_Table):
    vehicle: Annotated[tuple[_Vehicles, ...], Field(min_length=1)]
    station: tuple[_Station, ...] = ()
    airborne: tuple[AirborneLimit, ...] = ()
    permit: tuple[Permit, ...] = ()
    policy: Policy = Policy()
    wind: Wind = CALM
    temperature_c: float = 20.0
    max_trips_per_vehicle: Annotated[int, Field(ge=1, le=100)] = 10


def read_fleet(file: Path, region: Region, *, start: datetime) -> Fleet:
    """Read a fleet file for a region; vehicles are free from ``start`` on where the file names no time.

    ``count = 3`` with ``id = "d"`` makes d-1, d-2 and d-3. ``pad``: a number from 0, ``own`` (each drone the next
    free one of its home) or ``any`` (kept beside the pads). Raises ``BadRequest`` naming file, table and field.
    """
    try:
        if file.stat().st_size > MAX_BYTES:
            raise BadRequest(f"{file}: larger than {MAX_BYTES // 2**20} MiB")
        data = _FleetFile.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadRequest(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"{file}: not TOML: {error}") from error
    except ValidationError as error:
        raise BadRequest(f"{file}: {_places(error)}") from error
    try:
        vehicles = _vehicles(data.vehicle, region, start)
        for station in data.station:
            region.site(station.site)
            load_profile(station.type)
    except BadInput as error:
        raise BadRequest(f"{file}: {error}") from error
    return Fleet(
        vehicles=vehicles,
        stations=tuple(map(_station, data.station)),
        airborne=data.airborne,
        permits=data.permit,
        policy=data.policy,
        wind=data.wind,
        temperature_c=data.temperature_c,
        max_trips_per_vehicle=data.max_trips_per_vehicle,
    )


def _vehicles(tables: tuple[_Vehicles, ...], region: Region, start: datetime) -> tuple[FleetVehicle, ...]:
    if sum(table.count for table in tables) > MAX_VEHICLES:
        raise BadInput(f"more than {MAX_VEHICLES} vehicles")
    found: list[FleetVehicle] = []
    for table in tables:
        profile = load_profile(table.type)
        region.site(table.home)
        one = FleetVehicle(
            vehicle_id=table.id,
            type=profile,
            home_site=table.home,
            available_from=table.available_from or start,
            shift_end=table.shift_end,
            battery_health=table.battery_health,
            category=table.category,
        )
        for number in range(1, table.count + 1):
            name = table.id if table.count == 1 else f"{table.id}-{number}"
            found.append(replace(one, vehicle_id=name, pad=_pad(table, found, drone=profile.kind is VehicleKind.DRONE)))
    return tuple(found)


def _pad(table: _Vehicles, known: list[FleetVehicle], *, drone: bool) -> int | None:
    if not drone:
        return 0
    if table.pad == "any":
        return None
    if table.pad != "own":
        return table.pad
    taken = {v.pad for v in known if v.home_site == table.home and v.type.kind is VehicleKind.DRONE}
    return next(pad for pad in range(len(taken) + 1) if pad not in taken)


def _station(table: _Station) -> Station:
    packs = tuple(Pack(f"{table.site}-{table.type}-{n}", table.health) for n in range(1, table.packs + 1))
    return Station(table.site, table.type, packs, table.chargers)


def _places(error: ValidationError) -> str:
    found = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:10]]
    more = error.error_count() - len(found)
    return "; ".join(found) + (f"; and {more} more" if more > 0 else "")
