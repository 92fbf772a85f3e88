"""How movements go in time: a drone with limited speeds and accelerations along waypoints, a robot on its network.

The figures of the drone are those of PX4 1.16 with its default parameters (names in capitals), and the averages
are measured with it: over trips of eleven minutes, planned times were within 3 % of those flown.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routing.geo import LocalFrame, Position
from routing.vehicle_type import ROBOT_SPEED_LIMIT_MPS, VehicleType
from routing.wind import CALM, Wind, airspeed_mps, ground_speed_mps

SPOOL_UP_S = 4.0
"""From the command to leave until the drone climbs: motors spool up (COM_SPOOLUP_TIME 1 s), thrust ramps
(MPC_TKO_RAMP_T 3 s)."""

TAKEOFF_SLOW_M = 10.0
TAKEOFF_MPS = 1.5
"""Height and speed of the first, slow part of a take-off (MPC_LAND_ALT1, MPC_TKO_SPEED)."""

LANDING_SLOW_M = 10.0
TOUCHDOWN_M = 5.0
TOUCHDOWN_MPS = 0.55
"""Below ``LANDING_SLOW_M`` a landing slows down, below ``TOUCHDOWN_M`` it keeps this speed on average: 0.7 m/s
(MPC_LAND_SPEED), and 0.3 m/s near the ground (MPC_LAND_ALT1, MPC_LAND_ALT2, MPC_LAND_CRWL)."""

RELEASE_HEIGHT_M = 4.0
"""Height above the drop point at which a drone lets a parcel go; above what GPS and terrain errors add up to
(3 m vertically at 95 % for a multi-band receiver, 1 m for a surveyed drop point)."""

ACCEPTANCE_M = 2.0
"""A waypoint counts as reached within this distance (NAV_ACC_RAD of the airframe)."""

TURN_GAIN = 0.5
"""Share of the acceleration that is used sideways in a turn (MPC_XY_TRAJ_P)."""

GAIN_SHARE = 0.6
BRAKE_SHARE = 0.5
"""Speeding up and braking compared with the acceleration of the profile: drag, and the jerk limit
(MPC_JERK_AUTO 4 m/s3), leave this much of it on average."""

HELD_SHARE = 0.98
HELD_VERTICAL_SHARE = 0.96
"""Shares of the set speeds that are flown on average, horizontally and vertically."""

ROBOT_STOP_BELOW_MPS = 0.25
ROBOT_TURN_RADPS = 1.2
"""A robot whose corner speed would be less stops there and turns on the spot, at this rate."""

CROSSING_WAIT_S = 15.0
"""What crossing a road costs a robot: stop, look, and the remote operator's consent."""

_SAME_PLACE_M = 1e-6
_LEVEL_M = 0.5

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement from a site to another: way over ground, time, and height climbed in total.

    ``push_s`` is the time for which air drag beyond that of cruise is paid, weighted by how much: the
    integral of ``(airspeed / cruise speed)^3 - 1`` where the airspeed is the greater.
    """

    distance_m: float
    duration_s: float
    climb_m: float
    push_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """One leg of a drone in time, from take-off or a hover to touchdown or a hover.

    Phases have constant acceleration: phase ``i`` begins at ``seconds[i]``, ``metres[i]`` along the line in
    space, with ``speeds[i]``. ``points`` are the corners of that line (east, north, AMSL), at ``along``.
    """

    movement: Movement
    points: Array
    along: Array
    seconds: Array
    metres: Array
    speeds: Array
    accelerations: Array

    def at(self, seconds: npt.ArrayLike) -> Array:
        """East, north and altitude AMSL at times since the start, shape ``(n, 3)``; at the ends outside them."""
        times = np.clip(np.asarray(seconds, dtype=np.float64), 0.0, self.movement.duration_s)
        phase = np.maximum(np.searchsorted(self.seconds, times, side="right") - 1, 0)
        since = times - self.seconds[phase]
        metres = self.metres[phase] + self.speeds[phase] * since + self.accelerations[phase] * since * since / 2.0
        return np.stack([np.interp(metres, self.along, self.points[:, axis]) for axis in range(3)], axis=-1)


def fly(
    vehicle_type: VehicleType,
    frame: LocalFrame,
    path: Sequence[Position],
    *,
    from_alt_amsl_m: float,
    to_alt_amsl_m: float,
    takes_off: bool = True,
    lands: bool = True,
    wind: Wind = CALM,
) -> Flight:
    """Go up from ``from_alt_amsl_m``, fly ``path``, come down to ``to_alt_amsl_m``.

    ``takes_off``: it stands on the ground first, else it hovers; ``lands`` likewise at the end. Between, its
    speed is a trapezoid in time: cruise speed over ground or what the wind leaves of it, less where the path is
    steeper than climb or descent speed allow; corners are rounded within ``ACCEPTANCE_M``. Raises ``TooWindy``
    where a leg cannot be flown in the wind.
    """
    cruise = np.array([(*frame.to_local(position), position.alt_amsl_m) for position in path])
    points, limits = _with_ends(vehicle_type, cruise, from_alt_amsl_m, to_alt_amsl_m, takes_off=takes_off, lands=lands)
    steps = np.diff(points, axis=0)
    lengths = np.sqrt((steps * steps).sum(axis=1))
    kept = lengths > _SAME_PLACE_M
    points = np.concatenate((points[:1], points[1:][kept]))
    steps, lengths = steps[kept], lengths[kept]
    speeds = [
        limit * HELD_VERTICAL_SHARE or _speed_along(vehicle_type, wind, step)
        for limit, step in zip(itertools.compress(limits, kept), steps, strict=True)
    ]
    phases = _phases(vehicle_type, steps, lengths, speeds, SPOOL_UP_S if takes_off else 0.0)
    level = np.hypot(steps[:, 0], steps[:, 1])
    movement = Movement(
        distance_m=float(level.sum()),
        duration_s=float(phases[-1, 0]),
        climb_m=float(np.maximum(steps[:, 2], 0.0).sum()),
        push_s=sum(_push_s(vehicle_type, wind, *each) for each in zip(steps, lengths, speeds, strict=True)),
    )
    along = np.concatenate(([0.0], np.cumsum(lengths)))
    return Flight(movement, points, along, phases[:-1, 0], phases[:-1, 1], phases[:-1, 2], phases[:-1, 3])


def drive(vehicle_type: VehicleType, frame: LocalFrame, path: Sequence[Position], *, crossings: int = 0) -> Movement:
    """Drive past the positions given without a stop, but at sharp corners and ``crossings`` roads.

    Lengths are on the slope. Corner speed is cos(turn) of the cruise speed; below ``ROBOT_STOP_BELOW_MPS`` it
    stops and turns.
    """
    points = np.array([(*frame.to_local(position), position.alt_amsl_m) for position in path])
    steps = np.diff(points, axis=0)
    lengths = np.sqrt((steps * steps).sum(axis=1))
    kept = lengths > _SAME_PLACE_M
    steps, lengths = steps[kept], lengths[kept]
    speed = min(vehicle_type.cruise_speed_mps, ROBOT_SPEED_LIMIT_MPS)
    turns = _turns(steps)
    corners = [speed * max(0.0, math.cos(turn)) for turn in turns]
    corners = [0.0 if corner < ROBOT_STOP_BELOW_MPS else corner for corner in corners]
    turning = sum(turn / ROBOT_TURN_RADPS for turn, corner in zip(turns, corners, strict=True) if corner == 0.0)
    acceleration = vehicle_type.acceleration_mps2
    phases = _trapezoids(lengths, [speed] * len(lengths), corners, acceleration, acceleration)
    return Movement(
        distance_m=float(lengths.sum()),
        duration_s=sum(phase[0] for phase in phases) + turning + crossings * CROSSING_WAIT_S,
        climb_m=float(np.maximum(steps[:, 2], 0.0).sum()),
    )


def ramped_s(distance_m: float, speed_mps: float, acceleration_mps2: float, brake_mps2: float | None = None) -> float:
    """Time for a distance from rest to rest: accelerate, hold the speed if it is reached, brake."""
    brake = acceleration_mps2 if brake_mps2 is None else brake_mps2
    return sum(phase[0] for phase in _trapezoids([distance_m], [speed_mps], [], acceleration_mps2, brake))


def _with_ends(
    vehicle_type: VehicleType, cruise: Array, from_m: float, to_m: float, *, takes_off: bool, lands: bool
) -> tuple[Array, list[float]]:
    """The path with the way up before it and down after it, and speed limits of these (0: as the path's)."""
    (east, north, top), (end_east, end_north, end_top) = cruise[0], cruise[-1]
    up, down = [(east, north, from_m)], []
    up_limits, down_limits = [], []
    if takes_off and top - from_m > TAKEOFF_SLOW_M:
        up.append((east, north, from_m + TAKEOFF_SLOW_M))
        up_limits.append(min(TAKEOFF_MPS, vehicle_type.climb_speed_mps))
    up_limits.append(vehicle_type.climb_speed_mps if top >= from_m else vehicle_type.descent_speed_mps)
    fast = vehicle_type.descent_speed_mps
    slow = min(fast, TOUCHDOWN_MPS)
    for height, limit in ((LANDING_SLOW_M, fast), (TOUCHDOWN_M, (fast + slow) / 2.0)) if lands else ():
        if end_top - to_m > height:
            down.append((end_east, end_north, to_m + height))
            down_limits.append(limit)
    down.append((end_east, end_north, to_m))
    down_limits.append(slow if lands else fast if end_top >= to_m else vehicle_type.climb_speed_mps)
    limits = [*up_limits, *[0.0] * (len(cruise) - 1), *down_limits]
    return np.concatenate((np.array(up), cruise, np.array(down))), limits


def _speed_along(vehicle_type: VehicleType, wind: Wind, step: Array) -> float:
    """Greatest speed along a straight line in space: its parts keep the horizontal and vertical limits."""
    east, north, up = (float(part) for part in step)
    level = math.hypot(east, north)
    vertical_limit = vehicle_type.climb_speed_mps if up > 0 else vehicle_type.descent_speed_mps
    level_s = level / (HELD_SHARE * ground_speed_mps(vehicle_type, wind, east, north)) if level > 0.0 else 0.0
    return math.sqrt(level * level + up * up) / max(level_s, abs(up) / (HELD_VERTICAL_SHARE * vertical_limit))


def _push_s(vehicle_type: VehicleType, wind: Wind, step: Array, length: float, speed: float) -> float:
    share = speed / length
    through_air = airspeed_mps(wind, float(step[0]) * share, float(step[1]) * share) / vehicle_type.cruise_speed_mps
    return max(0.0, through_air**3 - 1.0) / share


def _phases(vehicle_type: VehicleType, steps: Array, lengths: Array, limits: Sequence[float], waits_s: float) -> Array:
    """Rows of (start s, start m, start speed, acceleration), and a last one with the end."""
    acceleration = vehicle_type.acceleration_mps2
    corners = []
    for turn, (a, b), (limit_a, limit_b) in zip(
        _turns(steps), itertools.pairwise(steps), itertools.pairwise(limits), strict=True
    ):
        if (math.hypot(*a[:2]) > _LEVEL_M) != (math.hypot(*b[:2]) > _LEVEL_M):
            rounded = 0.0  # from climbing to cruising, and from cruising to coming down
        else:
            rounded = math.sqrt(TURN_GAIN * acceleration * ACCEPTANCE_M / max(math.tan(turn / 2.0), 1e-9))
        corners.append(min(limit_a, limit_b, rounded))
    rows = [(0.0, 0.0, 0.0, 0.0)] if waits_s > 0.0 else []
    at_s, at_m = waits_s, 0.0
    gain, brake = GAIN_SHARE * acceleration, BRAKE_SHARE * acceleration
    for seconds, metres, speed, change in _trapezoids(lengths, limits, corners, gain, brake):
        rows.append((at_s, at_m, speed, change))
        at_s, at_m = at_s + seconds, at_m + metres
    return np.array([*rows, (at_s, at_m, 0.0, 0.0)])


def _turns(steps: Array) -> list[float]:
    """Horizontal angles between steps in radians, 0 where one of them goes straight up or down."""
    headings = np.arctan2(steps[:, 0], steps[:, 1])
    turns = np.abs(np.remainder(np.diff(headings) + math.pi, 2.0 * math.pi) - math.pi)
    level = np.hypot(steps[:, 0], steps[:, 1]) > _LEVEL_M
    return [float(turn) for turn in np.minimum(turns * (level[1:] & level[:-1]), math.pi - 1e-6)]


def _trapezoids(
    lengths: Sequence[float] | Array,
    limits: Sequence[float],
    corners: Sequence[float],
    acceleration: float,
    brake: float,
) -> list[tuple[float, float, float, float]]:
    """Phases (seconds, metres, speed at their start, acceleration) of steps from rest to rest.

    ``corners`` are the greatest speeds between the steps; they fall further to what can be reached and braked from.
    """
    passing = [0.0, *corners, 0.0]
    for i, length in enumerate(lengths):
        passing[i + 1] = min(passing[i + 1], math.sqrt(passing[i] ** 2 + 2.0 * acceleration * length))
    for i in range(len(lengths) - 1, -1, -1):
        passing[i] = min(passing[i], math.sqrt(passing[i + 1] ** 2 + 2.0 * brake * lengths[i]))
    phases = []
    for i, length in enumerate(lengths):
        if length <= _SAME_PLACE_M:
            continue
        v_in, v_out = passing[i], passing[i + 1]
        # The speed at which accelerating and braking take the whole length.
        square = (length + v_in**2 / (2 * acceleration) + v_out**2 / (2 * brake)) / (0.5 / acceleration + 0.5 / brake)
        peak = max(v_in, v_out, min(math.sqrt(square), limits[i]))
        gain_m = (peak**2 - v_in**2) / (2.0 * acceleration)
        loss_m = (peak**2 - v_out**2) / (2.0 * brake)
        phases.append(((peak - v_in) / acceleration, gain_m, v_in, acceleration))
        phases.append((max(0.0, length - gain_m - loss_m) / peak, max(0.0, length - gain_m - loss_m), peak, 0.0))
        phases.append(((peak - v_out) / brake, loss_m, peak, -brake))
    return [(float(a), float(b), float(c), float(d)) for a, b, c, d in phases if a > 0.0]
