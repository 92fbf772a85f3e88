"""Conformance of a vehicle to its plan, after ASTM F3548-21: how long it is inside its operational intent."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from routing.problem import Separation
from telemetry.monitors.finding import Finding
from telemetry.monitors.monitor import airborne
from telemetry.monitors.path import PathFollower
from telemetry.sample import Sample

SHARE = 0.95
"""Least share of its time in the air that a flight spends inside its operational intent (ASTM F3548-21)."""
EXCURSION_S = 10.0
"""Longest time outside at a stretch."""
CONTINGENT_S = 60.0
"""After so long outside the flight does not conform any more: it is contingent, and others need to know."""
GAP_S = 10.0
"""Where it was in a longer silence is not known, and counts for neither."""
LATELY_S = 30.0
"""For so long after an excursion a share that is too small is told: nothing that anybody does makes it greater."""
GROUND_OFF_M = 5.0
"""How far a robot may be beside its way: half of a narrow road, and as good as it knows where it is among houses."""

_HOUR = timedelta(hours=1)


class Excursions:
    """Time inside and outside over a flight."""

    def __init__(self) -> None:
        self.inside_s = self.outside_s = 0.0
        self._outside_since: datetime | None = None
        self._last: datetime | None = None
        self._ended: datetime | None = None
        self._begins: deque[datetime] = deque(maxlen=1_000)

    def take(self, t: datetime, *, outside: bool) -> None:
        """See the vehicle inside or outside at ``t``."""
        passed_s = GAP_S + 1.0 if self._last is None else (t - self._last).total_seconds()
        if passed_s > GAP_S:
            self._outside_since = None
        elif self._outside_since is not None:
            self.outside_s += passed_s
        else:
            self.inside_s += passed_s
        if outside and self._outside_since is None:
            self._outside_since = t
            self._begins.append(t)
        elif not outside and self._outside_since is not None:
            self._outside_since, self._ended = None, t
        self._last = t

    def pause(self) -> None:
        """See nothing until the next look."""
        self._last = self._outside_since = self._ended = None

    @property
    def lasts_s(self) -> float:
        """How long the excursion under way has lasted, 0 inside."""
        if self._outside_since is None or self._last is None:
            return 0.0
        return (self._last - self._outside_since).total_seconds()

    @property
    def began(self) -> datetime | None:
        """When the excursion under way began, or the last one, for as long as that matters."""
        if self._outside_since is not None:
            return self._outside_since
        if self._ended is None or self._last is None or (self._last - self._ended).total_seconds() > LATELY_S:
            return None
        return self._begins[-1]

    @property
    def share(self) -> float:
        """Share of the time inside, 1 before anything is known."""
        known_s = self.inside_s + self.outside_s
        return self.inside_s / known_s if known_s > 0.0 else 1.0

    def an_hour(self, now: datetime) -> int:
        """Excursions that began in the last hour."""
        while self._begins and now - self._begins[0] > _HOUR:
            self._begins.popleft()
        return len(self._begins)


class Conformance:
    """Whether a vehicle keeps to its plan: ``off_plan``.

    It holds while an excursion has lasted ``EXCURSION_S``, while one is so wide that the distance to others is not
    kept any more, and when with the last one the share of time outside exceeds what is allowed.
    """

    def __init__(self, follower: PathFollower, *, apart: Separation, drone: bool = True) -> None:
        self._follower = follower
        self._drone = drone
        self._bound_m = 0.0 if drone else GROUND_OFF_M
        # Flights are planned horizontal_m apart, each with its own containment; beyond that nothing is left.
        self._wide_m = apart.horizontal_m - 2.0 * apart.containment_m if drone else 10.0 * GROUND_OFF_M
        self._excursions = Excursions()
        self._planned = True

    @property
    def conforms(self) -> bool:
        """Whether the vehicle carries its plan out and is where it has it."""
        fix = self._follower.fix
        return self._planned and fix is not None and fix.outside_m <= self._bound_m

    def follows(self, planned: bool) -> None:
        """Say whether it carries its plan out; held or on its way home it does not, and nothing is found."""
        if self._planned and not planned:
            self._follower.stray()
            self._excursions.pause()
        self._planned = planned

    def go_on(self, t: datetime, along_s: float) -> None:
        """Say that it goes on from a stop at which it waited for people (``PathFollower.go_on``)."""
        self._follower.go_on(t, along_s)

    def take(self, sample: Sample) -> None:
        """See one more sample; on the ground a drone is where it should be."""
        if self._drone and not airborne(sample):
            self._excursions.pause()
            return
        fix = self._follower.take(sample, planned=self._planned)
        if fix is not None and self._planned:
            self._excursions.take(fix.t, outside=fix.outside_m > self._bound_m)

    def findings(self, now: datetime) -> list[Finding]:
        """Return ``off_plan`` where it holds, contingent ones as ``worse``."""
        fix, seen = self._follower.fix, self._excursions
        if fix is None or seen.began is None:
            return []
        wide = seen.lasts_s > 0.0 and fix.outside_m > self._wide_m
        too_often = seen.share < SHARE and seen.outside_s > EXCURSION_S
        if not (seen.lasts_s > EXCURSION_S or wide or too_often):
            return []
        values = {
            "outside_m": round(fix.beside_m, 1),
            "late_s": round(fix.late_s, 1),
            "share_pct": round(100.0 * seen.share, 1),
            "excursions_h": seen.an_hour(now),
        }
        # Short excursions that add up are one thing, a long one is each time another.
        since = seen.began if seen.lasts_s > EXCURSION_S or wide else None
        return [Finding("off_plan", True, since=since, values=values, worse=seen.lasts_s > CONTINGENT_S)]
