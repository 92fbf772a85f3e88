"""Which ways of a region a robot may use, in which direction, and how long each takes it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routing.driving import ASPHALT, ROLLING, UNKNOWN_SURFACE, slope_speed_mps
from routing.ground_rules import (
    NODE_HEIGHT_ERROR_M,
    SIDE_MARGIN_M,
    speed_limit_mps,
    within_area,
)
from routing.region.model import Region, WayKind
from routing.vehicle_type import ROBOT_SPEED_LIMIT_MPS, Airframe, VehicleType

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LEAST_S = 1e-6
"""An edge takes at least this long: sparse graphs know no edge without a weight."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What decides where a robot may drive, and how fast it is there; infinite: no limit."""

    road: bool = False
    width_m: float = 0.0
    max_slope: float = math.inf
    max_kerb_m: float = math.inf
    speed_mps: float = ROBOT_SPEED_LIMIT_MPS
    acceleration_mps2: float = 0.5
    one_ways: bool = True
    homewards: bool = False
    """Arcs lead from where they end to where they begin, for trees of ways that all end at one node."""
    climber: VehicleType | None = None
    """The road robot whose speed depends on the slope."""

    @classmethod
    def of(cls, vehicle_type: VehicleType) -> Limits:
        """Those of a type of vehicle."""
        road = vehicle_type.built_as is Airframe.ROAD_ROBOT
        return cls(
            road,
            vehicle_type.width_m,
            vehicle_type.max_slope,
            vehicle_type.max_kerb_m,
            min(vehicle_type.cruise_speed_mps, speed_limit_mps(vehicle_type)),
            vehicle_type.acceleration_mps2,
            climber=vehicle_type if road else None,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Arcs:
    """Edges in the directions in which a robot may drive them, one for each pair of nodes, sorted by it.

    ``tail`` and ``head`` are nodes and ``edge`` edges, by their numbers in the region; ``seconds`` at the speed of
    the edge, ``climb_m`` what is climbed, ``rolling_m`` the length weighted with the surface
    (``Movement.rolling_m``), ``heading`` clockwise from north in radians.
    """

    tail: Ints
    head: Ints
    edge: Ints
    seconds: Floats
    speed_mps: Floats
    length_m: Floats
    climb_m: Floats
    rolling_m: Floats
    crossing: Bools
    heading: Floats


class GroundWays:
    """The edges of a region as arrays."""

    def __init__(self, region: Region) -> None:
        self.number = {node.node_id: i for i, node in enumerate(region.nodes)}
        frame, edges = region.frame, region.edges
        at = np.array([(*frame.to_local(n.position), n.position.alt_amsl_m) for n in region.nodes]).reshape(-1, 3)
        self._a = np.array([self.number[edge.a] for edge in edges], dtype=np.int64)
        self._b = np.array([self.number[edge.b] for edge in edges], dtype=np.int64)
        step = at[self._b] - at[self._a]
        self._rise_m = step[:, 2]
        self._level_m = np.hypot(step[:, 0], step[:, 1])
        self._heading = np.arctan2(step[:, 0], step[:, 1])
        self._length_m = np.array([edge.length_m for edge in edges], dtype=np.float64)
        self._width_m = _floats([edge.width_m for edge in edges])
        self._incline = _floats([edge.incline for edge in edges])
        self._tagged_rise_m = self._incline * self._level_m
        self._speed_mps = _floats([edge.max_speed_mps for edge in edges])
        self._kerb_m = np.array([edge.kerb_m for edge in edges], dtype=np.float64)
        rolling = [ROLLING.get(edge.surface, UNKNOWN_SURFACE) / ASPHALT for edge in edges]
        self._rolling_m = self._length_m * np.array(rolling, dtype=np.float64)
        self._crossing = np.array([edge.crossing for edge in edges], dtype=bool)
        self._one_way = np.array([edge.one_way for edge in edges], dtype=bool)
        wheels = np.array([edge.kind is not WayKind.STEPS for edge in edges], dtype=bool)
        self._robot = wheels & np.array([edge.robot for edge in edges], dtype=bool)
        self._road = wheels & np.array([edge.road for edge in edges], dtype=bool)
        # Of a road, the width is that of its sidewalk.
        self._carriageway = np.array([edge.kind is WayKind.ROAD for edge in edges], dtype=bool)
        self._inside = within_area(region.features, frame, at[np.stack((self._a, self._b), axis=1), :2])

    def usable(self, limits: Limits) -> Bools:
        """Which edges a robot may use at all."""
        # A width that nobody has measured and a slope within the error of the heights are no reason.
        width = np.nan_to_num(self._width_m, nan=np.inf)
        fits = width >= limits.width_m + 2.0 * SIDE_MARGIN_M - 1e-9
        rise_m = np.maximum(np.abs(self._rise_m) - NODE_HEIGHT_ERROR_M, 0.0)
        steepness = np.where(np.isnan(self._incline), rise_m / np.maximum(self._level_m, 0.1), np.abs(self._incline))
        kinds = self._road & (fits | self._carriageway) if limits.road else self._robot & fits
        climbs = (steepness <= limits.max_slope + 1e-9) & (self._kerb_m <= limits.max_kerb_m)
        return np.asarray(kinds & climbs & self._inside)

    def arcs(self, limits: Limits) -> Arcs:
        """The edges that a robot may use, each way in which it may; of several between two nodes the quickest."""
        usable = self.usable(limits) & (self._a != self._b)
        both_ways = usable & ~self._one_way if limits.road and limits.one_ways else usable
        there, back = np.flatnonzero(usable), np.flatnonzero(both_ways)
        edge = np.concatenate((there, back))
        turned = np.arange(len(edge)) >= len(there)
        sign = np.where(turned, -1.0, 1.0)
        speed = self._speeds(limits, edge, sign)
        seconds = np.maximum(self._length_m[edge] / speed, LEAST_S)
        tail = np.where(turned, self._b[edge], self._a[edge])
        head = np.where(turned, self._a[edge], self._b[edge])
        order = np.lexsort((edge, seconds, self._crossing[edge], head, tail))
        first = np.ones(len(order), dtype=bool)
        first[1:] = (np.diff(tail[order]) != 0) | (np.diff(head[order]) != 0)
        kept = order[first]
        edge = edge[kept]
        ends = (head[kept], tail[kept]) if limits.homewards else (tail[kept], head[kept])
        climb_m = np.maximum(sign[kept] * self._rise_m[edge], np.nan_to_num(sign[kept] * self._tagged_rise_m[edge]))
        by_tail = np.lexsort((ends[1], ends[0]))
        kept, edge = kept[by_tail], edge[by_tail]
        return Arcs(
            ends[0][by_tail],
            ends[1][by_tail],
            edge,
            seconds[kept],
            speed[kept],
            self._length_m[edge],
            np.maximum(climb_m, 0.0)[by_tail],
            self._rolling_m[edge],
            self._crossing[edge],
            self._heading[edge] + np.where(turned[kept], math.pi, 0.0),
        )

    def _speeds(self, limits: Limits, edge: Ints, sign: Floats) -> Floats:
        """How fast a robot is on edges, uphill where their slope times ``sign`` is positive."""
        speed = np.full(len(edge), limits.speed_mps)
        if limits.climber is None:
            return speed
        rise_m = np.where(np.isnan(self._tagged_rise_m), self._rise_m, self._tagged_rise_m)[edge]
        slopes, of = np.unique(np.round(sign * rise_m / np.maximum(self._level_m[edge], 1e-6), 3), return_inverse=True)
        able = np.array([slope_speed_mps(limits.climber, slope) for slope in slopes.tolist()])
        return np.asarray(np.fmin(np.minimum(speed, able[of]), self._speed_mps[edge]))


def _floats(values: list[float | None]) -> Floats:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
