"""The body of a simulated drone: motion on its rotors, contact with the ground, battery and sensors."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Protocol

from routing.geo import LocalFrame, Position
from routing.vehicle_type import VehicleType
from simulators.world import World

_GRAVITY = 9.81
_CELL_FULL_V, _CELL_EMPTY_V, _CELLS = 4.05, 3.6, 12
_GUST_TIME_S = 4.0
_BRAKE_SHARE = 0.45
_SOON_SHARE, _SLOWLY_S = 0.73, 7.5
"""Braking compared with the greatest acceleration, the share of a speed that is reached with it, and the time constant
of the rest; measured on PX4's SITL multirotor."""
_LAME_MPS = 6.0
"""How fast a drone with a dead motor comes down."""


@dataclass(slots=True)
class Target:
    """Where to fly, in the vehicle's local frame; ``from_*`` begin the straight line to it.

    ``speed_mps`` is horizontal, ``through_mps`` the speed at which the point is to be passed (0 stops
    there), so far before it as ``accept_m``. ``up_mps`` and ``down_mps`` are limits. ``circle_m``: on a wing, circle
    around it at that distance.
    """

    east_m: float
    north_m: float
    alt_amsl_m: float
    speed_mps: float
    up_mps: float
    down_mps: float
    through_mps: float = 0.0
    from_east_m: float | None = None
    from_north_m: float | None = None
    accept_m: float = 0.0
    circle_m: float = 0.0


class Lift(Protocol):
    """What else than its rotors may carry a body (``simulators.wing``)."""

    @property
    def on_wing(self) -> bool:
        """Whether it does."""
        ...

    def fly(self, dt: float, target: Target | None) -> bool:
        """Set the body's velocities; returns whether it did."""
        ...

    def power_w(self) -> float:
        """Electrical power while it does."""
        ...


class Airframe:
    """A point mass with limited acceleration in a local frame at its place of start.

    It flies as fast as the target allows, brakes to arrive with ``through_mps``, keeps to the straight
    line, and stands on the ground where the terrain is. Power follows hover theory: induced power grows
    with mass to the power 1.5 (Leishman, Principles of Helicopter Aerodynamics, 2.3); the profile's
    cruise power at empty mass (hover power, where it has one) is the reference. Wind adds the drag of the air speed
    beyond cruise. ``lift`` may carry it instead of its rotors. ``lame``: a motor is dead, and it comes down.
    ``blown_mps`` is a push of the wind, east and north, that it does not hold against.
    """

    def __init__(self, kind: VehicleType, start: Position, world: World, rng: random.Random) -> None:
        self.kind = kind
        self.frame = LocalFrame(start)
        self.world = world
        self._rng = rng
        self._per_lon, self._per_lat = _scale(self.frame)
        self._flat_m = start.alt_amsl_m
        self._start = start
        self.east_m = self.north_m = 0.0
        self.ve = self.vn = self.vu = 0.0
        self.ae = self.an = 0.0
        self.heading_deg = 0.0
        self.payload_kg = 0.0
        self.energy_wh = kind.battery_wh
        self.power_w = kind.idle_power_w
        self.alt_m = start.alt_amsl_m
        self.ground_m = self._ground()
        self.alt_m = self.ground_m
        self.contact_s = 10.0
        self._gust_e = self._gust_n = 0.0
        self._noise_e = self._noise_n = self._noise_u = 0.0
        self._ground_age_s = 0.0
        self._rotor_power_w = kind.hover_power_w or kind.cruise_power_w
        self.lift: Lift | None = None
        self.lame = False
        self.blown_mps = (0.0, 0.0)

    def _ground(self) -> float:
        return self.world.ground_amsl_m(self.position(), flat_m=self._flat_m)

    def position(self) -> Position:
        """The true position."""
        return Position(
            self._start.lat + self.north_m / self._per_lat,
            self._start.lon + self.east_m / self._per_lon,
            self.alt_m,
        )

    def local(self, lat: float, lon: float) -> tuple[float, float]:
        """East and north of a position in the local frame."""
        return ((lon - self._start.lon) * self._per_lon, (lat - self._start.lat) * self._per_lat)

    def estimate(self) -> tuple[float, float, float]:
        """Latitude, longitude and altitude AMSL as the vehicle itself knows them (GPS and barometer)."""
        return (
            self._start.lat + (self.north_m + self._noise_n) / self._per_lat,
            self._start.lon + (self.east_m + self._noise_e) / self._per_lon,
            self.alt_m + self._noise_u,
        )

    @property
    def gust_mps(self) -> tuple[float, float]:
        """What gusts add to the steady wind, east and north."""
        return self._gust_e + self.blown_mps[0], self._gust_n + self.blown_mps[1]

    @property
    def mass_kg(self) -> float:
        """Mass with the payload on board."""
        return self.kind.empty_mass_kg + self.payload_kg

    @property
    def on_ground(self) -> bool:
        """Whether it touches the ground."""
        return self.alt_m <= self.ground_m + 0.05

    @property
    def battery_fraction(self) -> float:
        """Energy left, 0 to 1."""
        return max(0.0, self.energy_wh / self.kind.battery_wh)

    @property
    def voltage_v(self) -> float:
        """Battery voltage: linear in the charge between full and empty, sagging with the power drawn."""
        cell = _CELL_EMPTY_V + (_CELL_FULL_V - _CELL_EMPTY_V) * self.battery_fraction
        return cell * _CELLS - 0.001 * self.power_w

    def rest(self, dt: float) -> None:
        """Stand still with the motors off for ``dt`` seconds."""
        self.contact_s += dt
        self.power_w = self.kind.idle_power_w
        self._ground_age_s += dt
        if self._ground_age_s >= 0.1:
            self._ground_age_s = 0.0
            self._wander()

    def step(self, dt: float, target: Target | None, *, motors: bool) -> None:
        """Move on by ``dt`` seconds; without a target it brakes and hovers, without motors it falls."""
        self._ground_age_s += dt
        if self._ground_age_s >= 0.1:
            self._ground_age_s = 0.0
            self.ground_m = self._ground()
            self._wander()
        if motors and self.energy_wh > 0.0:
            if self.lift is None or not self.lift.fly(dt, target):
                self._thrust(dt, target)
            if self.lame:
                self.vu = max(-_LAME_MPS, min(self.vu, 0.0) - _GRAVITY * dt)
        else:
            self.vu -= _GRAVITY * dt
        self._move(dt)
        self._drain(dt, motors)

    def _thrust(self, dt: float, target: Target | None) -> None:
        want_e, want_n, want_u = (0.0, 0.0, 0.0) if target is None else self._wanted(target)
        limit = self.kind.acceleration_mps2 * dt
        de, dn = want_e - self.ve, want_n - self.vn
        size = math.hypot(de, dn)
        scale = 1.0 if size <= limit else limit / size
        self.ae, self.an = de * scale / dt, dn * scale / dt
        was_square = self.ve * self.ve + self.vn * self.vn
        self.ve += de * scale
        self.vn += dn * scale
        wanted = math.hypot(want_e, want_n)
        if self.ve * self.ve + self.vn * self.vn > max(was_square, (_SOON_SHARE * wanted) ** 2, 1.0):
            self._hold_back(dt, math.sqrt(was_square), wanted)
        self.vu += min(max(want_u - self.vu, -limit), limit)
        if wanted > 1.0:
            self._turn(dt, math.degrees(math.atan2(want_e, want_n)) % 360.0)

    def _hold_back(self, dt: float, was_mps: float, wanted_mps: float) -> None:
        """Let the last of a wanted speed come slowly: PX4's controller makes up for drag over seconds."""
        now_mps = math.hypot(self.ve, self.vn)
        base = max(was_mps, _SOON_SHARE * wanted_mps)
        keep = min(now_mps, base + (wanted_mps - base) * dt / _SLOWLY_S) / now_mps
        self.ve, self.vn = self.ve * keep, self.vn * keep

    def _wanted(self, target: Target) -> tuple[float, float, float]:
        to_e, to_n = target.east_m - self.east_m, target.north_m - self.north_m
        climb = target.alt_amsl_m - self.alt_m
        away = math.hypot(to_e, to_n)
        brake = _BRAKE_SHARE * self.kind.acceleration_mps2
        left = max(0.0, away - target.accept_m)
        speed = min(
            target.speed_mps, math.sqrt(target.through_mps**2 + 2 * brake * left), 1.5 * away + target.through_mps
        )
        rate = target.up_mps if climb > 0 else target.down_mps
        vertical = min(rate, math.sqrt(2 * brake * abs(climb)), 1.5 * abs(climb))
        if away > 2.0 and abs(climb) > 1.0:
            # One straight line in space: whichever axis needs longer sets the pace of both.
            seconds = max(away / speed, abs(climb) / rate)
            speed, vertical = min(speed, away / seconds), min(vertical, abs(climb) / seconds)
        want_u = math.copysign(vertical, climb)
        if away < 0.01:
            return (0.0, 0.0, want_u)
        off_e, off_n = self._off_line(target)
        want_e, want_n = speed * to_e / away + off_e, speed * to_n / away + off_n
        return (want_e, want_n, want_u)

    def _off_line(self, target: Target) -> tuple[float, float]:
        """Velocity that brings it back to the line, at most 2 m/s."""
        if target.from_east_m is None or target.from_north_m is None:
            return (0.0, 0.0)
        along_e, along_n = target.east_m - target.from_east_m, target.north_m - target.from_north_m
        length = math.hypot(along_e, along_n)
        if length < 1.0:
            return (0.0, 0.0)
        along_e, along_n = along_e / length, along_n / length
        cross = (self.east_m - target.from_east_m) * along_n - (self.north_m - target.from_north_m) * along_e
        pull = min(max(-0.5 * cross, -2.0), 2.0)
        return (pull * along_n, -pull * along_e)

    def _turn(self, dt: float, want_deg: float) -> None:
        error = (want_deg - self.heading_deg + 180.0) % 360.0 - 180.0
        self.heading_deg = (self.heading_deg + min(max(error, -60.0 * dt), 60.0 * dt)) % 360.0

    def _move(self, dt: float) -> None:
        if self.on_ground and self.vu <= 0.0:
            self.ve = self.vn = self.vu = self.ae = self.an = 0.0
            self.alt_m = self.ground_m
            self.contact_s += dt
            return
        self.contact_s = 0.0
        self.east_m += (self.ve + self._gust_e + self.blown_mps[0]) * dt
        self.north_m += (self.vn + self._gust_n + self.blown_mps[1]) * dt
        self.alt_m = max(self.ground_m, self.alt_m + self.vu * dt)

    def _drain(self, dt: float, motors: bool) -> None:
        if not motors or self.on_ground:
            self.power_w = self.kind.idle_power_w
        elif self.lift is not None and self.lift.on_wing:
            self.power_w = self.lift.power_w()
        else:
            wind_e, wind_n = self.world.wind.east_north_mps
            airspeed = math.hypot(self.ve - wind_e, self.vn - wind_n)
            beyond = max(0.0, airspeed / max(self.kind.cruise_speed_mps, 0.1) - 1.0)
            induced = self._rotor_power_w * (self.mass_kg / self.kind.empty_mass_kg) ** 1.5
            lifting = self.mass_kg * _GRAVITY * max(0.0, self.vu)
            self.power_w = induced * (1.0 + 0.5 * beyond * beyond) + lifting
        if motors:
            self.energy_wh = max(0.0, self.energy_wh - self.power_w * dt / 3600.0)

    def _wander(self) -> None:
        """Advance sensor noise and gusts by 0.1 s: first-order Gauss-Markov processes."""
        gauss = self._rng.gauss
        self._noise_e = 0.998 * self._noise_e + gauss(0.0, 0.02)
        self._noise_n = 0.998 * self._noise_n + gauss(0.0, 0.02)
        self._noise_u = 0.998 * self._noise_u + gauss(0.0, 0.015)
        if self.world.wind.speed_mps > 0.0:
            keep = 1.0 - 0.1 / _GUST_TIME_S
            spread = 0.02 * self.world.wind.speed_mps * math.sqrt(1.0 - keep * keep)
            self._gust_e = keep * self._gust_e + gauss(0.0, spread)
            self._gust_n = keep * self._gust_n + gauss(0.0, spread)


def _scale(frame: LocalFrame) -> tuple[float, float]:
    """Metres per degree of longitude and latitude of a frame."""
    return frame.to_local(Position(frame.origin.lat + 1.0, frame.origin.lon + 1.0))
