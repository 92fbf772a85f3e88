"""How long a movement takes: a drone with limited acceleration along waypoints, a robot along a network."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from routing.geo import LocalFrame, Position
from routing.vehicle_type import ROBOT_SPEED_LIMIT_MPS, VehicleType

SPOOL_UP_S = 4.0
"""From the command to leave until the drone climbs: motors spool up, thrust ramps (PX4 MPC_TKO_RAMP_T 3 s)."""

SLOW_DESCENT_M = 5.0
"""Height above the ground below which a drone comes down slowly (PX4 MPC_LAND_ALT2)."""

SLOW_DESCENT_MPS = 0.7
"""Speed of that last part (PX4 MPC_LAND_SPEED)."""

_SAME_PLACE_M = 1e-6


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement from a site to another: way over ground, time, and height climbed in total."""

    distance_m: float
    duration_s: float
    climb_m: float


def fly(
    vehicle_type: VehicleType,
    frame: LocalFrame,
    path: Sequence[Position],
    *,
    from_alt_amsl_m: float,
    to_alt_amsl_m: float,
) -> Movement:
    """Take off from the ground at ``from_alt_amsl_m``, fly ``path``, come down to ``to_alt_amsl_m``.

    Speed is a trapezoid in time between waypoints: cruise speed, less where the path is steeper than climb
    or descent speed allow, and at a turn by angle t at most cos(t) of it (a full stop from 90 degrees on).
    """
    points = [(*frame.to_local(position), position.alt_amsl_m) for position in path]
    steps = [step for step in map(_step, points, points[1:]) if step[3] > _SAME_PLACE_M]
    climb_up = max(0.0, points[0][2] - from_alt_amsl_m)
    come_down = max(0.0, points[-1][2] - to_alt_amsl_m)
    duration_s = (
        SPOOL_UP_S
        + ramped_s(climb_up, vehicle_type.climb_speed_mps, vehicle_type.acceleration_mps2)
        + _cruise_s(vehicle_type, steps)
        + ramped_s(max(0.0, come_down - SLOW_DESCENT_M), vehicle_type.descent_speed_mps, vehicle_type.acceleration_mps2)
        + min(come_down, SLOW_DESCENT_M) / SLOW_DESCENT_MPS
    )
    return Movement(
        distance_m=sum(math.hypot(step[0], step[1]) for step in steps),
        duration_s=duration_s,
        climb_m=climb_up + sum(max(0.0, step[2]) for step in steps),
    )


def drive(vehicle_type: VehicleType, lengths_m: Sequence[float], alts_amsl_m: Sequence[float]) -> Movement:
    """Drive edges of the lengths given past nodes of the altitudes given, without a stop between."""
    distance = sum(lengths_m)
    speed = min(vehicle_type.cruise_speed_mps, ROBOT_SPEED_LIMIT_MPS)
    climb = sum(max(0.0, b - a) for a, b in itertools.pairwise(alts_amsl_m))
    return Movement(distance, ramped_s(distance, speed, vehicle_type.acceleration_mps2), climb)


def ramped_s(distance_m: float, speed_mps: float, acceleration_mps2: float) -> float:
    """Time for a distance from rest to rest: accelerate, hold the speed if it is reached, brake."""
    return _segment_s(distance_m, 0.0, 0.0, speed_mps, acceleration_mps2)


_Step = tuple[float, float, float, float]


def _step(a: tuple[float, float, float], b: tuple[float, float, float]) -> _Step:
    east, north, up = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    return east, north, up, math.sqrt(east * east + north * north + up * up)


def _cruise_s(vehicle_type: VehicleType, steps: Sequence[_Step]) -> float:
    if not steps:
        return 0.0
    limits = [_speed_along(vehicle_type, step) for step in steps]
    # Speeds at the waypoints: first what the turns allow, then what braking and accelerating allow.
    corners = [0.0]
    for (a, b), (limit_a, limit_b) in zip(itertools.pairwise(steps), itertools.pairwise(limits), strict=True):
        cosine = (a[0] * b[0] + a[1] * b[1] + a[2] * b[2]) / (a[3] * b[3])
        corners.append(min(limit_a, limit_b) * max(0.0, cosine))
    corners.append(0.0)
    gain = 2.0 * vehicle_type.acceleration_mps2
    for i, step in enumerate(steps):
        corners[i + 1] = min(corners[i + 1], math.sqrt(corners[i] ** 2 + gain * step[3]))
    for i in range(len(steps) - 1, -1, -1):
        corners[i] = min(corners[i], math.sqrt(corners[i + 1] ** 2 + gain * steps[i][3]))
    return sum(
        _segment_s(step[3], corners[i], corners[i + 1], limits[i], vehicle_type.acceleration_mps2)
        for i, step in enumerate(steps)
    )


def _speed_along(vehicle_type: VehicleType, step: _Step) -> float:
    """Greatest speed along a straight line in space: its parts keep the horizontal and vertical limits."""
    level = math.hypot(step[0], step[1])
    vertical_limit = vehicle_type.climb_speed_mps if step[2] > 0 else vehicle_type.descent_speed_mps
    seconds = max(level / vehicle_type.cruise_speed_mps, abs(step[2]) / vertical_limit)
    return step[3] / seconds


def _segment_s(distance_m: float, v_in: float, v_out: float, v_max: float, acceleration: float) -> float:
    if distance_m <= _SAME_PLACE_M:
        return 0.0
    # Peak speed if the whole distance is spent accelerating and braking.
    peak = math.sqrt(max(0.0, acceleration * distance_m + (v_in * v_in + v_out * v_out) / 2.0))
    peak = max(v_in, v_out, min(peak, v_max))
    ramps = (2.0 * peak * peak - v_in * v_in - v_out * v_out) / (2.0 * acceleration)
    return (2.0 * peak - v_in - v_out) / acceleration + max(0.0, distance_m - ramps) / peak
