"""How the simulated autopilot flies a mission item by item."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from simulators import missions
from simulators.flight import Target
from simulators.missions import Item
from simulators.modes import Mode

if TYPE_CHECKING:
    from simulators.autopilot import Autopilot

_CORNER_MIN_M = 2.0
_INFO = 6


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
        return self.active and bool(self.items) and self.items[self.current].command == missions.LAND

    def changed(self, current: int) -> None:
        """A different mission was stored; it begins at ``current``."""
        self.current = max(0, current)
        self.finished = False
        self._ever_active = self.active
        self.reached = -1
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
        if placed is None:
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
        if self.current + 1 < len(self.items):
            self._from = None
            previous = self.items[self.current]
            start = self._pilot.local(previous) if previous.placed else None
            self.current += 1
            self._reset_item()
            self._from = start
            if self._pilot.landed:
                self._require_climb(say=False)
        else:
            self.finished = True
            self._pilot.mission_finished()

    def _carry_out(self, item: Item) -> tuple[bool, Target | None]:
        if item.command == missions.CHANGE_SPEED:
            self._change_speed(item)
            return True, None
        if item.command == missions.GRIPPER:
            return self._release(item), None
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
        if item.command == missions.LAND:
            return self._land(item)
        return self._go(item)

    def _change_speed(self, item: Item) -> None:
        self.cruise_mps = item.params[1] if item.params[1] > 0.0 else None

    def _release(self, item: Item) -> bool:
        pilot = self._pilot
        if self._started_s is None:
            self._started_s = pilot.now_s
            pilot.gripper.command(round(item.params[1]), seq=self.current)
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
        level = abs(pilot.altitude(item) - body.alt_m) <= float(pilot.params["NAV_MC_ALT_RAD"])
        return away <= self._accept_m(item) and level

    def _accept_m(self, item: Item) -> float:
        own = item.params[1] if item.command == missions.WAYPOINT and item.params[1] > 0 else 0.0
        return own or float(self._pilot.params["NAV_ACC_RAD"])

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
        return False, self.target(item, self._from, through)

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
        following = self.current + 1
        if following < len(self.items) and self.items[following].command == missions.CHANGE_SPEED:
            following += 1
        if following >= len(self.items) or not self.items[following].placed:
            return 0.0
        return self.corner_mps(item, following, self._from)

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
