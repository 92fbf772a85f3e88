"""How a robot drives: its speed by road, slope and corner, and what rolling on its way takes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from routing.geo import LocalFrame, Position
from routing.ground_rules import speed_limit_mps
from routing.movement import GRAVITY_MPS2, SAME_PLACE_M, Movement, trapezoids, turns
from routing.region.model import GroundEdge
from routing.vehicle_type import ROBOT_SPEED_LIMIT_MPS, Airframe, VehicleType

ROBOT_STOP_BELOW_MPS = 0.25
ROBOT_TURN_RADPS = 1.2
"""A robot whose corner speed would be less stops there and turns on the spot, at this rate."""

CROSSING_WAIT_S = 15.0
"""What crossing a road costs a robot: stop, look, and the remote operator's consent."""

ASPHALT = 0.013
UNKNOWN_SURFACE = 0.05
ROLLING = {
    "paved": ASPHALT,
    "asphalt": ASPHALT,
    "concrete": ASPHALT,
    "chipseal": ASPHALT,
    "concrete:plates": 0.015,
    "concrete:lanes": 0.015,
    "paving_stones": 0.015,
    "bricks": 0.015,
    "sett": 0.015,
    "metal": ASPHALT,
    "wood": 0.02,
    "cobblestone": 0.02,
    "unhewn_cobblestone": 0.025,
    "compacted": 0.02,
    "fine_gravel": 0.025,
    "gravel": 0.05,
    "pebblestone": 0.05,
    "unpaved": 0.05,
    "dirt": 0.05,
    "earth": 0.05,
    "ground": 0.05,
    "grass_paver": 0.05,
    "grass": 0.1,
    "mud": 0.2,
    "sand": 0.2,
    "snow": 0.1,
}
"""Coefficients of rolling resistance by OpenStreetMap's ``surface``: those of the Bosch Automotive Handbook (asphalt
and concrete 0.013, sett 0.015, rolled gravel 0.02, tarmacadam 0.025, unpaved road 0.05, field 0.1 to 0.35), and
between them where a surface lies between. Only their ratios matter: the profile's cruise power is on asphalt."""

WALKING_MPS = ROBOT_SPEED_LIMIT_MPS
"""The drive of a road robot is taken as built to climb its ``max_slope`` at this speed, and at that power it goes
faster on lesser slopes."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of a way as it is driven: its surface, the road's limit, and its tagged slope (rise over run; ``None``:
    by the heights of its ends)."""

    surface: str = "paved"
    max_speed_mps: float | None = None
    incline: float | None = None


def stretches(nodes: Sequence[str], edges: Mapping[tuple[str, str], GroundEdge]) -> tuple[Stretch, ...]:
    """Return the stretches between nodes that follow one another; ``edges`` by their ends, in either direction.

    A piece that is no edge counts as paved: that it is none is for others to say.
    """
    found = []
    for a, b in itertools.pairwise(nodes):
        edge = edges.get((a, b)) or edges.get((b, a))
        if edge is None:
            found.append(Stretch())
            continue
        incline = None if edge.incline is None else edge.incline if edge.a == a else -edge.incline
        found.append(Stretch(edge.surface, edge.max_speed_mps, incline))
    return tuple(found)


def drive(
    vehicle_type: VehicleType,
    frame: LocalFrame,
    path: Sequence[Position],
    *,
    crossings: int = 0,
    stretches: Sequence[Stretch] = (),
) -> Movement:
    """Drive past the positions given without a stop, but at sharp corners and ``crossings`` roads.

    Lengths are on the slope. ``stretches`` say what lies between the positions (empty: level-paved ways without a
    limit). A road robot goes as fast as the road, its class and the slope allow (``slope_speed_mps``). Corner speed
    is cos(turn) of the speed; below ``ROBOT_STOP_BELOW_MPS`` it stops and turns.
    """
    points = np.array([(*frame.to_local(position), position.alt_amsl_m) for position in path])
    steps = np.diff(points, axis=0)
    lengths = np.sqrt((steps * steps).sum(axis=1))
    kept = lengths > SAME_PLACE_M
    on = list(itertools.compress(stretches or [Stretch()] * len(lengths), kept))
    steps, lengths = steps[kept], lengths[kept]
    runs = np.hypot(steps[:, 0], steps[:, 1])
    rises = [
        run * stretch.incline if stretch.incline is not None else rise
        for stretch, run, rise in zip(on, runs.tolist(), steps[:, 2].tolist(), strict=True)
    ]
    speeds = [
        _speed_mps(vehicle_type, stretch, rise / max(run, SAME_PLACE_M))
        for stretch, run, rise in zip(on, runs.tolist(), rises, strict=True)
    ]
    angles = turns(steps)
    corners = [
        min(a, b) * max(0.0, math.cos(turn)) for turn, (a, b) in zip(angles, itertools.pairwise(speeds), strict=True)
    ]
    corners = [0.0 if corner < ROBOT_STOP_BELOW_MPS else corner for corner in corners]
    turning = sum(turn / ROBOT_TURN_RADPS for turn, corner in zip(angles, corners, strict=True) if corner == 0.0)
    acceleration = vehicle_type.acceleration_mps2
    phases = trapezoids(lengths, speeds, corners, acceleration, acceleration)
    return Movement(
        distance_m=float(lengths.sum()),
        duration_s=sum(phase[0] for phase in phases) + turning + crossings * CROSSING_WAIT_S,
        climb_m=sum(max(0.0, rise, up) for rise, up in zip(rises, steps[:, 2].tolist(), strict=True)),
        rolling_m=float((lengths * _rolling(on)).sum()),
    )


def slope_speed_mps(vehicle_type: VehicleType, slope: float) -> float:
    """How fast a road robot can go on a slope (rise over run), however fast it may.

    Uphill its drive has the power for ``max_slope`` at ``WALKING_MPS``: ``P = (c_rr + s) m g v``. Downhill it goes as
    fast as lets it stop within the distance that it takes on the level: the slope takes ``g s`` from its braking.
    """
    if slope >= 0.0:
        return WALKING_MPS * (ASPHALT + vehicle_type.max_slope) / (ASPHALT + slope)
    braking = vehicle_type.acceleration_mps2
    left = max(0.1 * braking, braking + GRAVITY_MPS2 * slope)
    return vehicle_type.cruise_speed_mps * math.sqrt(left / braking)


def _speed_mps(vehicle_type: VehicleType, stretch: Stretch, slope: float) -> float:
    speed = min(vehicle_type.cruise_speed_mps, speed_limit_mps(vehicle_type))
    if vehicle_type.built_as is not Airframe.ROAD_ROBOT:
        return speed
    limit = math.inf if stretch.max_speed_mps is None else stretch.max_speed_mps
    return min(speed, limit, slope_speed_mps(vehicle_type, slope))


def _rolling(on: Iterable[Stretch]) -> np.typing.NDArray[np.float64]:
    return np.array([ROLLING.get(stretch.surface, UNKNOWN_SURFACE) / ASPHALT for stretch in on])
