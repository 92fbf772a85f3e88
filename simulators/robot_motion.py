"""How a simulated robot moves and what that costs its battery.

A differential drive on straight lines between nodes: trapezoidal speed with the acceleration of the
profile, corners slowed by how sharp they are, turns on the spot from standstill.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from routing.vehicle_type import VehicleType

TURN_RATE = 1.2
"""Yaw rate, rad/s: about 70 degrees a second, usual for a wheelchair-sized differential drive."""
ALIGNED = math.radians(2.0)
"""Heading error below which a turn on the spot is over, rad."""
TURN_FIRST = math.radians(20.0)
"""Heading error above which a standing robot turns before it drives, rad."""
NOISE_M, NOISE_RAD = 0.02, 0.005
"""Standard deviation of where the robot believes it is."""
_CREEP_MPS = 0.05
_ARRIVED_M = 1e-6


def wrap(angle: float) -> float:
    """Return an angle in (-pi, pi]."""
    wrapped = math.remainder(angle, math.tau)
    return math.pi if wrapped <= -math.pi else wrapped


@dataclass(frozen=True, slots=True)
class Target:
    """A node to drive to and the conditions of the way there.

    ``theta`` is the heading to assume before the node counts as reached, within ``theta_tolerance`` rad;
    ``stop`` says that the robot stands there; ``turn_first`` that it turns before the way, not on it.
    """

    x: float
    y: float
    max_speed_mps: float
    stop: bool
    turn_rate: float = TURN_RATE
    turn_first: bool = False
    theta: float | None = None
    theta_tolerance: float = 0.05


@dataclass(frozen=True, slots=True)
class _Leg:
    target: Target
    end_mps: float
    heading: float | None


def _corner_mps(cruise_mps: float, turn: float) -> float:
    """Speed through a corner: full when straight, none (a turn on the spot) from 90 degrees on."""
    speed = cruise_mps * max(0.0, math.cos(turn))
    return speed if speed >= 0.25 else 0.0


class Drive:
    """Position, heading and speed of one robot, and the way that it may drive.

    The way only ever grows until it is cleared, so that the robot can always stop at its end.
    """

    def __init__(self, profile: VehicleType, *, x: float, y: float, theta: float) -> None:
        self.x, self.y, self.theta = x, y, wrap(theta)
        self.speed_mps = 0.0
        self.omega = 0.0
        self._cruise_mps = profile.cruise_speed_mps
        self._acceleration = profile.acceleration_mps2
        self._legs: deque[_Leg] = deque()

    @property
    def standing(self) -> bool:
        """Whether it neither drives nor turns."""
        return self.speed_mps == 0.0 and self.omega == 0.0

    @property
    def braking_m(self) -> float:
        """Distance in which it can stop."""
        return self.speed_mps**2 / (2 * self._acceleration)

    def remaining_m(self) -> float:
        """Distance to the end of the way."""
        x, y, total = self.x, self.y, 0.0
        for leg in self._legs:
            total += math.hypot(leg.target.x - x, leg.target.y - y)
            x, y = leg.target.x, leg.target.y
        return total

    def clear(self) -> None:
        """Forget the way; call it when standing."""
        self._legs.clear()

    def plan(self, targets: Iterable[Target]) -> None:
        """Set the way from here; the speed at each node follows from all that comes after it."""
        points = list(targets)
        headings = self._headings(points)
        legs: deque[_Leg] = deque()
        end_mps = 0.0
        for index in range(len(points) - 1, -1, -1):
            point = points[index]
            limit = self._end_limit(points, headings, index)
            legs.appendleft(_Leg(point, min(limit, end_mps), headings[index]))
            before = points[index - 1] if index else None
            length = math.hypot(point.x - before.x, point.y - before.y) if before else 0.0
            end_mps = math.sqrt(legs[0].end_mps ** 2 + 2 * self._acceleration * length)
        self._legs = legs

    def _headings(self, points: list[Target]) -> list[float | None]:
        x, y = self.x, self.y
        headings: list[float | None] = []
        for point in points:
            far = math.hypot(point.x - x, point.y - y) > _ARRIVED_M
            headings.append(math.atan2(point.y - y, point.x - x) if far else None)
            x, y = point.x, point.y
        return headings

    def _end_limit(self, points: list[Target], headings: list[float | None], index: int) -> float:
        """Speed allowed at the end of leg ``index``, apart from having to brake further on."""
        point = points[index]
        if point.stop or index + 1 == len(points):
            return 0.0
        following, arriving, leaving = points[index + 1], headings[index], headings[index + 1]
        limit = min(point.max_speed_mps, following.max_speed_mps, self._cruise_mps)
        if arriving is None or leaving is None:
            return 0.0
        turn = abs(wrap(leaving - arriving))
        if following.turn_first and turn > ALIGNED:
            return 0.0
        if point.theta is not None and abs(wrap(point.theta - arriving)) > point.theta_tolerance:
            return 0.0
        return min(limit, _corner_mps(self._cruise_mps, turn))

    def step(self, dt_s: float, *, go: bool) -> int:
        """Advance by one time step and return how many nodes were reached in it.

        ``go`` False brakes at the profile's rate, still along the way.
        """
        self.omega = 0.0
        if not self._legs:
            self.speed_mps = 0.0
            return 0
        leg = self._legs[0]
        distance = math.hypot(leg.target.x - self.x, leg.target.y - self.y)
        if distance <= _ARRIVED_M and self.speed_mps <= _CREEP_MPS:
            return self._arrive_standing(leg, dt_s, go=go)
        if self.speed_mps <= _CREEP_MPS and self._turns_first(leg):
            self.speed_mps = 0.0
            if go and leg.heading is not None:
                self._turn_to(leg.heading, leg.target.turn_rate, dt_s)
            return 0
        self.speed_mps = self._next_speed(leg, distance, dt_s, go=go)
        return self._advance(self.speed_mps * dt_s, dt_s) if self.speed_mps else 0

    def _turns_first(self, leg: _Leg) -> bool:
        if leg.heading is None:
            return False
        limit = ALIGNED if leg.target.turn_first else TURN_FIRST
        return abs(wrap(leg.heading - self.theta)) > limit

    def _arrive_standing(self, leg: _Leg, dt_s: float, *, go: bool) -> int:
        self.speed_mps = 0.0
        theta = leg.target.theta
        if go and theta is not None and abs(wrap(theta - self.theta)) > leg.target.theta_tolerance:
            self._turn_to(theta, leg.target.turn_rate, dt_s)
        if not go or (theta is not None and abs(wrap(theta - self.theta)) > leg.target.theta_tolerance):
            return 0
        self._legs.popleft()
        return 1

    def _turn_to(self, heading: float, rate: float, dt_s: float) -> None:
        error = wrap(heading - self.theta)
        turn = math.copysign(min(abs(error), rate * dt_s), error)
        self.theta = wrap(self.theta + turn)
        self.omega = turn / dt_s

    def _next_speed(self, leg: _Leg, distance: float, dt_s: float, *, go: bool) -> float:
        a = self._acceleration
        if not go:
            return max(0.0, self.speed_mps - a * dt_s)
        # The speed v from which, after one more step at v, it can still brake to the speed allowed at
        # the node: v dt + v^2 / 2a <= distance + end^2 / 2a.
        brake = math.sqrt((a * dt_s) ** 2 + leg.end_mps**2 + 2 * a * distance) - a * dt_s
        brake = max(brake, leg.end_mps)
        return min(self.speed_mps + a * dt_s, brake, leg.target.max_speed_mps, self._cruise_mps)

    def _advance(self, travel: float, dt_s: float) -> int:
        """Move along the way; stops short at a node where it must stand."""
        reached = 0
        while self._legs:
            leg = self._legs[0]
            dx, dy = leg.target.x - self.x, leg.target.y - self.y
            distance = math.hypot(dx, dy)
            if leg.heading is not None:
                self._turn_to(leg.heading, leg.target.turn_rate, dt_s)
            # A hundredth of a millimetre counts as there: the braking law only approaches the node.
            if travel < distance - 1e-5:
                self.x += dx / distance * travel
                self.y += dy / distance * travel
                return reached
            self.x, self.y = leg.target.x, leg.target.y
            travel -= distance
            if leg.end_mps == 0.0:
                self.speed_mps = 0.0
                return reached + self._arrive_standing(leg, dt_s, go=leg.target.theta is None)
            self._legs.popleft()
            reached += 1
        return reached


@dataclass(slots=True)
class Battery:
    """Charge of one robot.

    Cruise power grows with mass, as rolling resistance does; between standing and cruising power is
    linear in speed.
    """

    profile: VehicleType
    charge_wh: float

    @classmethod
    def at(cls, profile: VehicleType, percent: float) -> Battery:
        """Return a battery at a state of charge."""
        return cls(profile, profile.battery_wh * percent / 100)

    @property
    def percent(self) -> float:
        """State of charge."""
        return 100 * self.charge_wh / self.profile.battery_wh

    def power_w(self, speed_mps: float, load_kg: float) -> float:
        """Electric power at a speed with a load."""
        p = self.profile
        cruise_w = p.cruise_power_w * (p.empty_mass_kg + load_kg) / p.empty_mass_kg
        return p.idle_power_w + (cruise_w - p.idle_power_w) * speed_mps / p.cruise_speed_mps

    def drain(self, dt_s: float, speed_mps: float, load_kg: float) -> None:
        """Take the energy of one time step, down to empty."""
        self.charge_wh = max(0.0, self.charge_wh - self.power_w(speed_mps, load_kg) * dt_s / 3600)

    def reach_m(self) -> int:
        """Distance that the charge lasts for at cruise, unloaded."""
        p = self.profile
        return int(self.charge_wh / p.cruise_power_w * 3600 * p.cruise_speed_mps)


class Localisation:
    """Where a robot believes it is: the truth with a small error that drifts, repeatable by its seed."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._error = [0.0, 0.0, 0.0]

    def wander(self) -> None:
        """Let the error drift; it stays within three standard deviations."""
        for index, sigma in enumerate((NOISE_M, NOISE_M, NOISE_RAD)):
            # First-order autoregressive: 0.9^2 + 0.4359^2 = 1 keeps the variance.
            error = 0.9 * self._error[index] + 0.4359 * self._random.gauss(0.0, sigma)
            self._error[index] = max(-3 * sigma, min(3 * sigma, error))

    def pose(self, drive: Drive) -> tuple[float, float, float]:
        """Return x, y in m and theta in (-pi, pi] as believed."""
        return drive.x + self._error[0], drive.y + self._error[1], wrap(drive.theta + self._error[2])
