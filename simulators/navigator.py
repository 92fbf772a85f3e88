"""How the simulated autopilot flies a mission item by item."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from simulators import missions
from simulators.flight import Target
from simulators.jumps import Jumps
from simulators.missions import Item
from simulators.modes import Mode
from simulators.wing import VtolState

if TYPE_CHECKING:
    from simulators.autopilot import Autopilot

_CORNER_MIN_M = 2.0
_INFO = 6
_ALTITUDE_RADIUS = ("NAV_MC_ALT_RAD", "NAV_FW_ALT_RAD")
_PASSED_S = 0.6
"""On its wing a waypoint counts as reached so long before it is over it."""


class MissionFlight:
    """Executes the stored mission while the mode is MISSION.

    ``current`` is the item under way and stays the last one at the end; ``reached`` is the last item
    reached in this activation, -1 before.
    """

    def __init__(self, pilot: Autopilot) -> None:
        self._pilot = pilot
        self.current = 0
        self.reached = -1
        self.finished = False
        self.active = False
        self.cruise_mps: float | None = None
        self._ever_active = False
        self._disarmed_since = False
        self._jumps = Jumps()
        self._reset_item()

    def _reset_item(self) -> None:
        self._climb_to_m: float | None = None
        self._level_m: float | None = None
        self._takes_off = False
        self._arrived_s: float | None = None
        self._started_s: float | None = None
        self._from: tuple[float, float] | None = None
        self._over_landing = False
        self._climbed = True

    @property
    def items(self) -> tuple[Item, ...]:
        """The mission carried."""
        return self._pilot.store.items[missions.MISSION]

    @property
    def landing(self) -> bool:
        """Whether the item under way is a landing."""
        return self.active and bool(self.items) and self.items[self.current].command in missions.LANDINGS

    def changed(self, current: int) -> None:
        """A different mission was stored; it begins at ``current``."""
        self.current = max(0, current)
        self.finished = False
        self._ever_active = self.active
        self.reached = -1
        self._jumps.reset()
        self._reset_item()
        if self.active:
            self._require_climb()

    def set_current(self, seq: int) -> bool:
        """Go on with another item; returns whether there is one."""
        if not 0 <= seq < len(self.items):
            return False
        self.current = seq
        self.finished = False
        self._ever_active = False
        self._reset_item()
        if self.active:
            self._require_climb()
        return True

    def note_disarmed(self) -> None:
        """Remember a disarming: a mission at its last item then starts over when activated again."""
        self._disarmed_since = True

    def activate(self) -> None:
        """Take up the mission where it stands, or at its beginning after it was flown to its end."""
        if self._disarmed_since and self._ever_active and self.current + 1 >= len(self.items):
            self.current = 0
            self._jumps.reset()
        self.active = self._ever_active = True
        self._disarmed_since = False
        self.finished = False
        self.cruise_mps = None
        for item in self.items[: self.current]:
            if item.command == missions.CHANGE_SPEED:
                self._change_speed(item)
        self._reset_item()
        self._pilot.text(_INFO, "Executing Mission")
        self._require_climb()

    def _require_climb(self, *, say: bool = True) -> None:
        """Climb straight up first when the next place is higher than the vehicle, or it stands."""
        pilot = self._pilot
        placed = next((item for item in self.items[self.current :] if item.placed), None)
        if placed is None or (pilot.wing is not None and pilot.wing.on_wing):
            return
        goal_m, low_m = pilot.altitude(placed), float(pilot.params["NAV_MC_ALT_RAD"])
        if pilot.landed and goal_m - pilot.body.alt_m <= low_m:
            goal_m = pilot.home_alt_m + float(pilot.params["MIS_TAKEOFF_ALT"])
        if goal_m - pilot.body.alt_m > low_m:
            self._climbed, self._climb_to_m = False, goal_m
            if say:
                pilot.text(_INFO, f"Climb to {goal_m - pilot.home_alt_m:.1f} meters above home")

    @property
    def taking_off(self) -> bool:
        """Whether it is climbing to begin (EXTENDED_SYS_STATE says TAKEOFF then)."""
        return self.active and not self._climbed and self._takes_off

    def deactivate(self) -> None:
        """Leave the mission; its current item is kept."""
        self.active = False
        self.reached = -1

    def update(self) -> Target | None:
        """Carry the mission on; returns where to fly, ``None`` to stay."""
        # Several immediate items may follow one another; one position item ends the chain.
        for _ in range(len(self.items)):
            if self.finished or self._pilot.mode is not Mode.MISSION or not self.items:
                return None
            item = self.items[self.current]
            done, target = self._carry_out(item)
            if not done:
                return target
            self._complete()
        return None

    def _complete(self) -> None:
        self.reached = self.current
        self._pilot.log("reached", seq=self.current)
        following = self._jumps.after(self.items, self.current, take=True)
        if following is not None:
            previous = self.items[self.current]
            start = self._pilot.local(previous) if previous.placed else None
            self.current = following
            self._reset_item()
            self._from = start
            if self._pilot.landed:
                self._require_climb(say=False)
        else:
            self.finished = True
            self._pilot.mission_finished()

    def _carry_out(self, item: Item) -> tuple[bool, Target | None]:
        if self._climbed and item.command == missions.WAYPOINT:
            return self._go(item)
        if item.command == missions.CHANGE_SPEED:
            self._change_speed(item)
            return True, None
        if item.command in (missions.GRIPPER, missions.WINCH):
            return self._release(item), None
        if item.command == missions.TRANSITION:
            return self._transition(item)
        if item.command == missions.JUMP:
            # Set as the current item by somebody: PX4 hovers there for ever.
            return False, None
        if item.command in (missions.DELAY, missions.CONDITION_DELAY):
            return self._waited(item.params[0]), None
        if item.command == missions.RETURN:
            self._pilot.text(_INFO, "Returning to launch")
            self._pilot.set_mode(Mode.RTL, "mission")
            return False, None
        if not item.placed:
            return True, None
        if not self._climbed:
            return False, self._climb()
        if item.command in missions.LANDINGS:
            return self._land(item)
        if item.command == missions.VTOL_TAKEOFF and self._pilot.wing is not None:
            return self._wing_take_off(item)
        return self._go(item)

    def _change_speed(self, item: Item) -> None:
        wing, speed_mps = self._pilot.wing, item.params[1] if item.params[1] > 0.0 else None
        if wing is not None and (wing.on_wing or round(item.params[0]) == 0):
            wing.cruise_mps = speed_mps
        else:
            self.cruise_mps = speed_mps

    def _transition(self, item: Item) -> tuple[bool, Target | None]:
        wing, wanted = self._pilot.wing, round(item.params[0])
        if wing is None or wanted not in (VtolState.ROTORS, VtolState.WING):
            return True, None
        done = wing.go(VtolState(wanted))
        following = next((each for each in self.items[self.current :] if each.placed), None)
        return done, None if following is None else self.target(following, None, 0.0)

    def _wing_take_off(self, item: Item) -> tuple[bool, Target | None]:
        """Up on its rotors, then onto its wing towards what follows."""
        wing = self._pilot.wing
        if wing is None or not (wing.on_wing or self._arrived_s is not None or self.is_at(item)):
            return self._go(item)
        if self._arrived_s is None:
            self._arrived_s = self._pilot.now_s
        if not wing.on_wing and not wing.is_aligned(self._arrived_s):
            return False, self.target(item, None, 0.0)
        following = next((each for each in self.items[self.current + 1 :] if each.placed), item)
        return wing.go(VtolState.WING), self.target(following, None, 0.0)

    def _release(self, item: Item) -> bool:
        pilot = self._pilot
        if self._started_s is None:
            self._started_s = pilot.now_s
            if item.command == missions.GRIPPER:
                pilot.gripper.command(round(item.params[1]), seq=self.current)
            else:
                pilot.winch.command(round(item.params[1]), item.params[2], item.params[3], seq=self.current)
        return pilot.now_s - self._started_s >= float(pilot.params["MIS_COMMAND_TOUT"])

    def _waited(self, seconds: float) -> bool:
        if self._arrived_s is None:
            self._arrived_s = self._pilot.now_s
        return self._pilot.now_s - self._arrived_s >= seconds

    def _climb(self) -> Target:
        pilot = self._pilot
        goal_m = pilot.body.alt_m if self._climb_to_m is None else self._climb_to_m
        if pilot.body.alt_m > goal_m - float(pilot.params["NAV_MC_ALT_RAD"]) and not pilot.landed:
            self._climbed = True
            self._from = (pilot.body.east_m, pilot.body.north_m)
        self._takes_off = self._takes_off or pilot.landed
        return pilot.targets.climb(goal_m, takeoff=self._takes_off)

    def _land(self, item: Item) -> tuple[bool, Target | None]:
        pilot = self._pilot
        if pilot.landed:
            return True, None
        east_m, north_m = pilot.local(item)
        away = math.hypot(east_m - pilot.body.east_m, north_m - pilot.body.north_m)
        if pilot.wing is not None and away <= pilot.wing.braking_m:
            pilot.wing.go(VtolState.ROTORS)
        if not self._over_landing and away > float(pilot.params["NAV_ACC_RAD"]):
            if self._level_m is None:
                self._level_m = max(pilot.altitude(item), pilot.body.alt_m)
            return False, self._target(east_m, north_m, self._level_m, 0.0, self._from)
        self._over_landing = True
        return False, pilot.targets.land(east_m, north_m)

    def is_at(self, item: Item) -> bool:
        """Whether the vehicle is within the acceptance radius and height of an item's place."""
        pilot, body = self._pilot, self._pilot.body
        east_m, north_m = pilot.local(item)
        away = math.hypot(east_m - body.east_m, north_m - body.north_m)
        on_wing = pilot.wing is not None and pilot.wing.on_wing
        level = abs(pilot.altitude(item) - body.alt_m) <= float(pilot.params[_ALTITUDE_RADIUS[on_wing]])
        return away <= self._accept_m(item) and level

    def _accept_m(self, item: Item) -> float:
        own = item.params[1] if item.command == missions.WAYPOINT and item.params[1] > 0 else 0.0
        usual = own or float(self._pilot.params["NAV_ACC_RAD"])
        wing = self._pilot.wing
        if wing is None or not wing.on_wing:
            return usual
        following = self._jumps.after(self.items, self.current, take=False)
        if following is not None and self.items[following].command == missions.TRANSITION:
            return max(usual, wing.braking_m)
        body = self._pilot.body
        passing_m = _PASSED_S * math.hypot(body.ve, body.vn)
        return max(usual, passing_m, wing.accept_m(self._turn_rad(item, following)))

    def _turn_rad(self, item: Item, following: int | None) -> float:
        """How much the course changes at an item on the way to another."""
        if following is None or not self.items[following].placed:
            return 0.0
        body, (east_m, north_m) = self._pilot.body, self._pilot.local(item)
        next_e, next_n = self._pilot.local(self.items[following])
        course = math.atan2(body.ve, body.vn)
        turn = math.atan2(next_e - east_m, next_n - north_m) - course
        return abs((turn + math.pi) % (2 * math.pi) - math.pi)

    def _go(self, item: Item) -> tuple[bool, Target | None]:
        pilot = self._pilot
        if self._arrived_s is None and self.is_at(item):
            self._arrived_s = pilot.now_s
        hold_s = item.params[0] if item.command in (missions.WAYPOINT, missions.LOITER_TIME) else 0.0
        hold_s = hold_s if math.isfinite(hold_s) else 0.0
        forever = item.command == missions.LOITER_UNLIM
        stayed = self._arrived_s is not None and pilot.now_s - self._arrived_s >= hold_s
        if stayed and not forever and item.autocontinue:
            return True, None
        through = 0.0 if hold_s > 0.0 or forever else self._through_mps(item)
        target = self.target(item, self._from, through)
        target.accept_m = self._accept_m(item) if through > 0.0 else 0.0
        if self._arrived_s is not None:
            target.circle_m = float(pilot.params["NAV_LOITER_RAD"])
        return False, target

    def target(self, item: Item, start: tuple[float, float] | None, through_mps: float) -> Target:
        """The place of an item to fly to at the mission's speed, on the line from ``start``."""
        return self._target(*self._pilot.local(item), self._pilot.altitude(item), through_mps, start)

    def _target(
        self, east_m: float, north_m: float, alt_m: float, through_mps: float, start: tuple[float, float] | None
    ) -> Target:
        target = self._pilot.targets.cruise(east_m, north_m, alt_m, self.cruise_mps)
        target.through_mps = min(through_mps, target.speed_mps)
        if start is not None:
            target.from_east_m, target.from_north_m = start
        return target

    def _through_mps(self, item: Item) -> float:
        following = self._jumps.after(self.items, self.current, take=False)
        if following is not None and self.items[following].command == missions.CHANGE_SPEED:
            following = self._jumps.after(self.items, following, take=False)
        if following is None or not self.items[following].placed:
            return 0.0
        return self.corner_mps(item, following, self._from)

    def placed_after(self, seq: int, *, take: bool) -> int | None:
        """The next item with a place, jumps followed, and counted with ``take``."""
        following = self._jumps.after(self.items, seq, take=take)
        while following is not None and not self.items[following].placed:
            following = self._jumps.after(self.items, following, take=take)
        return following

    def corner_mps(self, item: Item, following: int, start: tuple[float, float] | None) -> float:
        """Speed at which the corner at an item can be rounded inside its acceptance radius, coming from ``start``."""
        if start is None:
            return 0.0
        east_m, north_m = self._pilot.local(item)
        next_e, next_n = self._pilot.local(self.items[following])
        out_e, out_n = next_e - east_m, next_n - north_m
        in_e, in_n = east_m - start[0], north_m - start[1]
        lengths = math.hypot(out_e, out_n) * math.hypot(in_e, in_n)
        if lengths < _CORNER_MIN_M**2:
            return 0.0
        turn = math.acos(min(1.0, max(-1.0, (in_e * out_e + in_n * out_n) / lengths)))
        if turn > math.radians(120.0):
            return 0.0
        radius_m = self._accept_m(item) / max(math.tan(turn / 2.0), 1e-3)
        return math.sqrt(0.5 * self._pilot.body.kind.acceleration_mps2 * radius_m)
