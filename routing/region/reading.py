"""From the JSON of a region, which anybody may have written, to the region."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from routing.errors import BadInput
from routing.geo import Position
from routing.region.model import (
    AltitudeReference,
    Feature,
    GroundEdge,
    GroundNode,
    LaneSection,
    Layer,
    Obstacle,
    Period,
    Population,
    Raster,
    Region,
    Restriction,
    Site,
    SiteKind,
    Terrain,
    WayKind,
    Zone,
)

_LAYERS = ("canopy", "radio", "geoid")


def region_from_json(data: Mapping[str, Any], rasters: Mapping[str, Raster]) -> Region:
    """Read what ``Region.to_json`` wrote, with the rasters that it leaves out (``Region.rasters``).

    Raises ``BadInput`` naming the key that is missing or malformed.
    """
    try:
        _no_others(data, rasters)
        return Region(
            region_id=_text(data["region_id"]),
            name_ja=_text(data["name_ja"]),
            name_en=_text(data["name_en"]),
            origin=_position(data["origin"]),
            terrain=_terrain(data["terrain"], rasters["terrain"]),
            sites=tuple(_site(site) for site in data["sites"]),
            nodes=_nodes(data["nodes"]),
            edges=_edges(data["edges"]),
            zones=tuple(_zone(zone) for zone in data["zones"]),
            obstacles=tuple(_obstacle(obstacle) for obstacle in data["obstacles"]),
            features=tuple(_feature(feature) for feature in data["features"]),
            population=_population(data["population"], rasters),
            lanes=tuple(_lane(lane) for lane in data["lanes"]),
            canopy=_layer("canopy", data["canopy"], rasters),
            radio=_layer("radio", data["radio"], rasters),
            geoid=_layer("geoid", data["geoid"], rasters),
        )
    except KeyError as error:
        raise BadInput(f"region: {error} is missing") from error
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadInput(f"region: malformed: {error}") from error


def _terrain(data: Mapping[str, Any], heights: Raster) -> Terrain:
    return Terrain(
        _number(data["west_m"]),
        _number(data["south_m"]),
        _number(data["step_m"]),
        heights,
        _text(data["datum"]),
        _number(data["error_m"]),
    )


def _no_others(data: Mapping[str, Any], rasters: Mapping[str, Raster]) -> None:
    known = {"terrain", *(name for name in _LAYERS if data.get(name))}
    if data.get("population"):
        known |= {"population", *(f"population.{i}" for i, _ in enumerate(data["population"]["bands"]))}
    for name in set(rasters) - known:
        raise BadInput(f"region: raster {name!r} has values but no place")


def _raster(name: str, rasters: Mapping[str, Raster]) -> Raster:
    if name not in rasters:
        raise BadInput(f"region: {name} has a place but no raster" + (" of persons" if "population" in name else ""))
    return rasters[name]


def _population(data: Mapping[str, Any] | None, rasters: Mapping[str, Raster]) -> Population | None:
    if data is None:
        return None
    return Population(
        _number(data["west_m"]),
        _number(data["south_m"]),
        _number(data["step_m"]),
        _raster("population", rasters),
        tuple((_text(name), _raster(f"population.{i}", rasters)) for i, name in enumerate(data["bands"])),
        _text(data["source"]),
    )


def _layer(name: str, data: Mapping[str, Any] | None, rasters: Mapping[str, Raster]) -> Layer | None:
    if data is None:
        return None
    place = [_number(data[key]) for key in ("west_m", "south_m", "step_m")]
    return Layer(place[0], place[1], place[2], _raster(name, rasters), _text(data["source"]))


def _lane(data: Mapping[str, Any]) -> LaneSection:
    return LaneSection(
        _text(data["section_id"]),
        _text(data["a"]),
        _text(data["b"]),
        tuple(_position(point) for point in data["line"]),
        _number(data["width_m"]),
        _flag(data["one_way"]),
        _whole(data["capacity"]),
    )


def _site(data: Mapping[str, Any]) -> Site:
    node = data["node"]
    return Site(
        _text(data["site_id"]),
        SiteKind(data["kind"]),
        _text(data["name_ja"]),
        _text(data["name_en"]),
        _position(data["position"]),
        None if node is None else _text(node),
        _flag(data["accepts_drone"]),
        _flag(data["accepts_robot"]),
        tuple(_position(pad) for pad in data["pads"]),
    )


def _zone(data: Mapping[str, Any]) -> Zone:
    return Zone(
        _text(data["zone_id"]),
        _text(data["kind"]),
        _text(data["name_ja"]),
        _text(data["name_en"]),
        _points(data["ring"]),
        _optional(data["floor_m"]),
        AltitudeReference(data["floor_reference"]),
        _optional(data["ceiling_m"]),
        AltitudeReference(data["ceiling_reference"]),
        Restriction(data["restriction"]),
        tuple(_text(condition) for condition in data["conditions"]),
        tuple(_period(period) for period in data["schedule"]),
        _optional(data["margin_m"]),
    )


def _period(data: Mapping[str, Any]) -> Period:
    return Period(
        _moment(data["begins"]),
        _moment(data["ends"]),
        tuple(_whole(day) for day in data["weekdays"]),
        _whole(data["from_minute"]),
        _whole(data["to_minute"]),
    )


def _obstacle(data: Mapping[str, Any]) -> Obstacle:
    return Obstacle(
        _text(data["obstacle_id"]),
        _text(data["kind"]),
        _text(data["name_en"]),
        tuple(_position(point) for point in data["line"]),
        _number(data["margin_m"]),
    )


def _feature(data: Mapping[str, Any]) -> Feature:
    return Feature(_text(data["kind"]), _text(data["name"]), _points(data["coords"]), _flag(data["closed"]))


def _nodes(data: Mapping[str, Any]) -> tuple[GroundNode, ...]:
    columns = [data[name] for name in ("node_id", "lat", "lon", "alt_amsl_m")]
    return tuple(
        GroundNode(_text(node), Position(_number(lat), _number(lon), _number(alt)))
        for node, lat, lon, alt in zip(*columns, strict=True)
    )


def _edges(data: Mapping[str, Any]) -> tuple[GroundEdge, ...]:
    names = ("a", "b", "length_m", "kind", "width_m", "surface", "crossing", "robot")
    more = ("road", "one_way", "incline", "kerb_m", "max_speed_mps")
    return tuple(
        GroundEdge(
            _text(a),
            _text(b),
            _number(length),
            WayKind(kind),
            _optional(width),
            _text(surface),
            _flag(crossing),
            _flag(robot),
            _flag(road),
            _flag(one_way),
            _optional(incline),
            _number(kerb),
            _optional(speed),
        )
        for a, b, length, kind, width, surface, crossing, robot, road, one_way, incline, kerb, speed in zip(
            *(data[name] for name in (*names, *more)), strict=True
        )
    )


def _position(data: Mapping[str, Any]) -> Position:
    return Position(_number(data["lat"]), _number(data["lon"]), _number(data["alt_amsl_m"]))


def _points(data: Sequence[Any]) -> tuple[tuple[float, float], ...]:
    return tuple((_number(lat), _number(lon)) for lat, lon in data)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text is needed, not {str(value)[:40]!r}")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"true or false is needed, not {str(value)[:40]!r}")
    return value


def _optional(value: object) -> float | None:
    return None if value is None else _number(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"a whole number is needed, not {str(value)[:40]!r}")
    return value


def _moment(value: object) -> datetime | None:
    if value is None:
        return None
    moment = datetime.fromisoformat(_text(value))
    if moment.utcoffset() is None:
        raise ValueError(f"a time with its time zone is needed, not {value}")
    return moment


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a number is needed, not {str(value)[:40]!r}")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"a finite number is needed, not {number}")
    return number
