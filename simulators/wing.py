"""Flight of a simulated VTOL on its wing, and its transitions, as PX4 1.16's standard VTOL behaves seen from outside.

It speeds up and slows down by its cruise speed in the profile's ``transition_s``. On its wing it goes where its course
leads with a bank of at most 30 degrees, turns at waypoints before it is over them, and circles where it is to hold.
Landing, and everything in the hover, wants its rotors: it begins to slow down where it will come to rest in time.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import TYPE_CHECKING

from simulators.flight import Airframe, Target

if TYPE_CHECKING:
    from simulators.autopilot import Autopilot

_BANK_RAD = math.radians(30.0)
_GRAVITY = 9.81
_LOOK_AHEAD_S = 4.0
_CIRCLE_GAIN = 1.5
_HELD_SHARE = 0.96
"""Share of a set airspeed that PX4's simulated VTOL flies on average."""
_ALIGN_S = 4.0
"""PX4 turns towards the next waypoint before it takes off onto its wing."""
_DONE_SHARE = 0.6
"""Share of the cruise speed at which the wing carries (PX4: VT_ARSP_TRANS against FW_AIRSPD_TRIM)."""


class VtolState(IntEnum):
    """MAV_VTOL_STATE."""

    UNDEFINED = 0
    TO_WING = 1
    TO_ROTORS = 2
    ROTORS = 3
    WING = 4


class Wing:
    """Decides on what the vehicle flies. ``cruise_mps`` is an airspeed set by DO_CHANGE_SPEED, if any."""

    def __init__(self, pilot: Autopilot) -> None:
        self._pilot = pilot
        self.state = VtolState.ROTORS
        self.cruise_mps: float | None = None

    def is_aligned(self, since_s: float) -> bool:
        """Whether it has turned towards its way since a moment."""
        return self._pilot.now_s - since_s >= _ALIGN_S

    @property
    def on_wing(self) -> bool:
        """Whether it flies forwards as an aeroplane does, or is about to."""
        return self.state in (VtolState.WING, VtolState.TO_WING)

    @property
    def slowing_mps2(self) -> float:
        """How fast it gains and loses speed."""
        kind = self._pilot.body.kind
        return kind.cruise_speed_mps / max(kind.transition_s, 0.1)

    @property
    def braking_m(self) -> float:
        """Way on which it comes to rest from its speed."""
        body = self._pilot.body
        return (body.ve**2 + body.vn**2) / (2.0 * self.slowing_mps2)

    def go(self, wanted: VtolState) -> bool:
        """Begin the transition to ``WING`` or ``ROTORS`` unless it is there or on the way; returns whether it is over.

        On the ground it is so at once, as with PX4.
        """
        if self._pilot.landed:
            self.state = wanted
        elif wanted is VtolState.WING and not self.on_wing:
            self._change(VtolState.TO_WING)
        elif wanted is VtolState.ROTORS and self.on_wing:
            self._change(VtolState.TO_ROTORS)
        return self.state is wanted

    def _change(self, state: VtolState) -> None:
        self.state = state
        self._pilot.log("vtol", state=state.name)

    def note_landed(self) -> None:
        """On the ground it stands ready to take off."""
        self.state = VtolState.ROTORS

    def fly(self, dt: float, target: Target | None) -> bool:
        """Move the body's velocities on for ``dt`` seconds; returns whether it did: else its rotors fly it."""
        body = self._pilot.body
        speed = math.hypot(body.ve, body.vn)
        if self.state is VtolState.TO_ROTORS:
            if speed <= float(self._pilot.params["MPC_XY_CRUISE"]):
                self._change(VtolState.ROTORS)
            else:
                self._slow_down(dt, target, speed)
                return True
        if self.state is VtolState.ROTORS:
            return False
        wanted_mps = self._airspeed_mps()
        if self.state is VtolState.TO_WING and speed >= _DONE_SHARE * wanted_mps:
            self._change(VtolState.WING)
        self._steer(dt, target, wanted_mps, speed)
        return True

    def _airspeed_mps(self) -> float:
        least = _DONE_SHARE * float(self._pilot.params["FW_AIRSPD_TRIM"])
        wanted = _HELD_SHARE * (self.cruise_mps or float(self._pilot.params["FW_AIRSPD_TRIM"]))
        return min(max(wanted, least), self._pilot.body.kind.max_airspeed_mps)

    def _slow_down(self, dt: float, target: Target | None, speed: float) -> None:
        body = self._pilot.body
        keep = max(0.0, speed - self.slowing_mps2 * dt) / max(speed, 1e-6)
        body.ve, body.vn = body.ve * keep, body.vn * keep
        _level(body, dt, target)

    def _steer(self, dt: float, target: Target | None, airspeed_mps: float, speed: float) -> None:
        body = self._pilot.body
        course = math.atan2(body.ve, body.vn) if speed > 1.0 else math.radians(body.heading_deg)
        goal = course if target is None else self._course(body, target, speed)
        turn = (goal - course + math.pi) % (2 * math.pi) - math.pi
        # Slow on its rotors it turns on the spot; on its wing only as tight as its bank lets it.
        rate = _GRAVITY * math.tan(_BANK_RAD) / max(speed, 3.0)
        course += min(max(turn, -rate * dt), rate * dt)
        along = _over_ground(airspeed_mps, course, body.world.wind.east_north_mps)
        gain = min(max(along - speed, -self.slowing_mps2 * dt), self.slowing_mps2 * dt)
        body.ve, body.vn = (speed + gain) * math.sin(course), (speed + gain) * math.cos(course)
        body.heading_deg = math.degrees(course) % 360.0
        _level(body, dt, target)

    def _course(self, body: Airframe, target: Target, speed: float) -> float:
        """Where to fly: around a place to hold at, else to a point ahead on the line."""
        to_e, to_n = target.east_m - body.east_m, target.north_m - body.north_m
        away = math.hypot(to_e, to_n)
        if target.circle_m > 0.0:
            # Clockwise, drawn to the circle from inside and outside.
            radius_m = max(target.circle_m, speed**2 / (_GRAVITY * math.tan(_BANK_RAD)))
            off = min(max((away - radius_m) / radius_m, -1.0), 1.0)
            return math.atan2(to_e, to_n) - math.pi / 2 + math.atan(_CIRCLE_GAIN * off)
        if target.from_east_m is None or target.from_north_m is None:
            return math.atan2(to_e, to_n)
        line_e, line_n = target.east_m - target.from_east_m, target.north_m - target.from_north_m
        length = math.hypot(line_e, line_n)
        if length < 1.0:
            return math.atan2(to_e, to_n)
        line_e, line_n = line_e / length, line_n / length
        left = to_e * line_e + to_n * line_n
        ahead = max(0.0, left - max(speed * _LOOK_AHEAD_S, 20.0))
        return math.atan2(to_e - line_e * ahead, to_n - line_n * ahead)

    def accept_m(self, turn_rad: float) -> float:
        """How far before a waypoint it begins its turn to the next leg."""
        body = self._pilot.body
        radius_m = (body.ve**2 + body.vn**2) / (_GRAVITY * math.tan(_BANK_RAD))
        return radius_m * math.tan(min(turn_rad, math.radians(120.0)) / 2.0)

    def power_w(self) -> float:
        """Electrical power on the wing: a parabolic drag polar with 40 % induced drag at cruise (Anderson,
        Introduction to Flight, section 6.3), and the weight's share in a climb at an efficiency of 0.6."""
        body = self._pilot.body
        wind_e, wind_n = body.world.wind.east_north_mps
        relative = max(0.4, math.hypot(body.ve - wind_e, body.vn - wind_n) / body.kind.cruise_speed_mps)
        loaded = body.mass_kg / body.kind.empty_mass_kg
        level = 0.6 * relative**3 + 0.4 * loaded * loaded / relative
        return body.kind.cruise_power_w * level + body.mass_kg * _GRAVITY * max(0.0, body.vu) / 0.6


def _level(body: Airframe, dt: float, target: Target | None) -> None:
    """Climb or sink towards the target's altitude."""
    wanted = 0.0
    if target is not None:
        climb = target.alt_amsl_m - body.alt_m
        limit = target.up_mps if climb > 0 else target.down_mps
        wanted = math.copysign(min(limit, 0.5 * abs(climb)), climb)
    step = body.kind.acceleration_mps2 * dt
    body.vu += min(max(wanted - body.vu, -step), step)


def _over_ground(airspeed_mps: float, course: float, wind: tuple[float, float]) -> float:
    """Ground speed along a course with the nose into the wind as far as it must."""
    along = wind[0] * math.sin(course) + wind[1] * math.cos(course)
    across = wind[0] * math.cos(course) - wind[1] * math.sin(course)
    return max(1.0, along + math.sqrt(max(0.0, airspeed_mps**2 - across**2)))
