"""The geofence of the simulated autopilot: polygons and circles, inside or outside which it must stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from routing.geo import Position, distance_m
from simulators.missions import Item

_POLYGON_IN, _POLYGON_OUT, _CIRCLE_IN, _CIRCLE_OUT = 5001, 5002, 5003, 5004


@dataclass(frozen=True, slots=True)
class Fence:
    """Parsed fence items: rings of (lat, lon), and circles of (lat, lon, radius in m)."""

    rings_in: tuple[tuple[tuple[float, float], ...], ...] = ()
    rings_out: tuple[tuple[tuple[float, float], ...], ...] = ()
    circles_in: tuple[tuple[float, float, float], ...] = ()
    circles_out: tuple[tuple[float, float, float], ...] = ()

    @classmethod
    def of(cls, items: Sequence[Item]) -> Fence:
        """Group fence items; a polygon's vertices follow one another, each naming their number."""
        rings: dict[int, list[tuple[tuple[float, float], ...]]] = {_POLYGON_IN: [], _POLYGON_OUT: []}
        circles: dict[int, list[tuple[float, float, float]]] = {_CIRCLE_IN: [], _CIRCLE_OUT: []}
        index = 0
        while index < len(items):
            item = items[index]
            if item.command in rings:
                count = max(3, round(item.params[0]))
                rings[item.command].append(tuple((v.lat, v.lon) for v in items[index : index + count]))
                index += count
                continue
            if item.command in circles:
                circles[item.command].append((item.lat, item.lon, item.params[0]))
            index += 1
        return cls(
            tuple(rings[_POLYGON_IN]),
            tuple(rings[_POLYGON_OUT]),
            tuple(circles[_CIRCLE_IN]),
            tuple(circles[_CIRCLE_OUT]),
        )

    def allows(self, lat: float, lon: float) -> bool:
        """Whether a position is inside an inclusion (if there is any) and outside every exclusion."""
        if any(_inside(lat, lon, ring) for ring in self.rings_out):
            return False
        if any(_within(lat, lon, circle) for circle in self.circles_out):
            return False
        if not self.rings_in and not self.circles_in:
            return True
        return any(_inside(lat, lon, ring) for ring in self.rings_in) or any(
            _within(lat, lon, circle) for circle in self.circles_in
        )


def _within(lat: float, lon: float, circle: tuple[float, float, float]) -> bool:
    return distance_m(Position(lat, lon), Position(circle[0], circle[1])) <= circle[2]


def _inside(lat: float, lon: float, ring: tuple[tuple[float, float], ...]) -> bool:
    """Even-odd rule."""
    inside = False
    before_lat, before_lon = ring[-1]
    for at_lat, at_lon in ring:
        if (at_lat > lat) != (before_lat > lat):
            crossing = at_lon + (lat - at_lat) / (before_lat - at_lat) * (before_lon - at_lon)
            if lon < crossing:
                inside = not inside
        before_lat, before_lon = at_lat, at_lon
    return inside
