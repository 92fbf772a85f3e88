"""Where the simulated autopilot wants its body to be: cruise, climb, hover and landing targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulators.flight import Target
from simulators.wing import VtolState

if TYPE_CHECKING:
    from simulators.autopilot import Autopilot

_SPOOL_UP_S, _TAKEOFF_MPS2, _TAKEOFF_HELD = 3.3, 1.0, 0.9
"""Seconds until a drone climbs, how quickly it gets its speed, and the share of MPC_TKO_SPEED that it really keeps."""
_CRAWL_BELOW_M, _CRAWL_MPS = 1.0, 0.3
_LANDING_HELD = 0.8
"""Share of MPC_LAND_SPEED at which PX4 really comes down."""
_STILL_MPS = 0.6


class Targets:
    """Makes targets from the parameters' speed limits.

    ``hold`` is the place (east, north, altitude AMSL) of a hover, ``None`` until it has come to rest;
    ``hold_speed_mps`` the speed to get there; ``speed_mps`` a cruise speed set by DO_CHANGE_SPEED.
    """

    def __init__(self, pilot: Autopilot) -> None:
        self._pilot = pilot
        self.hold: tuple[float, float, float] | None = None
        self.hold_speed_mps: float | None = None
        self.speed_mps: float | None = None

    def _limits(self) -> tuple[float, float]:
        params = self._pilot.params
        return float(params["MPC_Z_VEL_MAX_UP"]), float(params["MPC_Z_VEL_MAX_DN"])

    def _here(self) -> tuple[float, float, float]:
        if self.hold is None:
            body = self._pilot.body
            self.hold = (body.east_m, body.north_m, body.alt_m)
        return self.hold

    def cruise(self, east_m: float, north_m: float, alt_m: float, speed_mps: float | None) -> Target:
        """A place to fly to, at ``speed_mps`` or the cruise speed."""
        params = self._pilot.params
        wanted = speed_mps or self.speed_mps or float(params["MPC_XY_CRUISE"])
        up_mps, down_mps = self._limits()
        return Target(east_m, north_m, alt_m, min(wanted, float(params["MPC_XY_VEL_MAX"])), up_mps, down_mps)

    def climb(self, alt_m: float, *, takeoff: bool) -> Target:
        """Straight up (or down) to an altitude; a take-off begins at ``MPC_TKO_SPEED``."""
        pilot = self._pilot
        up_mps, down_mps = self._limits()
        rate = up_mps
        if takeoff:
            ramp = _TAKEOFF_MPS2 * (pilot.now_s - pilot.armed_s - _SPOOL_UP_S)
            low = pilot.body.alt_m - pilot.body.ground_m < float(pilot.params["MPC_LAND_ALT1"])
            gently = _TAKEOFF_HELD * float(pilot.params["MPC_TKO_SPEED"]) if low else up_mps
            rate = max(0.0, min(up_mps, gently, ramp))
        east_m, north_m, _ = self._here()
        return Target(east_m, north_m, alt_m, 2.0, rate, down_mps)

    def land(self, east_m: float, north_m: float) -> Target:
        """Down to the ground, slower near it (MPC_LAND_ALT1, MPC_LAND_ALT2, MPC_LAND_SPEED)."""
        params, body = self._pilot.params, self._pilot.body
        if self._pilot.wing is not None:
            self._pilot.wing.go(VtolState.ROTORS)
        up_mps, fast = self._limits()
        slow = min(fast, _LANDING_HELD * float(params["MPC_LAND_SPEED"]))
        high_m, low_m = float(params["MPC_LAND_ALT1"]), float(params["MPC_LAND_ALT2"])
        height_m = body.alt_m - body.ground_m
        share = min(1.0, max(0.0, (height_m - low_m) / max(high_m - low_m, 0.1)))
        rate = slow + share * (fast - slow)
        if height_m < _CRAWL_BELOW_M:
            rate = min(rate, _CRAWL_MPS)
        return Target(east_m, north_m, body.ground_m - 20.0, 2.0, up_mps, rate)

    def land_here(self) -> Target:
        """Down to the ground at the place of the hold; from its wing where it comes to rest."""
        wing = self._pilot.wing
        if wing is not None and wing.state is not VtolState.ROTORS:
            self.hold = None
        east_m, north_m, _ = self._here()
        return self.land(east_m, north_m)

    def hover(self) -> Target | None:
        """Stay; ``None`` (brake) until it is nearly still, then the place where that was. A wing circles there."""
        pilot, body = self._pilot, self._pilot.body
        on_wing = pilot.wing is not None and pilot.wing.on_wing
        if self.hold is None and not on_wing and abs(body.ve) + abs(body.vn) + abs(body.vu) > _STILL_MPS:
            return None
        target = self.cruise(*self._here(), self.hold_speed_mps)
        target.circle_m = float(pilot.params["NAV_LOITER_RAD"])
        return target
