"""RTL of the simulated autopilot: straight home, or along the mission, by ``RTL_TYPE`` as PX4 1.16.1 does it.

Measured with PX4's SITL (``tests/sitl/test_return.py`` holds both to it). Types 0, 1, 3 and 5 climb to
``RTL_RETURN_ALT`` above the destination (never down to it), fly straight, and land: to the nearest of home and the
rally points at ``MPC_XY_CRUISE`` (0, 3), to the mission's landing at the mission's speed (1), to a rally point (5).
Types 2 and 4 fly the places of the mission's items at its speed, drop points included, down to their height, but wait
nowhere and carry out no other item, the gripper's neither. Forwards they land at the mission's landing; backwards
they end over the take-off and land at home. Type 2 goes forwards where the mission has a landing; type 4 too, if
fewer items are left to it than lie behind. From mission mode they go on with the item under way (backwards: with the
one before); from any other mode with the item nearest in space.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from simulators import missions
from simulators.flight import Target
from simulators.missions import RALLY_FRAMES
from simulators.modes import Mode

if TYPE_CHECKING:
    from simulators.autopilot import Autopilot

_INFO = 6
_ALONG_MISSION = (2, 4)
_TO_RALLY = (0, 1, 3, 5)


class _Way(Protocol):
    landing: bool

    def update(self) -> Target | None: ...


class ReturnFlight:
    """The return under way, chosen anew at each activation."""

    def __init__(self, pilot: Autopilot) -> None:
        self._pilot = pilot
        self._way: _Way | None = None

    def activate(self, came_from: Mode) -> None:
        """Choose the way; ``came_from`` is the mode before."""
        pilot = self._pilot
        along = int(pilot.params["RTL_TYPE"]) in _ALONG_MISSION and pilot.mission_trouble is None
        self._way = AlongMission(pilot, from_mission=came_from is Mode.MISSION) if along else Straight(pilot)

    @property
    def landing(self) -> bool:
        """Whether it is on its way down to the ground."""
        return self._way is not None and self._way.landing

    def update(self) -> Target | None:
        """Carry the return on; returns where to fly."""
        return None if self._way is None or self._pilot.landed else self._way.update()


class AlongMission:
    """RTL_TYPE 2 and 4: from item to item of the mission, forwards or backwards."""

    def __init__(self, pilot: Autopilot, *, from_mission: bool) -> None:
        self._pilot = pilot
        items, at = pilot.mission.items, pilot.mission.current
        self._places = [seq for seq, item in enumerate(items) if item.placed]
        land = next((seq for seq in self._places if items[seq].command in missions.LANDINGS), None)
        fewer_ahead = land is not None and land - at < at
        self._forwards = land is not None and (int(pilot.params["RTL_TYPE"]) == 2 or fewer_ahead)
        self.landing = False
        self._home: tuple[float, float] | None = None
        self._left: tuple[float, float] | None = None
        if not from_mission:
            pilot.mission.current = self._nearest()
        elif self._forwards:
            pilot.mission.current = next(seq for seq in self._places if seq >= at or seq == self._places[-1])
        else:
            pilot.mission.current = max([seq for seq in self._places if seq < at], default=self._places[0])

    def _nearest(self) -> int:
        pilot, body = self._pilot, self._pilot.body

        def away_m(seq: int) -> float:
            item = pilot.mission.items[seq]
            return math.dist((*pilot.local(item), pilot.altitude(item)), (body.east_m, body.north_m, body.alt_m))

        return min(self._places, key=away_m)

    def update(self) -> Target | None:
        """Fly to the current item; reaching it makes the next one current."""
        pilot, mission = self._pilot, self._pilot.mission
        if self._home is not None:
            return self._land(*self._home)
        item = mission.items[mission.current]
        east_m, north_m = pilot.local(item)
        if item.command in missions.LANDINGS and self._forwards:
            return self._land(east_m, north_m)
        if not mission.is_at(item):
            following = self._following(take=False)
            through = mission.corner_mps(item, following, self._left) if following is not None else 0.0
            return mission.target(item, self._left, through)
        pilot.log("reached", seq=mission.current)
        following = self._following(take=True)
        if following is None:
            self._home = pilot.home_local
        else:
            mission.current, self._left = following, (east_m, north_m)
        return None

    def _following(self, *, take: bool) -> int | None:
        """The next item's number; ``None`` at the end: over the take-off backwards, at the last item forwards.

        Forwards it follows (and, with ``take``, counts) the mission's jumps, and so leaves out what the mission would.
        """
        if self._forwards:
            return self._pilot.mission.placed_after(self._pilot.mission.current, take=take)
        at = self._places.index(self._pilot.mission.current) - 1
        return self._places[at] if 0 <= at < len(self._places) else None

    def _land(self, east_m: float, north_m: float) -> Target:
        pilot, body = self._pilot, self._pilot.body
        away = math.hypot(east_m - body.east_m, north_m - body.north_m)
        if not self.landing and away > _close_m(pilot):
            return pilot.targets.cruise(east_m, north_m, body.alt_m, pilot.mission.cruise_mps)
        self.landing = True
        return pilot.targets.land(east_m, north_m)


def _close_m(pilot: Autopilot) -> float:
    """How near to over its landing it begins to come down: a VTOL comes to rest there from its wing."""
    usual = float(pilot.params["NAV_ACC_RAD"])
    return usual if pilot.wing is None or not pilot.wing.on_wing else max(usual, pilot.wing.braking_m)


class Straight:
    """RTL_TYPE 0, 1, 3 and 5: climb, fly straight to home or a rally point, descend, land."""

    def __init__(self, pilot: Autopilot) -> None:
        self._pilot = pilot
        params = pilot.params
        self._speed_mps: float | None = None
        self._place, base_m = self._destination()
        away = math.hypot(self._place[0] - pilot.body.east_m, self._place[1] - pilot.body.north_m)
        level_m = base_m + float(params["RTL_RETURN_ALT"])
        cone = float(params["RTL_CONE_ANG"])
        if 0.0 < cone < 90.0 and away < level_m - base_m:
            # Near home PX4 climbs no higher than a cone over it (half angle from the vertical).
            inside = max(away / math.tan(math.radians(cone)), float(params["RTL_DESCEND_ALT"]))
            level_m = min(level_m, base_m + inside)
        if away < float(params["RTL_MIN_DIST"]):
            level_m = pilot.body.alt_m
        self._level_m = max(level_m, pilot.body.alt_m)
        self._climbs = True
        self.landing = False
        if not pilot.landed:
            above_m = self._level_m - base_m
            pilot.text(_INFO, f"RTL: start return at {self._level_m:.0f} m ({above_m:.0f} m above destination)")

    def _destination(self) -> tuple[tuple[float, float], float]:
        pilot, kind = self._pilot, int(self._pilot.params["RTL_TYPE"])
        home = (pilot.home_local, pilot.home_alt_m)
        points = [item for item in pilot.store.items[missions.RALLY] if item.frame in RALLY_FRAMES]
        choices = [(pilot.local(item), pilot.altitude(item)) for item in points] if kind in _TO_RALLY else []
        items = pilot.mission.items
        land = next((seq for seq, item in enumerate(items) if item.command in missions.LANDINGS), None)
        if kind == 1 and land is not None and not choices:
            pilot.mission.current, self._speed_mps = land, pilot.mission.cruise_mps
            return (pilot.local(items[land]), pilot.altitude(items[land]))
        if kind in (0, 3) or not choices:
            choices.append(home)
        body = pilot.body
        return min(choices, key=lambda c: math.hypot(c[0][0] - body.east_m, c[0][1] - body.north_m))

    def update(self) -> Target | None:
        """Carry the return on; returns where to fly."""
        pilot, body = self._pilot, self._pilot.body
        east_m, north_m = self._place
        if self._climbs and not (pilot.wing is not None and pilot.wing.on_wing):
            self._climbs = body.alt_m < self._level_m - 1.0
            return pilot.targets.climb(self._level_m, takeoff=False)
        if not self.landing:
            near_m = _close_m(pilot) if pilot.wing is not None and pilot.wing.on_wing else 1.0
            if math.hypot(east_m - body.east_m, north_m - body.north_m) <= near_m:
                self.landing = True
                pilot.text(_INFO, "RTL: land at destination")
            return pilot.targets.cruise(east_m, north_m, self._level_m, self._speed_mps)
        return pilot.targets.land(east_m, north_m)
