"""How movements go in time: a drone with limited speeds and accelerations along waypoints.

The figures of the drone are those of PX4 1.16 with its default parameters (names in capitals), and the averages
are measured with it: over trips of eleven minutes, planned times were within 3 % of those flown. A VTOL goes up and
down in the same way, and on its wing between. Robots are in ``routing.driving``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from routing.geo import LocalFrame, Position
from routing.movement import GRAVITY_MPS2, LEVEL_M, SAME_PLACE_M, Array, Flight, Movement, Spell, trapezoids, turns
from routing.vehicle_type import Airframe, VehicleType
from routing.wind import CALM, Wind, ground_speed_mps

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

HOP_MPS = 10.0
"""Speed of a VTOL on a way that is too short for its wing: it stays on the rotors."""

STALL_SHARE = 0.6
"""Below this share of its cruise speed a VTOL is not on its wing: cruise is flown with a load factor of 2 to 3 over
the stall (PX4: FW_AIRSPD_STALL 7 m/s, FW_AIRSPD_TRIM 15 m/s by default, with room for gusts)."""

BANK_RAD = math.radians(30.0)
"""Bank of a VTOL in its turns: half of what PX4 lets it (FW_R_LIM 50 to 60 degrees), with room for gusts."""

TURN_OFF_M = 10.0
"""A VTOL on its wing leaves a corner of its path by no more than this: where its turn would be wider, it slows down,
and where it would have to be slower than its wing carries, it turns on its rotors."""


def stays_on_rotors(vehicle_type: VehicleType, level_m: float) -> bool:
    """Whether a way of so many metres over ground is too short for a VTOL's wing; always false of other drones."""
    return level_m < vehicle_type.cruise_speed_mps * vehicle_type.transition_s


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
    steeper than climb or descent speed allow; a multirotor rounds corners within ``ACCEPTANCE_M``. A VTOL speeds up
    and slows down for ``transition_s`` (less against the wind) and keeps within ``TURN_OFF_M`` of corners; where the
    path is too steep for it, it circles, and where it is too short, it stays on the rotors. Raises ``TooWindy`` where
    a leg cannot be flown in the wind.
    """
    cruise = np.array([(*frame.to_local(position), position.alt_amsl_m) for position in path])
    points, limits = _with_ends(vehicle_type, cruise, from_alt_amsl_m, to_alt_amsl_m, takes_off=takes_off, lands=lands)
    steps = np.diff(points, axis=0)
    lengths = np.sqrt((steps * steps).sum(axis=1))
    kept = lengths > SAME_PLACE_M
    points = np.concatenate((points[:1], points[1:][kept]))
    steps, lengths = steps[kept], lengths[kept]
    limits = list(itertools.compress(limits, kept))
    waits_s = SPOOL_UP_S if takes_off else 0.0
    level_m = float(np.hypot(steps[:, 0], steps[:, 1]).sum())
    hops = stays_on_rotors(vehicle_type, level_m)

    def phases_in(*, in_gusts: bool) -> Array:
        speeds = [
            limit * HELD_VERTICAL_SHARE or _speed_along(vehicle_type, wind, step, hops=hops, in_gusts=in_gusts)
            for limit, step in zip(limits, steps, strict=True)
        ]
        return _phases(vehicle_type, steps, lengths, speeds, waits_s, hops=hops)

    def spells_in(phases: Array, *, in_gusts: bool) -> tuple[Spell, ...]:
        return _spells(vehicle_type, phases, steps, lengths, wind, hops=hops, in_gusts=in_gusts)

    phases = phases_in(in_gusts=False)
    gusty = wind.gust_mps > wind.speed_mps
    movement = Movement(
        distance_m=level_m,
        duration_s=float(phases[-1, 0]),
        climb_m=float(np.maximum(steps[:, 2], 0.0).sum()),
        spells=spells_in(phases, in_gusts=False),
        gust_spells=spells_in(phases_in(in_gusts=True), in_gusts=True) if gusty else (),
    )
    along = np.concatenate(([0.0], np.cumsum(lengths)))
    return Flight(movement, points, along, phases[:-1, 0], phases[:-1, 1], phases[:-1, 2], phases[:-1, 3])


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


def _speed_along(vehicle_type: VehicleType, wind: Wind, step: Array, *, hops: bool, in_gusts: bool) -> float:
    """Greatest speed along a straight line in space: its parts keep the horizontal and vertical limits."""
    east, north, up = (float(part) for part in step)
    level = math.hypot(east, north)
    vertical_limit = vehicle_type.climb_speed_mps if up > 0 else vehicle_type.descent_speed_mps
    level_s = 0.0
    if level > 0.0:
        speed = ground_speed_mps(vehicle_type, wind, east, north, in_gusts=in_gusts)
        level_s = level / (HELD_SHARE * (min(speed, HOP_MPS) if hops else speed))
    return math.sqrt(level * level + up * up) / max(level_s, abs(up) / (HELD_VERTICAL_SHARE * vertical_limit))


def _phases(
    vehicle_type: VehicleType, steps: Array, lengths: Array, limits: Sequence[float], waits_s: float, *, hops: bool
) -> Array:
    """Rows of (start s, start m, start speed, acceleration), and a last one with the end."""
    acceleration = vehicle_type.acceleration_mps2
    on_wing = vehicle_type.built_as is Airframe.VTOL and not hops
    corners = []
    for turn, (a, b), (limit_a, limit_b) in zip(
        turns(steps), itertools.pairwise(steps), itertools.pairwise(limits), strict=True
    ):
        if (math.hypot(*a[:2]) > LEVEL_M) != (math.hypot(*b[:2]) > LEVEL_M):
            rounded = 0.0  # from climbing to cruising, and from cruising to coming down
        else:
            rounded = math.sqrt(TURN_GAIN * acceleration * ACCEPTANCE_M / max(math.tan(turn / 2.0), 1e-9))
            if on_wing and (banked := _banked_mps(turn)) >= STALL_SHARE * max(limit_a, limit_b):
                rounded = max(rounded, banked)
        corners.append(min(limit_a, limit_b, rounded))
    rows = [(0.0, 0.0, 0.0, 0.0)] if waits_s > 0.0 else []
    at_s, at_m = waits_s, 0.0
    gain, brake = GAIN_SHARE * acceleration, BRAKE_SHARE * acceleration
    if on_wing:
        gain = brake = min(brake, vehicle_type.cruise_speed_mps / vehicle_type.transition_s)
    for seconds, metres, speed, change in trapezoids(lengths, limits, corners, gain, brake):
        rows.append((at_s, at_m, speed, change))
        at_s, at_m = at_s + seconds, at_m + metres
    return np.array([*rows, (at_s, at_m, 0.0, 0.0)])


def _banked_mps(turn: float) -> float:
    """Greatest speed of a turn with ``BANK_RAD`` that stays within ``TURN_OFF_M`` of the corner.

    The circle of radius ``v^2 / (g tan(bank))`` that touches both lines passes the corner at ``1 / cos(turn / 2) - 1``
    radii.
    """
    radius_m = TURN_OFF_M / max(1.0 / math.cos(turn / 2.0) - 1.0, 1e-12)
    return math.sqrt(GRAVITY_MPS2 * math.tan(BANK_RAD) * radius_m)


def _spells(
    vehicle_type: VehicleType, phases: Array, steps: Array, lengths: Array, wind: Wind, *, hops: bool, in_gusts: bool
) -> tuple[Spell, ...]:
    """How long it flies at which airspeed and rate of climb: each phase at its mean speed."""
    if not len(steps):
        waits_s = float(phases[-1, 0])
        return (Spell(waits_s, wind.greatest_mps if in_gusts else wind.speed_mps, 0.0),) if waits_s > 0.0 else ()
    seconds, metres = np.diff(phases[:, 0]), np.diff(phases[:, 1])
    middles = phases[:-1, 1] + metres / 2.0
    step = np.minimum(np.searchsorted(np.cumsum(lengths), middles, side="right"), len(steps) - 1)
    towards = steps[step] / lengths[step, None]
    velocity = towards * (metres / np.maximum(seconds, 1e-9))[:, None]
    if vehicle_type.built_as is Airframe.VTOL:
        highest = np.zeros(len(steps))
        np.maximum.at(highest, step, phases[:-1, 2])
        highest[np.hypot(steps[:, 0], steps[:, 1]) <= LEVEL_M] = 0.0
        return _vtol_spells(vehicle_type, phases, velocity[:, 2], highest[step], hops=hops)
    air = _air(wind, towards[:, :2], in_gusts=in_gusts)
    airspeeds = np.hypot(*(velocity[:, :2] - air).T)
    return tuple(map(Spell, seconds.tolist(), airspeeds.tolist(), velocity[:, 2].tolist()))


def _air(wind: Wind, towards: Array, *, in_gusts: bool) -> Array:
    """The velocity of the air for each direction of flight, shape ``(n, 2)`` as ``towards``."""
    if in_gusts and not wind.has_direction:
        level = np.hypot(*towards.T)[:, None]
        ahead = np.where(level > 0.0, -towards / np.maximum(level, 1e-12), np.array([1.0, 0.0]))
        return ahead * wind.gust_mps
    scale = wind.greatest_mps / wind.speed_mps if in_gusts else 1.0
    return np.broadcast_to(np.array([wind.east_mps, wind.north_mps]) * scale, towards.shape)


def _vtol_spells(
    vehicle_type: VehicleType, phases: Array, climbs: Array, step_limits: Array, *, hops: bool
) -> tuple[Spell, ...]:
    """On the wing at cruise airspeed; while it is too slow for that, hovering. What speed it gains is reckoned as a
    climb (of ``v^2 / 2 g`` metres). ``step_limits`` are the speeds over ground that it is held to, 0 for
    ways straight up and down."""
    seconds = np.diff(phases[:, 0])
    begin, change = phases[:-1, 2], phases[:-1, 3]
    end = begin + change * seconds
    on_wing = (step_limits > 0.0) & (np.minimum(begin, end) >= STALL_SHARE * step_limits) & (not hops)
    gains = np.maximum(end**2 - begin**2, 0.0) / (2.0 * GRAVITY_MPS2) / np.maximum(seconds, 1e-9)
    climbs = np.where(step_limits == 0.0, climbs, np.maximum(climbs, 0.0) + gains)
    airspeeds = np.where(on_wing, vehicle_type.cruise_speed_mps, 0.0)
    return tuple(map(Spell, seconds.tolist(), airspeeds.tolist(), climbs.tolist(), on_wing.tolist()))
