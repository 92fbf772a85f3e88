"""The world around simulated vehicles: terrain, wind and time."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import datetime

from routing.geo import Position
from routing.region.model import Region


@dataclass(frozen=True, slots=True)
class WorldClock:
    """Time of a simulation: ``domain = anchor_domain + speed * (wall - anchor_wall)``."""

    anchor_wall: datetime
    anchor_domain: datetime
    speed: float

    def domain_us(self) -> int:
        """Domain time now, microseconds since the Unix epoch."""
        elapsed_s = time.time() - self.anchor_wall.timestamp()
        return int((self.anchor_domain.timestamp() + elapsed_s * self.speed) * 1e6)


@dataclass(frozen=True, slots=True)
class Wind:
    """A steady wind: speed in m/s and the direction that it blows from, degrees clockwise from north."""

    speed_mps: float = 0.0
    from_deg: float = 270.0

    @property
    def east_north_mps(self) -> tuple[float, float]:
        """The velocity of the air, east and north."""
        towards = math.radians(self.from_deg + 180.0)
        return (self.speed_mps * math.sin(towards), self.speed_mps * math.cos(towards))


class World:
    """Ground heights of a region (flat where there is none) and the wind."""

    def __init__(self, region: Region | None, wind: Wind) -> None:
        self.wind = wind
        self._terrain = region.terrain if region else None
        self._frame = region.frame if region else None

    def ground_amsl_m(self, position: Position, *, flat_m: float) -> float:
        """Ground height AMSL under a position; ``flat_m`` without a region.

        Bilinear, clamped at the edge of the grid, like ``Terrain.height_m`` but for one point at a
        time, which is what a vehicle asks many times a second.
        """
        terrain, frame = self._terrain, self._frame
        if terrain is None or frame is None:
            return flat_m
        east_m, north_m = frame.to_local(position)
        height = terrain.heights.item
        rows, columns = terrain.heights.shape
        x = min(max((east_m - terrain.west_m) / terrain.step_m, 0.0), columns - 1.0)
        y = min(max((north_m - terrain.south_m) / terrain.step_m, 0.0), rows - 1.0)
        left, low = min(int(x), columns - 2), min(int(y), rows - 2)
        fx, fy = x - left, y - low
        south = height(low, left) * (1 - fx) + height(low, left + 1) * fx
        north = height(low + 1, left) * (1 - fx) + height(low + 1, left + 1) * fx
        return float(south * (1 - fy) + north * fy)
