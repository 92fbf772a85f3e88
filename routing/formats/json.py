"""Problems and plans as plain JSON data, exactly there and back."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any, TypeVar

from routing.errors import BadInput
from routing.geo import Position
from routing.plan import Leg, Plan, Route, StopAction, Trip, Unserved
from routing.problem import (
    FleetVehicle,
    GivenTrip,
    OrderRequest,
    Problem,
    Separation,
    Stay,
    TimedPosition,
)
from routing.region.model import Region
from routing.vehicle_type import VehicleKind, VehicleType
from routing.wind import Wind

Data = dict[str, Any]
T = TypeVar("T")


def problem_to_json(problem: Problem) -> Data:
    """Plain data of a problem; times as ISO 8601 in UTC, so that equal problems give equal data.

    The region is in it by its hash only.
    """
    return {
        "region_hash": problem.region.content_hash(),
        "orders": [
            {
                "order_id": order.order_id,
                "pickup_site": order.pickup_site,
                "dropoff_site": order.dropoff_site,
                "mass_kg": _plain(order.mass_kg),
                "volume_l": _plain(order.volume_l),
                "earliest": _moment(order.earliest),
                "latest": _moment(order.latest),
                "priority": order.priority,
            }
            for order in problem.orders
        ],
        "vehicles": [
            {
                "vehicle_id": vehicle.vehicle_id,
                "type": _type_to_json(vehicle.type),
                "home_site": vehicle.home_site,
                "available_from": _moment(vehicle.available_from),
                "pad": vehicle.pad,
            }
            for vehicle in problem.vehicles
        ],
        "start": _moment(problem.start),
        "seed": problem.seed,
        "max_trips_per_vehicle": problem.max_trips_per_vehicle,
        "wind": {name: _plain(value) for name, value in asdict(problem.wind).items()},
        "separation": {name: _plain(value) for name, value in asdict(problem.separation).items()},
        "given": [given_to_json(trip) for trip in problem.given],
    }


def problem_from_json(data: object, region: Region) -> Problem:
    """Read what ``problem_to_json`` wrote, for the region that it was made for.

    Raises ``BadInput`` naming the place that is missing or wrong, or when it was made for another region.
    """
    read = _Reader(data, "problem")
    made_for = read.text("region_hash")
    if made_for != region.content_hash():
        raise BadInput(f"problem.region_hash: {made_for[:12]!r} is not region {region.region_id!r} as given")
    return Problem(
        region=region,
        orders=read.each("orders", _order),
        vehicles=read.each("vehicles", _vehicle),
        start=read.moment("start"),
        seed=read.whole("seed"),
        max_trips_per_vehicle=read.whole("max_trips_per_vehicle"),
        wind=Wind(**_figures(_Reader(read.table("wind"), f"{read.where}.wind"), Wind)),
        separation=Separation(**_figures(_Reader(read.table("separation"), f"{read.where}.separation"), Separation)),
        given=read.each("given", _given),
    )


def problem_hash(problem: Problem) -> str:
    """SHA-256 of the canonical JSON of a problem, its region and seed included."""
    canonical = json.dumps(
        problem_to_json(problem), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def plan_to_json(plan: Plan) -> Data:
    """Plain data of a plan. A point of a path is ``[lat, lon, alt_amsl_m]``."""
    return {
        "routes": [
            {
                "vehicle_id": route.vehicle_id,
                "home_site": route.home_site,
                "trips": [trip_to_json(trip) for trip in route.trips],
            }
            for route in plan.routes
        ],
        "unserved": [asdict(entry) for entry in plan.unserved],
        "cost": _plain(plan.cost),
    }


def plan_from_json(data: object) -> Plan:
    """Read what ``plan_to_json`` wrote; raises ``BadInput`` naming the place that is missing or wrong."""
    read = _Reader(data, "plan")
    return Plan(
        routes=read.each("routes", _route),
        unserved=read.each("unserved", _unserved),
        cost=read.number("cost"),
    )


def trip_to_json(trip: Trip) -> Data:
    """Plain data of one trip, as a plan holds it."""
    return {
        "trip_id": trip.trip_id,
        "legs": [
            {
                "to_site": leg.to_site,
                "action": leg.action.value,
                "order_ids": list(leg.order_ids),
                "path": [[_plain(p.lat), _plain(p.lon), _plain(p.alt_amsl_m)] for p in leg.path],
                "nodes": list(leg.nodes),
                "depart": _moment(leg.depart),
                "arrive": _moment(leg.arrive),
                "leave": _moment(leg.leave),
                "distance_m": _plain(leg.distance_m),
                "energy_wh": _plain(leg.energy_wh),
            }
            for leg in trip.legs
        ],
    }


def given_to_json(trip: GivenTrip) -> Data:
    """Plain data of a trip that is given to a problem."""
    return {
        "trip_id": trip.trip_id,
        "vehicle_id": trip.vehicle_id,
        "track": [
            {
                "at": _moment(point.at),
                "lat": _plain(point.position.lat),
                "lon": _plain(point.position.lon),
                "alt_amsl_m": _plain(point.position.alt_amsl_m),
            }
            for point in trip.track
        ],
        "stays": [
            {"site_id": stay.site_id, "arrive": _moment(stay.arrive), "leave": _moment(stay.leave)}
            for stay in trip.stays
        ],
    }


def given_from_json(data: object) -> GivenTrip:
    """Read what ``given_to_json`` wrote; raises ``BadInput`` naming the place that is missing or wrong."""
    return _given(_Reader(data, "given"))


def trip_from_json(data: object) -> Trip:
    """Read what ``trip_to_json`` wrote; raises ``BadInput`` naming the place that is missing or wrong."""
    return _trip(_Reader(data, "trip"))


def _plain(number: float) -> float:
    # Negative zero would not come back from a database's JSON; ints would hash differently.
    return float(number) + 0.0


def _moment(moment: datetime) -> str:
    if moment.utcoffset() is None:
        raise BadInput(f"the time {moment.isoformat()} has no time zone")
    return moment.astimezone(UTC).isoformat()


def _type_to_json(vehicle_type: VehicleType) -> Data:
    data = asdict(vehicle_type)
    return {
        name: value.value if isinstance(value, VehicleKind) else value if isinstance(value, str) else _plain(value)
        for name, value in data.items()
    }


def _order(read: _Reader) -> OrderRequest:
    return OrderRequest(
        order_id=read.text("order_id"),
        pickup_site=read.text("pickup_site"),
        dropoff_site=read.text("dropoff_site"),
        mass_kg=read.number("mass_kg"),
        volume_l=read.number("volume_l"),
        earliest=read.moment("earliest"),
        latest=read.moment("latest"),
        priority=read.whole("priority"),
    )


def _vehicle(read: _Reader) -> FleetVehicle:
    return FleetVehicle(
        vehicle_id=read.text("vehicle_id"),
        type=_type(_Reader(read.table("type"), f"{read.where}.type")),
        home_site=read.text("home_site"),
        available_from=read.moment("available_from"),
        pad=read.whole("pad"),
    )


def _given(read: _Reader) -> GivenTrip:
    return GivenTrip(
        trip_id=read.text("trip_id"),
        vehicle_id=read.text("vehicle_id"),
        track=read.each("track", _timed_position),
        stays=read.each("stays", _stay),
    )


def _timed_position(read: _Reader) -> TimedPosition:
    place = Position(read.number("lat"), read.number("lon"), read.number("alt_amsl_m"))
    return TimedPosition(read.moment("at"), place)


def _stay(read: _Reader) -> Stay:
    return Stay(read.text("site_id"), read.moment("arrive"), read.moment("leave"))


def _figures(read: _Reader, kind: type[Wind] | type[Separation]) -> dict[str, float]:
    return {field.name: read.number(field.name) for field in fields(kind)}


def _type(read: _Reader) -> VehicleType:
    words = {"type_id", "kind", "name"}
    figures = {field.name: read.number(field.name) for field in fields(VehicleType) if field.name not in words}
    return VehicleType(
        type_id=read.text("type_id"), kind=read.one_of("kind", VehicleKind), name=read.text("name"), **figures
    )


def _route(read: _Reader) -> Route:
    return Route(read.text("vehicle_id"), read.text("home_site"), read.each("trips", _trip))


def _unserved(read: _Reader) -> Unserved:
    return Unserved(read.text("order_id"), read.text("reason"), read.flag("final"))


def _trip(read: _Reader) -> Trip:
    return Trip(read.text("trip_id"), read.each("legs", _leg))


def _leg(read: _Reader) -> Leg:
    return Leg(
        to_site=read.text("to_site"),
        action=read.one_of("action", StopAction),
        order_ids=read.texts("order_ids"),
        path=read.positions("path"),
        nodes=read.texts("nodes"),
        depart=read.moment("depart"),
        arrive=read.moment("arrive"),
        leave=read.moment("leave"),
        distance_m=read.number("distance_m"),
        energy_wh=read.number("energy_wh"),
    )


class _Reader:
    """Reads a JSON object, and says where it is when something is missing or of the wrong kind."""

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, Mapping):
            raise BadInput(f"{where}: must be an object, not {_kind(data)}")
        self._data: Mapping[str, Any] = data
        self.where = where

    def _take(self, name: str) -> Any:
        if name not in self._data:
            raise BadInput(f"{self.where}.{name}: missing")
        return self._data[name]

    def _wrong(self, name: str, needed: str, value: object) -> BadInput:
        return BadInput(f"{self.where}.{name}: must be {needed}, not {_kind(value)}")

    def text(self, name: str) -> str:
        value = self._take(name)
        if not isinstance(value, str):
            raise self._wrong(name, "text", value)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        values = self._list(name)
        for i, value in enumerate(values):
            if not isinstance(value, str):
                raise self._wrong(f"{name}[{i}]", "text", value)
        return tuple(values)

    def number(self, name: str) -> float:
        return _number(self._take(name), f"{self.where}.{name}")

    def whole(self, name: str) -> int:
        value = self._take(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name, "a whole number", value)
        return value

    def flag(self, name: str) -> bool:
        value = self._take(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false", value)
        return value

    def moment(self, name: str) -> datetime:
        value = self.text(name)
        try:
            moment = datetime.fromisoformat(value)
            if moment.utcoffset() is not None:
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        raise BadInput(f"{self.where}.{name}: must be an ISO 8601 time with its zone, not {value[:40]!r}")

    def one_of(self, name: str, choices: type[T]) -> T:
        value = self.text(name)
        try:
            return choices(value)  # type: ignore[call-arg]  # a StrEnum is called with its value
        except ValueError:
            raise BadInput(f"{self.where}.{name}: {value[:40]!r} is not known") from None

    def positions(self, name: str) -> tuple[Position, ...]:
        found = []
        for i, point in enumerate(self._list(name)):
            where = f"{self.where}.{name}[{i}]"
            if not isinstance(point, list | tuple) or len(point) != 3:
                raise BadInput(f"{where}: must be [lat, lon, alt_amsl_m]")
            found.append(Position(*(_number(value, where) for value in point)))
        return tuple(found)

    def table(self, name: str) -> Mapping[str, Any]:
        value = self._take(name)
        if not isinstance(value, Mapping):
            raise self._wrong(name, "an object", value)
        return value

    def each(self, name: str, make: Callable[[_Reader], T]) -> tuple[T, ...]:
        return tuple(make(_Reader(entry, f"{self.where}.{name}[{i}]")) for i, entry in enumerate(self._list(name)))

    def _list(self, name: str) -> list[Any] | tuple[Any, ...]:
        value = self._take(name)
        if not isinstance(value, list | tuple):
            raise self._wrong(name, "a list", value)
        return value


def _number(value: object, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise BadInput(f"{where}: must be a number, not {_kind(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadInput(f"{where}: must be a finite number")
    return number


_KINDS: dict[type, str] = {dict: "an object", list: "a list", str: "text", bool: "true or false"}


def _kind(value: object) -> str:
    return "null" if value is None else _KINDS.get(type(value), "a number")
