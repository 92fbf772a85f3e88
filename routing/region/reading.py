"""From the JSON of a region, which anybody may have written, to the region."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from routing.errors import BadInput
from routing.geo import Position
from routing.region.model import (
    Feature,
    GroundEdge,
    GroundNode,
    Obstacle,
    Population,
    Raster,
    Region,
    Site,
    SiteKind,
    Terrain,
    WayKind,
    Zone,
)


def region_from_json(data: Mapping[str, Any], *, heights: Raster, persons: Raster | None) -> Region:
    """Read what ``Region.to_json`` wrote, with the rasters that it leaves out.

    Raises ``BadInput`` naming the key that is missing or malformed.
    """
    try:
        return Region(
            region_id=_text(data["region_id"]),
            name_ja=_text(data["name_ja"]),
            name_en=_text(data["name_en"]),
            origin=_position(data["origin"]),
            terrain=_terrain(data["terrain"], heights),
            sites=tuple(_site(site) for site in data["sites"]),
            nodes=_nodes(data["nodes"]),
            edges=_edges(data["edges"]),
            zones=tuple(_zone(zone) for zone in data["zones"]),
            obstacles=tuple(_obstacle(obstacle) for obstacle in data["obstacles"]),
            features=tuple(_feature(feature) for feature in data["features"]),
            population=_population(data["population"], persons),
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


def _population(data: Mapping[str, Any] | None, persons: Raster | None) -> Population | None:
    if data is None and persons is None:
        return None
    if data is None or persons is None:
        raise BadInput("region: the population has a place but no persons, or persons but no place")
    return Population(_number(data["west_m"]), _number(data["south_m"]), _number(data["step_m"]), persons)


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
    return tuple(
        GroundEdge(
            _text(a),
            _text(b),
            _number(length),
            WayKind(kind),
            None if width is None else _number(width),
            _text(surface),
            _flag(crossing),
            _flag(robot),
        )
        for a, b, length, kind, width, surface, crossing, robot in zip(*(data[name] for name in names), strict=True)
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


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a number is needed, not {str(value)[:40]!r}")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"a finite number is needed, not {number}")
    return number
